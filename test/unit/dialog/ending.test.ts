import assert from 'node:assert/strict';
import { describe, test } from 'vitest';
import { DLGCB } from '../../../dist/dialog/callbacks.js';
import { BOTH_SIDES } from '../../../dist/dialog/ending.js';
import { TO_CALLEE, TO_CALLER } from '../../../dist/dialog/requests.js';
import { STATUS } from '../../../dist/memory/addon.js';
import * as words from '../../../dist/memory/words.js';
import { constant } from '../../../dist/memory/words.js';
import { assertNothingLeft, inWorld, type World } from './world.js';

/** "BYE a1 1": method, To tag, number. */
function sent(world: World): string[] {
  return world.sent.map(({ method, text }) => {
    const tag = /^To: .*;tag=(.*)\r$/m.exec(text)?.[1];
    return `${method} ${tag} ${/^CSeq: (\d+)/m.exec(text)?.[1]}`;
  });
}

/** Names of the callbacks that are told from now on. */
function listen(world: World): string[] {
  const told: string[] = [];
  const { TERMINATED, EXPIRED, TERMINATED_CONFIRMED, DESTROY } = DLGCB;
  world.tracker.callbacks.register(null, TERMINATED | EXPIRED | TERMINATED_CONFIRMED | DESTROY, (news) => {
    told.push(Object.entries(DLGCB).find(([, type]) => type === news.type)![0]);
  });
  return told;
}

function end(world: World, sides = BOTH_SIDES, headers = ''): string {
  const { index, generation } = world.handle();
  world.tracker.forgetMessage();
  return world.tracker.ending.end(index, generation, sides, headers);
}

describe('a call that is ended from here [spec 4.2]', () => {
  test('both sides get their BYE; effects run once; the record goes with the last answer', () =>
    inWorld([], (world) => {
      const before = world.usage();
      const invite = world.answered();
      const told = listen(world);
      world.events.length = 0;
      assert.equal(end(world), 'ended');
      assert.deepEqual(sent(world), ['BYE a1 1', 'BYE b2 8']);
      assert.equal(world.statistic('byes_sent'), 2);
      assert.deepEqual(world.events, ['end -']);
      assert.deepEqual(told, ['TERMINATED']);
      assert.equal(world.dialog().state, 5);
      assert.equal(world.statistic('active_dialogs'), 0);

      world.answerOwn(0, 200);
      assert.deepEqual(told, ['TERMINATED', 'TERMINATED_CONFIRMED']);
      world.end(invite);
      assert.deepEqual(world.states(), [5]);
      world.answerOwn(1, 481);
      assert.deepEqual(told, ['TERMINATED', 'TERMINATED_CONFIRMED', 'DESTROY']);
      assert.deepEqual(world.events, ['end -']);
      assertNothingLeft(world, before);
    }));

  test('a second end finds nothing to end', () =>
    inWorld([], (world) => {
      world.answered();
      assert.equal(end(world), 'ended');
      assert.equal(end(world), 'gone');
      assert.equal(end(world, TO_CALLER), 'gone');
      assert.equal(world.sent.length, 2);
    }));

  test('a call without ACK is ended too', () =>
    inWorld([], (world) => {
      const invite = world.initial();
      world.reply(invite, 200);
      assert.equal(end(world), 'ended');
      assert.equal(world.sent.length, 2);
    }));

  test('numbers are above all that were sent in that direction, whatever the method', () =>
    inWorld([], (world) => {
      world.answered();
      world.sequential({ method: 'INFO', cseq: 12 });
      world.sequential({ method: 'UPDATE', from: 'b2', to: 'a1', cseq: 40 });
      world.sequential({ method: 'INFO', from: 'b2', to: 'a1', cseq: 39 });
      end(world);
      assert.deepEqual(sent(world), ['BYE a1 41', 'BYE b2 13']);
    }));

  test('extra headers: of the configuration, of the call, and to the callee', () =>
    inWorld(['dialog:dlg_extra_hdrs=X-All: 1\r\n', 'dialog:lreq_callee_headers=X-Callee: 3\r\n'], (world) => {
      world.answered();
      end(world, BOTH_SIDES, 'X-Call: 2\r\n');
      const tails = world.sent.map(({ text }) => text.slice(text.indexOf('Content-Length: 0\r\n') + 19));
      assert.deepEqual(tails, [
        'X-All: 1\r\nX-Call: 2\r\n\r\n',
        'X-All: 1\r\nX-Call: 2\r\nX-Callee: 3\r\n\r\n',
      ]);
    }));

  test('without room nothing happens', () =>
    inWorld([], (world) => {
      world.answered();
      world.sendRoom = 1;
      assert.equal(end(world), 'no_room');
      assert.equal(world.dialog().state, 4);
      assert.equal(world.sent.length, 0);
      world.sendRoom = 2;
      assert.equal(end(world), 'ended');
    }));

  test('without room for a copy of the call neither', () =>
    inWorld([], (world) => {
      world.answered();
      const { scratch } = world.memory;
      scratch.at = scratch.end - 64;
      assert.equal(end(world), 'no_room');
      scratch.reset();
      assert.equal(world.dialog().state, 4);
      assert.equal(end(world), 'ended');
    }));

  test('a side without Contact costs the other nothing', () =>
    inWorld([], (world) => {
      const before = world.usage();
      const invite = world.initial();
      world.reply(invite, 200, { contact: null });
      world.sequential({ method: 'ACK' });
      assert.equal(end(world), 'unreachable');
      assert.deepEqual(sent(world), ['BYE a1 1']);
      world.end(invite);
      world.answerOwn(0, 200);
      assertNothingLeft(world, before);
    }));

  test('a side that cannot be reached is owed nothing', () =>
    inWorld([], (world) => {
      const before = world.usage();
      const invite = world.answered();
      world.unreachable.add(TO_CALLER).add(TO_CALLEE);
      assert.equal(end(world), 'unreachable');
      assert.deepEqual(world.events.at(-1), 'end -');
      world.end(invite);
      assertNothingLeft(world, before);
    }));

  test('a call that is not answered is not ended by BYE', () =>
    inWorld([], (world) => {
      const invite = world.initial();
      world.reply(invite, 180);
      assert.equal(end(world), 'ended');
      assert.equal(world.sent.length, 0);
    }));
});

