/**
 * What the dialog room counts, one row each.  [manual 7]
 *
 * active_dialogs and early_dialogs belong to the records and are kept by the native table with each change of state;
 * the rest is counted here, in the shard's own counters.
 */
import { constant } from '../memory/words.js';

export const COUNTERS = {
  /** Dialogs made; not spirals. */
  processed: constant('CounterProcessedDialogs'),
  /** Answered dialogs whose time was over. */
  expired: constant('CounterExpiredDialogs'),
  /** Dialogs that ended without a 2xx. */
  failed: constant('CounterFailedDialogs'),
  /** Sequential requests by how they found their dialog. */
  matchedByCookie: constant('CounterMatchedByCookie'),
  matchedByTags: constant('CounterMatchedByTags'),
  unmatched: constant('CounterUnmatched'),
  /** Cookies that were malformed, or named no dialog or one of other ends. */
  badCookie: constant('CounterBadCookie'),
  /** Messages that made no sense in the dialog's state. */
  stray: constant('CounterStrayEvents'),
  /** INVITEs that came by again and belong to the dialog they already have. */
  spirals: constant('CounterSpirals'),
  /** Dialogs that were not made for want of room. */
  noRoom: constant('CounterDialogNoMemory'),
  /** Values of profiles that are too long; variables that are too long or for which there is no room. */
  refusedValue: constant('CounterRefusedValue'),
  refusedVariable: constant('CounterRefusedVariable'),
  /** 2xx of one INVITE that made no dialog, for there are enough of it. */
  forksRefused: constant('CounterForksRefused'),
  /** Joins refused because the profile was full. */
  limits: constant('CounterProfileLimits'),
  /** Requests of our own inside calls: BYEs to end them, OPTIONS to see whether they are still there. */
  byesSent: constant('CounterByesSent'),
  probesSent: constant('CounterProbesSent'),
  /** Event routes run. */
  eventRoutes: constant('CounterEventRoutes'),
} as const;
