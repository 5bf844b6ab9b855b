/**
 * How answered calls are ended from here: a lifetime that is over, dlg_bye(), a management command.
 *
 * The end is decided once, in one native call that moves the dialog to its last state and says which sides are owed a
 * BYE.  Room for both is there before; only then the BYEs go out, each by itself: one that fails, is refused or never
 * answered changes nothing about the other.  A side is owed its BYE until that has its final answer; what finds no memory
 * after all, and what a dead worker left owed, is sent when the sweep comes by.  Only a BYE that cannot be written, or has
 * no way, is given up.
 * Effects run once, on the dialog's owner.  Any thread may end a call; unanswered ones are ended by their owner.
 * [manual 6.8, 5.45; spec 3.4, 4.2]
 */
import { STATUS } from '../memory/addon.js';
import {
  constant,
  D_BYE_OWED,
  D_CALLEE_CSEQ,
  D_CALLER_CSEQ,
  D_ENTRY,
  D_FLAGS,
  D_MARKS,
  D_PROPERTIES,
  D_STATE,
  D_TRANSACTION_GENERATION,
  D_TRANSACTION_INDEX,
  T_INDEX,
} from '../memory/words.js';
import type { Message } from '../sip/message.js';
import type { Desk } from './desk.js';
import { ENDED_BY_BYE, EXPIRED, EXPIRED_WITH_BYE } from './effects.js';
import { CONFIRMED_NO_ACK, DELETED } from './machine.js';
import type { DialogLog, Elsewhere, Owners, OwnRequest, Sender, Sent } from './ports.js';
import { PURPOSE } from './purposes.js';
import * as record from './record.js';
import { type Call, requestWithin, TO_CALLEE, TO_CALLER } from './requests.js';
import { COUNTERS } from './statistics.js';

/** How an attempt to end a call came out; the words that management is told. */
export type EndResult =
  | 'ended'
  /** The call has ended, but a side could not be told: it has no usable Contact, or there is no way to it. */
  | 'unreachable'
  /** There is no such call, or it has ended. */
  | 'gone'
  /** It is not answered, and its INVITE is gone or just being answered. */
  | 'too_early'
  /** No room for the BYEs: nothing has happened. */
  | 'no_room';

/** Bits of sides: the numbers of requests.ts. */
export const BOTH_SIDES = TO_CALLER | TO_CALLEE;

/** Ended calls that are looked after for the dead at a time. */
const RESENT_MAX = 65_536;
const UNSENT = record.MARK_BYE_TO_CALLER_UNSENT | record.MARK_BYE_TO_CALLEE_UNSENT;
const REASON_EXPIRED = constant('EndExpired');
const REASON_COMMAND = constant('EndCommand');

export type EndingParams = {
  readonly dlg_extra_hdrs: string;
  readonly lreq_callee_headers: string;
  readonly bye_early_code: number;
  readonly bye_early_reason: string;
};

/** A BYE as it is written before the call is claimed. */
type Sketch = {
  readonly side: number;
  readonly cseq: number;
  readonly headers: string;
  /** Null: nobody is to be told, or it cannot be written. */
  readonly request: OwnRequest | null;
};

export class Ending {
  private readonly desk: Desk;
  private readonly sender: Sender;
  private readonly owners: Owners;
  private readonly elsewhere: Elsewhere | null;
  private readonly params: EndingParams;
  private readonly log: DialogLog;
  /** Ended calls whose BYEs were sent once more, by record: their generation. */
  private readonly resent = new Map<number, number>();

  constructor(
    desk: Desk,
    sender: Sender,
    owners: Owners,
    elsewhere: Elsewhere | null,
    params: EndingParams,
    log: DialogLog,
  ) {
    this.desk = desk;
    this.sender = sender;
    this.owners = owners;
    this.elsewhere = elsewhere;
    this.params = params;
    this.log = log;
  }

