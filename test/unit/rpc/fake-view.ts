/** An engine made of a list of dialogs. */
import type { DialogView, EndOutcome, EngineView, StateOutcome, Wanted } from '../../../dist/rpc/ports.js';

export function dialog(number: number, changes: Partial<DialogView> = {}): DialogView {
  return {
    h_entry: 1006,
    h_id: number,
    ref: 2,
    'call-id': `call-${number}@10.0.0.1`,
    from_uri: 'sip:alice@example.com',
    to_uri: 'sip:bob@example.com',
    state: 4,
    start_ts: 1420070400,
    init_ts: 1420070395,
    end_ts: 0,
    duration: 12,
    timeout: 1420113602,
    lifetime: 43200,
    dflags: 512,
    sflags: 0,
    iflags: 0,
    caller: {
      tag: 'a1',
      contact: 'sip:alice@192.0.2.10:5062',
      cseq: '7',
      route_set: null,
      socket: 'udp:198.51.100.1:5060',
    },
    callee: {
      tag: 'b2',
      contact: 'sip:bob@203.0.113.9',
      cseq: '0',
      route_set: null,
      socket: 'udp:198.51.100.1:5060',
    },
    profiles: ['outbound', { caller: 'alice' }],
    variables: [{ billing: 'b-17' }],
    ...changes,
  };
}

export class FakeView implements EngineView {
  readonly dialogs: readonly DialogView[];
  pagesRead = 0;

  constructor(dialogs: readonly DialogView[]) {
    this.dialogs = dialogs;
  }

  list(cursor: number, limit: number, wanted: Wanted = () => true) {
    this.pagesRead += 1;
    const end = cursor + limit;
    const dialogs = this.dialogs
      .slice(cursor, end)
      .filter((d) => wanted({ ...d, request_uri: `sip:${d.h_id}@example.com` }));
    return { dialogs, next: end < this.dialogs.length ? end : null };
  }

  find(callId: string, fromTag: string | null) {
    return this.dialogs.filter(
      (d) =>
        d['call-id'] === callId && (fromTag === null || d.caller.tag === fromTag || d.callee.tag === fromTag),
    );
  }

  profileSize(profile: string, value: string | null) {
    const members = this.profileMembers(profile, value);
    return members === null ? null : members.length;
  }

  profileMembers(profile: string, value: string | null) {
    if (profile === 'outbound') return this.dialogs.filter((d) => d.profiles.includes('outbound'));
    if (profile !== 'caller') return null;
    return this.dialogs.flatMap((d) =>
      d.profiles.filter((p) => typeof p === 'object' && (value === null || p.caller === value)).map(() => d),
    );
  }

  activeByState(): [number, number, number, number] {
    const count = (state: number) => this.dialogs.filter((d) => d.state === state).length;
    return [count(1), count(2), count(3), count(4)];
  }

  readonly counters: Record<string, number> = {
    'dialog:active_dialogs': 2,
    'dialog:early_dialogs': 0,
    'tm:current': 5,
    'core:drops': 0,
  };

  statistics() {
    return { ...this.counters };
  }

  resetStatistic(name: string) {
    if (!name.startsWith('tm:')) return false;
    this.counters[name] = 0;
    return true;
  }

  /** What was asked for, and what it is answered with. */
  readonly asked: unknown[] = [];
  outcome: EndOutcome = 'ended';

  async end(...args: readonly unknown[]) {
    this.asked.push(['end', ...args]);
    return this.outcome;
  }

  async terminate(...args: readonly unknown[]) {
    this.asked.push(['terminate', ...args]);
    return this.outcome;
  }

  stateOutcome: StateOutcome = 'done';

  async setState(...args: readonly unknown[]) {
    this.asked.push(['setState', ...args]);
    return this.stateOutcome;
  }

  async contextFields(dialogs: readonly DialogView[]) {
    return dialogs.map((d) => ({ tariff: `t${d.h_id}`, state: 'not theirs' }));
  }

  async bridge(...args: readonly unknown[]) {
    this.asked.push(['bridge', ...args]);
    return this.outcome === 'ended';
  }

  segment() {
    return {
      totalBytes: 268_435_456,
      usedBytes: 1_024,
      pools: [{ name: 'dialogs', unitBytes: 64, total: 1_000, used: 2 }],
    };
  }
}
