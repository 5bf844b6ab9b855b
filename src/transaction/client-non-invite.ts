/**
 * The non-INVITE client transaction of one branch.  [RFC 3261 17.1.2]
 */
import { B_CODE, B_FINAL_DUE, B_RETRANSMIT_DUE, B_RETRANSMIT_INTERVAL, B_STATE } from '../memory/words.js';
import { ANSWER_IGNORED, ANSWER_PASSED, clientFinished } from './client-invite.js';
import { BRANCH_CALLING, BRANCH_PROCEEDING } from './states.js';
import { type Timers, tickAfter } from './timers.js';

export function clientNonInviteStart(x: Uint32Array, b: number, now: number, timers: Timers): void {
  x[b + B_STATE] = BRANCH_CALLING;
  x[b + B_RETRANSMIT_INTERVAL] = timers.t1Ticks;
  x[b + B_RETRANSMIT_DUE] = tickAfter(now, timers.t1Ticks);
  x[b + B_FINAL_DUE] = tickAfter(now, timers.noAnswerTicks);
}

/** Timer E fired: the request is repeated; sets the next time. */
export function clientNonInviteDue(x: Uint32Array, b: number, now: number, timers: Timers): void {
  const interval =
    x[b + B_STATE] === BRANCH_PROCEEDING
      ? timers.t2Ticks
      : Math.min(x[b + B_RETRANSMIT_INTERVAL]! * 2, timers.t2Ticks);
  x[b + B_RETRANSMIT_INTERVAL] = interval;
  x[b + B_RETRANSMIT_DUE] = tickAfter(now, interval);
}

export function clientNonInviteAnswer(x: Uint32Array, b: number, code: number): number {
  const state = x[b + B_STATE]!;
  if (state !== BRANCH_CALLING && state !== BRANCH_PROCEEDING) return ANSWER_IGNORED;
  if (code < 200) {
    x[b + B_STATE] = BRANCH_PROCEEDING;
    x[b + B_CODE] = code;
    return ANSWER_PASSED;
  }
  clientFinished(x, b, code);
  return ANSWER_PASSED;
}
