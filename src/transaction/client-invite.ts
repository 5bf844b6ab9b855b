/**
 * The INVITE client transaction of one branch.  [RFC 3261 17.1.1, RFC 6026 7.2]
 *
 * `b` is the first word of the branch in X.
 */
import {
  B_CODE,
  B_END_DUE,
  B_FINAL_DUE,
  B_FLAGS,
  B_RETRANSMIT_DUE,
  B_RETRANSMIT_INTERVAL,
  B_STATE,
} from '../memory/words.js';
import { B_CANCEL_SENT, BRANCH_CALLING, BRANCH_COMPLETED, BRANCH_PROCEEDING } from './states.js';
import { type Timers, tickAfter } from './timers.js';

/** What an answer means to whoever stands above. */
export const ANSWER_IGNORED = 0;
export const ANSWER_PASSED = 1;
/** A negative final answer, for the first time: acknowledge it, and pass it on. */
export const ANSWER_PASSED_WITH_ACK = 2;
/** A copy of it: acknowledge only. */
export const ANSWER_ONLY_ACK = 3;

export function clientInviteStart(x: Uint32Array, b: number, now: number, timers: Timers): void {
  x[b + B_STATE] = BRANCH_CALLING;
  x[b + B_RETRANSMIT_INTERVAL] = timers.t1Ticks;
  x[b + B_RETRANSMIT_DUE] = tickAfter(now, timers.t1Ticks);
  x[b + B_FINAL_DUE] = tickAfter(now, timers.noAnswerTicks);
}

/** Timer A fired: the INVITE is repeated; sets the next time. */
export function clientInviteDue(x: Uint32Array, b: number, now: number): void {
  const interval = x[b + B_RETRANSMIT_INTERVAL]! * 2;
  x[b + B_RETRANSMIT_INTERVAL] = interval;
  x[b + B_RETRANSMIT_DUE] = tickAfter(now, interval);
}

/** The CANCEL of a branch is repeated, like any request that is no INVITE; sets the next time. */
export function clientCancelDue(x: Uint32Array, b: number, now: number, timers: Timers): void {
  const interval = Math.min(x[b + B_RETRANSMIT_INTERVAL]! * 2, timers.t2Ticks);
  x[b + B_RETRANSMIT_INTERVAL] = interval;
  x[b + B_RETRANSMIT_DUE] = tickAfter(now, interval);
}

export function clientInviteAnswer(
  x: Uint32Array,
  b: number,
  code: number,
  now: number,
  timers: Timers,
): number {
  const state = x[b + B_STATE]!;
  if (state === BRANCH_CALLING || state === BRANCH_PROCEEDING) {
    if (code < 200) {
      if (state === BRANCH_CALLING) x[b + B_RETRANSMIT_DUE] = 0;
      const isCancelled = (x[b + B_FLAGS]! & B_CANCEL_SENT) !== 0;
      if (!isCancelled && (state === BRANCH_CALLING || code > 100))
        x[b + B_FINAL_DUE] = tickAfter(now, timers.ringingTicks);
      x[b + B_STATE] = BRANCH_PROCEEDING;
      x[b + B_CODE] = code;
      return ANSWER_PASSED;
    }
    clientFinished(x, b, code);
    return code < 300 ? ANSWER_PASSED : ANSWER_PASSED_WITH_ACK;
  }
  if (code < 200) return ANSWER_IGNORED;
  if (code < 300) {
    // Whoever forks behind us may send a 2xx after its own negative answer: a phone was picked up.
    x[b + B_CODE] = code;
    return ANSWER_PASSED;
  }
  return x[b + B_CODE]! < 300 ? ANSWER_IGNORED : ANSWER_ONLY_ACK;
}

/** No timer of this branch runs any more, and this is its result. */
export function clientFinished(x: Uint32Array, b: number, code: number): void {
  x[b + B_STATE] = BRANCH_COMPLETED;
  x[b + B_CODE] = code;
  x[b + B_RETRANSMIT_DUE] = 0;
  x[b + B_FINAL_DUE] = 0;
  x[b + B_END_DUE] = 0;
}
