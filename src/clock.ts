/**
 * Time, handed in.  Whoever needs to know what time it is receives a Clock, so that any flow replays.
 *
 * The packet path does not read it: there `now` is an argument, read once per batch.
 */

/** The two kinds of time: one that never goes back, and the calendar's. */
export interface Clock {
  /** Milliseconds on a clock that never goes back; only differences mean something. */
  monotonicMs(): number;
  /** Whole seconds since 1970, as people and management replies count them. */
  unixSeconds(): number;
}

/** The machine's own time. */
export const systemClock: Clock = {
  monotonicMs: () => Math.floor(performance.now()),
  unixSeconds: () => Math.floor(Date.now() / 1000),
};

/** A clock that stands still until it is moved: tests and replays. */
export class ManualClock implements Clock {
  #ms: number;
  #unixMs: number;

  constructor(startMs = 0, startUnixSeconds = 0) {
    this.#ms = startMs;
    this.#unixMs = startUnixSeconds * 1000;
  }

  monotonicMs(): number {
    return this.#ms;
  }

  unixSeconds(): number {
    return Math.floor(this.#unixMs / 1000);
  }

  /** Moves both kinds of time on by `ms` milliseconds. */
  advance(ms: number): void {
    this.#ms += ms;
    this.#unixMs += ms;
  }
}
