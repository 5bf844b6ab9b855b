/**
 * What a batch counts, gathered here and added to the shared counters in one call.
 */
import type { Shard } from './addon.js';
import { constant, X_LIST } from './words.js';

const COUNTERS_MAX = constant('CounterEnd');

export class Tally {
  private readonly native: Shard;
  private readonly x: Uint32Array;
  private readonly amounts = new Uint32Array(COUNTERS_MAX);
  private readonly touched = new Uint32Array(COUNTERS_MAX);
  private touchedCount = 0;

  constructor(native: Shard, x: Uint32Array) {
    this.native = native;
    this.x = x;
  }

  add(counter: number): void {
    const amount = this.amounts[counter]!;
    this.amounts[counter] = amount + 1;
    if (amount === 0) this.touched[this.touchedCount++] = counter;
  }

  /** The batch is over. */
  post(): void {
    const count = this.touchedCount;
    if (count === 0) return;
    const { x, amounts, touched } = this;
    for (let n = 0; n < count; n++) {
      const counter = touched[n]!;
      x[X_LIST + 2 * n] = counter;
      x[X_LIST + 2 * n + 1] = amounts[counter]!;
      amounts[counter] = 0;
    }
    this.touchedCount = 0;
    this.native.countMany(count);
  }
}
