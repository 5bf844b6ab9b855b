import assert from 'node:assert/strict';
import { describe, test } from 'vitest';
import { dlg_isflagset, dlg_resetflag, dlg_setflag } from '../../../dist/script/functions/flags.js';
import { dlg_get, is_known_dlg } from '../../../dist/script/functions/lookup.js';
import { dlg_manage } from '../../../dist/script/functions/manage.js';
import { $dlg, DLG_ATTRIBUTES } from '../../../dist/script/variables/dlg.js';
import { $DLG_count, $DLG_lifetime, $DLG_status } from '../../../dist/script/variables/dlg-count.js';
import { $dlg_ctx, DLG_CTX_ATTRIBUTES, set_dlg_ctx } from '../../../dist/script/variables/dlg-ctx.js';
import { $dlg_var, set_dlg_var } from '../../../dist/script/variables/dlg-var.js';
import { inWorld, type World } from '../dialog/world.js';

describe('$dlg [manual 8.1, spec 7.1]', () => {
  test('reads every attribute of a confirmed call', async () => {
    await inWorld([], (world) => {
      const invite = world.initial({ recordRoutes: ['<sip:k;lr>'] });
      world.reply(invite, 200, { recordRoutes: ['<sip:d;lr>', '<sip:k;lr>'] });
      world.sequential({ method: 'ACK' });
      world.end(invite);
      const dialog = world.dialog();
      world.sequential({ method: 'INFO', cseq: 8 }, (message) => {
        const read = Object.fromEntries(
          DLG_ATTRIBUTES.map((name) => [name, $dlg(world.tracker, message, name)]),
        );
        assert.deepEqual(read, {
          h_id: dialog.h_id,
          h_entry: dialog.h_entry,
          ref: 3,
          state: 4,
          lifetime: 43_200,
          start_ts: dialog.start_ts,
          dflags: 515,
          sflags: 0,
          toroute: 0,
          callid: 'call@h',
          from_uri: 'sip:alice@example.com',
          to_uri: 'sip:bob@example.com',
          from_tag: 'a1',
          to_tag: 'b2',
          from_cseq: '8',
          to_cseq: '0',
          from_rs: '<sip:k;lr>',
          to_rs: '<sip:d;lr>',
          from_contact: 'sip:alice@192.0.2.10:5062',
          to_contact: 'sip:bob@203.0.113.9',
          from_bindaddr: 'udp:127.0.0.1:5060',
          to_bindaddr: 'udp:127.0.0.2:5060',
        });
      });
    });
  });
  test('is null where nothing is known yet', async () => {
    await inWorld([], (world) => {
      world.initial({}, (message) => {
        for (const name of ['to_tag', 'to_cseq', 'from_rs', 'to_rs', 'to_contact', 'to_bindaddr'] as const) {
          assert.equal($dlg(world.tracker, message, name), null, name);
        }
        assert.equal($dlg(world.tracker, message, 'start_ts'), 0);
      });
    });
  });
  test('is null without a dialog', async () => {
    await inWorld([], (world) => {
      const message = world.message({});
      world.tracker.begin(message);
      for (const name of DLG_ATTRIBUTES) assert.equal($dlg(world.tracker, message, name), null);
      assert.equal($dlg(world.tracker, null, 'state'), null);
    });
  });
  test('is null when the record that the context names is gone', async () => {
    await inWorld([], (world) => {
      const invite = world.initial();
      const message = world.message({ method: 'INFO', callId: 'other@h', to: 'b2' });
      world.tracker.begin(message);
      assert.ok(dlg_get(world.tracker, 'call@h', 'a1', 'x'));
      assert.equal($dlg(world.tracker, message, 'state'), 1);
      world.end(invite);
      assert.equal($dlg(world.tracker, message, 'state'), null);
    });
  });
});

