import assert from 'node:assert/strict';
import { describe, test } from 'vitest';
import { dlg_get_var, dlg_set_var, targetOf } from '../../../dist/script/functions/lookup.js';
import { set_dlg_profile } from '../../../dist/script/functions/profile.js';
import { dlg_set_timeout_by_profile } from '../../../dist/script/functions/timeout.js';
import { inWorld, type World } from './world.js';

/** A call of this caller, in the profile `caller` under its tag. */
function call(world: World, from: string) {
  const invite = world.initial({ from }, (message) =>
    set_dlg_profile(world.tracker, message, 'caller', from),
  );
  world.reply(invite, 200, { from });
  world.sequential({ method: 'ACK', from });
}

function lifetimes(world: World): number[] {
  return world.dialogs().map(({ lifetime }) => lifetime);
}

describe('dlg_set_timeout_by_profile [manual 6.15; spec 8.15]', () => {
  test('of one value', () =>
    inWorld([], (world) => {
      call(world, 'x1');
      call(world, 'x2');
      assert.equal(dlg_set_timeout_by_profile(world.tracker, 'caller', 'x2', 3), true);
      assert.deepEqual(lifetimes(world), [43_200, 3]);
      world.wait(4);
      assert.deepEqual(world.states(), [4, 5]);
    }));

  test('of all values; whoever does not ring yet is left alone; again and again', () =>
    inWorld([], (world) => {
      call(world, 'x1');
      world.initial({ from: 'x2' }, (message) => set_dlg_profile(world.tracker, message, 'caller', 'x2'));
      for (let n = 0; n < 5; n++)
        assert.equal(dlg_set_timeout_by_profile(world.tracker, 'caller', null, 600), true);
      assert.deepEqual(lifetimes(world), [600, 43_200]);
      assert.equal(world.engine.profileSize('caller', null), 2);
    }));

  test('of more members than are fetched at a time', () =>
    inWorld([], (world) => {
      for (let n = 0; n < 250; n++) call(world, `x${n}`);
      for (let n = 250; n < 300; n++) call(world, `x${n}`.padEnd(9, 'y'));
      dlg_set_timeout_by_profile(world.tracker, 'caller', null, 600);
      assert.ok(lifetimes(world).every((seconds) => seconds === 600));
    }));

  for (const seconds of [0, -1, 1.5, Number.NaN, 31_536_001]) {
    test(`refused: ${seconds}`, () =>
      inWorld([], (world) => {
        call(world, 'x1');
        assert.equal(dlg_set_timeout_by_profile(world.tracker, 'caller', null, seconds), false);
        assert.deepEqual(lifetimes(world), [43_200]);
      }));
  }
});

describe('variables of any dialog [spec 13.2]', () => {
  test('by Call-ID and tags, in either order', () =>
    inWorld([], (world) => {
      world.answered();
      assert.equal(dlg_set_var(world.tracker, 'call@h', 'a1', 'b2', 'k', 'v'), true);
      assert.equal(dlg_get_var(world.tracker, 'call@h', 'b2', 'a1', 'k'), 'v');
      assert.equal(dlg_set_var(world.tracker, 'call@h', 'a1', 'b2', 'k', null), true);
      assert.equal(dlg_get_var(world.tracker, 'call@h', 'a1', 'b2', 'k'), null);
    }));

  test('without To tag, of one that is not answered', () =>
    inWorld([], (world) => {
      world.initial();
      assert.equal(dlg_set_var(world.tracker, 'call@h', 'a1', '', 'k', 'v'), true);
      assert.equal(dlg_get_var(world.tracker, 'call@h', 'a1', '', 'k'), 'v');
    }));

  test('no such dialog; no text', () =>
    inWorld([], (world) => {
      world.answered();
      assert.equal(dlg_set_var(world.tracker, 'call@h', 'a1', 'b3', 'k', 'v'), false);
      assert.equal(dlg_set_var(world.tracker, 'call@h', 'a1', 'b2', 'k', 5 as unknown as string), false);
      assert.equal(dlg_get_var(world.tracker, '', '', '', 'k'), null);
    }));
});

describe('where a request goes: dlg_set_ruri [spec 13.2]', () => {
  test('to the Contact of the other side', () =>
    inWorld([], (world) => {
      world.answered();
      world.sequential({ method: 'INFO' }, () =>
        assert.equal(targetOf(world.tracker), 'sip:bob@203.0.113.9'),
      );
      world.sequential({ method: 'INFO', from: 'b2', to: 'a1' }, () =>
        assert.equal(targetOf(world.tracker), 'sip:alice@192.0.2.10:5062'),
      );
      world.sequential({ method: 'INFO', to: 'b3' }, () => assert.equal(targetOf(world.tracker), null));
    }));
});
