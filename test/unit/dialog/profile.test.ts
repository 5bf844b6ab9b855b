import assert from 'node:assert/strict';
import { describe, test } from 'vitest';
import { profileDefinitions } from '../../../dist/dialog/profile.js';
import {
  dlg_remote_profile,
  dlg_try_profile,
  get_profile_size,
  is_in_profile,
  set_dlg_profile,
  unset_dlg_profile,
} from '../../../dist/script/functions/profile.js';
import type { Message } from '../../../dist/sip/message.js';
import { assertNothingLeft, inWorld, type World } from './world.js';

const set = (world: World, message: Message, name: string, value: string | null = null): boolean =>
  set_dlg_profile(world.tracker, message, name, value);
const size = (world: World, name: string, value: string | null = null): number =>
  get_profile_size(world.tracker, name, value);
const isIn = (world: World, message: Message, name: string, value: string | null = null): boolean =>
  is_in_profile(world.tracker, message, name, value);
const unset = (world: World, message: Message, name: string, value: string | null = null): boolean =>
  unset_dlg_profile(world.tracker, message, name, value);

/** Runs `script` on an INVITE after dlg_manage(). */
async function inCall(script: (world: World, message: Message) => void): Promise<void> {
  await inWorld([], (world) => {
    const before = world.usage();
    const invite = world.initial({}, (message) => script(world, message));
    world.ownReply(invite, 486);
    world.end(invite);
    assertNothingLeft(world, before);
    assert.deepEqual([size(world, 'caller'), size(world, 'all')], [0, 0]);
  });
}

describe('profiles of a dialog [manual 6.1-6.4, spec 6.3]', () => {
  test('come in the order of their numbers', () => {
    assert.deepEqual(profileDefinitions({ profiles_with_value: ['a', 'b'], profiles_no_value: ['c'] }), [
      { name: 'a', withValue: true },
      { name: 'b', withValue: true },
      { name: 'c', withValue: false },
    ]);
  });
  test('count by value, and all values together', async () => {
    await inCall((world, message) => {
      assert.ok(set(world, message, 'caller', 'alice'));
      assert.ok(set(world, message, 'caller', 'Alice'));
      assert.deepEqual(
        [size(world, 'caller', 'alice'), size(world, 'caller', 'Alice'), size(world, 'caller', 'bob')],
        [1, 1, 0],
      );
      assert.equal(size(world, 'caller'), 2);
      assert.equal(size(world, 'callee'), 0);
    });
  });
  test('count memberships: the same dialog twice is two', async () => {
    await inCall((world, message) => {
      assert.ok(set(world, message, 'all'));
      assert.ok(set(world, message, 'all'));
      assert.equal(size(world, 'all'), 2);
      assert.ok(unset(world, message, 'all'));
      assert.equal(size(world, 'all'), 1);
    });
  });
  test('show newest first', async () => {
    await inCall((world, message) => {
      set(world, message, 'caller', 'alice');
      set(world, message, 'all');
      set(world, message, 'callee', 'bob');
      assert.deepEqual(world.dialog().profiles, [{ callee: 'bob' }, 'all', { caller: 'alice' }]);
    });
  });
  test('a profile with values wants one', async () => {
    await inCall((world, message) => {
      for (const value of [null, '', 'x'.repeat(1025)]) {
        assert.equal(set(world, message, 'caller', value), false);
        assert.equal(unset(world, message, 'caller', value), false);
      }
      assert.ok(set(world, message, 'caller', 'x'.repeat(1024)));
      assert.equal(size(world, 'caller'), 1);
      assert.equal(size(world, 'caller', ''), -1);
    });
  });
  test('a profile without values ignores one', async () => {
    await inCall((world, message) => {
      assert.ok(set(world, message, 'all', 'whatever'));
      assert.ok(isIn(world, message, 'all', 'something else'));
      assert.deepEqual(world.dialog().profiles, ['all']);
    });
  });
  test('is_in_profile() without a value takes any', async () => {
    await inCall((world, message) => {
      assert.equal(isIn(world, message, 'caller'), false);
      set(world, message, 'caller', 'alice');
      assert.ok(isIn(world, message, 'caller'));
      assert.ok(isIn(world, message, 'caller', 'alice'));
      assert.equal(isIn(world, message, 'caller', 'alic'), false);
      assert.equal(isIn(world, message, 'caller', ''), false);
      assert.equal(isIn(world, message, 'callee'), false);
    });
  });
  test('leaving what one is not in is false', async () => {
    await inCall((world, message) => {
      assert.equal(unset(world, message, 'all'), false);
      set(world, message, 'caller', 'alice');
      assert.equal(unset(world, message, 'caller', 'bob'), false);
      assert.ok(unset(world, message, 'caller', 'alice'));
      assert.equal(unset(world, message, 'caller', 'alice'), false);
    });
  });
  for (const name of ['', 'none', 'Caller', 'caller ', 'constructor', '__proto__']) {
    test(`there is no profile ${JSON.stringify(name)}`, async () => {
      await inCall((world, message) => {
        const code = { code: 'ERR_NO_SUCH_PROFILE' };
        assert.throws(() => set(world, message, name), code);
        assert.throws(() => unset(world, message, name), code);
        assert.throws(() => isIn(world, message, name), code);
        assert.throws(() => size(world, name), code);
      });
    });
  }
  test('are left at the end, before the event route runs', async () => {
    await inWorld([], (world) => {
      let seen: unknown;
      world.inEvent = (name) => {
        if (name === 'end') seen = size(world, 'all');
      };
      world.answered({}, (message) => assert.ok(set(world, message, 'all')));
      assert.equal(size(world, 'all'), 1);
      world.sequential({ method: 'BYE', cseq: 8 });
      assert.equal(seen, 0);
      assert.deepEqual(world.dialog().profiles, []);
    });
  });
  test('can be joined and left from requests within the dialog, and from answers', async () => {
    await inWorld([], (world) => {
      const invite = world.answered();
      world.sequential({ method: 'INFO', cseq: 8 }, (message) => assert.ok(set(world, message, 'all')));
      world.load(invite);
      const answer = world.message({ code: 200, to: 'b2' });
      world.tracker.begin(answer);
      assert.ok(isIn(world, answer, 'all'));
      assert.ok(unset(world, answer, 'all'));
      assert.equal(size(world, 'all'), 0);
    });
  });
});

