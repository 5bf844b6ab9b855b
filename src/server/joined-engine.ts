/**
 * What management sees and does: dialogs, profiles and statistics of all shards, joined.
 *
 * Every thread sees the same segment, so to look needs no shard: each dialog is copied under its own entry's lock.  What
 * sends requests is asked of the worker that owns the dialog.
 */
import type { Clock } from '../clock.js';
import type { ContextFields } from '../dialog/callbacks.js';
import type { DialogView } from '../dialog/dialog.js';
import { DELETED } from '../dialog/machine.js';
import type { ProfileParams } from '../dialog/profile.js';
import { type DialogPage, DialogReader, type DialogSource } from '../dialog/reader.js';
import { addon, type SegmentId } from '../memory/addon.js';
import type { EndOutcome, EngineView, SegmentUsage, StateOutcome, Wanted } from '../rpc/ports.js';
import type { Ask } from './commands.js';

/** Bytes of the records themselves; their texts are the arena's.  [native/core/layout.h] */
const DIALOG_RECORD_BYTES = 64;
const TRANSACTION_RECORD_BYTES = 256;

type Params = ProfileParams & { readonly hash_size: number };

function nobodyThere(): Promise<never> {
  return Promise.reject(new Error('no worker to ask'));
}

export class JoinedEngine implements EngineView {
  private readonly id: SegmentId;
  private readonly dialogs: DialogReader;

  private readonly entries: number;
  private readonly workers: number;
  private readonly ask: Ask;
  private readonly auditDifference: () => number;

  /** `ask` left out: there are no workers to ask; `auditDifference` left out: nobody audits. */
  constructor(
    segment: SegmentId,
    params: Params,
    clock: Clock,
    workers = 1,
    ask: Ask = nobodyThere,
    auditDifference: () => number = () => 0,
  ) {
    this.id = segment;
    this.entries = params.hash_size;
    this.workers = workers;
    this.ask = ask;
    this.auditDifference = auditDifference;
    this.dialogs = new DialogReader(sourceOf(segment), params, clock);
  }

  list(cursor: number, limit: number, wanted?: Wanted): DialogPage {
    return this.dialogs.list(cursor, limit, wanted);
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

  async end(entry: number, id: number, headers: string): Promise<EndOutcome> {
    try {
      return (await this.ask(this.ownerOf(entry), { kind: 'end', entry, id, headers })) as EndOutcome;
    } catch {
      return 'not_now';
    }
  }

  /** Each by itself; the first that did not simply end is told. */
  async terminate(callId: string, fromTag: string | null, toTag: string | null): Promise<EndOutcome> {
    let outcome: EndOutcome = 'gone';
    for (const { h_entry, h_id, state, caller, callee } of this.dialogs.find(callId, fromTag)) {
      if (state === DELETED || (toTag !== null && caller.tag !== toTag && callee.tag !== toTag)) continue;
      const one = await this.end(h_entry, h_id, '');
      if (outcome === 'gone' || outcome === 'ended') outcome = one;
    }
    return outcome;
  }

  async setState(entry: number, id: number, state: number): Promise<StateOutcome> {
    try {
      const done = await this.ask(this.ownerOf(entry), { kind: 'set_state', entry, id, state });
      return done === 'gone' ? 'gone' : done === true ? 'done' : 'ended';
    } catch {
      return 'not_now';
    }
  }

  async contextFields(dialogs: readonly DialogView[]): Promise<readonly ContextFields[]> {
    const fields: ContextFields[] = dialogs.map(() => ({}));
    const asked = Array.from({ length: this.workers }, async (_, owner) => {
      const places = [...dialogs.keys()].filter((n) => this.ownerOf(dialogs[n]!.h_entry) === owner);
      if (places.length === 0) return;
      const addresses = places.map((n) => ({ entry: dialogs[n]!.h_entry, id: dialogs[n]!.h_id }));
      try {
        const answer = await this.ask(owner, { kind: 'context', dialogs: addresses });
        for (const [at, n] of places.entries()) fields[n] = (answer as readonly ContextFields[])[at] ?? {};
      } catch {
        // Whoever lists sees the dialogs all the same.
      }
    });
    await Promise.all(asked);
    return fields;
  }

  async bridge(from: string, to: string, outbound: string, sdp: string | null): Promise<boolean> {
    try {
      return (await this.ask(0, { kind: 'bridge', from, to, outbound, sdp })) === true;
    } catch {
      return false;
    }
  }

  /** As the segment shares out its entries.  [native/core/segment.h] */
  private ownerOf(entry: number): number {
    return Math.floor(((entry % this.entries) * this.workers) / this.entries);
  }

  statistics(): Readonly<Record<string, number>> {
    return {
      ...addon.statistics(this.id),
      [KERNEL_DROPS]: addon.kernelDrops(this.id),
      [AUDIT_DIFFERENCE]: this.auditDifference(),
    };
  }

  resetStatistic(name: string): boolean {
    return addon.statisticsReset(this.id, name);
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

/** Datagrams that the kernel had no room for: its own count, so it cannot be reset. */
const KERNEL_DROPS = 'core:kernel_drops';
/** What the audit finds is there until it is not: it cannot be reset either. */
const AUDIT_DIFFERENCE = 'dialog:audit_difference';

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
