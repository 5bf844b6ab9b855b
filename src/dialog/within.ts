/**
 * A request within a dialog: ACK, BYE, PRACK and the rest, from either side.
 *
 * One native call carries all that it changes: state, deadline, the highest CSeq of its side.  If another thread was
 * faster, the machine is asked again.  [manual 5.6, 5.49; RFC 3261 12.2, 15]
 */
import { STATUS } from '../memory/addon.js';
import {
  D_CALLEE_CSEQ,
  D_CALLER_CSEQ,
  D_DUE,
  D_EARLY_LEGS,
  D_LIFETIME,
  D_MARKS,
  D_PROPERTIES,
  D_START_TS,
  D_STATE,
  X_ARGS,
} from '../memory/words.js';
import type { Message } from '../sip/message.js';
import {
  M_ACK,
  M_BYE,
  M_CANCEL,
  M_PRACK,
  W_FROM_TAG_LEN,
  W_FROM_TAG_OFF,
  W_TO_TAG_LEN,
  W_TO_TAG_OFF,
} from '../sip/words.js';
import { DLGCB } from './callbacks.js';
import type { Desk } from './desk.js';
import { isWithin } from './effects.js';
import { isProbing, type KeepAliveParams, wantsProbes } from './keepalive.js';
import type { Lifetime } from './lifetime.js';
import { CONFIRMED, CONFIRMED_NO_ACK, DELETED, type DialogEventName, EARLY, next, STRAY } from './machine.js';
import * as record from './record.js';
import { COUNTERS } from './statistics.js';

export class RequestsWithin {
  private readonly desk: Desk;
  private readonly lifetime: Lifetime;
  /** Until a confirmed call is probed; 0: none is. */
  private readonly probeSeconds: number;

  constructor(desk: Desk, lifetime: Lifetime, params: KeepAliveParams) {
    this.desk = desk;
    this.probeSeconds = isProbing(params) ? params.ka_interval : 0;
    this.lifetime = lifetime;
  }

  /** The request's dialog is in hand and the context's. */
  hear(message: Message, index: number, generation: number): void {
    const { native, records, x } = this.desk;
    const { context } = this.desk;
    const startTs = x[D_START_TS]!;
    context.lifetimeSeconds = startTs === 0 ? 0 : Math.max(native.nowUnixSeconds() - startTs, 0);
    const event = eventOf(message.method);
    for (let attempt = 0; attempt < record.ATTEMPTS_MAX; attempt++) {
      const from = x[D_STATE]!;
      const to = event === null ? from : next(from, event);
      context.status = to === STRAY ? from : to;
      if (to === STRAY) native.count(COUNTERS.stray, 1);
      if (event === 'bye' && from === DELETED) this.takeAwaited(index, generation);
      if (to === STRAY || event === null || from === DELETED) return;
      if (event === 'bye' && from === EARLY) this.endEarlyLeg(message, index, generation);
      if (to === DELETED && !context.held) context.held = this.desk.hold(index, generation);
      const status = this.commit(message, event, from, to, index, generation);
      if (status === STATUS.ok) {
        context.ended = to === DELETED;
        this.tell(message, event, from, to, index, generation);
        return;
      }
      if (status !== STATUS.conflict) {
        this.desk.lost('request', status, index);
        return;
      }
      if (!records.load(index, generation)) return;
    }
    this.desk.lost('request', STATUS.conflict, index);
  }

  /** The BYE that ended the call comes again, for the process before may have died over it: what held the dialog for it. */
  private takeAwaited(index: number, generation: number): void {
    const { context, records, x } = this.desk;
    if ((x[D_MARKS]! & record.MARK_BYE_AWAITED) === 0 || context.held) return;
    records.beginChange(record.CHANGE_MARKS, DELETED);
    x[record.A_MARKS_CLEAR] = record.MARK_BYE_AWAITED;
    if (records.change(index, generation) !== STATUS.ok) return;
    context.held = true;
    context.ended = true;
  }

  /** A BYE while it rings ends that early leg; the answer to the INVITE ends the dialog.  [RFC 3261 15] */
  private endEarlyLeg(message: Message, index: number, generation: number): void {
    const { context, native, records, x } = this.desk;
    const { at } = message;
    const isCaller = context.direction === 1;
    const offset = message.word(isCaller ? W_TO_TAG_OFF : W_FROM_TAG_OFF);
    records.setText(X_ARGS, at + offset, message.word(isCaller ? W_TO_TAG_LEN : W_FROM_TAG_LEN));
    if (x[D_EARLY_LEGS] !== 0) native.dialogEndEarlyLeg(index, generation);
    records.load(index, generation);
  }

