/**
 * How answered calls are ended from here: a lifetime that is over, dlg_bye(), a management command.
 *
 * The end is decided once, in one native call that moves the dialog to its last state and says which sides are owed a
 * BYE.  Only then the BYEs go out, each by itself: one that fails, is refused or never answered changes nothing about the
 * other.  A side is owed its BYE until that has its final answer; what a dead worker left owed, its successor sends again.
 * Effects run once, on the dialog's owner.  Any thread may end a call; unanswered ones are ended by their owner.
 * [manual 6.8, 5.45; spec 3.4, 4.2]
 */
import { STATUS } from '../memory/addon.js';
import {
  constant,
  D_BYE_OWED,
  D_CALLEE_CSEQ,
  D_CALLER_CSEQ,
  D_FLAGS,
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
import type { DialogLog, Owners, Sender } from './ports.js';
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
const REASON_EXPIRED = constant('EndExpired');
const REASON_COMMAND = constant('EndCommand');

export type EndingParams = {
  readonly dlg_extra_hdrs: string;
  readonly lreq_callee_headers: string;
  readonly bye_early_code: number;
  readonly bye_early_reason: string;
};

export class Ending {
  private readonly desk: Desk;
  private readonly sender: Sender;
  private readonly owners: Owners;
  private readonly params: EndingParams;
  private readonly log: DialogLog;
  /** Ended calls whose BYEs were sent once more, by record: their generation. */
  private readonly resent = new Map<number, number>();

  constructor(desk: Desk, sender: Sender, owners: Owners, params: EndingParams, log: DialogLog) {
    this.desk = desk;
    this.sender = sender;
    this.owners = owners;
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
    return this.endUnanswered(index);
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

  /** The number of a BYE was too low for that side: once more with the next.  False: it was not sent. */
  again(index: number, generation: number, side: number, headers: string): boolean {
    const { records } = this.desk;
    const call = records.load(index, generation) ? this.desk.call() : null;
    if (call === null) return false;
    const cseq = records.takeCSeq(index, generation, side);
    return this.send(call, side, cseq, PURPOSE.byeAgain, headers);
  }

  /**
   * What an ended call still owes these sides, and nobody is about to send: it is sent now, once.
   *
   * A worker or process that died between the claim and the BYE left it so, with a hold that nobody else drops.
   * False: there is no room for it yet.
   */
  sendOwed(index: number, generation: number, sides: number = BOTH_SIDES): boolean {
    if (this.resent.get(index) === generation) return true;
    if (this.resent.size >= RESENT_MAX) return false;
    const { records, x } = this.desk;
    if (!records.load(index, generation)) return true;
    const owed = x[D_BYE_OWED]! & sides;
    const call = this.desk.call();
    if (call === null || !this.sender.hasRoom(2)) return false;
    this.resent.set(index, generation);
    for (const side of [TO_CALLER, TO_CALLEE]) {
      if ((owed & side) === 0) continue;
      const cseq = records.takeCSeq(index, generation, side);
      this.bye(call, side, cseq, this.headersTo(side, ''));
    }
    this.settleResent(index, generation);
    return true;
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
    if (!this.sender.hasRoom(1)) return 'no_room';
    const call = this.desk.call();
    if (call === null || !this.mark(index, generation, sides)) return 'gone';
    const cseq = records.takeCSeq(index, generation, sides);
    return this.bye(call, sides, cseq, this.headersTo(sides, headers)) ? 'ended' : 'unreachable';
  }

  private claim(
    index: number,
    generation: number,
    reason: number,
    sides: number,
    how: number,
    headers: string,
  ): EndResult {
    const { desk, sender } = this;
    const { native, x } = desk;
    const from = x[D_STATE]!;
    if (sides !== 0 && !sender.hasRoom(sides === BOTH_SIDES ? 2 : 1)) return 'no_room';
    const call = sides === 0 ? null : desk.call();
    if (sides !== 0 && call === null) return 'no_room';
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
      if ((sides & TO_CALLER) !== 0)
        reached = this.bye(call, TO_CALLER, toCaller, this.headersTo(TO_CALLER, headers)) && reached;
      if ((sides & TO_CALLEE) !== 0)
        reached = this.bye(call, TO_CALLEE, toCallee, this.headersTo(TO_CALLEE, headers)) && reached;
    }
    desk.letGo(index, generation);
    return reached ? 'ended' : 'unreachable';
  }

  /** Sends a BYE that is owed; one that cannot be sent is owed no longer. */
  private bye(call: Call, side: number, cseq: number, headers: string): boolean {
    if (this.send(call, side, cseq, PURPOSE.bye, headers)) return true;
    this.log.warn('bye_not_sent', { record: call.index, side, call_id: call.callId });
    this.desk.native.dialogByeAnswered(call.index, call.generation, side);
    return false;
  }

  private send(call: Call, side: number, cseq: number, purpose: number, headers: string): boolean {
    const request = cseq === 0 ? null : requestWithin(call, side, 'BYE', { cseq, purpose, headers });
    if (request === null || !this.sender.send(request)) return false;
    this.desk.native.count(COUNTERS.byesSent, 1);
    return true;
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

function flagOf(side: number): number {
  return side === TO_CALLER ? record.FLAG_BYE_TO_CALLER : record.FLAG_BYE_TO_CALLEE;
}
