/**
 * Until when a dialog lives.
 *
 * Unconfirmed and early dialogs are bounded by their INVITE transaction and have no deadline of their own, unless they
 * were left without one.  From the 2xx on the lifetime runs, and until the ACK also the patience for it; the ACK starts
 * the lifetime again, so a late one finds it as it was.  Deadlines are seconds of the clock that counts from boot.
 * [manual 5.6, 5.49]
 */
import { CONFIRMED, CONFIRMED_NO_ACK } from './machine.js';
import { PROPERTY_TIMEOUT_NORESET } from './record.js';

/** An answered call whose ACK is overdue ends this much later. */
export const NO_ACK_GRACE_SECONDS = 10;
/** Longest lifetime a route may ask for. */
export const LIFETIME_SECONDS_MAX = 31_536_000;

/** The rows of the configuration that deadlines depend on. */
export type LifetimeParams = {
  readonly default_timeout: number;
  readonly early_timeout: number;
  readonly noack_timeout: number;
  readonly timeout_noreset: number;
};

export class Lifetime {
  private readonly params: LifetimeParams;

  constructor(params: LifetimeParams) {
    this.params = params;
  }

  /** Lifetime of a new dialog: what the route asked for in $dlg_ctx(timeout), else in its AVP, else the default. */
  initial(askedSeconds: number, avpSeconds: number): number {
    if (askedSeconds > 0) return Math.min(askedSeconds, LIFETIME_SECONDS_MAX);
    return avpSeconds > 0 ? avpSeconds : this.params.default_timeout;
  }

  /** Deadline of a call that is answered now. */
  dueAtAnswer(nowBoot: number, lifetimeSeconds: number): number {
    return nowBoot + Math.min(lifetimeSeconds, this.noAckSeconds());
  }

  /** Deadline of a call that is confirmed, or refreshed, now. */
  dueAtRefresh(nowBoot: number, lifetimeSeconds: number): number {
    return nowBoot + lifetimeSeconds;
  }

  /**
   * Deadline after dlg_set_timeout in state 3 or 4; `sinceAnswerSeconds` have passed since the 2xx.
   *
   * Without an ACK no lifetime, however long, goes beyond the patience for it: where that is over the call ends now.
   */
  dueAtSet(state: number, nowBoot: number, lifetimeSeconds: number, sinceAnswerSeconds: number): number {
    if (state !== CONFIRMED_NO_ACK) return nowBoot + lifetimeSeconds;
    const patience = Math.max(this.noAckSeconds() - Math.max(sinceAnswerSeconds, 0), 0);
    return nowBoot + Math.min(lifetimeSeconds, patience);
  }

  /** Deadline of an unanswered dialog that no transaction bounds. */
  dueWithoutTransaction(nowBoot: number): number {
    return nowBoot + this.params.early_timeout;
  }

  /** Whether a sequential request starts the lifetime again. */
  isReset(state: number, properties: number): boolean {
    return (
      state === CONFIRMED &&
      this.params.timeout_noreset === 0 &&
      (properties & PROPERTY_TIMEOUT_NORESET) === 0
    );
  }

  private noAckSeconds(): number {
    return this.params.noack_timeout + NO_ACK_GRACE_SECONDS;
  }
}
