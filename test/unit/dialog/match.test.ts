import assert from 'node:assert/strict';
import { describe, test } from 'vitest';
import { cookieText } from '../../../dist/dialog/cookie.js';
import { STATUS } from '../../../dist/memory/addon.js';
import * as words from '../../../dist/memory/words.js';
import { is_known_dlg } from '../../../dist/script/functions/lookup.js';
import { $dlg } from '../../../dist/script/variables/dlg.js';
import { inWorld, type Parts, type World } from './world.js';

const NONE = 0;
const DOWN = 1;
const UP = 2;

/** Asks the table itself, both for any dialog and for the one there is: direction of the match, 0 for none. */
function tight(world: World, from: string, to: string, wanted: number, callId = 'call@h'): number {
  const { x, memory, native } = world;
  const name = (): void => {
    let { at } = memory.scratch;
    for (const [n, text] of [callId, from, to].entries()) {
      x[words.X_ARGS + 2 * n] = at;
      x[words.X_ARGS + 2 * n + 1] = text.length;
      at += memory.buffer.write(text, at, 'latin1');
    }
    x[words.X_ARGS + 6] = wanted;
  };
  const directionOf = (status: number): number => (status === STATUS.ok ? x[words.D_DIRECTION]! : 0);
  name();
  const found = directionOf(native.dialogFindByCallId());
  const { index, generation } = world.handle();
  name();
  assert.equal(directionOf(native.dialogMatch(index, generation)), found, 'match and find agree');
  return found;
}

describe('tight match while the callee is not known [spec 1.3]', () => {
  for (const [from, to, wanted, direction] of [
    ['a1', '', DOWN, DOWN],
    ['a1', 'b2', DOWN, DOWN],
    ['a1', 'anything', DOWN, DOWN],
    ['b2', 'a1', DOWN, NONE],
    ['x', 'y', DOWN, NONE],
    ['A1', 'b2', DOWN, NONE],
    ['b2', 'a1', UP, UP],
    ['anything', 'a1', UP, UP],
    ['a1', 'b2', UP, NONE],
    ['a1', 'a1', UP, UP],
    ['b2', 'a1', NONE, UP],
    ['a1', 'a1', NONE, UP],
    ['a1', 'b2', NONE, DOWN],
    ['a1', '', NONE, DOWN],
    ['a1', 'c3', NONE, DOWN],
    ['b2', 'c3', NONE, NONE],
    ['b2', '', NONE, NONE],
    ['a', 'b2', NONE, NONE],
    ['a11', 'b2', NONE, NONE],
    ['', 'a1', NONE, NONE],
    ['', '', NONE, NONE],
  ] as const) {
    test(`From ${from || '-'} To ${to || '-'} wanted ${wanted}: ${direction}`, async () => {
      await inWorld([], (world) => {
        world.initial();
        assert.equal(tight(world, from, to, wanted), direction);
      });
    });
  }
});

describe('tight match once both ends are known [spec 1.3]', () => {
  for (const [from, to, wanted, direction] of [
    ['a1', 'b2', DOWN, DOWN],
    ['a1', 'c3', DOWN, NONE],
    ['a1', '', DOWN, NONE],
    ['b2', 'a1', DOWN, NONE],
    ['b2', 'a1', UP, UP],
    ['a1', 'b2', UP, NONE],
    ['c3', 'a1', UP, NONE],
    ['b2', 'a1', NONE, UP],
    ['a1', 'b2', NONE, DOWN],
    ['a1', 'B2', NONE, NONE],
    ['a1', 'a1', NONE, NONE],
    ['b2', 'b2', NONE, NONE],
    ['b2', '', NONE, NONE],
    ['', 'b2', NONE, NONE],
  ] as const) {
    for (const acknowledged of [false, true]) {
      test(`From ${from || '-'} To ${to || '-'} wanted ${wanted}, ${acknowledged ? 'state 4' : 'state 3'}: ${direction}`, async () => {
        await inWorld([], (world) => {
          const invite = world.initial();
          world.reply(invite, 200);
          if (acknowledged) world.sequential({ method: 'ACK' });
          assert.equal(tight(world, from, to, wanted), direction);
        });
      });
    }
  }
  test('the initial INVITE again finds an answered call before its ACK, and not after', async () => {
    await inWorld([], (world) => {
      world.reply(world.initial(), 200);
      assert.equal(tight(world, 'a1', '', NONE), DOWN);
      world.sequential({ method: 'ACK' });
      assert.equal(tight(world, 'a1', '', NONE), NONE);
    });
  });
  test('another Call-ID finds nothing', async () => {
    await inWorld([], (world) => {
      world.answered();
      assert.equal(tight(world, 'a1', 'b2', NONE), DOWN);
      for (const callId of ['call@H', 'call@h ', ' call@h x', 'call', 'call@h.', '']) {
        const found = tight(world, 'a1', 'b2', NONE, callId);
        assert.equal(found, callId.trim() === 'call@h' ? DOWN : NONE, JSON.stringify(callId));
      }
    });
  });
});