describe('joining before the dialog exists [spec 6.2]', () => {
  const begun = (world: World, parts = {}): Message => {
    const message = world.message(parts);
    world.tracker.begin(message);
    return message;
  };
  test('waits uncounted and is attached when it is made', async () => {
    await inWorld([], (world) => {
      const message = begun(world);
      assert.ok(set(world, message, 'caller', 'alice'));
      assert.ok(set(world, message, 'all'));
      assert.deepEqual([size(world, 'caller'), size(world, 'all')], [0, 0]);
      assert.equal(isIn(world, message, 'all'), false);
      world.tracker.manage(message);
      assert.deepEqual(world.dialog().profiles, ['all', { caller: 'alice' }]);
      assert.deepEqual([size(world, 'caller', 'alice'), size(world, 'all')], [1, 1]);
      world.tracker.scriptEnded(message, false);
      assert.equal(size(world, 'all'), 0);
    });
  });
  test('is forgotten when the script ends without one', async () => {
    await inWorld([], (world) => {
      const before = world.usage();
      const message = begun(world, { method: 'OPTIONS' });
      assert.ok(set(world, message, 'all'));
      world.tracker.scriptEnded(message, false);
      world.initial();
      assert.deepEqual(world.dialog().profiles, []);
      assert.equal(world.usage().dialogs, before.dialogs + 1);
    });
  });
  test('can be taken back', async () => {
    await inWorld([], (world) => {
      const message = begun(world);
      set(world, message, 'caller', 'alice');
      set(world, message, 'caller', 'bob');
      assert.equal(unset(world, message, 'caller', 'carol'), false);
      assert.ok(unset(world, message, 'caller', 'alice'));
      world.tracker.manage(message);
      assert.deepEqual(world.dialog().profiles, [{ caller: 'bob' }]);
    });
  });
  test('is bounded', async () => {
    await inWorld([], (world) => {
      const message = begun(world);
      for (let n = 0; n < 32; n++) assert.ok(set(world, message, 'all'));
      assert.equal(set(world, message, 'all'), false);
    });
  });
  test('fails outside a request route', async () => {
    await inWorld([], (world) => {
      const invite = world.initial({ method: 'OPTIONS' });
      world.load(invite);
      const answer = world.message({ code: 200, method: 'OPTIONS', to: 'b2' });
      world.tracker.begin(answer);
      assert.equal(set(world, answer, 'all'), false);
      assert.equal(dlg_try_profile(world.tracker, answer, 'all', null, 5), false);
    });
  });
  test('belongs to the dialog of a sequential request', async () => {
    await inWorld([], (world) => {
      world.answered();
      const message = begun(world, { method: 'INFO', to: 'b2', cseq: 8 });
      assert.ok(set(world, message, 'all'));
      assert.equal(size(world, 'all'), 1);
    });
  });
});

