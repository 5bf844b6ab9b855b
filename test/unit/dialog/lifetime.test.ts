import assert from 'node:assert/strict';
import { describe, test } from 'vitest';
import { dlg_set_timeout } from '../../../dist/script/functions/timeout.js';
import { set_dlg_ctx } from '../../../dist/script/variables/dlg-ctx.js';
import { assertNothingLeft, inWorld, type World } from './world.js';

/** Seconds until the dialog's time is over, 0: it has no deadline. */
function left(world: World): number {
  const { timeout } = world.dialog();
  return timeout === 0 ? 0 : timeout - world.native.nowUnixSeconds();
}

function setTimeout(world: World, seconds: number): boolean {
  return dlg_set_timeout(world.tracker, world.message({ method: 'INFO', to: 'b2' }), seconds);
}

describe('lifetime [manual 5.6, spec 3.1]', () => {
  test('runs from the answer, and again from the ACK', async () => {
    await inWorld(['dialog:default_timeout=30'], (world) => {
      const invite = world.initial();
      assert.equal(left(world), 0);
      world.reply(invite, 180);
      assert.equal(left(world), 0);
      world.reply(invite, 200);
      assert.equal(left(world), 30);
      world.wait(10);
      world.sequential({ method: 'ACK' });
      assert.equal(left(world), 30);
    });
  });
  test('is what $dlg_ctx(timeout) said before the dialog was made', async () => {
    for (const [asked, lifetime] of [
      [77, 77],
      [0, 43_200],
      [-5, 43_200],
      ['60', 43_200],
      [1.5, 43_200],
      [null, 43_200],
    ] as const) {
      await inWorld([], (world) => {
        const message = world.message({});
        world.tracker.begin(message);
        set_dlg_ctx(world.tracker, 'timeout', asked);
        world.tracker.manage(message);
        assert.equal(world.dialog().lifetime, lifetime, String(asked));
      });
    }
  });
  test('a call whose time is over ends once, and is counted', async () => {
    await inWorld(['dialog:default_timeout=30'], (world) => {
      const before = world.usage();
      world.end(world.answered());
      world.wait(29);
      assert.deepEqual(world.states(), [4]);
      world.wait(2, 3);
      assert.deepEqual(world.events, ['start 200', 'end -']);
      assert.equal(world.statistic('expired_dialogs'), 1);
      assert.equal(world.statistic('active_dialogs'), 0);
      assert.deepEqual(world.faults, ['dialog_expired']);
      assertNothingLeft(world, before);
    });
  });
  test('the event route of an expired call sees it', async () => {
    await inWorld(['dialog:default_timeout=30'], (world) => {
      world.end(world.answered());
      let seen: unknown;
      world.inEvent = (name) => {
        if (name !== 'end') return;
        assert.ok(world.tracker.contextDialog());
        const snapshot = world.tracker.snapshot();
        seen = [snapshot?.['call-id'], snapshot?.state, snapshot?.end_ts];
      };
      world.wait(31);
      assert.deepEqual(seen, ['call@h', 5, world.native.nowUnixSeconds()]);
    });
  });
  test('a BYE that comes with the expiry ends it no second time', async () => {
    await inWorld(['dialog:default_timeout=30'], (world) => {
      const before = world.usage();
      const invite = world.answered();
      const bye = world.sequential({ method: 'BYE', cseq: 8 })!;
      world.wait(31, 3);
      assert.deepEqual(world.events, ['start 200', 'end BYE']);
      assert.equal(world.statistic('expired_dialogs'), 0);
      world.end(bye);
      world.end(invite);
      assertNothingLeft(world, before);
    });
  });
  test('600 calls that are due in one second end over several ticks, each once', async () => {
    await inWorld(['dialog:default_timeout=30'], (world) => {
      const before = world.usage();
      for (let n = 0; n < 600; n++) {
        world.memory.scratch.reset();
        world.end(world.answered({ callId: `c${n}@h` }));
      }
      assert.equal(world.statistic('active_dialogs'), 600);
      world.wait(31, 1);
      assert.ok(world.statistic('active_dialogs') >= 600 - 256, 'one tick is bounded');
      world.wait(1, 10);
      assert.equal(world.statistic('expired_dialogs'), 600);
      assertNothingLeft(world, before);
    });
  });
});

describe('reset by requests within the dialog [manual 5.49, spec 3.2]', () => {
  const set = ['dialog:default_timeout=30'];
  const afterTen = (world: World, parts: { method: string; from?: string; to?: string }): number => {
    world.answered();
    world.wait(10);
    world.sequential({ cseq: 9, ...parts });
    return left(world);
  };
  for (const parts of [
    { method: 'INVITE' },
    { method: 'UPDATE' },
    { method: 'INFO' },
    { method: 'OPTIONS' },
    { method: 'PRACK' },
    { method: 'ACK' },
    { method: 'NEW' },
    { method: 'INFO', from: 'b2', to: 'a1' },
  ]) {
    test(`${parts.method} from ${parts.from ?? 'a1'} starts it again`, async () => {
      await inWorld(set, (world) => assert.equal(afterTen(world, parts), 30));
    });
    test(`${parts.method} from ${parts.from ?? 'a1'} leaves it with timeout_noreset`, async () => {
      await inWorld([...set, 'dialog:timeout_noreset=1'], (world) =>
        assert.equal(afterTen(world, parts), 20),
      );
    });
  }
  test('the first ACK starts it even with timeout_noreset', async () => {
    await inWorld([...set, 'dialog:timeout_noreset=1'], (world) => {
      world.reply(world.initial(), 200);
      world.wait(10);
      world.sequential({ method: 'ACK' });
      assert.equal(left(world), 30);
    });
  });
  test('CANCEL, answers, and requests before the ACK leave it', async () => {
    await inWorld(set, (world) => {
      const invite = world.initial();
      world.reply(invite, 200);
      world.wait(10);
      world.sequential({ method: 'UPDATE', cseq: 8 });
      assert.equal(left(world), 20);
      world.sequential({ method: 'ACK' });
      world.wait(10);
      world.sequential({ method: 'CANCEL', cseq: 9 });
      world.reply(invite, 200);
      assert.equal(left(world), 20);
    });
  });
  test('a request of other ends leaves it', async () => {
    await inWorld(set, (world) => assert.equal(afterTen(world, { method: 'INFO', to: 'x' }), 20));
  });
});

