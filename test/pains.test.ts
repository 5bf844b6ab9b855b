/**
 * What has hurt users of the original for years, one test each: `pain 7` is the seventh of the list in README.md.
 *
 * Short ones are shown here, on the world of the unit tests; for longer ones a flow of test/flow is played, which says on
 * the wire what is meant.  README.md names where the rest is proved, and what cannot occur.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, test } from 'vitest';
import { BOTH_SIDES } from '../dist/dialog/ending.js';
import { DialogEngine, DLGCB } from '../dist/index.js';
import { addon, STATUS } from '../dist/memory/addon.js';
import { dlg_isflagset } from '../dist/script/functions/flags.js';
import { dlg_get, is_known_dlg } from '../dist/script/functions/lookup.js';
import { dlg_try_profile, set_dlg_profile } from '../dist/script/functions/profile.js';
import { dlg_set_property } from '../dist/script/functions/property.js';
import { dlg_set_timeout_by_profile } from '../dist/script/functions/timeout.js';
import { $dlg } from '../dist/script/variables/dlg.js';
import { $dlg_ctx, DLG_CTX_ATTRIBUTES, set_dlg_ctx } from '../dist/script/variables/dlg-ctx.js';
import { playFlow } from './support/flow.js';
import { readFlow } from './support/flow-text.js';
import { assertNothingLeft, inWorld, textOf, type World } from './unit/dialog/world.js';

const FLOWS = fileURLToPath(new URL('flow/', import.meta.url));

/** Plays flows, each on two workers and a timer worker. */
async function plays(...names: readonly string[]): Promise<void> {
  for (const name of names)
    await playFlow(readFlow(readFileSync(`${FLOWS}${name}.flow`, 'utf8')), 2, 1, true);
}

/** We end the only call there is. */
function end(world: World, sides = BOTH_SIDES): string {
  const { index, generation } = world.handle();
  return world.tracker.ending.end(index, generation, sides, '');
}

/** Requests of our own: "BYE a1 8", method, To tag, number. */
function sent(world: World): string[] {
  return world.sent.map(({ method, text }) => {
    const tag = /^To: .*;tag=(.*)\r$/m.exec(text)?.[1];
    return `${method} ${tag} ${/^CSeq: (\d+)/m.exec(text)?.[1]}`;
  });
}