describe('joining with a limit', () => {
  const join = (world: World, message: Message, limit: number, value = 'alice'): boolean =>
    dlg_try_profile(world.tracker, message, 'caller', value, limit);

  test('lets as many in as the limit says', async () => {
    await inWorld([], (world) => {
      const done: boolean[] = [];
      for (let n = 0; n < 5; n++) {
        world.initial({ callId: `c${n}@h` }, (message) => done.push(join(world, message, 3)));
      }
      assert.deepEqual(done, [true, true, true, false, false]);
      assert.equal(size(world, 'caller', 'alice'), 3);
      assert.equal(world.statistic('profile_limits'), 2);
      world.initial({ callId: 'other@h' }, (message) => assert.ok(join(world, message, 3, 'bob')));
    });
  });
  test('a place is free again when its call ends', async () => {
    await inWorld([], (world) => {
      const first = world.initial({ callId: 'c0@h' }, (message) => assert.ok(join(world, message, 1)));
      world.initial({ callId: 'c1@h' }, (message) => assert.equal(join(world, message, 1), false));
      world.ownReply(first, 486);
      world.initial({ callId: 'c2@h' }, (message) => assert.ok(join(world, message, 1)));
    });
  });
  test('before the dialog exists counts at once, and stays with the dialog', async () => {
    await inWorld([], (world) => {
      const before = world.usage();
      const message = world.message({});
      world.tracker.begin(message);
      assert.ok(join(world, message, 1));
      assert.equal(size(world, 'caller', 'alice'), 1);
      assert.equal(join(world, message, 1), false);
      world.tracker.manage(message);
      assert.equal(size(world, 'caller', 'alice'), 1);
      assert.deepEqual(world.dialog().profiles, [{ caller: 'alice' }]);
      world.tracker.scriptEnded(message, false);
      assert.equal(size(world, 'caller', 'alice'), 0);
      assertNothingLeft(world, before);
    });
  });
  test('is given back when the script ends without a dialog', async () => {
    await inWorld([], (world) => {
      const before = world.usage();
      const message = world.message({});
      world.tracker.begin(message);
      assert.ok(join(world, message, 2));
      assert.ok(join(world, message, 2));
      assert.equal(join(world, message, 2), false);
      assert.ok(unset(world, message, 'caller', 'alice'));
      assert.equal(size(world, 'caller', 'alice'), 1);
      world.tracker.scriptEnded(message, false);
      assert.equal(size(world, 'caller', 'alice'), 0);
      assertNothingLeft(world, before);
    });
  });
  test('is kept while a route waits', async () => {
    await inWorld([], (world) => {
      const message = world.message({});
      world.tracker.begin(message);
      assert.ok(join(world, message, 1));
      const parked = world.tracker.park();
      world.initial({ callId: 'other@h' }, (other) => assert.equal(join(world, other, 1), false));
      world.tracker.resume(parked);
      assert.equal(size(world, 'caller', 'alice'), 1);
      world.tracker.scriptEnded(message, false);
      assert.equal(size(world, 'caller', 'alice'), 0);
    });
  });
  test('16 places can be held for one message', async () => {
    await inWorld([], (world) => {
      const message = world.message({});
      world.tracker.begin(message);
      for (let n = 0; n < 16; n++) assert.ok(join(world, message, 100));
      assert.equal(join(world, message, 100), false);
      assert.equal(size(world, 'caller', 'alice'), 16);
      world.tracker.scriptEnded(message, false);
      assert.equal(size(world, 'caller', 'alice'), 0);
    });
  });
  test('limit 0 is none; what is no number of calls is refused', async () => {
    await inWorld([], (world) => {
      world.initial({}, (message) => {
        for (let n = 0; n < 5; n++) assert.ok(join(world, message, 0));
        for (const limit of [-1, 1.5, Number.NaN]) assert.equal(join(world, message, limit), false);
      });
    });
  });
});

