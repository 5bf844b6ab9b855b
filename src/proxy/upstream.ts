/**
 * Towards the caller: our own answers, and answers of branches passed on.  [RFC 3261 16.7 steps 5, 9, 10]
 *
 * The transaction's registers are loaded unless a function says stateless; storing them is the caller's.
 */
import {
  B_CSEQ_RECEIVED,
  B_FLAGS,
  S_COUNT,
  T_CODE,
  T_FLAGS,
  T_KIND,
  T_REPLY_BYTES,
  T_STATE,
} from '../memory/words.js';
import type { Message } from '../sip/message.js';
import {
  HDR_PROXY_AUTHENTICATE,
  HDR_WWW_AUTHENTICATE,
  M_ACK,
  W_CSEQ_LEN,
  W_CSEQ_OFF,
  W_HEADERS_END,
  W_VIA_LINE_END,
  W_VIA_LINE_OFF,
  W_VIA_NEXT_OFF,
  W_VIA_OFF,
} from '../sip/words.js';
import { inviteAnswered } from '../transaction/server-invite.js';
import { nonInviteAnswered } from '../transaction/server-non-invite.js';
import { B_RECORD_ROUTES, KIND_INVITE_SERVER, SERVER_PROCEEDING, T_RANG } from '../transaction/states.js';
import { reasonOf, writeAnswer, writeOwnTag, writeUnavailable } from './answer.js';
import { branchAt } from './downstream.js';
import { Outgoing } from './outgoing.js';
import type { Passage } from './passage.js';
import type { ProxyObserver } from './ports.js';
import { COUNTERS, type Workspace } from './workspace.js';

/** What an answer of our own adds to the request's header fields. */
export const ANSWER_BYTES = 4_096;
/** Longest datagram. */
const MESSAGE_BYTES_MAX = 65_535;

export class Upstream {
  private readonly w: Workspace;
  private readonly observer: ProxyObserver;
  private readonly out: Outgoing;
  /** Header lines to put at the end of the next answer passed on. */
  private linesAt = 0;
  private linesLength = 0;
  /** CSeq number of the request whose answer is passed on, if its copy was sent with another; else 0. */
  private cseqReceived = 0;

  constructor(w: Workspace, observer: ProxyObserver) {
    this.w = w;
    this.observer = observer;
    this.out = new Outgoing(w.native, w.x, w.scratch);
  }

  /** Answers without a transaction, to where the request came from.  ACK is never answered. */
  answerStateless(passage: Passage, code: number, reason = reasonOf(code), extra = ''): void {
    if (passage.message.method === M_ACK) return;
    this.toSender(passage);
    writeAnswer(this.out, this.w, passage, code, reason, extra);
    this.sentStateless(passage, code);
  }

  /** Answers an INVITE 503 with Retry-After, without a transaction and at the least cost. */
  refuse(passage: Passage): void {
    this.toSender(passage);
    writeUnavailable(this.out, this.w, passage);
    this.sentStateless(passage, 503);
  }

  private toSender(passage: Passage): void {
    const message = passage.message;
    this.out.to(
      message.flow,
      passage.answerPort,
      message.address0,
      message.address1,
      message.address2,
      message.address3,
    );
  }

  private sentStateless(passage: Passage, code: number): void {
    this.out.send();
    this.w.count(COUNTERS.statelessReplies);
    if (code >= 400) this.w.count(COUNTERS.statelessErrors);
    if (code >= 200) passage.answered = true;
  }

  /** Answers in the transaction in hand; nothing if it has its final answer.  A 100 is not kept: it can be made again. */
  answer(passage: Passage, code: number, reason = reasonOf(code), extra = ''): boolean {
    const x = this.w.x;
    if (x[T_STATE] !== SERVER_PROCEEDING) return false;
    if (code > 100) this.tellOwn(passage, code);
    // Whoever heard of it may have written much.
    this.w.makeRoom(passage.message.length + reason.length + extra.length + ANSWER_BYTES);
    this.out.toUpstream();
    writeAnswer(this.out, this.w, passage, code, reason, extra);
    if (code > 100) this.out.sendKept();
    else this.out.send();
    this.w.count(COUNTERS.repliesGenerated);
    this.sent(code);
    return true;
  }

  /** An answer of our own; a 2xx makes us the other end, under the tag we give. */
  private tellOwn(passage: Passage, code: number): void {
    const { scratch } = this.w;
    const makesEnd = code >= 200 && code < 300 && !passage.message.hasToTag;
    if (!makesEnd) {
      this.observer.reply(null, code, 0);
      return;
    }
    const tagAt = scratch.at;
    writeOwnTag(this.w, passage.message);
    const floor = scratch.hold();
    try {
      this.observer.reply(null, code, 0, tagAt, scratch.at - tagAt);
    } finally {
      scratch.letGo(floor);
    }
  }

  /** Repeats the last answer: the one kept, or a fresh 100. */
  repeat(passage: Passage): void {
    const x = this.w.x;
    this.w.count(COUNTERS.repliesRepeated);
    if (x[T_REPLY_BYTES] !== 0) {
      this.w.native.transactionSendReply();
    } else if (x[T_CODE] === 100) {
      this.out.toUpstream();
      writeAnswer(this.out, this.w, passage, 100, reasonOf(100), '');
      this.out.send();
    }
  }