  /**
   * Ends a call: BYE to `sides`, or for one that is not answered, CANCEL and a final answer.
   *
   * @param headers whole header lines for the BYEs, as headerBlock() gives them
   */
  end(index: number, generation: number, sides: number, headers: string): EndResult {
    const { records, x } = this.desk;
    if (!records.load(index, generation)) return 'gone';
    const state = x[D_STATE]!;
    if (state === DELETED) return this.endOther(index, generation, sides, headers);
    if (state >= CONFIRMED_NO_ACK)
      return this.claim(index, generation, REASON_COMMAND, sides, ENDED_BY_BYE, headers);
    const { elsewhere } = this;
    const entry = x[D_ENTRY]!;
    if (elsewhere === null || this.desk.native.ownerOf(entry) === elsewhere.owner)
      return this.endUnanswered(index);
    if (!elsewhere.owners.hasRoom(entry)) return 'no_room';
    elsewhere.owners.endUnanswered(index, generation);
    return 'ended';
  }

  /** The lifetime of an answered call is over: it ends, with BYEs if it was to. */
  expire(index: number, generation: number): EndResult {
    const { records, x } = this.desk;
    if (!records.load(index, generation)) return 'gone';
    const withBye = (x[D_PROPERTIES]! & record.PROPERTY_TIMEOUT_BYE) !== 0;
    const sides = withBye ? BOTH_SIDES : 0;
    return this.claim(index, generation, REASON_EXPIRED, sides, withBye ? EXPIRED_WITH_BYE : EXPIRED, '');
  }

  /** A BYE of ours has its final answer; `message` null: none came, or it could not be sent. */
  answered(message: Message | null, code: number, index: number, generation: number, side: number): void {
    const { desk } = this;
    const { records, x } = desk;
    if (!records.load(index, generation)) return;
    desk.native.dialogByeAnswered(index, generation, side);
    if (this.resent.size > 0) this.settleResent(index, generation);
    if (!records.load(index, generation)) return;
    if (code !== 200) this.log.warn('bye_refused', { record: index, side, code });
    if ((x[D_FLAGS]! & record.FLAG_HAS_BYE) !== 0) return;
    records.beginChange(record.CHANGE_FLAGS, DELETED);
    x[record.A_FLAGS_SET] = record.FLAG_HAS_BYE;
    if (records.change(index, generation) === STATUS.ok) this.owners.byeAnswered(index, generation, message);
  }

  /** As many answers to BYEs are awaited as is good for the others. */
  get isBusy(): boolean {
    return this.sender.isBusy?.() === true;
  }

  /** The number of a BYE was too low for that side: once more with the next.  False: it was not sent. */
  again(index: number, generation: number, side: number, headers: string): boolean {
    const { records } = this.desk;
    const call = records.load(index, generation) ? this.desk.call() : null;
    if (call === null) return false;
    const cseq = records.takeCSeq(index, generation, side);
    const sent = this.send(this.request(call, side, cseq, PURPOSE.byeAgain, headers));
    if (sent === 'no_room') this.owe(index, generation, side);
    return sent !== 'no_way';
  }

  /** There is no memory for this BYE now: the call keeps owing it, and is kept, until the sweep finds some. */
  owe(index: number, generation: number, side: number): void {
    const { records, x } = this.desk;
    if (!records.load(index, generation) || (x[D_BYE_OWED]! & side) === 0) return;
    // One hold stands for both sides.
    const isHeld = (x[D_MARKS]! & UNSENT) !== 0 || this.resent.get(index) === generation;
    if (!isHeld && !this.desk.hold(index, generation)) return;
    records.beginChange(record.CHANGE_MARKS, DELETED);
    x[record.A_MARKS_SET] = unsentOf(side);
    const status = records.change(index, generation);
    if (status !== STATUS.ok && !isHeld) this.desk.letGo(index, generation);
    this.log.warn('bye_waits_for_memory', { record: index, side });
  }

  /**
   * What an ended call still owes these sides, and nobody is about to send: it is sent now.
   *
   * A worker or process that died between the claim and the BYE left it so, or a lack of memory, with a hold that nobody
   * else drops.  The sides for which there is still no memory are given back.
   */
  sendOwed(index: number, generation: number, sides: number): number {
    const { records, x } = this.desk;
    if (this.resent.size >= RESENT_MAX && this.resent.get(index) !== generation) return sides;
    if (!records.load(index, generation)) return 0;
    const owed = x[D_BYE_OWED]! & sides;
    const call = this.desk.call();
    if (call === null) return sides;
    let left = 0;
    for (const side of [TO_CALLER, TO_CALLEE]) {
      if ((owed & side) !== 0 && !this.sendOwedTo(call, side)) left |= side;
    }
    if (owed !== 0 && left === owed) return left;
    this.resent.set(index, generation);
    if ((left & TO_CALLER) !== 0) this.owe(index, generation, TO_CALLER);
    if ((left & TO_CALLEE) !== 0) this.owe(index, generation, TO_CALLEE);
    this.settleResent(index, generation);
    return left;
  }