describe('items of other systems [manual 6.17, spec 6.4]', () => {
  type Given = readonly ['add' | 'rm', string, string | null, string, number];
  const remote = (world: World, ...[command, profile, value, uid, expires]: Given): boolean =>
    dlg_remote_profile(world.tracker, command, profile, value, uid, expires);

  test('count until their uid is removed; a uid added twice counts twice', () =>
    inWorld([], (world) => {
      const before = world.usage();
      world.tracker.begin(world.message({}));
      assert.equal(remote(world, 'add', 'caller', 'alice', 'u1', 0), true);
      assert.equal(remote(world, 'add', 'caller', 'alice', 'u1', 0), true);
      assert.equal(remote(world, 'add', 'all', null, 'u1', 0), true);
      assert.deepEqual(
        [size(world, 'caller', 'alice'), size(world, 'caller'), size(world, 'all')],
        [2, 2, 1],
      );
      assert.equal(remote(world, 'rm', 'caller', 'bob', 'u1', 0), true);
      assert.equal(remote(world, 'rm', 'caller', 'alice', 'u2', 0), true);
      assert.equal(size(world, 'caller'), 2);
      for (const left of [1, 0, 0]) {
        assert.equal(remote(world, 'rm', 'caller', 'alice', 'u1', 0), true);
        assert.equal(size(world, 'caller', 'alice'), left);
      }
      assert.equal(remote(world, 'rm', 'all', null, 'u1', 0), true);
      assertNothingLeft(world, before);
    }));

  test('take part in limits, and stand in no listing', () =>
    inWorld([], (world) => {
      world.initial({}, (message) => {
        remote(world, 'add', 'caller', 'alice', 'u1', 0);
        assert.equal(dlg_try_profile(world.tracker, message, 'caller', 'alice', 1), false);
        assert.equal(dlg_try_profile(world.tracker, message, 'caller', 'alice', 2), true);
      });
      assert.equal(size(world, 'caller', 'alice'), 2);
      assert.equal([...world.engine.profileMembers('caller', 'alice')!].length, 1);
    }));

  test('go when they expire, all of them, and the others stay', () =>
    inWorld([], (world) => {
      const now = world.native.nowUnixSeconds();
      for (const after of [50, 50, 51, 5000]) remote(world, 'add', 'caller', 'alice', 'u', now + after);
      remote(world, 'add', 'caller', 'bob', 'u', 0);
      for (let second = 0; second < 49; second++) world.wait(1);
      assert.equal(size(world, 'caller'), 5);
      for (let second = 0; second < 70; second++) world.wait(1);
      assert.deepEqual([size(world, 'caller', 'alice'), size(world, 'caller', 'bob')], [1, 1]);
    }));

  for (const given of [
    ['add', 'nobody', 'a', 'u', 0],
    ['add', 'caller', null, 'u', 0],
    ['add', 'caller', '', 'u', 0],
    ['add', 'caller', 'a', '', 0],
    ['add', 'caller', 'a', 'u'.repeat(64), 0],
    ['add', 'caller', 'a', 'u', -1],
    ['add', 'caller', 'a', 'u', 1.5],
    ['change' as 'add', 'caller', 'a', 'u', 0],
  ] as const satisfies readonly Given[]) {
    test(`refused: ${JSON.stringify(given)}`, () =>
      inWorld([], (world) => {
        assert.equal(remote(world, ...given), false);
        assert.equal(size(world, 'caller'), 0);
      }));
  }
});