describe('ending a call', () => {
  test('pain 1: both sides get their BYE, and the record outlives the answer to the first', async () => {
    await inWorld([], (world) => {
      const before = world.usage();
      world.end(world.answered());
      assert.equal(end(world), 'ended');
      assert.deepEqual(sent(world), ['BYE a1 1', 'BYE b2 8']);
      world.answerOwn(0, 200);
      assert.deepEqual(world.states(), [5], 'the second BYE is under way');
      // What the other side sends meanwhile is a request of a known call, not of none.
      const crossing = world.sequential({ method: 'BYE', from: 'b2', to: 'a1', cseq: 1 }, (message) =>
        assert.ok(is_known_dlg(world.tracker, message)),
      )!;
      world.end(crossing);
      world.answerOwn(1, 200);
      assertNothingLeft(world, before);
    });
    await plays('ended-by-us', 'ended-by-us-crossing-bye', 'ended-by-us-never-answered');
  });

  const ways: readonly [string, readonly string[], (world: World) => void][] = [
    ['a BYE', [], (world) => void world.sequential({ method: 'BYE', cseq: 8 })],
    [
      'BYEs of both sides',
      [],
      (world) => {
        world.sequential({ method: 'BYE', cseq: 8 });
        world.sequential({ method: 'BYE', cseq: 1, from: 'b2', to: 'a1' });
      },
    ],
    ['the operator', [], (world) => void end(world)],
    [
      'a script, one side after the other',
      [],
      (world) => {
        end(world, 1);
        end(world, 2);
      },
    ],
    [
      'the operator while a BYE comes',
      [],
      (world) => {
        end(world);
        world.sequential({ method: 'BYE', cseq: 8 });
        world.answerOwn(0, 481);
        world.answerOwn(1, 481);
      },
    ],
    ['the lifetime', ['dialog:default_timeout=30'], (world) => world.wait(31, 3)],
    [
      'the lifetime, with BYEs',
      ['dialog:default_timeout=30', 'dialog:send_bye=1'],
      (world) => world.wait(31, 3),
    ],
  ];
  for (const [name, set, go] of ways) {
    test(`pain 2: the end event comes once when the call is ended by ${name}`, async () => {
      await inWorld(set, (world) => {
        world.end(world.answered());
        world.events.length = 0;
        go(world);
        world.wait(5, 3);
        assert.deepEqual(
          world.events.map((event) => event.split(' ')[0]),
          ['end'],
        );
        assert.equal(world.statistic('active_dialogs'), 0);
      });
    });
  }

  test('pain 3: our numbers lie above those of PRACK and of any other request, whatever its state', async () => {
    await inWorld([], (world) => {
      const invite = world.initial();
      world.reply(invite, 183);
      world.sequential({ method: 'PRACK', cseq: 8 });
      world.sequential({ method: 'UPDATE', from: 'b2', to: 'a1', cseq: 51 });
      world.reply(invite, 200);
      world.sequential({ method: 'UPDATE', cseq: 9 });
      world.sequential({ method: 'ACK' });
      world.sequential({ method: 'MESSAGE', cseq: 10 });
      assert.equal(end(world), 'ended');
      assert.deepEqual(sent(world), ['BYE a1 52', 'BYE b2 11']);
    });
  });

  test('pain 4: our requests go where UPDATE or re-INVITE moved a side, by the socket it uses now', async () => {
    await inWorld([], (world) => {
      world.answered();
      const update = world.sequential({ method: 'UPDATE', cseq: 8, contact: '<sip:alice@198.51.100.7>' })!;
      world.reply(update, 200, { method: 'UPDATE', cseq: 8, contact: '<sip:bob@198.51.100.8>' }, 0, 1);
      end(world);
      assert.deepEqual(
        world.sent.map(({ text, socket }) => [text.split(' ')[1], socket]),
        [
          ['sip:alice@198.51.100.7', 1],
          ['sip:bob@198.51.100.8', 1],
        ],
      );
    });
    await plays('ended-by-us-target-moved');
  });

  test('pain 18: a call that rings can be ended: CANCEL downstream, a final answer upstream', async () => {
    await plays('end-early', 'end-early-crossing-200');
  });

  test('pain 20: a side behind a NAT gets our BYE: observed source, alias, Route', async () => {
    await plays('ended-by-us-behind-nat');
    for (const [recordRoutes, target, hop] of [
      [[], 'sip:alice@10.0.0.7', 'sip:198.51.100.5:1024'],
      [['<sip:p1;lr>'], 'sip:alice@10.0.0.7;alias=198.51.100.5~1024~1', 'sip:p1;lr'],
    ] as const) {
      await inWorld([], (world) => {
        world.answered({ contact: '<sip:alice@10.0.0.7;alias=198.51.100.5~1024~1>', recordRoutes });
        end(world, 1);
        const { text, nextHop } = world.sent[0]!;
        assert.deepEqual([text.split(' ')[1], nextHop], [target, hop]);
        assert.equal(/^Route: (.*)\r$/m.exec(text)?.[1], recordRoutes[0]);
      });
    }
  });

  test('pain 30: a BYE while it rings ends that early leg, the answer to the INVITE the call', async () => {
    await plays('bye-in-early-dialog');
    await inWorld([], (world) => {
      const invite = world.initial();
      for (const to of ['b2', 'c3']) world.reply(invite, 183, { to });
      world.end(world.sequential({ method: 'BYE', cseq: 8, to: 'b2' })!);
      assert.deepEqual([world.states(), world.events], [[2], []]);
      world.reply(invite, 200, { to: 'c3' });
      assert.deepEqual([world.dialog().state, world.dialog().callee.tag], [3, 'c3']);
    });
  });
});

