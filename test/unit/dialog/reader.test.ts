import assert from 'node:assert/strict';
import { describe, test } from 'vitest';
import { set_dlg_profile } from '../../../dist/script/functions/profile.js';
import { $dlg } from '../../../dist/script/variables/dlg.js';
import { set_dlg_var } from '../../../dist/script/variables/dlg-var.js';
import { inWorld, type World } from './world.js';

function calls(world: World, count: number): void {
  for (let n = 0; n < count; n++) {
    world.memory.scratch.reset();
    world.initial({ callId: `c${n}@h` }, (message) => {
      assert.ok(set_dlg_profile(world.tracker, message, 'caller', `v${n % 3}`));
    });
  }
}

describe('DialogReader', () => {
  test('lists pages that join to all dialogs, each once', async () => {
    await inWorld([], (world) => {
      calls(world, 25);
      const seen: string[] = [];
      let cursor: number | null = 0;
      let pages = 0;
      while (cursor !== null) {
        const page = world.engine.list(cursor, 10);
        seen.push(...page.dialogs.map((dialog) => dialog['call-id']));
        cursor = page.next;
        pages += 1;
      }
      assert.deepEqual([seen.length, new Set(seen).size, pages], [25, 25, 3]);
    });
  });
  test('lists nothing where there is nothing', async () => {
    await inWorld([], (world) => {
      assert.deepEqual(world.engine.list(0, 10), { dialogs: [], next: null });
      assert.deepEqual(world.engine.list(4_000_000_000, 10), { dialogs: [], next: null });
      calls(world, 1);
      assert.deepEqual(world.engine.list(0, 0).dialogs, []);
    });
  });
  test('prints the fields of management, in their order', async () => {
    await inWorld([], (world) => {
      world.answered();
      assert.deepEqual(Object.keys(world.dialog()), [
        'h_entry',
        'h_id',
        'ref',
        'call-id',
        'from_uri',
        'to_uri',
        'state',
        'start_ts',
        'init_ts',
        'end_ts',
        'duration',
        'timeout',
        'lifetime',
        'dflags',
        'sflags',
        'iflags',
        'caller',
        'callee',
        'profiles',
        'variables',
      ]);
    });
  });
  test('says how long a call lasted', async () => {
    await inWorld([], (world) => {
      const invite = world.initial();
      world.wait(5);
      assert.equal(world.dialog().duration, 0);
      world.reply(invite, 200);
      world.sequential({ method: 'ACK' });
      world.wait(7);
      assert.equal(world.dialog().duration, 7);
      world.sequential({ method: 'BYE', cseq: 8 });
      world.wait(9);
      assert.equal(world.dialog().duration, 7);
      const { end_ts, start_ts, timeout } = world.dialog();
      assert.deepEqual([end_ts - start_ts, timeout], [7, 0]);
    });
  });
  test('a call that ended without an answer lasted no time', async () => {
    await inWorld([], (world) => {
      world.reply(world.initial(), 486);
      world.wait(5);
      assert.equal(world.dialog().duration, 0);
      assert.notEqual(world.dialog().end_ts, 0);
    });
  });
  test('finds by Call-ID, and by the tag of either side', async () => {
    await inWorld([], (world) => {
      world.answered({ callId: 'x@h' });
      world.initial({ callId: 'x@h', from: 'other' });
      const found = (callId: string, tag: string | null): number => world.engine.find(callId, tag).length;
      assert.deepEqual([found('x@h', null), found('x@h', 'a1'), found('x@h', 'b2')], [2, 1, 1]);
      assert.deepEqual(
        [found('x@h', 'none'), found('X@h', null), found('', null), found('y@h', null)],
        [0, 0, 0, 0],
      );
    });
  });
  test('reads texts as UTF-8, and finds by them', async () => {
    await inWorld([], (world) => {
      const bytes = Buffer.from('ça@h', 'utf8').toString('latin1');
      world.initial({ callId: bytes }, (message) => {
        assert.equal($dlg(world.tracker, message, 'callid'), 'ça@h');
        set_dlg_profile(world.tracker, message, 'caller', 'ça@h');
      });
      assert.equal(world.dialog()['call-id'], 'ça@h');
      assert.deepEqual(world.dialog().profiles, [{ caller: 'ça@h' }]);
      assert.equal(world.engine.find('ça@h', null).length, 1);
      assert.equal(world.engine.profileSize('caller', 'ça@h'), 1);
    });
  });
  test('counts and lists members of a profile', async () => {
    await inWorld([], (world) => {
      calls(world, 7);
      assert.equal(world.engine.profileSize('caller', null), 7);
      assert.equal(world.engine.profileSize('caller', 'v0'), 3);
      assert.equal(world.engine.profileSize('caller', 'v9'), 0);
      assert.equal(world.engine.profileSize('all', null), 0);
      assert.equal(world.engine.profileSize('none', null), null);
      assert.equal(world.engine.profileMembers('none', null), null);
      const members = [...world.engine.profileMembers('caller', 'v1')!];
      assert.deepEqual(members.map((dialog) => dialog['call-id']).sort(), ['c1@h', 'c4@h']);
      assert.equal([...world.engine.profileMembers('caller', null)!].length, 7);
    });
  });
  test('lists more members than are fetched at a time', async () => {
    await inWorld([], (world) => {
      calls(world, 600);
      const members = [...world.engine.profileMembers('caller', null)!];
      assert.equal(new Set(members.map((dialog) => dialog['call-id'])).size, 600);
    });
  });
  test('counts by state', async () => {
    await inWorld([], (world) => {
      world.initial({ callId: 'u@h' });
      world.reply(world.initial({ callId: 'e@h' }), 180, { callId: 'e@h' });
      world.reply(world.initial({ callId: 'n@h' }), 200, { callId: 'n@h' });
      world.answered({ callId: 'c@h' });
      world.answered({ callId: 'd@h' });
      world.sequential({ callId: 'd@h', method: 'BYE', cseq: 8 });
      assert.deepEqual(world.engine.activeByState(), [1, 1, 1, 1]);
    });
  });
  test('shows variables newest first, whatever their names', async () => {
    await inWorld([], (world) => {
      world.initial({}, (message) => {
        assert.ok(set_dlg_var(world.tracker, message, 'a', '1'));
        assert.ok(set_dlg_var(world.tracker, message, '__proto__', '2'));
        assert.ok(set_dlg_var(world.tracker, message, 'c', ''));
      });
      const variables = world.dialog().variables.map((variable) => Object.entries(variable)[0]);
      assert.deepEqual(variables, [
        ['c', ''],
        ['__proto__', '2'],
        ['a', '1'],
      ]);
    });
  });
});
