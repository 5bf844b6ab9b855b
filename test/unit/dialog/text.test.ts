import assert from 'node:assert/strict';
import { describe, test } from 'vitest';
import { addon } from '../../../dist/memory/addon.js';
import { $dlg } from '../../../dist/script/variables/dlg.js';
import { fromBytes, toBytes } from '../../../dist/sip/utf8.js';
import { inWorld, type World } from './world.js';

const inCall = (world: World, script: (message: Parameters<World['tracker']['manage']>[0]) => void): void => {
  world.initial({}, script);
};

describe('text that is not ASCII', () => {
  test('two names are two values of a limit', async () => {
    await inWorld([], (world) => {
      const { profiles, context } = world.tracker;
      inCall(world, (message) => {
        assert.equal(profiles.tryJoin(context, message, 'caller', 'Łukasz', 1), true);
        assert.equal(profiles.tryJoin(context, message, 'caller', 'Żukasz', 1), true);
        assert.equal(profiles.tryJoin(context, message, 'caller', 'Łukasz', 1), false);
      });
      assert.deepEqual(world.dialog().profiles, [{ caller: 'Żukasz' }, { caller: 'Łukasz' }]);
    });
  });
  test('what a route sets, management finds', async () => {
    await inWorld([], (world) => {
      const { profiles, context, variables } = world.tracker;
      inCall(world, (message) => {
        profiles.set(context, message, 'caller', 'müller');
        variables.set(context, message, 'nämé', '東京 😀');
        assert.equal(variables.get(context, message, 'nämé'), '東京 😀');
      });
      assert.equal(addon.profileCount(world.segment, 'caller', 'müller'), 1);
      assert.deepEqual(world.dialog().variables, [{ nämé: '東京 😀' }]);
    });
  });
  test('bytes that are no UTF-8 are a value of their own, and shown as such', async () => {
    await inWorld([], (world) => {
      const { profiles, context } = world.tracker;
      inCall(world, (message) => {
        assert.equal(profiles.tryJoin(context, message, 'caller', fromBytes('\xfc'), 1), true);
        assert.equal(profiles.tryJoin(context, message, 'caller', 'ü', 1), true);
      });
      assert.deepEqual(world.dialog().profiles, [{ caller: 'ü' }, { caller: '\\xfc' }]);
    });
  });
  test('a Call-ID is read as UTF-8, and found by what was read', async () => {
    await inWorld([], (world) => {
      const callId = toBytes('ça@h');
      const invite = world.initial({ callId });
      world.reply(invite, 200, { callId });
      const message = world.message({ callId, to: 'b2', method: 'INFO', cseq: 8 });
      world.tracker.begin(message);
      world.tracker.manage(message);
      assert.equal($dlg(world.tracker, message, 'callid'), 'ça@h');
      assert.equal(world.tracker.find('ça@h', 'a1', 'b2'), true);
      world.tracker.scriptEnded(message, false);
    });
  });
});

describe('what is too long', () => {
  test('is not kept, and said', async () => {
    await inWorld([], (world) => {
      const { profiles, context, variables } = world.tracker;
      inCall(world, (message) => {
        assert.equal(variables.set(context, message, 'v', 'x'.repeat(8192)), true);
        assert.equal(variables.set(context, message, 'w', 'x'.repeat(8193)), false);
        assert.equal(variables.set(context, message, 'ü'.repeat(513), 'x'), false);
        assert.equal(profiles.set(context, message, 'caller', 'x'.repeat(1024)), true);
        assert.equal(profiles.set(context, message, 'caller', 'ü'.repeat(513)), false);
      });
      assert.deepEqual([world.statistic('refused_variable'), world.statistic('refused_value')], [2, 1]);
      assert.ok(world.faults.includes('variable_not_kept'));
      assert.ok(world.faults.includes('profile_value_too_long'));
    });
  });
  test('before the dialog is made too', async () => {
    await inWorld([], (world) => {
      const message = world.message({});
      const { context, variables } = world.tracker;
      world.tracker.begin(message);
      assert.equal(variables.set(context, message, 'w', 'x'.repeat(8193)), false);
      world.tracker.scriptEnded(message, false);
      assert.equal(world.statistic('refused_variable'), 1);
    });
  });
});
