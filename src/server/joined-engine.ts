/**
 * What management reads: dialogs, profiles and statistics of all shards, joined.
 *
 * Every thread sees the same segment, so nothing is asked of a shard: each dialog is copied under its own entry's lock.
 */
import type { Clock } from '../clock.js';
import type { DialogView } from '../dialog/dialog.js';
import type { ProfileParams } from '../dialog/profile.js';
import { type DialogPage, DialogReader, type DialogSource } from '../dialog/reader.js';
import { addon, type SegmentId } from '../memory/addon.js';
import type { EngineView, SegmentUsage } from '../rpc/ports.js';

/** Bytes of the records themselves; their texts are the arena's.  [native/core/layout.h] */
const DIALOG_RECORD_BYTES = 64;
const TRANSACTION_RECORD_BYTES = 256;

export class JoinedEngine implements EngineView {
  private readonly id: SegmentId;
  private readonly dialogs: DialogReader;

  constructor(segment: SegmentId, params: ProfileParams, clock: Clock) {
    this.id = segment;
    this.dialogs = new DialogReader(sourceOf(segment), params, clock);
  }

  list(cursor: number, limit: number): DialogPage {
    return this.dialogs.list(cursor, limit);
  }

  find(callId: string, fromTag: string | null): readonly DialogView[] {
    return this.dialogs.find(callId, fromTag);
  }

  profileSize(profile: string, value: string | null): number | null {
    return this.dialogs.profileSize(profile, value);
  }

  profileMembers(profile: string, value: string | null): Iterable<DialogView> | null {
    return this.dialogs.profileMembers(profile, value);
  }

  activeByState(): readonly [number, number, number, number] {
    return this.dialogs.activeByState();
  }

  statistics(): Readonly<Record<string, number>> {
    return addon.statistics(this.id);
  }

  segment(): SegmentUsage {
    const usage = addon.segmentUsage(this.id);
    return {
      totalBytes: usage.totalBytes,
      usedBytes: usage.usedBytes,
      pools: [
        {
          name: 'dialogs',
          unitBytes: DIALOG_RECORD_BYTES,
          total: usage.dialogsMax,
          used: usage.dialogs,
        },
        {
          name: 'transactions',
          unitBytes: TRANSACTION_RECORD_BYTES,
          total: usage.transactionsMax,
          used: usage.transactions,
        },
        { name: 'arena', unitBytes: 1, total: usage.arenaTotalBytes, used: usage.arenaUsedBytes },
      ],
    };
  }
}

function sourceOf(segment: SegmentId): DialogSource {
  return {
    snapshot: (index, out) => addon.snapshot(segment, index, out),
    next: (cursor) => addon.nextDialog(segment, cursor),
    findCall: (callId, nth) => addon.findCall(segment, callId, '', nth),
    profileCount: (name, value) => addon.profileCount(segment, name, value),
    profileMembers: (name, value, skip, out) => addon.profileMembers(segment, name, value, skip, out),
    bootSeconds: () => addon.bootSeconds(),
  };
}
