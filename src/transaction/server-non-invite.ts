/**
 * The non-INVITE server transaction.  [RFC 3261 17.2.2]
 */
import { T_CODE, T_END_DUE, T_FINISHED, T_STATE } from '../memory/words.js';
import { lingerOn } from './server-invite.js';
import { SERVER_COMPLETED } from './states.js';
import { type Timers, tickAfter } from './timers.js';

/** An answer goes upstream. */
export function nonInviteAnswered(x: Uint32Array, code: number, now: number, timers: Timers): void {
  if (code < 200) return;
  x[T_FINISHED] = now;
  x[T_STATE] = SERVER_COMPLETED;
  x[T_END_DUE] = tickAfter(now, timers.waitTicks);
}

/** A copy of the request came.  True: the last answer, if any was sent, is to be repeated. */
export function nonInviteRepeated(x: Uint32Array, now: number, timers: Timers): boolean {
  lingerOn(x, now, timers);
  return x[T_CODE] !== 0;
}