describe('$dlg_ctx [manual 8.2, spec 7.2]', () => {
  const begun = (world: World): void => world.tracker.begin(world.message({}));
  test('is zero before anything is set', async () => {
    await inWorld([], (world) => {
      begun(world);
      const read = Object.fromEntries(
        DLG_CTX_ATTRIBUTES.map((name) => [name, $dlg_ctx(world.tracker, name)]),
      );
      assert.deepEqual(read, {
        refused: null,
        on: 0,
        flags: 0,
        timeout: 0,
        timeout_bye: 0,
        timeout_route: null,
        timeout_route_id: 0,
        set: 0,
        dir: 0,
      });
    });
  });
  test('keeps what is set until the next message', async () => {
    await inWorld([], (world) => {
      begun(world);
      for (const name of ['on', 'flags', 'timeout', 'timeout_bye'] as const) {
        assert.ok(set_dlg_ctx(world.tracker, name, 5));
        assert.equal($dlg_ctx(world.tracker, name), 5);
      }
      assert.ok(set_dlg_ctx(world.tracker, 'timeout_route', 'late'));
      begun(world);
      for (const name of DLG_CTX_ATTRIBUTES) assert.equal($dlg_ctx(world.tracker, name) || 0, 0, name);
    });
  });
  test('goes into the dialog that is made', async () => {
    await inWorld([], (world) => {
      const message = world.message({});
      world.tracker.begin(message);
      set_dlg_ctx(world.tracker, 'flags', 2 ** 31 + 1);
      set_dlg_ctx(world.tracker, 'timeout_bye', 1);
      set_dlg_ctx(world.tracker, 'timeout_route', 'late');
      dlg_manage(world.tracker, message);
      const { sflags, iflags } = world.dialog();
      assert.deepEqual([sflags, iflags], [2 ** 31 + 1, 1]);
      assert.equal($dlg(world.tracker, message, 'toroute'), -1);
      assert.equal($dlg_ctx(world.tracker, 'set'), 1);
    });
  });
  test('what is no integer counts as 0; a name of a route has at most 31 characters', async () => {
    await inWorld([], (world) => {
      begun(world);
      for (const value of ['5', 1.5, null, Number.NaN]) {
        set_dlg_ctx(world.tracker, 'on', 7);
        set_dlg_ctx(world.tracker, 'on', value);
        assert.equal($dlg_ctx(world.tracker, 'on'), 0, String(value));
      }
      for (const [value, name] of [
        ['x'.repeat(31), 'x'.repeat(31)],
        ['x'.repeat(32), null],
        [12, '12'],
        [0, null],
        ['', null],
        [null, null],
      ] as const) {
        set_dlg_ctx(world.tracker, 'timeout_route', value);
        assert.equal($dlg_ctx(world.tracker, 'timeout_route'), name);
      }
    });
  });
  test('set, dir and timeout_route_id are only read', async () => {
    await inWorld([], (world) => {
      begun(world);
      for (const name of ['set', 'dir', 'timeout_route_id'] as const) {
        assert.equal(set_dlg_ctx(world.tracker, name, 5), false);
        assert.equal($dlg_ctx(world.tracker, name), 0);
      }
      assert.equal($dlg_ctx(world.tracker, 'on'), 0);
    });
  });
});

