/**
 * What management needs from the engine: snapshots, plain data only.
 *
 * Whoever assembles the product implements EngineView; commands/ read it, every door prints what they return.
 * What only looks is synchronous and bounded: a page, one dialog, one table of numbers.
 */

import type { ContextFields } from '../dialog/callbacks.js';
import type { DialogView } from '../dialog/dialog.js';
import type { EndResult } from '../dialog/ending.js';
import type { DialogPage, WholeDialog } from '../dialog/reader.js';

export type { DialogView, LegView } from '../dialog/dialog.js';
export type { DialogPage, WholeDialog } from '../dialog/reader.js';

/** Which dialogs a page is to have. */
export type Wanted = (dialog: WholeDialog) => boolean;

/** How a command to end a call came out. */
export type EndOutcome =
  | EndResult
  /** The added lines are no header lines, or belong to the dialog. */
  | 'bad_headers'
  /** The worker of the call does not answer. */
  | 'not_now';

/** How a command to force a state came out; 'ended': it had ended, and stays so. */
export type StateOutcome = 'done' | 'gone' | 'ended' | 'not_now';

/** One pool of the shared segment, counted in its own units (records or blocks). */
export type PoolUsage = {
  readonly name: string;
  readonly unitBytes: number;
  readonly total: number;
  readonly used: number;
};

/** How full the shared segment is. */
export type SegmentUsage = {
  readonly totalBytes: number;
  readonly usedBytes: number;
  readonly pools: readonly PoolUsage[];
};

/** What management may see and do. */
export interface EngineView {
  /**
   * Dialogs in all states, in order of their records.
   *
   * @param cursor 0 at first, then the `next` of the page before
   * @param limit  at most this many dialogs; fewer, even none, may come although there are more
   * @param wanted left out: all
   */
  list(cursor: number, limit: number, wanted?: Wanted): DialogPage;
  /** Dialogs with this Call-ID; with this caller or callee tag only, unless it is null. */
  find(callId: string, fromTag: string | null): readonly DialogView[];
  /** Memberships of a profile, of one value unless that is null; null: no such profile. */
  profileSize(profile: string, value: string | null): number | null;
  /** A dialog for each membership; null: no such profile. */
  profileMembers(profile: string, value: string | null): Iterable<DialogView> | null;
  /** Dialogs in the states 1, 2, 3 and 4. */
  activeByState(): readonly [number, number, number, number];
  /** Every statistic: `dialog:active_dialogs`, `tm:…`, `core:…`. */
  statistics(): Readonly<Record<string, number>>;
  /** Has a statistic count from 0 again.  False: there is none of that name, or it tells what is up now. */
  resetStatistic(name: string): boolean;
  segment(): SegmentUsage;

  // What is done is done by the shard that owns the dialog, and its answer waited for.

  /** Ends the dialog of an address; `headers` is whole header lines for its BYEs. */
  end(entry: number, id: number, headers: string): Promise<EndOutcome>;
  /** Ends the dialogs with this Call-ID, and these tags unless they are null. */
  terminate(callId: string, fromTag: string | null, toTag: string | null): Promise<EndOutcome>;
  /** Forces the state of the dialog of an address; nothing follows from it. */
  setState(entry: number, id: number, state: number): Promise<StateOutcome>;
  /** What listeners add to a listing of each of these dialogs; of one whose worker does not answer, nothing. */
  contextFields(dialogs: readonly DialogView[]): Promise<readonly ContextFields[]>;
  /** Calls `from`, by way of `outbound` unless that is '', and refers it to `to`; sdp null: on hold. */
  bridge(from: string, to: string, outbound: string, sdp: string | null): Promise<boolean>;
}

/** How the process is doing, for /healthz and its kin. */
export type Health = {
  readonly state: 'starting' | 'ready' | 'draining';
  readonly workersWanted: number;
  readonly workersRunning: number;
};
