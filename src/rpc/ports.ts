/**
 * What management needs from the engine: snapshots, plain data only.
 *
 * Whoever assembles the product implements EngineView; commands/ read it, every door prints what they return.
 * All calls are synchronous and bounded: a page, one dialog, one table of numbers.
 */

/** One side of a dialog as management prints it.  null: not known, or empty.  [spec 10.4] */
export type LegView = {
  readonly tag: string | null;
  readonly contact: string | null;
  /** Text, as everywhere in these replies. */
  readonly cseq: string | null;
  readonly route_set: string | null;
  /** `udp:192.0.2.1:5060` */
  readonly socket: string | null;
};

/** One dialog as management prints it: these names, in this order.  [manual 9.1] */
export type DialogView = {
  readonly h_entry: number;
  readonly h_id: number;
  readonly ref: number;
  readonly 'call-id': string;
  readonly from_uri: string;
  readonly to_uri: string;
  /** 1 unconfirmed, 2 early, 3 confirmed without ACK, 4 confirmed, 5 deleted */
  readonly state: number;
  /** Unix time of the answer; 0 before it. */
  readonly start_ts: number;
  readonly init_ts: number;
  /** 0 while the dialog lives. */
  readonly end_ts: number;
  /** Seconds since the answer, up to the end; 0 for a call that was never answered. */
  readonly duration: number;
  /** Unix time of the expiry; 0 when none is set. */
  readonly timeout: number;
  readonly lifetime: number;
  readonly dflags: number;
  readonly sflags: number;
  readonly iflags: number;
  readonly caller: LegView;
  readonly callee: LegView;
  /** A name, or `{name: value}`, newest first; empty in state 5. */
  readonly profiles: readonly (string | { readonly [profile: string]: string })[];
  /** `{key: value}` each, newest first; empty in state 5. */
  readonly variables: readonly { readonly [key: string]: string }[];
};

/** Some dialogs, and where to go on; null: that was all. */
export type DialogPage = { readonly dialogs: readonly DialogView[]; readonly next: number | null };

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

/** Read access to the engine. */
export interface EngineView {
  /**
   * Dialogs in all states, in order of their records.
   *
   * @param cursor 0 at first, then the `next` of the page before
   * @param limit  at most this many dialogs; fewer, even none, may come although there are more
   */
  list(cursor: number, limit: number): DialogPage;
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
  segment(): SegmentUsage;
}

/** How the process is doing, for /healthz and its kin. */
export type Health = {
  readonly state: 'starting' | 'ready' | 'draining';
  readonly workersWanted: number;
  readonly workersRunning: number;
};