describe('$dlg_var [manual 8.3, spec 7.3]', () => {
  test('keeps, replaces and removes texts', async () => {
    await inWorld([], (world) => {
      world.initial({}, (message) => {
        const { tracker } = world;
        assert.equal($dlg_var(tracker, message, 'k'), null);
        assert.ok(set_dlg_var(tracker, message, 'k', 'one'));
        assert.ok(set_dlg_var(tracker, message, 'l', ''));
        assert.deepEqual([$dlg_var(tracker, message, 'k'), $dlg_var(tracker, message, 'l')], ['one', '']);
        assert.ok(set_dlg_var(tracker, message, 'k', 'two, and more'));
        assert.equal($dlg_var(tracker, message, 'k'), 'two, and more');
        assert.equal($dlg_var(tracker, message, 'K'), null);
        assert.ok(set_dlg_var(tracker, message, 'k', null));
        assert.equal($dlg_var(tracker, message, 'k'), null);
        assert.ok(set_dlg_var(tracker, message, 'k', null));
      });
      assert.deepEqual(world.dialog().variables, [{ l: '' }]);
    });
  });
  test('waits for the dialog of the message', async () => {
    await inWorld([], (world) => {
      const message = world.message({});
      const { tracker } = world;
      tracker.begin(message);
      assert.ok(set_dlg_var(tracker, message, 'k', 'one'));
      assert.ok(set_dlg_var(tracker, message, 'gone', 'x'));
      assert.ok(set_dlg_var(tracker, message, 'gone', null));
      assert.ok(set_dlg_var(tracker, message, 'k', 'two'));
      assert.equal($dlg_var(tracker, message, 'k'), 'two');
      dlg_manage(tracker, message);
      assert.equal($dlg_var(tracker, message, 'k'), 'two');
      assert.deepEqual(world.dialog().variables, [{ k: 'two' }]);
    });
  });
  test('is forgotten with a message that makes no dialog', async () => {
    await inWorld([], (world) => {
      const message = world.message({ method: 'OPTIONS' });
      world.tracker.begin(message);
      set_dlg_var(world.tracker, message, 'k', 'one');
      world.tracker.scriptEnded(message, false);
      world.initial();
      assert.deepEqual(world.dialog().variables, []);
    });
  });
  test('only texts are kept, within bounds', async () => {
    await inWorld([], (world) => {
      world.initial({}, (message) => {
        const { tracker } = world;
        assert.equal(set_dlg_var(tracker, message, 'k', 5 as unknown as string), false);
        assert.equal(set_dlg_var(tracker, message, '', 'x'), false);
        assert.equal(set_dlg_var(tracker, message, 'k'.repeat(1025), 'x'), false);
        assert.equal(set_dlg_var(tracker, message, 'k', 'x'.repeat(8193)), false);
        assert.ok(set_dlg_var(tracker, message, 'k', 'x'.repeat(8192)));
        assert.equal($dlg_var(tracker, message, 'k')?.length, 8192);
        assert.equal($dlg_var(tracker, message, ''), null);
      });
    });
  });
  test('32 wait for a dialog, no more', async () => {
    await inWorld([], (world) => {
      const message = world.message({});
      world.tracker.begin(message);
      for (let n = 0; n < 32; n++) assert.ok(set_dlg_var(world.tracker, message, `k${n}`, 'x'));
      assert.equal(set_dlg_var(world.tracker, message, 'k32', 'x'), false);
      assert.ok(set_dlg_var(world.tracker, message, 'k31', 'y'));
      dlg_manage(world.tracker, message);
      assert.equal(world.dialog().variables.length, 32);
    });
  });
});

describe('$DLG_count, $DLG_status, $DLG_lifetime [manual 8.4-8.6, spec 7.4]', () => {
  test('$DLG_count counts answered calls', async () => {
    await inWorld([], (world) => {
      world.initial({ callId: 'ringing@h' });
      world.answered();
      assert.equal($DLG_count(world.tracker), 1);
    });
    await inWorld(['dialog:enable_stats=0'], (world) => {
      world.answered();
      assert.equal($DLG_count(world.tracker), 0);
    });
  });
  test('$DLG_status is the state after the request, $DLG_lifetime the time since the answer', async () => {
    await inWorld([], (world) => {
      const { tracker } = world;
      const read = (method: string, cseq = 8): unknown => {
        let seen: unknown;
        world.sequential({ method, cseq }, () => {
          seen = [$DLG_status(tracker), $DLG_lifetime(tracker)];
        });
        return seen;
      };
      const invite = world.initial({}, () => assert.equal($DLG_status(tracker), null));
      world.reply(invite, 180);
      world.wait(3);
      assert.deepEqual(read('PRACK'), [2, 0]);
      world.reply(invite, 200);
      world.wait(4);
      assert.deepEqual(read('UPDATE', 9), [3, 4]);
      assert.deepEqual(read('ACK'), [4, 4]);
      world.wait(5);
      assert.deepEqual(read('INFO', 10), [4, 9]);
      assert.deepEqual(read('BYE', 11), [5, 9]);
      assert.deepEqual(read('BYE', 11), [5, 9]);
    });
  });
  test('both are null when nothing was matched', async () => {
    await inWorld([], (world) => {
      world.answered();
      world.sequential({ method: 'INFO', to: 'x' }, () => {
        assert.deepEqual([$DLG_status(world.tracker), $DLG_lifetime(world.tracker)], [null, null]);
      });
      world.tracker.begin(world.message({ method: 'INFO', to: 'b2' }));
      assert.deepEqual([$DLG_status(world.tracker), $DLG_lifetime(world.tracker)], [null, null]);
    });
  });
});