/** What a sequential request found. */
function outcome(world: World, parts: Parts): { by: string; direction: number; bad: number } {
  const count = (name: string): number => world.statistic(name);
  const before = ['matched_by_cookie', 'matched_by_tags', 'unmatched', 'bad_cookie'].map(count);
  let direction = 0;
  world.sequential({ method: 'INFO', ...parts }, () => {
    direction = world.tracker.context.direction;
  });
  const after = ['matched_by_cookie', 'matched_by_tags', 'unmatched', 'bad_cookie'].map(count);
  const [cookie, tags, unmatched, bad] = after.map((value, n) => value - before[n]!);
  const by = cookie ? 'cookie' : tags ? 'tags' : unmatched ? 'unmatched' : 'untracked';
  return { by, direction, bad: bad! };
}

function cookieOf(world: World): string {
  const { h_entry, h_id } = world.dialog();
  return cookieText(h_entry, h_id);
}

// What the cookie is, and what each of the modes 0, 1, 2 makes of it when Call-ID and tags agree.
const COOKIES: readonly [string, (world: World) => string, readonly [string, string, string], number][] = [
  ['right', (world) => `;lr;did=${cookieOf(world)}`, ['cookie', 'cookie', 'tags'], 0],
  ['absent', () => ';lr', ['untracked', 'tags', 'tags'], 0],
  ['malformed', () => ';lr;did=xyz', ['unmatched', 'tags', 'tags'], 1],
  ['without a value', () => ';lr;did', ['unmatched', 'tags', 'tags'], 1],
  ['of 9 digits', () => ';lr;did=123456789.1', ['unmatched', 'tags', 'tags'], 1],
  [
    'of a dialog that is not',
    (world) => `;lr;did=${cookieText(world.dialog().h_entry, 0xfffffff)}`,
    ['unmatched', 'tags', 'tags'],
    1,
  ],
  [
    'of another entry',
    (world) => `;lr;did=${cookieText(world.dialog().h_entry ^ 1, world.dialog().h_id)}`,
    ['unmatched', 'tags', 'tags'],
    1,
  ],
  [
    'past the table',
    (world) => `;lr;did=${cookieText(0xffffffff, world.dialog().h_id)}`,
    ['unmatched', 'tags', 'tags'],
    1,
  ],
  [
    'of id 0',
    (world) => `;lr;did=${cookieText(world.dialog().h_entry, 0)}`,
    ['unmatched', 'tags', 'tags'],
    1,
  ],
];