describe('memory runs out', () => {
  /** Takes all of the segment's memory; what frees it again. */
  function fill(world: World): () => void {
    const { memory, native, x } = world;
    const place = memory.slots.storedRequest;
    const taken: number[] = [];
    for (const bytes of [60_000, 2_000, 400, 150, 20]) {
      x[words.X_ARGS] = x[words.X_ARGS + 1] = 0;
      while (native.transactionCreate(place.at, bytes, 1) === STATUS.ok) taken.push(x[words.T_INDEX]!);
    }
    assert.ok(native.transactionRoom() >= 2, 'records are left');
    return () => {
      for (const index of taken) native.transactionFree(index);
    };
  }

  test('no call is ended without memory for its BYEs; with it both leave', () =>
    inWorld([], (world) => {
      const before = world.usage();
      const invite = world.answered();
      const free = fill(world);
      assert.equal(end(world), 'no_room');
      assert.equal(end(world, TO_CALLEE), 'no_room');
      assert.deepEqual([world.dialog().state, world.sent.length], [4, 0]);
      free();
      assert.equal(end(world), 'ended');
      assert.deepEqual(sent(world), ['BYE a1 1', 'BYE b2 8']);
      world.end(invite);
      world.answerOwn(0, 200);
      world.answerOwn(1, 200);
      assertNothingLeft(world, before);
    }));

  test('a call whose time is over stays due until there is memory', () =>
    inWorld(['dialog:default_timeout=20', 'dialog:send_bye=1'], (world) => {
      const before = world.usage();
      world.end(world.answered());
      const free = fill(world);
      world.wait(25, 5);
      assert.deepEqual([world.dialog().state, world.sent.length], [4, 0]);
      free();
      world.wait(1, 5);
      assert.equal(world.sent.length, 2);
      world.answerOwn(0, 200);
      world.answerOwn(1, 200);
      assertNothingLeft(world, before);
    }));

  for (const lacking of [[TO_CALLER], [TO_CALLEE], [TO_CALLER, TO_CALLEE]]) {
    test(`sides ${lacking} lack it after all: they are owed their BYE until there is some`, () =>
      inWorld([], (world) => {
        const before = world.usage();
        const invite = world.answered();
        for (const side of lacking) world.lacksMemory.add(side);
        assert.equal(end(world), 'ended');
        assert.equal(world.sent.length, 2 - lacking.length);
        world.end(invite);
        for (let n = 0; n < world.sent.length; n++) world.answerOwn(n, 200);
        world.wait(3, 5);
        assert.deepEqual([world.states(), world.sent.length], [[5], 2 - lacking.length]);
        world.lacksMemory.clear();
        world.wait(1, 5);
        assert.deepEqual(world.sent.map(({ side }) => side).sort(), [TO_CALLER, TO_CALLEE]);
        for (let n = 2 - lacking.length; n < 2; n++) world.answerOwn(n, 200);
        assertNothingLeft(world, before);
      }));
  }

  test('a BYE that waited for a name and found no memory then is sent later', () =>
    inWorld([], (world) => {
      const before = world.usage();
      const invite = world.answered();
      end(world);
      world.end(invite);
      world.answerOwn(0, 200);
      world.lostForMemory(1);
      assert.deepEqual(world.states(), [5]);
      world.wait(1, 5);
      assert.deepEqual(sent(world), ['BYE a1 1', 'BYE b2 8', 'BYE b2 9']);
      world.answerOwn(2, 200);
      assertNothingLeft(world, before);
    }));
});

