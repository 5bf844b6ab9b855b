import assert from 'node:assert/strict';
import { describe, test } from 'vitest';
import { systemClock } from '../../../dist/clock.js';
import { set_dlg_profile } from '../../../dist/script/functions/profile.js';
import { JoinedEngine } from '../../../dist/server/joined-engine.js';
import { inWorld, type World } from '../dialog/world.js';

const joined = (world: World): JoinedEngine =>
  new JoinedEngine(world.segment, world.config.params.dialog, systemClock);

describe('what management reads of a segment', () => {
  test('dialogs, profiles and statistics', async () => {
    await inWorld([], (world) => {
      const engine = joined(world);
      assert.deepEqual(engine.list(0, 10), { dialogs: [], next: null });
      world.answered({}, (message) => set_dlg_profile(world.tracker, message, 'caller', 'alice'));
      const [dialog] = engine.list(0, 10).dialogs;
      assert.deepEqual(
        [dialog?.['call-id'], dialog?.state, dialog?.profiles],
        ['call@h', 4, [{ caller: 'alice' }]],
      );
      assert.equal(engine.find('call@h', 'a1').length, 1);
      assert.deepEqual([engine.profileSize('caller', 'alice'), engine.profileSize('none', null)], [1, null]);
      assert.equal([...engine.profileMembers('caller', null)!].length, 1);
      assert.deepEqual(engine.activeByState(), [0, 0, 0, 1]);
      assert.equal(engine.statistics()['dialog:active_dialogs'], 1);
    });
  });
  test('how full the segment is, pool by pool', async () => {
    await inWorld([], (world) => {
      const engine = joined(world);
      const empty = engine.segment();
      const invite = world.initial();
      const { pools, totalBytes, usedBytes } = engine.segment();
      assert.deepEqual(
        pools.map(({ name, used }) => [name, used > 0]),
        [
          ['dialogs', true],
          ['transactions', true],
          ['arena', true],
        ],
      );
      assert.ok(usedBytes > empty.usedBytes && usedBytes < totalBytes);
      for (const pool of pools) assert.ok(pool.used <= pool.total && pool.unitBytes > 0);
      world.end(invite);
      world.native.flush();
      assert.deepEqual(engine.segment(), empty);
    });
  });
});