describe('calls that were lost', () => {
  test('pain 7: the ACK confirms the live call, not the one that failed under the same Call-ID and tag', async () => {
    for (const mode of [0, 1, 2]) {
      await inWorld([`dialog:dlg_match_mode=${mode}`], (world) => {
        world.reply(world.initial({ cseq: 7 }), 407, { to: 'x9' });
        const retried = world.initial({ cseq: 8 });
        world.reply(retried, 200, { cseq: 8 });
        world.sequential({ method: 'ACK', cseq: 8 });
        assert.deepEqual(world.states(), [5, 4]);
      });
    }
    await plays('challenged-then-accepted');
  });
  test('pain 7: an ACK that comes late finds the whole lifetime', async () => {
    await inWorld(['dialog:noack_timeout=60', 'dialog:default_timeout=3600'], (world) => {
      world.end(answeredWithoutAck(world));
      world.wait(65);
      assert.deepEqual(world.states(), [3]);
      world.sequential({ method: 'ACK' });
      world.wait(3000, 40);
      assert.deepEqual(world.states(), [4]);
    });
    await plays('lost-ack', 'never-acknowledged');
  });

  test('pain 14: an ended record whose transaction was lost goes by its age', async () => {
    await inWorld(['dialog:end_timeout=60'], (world) => {
      const before = world.usage();
      world.end(world.answered());
      world.sequential({ method: 'BYE', cseq: 8 });
      const { index, generation } = world.handle();
      for (let n = 0; n < 3; n++) assert.equal(world.native.dialogHold(index, generation), STATUS.ok);
      world.wait(59, 5);
      assert.deepEqual(world.states(), [5]);
      world.wait(2, 5);
      assert.deepEqual(world.states(), []);
      // The BYE's transaction is the test's: its hold finds nothing any more, and harms nobody.
      assert.equal(world.usage().dialogs, before.dialogs);
    });
  });

  test('pain 17: a request of a callee that rings belongs to the call', async () => {
    await inWorld([], (world) => {
      const invite = world.initial();
      for (const to of ['b2', 'c3']) world.reply(invite, 183, { to });
      for (const from of ['b2', 'c3']) {
        const update = world.sequential({ method: 'UPDATE', from, to: 'a1', cseq: 1 }, (message) => {
          assert.ok(is_known_dlg(world.tracker, message));
          assert.deepEqual([world.tracker.context.direction, world.tracker.context.status], [2, 2]);
        })!;
        world.end(update);
      }
      // Nobody who rings here has this tag, and the caller's is not in it.
      world.sequential({ method: 'UPDATE', from: 'b2', to: 'z9', cseq: 2 }, (message) =>
        assert.equal(is_known_dlg(world.tracker, message), false),
      );
    });
    await plays('early-requests-both-ways');
  });

  test('pain 27: a call may ring for an hour, and is counted until it is answered', async () => {
    await inWorld(['dialog:early_timeout=300'], (world) => {
      const before = world.usage();
      const invite = world.initial();
      world.reply(invite, 183);
      for (let minute = 0; minute < 60; minute++) world.wait(60, 3);
      assert.deepEqual([world.states(), world.statistic('early_dialogs')], [[2], 1]);
      world.reply(invite, 200);
      world.sequential({ method: 'ACK' });
      assert.deepEqual([world.states(), world.statistic('early_dialogs')], [[4], 0]);
      world.end(world.sequential({ method: 'BYE', cseq: 8 })!);
      world.end(invite);
      assertNothingLeft(world, before);
    });
  });
  test('pain 27: it ends with its transaction, and that is counted too', async () => {
    await inWorld([], (world) => {
      const before = world.usage();
      const invite = world.initial();
      world.reply(invite, 183);
      world.end(invite);
      assert.deepEqual([world.events, world.statistic('early_dialogs')], [['failed -'], 0]);
      assert.equal(world.statistic('failed_dialogs'), 1);
      assertNothingLeft(world, before);
    });
  });
});

