/**
 * CSeq numbers of requests that go on under another one: after requests of our own, and in a call whose INVITE we sent once
 * more with credentials.  [specification 4.3, 4.7; manual 5.51; RFC 3261 12.2.1.1, 22.2]
 *
 * The table keeps the steps of an answered call.  Until a 2xx says which branch it is, the difference belongs to the branch;
 * what is said meanwhile in its early dialog is moved by as much, from memory alone.
 */
import type { Shard } from '../memory/addon.js';
import { STATUS } from '../memory/addon.js';
import {
  D_CALLER_CSEQ,
  D_STATE,
  D_STEPS,
  T_DIALOG_GENERATION,
  T_DIALOG_INDEX,
  X_ARGS,
} from '../memory/words.js';
import type { Message } from '../sip/message.js';
import { W_TO_TAG_LEN, W_TO_TAG_OFF } from '../sip/words.js';
import type { DialogContext } from './context.js';
import { DELETED, EARLY } from './machine.js';
import type { Records } from './record.js';

const DOWNSTREAM = 1;
/** Calls that ring on a branch with another number; those beyond are not moved until they are answered. */
const RINGING_MAX = 10_000;
/** Early dialogs of one call. */
const EARLY_LEGS_MAX = 16;

type Ringing = { readonly generation: number; readonly byTag: Map<string, number> };

export class Numbers {
  private readonly records: Records;
  private readonly native: Shard;
  private readonly x: Uint32Array;
  private readonly isTracking: boolean;
  private readonly ringing = new Map<number, Ringing>();

  constructor(records: Records, isTracking: boolean) {
    this.records = records;
    this.native = records.native;
    this.x = records.x;
    this.isTracking = isTracking;
  }

  /** Calls that ring on a branch with another number. */
  get size(): number {
    return this.ringing.size;
  }

  /** The number under which a request of the context's dialog goes on; 0: as received. */
  mapped(context: DialogContext, message: Message, received: number): number {
    if (this.ringing.size > 0 && !context.isOurs) {
      const by = this.earlyStep(context, message);
      if (by !== 0) return received + by;
    }
    if ((context.steps & context.direction) === 0) return 0;
    const { ownGeneration, ownIndex, direction } = context;
    const status = this.native.dialogMapCSeq(ownIndex, ownGeneration, direction, received);
    return status === STATUS.ok ? this.x[X_ARGS]! : 0;
  }

  /**
   * The number for a downstream request that is sent once more, in the transaction in hand, after `sent` was challenged; 0:
   * the one it has.
   *
   * @param isFirst it is the INVITE that made the dialog
   */
  next(message: Message, sent: number, isFirst: boolean): number {
    const { native, x } = this;
    const index = x[T_DIALOG_INDEX]!;
    if (!this.isTracking || index === 0) return 0;
    if (isFirst) return sent + 1;
    const status = native.dialogTakeCSeq(index, x[T_DIALOG_GENERATION]!, DOWNSTREAM, message.cseq);
    return status === STATUS.ok ? x[X_ARGS]! : 0;
  }

  /** An INVITE's branch that went out as `sent`, not `received`, has a dialog: an early one, or with a 2xx the call. */
  answered(answer: Message, received: number, sent: number): void {
    const { native, records, x } = this;
    const index = x[T_DIALOG_INDEX]!;
    const generation = x[T_DIALOG_GENERATION]!;
    if (answer.code < 200) {
      this.rang(index, generation, answer.text(W_TO_TAG_OFF, W_TO_TAG_LEN), sent - received);
      return;
    }
    this.forget(index);
    if (!records.load(index, generation)) return;
    const isNew = x[D_STATE]! <= EARLY || x[D_STATE] === DELETED;
    if (!isNew || (x[D_STEPS]! & DOWNSTREAM) !== 0) return;
    native.dialogShiftCSeq(index, generation, DOWNSTREAM, received, sent - received);
  }

  /** $dlg_var(cseq_diff): how much more the callee's side of the dialog in hand counts; null: as much as the caller's. */
  difference(index: number, generation: number): string | null {
    const { native, x } = this;
    if (!this.isTracking || x[D_STATE] === DELETED || (x[D_STEPS]! & DOWNSTREAM) === 0) return null;
    const highest = x[D_CALLER_CSEQ]!;
    if (native.dialogSentCSeq(index, generation, DOWNSTREAM) !== STATUS.ok) return null;
    return String(x[X_ARGS]! - highest);
  }

  /** The call rings no more. */
  forget(index: number): void {
    if (this.ringing.size > 0) this.ringing.delete(index);
  }

  private rang(index: number, generation: number, tag: string, by: number): void {
    if (tag === '') return;
    let call = this.ringing.get(index);
    if (call === undefined || call.generation !== generation) {
      if (this.ringing.size >= RINGING_MAX) return;
      call = { generation, byTag: new Map() };
      this.ringing.set(index, call);
    }
    if (call.byTag.size < EARLY_LEGS_MAX) call.byTag.set(tag, by);
  }

  private earlyStep(context: DialogContext, message: Message): number {
    const call = this.ringing.get(context.ownIndex);
    if (call === undefined || call.generation !== context.ownGeneration) return 0;
    if (context.direction !== DOWNSTREAM) return 0;
    return call.byTag.get(message.text(W_TO_TAG_OFF, W_TO_TAG_LEN)) ?? 0;
  }
}