  /** One native call with all that the request changes; none if it changes nothing. */
  private commit(
    message: Message,
    event: DialogEventName,
    from: number,
    to: number,
    index: number,
    generation: number,
  ): number {
    const { context, native, records, x } = this.desk;
    const isCaller = context.direction === 1;
    const lifetime = this.lifetimeAfter(event, to);
    const dueAt = this.lifetime.dueAtRefresh(native.nowBootSeconds(), lifetime);
    let fields = to === from ? 0 : record.CHANGE_STATE;
    if (lifetime !== x[D_LIFETIME]) fields |= record.CHANGE_LIFETIME;
    if (to === DELETED) fields |= record.CHANGE_END_TS;
    if (this.refreshes(event, from, to) && dueAt !== x[D_DUE]) fields |= record.CHANGE_DUE;
    const highest = x[isCaller ? D_CALLER_CSEQ : D_CALLEE_CSEQ]!;
    if (event !== 'ack' && (highest === record.NO_CSEQ || message.cseq > highest)) {
      fields |= isCaller ? record.CHANGE_CALLER_CSEQ : record.CHANGE_CALLEE_CSEQ;
    }
    if (event === 'prack' && from !== CONFIRMED) fields |= record.CHANGE_PROPERTIES;
    const isProbed =
      to === CONFIRMED && from !== to && this.probeSeconds > 0 && wantsProbes(x[D_PROPERTIES]!);
    if (isProbed) fields |= record.CHANGE_KA_DUE;
    if (fields === 0) return STATUS.ok;
    records.beginChange(fields | record.CHANGE_FLAGS, from);
    x[record.A_STATE] = to;
    x[record.A_DUE] = dueAt;
    x[record.A_KA_DUE] = isProbed ? native.nowBootSeconds() + this.probeSeconds : 0;
    x[record.A_LIFETIME] = lifetime;
    x[record.A_END_TS] = to === DELETED ? native.nowUnixSeconds() : 0;
    x[record.A_FLAGS_SET] = flagsOf(to);
    x[record.A_PROPERTIES_SET] = record.PROPERTY_PRACK;
    x[record.A_CALLER_CSEQ] = message.cseq;
    x[record.A_CALLEE_CSEQ] = message.cseq;
    if ((fields & record.CHANGE_DUE) !== 0) records.forgetSavedDue();
    return records.change(index, generation);
  }

  /** What the route left in the AVP of timeout_avp is the lifetime from now on, the running timer's or not.  [spec 3.2] */
  private lifetimeAfter(event: DialogEventName, to: number): number {
    const { context, x } = this.desk;
    const isAsked = context.avpSeconds > 0 && event !== 'bye' && isWithin(to);
    return isAsked ? context.avpSeconds : x[D_LIFETIME]!;
  }

  /** The first ACK always starts the lifetime again; other requests when that is wanted. */
  private refreshes(event: DialogEventName, from: number, to: number): boolean {
    if (to !== CONFIRMED || event === 'bye') return false;
    return from === CONFIRMED_NO_ACK || this.lifetime.isReset(to, this.desk.x[D_PROPERTIES]!);
  }

  private tell(
    message: Message,
    event: DialogEventName,
    from: number,
    to: number,
    index: number,
    generation: number,
  ): void {
    const { callbacks, context } = this.desk;
    if (to !== from) this.desk.act(from, to, index, generation, message, context.direction);
    else if (isWithin(to) && event !== 'bye') {
      callbacks.tell(DLGCB.REQ_WITHIN, index, generation, message, null, context.direction);
    }
  }
}

/** CANCEL is no event: what the INVITE is answered with is. */
function eventOf(method: number): DialogEventName | null {
  switch (method) {
    case M_ACK:
      return 'ack';
    case M_BYE:
      return 'bye';
    case M_PRACK:
      return 'prack';
    case M_CANCEL:
      return null;
    default:
      return 'request';
  }
}

function flagsOf(to: number): number {
  if (to === DELETED) return record.FLAG_HAS_BYE;
  return to === CONFIRMED ? record.FLAG_CHANGED : 0;
}
