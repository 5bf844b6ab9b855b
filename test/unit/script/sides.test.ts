import assert from 'node:assert/strict';
import { describe, test } from 'vitest';
import { dlg_bye, dlg_refer } from '../../../dist/script/functions/requests.js';
import { oneSideOf, sidesOf } from '../../../dist/script/functions/sides.js';
import { inWorld } from '../dialog/world.js';

describe('sides of a call by name [manual 6.8, 6.9, spec 8.8, 8.9]', () => {
  for (const [name, bits] of [
    ['caller', 1],
    ['callee', 2],
    ['all', 3],
    ['both', 3],
    ['ALL', 3],
    ['Caller', 1],
  ] as const) {
    test(`${name}: ${bits}`, () => assert.equal(sidesOf(name as 'all'), bits));
  }
  for (const name of ['', 'a', 'callers', 'caller ', '3', 'constructor']) {
    test(`${JSON.stringify(name)} is a mistake in the script`, () => {
      assert.throws(() => sidesOf(name as 'all'), TypeError);
      assert.throws(() => oneSideOf(name as 'caller'), TypeError);
    });
  }
  test('a REFER goes to one', () => {
    assert.equal(oneSideOf('CALLEE' as 'callee'), 2);
    assert.throws(() => oneSideOf('all' as 'caller'), TypeError);
  });
});

describe('dlg_bye() and dlg_refer() of a message [spec 8.8, 8.9]', () => {
  test('want a dialog of the context: Call-ID and tags alone are not looked at', () =>
    inWorld([], (world) => {
      world.answered();
      const message = world.message({ method: 'INFO', to: 'b2', cseq: 8 });
      world.tracker.begin(message);
      assert.equal(dlg_bye(world.tracker, 'all'), false);
      assert.equal(dlg_refer(world.tracker, 'caller', 'sip:x@h'), false);
      world.tracker.manage(message);
      assert.equal(dlg_refer(world.tracker, 'caller', ''), false);
      assert.equal(dlg_refer(world.tracker, 'caller', 'sip:x@h'), true);
      assert.equal(dlg_bye(world.tracker, 'all'), true);
      assert.equal(dlg_bye(world.tracker, 'all'), false);
      assert.equal(dlg_refer(world.tracker, 'caller', 'sip:x@h'), false);
      world.tracker.scriptEnded(message, false);
      assert.deepEqual(
        world.sent.map(({ method, side }) => `${method} ${side}`),
        ['REFER 1', 'BYE 1', 'BYE 2'],
      );
    }));
});