describe('answers to our BYEs', () => {
  test('500 once more with the next number, and its added headers; a second one counts', () =>
    inWorld([], (world) => {
      const before = world.usage();
      const invite = world.answered();
      const told = listen(world);
      end(world, TO_CALLEE, 'X-Call: 2\r\n');
      world.answerOwn(0, 500);
      assert.deepEqual(sent(world), ['BYE b2 8', 'BYE b2 9']);
      assert.match(world.sent[1]!.text, /\r\nX-Call: 2\r\n\r\n$/);
      assert.deepEqual(told, ['TERMINATED']);
      world.answerOwn(1, 500);
      assert.equal(world.sent.length, 2);
      assert.deepEqual(told, ['TERMINATED', 'TERMINATED_CONFIRMED']);
      world.end(invite);
      assertNothingLeft(world, before);
    }));

  for (const code of [0, 401, 407, 408, 481, 603]) {
    test(`${code === 0 ? 'none' : code} counts as answered`, () =>
      inWorld([], (world) => {
        const before = world.usage();
        const invite = world.answered();
        const told = listen(world);
        end(world, TO_CALLER);
        world.answerOwn(0, code);
        assert.equal(world.sent.length, 1);
        assert.deepEqual(told, ['TERMINATED', 'TERMINATED_CONFIRMED']);
        world.end(invite);
        assertNothingLeft(world, before);
      }));
  }
});

describe('one side alone [manual 6.8]', () => {
  test('gets its BYE, and the call is over', () =>
    inWorld([], (world) => {
      world.answered();
      assert.equal(end(world, TO_CALLER), 'ended');
      assert.deepEqual(sent(world), ['BYE a1 1']);
      assert.deepEqual(world.events.at(-1), 'end -');
    }));

  test('not twice; the other gets its own, once, without effects', () =>
    inWorld([], (world) => {
      const before = world.usage();
      const invite = world.answered();
      world.events.length = 0;
      assert.equal(end(world, TO_CALLEE), 'ended');
      assert.equal(end(world, TO_CALLEE), 'gone');
      assert.equal(end(world, TO_CALLER), 'ended');
      assert.equal(end(world, TO_CALLER), 'gone');
      assert.equal(end(world), 'gone');
      assert.deepEqual(sent(world), ['BYE b2 8', 'BYE a1 1']);
      assert.deepEqual(world.events, ['end -']);
      world.end(invite);
      world.answerOwn(0, 200);
      world.answerOwn(1, 200);
      assertNothingLeft(world, before);
    }));

  test('a call that a BYE has ended is not ended again', () =>
    inWorld([], (world) => {
      world.answered();
      world.sequential({ method: 'BYE', cseq: 8 });
      assert.equal(end(world, TO_CALLEE), 'gone');
      assert.equal(world.sent.length, 0);
    }));
});