describe('keep-alive and lifetimes', () => {
  const set = ['dialog:ka_timer=1', 'dialog:ka_interval=30', 'dialog:ka_failed_limit=2'];
  /** Seconds until the only call expires. */
  const left = (world: World): number => world.dialog().timeout - world.native.nowUnixSeconds();

  test('pain 5: one lost keep-alive ends nothing; two in a row do, unless the side is heard of again', async () => {
    await inWorld(set, (world) => {
      world.answered({}, () => dlg_set_property(world.tracker, 'ka-src'));
      // Lost, answered, lost: the second failure is the first in a row.
      for (const [n, code] of [0, 200, 0].entries()) {
        world.wait(31);
        world.answerOwn(n, code);
        assert.ok(left(world) > 10_000, `after ${n}`);
      }
      world.wait(31);
      world.answerOwn(3, 0);
      assert.equal(left(world), 10);
      world.sequential({ method: 'INFO', cseq: 9 });
      assert.ok(left(world) > 10_000);
    });
    await plays('keep-alive');
  });

  test('pain 6: after a worker died its calls are asked as before, by who took them over', async () => {
    await plays('keep-alive-worker-dies');
  });

  test('pain 26: a timeout for a whole profile reaches each member, and kills none', async () => {
    await inWorld([], (world) => {
      const before = world.usage();
      const invites = ['c1@h', 'c2@h', 'c3@h'].map((callId) =>
        world.answered({ callId }, (message) =>
          set_dlg_profile(world.tracker, message, 'caller', callId === 'c3@h' ? 'y' : 'x'),
        ),
      );
      const lifetimes = (): number[] => world.dialogs().map(({ lifetime }) => lifetime);
      for (let n = 0; n < 50; n++) dlg_set_timeout_by_profile(world.tracker, 'caller', 'x', 600);
      assert.deepEqual(lifetimes(), [600, 600, 43_200]);
      dlg_set_timeout_by_profile(world.tracker, 'caller', null, 700);
      assert.deepEqual(lifetimes(), [700, 700, 700]);
      for (const seconds of [0, -5, Number.NaN])
        assert.equal(dlg_set_timeout_by_profile(world.tracker, 'caller', null, seconds), false);
      assert.deepEqual(
        [world.states(), lifetimes()],
        [
          [4, 4, 4],
          [700, 700, 700],
        ],
      );
      for (const [n, invite] of invites.entries()) {
        world.end(world.sequential({ method: 'BYE', cseq: 8, callId: `c${n + 1}@h` })!);
        world.end(invite);
      }
      assertNothingLeft(world, before);
    });
  });
});