  /** What nobody sends though it is owed for long, and no mark says why: once. */
  sendForgotten(index: number, generation: number): void {
    if (this.resent.get(index) !== generation) this.sendOwed(index, generation, BOTH_SIDES);
  }

  /** False: there is no memory yet, and no number was taken. */
  private sendOwedTo(call: Call, side: number): boolean {
    const { records } = this.desk;
    const { index, generation } = call;
    const headers = this.headersTo(side, '');
    const next = records.sentCSeq(index, generation, side) + 1;
    const sketch = this.request(call, side, next, PURPOSE.bye, headers);
    if (sketch !== null && !this.sender.hasRoomFor(sketch.text.length, 0)) return false;
    const cseq = records.takeCSeq(index, generation, side);
    if (cseq === 0) return false;
    return this.bye(call, this.request(call, side, cseq, PURPOSE.bye, headers), side) !== 'no_room';
  }

  /** Nothing is owed any more: the hold that the dead left is dropped. */
  private settleResent(index: number, generation: number): void {
    const { records, x } = this.desk;
    if (this.resent.get(index) !== generation) return;
    if (records.load(index, generation) && x[D_BYE_OWED] !== 0) return;
    this.resent.delete(index);
    this.desk.letGo(index, generation);
  }

  /** CANCEL to whoever rings, and a final answer to the caller. */
  private endUnanswered(index: number): EndResult {
    const { context, x } = this.desk;
    const transaction = x[D_TRANSACTION_INDEX]!;
    // The transaction that an answer is about to go up in is in other hands.
    const isInHand = context.linked && context.ownIndex === index && x[T_INDEX] === transaction;
    if (transaction === 0 || isInHand) return 'too_early';
    const { bye_early_code, bye_early_reason } = this.params;
    const generation = x[D_TRANSACTION_GENERATION]!;
    const isEnded = this.sender.endInvite(transaction, generation, bye_early_code, bye_early_reason);
    return isEnded ? 'ended' : 'too_early';
  }

  /** One side had its BYE, and the call is over; the other gets its own now. */
  private endOther(index: number, generation: number, sides: number, headers: string): EndResult {
    const { records, x } = this.desk;
    const other = BOTH_SIDES & ~sides;
    const flags = x[D_FLAGS]!;
    if (other === 0 || (flags & flagOf(other)) === 0 || (flags & flagOf(sides)) !== 0) return 'gone';
    const call = this.desk.call();
    if (call === null) return 'no_room';
    const added = this.headersTo(sides, headers);
    const next = records.sentCSeq(index, generation, sides) + 1;
    const sketch = this.request(call, sides, next, PURPOSE.bye, added);
    if (!this.hasRoom(sketch, null)) return 'no_room';
    const cseq = records.takeCSeq(index, generation, sides);
    if (cseq === 0) return 'no_room';
    const sent = this.bye(call, this.request(call, sides, cseq, PURPOSE.bye, added), sides);
    if (sent === 'no_room') return sent;
    this.mark(index, generation, sides);
    return sent === 'no_way' ? 'unreachable' : 'ended';
  }

