import assert from 'node:assert/strict';
import { describe, test } from 'vitest';
import { D_DUE, D_KA_DUE } from '../../../dist/memory/words.js';
import { dlg_reset_property, dlg_set_property } from '../../../dist/script/functions/property.js';
import { dlg_set_timeout } from '../../../dist/script/functions/timeout.js';
import { assertNothingLeft, inWorld, type Parts, type World } from './world.js';

const SET = ['dialog:ka_timer=1', 'dialog:ka_interval=30'];

/** A confirmed call with these properties. */
function call(world: World, ...properties: readonly string[]) {
  const before = world.message({});
  world.tracker.begin(before);
  for (const property of properties) dlg_set_property(world.tracker, property);
  world.tracker.manage(before);
  const transaction = world.transaction(before);
  world.tracker.relayed(before);
  world.store();
  world.tracker.scriptEnded(before, true);
  world.reply(transaction, 200);
  world.sequential({ method: 'ACK' });
  return transaction;
}

/** In the script of a request within the call. */
function inScript(world: World, run: () => void, parts: Parts = {}): void {
  world.sequential({ method: 'INFO', cseq: 9, ...parts }, run);
}

/** "OPTIONS a1 0": method, To tag, number. */
function sent(world: World): string[] {
  return world.sent.map(({ method, text }) => {
    return `${method} ${/^To: .*;tag=(.*)\r$/m.exec(text)?.[1]} ${/^CSeq: (\d+)/m.exec(text)?.[1]}`;
  });
}

/** Seconds until the call expires. */
function left(world: World): number {
  const { index, generation } = world.handle();
  world.native.dialogLoad(index, generation);
  return world.x[D_DUE]! - world.native.nowBootSeconds();
}

function isArmed(world: World): boolean {
  const { index, generation } = world.handle();
  world.native.dialogLoad(index, generation);
  return world.x[D_KA_DUE] !== 0;
}

describe('probes [manual 5.47, 5.48, 6.16]', () => {
  test('each side that has the property is asked after the interval, again and again', () =>
    inWorld(SET, (world) => {
      call(world, 'ka-src', 'ka-dst');
      world.wait(29);
      assert.deepEqual(sent(world), []);
      world.wait(2);
      assert.deepEqual(sent(world), ['OPTIONS a1 0', 'OPTIONS b2 6']);
      world.answerOwn(0, 200);
      world.answerOwn(1, 200);
      world.wait(31);
      assert.deepEqual(sent(world).slice(2), ['OPTIONS a1 0', 'OPTIONS b2 6']);
      assert.equal(world.statistic('probes_sent'), 4);
    }));

  for (const [property, probe] of [
    ['ka-src', 'OPTIONS a1 0'],
    ['ka-dst', 'OPTIONS b2 6'],
  ] as const) {
    test(`${property} alone`, () =>
      inWorld(SET, (world) => {
        call(world, property);
        world.wait(31);
        assert.deepEqual(sent(world), [probe]);
      }));
  }

  test('the number lies below the last one that was sent, and takes none', () =>
    inWorld(SET, (world) => {
      call(world, 'ka-dst');
      world.sequential({ method: 'INFO', cseq: 20 });
      world.wait(31);
      const { index, generation } = world.handle();
      world.tracker.ending.end(index, generation, 3, '');
      assert.deepEqual(sent(world), ['OPTIONS b2 19', 'BYE a1 1', 'BYE b2 21']);
    }));

  test('lreq_callee_headers go to the callee', () =>
    inWorld([...SET, 'dialog:lreq_callee_headers=X-Callee: 1\r\n'], (world) => {
      call(world, 'ka-src', 'ka-dst');
      world.wait(31);
      assert.deepEqual(
        world.sent.map(({ text }) => text.includes('\r\nX-Callee: 1\r\n')),
        [false, true],
      );
    }));

  for (const set of [[], ['dialog:ka_timer=1'], ['dialog:ka_interval=30']]) {
    test(`off: ${set.join(' ') || 'by default'}`, () =>
      inWorld(set, (world) => {
        call(world, 'ka-src');
        assert.equal(isArmed(world), false);
        world.wait(100);
        assert.equal(world.sent.length, 0);
      }));
  }

  test('ka_timer: what is due is looked for so often', () =>
    inWorld(['dialog:ka_timer=20', 'dialog:ka_interval=30'], (world) => {
      call(world, 'ka-src');
      for (let n = 0; n < 30; n++) world.wait(1);
      assert.equal(world.sent.length, 0);
      for (let n = 0; n < 20; n++) world.wait(1);
      assert.equal(world.sent.length, 1);
    }));

  test('an ended call is asked nothing more, and nothing is left', () =>
    inWorld(SET, (world) => {
      const before = world.usage();
      const invite = call(world, 'ka-src', 'ka-dst');
      world.wait(31);
      const bye = world.sequential({ method: 'BYE', cseq: 9 })!;
      world.answerOwn(0, 0);
      world.answerOwn(1, 481);
      world.wait(100);
      assert.equal(world.sent.length, 2);
      world.end(invite);
      world.end(bye);
      assertNothingLeft(world, before);
    }));

  test('without room the call stays due', () =>
    inWorld(SET, (world) => {
      call(world, 'ka-src');
      world.sendRoom = 0;
      world.wait(31);
      world.sendRoom = 10;
      world.wait(2);
      assert.equal(world.sent.length, 1);
    }));
});

