/**
 * DialogReader: every dialog of the segment, to read, from any thread.
 *
 * Plain data only, one consistent copy of one dialog at a time, so that nothing waits for a listing.  Whoever wants to
 * hear of changes registers callbacks with the tracker of the shard (callbacks.ts).
 */
import type { Clock } from '../clock.js';
import { type DialogHandle, type DialogView, readSnapshot, type Snapshot } from './dialog.js';
import { CONFIRMED, UNCONFIRMED } from './machine.js';
import { type ProfileParams, profileDefinitions } from './profile.js';
import { SNAPSHOT_BYTES_MAX } from './record.js';

/** Where copies come from: the addon, told of a segment. */
export interface DialogSource {
  /** Copies the record into `out`; bytes written, 0: it is gone. */
  snapshot(index: number, out: Uint8Array): number;
  /** The next record in use from `cursor` on, 0: none. */
  next(cursor: number): number;
  /** The nth dialog with this Call-ID, 0: none. */
  findCall(callId: string, nth: number): number;
  /** Members of a profile, of one value unless that is null. */
  profileCount(name: string, value: string | null): number;
  /** Handles of members from the skip-th on as pairs of words; how many were written. */
  profileMembers(name: string, value: string | null, skip: number, out: Uint32Array): number;
  bootSeconds(): number;
}

/** A dialog with its first Request-URI, which listings leave out. */
export type WholeDialog = DialogView & { readonly request_uri: string };

/** Some dialogs, and where to go on; null: that was all. */
export type DialogPage = { readonly dialogs: readonly DialogView[]; readonly next: number | null };

/** Records that one page looks at, whether they are still there or not. */
const LOOKS_PER_PAGE_MAX = 1024;
/** Dialogs of one Call-ID. */
const SAME_CALL_ID_MAX = 256;
/** Members fetched at a time: two words each. */
const MEMBERS_AT_A_TIME = 256;

export class DialogReader {
  private readonly source: DialogSource;
  private readonly clock: Clock;
  private readonly profileNames: ReadonlySet<string>;
  private readonly copy = Buffer.alloc(SNAPSHOT_BYTES_MAX);

  constructor(source: DialogSource, params: ProfileParams, clock: Clock) {
    this.source = source;
    this.clock = clock;
    this.profileNames = new Set(profileDefinitions(params).map(({ name }) => name));
  }

  /**
   * Dialogs in all states, in order of their records.
   *
   * @param cursor 0 at first, then the `next` of the page before
   * @param wanted left out: all
   */
  list(cursor: number, limit: number, wanted: (dialog: WholeDialog) => boolean = () => true): DialogPage {
    const dialogs: DialogView[] = [];
    let index = this.source.next(Math.max(cursor, 1));
    for (let looks = 0; index !== 0 && dialogs.length < limit && looks < LOOKS_PER_PAGE_MAX; looks++) {
      const dialog = this.read(index);
      if (dialog !== null && wanted(dialog)) dialogs.push(viewOf(dialog));
      index = this.source.next(index + 1);
    }
    return { dialogs, next: index === 0 ? null : index };
  }

  /** The dialog of a record; null if it is gone. */
  get(handle: DialogHandle): DialogView | null {
    const dialog = this.read(handle.index);
    return dialog !== null && dialog.handle.generation === handle.generation ? viewOf(dialog) : null;
  }

  /** Dialogs with this Call-ID, and unless it is null with this tag on either side. */
  find(callId: string, tag: string | null): readonly DialogView[] {
    const dialogs: DialogView[] = [];
    for (let nth = 0; nth < SAME_CALL_ID_MAX; nth++) {
      const index = this.source.findCall(callId, nth);
      if (index === 0) break;
      const dialog = this.read(index);
      if (dialog === null || dialog['call-id'] !== callId) continue;
      if (tag === null || dialog.caller.tag === tag || dialog.callee.tag === tag)
        dialogs.push(viewOf(dialog));
    }
    return dialogs;
  }

  /** Memberships of a profile, of one value unless that is null; null: no such profile. */
  profileSize(profile: string, value: string | null): number | null {
    return this.profileNames.has(profile) ? this.source.profileCount(profile, value) : null;
  }

  /** A dialog for each membership; null: no such profile. */
  profileMembers(profile: string, value: string | null): Iterable<DialogView> | null {
    return this.profileNames.has(profile) ? this.eachMember(profile, value) : null;
  }

  /** Dialogs in the states 1, 2, 3 and 4, each looked at by itself. */
  activeByState(): readonly [number, number, number, number] {
    const counts: [number, number, number, number] = [0, 0, 0, 0];
    for (let index = this.source.next(1); index !== 0; index = this.source.next(index + 1)) {
      const state = this.read(index)?.state ?? 0;
      if (state >= UNCONFIRMED && state <= CONFIRMED) counts[state - 1]! += 1;
    }
    return counts;
  }

  private *eachMember(profile: string, value: string | null): Generator<DialogView> {
    const handles = new Uint32Array(2 * MEMBERS_AT_A_TIME);
    for (let skip = 0; ; skip += MEMBERS_AT_A_TIME) {
      const count = this.source.profileMembers(profile, value, skip, handles);
      for (let n = 0; n < count; n++) {
        const dialog = this.get({ index: handles[2 * n]!, generation: handles[2 * n + 1]! });
        if (dialog !== null) yield dialog;
      }
      if (count < MEMBERS_AT_A_TIME) return;
    }
  }

  private read(index: number): Snapshot | null {
    if (this.source.snapshot(index, this.copy) === 0) return null;
    const bootSeconds = this.source.bootSeconds();
    return readSnapshot(this.copy, 0, { bootSeconds, unixSeconds: this.clock.unixSeconds() }, 'utf8');
  }
}

/** The fields that management prints, and no others. */
function viewOf(snapshot: Snapshot): DialogView {
  const {
    handle: _handle,
    request_uri: _uri,
    timeout_route: _route,
    caller_source: _caller,
    callee_source: _callee,
    ...view
  } = snapshot;
  return view;
}
