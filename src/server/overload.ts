/**
 * When a shard is behind: it takes on no new calls until it has worked off what waits.
 *
 * The queue is first in, first out, so what a call that is up needs stands behind INVITEs.  Refusing those is a tenth of
 * the work, and the queue is soon empty; a shorter queue would be no better, for emptying it is what proves that the
 * shard keeps up.  Each shard decides for itself.
 */
import type { Faults } from '../proxy/workspace.js';

/**
 * A shard that begins finds what waited while nobody ran, and its code is cold: calls of a process that was killed would be
 * refused for that.
 */
const WARM_MS = 5_000;
/** Some were lost for want of room. */
const OVERFLOWED = 0xffffffff;

export class Overload {
  private readonly delayMs: number;
  private readonly faults: Faults;
  private behind = false;

  /** @param delayMs `core:overload_delay_ms`; 0: never behind */
  constructor(delayMs: number, faults: Faults) {
    this.delayMs = delayMs;
    this.faults = faults;
  }

  /**
   * Whether the batch in hand is one of a shard that is behind.
   *
   * @param backlogMs since the queues were last empty; 0: they are
   * @param waitedMs what the last datagram of the batch has waited, 0xffffffff: others were lost
   * @param servesMs since the shard began
   */
  isBehind(backlogMs: number, waitedMs: number, servesMs: number): boolean {
    if (backlogMs === 0 || servesMs < WARM_MS) this.behind = false;
    else if (!this.behind && this.delayMs > 0) this.look(backlogMs, waitedMs);
    return this.behind;
  }

  private look(backlogMs: number, waitedMs: number): void {
    const isLate = waitedMs === OVERFLOWED || (backlogMs >= this.delayMs && waitedMs >= this.delayMs);
    if (!isLate) return;
    this.behind = true;
    const waited = waitedMs === OVERFLOWED ? {} : { waited_ms: waitedMs };
    this.faults.warn('overloaded', { ...waited, backlog_ms: backlogMs, answered: 503 });
  }
}
