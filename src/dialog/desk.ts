/**
 * What the parts of the tracker work at: the record in hand, the context of the message, and the few steps that each
 * change of state is made of.
 *
 * Holds: the table has one until the change to the last state; a transaction has one while its registers name the
 * dialog; a message has one when it ended the dialog or its route is suspended.  The last to let go frees the record.
 */
import type { Shard } from '../memory/addon.js';
import { STATUS } from '../memory/addon.js';
import { constant, D_HOLDS, D_STATE } from '../memory/words.js';
import type { Message } from '../sip/message.js';
import { type Callbacks, DLGCB } from './callbacks.js';
import { DialogContext } from './context.js';
import {
  type ProfileEntry,
  readCall,
  readSnapshot,
  readSnapshotProfiles,
  readSnapshotText,
  type Snapshot,
} from './dialog.js';
import { type Cause, type Effects, ENDED_BY_BYE } from './effects.js';
import { DELETED } from './machine.js';
import type { DialogLog } from './ports.js';
import type { Records } from './record.js';
import * as record from './record.js';
import type { Call } from './requests.js';

/** Where a snapshot's words name the generation. */
const SNAPSHOT_GENERATION = constant('DGeneration');
const SNAPSHOT_ENTRY = constant('DEntry');
const SNAPSHOT_ID = constant('DId');
/** An answer, the failure that it is, and what a listener does in turn. */
const ENTERED_MAX = 8;

export class Desk {
  context = new DialogContext();
  readonly records: Records;
  readonly native: Shard;
  readonly x: Uint32Array;
  readonly callbacks: Callbacks;
  private readonly effects: Effects;
  private readonly log: DialogLog;
  private readonly cause: Cause = { message: null, direction: 0, how: ENDED_BY_BYE };
  private readonly entered = new Uint32Array(3 * ENTERED_MAX);
  private depth = 0;
  private first = 0;
  private sibling = 0;

  constructor(records: Records, effects: Effects, callbacks: Callbacks, log: DialogLog) {
    this.records = records;
    this.native = records.native;
    this.x = records.x;
    this.effects = effects;
    this.callbacks = callbacks;
    this.log = log;
  }

  /** Scripts and listeners that run until leave() see this dialog. */
  enter(index: number, generation: number, direction: number): void {
    const { context, entered } = this;
    if (this.depth === ENTERED_MAX) throw new Error(`more than ${ENTERED_MAX} dialogs entered at once`);
    const at = 3 * this.depth++;
    entered[at] = context.index;
    entered[at + 1] = context.generation;
    entered[at + 2] = context.direction;
    context.point(index, generation, direction);
  }

  leave(): void {
    const { context, entered } = this;
    const at = 3 * --this.depth;
    context.point(entered[at]!, entered[at + 1]!, entered[at + 2]!);
  }

  /** The sibling was made by an answer in the transaction that names `first`; 0, 0: that answer is dealt with. */
  siblingOf(first: number, sibling: number): void {
    this.first = first;
    this.sibling = sibling;
  }

  /** The dialog that the transaction of its INVITE names. */
  firstOf(index: number): number {
    return index === this.sibling ? this.first : index;
  }

  /** A change of state with no more to it than flags and, for the last state, the time. */
  commitState(from: number, to: number, flags: number, index: number, generation: number): number {
    const { native, records, x } = this;
    const endFields = to === DELETED ? record.CHANGE_END_TS : 0;
    records.beginChange(record.CHANGE_STATE | record.CHANGE_FLAGS | endFields, from);
    x[record.A_STATE] = to;
    x[record.A_FLAGS_SET] = flags;
    x[record.A_END_TS] = to === DELETED ? native.nowUnixSeconds() : 0;
    return records.change(index, generation);
  }

  /** Sets in motion what follows from a change that was committed. */
  act(
    from: number,
    to: number,
    index: number,
    generation: number,
    message: Message | null,
    direction: number,
    how = ENDED_BY_BYE,
  ): void {
    const { cause } = this;
    cause.message = message;
    cause.direction = direction;
    cause.how = how;
    this.effects.act(from, to, index, generation, cause);
    cause.message = null;
  }

  hold(index: number, generation: number): boolean {
    return this.native.dialogHold(index, generation) === STATUS.ok;
  }

  /** Drops one hold; the last one frees the record, and listeners hear that it is gone. */
  letGo(index: number, generation: number): void {
    const { callbacks, records, x } = this;
    if (callbacks.wants(DLGCB.DESTROY) && records.load(index, generation)) {
      if (x[D_STATE] === DELETED && x[D_HOLDS] === 1) callbacks.destroyed(index, generation);
    }
    this.native.dialogDrop(index, generation);
  }

  /** A plain copy of the dialog in hand; null if it is gone. */
  snapshot(): Snapshot | null {
    const at = this.copySnapshot();
    return at === 0 ? null : readSnapshot(this.records.memory.buffer, at, this.now(), 'latin1');
  }

  /** What requests to the sides of the dialog in hand are made of; null if it is gone. */
  call(): Call | null {
    const at = this.copySnapshot();
    return at === 0 ? null : readCall(this.records.memory.buffer, at);
  }

  /** One text of the dialog in hand (TEXT_*); null if it is gone. */
  snapshotText(number: number): string | null {
    const at = this.copySnapshot();
    return at === 0 ? null : readSnapshotText(this.records.memory.buffer, at, number);
  }

  /** Memberships of the dialog in hand, newest first. */
  snapshotProfiles(): readonly ProfileEntry[] {
    const at = this.copySnapshot();
    return at === 0 ? [] : readSnapshotProfiles(this.records.memory.buffer, at);
  }

  /** `[h_entry:h_id]` of a record, for the log; the dialog in hand stays in hand. */
  addressOf(index: number, generation: number): string {
    if (this.generationOf(index) !== generation) return '[gone]';
    const { scratch, words } = this.records.memory;
    const at = ((scratch.at + 3) & ~3) >> 2;
    return `[${words[at + SNAPSHOT_ENTRY]}:${words[at + SNAPSHOT_ID]}]`;
  }

  /** Generation of the record at `index`, -1: there is none. */
  generationOf(index: number): number {
    const { scratch, words } = this.records.memory;
    const at = (scratch.at + 3) & ~3;
    const room = Math.min(scratch.end - at, record.SNAPSHOT_BYTES_MAX);
    if (room <= 0 || this.native.dialogSnapshot(index, at, room) === 0) return -1;
    return words[(at >> 2) + SNAPSHOT_GENERATION]!;
  }

  /** A change that could not be made: our own fault, or no room for a call that is up. */
  lost(what: string, status: number, index: number): void {
    this.log.error('dialog_change_lost', { what, status, record: index });
  }

  private copySnapshot(): number {
    const { scratch } = this.records.memory;
    const at = (scratch.at + 3) & ~3;
    const room = Math.min(scratch.end - at, record.SNAPSHOT_BYTES_MAX);
    const { index } = this.records;
    return room > 0 && this.native.dialogSnapshot(index, at, room) > 0 ? at : 0;
  }

  private now(): { bootSeconds: number; unixSeconds: number } {
    return { bootSeconds: this.native.nowBootSeconds(), unixSeconds: this.native.nowUnixSeconds() };
  }
}
