import assert from 'node:assert/strict';
import { describe, test } from 'vitest';
import { DLGCB } from '../../../dist/dialog/callbacks.js';
import { cookieText } from '../../../dist/dialog/cookie.js';
import { STATUS } from '../../../dist/memory/addon.js';
import * as words from '../../../dist/memory/words.js';
import { dlg_try_profile, set_dlg_profile } from '../../../dist/script/functions/profile.js';
import { $dlg } from '../../../dist/script/variables/dlg.js';
import { set_dlg_var } from '../../../dist/script/variables/dlg-var.js';
import { assertNothingLeft, inWorld, type World } from './world.js';

/** To tag, state and Contact of each dialog, in order of their records. */
function shown(world: World): unknown[] {
  return world.dialogs().map(({ callee, state }) => [callee.tag, state, callee.contact]);
}

const B = { to: 'b2', contact: '<sip:bob@203.0.113.9>' };
const C = { to: 'c3', contact: '<sip:carol@203.0.113.10>' };

describe('a 2xx of a further callee [RFC 3261 13.2.2.4, spec 1.5]', () => {
  test('makes a dialog of its own, with all that the family shares', async () => {
    await inWorld([], (world) => {
      const invite = world.initial({}, (message) => set_dlg_var(world.tracker, message, 'k', 'v'));
      world.reply(invite, 180, B);
      world.reply(invite, 200, B);
      world.reply(invite, 200, { ...C, recordRoutes: ['<sip:p9;lr>', '<sip:own;lr>'] }, 1, 1);
      assert.deepEqual(shown(world), [
        ['b2', 3, 'sip:bob@203.0.113.9'],
        ['c3', 3, 'sip:carol@203.0.113.10'],
      ]);
      const [first, second] = world.dialogs();
      assert.notEqual(first!.h_id, second!.h_id);
      for (const name of ['call-id', 'from_uri', 'to_uri', 'h_entry', 'init_ts', 'lifetime'] as const)
        assert.equal(second![name], first![name], name);
      assert.deepEqual(second!.caller, first!.caller);
      assert.deepEqual(second!.variables, [{ k: 'v' }]);
      assert.deepEqual(
        [second!.callee.route_set, second!.callee.socket],
        ['<sip:p9;lr>', 'udp:127.0.0.1:5060'],
      );
      assert.equal(second!.start_ts, world.native.nowUnixSeconds());
      assert.ok(second!.timeout > 0);
      assert.deepEqual(world.events, ['start 200', 'start 200']);
      const count = (name: string): number => world.statistic(name);
      assert.deepEqual(
        [count('processed_dialogs'), count('active_dialogs'), count('early_dialogs')],
        [1, 2, 0],
      );
    });
  });
  test('once, however often it comes', async () => {
    await inWorld([], (world) => {
      const invite = world.initial();
      for (const callee of [B, C, B, C, B, C]) world.reply(invite, 200, callee);
      assert.equal(world.dialogs().length, 2);
      assert.equal(world.events.length, 2);
    });
  });
  test('each lives and ends by itself; the family has failed nobody', async () => {
    await inWorld([], (world) => {
      const before = world.usage();
      const invite = world.initial();
      world.reply(invite, 200, B);
      world.reply(invite, 200, C);
      world.sequential({ method: 'ACK', to: 'c3' });
      assert.deepEqual(world.states(), [3, 4]);
      world.sequential({ method: 'ACK', to: 'b2' });
      assert.deepEqual(world.states(), [4, 4]);
      const byeC = world.sequential({ method: 'BYE', cseq: 8, to: 'c3' })!;
      assert.deepEqual(world.states(), [4, 5]);
      world.end(byeC);
      world.end(invite);
      assert.deepEqual(shown(world), [['b2', 4, 'sip:bob@203.0.113.9']]);
      world.end(world.sequential({ method: 'BYE', cseq: 3, from: 'b2', to: 'a1' })!);
      assert.deepEqual(world.events, ['start 200', 'start 200', 'end BYE', 'end BYE']);
      assert.equal(world.statistic('failed_dialogs'), 0);
      assertNothingLeft(world, before);
    });
  });
  test('after a side of the first had its BYE: the sibling has had none', async () => {
    await inWorld([], (world) => {
      const invite = world.initial();
      world.reply(invite, 200, B);
      world.sequential({ method: 'ACK', to: 'b2' });
      const first = world.handle();
      assert.equal(world.tracker.ending.end(first.index, first.generation, 1, ''), 'ended');
      world.answerOwn(0, 200);
      world.reply(invite, 200, C);
      world.sequential({ method: 'ACK', to: 'c3' });
      const ended: string[] = [];
      world.sequential({ method: 'INFO', to: 'c3', cseq: 8 }, () => {
        const { context, ending } = world.tracker;
        for (const side of [2, 1]) ended.push(ending.end(context.index, context.generation, side, ''));
      });
      assert.deepEqual(ended, ['ended', 'ended']);
    });
  });
  test('comes also after the first was ended', async () => {
    await inWorld([], (world) => {
      const invite = world.initial();
      world.reply(invite, 200, B);
      world.end(world.sequential({ method: 'BYE', cseq: 8, to: 'b2' })!);
      world.reply(invite, 200, B);
      assert.deepEqual(world.states(), [5]);
      world.reply(invite, 200, C);
      assert.deepEqual(world.states(), [5, 3]);
    });
  });
  test('does not come of a 2xx without a tag, nor when we had answered ourselves and it has our tag', async () => {
    await inWorld([], (world) => {
      const invite = world.initial();
      world.ownReply(invite, 200);
      world.reply(invite, 200, { ...B, to: 'own' });
      assert.equal(world.dialogs().length, 1);
      world.reply(invite, 200, { ...B, to: null });
      assert.equal(world.dialogs().length, 1);
    });
  });
  for (const mode of [0, 1, 2] as const) {
    test(`is matched by cookie and tags in mode ${mode}`, async () => {
      await inWorld([`dialog:dlg_match_mode=${mode}`], (world) => {
        const invite = world.initial();
        const { h_entry, h_id } = world.dialog();
        world.reply(invite, 200, B);
        world.reply(invite, 200, C);
        const route = `;lr;did=${cookieText(h_entry, h_id)}`;
        const { h_id: second } = world.dialogs()[1]!;
        for (const [to, id] of [
          ['b2', h_id],
          ['c3', second],
        ] as const) {
          for (const ends of [
            { from: 'a1', to },
            { from: to, to: 'a1' },
          ]) {
            const message = world.message({ method: 'INFO', route, ...ends });
            world.tracker.begin(message);
            world.looseRoute(message, { route });
            assert.equal($dlg(world.tracker, message, 'h_id'), id);
            world.tracker.scriptEnded(message, false);
          }
        }
        assert.deepEqual(world.faults, []);
      });
    });
  }
  test('memberships belong to the family: counted once, until the last of it ends', async () => {
    await inWorld([], (world) => {
      const { profiles } = world.tracker;
      const sizes = (): number[] => [profiles.size('all', null), profiles.size('caller', 'x')];
      const invite = world.initial({}, (message) => {
        set_dlg_profile(world.tracker, message, 'all');
        dlg_try_profile(world.tracker, message, 'caller', 'x', 1);
      });
      world.reply(invite, 200, B);
      world.reply(invite, 200, C);
      assert.deepEqual(sizes(), [1, 1]);
      world.end(world.sequential({ method: 'BYE', cseq: 8, to: 'b2' })!);
      assert.deepEqual(sizes(), [1, 1]);
      world.end(world.sequential({ method: 'BYE', cseq: 9, to: 'c3' })!);
      assert.deepEqual(sizes(), [0, 0]);
    });
  });
  test('is told as made and answered, with the INVITE and its answer', async () => {
    await inWorld([], (world) => {
      const heard: string[] = [];
      const { callbacks } = world.tracker;
      const first = world.initial();
      const { index } = world.handle();
      const write = (types: number): void => {
        callbacks.register(null, types, ({ type, index: of, request, reply }) => {
          const name = Object.entries(DLGCB).find(([, number]) => number === type)![0];
          heard.push(`${of === index ? 'first' : 'second'} ${name} ${request?.methodName} ${reply?.code}`);
        });
      };
      write(DLGCB.CREATED);
      write(DLGCB.CONFIRMED_NA | DLGCB.DESTROY);
      world.reply(first, 200, B);
      world.reply(first, 200, C);
      assert.deepEqual(heard, [
        'first CONFIRMED_NA INVITE 200',
        'second CREATED INVITE undefined',
        'second CONFIRMED_NA INVITE 200',
      ]);
    });
  });
  test('its event route sees the sibling', async () => {
    await inWorld([], (world) => {
      const invite = world.initial();
      const seen: unknown[] = [];
      world.inEvent = () => {
        assert.ok(world.tracker.contextDialog());
        seen.push(world.tracker.snapshot()?.callee.tag);
      };
      world.reply(invite, 200, B);
      world.reply(invite, 200, C);
      assert.deepEqual(seen, ['b2', 'c3']);
    });
  });
});