describe('a lifetime that is over [spec 3.4]', () => {
  test('with send_bye: BYE to both, TERMINATED, counted as expired', () =>
    inWorld(['dialog:send_bye=1', 'dialog:default_timeout=60'], (world) => {
      const before = world.usage();
      const invite = world.answered();
      const told = listen(world);
      world.wait(61);
      assert.deepEqual(sent(world), ['BYE a1 1', 'BYE b2 8']);
      assert.deepEqual(told, ['TERMINATED']);
      assert.deepEqual(world.events.at(-1), 'end -');
      assert.equal(world.statistic('expired_dialogs'), 1);
      world.end(invite);
      world.answerOwn(1, 200);
      world.answerOwn(0, 0);
      assertNothingLeft(world, before);
    }));

  test('with $dlg_ctx(timeout_bye), for this call alone', () =>
    inWorld(['dialog:default_timeout=60'], (world) => {
      const invite = world.message({});
      world.tracker.begin(invite);
      world.tracker.context.timeoutBye = 1;
      world.tracker.manage(invite);
      const transaction = world.transaction(invite);
      world.tracker.relayed(invite);
      world.store();
      world.tracker.scriptEnded(invite, true);
      world.reply(transaction, 200);
      world.sequential({ method: 'ACK' });
      world.wait(61);
      assert.equal(world.sent.length, 2);
    }));

  test('without: EXPIRED, and nobody is told', () =>
    inWorld(['dialog:default_timeout=60'], (world) => {
      world.answered();
      const told = listen(world);
      world.wait(61);
      assert.equal(world.sent.length, 0);
      assert.deepEqual(told, ['EXPIRED']);
    }));

  test('without room the call stays due, and ends when there is some', () =>
    inWorld(['dialog:send_bye=1', 'dialog:default_timeout=60'], (world) => {
      world.answered();
      world.sendRoom = 1;
      world.wait(61);
      assert.equal(world.dialog().state, 4);
      world.sendRoom = 10;
      world.wait(2);
      assert.equal(world.dialog().state, 5);
      assert.equal(world.sent.length, 2);
      assert.equal(world.statistic('expired_dialogs'), 1);
    }));
});

describe('an unanswered call that is ended from here [spec 13.1]', () => {
  test('rings: its INVITE is ended, and the call has failed', () =>
    inWorld(['dialog:bye_early_code=487', 'dialog:bye_early_reason=Gone'], (world) => {
      const before = world.usage();
      const invite = world.initial();
      world.reply(invite, 180);
      assert.equal(end(world), 'ended');
      assert.deepEqual(world.endedInvites, ['487 Gone']);
      assert.deepEqual(world.events, ['failed -']);
      assert.equal(world.statistic('failed_dialogs'), 1);
      assert.equal(world.sent.length, 0);
      world.end(invite);
      assertNothingLeft(world, before);
    }));

  test('does not ring yet: the same', () =>
    inWorld([], (world) => {
      world.initial();
      assert.equal(end(world), 'ended');
      assert.deepEqual(world.events, ['failed -']);
    }));

  test('not by whoever is at work on its answer', () =>
    inWorld([], (world) => {
      const invite = world.initial();
      world.reply(invite, 180);
      world.load(invite);
      world.tracker.begin(world.message({ code: 183, to: 'b2' }, 2));
      const { index, generation } = world.handle();
      assert.equal(world.tracker.ending.end(index, generation, BOTH_SIDES, ''), 'too_early');
      assert.deepEqual(world.endedInvites, []);
    }));
});

describe('a BYE that a dead worker left owed', () => {
  /** The claim was made; whoever made it is gone. */
  function claimed(world: World): void {
    const { index, generation } = world.handle();
    const reason = constant('EndCommand');
    const now = world.native.nowUnixSeconds();
    assert.equal(world.native.dialogHold(index, generation), 0);
    assert.equal(world.native.dialogClaimEnd(index, generation, reason, BOTH_SIDES, now), 0);
  }

  test('is sent when nobody can be about to; the record goes with the last answer', () =>
    inWorld([], (world) => {
      const before = world.usage();
      const invite = world.answered();
      claimed(world);
      world.end(invite);
      world.wait(60);
      assert.equal(world.sent.length, 0);
      world.wait(30);
      assert.deepEqual(sent(world), ['BYE a1 2', 'BYE b2 9']);
      world.wait(30);
      assert.equal(world.sent.length, 2);
      world.answerOwn(0, 481);
      assert.deepEqual(world.states(), [5]);
      world.answerOwn(1, 200);
      assertNothingLeft(world, before);
    }));

  test('is no longer owed to a side that cannot be reached', () =>
    inWorld([], (world) => {
      const before = world.usage();
      const invite = world.answered();
      claimed(world);
      world.end(invite);
      world.unreachable.add(TO_CALLER).add(TO_CALLEE);
      world.wait(90, 10);
      assertNothingLeft(world, before);
    }));

  test('waits for room', () =>
    inWorld([], (world) => {
      world.answered();
      claimed(world);
      world.sendRoom = 0;
      world.wait(90);
      assert.equal(world.sent.length, 0);
      world.sendRoom = 1;
      world.wait(10);
      assert.equal(world.sent.length, 1);
      world.sendRoom = 2;
      world.wait(10);
      assert.equal(world.sent.length, 2);
      assert.notEqual(world.sent[0]!.side, world.sent[1]!.side);
    }));

  test('is not sent again while it is on its way', () =>
    inWorld([], (world) => {
      world.answered();
      end(world);
      world.wait(60);
      assert.equal(world.sent.length, 2);
    }));
});
