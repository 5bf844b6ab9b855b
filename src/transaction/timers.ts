/**
 * The timers of RFC 3261 17 and RFC 6026 in ticks of 10 ms, from the tm parameters in milliseconds.
 */

export type TimerParams = {
  readonly retr_timer1: number;
  readonly retr_timer2: number;
  readonly fr_timer: number;
  readonly fr_inv_timer: number;
  readonly wt_timer: number;
};

export type Timers = {
  /** T1: the first time between two retransmissions. */
  readonly t1Ticks: number;
  /** T2: the longest time between two retransmissions. */
  readonly t2Ticks: number;
  /** Timers B and F: a branch without an answer. */
  readonly noAnswerTicks: number;
  /** Timer C: a branch that rings. */
  readonly ringingTicks: number;
  /** How long a finished transaction absorbs copies after the last one. */
  readonly waitTicks: number;
  /** 64 * T1: timer H, the patience after a CANCEL, and the longest stay of a finished transaction. */
  readonly patienceTicks: number;
};

const TICK_MS = 10;

// A tick has 32 bits and begins anew after 497 days: two are compared by their signed difference, and 0, which says "none",
// is no tick.

/** The tick so many after `now`, as the words keep it. */
export function tickAfter(now: number, ticks: number): number {
  return (now + ticks) >>> 0 || 1;
}

/** A deadline is there and has come. */
export function isDue(due: number, now: number): boolean {
  return due !== 0 && ((due - now) | 0) <= 0;
}

/** `tick` comes after `other`; they are less than 248 days apart. */
export function isLater(tick: number, other: number): boolean {
  return ((tick - other) | 0) > 0;
}

/** Ticks of these parameters; each at least one. */
export function timersOf(params: TimerParams): Timers {
  const ticks = (ms: number): number => Math.max(1, Math.ceil(ms / TICK_MS));
  return {
    t1Ticks: ticks(params.retr_timer1),
    t2Ticks: ticks(params.retr_timer2),
    noAnswerTicks: ticks(params.fr_timer),
    ringingTicks: ticks(params.fr_inv_timer),
    waitTicks: ticks(params.wt_timer),
    patienceTicks: 64 * ticks(params.retr_timer1),
  };
}
