import assert from 'node:assert/strict';
import { describe, test } from 'vitest';
import { dlg_reset_property, dlg_set_property } from '../../../dist/script/functions/property.js';
import { dlg_set_timeout } from '../../../dist/script/functions/timeout.js';
import { set_dlg_ctx } from '../../../dist/script/variables/dlg-ctx.js';
import { assertNothingLeft, inWorld, type Parts, type World } from './world.js';

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
  test('with send_bye and nobody to be reached it ends all the same, and is counted once', async () => {
    await inWorld(['dialog:default_timeout=30', 'dialog:send_bye=1'], (world) => {
      const before = world.usage();
      world.end(world.answered());
      world.unreachable.add(1).add(2);
      world.wait(31, 5);
      assert.deepEqual([world.states(), world.events], [[], ['start 200', 'end -']]);
      assert.deepEqual([world.statistic('active_dialogs'), world.statistic('expired_dialogs')], [0, 1]);
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

describe('the AVP of timeout_avp [manual 5.5, spec 3.1, 3.2]', () => {
  const set = ['dialog:default_timeout=30', 'dialog:timeout_avp=$avp(t)'];
  /** A request within the dialog whose route left a lifetime in the AVP. */
  const refresh = (world: World, seconds: number, parts: Parts = {}): void => {
    const message = world.message({ method: 'INFO', to: 'b2', cseq: 20, ...parts });
    world.tracker.begin(message);
    world.tracker.context.avpSeconds = seconds;
    world.tracker.manage(message);
    world.tracker.scriptEnded(message, false);
  };
  const seen = (world: World): number[] => [world.dialog().lifetime, left(world)];
  test('is the first lifetime, unless $dlg_ctx(timeout) says another', async () => {
    for (const [asked, lifetime] of [
      [0, 77],
      [55, 55],
    ] as const) {
      await inWorld(set, (world) => {
        const message = world.message({});
        world.tracker.begin(message);
        world.tracker.context.avpSeconds = 77;
        set_dlg_ctx(world.tracker, 'timeout', asked);
        world.tracker.manage(message);
        assert.equal(world.dialog().lifetime, lifetime);
        world.tracker.scriptEnded(message, true);
      });
    }
  });
  test('is taken again with the ACK and with each request, one that equals the default too', async () => {
    await inWorld(set, (world) => {
      world.reply(world.initial(), 200);
      refresh(world, 90, { method: 'ACK', cseq: 7 });
      assert.deepEqual(seen(world), [90, 90]);
      refresh(world, 60);
      assert.deepEqual(seen(world), [60, 60]);
      refresh(world, 30);
      assert.deepEqual(seen(world), [30, 30]);
      refresh(world, 45, { method: 'ACK', cseq: 7 });
      assert.deepEqual(seen(world), [45, 45]);
      world.wait(5);
      refresh(world, 0);
      assert.deepEqual(seen(world), [45, 45]);
    });
  });
  test('with timeout_noreset it changes the lifetime and leaves the running timer', async () => {
    await inWorld([...set, 'dialog:timeout_noreset=1'], (world) => {
      world.answered();
      world.wait(10);
      refresh(world, 90);
      assert.deepEqual(seen(world), [90, 20]);
    });
  });
  test('while it rings the lifetime changes, no timer runs; before the ACK, and with a BYE, nothing does', async () => {
    await inWorld(set, (world) => {
      const invite = world.initial();
      world.reply(invite, 180);
      refresh(world, 90);
      assert.deepEqual(seen(world), [90, 0]);
      refresh(world, 50, { method: 'BYE' });
      assert.deepEqual(seen(world), [90, 0]);
      world.reply(invite, 200);
      refresh(world, 50);
      assert.deepEqual(seen(world)[0], 90);
    });
  });
});

describe('the property timeout-noreset [manual 6.16, spec 3.2, 8.16]', () => {
  test('set before the dialog or in it, and taken back', async () => {
    await inWorld(['dialog:default_timeout=30'], (world) => {
      const { tracker } = world;
      const invite = world.initial({}, () =>
        assert.equal(dlg_set_property(tracker, 'timeout-noreset'), true),
      );
      assert.equal(world.dialog().iflags, 8);
      world.reply(invite, 200);
      world.sequential({ method: 'ACK' });
      world.wait(10);
      world.sequential({ method: 'INFO', cseq: 8 });
      assert.equal(left(world), 20);
      world.sequential({ method: 'INFO', cseq: 9 }, () => dlg_reset_property(tracker, 'timeout-noreset'));
      assert.equal(left(world), 20);
      world.sequential({ method: 'INFO', cseq: 10 });
      assert.equal(left(world), 30);
    });
  });
  test('set ahead of dlg_manage() goes into the dialog; other names are none', async () => {
    await inWorld([], (world) => {
      const message = world.message({});
      const { tracker } = world;
      tracker.begin(message);
      for (const [name, known] of [
        ['ka-src', true],
        ['ka-dst', true],
        ['timeout-noreset', true],
        ['KA-SRC', false],
        ['', false],
        ['ka', false],
      ] as const) {
        assert.equal(dlg_set_property(tracker, name), known, name);
        if (!known) assert.equal(dlg_reset_property(tracker, name), false, name);
      }
      dlg_reset_property(tracker, 'ka-dst');
      tracker.manage(message);
      assert.equal(world.dialog().iflags, 2 + 8);
      tracker.scriptEnded(message, true);
    });
  });
});

describe('a timeout route [spec 3.4]', () => {
  /** A call with the timeout route `more`, answered. */
  const call = (world: World): void => {
    const invite = world.answered({}, () => set_dlg_ctx(world.tracker, 'timeout_route', 'more'));
    world.end(invite);
  };
  const initial = (world: World, name: string): void => {
    const message = world.message({});
    world.tracker.begin(message);
    set_dlg_ctx(world.tracker, 'timeout_route', name);
    world.tracker.manage(message);
    const transaction = world.transaction(message);
    world.tracker.relayed(message);
    world.store();
    world.tracker.scriptEnded(message, true);
    world.reply(transaction, 200);
    world.sequential({ method: 'ACK' });
    world.end(transaction);
  };
  test('runs when the lifetime is over and sees the dialog; then the call ends', async () => {
    await inWorld(['dialog:default_timeout=30'], (world) => {
      const before = world.usage();
      let seen: unknown;
      world.timeoutRoutes.set('more', () => {
        seen = [world.tracker.contextDialog(), world.tracker.snapshot()?.state];
      });
      initial(world, 'more');
      assert.equal(world.dialog().timeout - world.native.nowUnixSeconds(), 30);
      world.wait(31, 3);
      assert.deepEqual(seen, [true, 4]);
      assert.deepEqual(world.events, ['start 200', 'route more', 'end -']);
      assertNothingLeft(world, before);
    });
  });
  test('may give the call more time, again and again', async () => {
    await inWorld(['dialog:default_timeout=30'], (world) => {
      let times = 0;
      world.timeoutRoutes.set('more', () => {
        const { tracker } = world;
        if (++times < 3) assert.ok(tracker.contextDialog() && tracker.setTimeout(20));
      });
      initial(world, 'more');
      world.wait(31, 3);
      assert.deepEqual(world.states(), [4]);
      assert.equal(left(world), 20);
      world.wait(21, 3);
      assert.equal(left(world), 20);
      world.wait(21, 3);
      assert.deepEqual([times, world.states()], [3, []]);
    });
  });
  test('of a name that the script has not is none, one that throws costs nothing', async () => {
    for (const name of ['none', 'more']) {
      await inWorld(['dialog:default_timeout=30'], (world) => {
        const before = world.usage();
        world.timeoutRoutes.set('more', () => {
          throw new Error('route');
        });
        initial(world, name);
        world.wait(31, 3);
        const faults = name === 'more' ? ['timeout_route_threw', 'dialog_expired'] : ['dialog_expired'];
        assert.deepEqual([world.states(), world.faults], [[], faults]);
        assertNothingLeft(world, before);
      });
    }
  });
  test("named after the dialog was made it is not the dialog's", async () => {
    await inWorld(['dialog:default_timeout=30'], (world) => {
      world.timeoutRoutes.set('more', () => {});
      call(world);
      world.wait(31, 3);
      assert.deepEqual(world.events, ['start 200', 'end -']);
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
  test('requests of our own leave it, and their answers', async () => {
    await inWorld(['dialog:default_timeout=100', 'dialog:ka_timer=1', 'dialog:ka_interval=30'], (world) => {
      world.answered({}, () => dlg_set_property(world.tracker, 'ka-dst'));
      world.wait(31);
      world.answerOwn(0, 200);
      const { index, generation } = world.handle();
      world.tracker.refer.refer(index, generation, 1, 'sip:x@h');
      world.answerOwn(1, 202);
      assert.deepEqual(
        world.sent.map(({ method }) => method),
        ['OPTIONS', 'REFER', 'BYE'],
      );
      assert.equal(left(world), 100 - 31);
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

describe('a state that is forced has its own deadline', () => {
  function force(world: World, state: number): number {
    const { index, generation } = world.handle();
    assert.ok(world.tracker.records.load(index, generation));
    assert.ok(world.tracker.byHand.setState(state));
    return left(world);
  }
  const SET = ['dialog:noack_timeout=20', 'dialog:default_timeout=3600', 'dialog:early_timeout=300'];

  test('confirmed without an ACK: the lifetime', () =>
    inWorld(SET, (world) => {
      world.reply(world.initial(), 200);
      world.wait(10);
      assert.equal(force(world, 4), 3600);
      world.wait(40, 5);
      assert.deepEqual(world.states(), [4]);
    }));
  test('unacknowledged: the patience for the ACK', () =>
    inWorld(SET, (world) => {
      world.answered();
      assert.equal(force(world, 3), 30);
    }));
  test('unanswered again: nobody else would end it', () =>
    inWorld(SET, (world) => {
      world.answered();
      assert.equal(force(world, 2), 300);
    }));
  test('unanswered to begin with: its transaction ends it', () =>
    inWorld(SET, (world) => {
      world.initial();
      assert.equal(force(world, 2), 0);
      assert.equal(force(world, 4), 3600);
    }));
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
  test('without the ACK no timeout route makes the call last longer than the patience for it', async () => {
    await inWorld(['dialog:noack_timeout=20'], (world) => {
      world.timeoutRoutes.set('more', () => {
        world.tracker.contextDialog();
        world.tracker.setTimeout(500);
      });
      const message = world.message({});
      world.tracker.begin(message);
      world.tracker.context.timeoutRoute = 'more';
      world.tracker.manage(message);
      const invite = world.transaction(message);
      world.tracker.relayed(message);
      world.store();
      world.tracker.scriptEnded(message, true);
      world.reply(invite, 200);
      world.end(invite);
      for (let n = 0; n < 40; n++) world.wait(1);
      assert.deepEqual(world.events, ['start 200', 'route more', 'end -']);
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