for (const mode of [0, 1, 2] as const) {
  describe(`dlg_match_mode ${mode} [manual 5.8, spec 1.4]`, () => {
    const set = [`dialog:dlg_match_mode=${mode}`];
    for (const [name, route, results, bad] of COOKIES) {
      test(`cookie ${name}: ${results[mode]}`, async () => {
        await inWorld(set, (world) => {
          world.answered();
          const found = outcome(world, { route: route(world) });
          const matched = results[mode] === 'cookie' || results[mode] === 'tags';
          assert.deepEqual(found, {
            by: results[mode],
            direction: matched ? 1 : 0,
            bad: mode === 2 ? 0 : bad,
          });
        });
      });
    }
    for (const [from, to] of [
      ['a1', 'x'],
      ['x', 'b2'],
      ['b2', 'x'],
      ['b2', 'b2'],
      ['a1', 'a1'],
    ] as const) {
      test(`the right cookie with the ends ${from} and ${to} finds nothing`, async () => {
        await inWorld(set, (world) => {
          world.answered();
          const found = outcome(world, { route: `;lr;did=${cookieOf(world)}`, from, to });
          assert.deepEqual(found, { by: 'unmatched', direction: 0, bad: mode === 2 ? 0 : 1 });
          assert.equal(world.dialog().state, 4);
        });
      });
    }
    test('the right cookie with another Call-ID finds nothing', async () => {
      await inWorld(set, (world) => {
        world.answered();
        const found = outcome(world, { route: `;lr;did=${cookieOf(world)}`, callId: 'other@h' });
        assert.equal(found.by, 'unmatched');
      });
    });
    test('direction comes from the tags', async () => {
      await inWorld(set, (world) => {
        world.answered();
        const route = `;lr;ftag=a1;did=${cookieOf(world)}`;
        assert.equal(outcome(world, { route, from: 'a1', to: 'b2' }).direction, 1);
        assert.equal(outcome(world, { route, from: 'b2', to: 'a1' }).direction, 2);
      });
    });
    test('a preloaded Route on an initial INVITE is no sequential request', async () => {
      await inWorld(set, (world) => {
        world.answered();
        const parts = { route: `;lr;did=${cookieOf(world)}` };
        const message = world.message(parts);
        world.tracker.begin(message);
        world.looseRoute(message, parts);
        assert.equal(world.tracker.context.ownIndex, 0);
        world.tracker.scriptEnded(message, false);
      });
    });
    test('a Route URI without parameters is matched by Call-ID and tags, unless only cookies count', async () => {
      await inWorld(set, (world) => {
        world.answered();
        const message = world.message({ method: 'INFO', to: 'b2', route: '' });
        world.tracker.begin(message);
        world.tracker.looseRouted(message, 10, 0);
        assert.equal(world.tracker.context.ownIndex !== 0, mode !== 0);
        world.tracker.scriptEnded(message, false);
      });
    });
    test('dlg_manage() always matches by Call-ID and tags', async () => {
      await inWorld(set, (world) => {
        world.answered();
        assert.equal(outcome(world, {}).by, 'tags');
      });
    });
    test('a request is heard once, by loose routing or by dlg_manage()', async () => {
      await inWorld(set, (world) => {
        world.answered();
        const before = world.statistic('matched_by_cookie') + world.statistic('matched_by_tags');
        world.sequential({ method: 'INFO', route: `;lr;did=${cookieOf(world)}` }, (message) => {
          assert.equal(world.tracker.manage(message), true);
          assert.equal(world.tracker.manage(message), true);
        });
        assert.equal(world.statistic('matched_by_cookie') + world.statistic('matched_by_tags'), before + 1);
      });
    });
    test('dlg_manage() is true for a sequential request of no dialog', async () => {
      await inWorld(set, (world) => {
        const message = world.message({ method: 'BYE', to: 'b2' });
        world.tracker.begin(message);
        assert.equal(world.tracker.manage(message), true);
        assert.equal(world.tracker.context.ownIndex, 0);
      });
    });
  });
}

describe('two dialogs of one Call-ID [spec 1.3, 1.6]', () => {
  test('the cookie decides between equal tags', async () => {
    await inWorld(['dialog:dlg_match_mode=0', 'dialog:detect_spirals=0'], (world) => {
      world.initial();
      world.initial({ cseq: 8 });
      const [first, second] = world.dialogs();
      for (const dialog of [first!, second!]) {
        const route = `;lr;did=${cookieText(dialog.h_entry, dialog.h_id)}`;
        const message = world.message({ method: 'PRACK', to: 'b2', route });
        world.tracker.begin(message);
        world.looseRoute(message, { route });
        assert.equal($dlg(world.tracker, message, 'h_id'), dialog.h_id);
        world.tracker.scriptEnded(message, false);
      }
    });
  });
  test('a call tried again after 401 is found before the one that failed', async () => {
    await inWorld(['dialog:dlg_match_mode=1'], (world) => {
      const failed = world.initial({ cseq: 7 });
      world.reply(failed, 401, { to: 'x9' });
      const retried = world.initial({ cseq: 8 });
      assert.deepEqual(world.states(), [5, 1]);
      world.reply(retried, 200, { cseq: 8 });
      world.sequential({ method: 'ACK', cseq: 8 });
      assert.deepEqual(world.states(), [5, 4]);
      world.end(failed);
      assert.deepEqual(world.states(), [4]);
    });
  });
  test('a known callee wins over one that is not known yet', async () => {
    await inWorld(['dialog:detect_spirals=0'], (world) => {
      world.initial();
      const second = world.initial({ cseq: 8 });
      world.reply(second, 200, { cseq: 8 });
      world.sequential({ method: 'ACK', cseq: 8 });
      assert.deepEqual(world.states(), [1, 4]);
    });
  });
});

