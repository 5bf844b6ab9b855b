import assert from 'node:assert/strict';
import { describe, test } from 'vitest';
import { T_END_DUE, T_FINISHED, T_STATE } from '../../../dist/memory/words.js';
import { lingerOn } from '../../../dist/transaction/server-invite.js';
import { SERVER_CONFIRMED } from '../../../dist/transaction/states.js';
import { isDue, isLater, tickAfter, timersOf } from '../../../dist/transaction/timers.js';

const LAST = 0xffff_ffff;

describe('ticks, which begin anew after 2^32', () => {
  test('a deadline that lies beyond the wrap has not come before it', () => {
    for (const now of [LAST, LAST - 1, LAST - 3_000])
      for (const ticks of [2, 50, 6_400, 1 << 30]) {
        const due = tickAfter(now, ticks);
        assert.equal(isDue(due, now), false, `${now} + ${ticks}`);
        assert.equal(isDue(due, (now + ticks - 1) >>> 0), false, `${now} + ${ticks} - 1`);
        assert.equal(isDue(due, (now + ticks + 1) >>> 0), true, `${now} + ${ticks} + 1`);
        assert.equal(isDue(due, (now + ticks + 500) >>> 0), true, `${now} + ${ticks} + 500`);
      }
  });

  test('none is no tick: the one that would be 0 is 1', () => {
    assert.equal(tickAfter(LAST, 1), 1);
    assert.equal(tickAfter(LAST, 2), 1);
    assert.equal(isDue(0, 0), false);
    assert.equal(isDue(0, LAST), false);
  });

  test('later is later on both sides of the wrap', () => {
    assert.equal(isLater(5, LAST - 5), true);
    assert.equal(isLater(LAST - 5, 5), false);
    assert.equal(isLater(7, 7), false);
  });

  test('a finished transaction stays as long as ever, and no longer', () => {
    const timers = timersOf({
      retr_timer1: 500,
      retr_timer2: 4_000,
      fr_timer: 30_000,
      fr_inv_timer: 120_000,
      wt_timer: 5_000,
    });
    const stay = (finished: number): number => {
      const x = new Uint32Array(512);
      x[T_STATE] = SERVER_CONFIRMED;
      x[T_FINISHED] = finished;
      x[T_END_DUE] = tickAfter(finished, timers.waitTicks);
      for (let ticks = 100; ticks < 10_000; ticks += 100) lingerOn(x, tickAfter(finished, ticks), timers);
      return (x[T_END_DUE]! - finished) >>> 0;
    };
    assert.equal(stay(1_000), timers.patienceTicks);
    for (const finished of [LAST, LAST - 100, LAST - timers.waitTicks, LAST - timers.patienceTicks + 7])
      assert.equal(stay(finished), timers.patienceTicks, `finished at ${finished}`);
  });
});