  private claim(
    index: number,
    generation: number,
    reason: number,
    sides: number,
    how: number,
    headers: string,
  ): EndResult {
    const { desk } = this;
    const { native, x } = desk;
    const from = x[D_STATE]!;
    const call = sides === 0 ? null : desk.call();
    if (sides !== 0 && call === null) return 'no_room';
    // Written before the claim, with the numbers that it will most probably give: what is asked for is what is sent.
    const caller = this.sketch(call, sides & TO_CALLER, x[D_CALLEE_CSEQ]!, headers);
    const callee = this.sketch(call, sides & TO_CALLEE, x[D_CALLER_CSEQ]!, headers);
    if (sides !== 0 && !this.hasRoom(caller.request, callee.request)) return 'no_room';
    if (!desk.hold(index, generation)) return 'gone';
    const status = native.dialogClaimEnd(index, generation, reason, sides, native.nowUnixSeconds());
    if (status !== STATUS.ok) {
      desk.letGo(index, generation);
      return 'gone';
    }
    const toCaller = x[D_CALLEE_CSEQ]!;
    const toCallee = x[D_CALLER_CSEQ]!;
    if (sides === TO_CALLER || sides === TO_CALLEE) this.mark(index, generation, sides);
    this.owners.ended(index, generation, from, how);
    let reached = true;
    if (call !== null) {
      if ((sides & TO_CALLER) !== 0) reached = this.byeClaimed(call, caller, toCaller);
      if ((sides & TO_CALLEE) !== 0) reached = this.byeClaimed(call, callee, toCallee) && reached;
    }
    desk.letGo(index, generation);
    return reached ? 'ended' : 'unreachable';
  }

  /** The BYE to `side`, 0: to nobody, whose highest number is this so far. */
  private sketch(call: Call | null, side: number, highest: number, headers: string): Sketch {
    const cseq = highest === record.NO_CSEQ ? 1 : highest + 1;
    const added = side === 0 ? '' : this.headersTo(side, headers);
    const request = call === null || side === 0 ? null : this.request(call, side, cseq, PURPOSE.bye, added);
    return { side, cseq, headers: added, request };
  }

  /** False: that side cannot be told. */
  private byeClaimed(call: Call, sketch: Sketch, cseq: number): boolean {
    const { headers, side } = sketch;
    const isAsSketched = cseq === sketch.cseq;
    const request = isAsSketched ? sketch.request : this.request(call, side, cseq, PURPOSE.bye, headers);
    return this.bye(call, request, side) !== 'no_way';
  }

  private hasRoom(first: OwnRequest | null, second: OwnRequest | null): boolean {
    const bytes = first?.text.length ?? 0;
    const others = second?.text.length ?? 0;
    if (bytes + others === 0) return true;
    return bytes === 0 ? this.sender.hasRoomFor(others, 0) : this.sender.hasRoomFor(bytes, others);
  }

  /** Sends a BYE that is owed; one that cannot be sent is owed no longer, one without memory for it is. */
  private bye(call: Call, request: OwnRequest | null, side: number): Sent {
    const { callId, generation, index } = call;
    const sent = this.send(request);
    if (sent === 'no_room') this.owe(index, generation, side);
    if (sent !== 'no_way') return sent;
    this.log.warn('bye_not_sent', { record: index, side, call_id: callId });
    this.desk.native.dialogByeAnswered(index, generation, side);
    return sent;
  }

  private send(request: OwnRequest | null): Sent {
    const sent = request === null ? 'no_way' : this.sender.send(request);
    if (sent === 'sent') this.desk.native.count(COUNTERS.byesSent, 1);
    return sent;
  }

  private request(
    call: Call,
    side: number,
    cseq: number,
    purpose: number,
    headers: string,
  ): OwnRequest | null {
    return cseq === 0 ? null : requestWithin(call, side, 'BYE', { cseq, purpose, headers });
  }

  private headersTo(side: number, headers: string): string {
    const { dlg_extra_hdrs, lreq_callee_headers } = this.params;
    return dlg_extra_hdrs + headers + (side === TO_CALLEE ? lreq_callee_headers : '');
  }

  /** Remembers that one side alone was to get its BYE. */
  private mark(index: number, generation: number, side: number): boolean {
    const { records, x } = this.desk;
    records.beginChange(record.CHANGE_FLAGS, DELETED);
    x[record.A_FLAGS_SET] = flagOf(side);
    return records.change(index, generation) === STATUS.ok;
  }
}

/** The mark of a side whose BYE nobody sends yet. */
function unsentOf(side: number): number {
  return side === TO_CALLER ? record.MARK_BYE_TO_CALLER_UNSENT : record.MARK_BYE_TO_CALLEE_UNSENT;
}

function flagOf(side: number): number {
  return side === TO_CALLER ? record.FLAG_BYE_TO_CALLER : record.FLAG_BYE_TO_CALLEE;
}