describe('early legs [RFC 3261 12.1, 15]', () => {
  const legs = (world: World): number => {
    const { index, generation } = world.handle();
    assert.equal(world.native.dialogLoad(index, generation), STATUS.ok);
    return world.x[words.D_EARLY_LEGS]!;
  };
  test('one for each To tag that rings, gone with the first 2xx', async () => {
    await inWorld([], (world) => {
      const invite = world.initial();
      world.reply(invite, 180, { to: null });
      assert.equal(legs(world), 0);
      world.reply(invite, 180, B);
      world.reply(invite, 183, B);
      world.reply(invite, 183, C);
      assert.equal(legs(world), 2);
      assert.deepEqual(
        world.dialog().early_legs?.map(({ tag, contact }) => [tag, contact]),
        [
          ['c3', 'sip:carol@203.0.113.10'],
          ['b2', 'sip:bob@203.0.113.9'],
        ],
      );
      assert.equal(world.statistic('early_dialogs'), 1);
      world.reply(invite, 200, C);
      assert.equal(world.dialog().early_legs, undefined);
      assert.equal(world.dialog().callee.tag, 'c3');
    });
  });
  test('a BYE ends one of them, from either side; the answer to the INVITE ends the call', async () => {
    await inWorld([], (world) => {
      const before = world.usage();
      const invite = world.initial();
      for (const to of ['b2', 'c3', 'd4']) world.reply(invite, 180, { ...B, to });
      world.end(world.sequential({ method: 'BYE', cseq: 8, to: 'b2' })!);
      assert.deepEqual([legs(world), world.states()], [2, [2]]);
      world.end(world.sequential({ method: 'BYE', cseq: 1, from: 'c3', to: 'a1' })!);
      assert.deepEqual([legs(world), world.states()], [1, [2]]);
      world.end(world.sequential({ method: 'BYE', cseq: 9, to: 'x9' })!);
      assert.deepEqual([legs(world), world.states()], [1, [2]]);
      world.reply(invite, 487, B);
      assert.deepEqual([world.states(), world.events], [[5], ['failed 487']]);
      world.end(invite);
      assertNothingLeft(world, before);
    });
  });
  test("requests of each of them are the dialog's, both ways", async () => {
    await inWorld([], (world) => {
      const invite = world.initial();
      world.reply(invite, 183, B);
      world.reply(invite, 183, C);
      for (const parts of [
        { method: 'PRACK', to: 'b2' },
        { method: 'PRACK', to: 'c3' },
        { method: 'UPDATE', from: 'c3', to: 'a1' },
      ]) {
        const transaction = world.sequential(parts, () => assert.equal(world.tracker.context.status, 2));
        world.end(transaction!);
      }
    });
  });
  test('more than 16 are not kept, and the call goes on', async () => {
    await inWorld([], (world) => {
      const invite = world.initial();
      for (let n = 0; n < 20; n++) world.reply(invite, 180, { to: `t${n}` });
      assert.equal(legs(world), 16);
      world.reply(invite, 200, { to: 't19' });
      assert.deepEqual([world.states(), world.dialog().callee.tag], [[3], 't19']);
    });
  });
  test('the transaction of the INVITE is named while nobody has answered', async () => {
    await inWorld([], (world) => {
      const invite = world.initial();
      const named = (): number[] => {
        const { index, generation } = world.handle();
        assert.equal(world.native.dialogLoad(index, generation), STATUS.ok);
        return [world.x[words.D_TRANSACTION_INDEX]!, world.x[words.D_TRANSACTION_GENERATION]!];
      };
      assert.deepEqual(named(), [invite.index, invite.generation]);
      world.reply(invite, 180, B);
      assert.deepEqual(named(), [invite.index, invite.generation]);
      world.reply(invite, 200, B);
      assert.deepEqual(named(), [0, 0]);
    });
  });
});