describe('an ACK that does not come [spec 3.5]', () => {
  test('ends the call noack_timeout and ten seconds after its answer', async () => {
    await inWorld(['dialog:noack_timeout=20'], (world) => {
      const before = world.usage();
      const invite = world.initial();
      world.reply(invite, 200);
      world.end(invite);
      assert.equal(left(world), 30);
      world.wait(29);
      assert.deepEqual(world.states(), [3]);
      world.wait(2);
      assert.deepEqual(world.events, ['start 200', 'end -']);
      assertNothingLeft(world, before);
    });
  });
  test('finds the whole lifetime when it comes late', async () => {
    await inWorld(['dialog:noack_timeout=20', 'dialog:default_timeout=3600'], (world) => {
      world.reply(world.initial(), 200);
      world.wait(28);
      world.sequential({ method: 'ACK' });
      assert.deepEqual([world.dialog().lifetime, left(world)], [3600, 3600]);
    });
  });
  test('a lifetime that is shorter still comes first', async () => {
    await inWorld(['dialog:noack_timeout=20', 'dialog:default_timeout=5'], (world) => {
      world.reply(world.initial(), 200);
      assert.equal(left(world), 5);
    });
  });
});

describe('dlg_set_timeout() [manual 6.14, spec 3.3]', () => {
  test('before the answer sets only the lifetime', async () => {
    await inWorld([], (world) => {
      const invite = world.initial();
      const message = world.message({ method: 'INFO', to: 'b2' });
      assert.equal(dlg_set_timeout(world.tracker, message, 50), true);
      assert.deepEqual([world.dialog().lifetime, left(world)], [50, 0]);
      world.reply(invite, 200);
      assert.equal(left(world), 50);
    });
  });
  test('moves the deadline of a confirmed call', async () => {
    await inWorld([], (world) => {
      world.answered();
      assert.ok(setTimeout(world, 50));
      assert.deepEqual([world.dialog().lifetime, left(world)], [50, 50]);
      world.wait(10);
      assert.ok(setTimeout(world, 500));
      assert.deepEqual([world.dialog().lifetime, left(world)], [500, 500]);
    });
  });
  test('before the ACK moves it no further than the patience for the ACK', async () => {
    await inWorld(['dialog:noack_timeout=20'], (world) => {
      world.reply(world.initial(), 200);
      world.wait(10);
      assert.ok(setTimeout(world, 500));
      assert.deepEqual([world.dialog().lifetime, left(world)], [500, 20]);
      assert.ok(setTimeout(world, 3));
      assert.equal(left(world), 3);
      assert.ok(setTimeout(world, 500));
      world.sequential({ method: 'ACK' });
      assert.equal(left(world), 500);
    });
  });
  test('by address reaches a dialog of another message', async () => {
    await inWorld([], (world) => {
      world.answered();
      const { h_entry, h_id } = world.dialog();
      const other = world.message({ callId: 'other@h' });
      world.tracker.begin(other);
      assert.ok(dlg_set_timeout(world.tracker, other, 50, h_entry, h_id));
      assert.equal(left(world), 50);
      for (const [entry, id] of [
        [h_entry, h_id + 1],
        [h_entry + 1, h_id],
        [-1, h_id],
        [2 ** 32, h_id],
        [1.5, h_id],
        [h_entry, undefined],
        [undefined, h_id],
      ] as const) {
        assert.equal(dlg_set_timeout(world.tracker, other, 60, entry, id), false, `${entry}:${id}`);
      }
      assert.equal(left(world), 50);
    });
  });
  for (const seconds of [
    0,
    -1,
    1.5,
    Number.NaN,
    Number.POSITIVE_INFINITY,
    31_536_001,
    2 ** 32 + 5,
    '5' as unknown as number,
  ]) {
    test(`refuses ${String(seconds)}`, async () => {
      await inWorld([], (world) => {
        world.answered();
        assert.equal(setTimeout(world, seconds), false);
        assert.equal(left(world), 43_200);
      });
    });
  }
  test('is false without a dialog, and for one that has ended', async () => {
    await inWorld([], (world) => {
      assert.equal(setTimeout(world, 5), false);
      world.answered();
      world.sequential({ method: 'BYE', cseq: 8 });
      assert.equal(setTimeout(world, 5), false);
      assert.equal(left(world), 0);
    });
  });
  test('takes a year, and the call lives as long', async () => {
    await inWorld([], (world) => {
      world.answered();
      assert.ok(setTimeout(world, 31_536_000));
      assert.equal(left(world), 31_536_000);
      world.wait(50_000, 40);
      assert.deepEqual(world.states(), [4]);
    });
  });
});