describe('properties are looked at with each probe [spec 3.6]', () => {
  test('set in a call that is up', () =>
    inWorld(SET, (world) => {
      call(world);
      assert.equal(isArmed(world), false);
      inScript(world, () => assert.equal(dlg_set_property(world.tracker, 'ka-dst'), true));
      world.wait(31);
      assert.deepEqual(sent(world), ['OPTIONS b2 8']);
    }));

  test('set before the ACK', () =>
    inWorld(SET, (world) => {
      const invite = world.initial();
      world.reply(invite, 200);
      world.sequential({ method: 'UPDATE', cseq: 8 }, () => dlg_set_property(world.tracker, 'ka-src'));
      world.sequential({ method: 'ACK' });
      world.wait(31);
      assert.equal(world.sent.length, 1);
    }));

  test('cleared: one side, then none', () =>
    inWorld(SET, (world) => {
      call(world, 'ka-src', 'ka-dst');
      inScript(world, () => dlg_reset_property(world.tracker, 'ka-src'));
      assert.equal(isArmed(world), true);
      world.wait(31);
      assert.deepEqual(sent(world), ['OPTIONS b2 8']);
      inScript(world, () => dlg_reset_property(world.tracker, 'ka-dst'), { cseq: 10 });
      assert.equal(isArmed(world), false);
      world.wait(100);
      assert.equal(world.sent.length, 1);
    }));

  test('there is no other', () =>
    inWorld(SET, (world) => {
      call(world);
      inScript(world, () => {
        assert.equal(dlg_set_property(world.tracker, 'KA-SRC'), false);
        assert.equal(dlg_reset_property(world.tracker, ''), false);
      });
    }));

  test('timeout-noreset holds for the call from then on', () =>
    inWorld(['dialog:default_timeout=60'], (world) => {
      call(world);
      inScript(world, () => dlg_set_property(world.tracker, 'timeout-noreset'));
      world.wait(40);
      world.sequential({ method: 'INFO', cseq: 10 });
      assert.equal(left(world), 20);
      inScript(world, () => dlg_reset_property(world.tracker, 'timeout-noreset'), { cseq: 11 });
      world.sequential({ method: 'INFO', cseq: 12 });
      assert.equal(left(world), 60);
    }));
});