describe('flags [manual 6.5-6.7, spec 8.5-8.7]', () => {
  test('set before the dialog go into it, set later change it', async () => {
    await inWorld([], (world) => {
      const { tracker } = world;
      const message = world.message({});
      tracker.begin(message);
      assert.ok(dlg_setflag(tracker, 0));
      assert.ok(dlg_setflag(tracker, 31));
      assert.ok(dlg_isflagset(tracker, 31));
      dlg_manage(tracker, message);
      assert.equal(world.dialog().sflags, 2 ** 31 + 1);
      assert.ok(dlg_setflag(tracker, 5));
      assert.ok(dlg_resetflag(tracker, 31));
      assert.deepEqual(
        [world.dialog().sflags, dlg_isflagset(tracker, 5), dlg_isflagset(tracker, 31)],
        [33, true, false],
      );
    });
  });
  test('are those of the matched dialog on a request within it', async () => {
    await inWorld([], (world) => {
      const { tracker } = world;
      world.answered({}, () => assert.ok(dlg_setflag(tracker, 3)));
      const message = world.message({ method: 'INFO', to: 'b2', cseq: 8 });
      tracker.begin(message);
      assert.equal(dlg_isflagset(tracker, 3), false);
      dlg_manage(tracker, message);
      assert.equal(dlg_isflagset(tracker, 3), true);
    });
  });
  for (const n of [-1, 32, 1.5, Number.NaN, 2 ** 32, '1' as unknown as number]) {
    test(`there is no flag ${String(n)}`, async () => {
      await inWorld([], (world) => {
        world.initial({}, () => {
          assert.equal(dlg_setflag(world.tracker, n), false);
          assert.equal(dlg_resetflag(world.tracker, n), false);
          assert.equal(dlg_isflagset(world.tracker, n), false);
        });
        assert.equal(world.dialog().sflags, 0);
      });
    });
  }
});

describe('dlg_get(), is_known_dlg() [manual 6.12, 6.13, spec 8.12, 8.13]', () => {
  test('takes the tags either way round, and says which it was', async () => {
    await inWorld([], (world) => {
      const { tracker } = world;
      world.answered();
      const message = world.message({ callId: 'other@h', method: 'OPTIONS' });
      tracker.begin(message);
      assert.ok(dlg_get(tracker, 'call@h', 'a1', 'b2'));
      assert.deepEqual([$dlg_ctx(tracker, 'dir'), $dlg_ctx(tracker, 'set')], [1, 1]);
      assert.ok(dlg_get(tracker, 'call@h', 'b2', 'a1'));
      assert.equal($dlg_ctx(tracker, 'dir'), 2);
      assert.equal($dlg(tracker, message, 'callid'), 'call@h');
      assert.ok(is_known_dlg(tracker, message));
    });
  });
  test('an early dialog is found with any To tag', async () => {
    await inWorld([], (world) => {
      world.initial();
      world.tracker.begin(world.message({ callId: 'other@h' }));
      assert.ok(dlg_get(world.tracker, 'call@h', 'a1', 'whatever'));
    });
  });
  for (const [callId, from, to] of [
    ['', 'a1', 'b2'],
    ['call@h', '', 'b2'],
    ['call@h', 'a1', ''],
    ['call@h', 'a1', 'x'],
    ['call@h', 'x', 'b2'],
    ['CALL@h', 'a1', 'b2'],
  ] as const) {
    test(`finds nothing for ${callId}, ${from}, ${to}, and leaves the context`, async () => {
      await inWorld([], (world) => {
        world.answered();
        world.tracker.begin(world.message({ callId: 'other@h' }));
        assert.equal(dlg_get(world.tracker, callId, from, to), false);
        assert.equal($dlg_ctx(world.tracker, 'set'), 0);
      });
    });
  }
  test('the transaction of the message is not tied to the dialog that was asked for', async () => {
    await inWorld([], (world) => {
      const { tracker } = world;
      world.answered();
      const message = world.message({ callId: 'other@h', method: 'OPTIONS' });
      tracker.begin(message);
      dlg_get(tracker, 'call@h', 'a1', 'b2');
      const transaction = world.transaction(message);
      tracker.relayed(message);
      world.store();
      tracker.scriptEnded(message, true);
      world.ownReply(transaction, 503);
      world.end(transaction);
      assert.deepEqual(world.states(), [4]);
    });
  });
  test('is_known_dlg() knows a call that has ended while its record is there', async () => {
    await inWorld([], (world) => {
      world.answered();
      const bye = world.sequential({ method: 'BYE', cseq: 8 })!;
      const again = world.message({ method: 'BYE', to: 'b2', cseq: 8 });
      world.tracker.begin(again);
      assert.ok(is_known_dlg(world.tracker, again));
      world.end(bye);
    });
  });
});
