/**
 * What a change of state sets in motion, beyond what the native change did in the same step (timer, counts, profiles).
 *
 * tracker.ts hands over the pair (old, new); the table says which consequence it has, and act() is where all of them
 * happen, in a fixed order: event route, callbacks, counters.  Database, cluster and other followers of a dialog are
 * told from here and nowhere else.
 */
import type { Message } from '../sip/message.js';
import { type Callbacks, DLGCB } from './callbacks.js';
import { CONFIRMED, EARLY } from './machine.js';
import type { DialogEvents, DialogLog } from './ports.js';
import type { Records } from './record.js';
import { COUNTERS } from './statistics.js';

export const NOTHING = 0;
/** Answered: event start, CONFIRMED_NA. */
export const ANSWERED = 1;
/** The ACK is here: CONFIRMED. */
export const ACKNOWLEDGED = 2;
/** Never answered: event failed, FAILED. */
export const FAILED = 3;
/** Was answered and is over: event end, TERMINATED or EXPIRED. */
export const ENDED = 4;
/** A 2xx after all, though a negative answer had gone upstream: event start, CONFIRMED_NA. */
export const REVIVED = 5;

// from (row) -> to (column); '.' nothing
const EFFECT = [
  //   U E N        C            D
  row('. . answered .            failed'), // unconfirmed
  row('. . answered .            failed'), // early
  row('. . .        acknowledged ended'), //  confirmed, no ACK yet
  row('. . .        .            ended'), //  confirmed
  row('. . revived  .            .'), //      deleted
];

/** The consequence of going from one state to another. */
export function effectOf(from: number, to: number): number {
  return EFFECT[from - 1]?.[to - 1] ?? NOTHING;
}

function row(columns: string): readonly number[] {
  const names: Readonly<Record<string, number>> = {
    '.': NOTHING,
    answered: ANSWERED,
    acknowledged: ACKNOWLEDGED,
    failed: FAILED,
    ended: ENDED,
    revived: REVIVED,
  };
  return columns.split(/\s+/).map((name) => names[name]!);
}

/** How an answered call ended: by a BYE, its own or one of ours, or because its time was over. */
export const ENDED_BY_BYE = 0;
/** EXPIRED is told: nobody sends a BYE. */
export const EXPIRED = 1;
export const EXPIRED_WITH_BYE = 2;

/** Who and what made the change; `message` null: a local answer or a time that is over. */
export type Cause = {
  message: Message | null;
  direction: number;
  /** How an answered call ended. */
  how: number;
};

export class Effects {
  private readonly records: Records;
  private readonly events: DialogEvents;
  private readonly callbacks: Callbacks;
  private readonly log: DialogLog;

  constructor(records: Records, events: DialogEvents, callbacks: Callbacks, log: DialogLog) {
    this.records = records;
    this.events = events;
    this.callbacks = callbacks;
    this.log = log;
  }

  /** What going from `from` to `to` means for the dialog that the context names.  X[D_*] may be another's afterwards. */
  act(from: number, to: number, index: number, generation: number, cause: Cause): void {
    const { message, direction } = cause;
    switch (effectOf(from, to)) {
      case ANSWERED:
      case REVIVED:
        this.answered(index, generation, message);
        return;
      case ACKNOWLEDGED:
        this.callbacks.tell(DLGCB.CONFIRMED, index, generation, message, null, direction);
        return;
      case FAILED:
        this.records.native.count(COUNTERS.failed, 1);
        this.run('failed', message, index);
        this.callbacks.tell(DLGCB.FAILED, index, generation, null, message, 2);
        return;
      case ENDED:
        this.ended(from, index, generation, cause);
        return;
    }
  }

  /** Runs the timeout route of an answered call whose time is over; it may give the call more.  False: there is none. */
  timeout(route: string, index: number): boolean {
    try {
      return this.events.timeout(route);
    } catch (error) {
      this.log.error('timeout_route_threw', { route, record: index, reason: String(error) });
      return true;
    }
  }

  private answered(index: number, generation: number, message: Message | null): void {
    this.run('start', message, index);
    this.callbacks.tell(DLGCB.CONFIRMED_NA, index, generation, null, message, 2);
  }

  private ended(from: number, index: number, generation: number, cause: Cause): void {
    const { message, direction, how } = cause;
    if (how !== ENDED_BY_BYE) this.records.native.count(COUNTERS.expired, 1);
    this.run('end', message, index);
    if (how === EXPIRED) {
      this.callbacks.tell(DLGCB.EXPIRED, index, generation, null, null, 0, from === CONFIRMED);
    } else {
      this.callbacks.tell(DLGCB.TERMINATED, index, generation, message, null, direction);
    }
  }

  private run(route: 'start' | 'end' | 'failed', message: Message | null, index: number): void {
    this.records.native.count(COUNTERS.eventRoutes, 1);
    try {
      this.events[route](message);
    } catch (error) {
      this.log.error('event_route_threw', { route: `dialog:${route}`, record: index, reason: String(error) });
    }
  }
}

/** Whether a sequential request in this resulting state is told as REQ_WITHIN. */
export function isWithin(state: number): boolean {
  return state === EARLY || state === CONFIRMED;
}