  /** Sends the answer that the transaction in hand keeps; `code`: of a final one, of which it does not know that it was sent. */
  sendStored(code: number): void {
    this.w.native.transactionSendReply();
    this.w.count(COUNTERS.repliesRepeated);
    if (code !== 0) this.sent(code);
  }

  /** The next answer passed on gets no header lines but its own. */
  noMoreLines(): void {
    this.linesLength = 0;
  }

  /** Puts a copy of the answer's challenges at the end of the next one passed on. */
  addChallenges(answer: Message): void {
    const { scratch } = this.w;
    if (this.linesLength === 0) this.linesAt = scratch.at;
    for (let n = 0; n < answer.headerCount; n++) {
      if (!scratch.hasRoom(2 * MESSAGE_BYTES_MAX)) break;
      const id = answer.headerId(n);
      if (id !== HDR_WWW_AUTHENTICATE && id !== HDR_PROXY_AUTHENTICATE) continue;
      const line = answer.headerLine(n);
      scratch.copy(answer.at + line, answer.headerEnd(n) - line);
    }
    this.linesLength = scratch.at - this.linesAt;
  }

  /** Passes on an answer of the branch whose words begin at `b`: our Via comes off, nothing else changes. */
  pass(message: Message, code: number, b: number): void {
    const x = this.w.x;
    this.observer.reply(message, code, x[b + B_FLAGS]! & B_RECORD_ROUTES);
    this.out.toUpstream();
    this.cseqReceived = x[b + B_CSEQ_RECEIVED]!;
    this.withoutTopVia(message);
    const isInvite = x[T_KIND] === KIND_INVITE_SERVER;
    if (!isInvite || code < 200 || code >= 300) this.out.sendKept();
    else this.out.send();
    this.relayed();
    this.sent(code);
  }

  /** Passes on an answer that the branch kept: its Via is off already. */
  passKept(message: Message, code: number, b: number): void {
    this.observer.reply(message, code, this.w.x[b + B_FLAGS]! & B_RECORD_ROUTES);
    this.w.makeRoom(message.length + ANSWER_BYTES);
    this.out.toUpstream();
    this.cseqReceived = 0;
    this.rest(message, 0);
    this.out.sendKept();
    this.relayed();
    this.sent(code);
  }

  /** Keeps an answer with branch `branch` until the others have theirs. */
  keep(message: Message, branch: number): void {
    this.out.toUpstream();
    this.cseqReceived = this.w.x[branchAt(branch) + B_CSEQ_RECEIVED]!;
    this.withoutTopVia(message);
    this.w.native.transactionSetBranchReply(branch);
    this.w.x[S_COUNT] = 0;
  }

  private withoutTopVia(message: Message): void {
    const start = message.word(W_VIA_LINE_OFF);
    const next = message.word(W_VIA_NEXT_OFF);
    if (next === 0) {
      const end = message.word(W_VIA_LINE_END);
      this.part(message, 0, start);
      this.rest(message, end);
      return;
    }
    const value = message.word(W_VIA_OFF);
    this.part(message, 0, value);
    this.rest(message, next);
  }

  /** The message from `from` on, with the lines that are to be added. */
  private rest(message: Message, from: number): void {
    if (this.linesLength === 0) {
      this.part(message, from, message.length);
      return;
    }
    const end = message.word(W_HEADERS_END);
    this.part(message, from, end);
    this.out.piece(this.linesAt, this.linesLength);
    this.out.message(message, end, message.length - end);
    this.linesLength = 0;
  }

  /** [from, end) of the message; a CSeq number in it is the one that the request came with. */
  private part(message: Message, from: number, end: number): void {
    const number = message.word(W_CSEQ_OFF);
    if (this.cseqReceived === 0 || number < from || number >= end) {
      this.out.message(message, from, end - from);
      return;
    }
    this.out.message(message, from, number - from);
    const { scratch } = this.w;
    const at = scratch.at;
    scratch.decimal(this.cseqReceived);
    this.out.piece(at, scratch.at - at);
    const behind = number + message.word(W_CSEQ_LEN);
    this.out.message(message, behind, end - behind);
  }

  private relayed(): void {
    this.w.count(COUNTERS.forwardedReplies);
    this.w.count(COUNTERS.repliesRelayed);
  }

  /** The machine and the books hear of it. */
  private sent(code: number): void {
    const x = this.w.x;
    x[T_CODE] = code;
    if (code > 100 && code < 200) x[T_FLAGS] = x[T_FLAGS]! | T_RANG;
    this.w.count(COUNTERS.repliesSent);
    if (code >= 200) this.w.count(COUNTERS.finalAnswers + Math.floor(code / 100) - 2);
    const now = this.w.now;
    if (x[T_KIND] === KIND_INVITE_SERVER) inviteAnswered(x, code, now, this.w.timers);
    else nonInviteAnswered(x, code, now, this.w.timers);
  }
}
