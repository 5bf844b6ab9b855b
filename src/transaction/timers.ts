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