describe('counts', () => {
  test('pain 12: the size of a profile is exact, and asking for it costs no walk', async () => {
    await inWorld([], (world) => {
      const size = (value: string | null): number => world.tracker.profiles.size('caller', value);
      const invites = [];
      for (let n = 0; n < 300; n++) {
        world.memory.scratch.reset();
        let joined = false;
        const invite = world.initial({ callId: `c${n}@h` }, (message) => {
          joined = dlg_try_profile(world.tracker, message, 'caller', `u${n % 3}`, 90);
        });
        assert.equal(joined, n < 270, `call ${n}`);
        invites.push(invite);
      }
      assert.deepEqual([size('u0'), size('u1'), size('u2'), size(null)], [90, 90, 90, 270]);
      // Half of them fail, a third of the rest is answered and ended; every place is free again at once.
      for (const [n, invite] of invites.entries()) {
        const callId = `c${n}@h`;
        world.memory.scratch.reset();
        if (n % 2 === 0) world.reply(invite, 486, { callId });
        else world.reply(invite, 200, { callId });
        if (n % 3 === 1) world.sequential({ method: 'BYE', cseq: 8, callId });
      }
      assert.deepEqual([size('u0'), size('u1'), size('u2'), size(null)], [45, 0, 45, 90]);
      assert.equal(addon.audit(world.segment), 0);
    });
  });

  test('pain 15: counts follow from what happened to records, through revival, expiry and clean-up', async () => {
    await inWorld(
      ['dialog:default_timeout=30', 'dialog:end_timeout=40', 'dialog:early_timeout=50'],
      (world) => {
        const count = (): number[] =>
          ['processed_dialogs', 'active_dialogs', 'early_dialogs', 'failed_dialogs', 'expired_dialogs'].map(
            (name) => world.statistic(name),
          );
        const late = world.initial({ callId: 'late@h' });
        world.reply(late, 180, { callId: 'late@h' });
        assert.deepEqual(count(), [1, 0, 1, 0, 0]);
        world.ownReply(late, 408);
        assert.deepEqual(count(), [1, 0, 0, 1, 0]);
        world.reply(late, 200, { callId: 'late@h' });
        assert.deepEqual(count(), [1, 1, 0, 0, 0]);
        const lost = world.message({ callId: 'lost@h' });
        world.tracker.begin(lost);
        world.tracker.manage(lost);
        // Its worker dies here: nobody knows of it but the table.
        world.tracker.context.clear();
        world.wait(31, 5);
        assert.deepEqual(count(), [2, 0, 0, 0, 1]);
        world.wait(60, 10);
        assert.deepEqual(count(), [2, 0, 0, 1, 1]);
        assert.equal(addon.audit(world.segment), 0);
      },
    );
  });
});

describe('numbers, ids and contexts', () => {
  test('pain 16: after credentials of ours the numbers of the call stay right on both sides', async () => {
    await plays('uac-auth', 'uac-auth-digits', 'uac-auth-prack', 'uac-auth-kept-answer', 'uac-auth-within');
  });

  test('pain 19: an answer that comes after the end is passed over', async () => {
    await inWorld([], (world) => {
      const invite = world.answered();
      world.sequential({ method: 'BYE', cseq: 8 });
      for (const code of [180, 183, 486]) world.reply(invite, code);
      assert.deepEqual([world.states(), world.events], [[5], ['start 200', 'end BYE']]);
      assert.equal(world.statistic('stray_events'), 2);
      assert.deepEqual(world.faults, []);
    });
  });

  test('pain 21: an event route may end its own dialog and go on', async () => {
    await inWorld([], (world) => {
      const before = world.usage();
      const seen: unknown[] = [];
      world.inEvent = (name) => {
        assert.ok(world.tracker.contextDialog());
        seen.push(`${name} ${world.tracker.snapshot()?.state}`);
        if (name !== 'start') return;
        end(world);
        seen.push('the route goes on');
      };
      const invite = world.initial();
      world.reply(invite, 200);
      world.answerOwn(0, 200);
      world.answerOwn(1, 200);
      world.end(invite);
      assert.deepEqual(seen, ['start 3', 'end 5', 'the route goes on']);
      assert.equal(world.statistic('active_dialogs'), 0);
      assertNothingLeft(world, before);
    });
  });
  test('pain 21: what names a record that is gone reads as null', async () => {
    await inWorld([], (world) => {
      const message = world.message({ method: 'OPTIONS', callId: 'other@h' });
      const invite = world.initial();
      const { index, generation } = world.handle();
      world.tracker.begin(message);
      world.tracker.context.index = index;
      world.tracker.context.generation = generation;
      assert.equal($dlg(world.tracker, message, 'callid'), 'call@h');
      world.end(invite);
      // Another call takes the record; the old name does not mean it.
      world.initial({ callId: 'next@h' });
      assert.equal(addon.nextDialog(world.segment, 1), index);
      world.tracker.begin(message);
      world.tracker.context.index = index;
      world.tracker.context.generation = generation;
      assert.equal($dlg(world.tracker, message, 'callid'), null);
    });
  });

  test('pain 24: $dlg_ctx() has timeout, flags, direction, and does what it says', async () => {
    await inWorld([], (world) => {
      const { tracker } = world;
      for (const name of ['on', 'timeout', 'timeout_bye', 'flags', 'timeout_route', 'set', 'dir'] as const)
        assert.ok(DLG_CTX_ATTRIBUTES.includes(name), name);
      const invite = world.message({});
      tracker.begin(invite);
      assert.ok(set_dlg_ctx(tracker, 'timeout', 77));
      assert.ok(set_dlg_ctx(tracker, 'flags', 8));
      assert.ok(set_dlg_ctx(tracker, 'timeout_bye', 1));
      tracker.manage(invite);
      const { lifetime, sflags, iflags } = world.dialog();
      assert.deepEqual([lifetime, sflags, iflags], [77, 8, 1]);
      tracker.scriptEnded(invite, true);
      world.sequential({ method: 'UPDATE', from: 'b2', to: 'a1', cseq: 1 }, () => {
        assert.ok(dlg_isflagset(tracker, 3));
        assert.ok(dlg_get(tracker, 'call@h', 'b2', 'a1'));
        assert.deepEqual([$dlg_ctx(tracker, 'set'), $dlg_ctx(tracker, 'dir')], [1, 2]);
      });
    });
  });

  test('pain 25: nothing is told when a call begins to ring; there are three events', async () => {
    await inWorld([], (world) => {
      const invite = world.initial();
      for (const code of [180, 183, 199]) world.reply(invite, code);
      assert.deepEqual([world.states(), world.events], [[2], []]);
      world.reply(invite, 486);
      const other = world.answered({ callId: 'other@h' });
      world.sequential({ method: 'BYE', cseq: 8, callId: 'other@h' });
      assert.deepEqual(world.events, ['failed 486', 'start 200', 'end BYE']);
      world.end(other);
    });
  });
});

