/**
 * The INVITE server transaction.  [RFC 3261 17.2.1, RFC 6026 7.1]
 *
 * Functions over the registers X of the transaction in hand; none sends anything.
 */
import { T_END_DUE, T_FINISHED, T_RETRANSMIT_DUE, T_RETRANSMIT_INTERVAL, T_STATE } from '../memory/words.js';
import { SERVER_ACCEPTED, SERVER_COMPLETED, SERVER_CONFIRMED, SERVER_PROCEEDING } from './states.js';
import { isLater, type Timers, tickAfter } from './timers.js';

/** An answer goes upstream. */
export function inviteAnswered(x: Uint32Array, code: number, now: number, timers: Timers): void {
  if (code < 200) return;
  x[T_FINISHED] = now;
  if (code < 300) {
    x[T_STATE] = SERVER_ACCEPTED;
    x[T_RETRANSMIT_DUE] = 0;
    x[T_END_DUE] = tickAfter(now, timers.waitTicks);
    return;
  }
  x[T_STATE] = SERVER_COMPLETED;
  x[T_RETRANSMIT_INTERVAL] = timers.t1Ticks;
  x[T_RETRANSMIT_DUE] = tickAfter(now, timers.t1Ticks);
  x[T_END_DUE] = tickAfter(now, timers.patienceTicks);
}

/** A copy of the INVITE came.  True: the last answer is to be repeated. */
export function inviteRepeated(x: Uint32Array, now: number, timers: Timers): boolean {
  const state = x[T_STATE]!;
  if (state === SERVER_ACCEPTED || state === SERVER_CONFIRMED) lingerOn(x, now, timers);
  return state === SERVER_PROCEEDING || state === SERVER_COMPLETED;
}

/** An ACK with the INVITE's branch came.  True: it belonged to our negative answer and goes no further. */
export function inviteAcknowledged(x: Uint32Array, now: number, timers: Timers): boolean {
  switch (x[T_STATE]) {
    case SERVER_COMPLETED:
      x[T_STATE] = SERVER_CONFIRMED;
      x[T_RETRANSMIT_DUE] = 0;
      x[T_END_DUE] = tickAfter(now, timers.waitTicks);
      return true;
    case SERVER_ACCEPTED:
      return false;
    default:
      lingerOn(x, now, timers);
      return true;
  }
}

/** Timer G fired: the negative answer is repeated; sets the next time. */
export function inviteAnswerDue(x: Uint32Array, now: number, timers: Timers): void {
  const interval = Math.min(x[T_RETRANSMIT_INTERVAL]! * 2, timers.t2Ticks);
  x[T_RETRANSMIT_INTERVAL] = interval;
  x[T_RETRANSMIT_DUE] = tickAfter(now, interval);
}

/** A finished transaction stays for wt_timer after the last message it absorbed, at most 64 * T1 in all. */
export function lingerOn(x: Uint32Array, now: number, timers: Timers): void {
  if (x[T_STATE] === SERVER_PROCEEDING) return;
  const soon = tickAfter(now, timers.waitTicks);
  const last = tickAfter(x[T_FINISHED]!, timers.patienceTicks);
  const due = isLater(soon, last) ? last : soon;
  if (x[T_END_DUE] === 0 || isLater(due, x[T_END_DUE]!)) x[T_END_DUE] = due;
}
