/** $DLG_count, $DLG_status, $DLG_lifetime.  [manual 8.4-8.6] */
import type { DialogTracker } from '../../dialog/tracker.js';

/** Answered dialogs, over all shards; 0 when statistics are off. */
export function $DLG_count(tracker: DialogTracker): number {
  return tracker.params.enable_stats === 1 ? tracker.activeDialogs() : 0;
}

/** State after the sequential request in hand; null if it was not matched. */
export function $DLG_status(tracker: DialogTracker): number | null {
  const { status } = tracker.context;
  return status === 0 ? null : status;
}

/** Seconds from the answer until the sequential request in hand came; 0 before the answer, null if it was not matched. */
export function $DLG_lifetime(tracker: DialogTracker): number | null {
  const { status, lifetimeSeconds } = tracker.context;
  return status === 0 ? null : lifetimeSeconds;
}