describe('a process after this one', () => {
  test('pain 29: a call whose time ran out while nobody ran is told completely, once', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'holdfast-pain-'));
    const opened: DialogEngine[] = [];
    let now = 1_000;
    const open = async (): Promise<DialogEngine> => {
      const engine = await DialogEngine.open({
        segment: { path: join(folder, 'calls'), bytes: 24 << 20 },
        sockets: ['udp:192.0.2.1:5060'],
        clock: 'caller',
        params: { default_timeout: 30, hash_size: 64 },
      });
      opened.push(engine);
      return engine;
    };
    try {
      const first = await open();
      first.tick(now);
      const { dialog } = first.request(textOf({}));
      first.reply(textOf({ code: 200, to: 'b2' }));
      first.request(textOf({ method: 'ACK', to: 'b2' }));
      first.setVariable(dialog!, 'account', '42');
      first.close();

      now += 100_000;
      const next = await open();
      const heard: unknown[] = [];
      next.registerDlgcb(null, DLGCB.LOADED, (news) => heard.push(['LOADED', news.dialog]));
      next.registerDlgcb(null, DLGCB.EXPIRED, ({ dialog: which, request, reply, data }) =>
        heard.push(['EXPIRED', which, request, reply, data, next.variable(which, 'account')]),
      );
      next.registerDlgcb(null, DLGCB.DESTROY, (news) => heard.push(['DESTROY', news.dialog]));
      assert.deepEqual(heard, [['LOADED', dialog]], 'nothing ends before everything is open');
      for (let n = 0; n < 5; n++) next.tick(now);
      assert.deepEqual(heard, [
        ['LOADED', dialog],
        ['EXPIRED', dialog, null, null, true, '42'],
        ['DESTROY', dialog],
      ]);
      assert.equal(next.usage().dialogs, 0);
    } finally {
      for (const engine of opened) engine.close();
      rmSync(folder, { recursive: true, force: true });
    }
  });
});

function answeredWithoutAck(world: World): ReturnType<World['initial']> {
  const invite = world.initial();
  world.reply(invite, 200);
  return invite;
}