describe('look-up by scripts [spec 1.7]', () => {
  test('finds by Call-ID and tags in any route, for requests and answers', async () => {
    await inWorld(['dialog:dlg_match_mode=0'], (world) => {
      world.answered();
      for (const parts of [
        { to: 'b2', method: 'INFO' },
        { to: 'b2', code: 200 },
        { from: 'b2', to: 'a1', method: 'BYE' },
      ]) {
        const message = world.message(parts);
        if (message.isRequest) world.tracker.begin(message);
        assert.equal(is_known_dlg(world.tracker, message), true);
      }
      assert.equal(is_known_dlg(world.tracker, world.message({ to: 'x', method: 'INFO' })), false);
    });
  });
  test('an early dialog is found without a To tag', async () => {
    await inWorld([], (world) => {
      world.initial();
      const message = world.message({});
      world.tracker.begin(message);
      assert.equal(is_known_dlg(world.tracker, message), true);
    });
  });
  test('a message without a From tag finds nothing', async () => {
    await inWorld([], (world) => {
      world.initial();
      assert.equal(
        is_known_dlg(world.tracker, world.message({ from: null, to: 'a1', method: 'INFO' })),
        false,
      );
    });
  });
});

describe('a cookie that is not believed is told of [spec 1.4]', () => {
  test('with method, cookie, address and Call-ID', async () => {
    await inWorld(['dialog:dlg_match_mode=0'], (world) => {
      world.answered();
      const { h_entry, h_id } = world.dialog();
      const gone = cookieText(h_entry, 0xfffffff);
      const right = cookieOf(world);
      const told = (route: string, parts: Parts = {}): unknown => {
        world.faults.length = 0;
        world.told.length = 0;
        world.sequential({ method: 'INFO', route, ...parts });
        return [...world.faults, ...world.told];
      };
      assert.deepEqual(told(`;lr;did=${gone}`), [
        'cookie_of_no_dialog',
        { method: 'INFO', cookie: gone, dialog: `[${h_entry}:268435455]`, call_id: 'call@h' },
      ]);
      assert.deepEqual(told(`;lr;did=${right}`, { from: 'a1', to: 'x' }), [
        'cookie_of_other_ends',
        { method: 'INFO', cookie: right, dialog: `[${h_entry}:${h_id}]`, call_id: 'call@h' },
      ]);
      assert.deepEqual(told(';lr;did=xyz', { method: 'BYE' }), [
        'cookie_malformed',
        { method: 'BYE', cookie: 'xyz', call_id: 'call@h' },
      ]);
      assert.deepEqual(told(`;lr;did=${right}`), []);
      assert.deepEqual(told(';lr'), []);
    });
  });
  test('of a long one no more than 64 bytes', async () => {
    await inWorld([], (world) => {
      world.sequential({ method: 'INFO', route: `;lr;did=${'x'.repeat(500)}` });
      assert.equal(world.told[0]?.cookie, 'x'.repeat(64));
    });
  });
  test('never in mode 2, which does not read it', async () => {
    await inWorld(['dialog:dlg_match_mode=2'], (world) => {
      world.sequential({ method: 'INFO', route: ';lr;did=xyz' });
      assert.deepEqual(world.faults, []);
    });
  });
});

describe('CANCEL [spec 13.1 dlg_ctxiuid_mode]', () => {
  for (const mode of [0, 1] as const) {
    test(`its look-up ${mode === 1 ? 'makes its dialog the one of the context' : 'leaves the context'} in mode ${mode}`, async () => {
      await inWorld([`dialog:dlg_ctxiuid_mode=${mode}`], (world) => {
        world.initial();
        const message = world.message({ method: 'CANCEL' });
        world.tracker.begin(message);
        assert.equal(is_known_dlg(world.tracker, message), true);
        assert.equal(world.tracker.contextDialog(), mode === 1);
        // It is looked at, and no event of the dialog.
        assert.deepEqual([world.tracker.context.ownIndex, world.states()], [0, [1]]);
        world.tracker.scriptEnded(message, false);
      });
    });
  }
});