describe('a side that does not answer [spec 3.6]', () => {
  for (const code of [0, 408, 481]) {
    test(`${code === 0 ? 'silence' : code}: ten seconds are left`, () =>
      inWorld(SET, (world) => {
        call(world, 'ka-src');
        world.wait(31);
        world.answerOwn(0, code);
        assert.equal(left(world), 10);
        world.wait(11);
        assert.equal(world.dialog().state, 5);
        assert.equal(world.statistic('expired_dialogs'), 1);
      }));
  }

  for (const code of [200, 403, 404, 500, 603]) {
    test(`${code} proves life`, () =>
      inWorld(SET, (world) => {
        call(world, 'ka-src');
        world.wait(31);
        const before = left(world);
        world.answerOwn(0, code);
        assert.equal(left(world), before);
      }));
  }

  test('BYE to both if the call was to end so', () =>
    inWorld([...SET, 'dialog:send_bye=1'], (world) => {
      call(world, 'ka-dst');
      world.wait(31);
      world.answerOwn(0, 481);
      world.wait(11);
      assert.deepEqual(sent(world).slice(1), ['BYE a1 1', 'BYE b2 8']);
    }));

  test('ka_failed_limit in a row; an answer in between begins anew', () =>
    inWorld([...SET, 'dialog:ka_failed_limit=3'], (world) => {
      call(world, 'ka-src');
      const codes = [408, 408, 200, 481, 0];
      for (const [n, code] of codes.entries()) {
        world.wait(31);
        world.answerOwn(n, code);
        assert.ok(left(world) > 1000, `after ${n}`);
      }
      world.wait(31);
      world.answerOwn(codes.length, 408);
      assert.equal(left(world), 10);
    }));

  test('each side has its own count', () =>
    inWorld([...SET, 'dialog:ka_failed_limit=2'], (world) => {
      call(world, 'ka-src', 'ka-dst');
      world.wait(31);
      world.answerOwn(0, 408);
      world.answerOwn(1, 408);
      assert.ok(left(world) > 1000);
    }));

  test('an answer after all gives the lifetime back', () =>
    inWorld(SET, (world) => {
      call(world, 'ka-src');
      world.wait(31);
      const before = left(world);
      const { index, generation } = world.handle();
      world.tracker.keepAlive.answered(false, 408, index, generation, 1);
      assert.equal(left(world), 10);
      world.answerOwn(0, 200);
      assert.equal(left(world), before);
    }));

  test('the life of one side does not undo the silence of the other', () =>
    inWorld(SET, (world) => {
      call(world, 'ka-src', 'ka-dst');
      world.wait(31);
      world.answerOwn(0, 408);
      world.answerOwn(1, 200);
      assert.equal(left(world), 10);
    }));

  test('a request of the silent side gives the lifetime back, even where requests leave it as it is', () =>
    inWorld([...SET, 'dialog:timeout_noreset=1'], (world) => {
      call(world, 'ka-src');
      world.wait(31);
      const before = left(world);
      world.answerOwn(0, 408);
      world.sequential({ method: 'INFO', from: 'b2', to: 'a1', cseq: 3 });
      assert.equal(left(world), 10);
      world.sequential({ method: 'INFO', cseq: 9 });
      assert.equal(left(world), before);
    }));

  test('a lifetime that somebody sets meanwhile stands: no answer brings the earlier one back', () =>
    inWorld([...SET, 'dialog:timeout_avp=$avp(t)'], (world) => {
      call(world, 'ka-src');
      world.wait(31);
      world.answerOwn(0, 408);
      inScript(world, () => dlg_set_timeout(world.tracker, world.message({ to: 'b2' }), 50), {
        from: 'b2',
        to: 'a1',
        cseq: 3,
      });
      assert.equal(left(world), 50);
      world.sequential({ method: 'INFO', cseq: 9 });
      assert.equal(left(world), 50);
      world.wait(31);
      world.answerOwn(1, 408);
      assert.equal(left(world), 10);
      const info = world.message({ method: 'INFO', from: 'b2', to: 'a1', cseq: 4 });
      world.tracker.begin(info);
      world.tracker.context.avpSeconds = 40;
      world.tracker.manage(info);
      world.tracker.scriptEnded(info, false);
      assert.equal(left(world), 40);
      world.wait(31);
      world.answerOwn(2, 200);
      assert.equal(left(world), 9);
    }));

  test('a call that ends sooner anyway is not prolonged', () =>
    inWorld([...SET, 'dialog:default_timeout=35'], (world) => {
      call(world, 'ka-src');
      world.wait(31);
      world.answerOwn(0, 408);
      assert.equal(left(world), 4);
    }));
});

describe('many at once [spec 3.6]', () => {
  test('a few with each tick, and the next comes soon', () =>
    inWorld(SET, (world) => {
      for (let n = 0; n < 300; n++)
        world.answered({ callId: `c${n}@h` }, () => dlg_set_property(world.tracker, 'ka-src'));
      world.wait(31);
      assert.ok(world.sent.length > 0 && world.sent.length <= 64, `${world.sent.length}`);
      assert.equal(world.tracker.isBehind, true);
      for (let ticks = 0; world.tracker.isBehind && ticks < 10; ticks++) world.wait(0);
      assert.equal(world.sent.length, 300);
      assert.equal(world.tracker.isBehind, false);
    }));
});
