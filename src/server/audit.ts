/** The audit that runs beside the traffic: kept counts are compared with what they count, a slice at a time. */
import type { Log } from '../log.js';

/** A slice takes a fraction of a millisecond: a thousandth of the main thread's time or less. */
const SLICE_EVERY_MS = 250;

/** Compares the next few counts from word 0 of `cursor` on, which it moves; returns the differences found. */
export type AuditSlice = (cursor: Uint32Array) => number;

/** Round after round over the segment, on the main thread; a difference is exact, so one is told as soon as it is found. */
export class BackgroundAudit {
  readonly #slice: AuditSlice;
  readonly #log: Log;
  readonly #cursor = new Uint32Array(1);
  #timer: NodeJS.Timeout | undefined;
  #ofThisRound = 0;
  #ofLastRound = 0;
  #isTold = false;

  constructor(slice: AuditSlice, log: Log) {
    this.#slice = slice;
    this.#log = log;
  }

  /** Of the last whole round, or of this one if it has already found more; 0 unless we are wrong. */
  get difference(): number {
    return Math.max(this.#ofThisRound, this.#ofLastRound);
  }

  start(): void {
    this.#timer ??= setInterval(() => this.step(), SLICE_EVERY_MS).unref();
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  /** One slice. */
  step(): void {
    this.#ofThisRound += this.#slice(this.#cursor);
    if (this.#ofThisRound > 0 && !this.#isTold) {
      this.#isTold = true;
      this.#log.error('counts_are_wrong', { difference: this.#ofThisRound });
    }
    if (this.#cursor[0] !== 0) return;
    this.#ofLastRound = this.#ofThisRound;
    this.#ofThisRound = 0;
  }
}
