/**
 * What a batch counts, gathered here and added to the shared counters in one call.
 */
import type { Shard } from './addon.js';
import { constant, X_LIST } from './words.js';

const COUNTERS_MAX = constant('CounterEnd');

export class Tally {
  private readonly native: Shard;
  private readonly x: Uint32Array;
  private readonly amounts = new Int32Array(COUNTERS_MAX);
  private readonly isTouched = new Uint8Array(COUNTERS_MAX);
  private readonly touched = new Uint32Array(COUNTERS_MAX);
  private touchedCount = 0;

  constructor(native: Shard, x: Uint32Array) {
    this.native = native;
    this.x = x;
  }

  /** A negative amount takes back. */
  add(counter: number, amount = 1): void {
    this.amounts[counter] = this.amounts[counter]! + amount;
    if (this.isTouched[counter] !== 0) return;
    this.isTouched[counter] = 1;
    this.touched[this.touchedCount++] = counter;
  }

  /** The batch is over. */
  post(): void {
    const count = this.touchedCount;
    if (count === 0) return;
    const { x, amounts, isTouched, touched } = this;
    for (let n = 0; n < count; n++) {
      const counter = touched[n]!;
      x[X_LIST + 2 * n] = counter;
      x[X_LIST + 2 * n + 1] = amounts[counter]!;
      amounts[counter] = 0;
      isTouched[counter] = 0;
    }
    this.touchedCount = 0;
    this.native.countMany(count);
  }
}
