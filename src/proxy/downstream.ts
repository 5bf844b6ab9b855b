/**
 * Towards the callees: copies of the request, and the CANCEL and ACK that belong to a copy.
 * [RFC 3261 16.6, 9.1, 17.1.1.3]
 */
import {
  B_ADDRESS0,
  B_CANCEL_CAUSE,
  B_CSEQ_RECEIVED,
  B_CSEQ_SENT,
  B_END_DUE,
  B_FINAL_DUE,
  B_FLAGS,
  B_FLOW,
  B_HASH,
  B_PORT,
  B_RETRANSMIT_DUE,
  B_RETRANSMIT_INTERVAL,
  B_STATE,
  BRANCH_WORDS,
  T_BRANCH_COUNT,
  T_BRANCHES,
  T_CSEQ,
  T_GENERATION,
  T_INDEX,
  T_KIND,
  T_LOOP_HASH,
  T_METHOD,
} from '../memory/words.js';
import type { Message } from '../sip/message.js';
import {
  HDR_ROUTE,
  M_INVITE,
  W_CALL_ID_OFF,
  W_CSEQ_LEN,
  W_CSEQ_OFF,
  W_FROM_OFF,
  W_RURI_LEN,
  W_RURI_OFF,
  W_TO_OFF,
  W_TO_TAG_LEN,
  W_VIA_LINE_END,
  W_VIA_LINE_OFF,
} from '../sip/words.js';
import { clientInviteStart } from '../transaction/client-invite.js';
import { clientNonInviteStart } from '../transaction/client-non-invite.js';
import {
  B_CANCEL_SENT,
  B_CANCEL_WANTED,
  BRANCH_CALLING,
  BRANCH_PROCEEDING,
  KIND_INVITE_SERVER,
} from '../transaction/states.js';
import { tickAfter } from '../transaction/timers.js';
import { CAUSE_NONE, type CancelReasons, REASONS_BYTES_MAX } from './cancel-reason.js';
import { editCopy } from './copy.js';
import { Edits } from './edits.js';
import type { NextHop } from './next-hop.js';
import { Outgoing } from './outgoing.js';
import type { Passage } from './passage.js';
import type { ProxyObserver } from './ports.js';
import { COUNTERS, type Workspace } from './workspace.js';

/** First word of branch `n` in X. */
export function branchAt(n: number): number {
  return T_BRANCHES + n * BRANCH_WORDS;
}

const STATUS_OK = 0;
const STATUS_NO_MEMORY = 3;
/** Longest datagram: the answer whose To an ACK takes. */
const MESSAGE_BYTES_MAX = 65_535;
/** What an ACK or CANCEL adds to the copy's header fields. */
const REQUEST_BYTES = 1_024 + REASONS_BYTES_MAX;
/** Scratch that the copy for one target may need: its text as written, and once more in the order of the message. */
export const ROOM_PER_BRANCH_BYTES = 160 * 1024;
const EDITS_TOO_MANY = 6;

export class Downstream {
  private readonly w: Workspace;
  private readonly observer: ProxyObserver;
  private readonly out: Outgoing;
  private readonly edits: Edits;
  private readonly reasons: CancelReasons;
  /** A copy that went out, looked at again. */
  private readonly copy: Message;

  constructor(w: Workspace, observer: ProxyObserver, reasons: CancelReasons) {
    this.w = w;
    this.observer = observer;
    this.out = new Outgoing(w.native, w.x, w.scratch);
    this.edits = new Edits(w.scratch);
    this.reasons = reasons;
    this.copy = w.newMessage();
  }

  /** Makes a branch of the transaction in hand, which is stored with it, and sends its copy.  Status of the native call. */
  addBranch(passage: Passage, hop: NextHop, requestUri: string | null, maxBreadth: number): number {
    const { w } = this;
    const x = w.x;
    const branch = x[T_BRANCH_COUNT]!;
    const cseq = this.numberOf(passage);
    const recordRoutes = editCopy(
      this.edits,
      w,
      passage,
      this.observer,
      hop.flow,
      branch,
      requestUri,
      maxBreadth,
      cseq,
    );
    if (recordRoutes < 0) return EDITS_TOO_MANY;
    this.edits.finish(x, passage.message);
    const b = branchAt(branch);
    for (let word = b; word < b + BRANCH_WORDS; word++) x[word] = 0;
    x[b + B_FLOW] = hop.flow;
    x[b + B_PORT] = hop.port;
    x[b + B_ADDRESS0] = hop.address.a0;
    x[b + B_ADDRESS0 + 1] = hop.address.a1;
    x[b + B_ADDRESS0 + 2] = hop.address.a2;
    x[b + B_ADDRESS0 + 3] = hop.address.a3;
    x[b + B_HASH] = x[T_LOOP_HASH]!;
    x[b + B_FLAGS] = recordRoutes;
    if (cseq !== 0) {
      x[b + B_CSEQ_RECEIVED] = x[T_CSEQ]!;
      x[b + B_CSEQ_SENT] = cseq;
    }
    const now = w.now;
    if (x[T_KIND] === KIND_INVITE_SERVER) clientInviteStart(x, b, now, w.timers);
    else clientNonInviteStart(x, b, now, w.timers);
    const { textAt, textLength } = this.edits;
    let status = w.native.transactionForward(textAt, textLength, 0);
    if (status === STATUS_NO_MEMORY && this.observer.isWithinDialog(passage.message))
      status = w.native.transactionForward(textAt, textLength, 1);
    if (status !== STATUS_OK) return status;
    w.count(COUNTERS.forwardedRequests);
    w.count(COUNTERS.clientTransactions);
    return STATUS_OK;
  }

  /** CSeq number of the passage's next copy, 0: as received. */
  private numberOf(passage: Passage): number {
    const { message } = passage;
    if (passage.cseq !== 0) return passage.cseq;
    if (!message.hasToTag) return 0;
    const number = this.observer.mapCSeq(message, message.cseq);
    return number === message.cseq ? 0 : number;
  }

  /** Sends a copy that no transaction keeps: ACK for a 2xx, or a CANCEL that belongs to nothing here. */
  sendStateless(passage: Passage, hop: NextHop, requestUri: string | null): boolean {
    const { w, out } = this;
    const cseq = this.numberOf(passage);
    w.makeRoom(ROOM_PER_BRANCH_BYTES);
    if (editCopy(this.edits, w, passage, this.observer, hop.flow, -1, requestUri, 0, cseq) < 0) return false;
    const to = hop.address;
    out.to(hop.flow, hop.port, to.a0, to.a1, to.a2, to.a3);
    this.edits.apply(passage.message, out);
    out.send();
    w.count(COUNTERS.forwardedRequests);
    return true;
  }

  /** Cancels every branch that has no final answer; `cause` says why (see cancel-reason.ts). */
  cancelPending(cause: number): void {
    const x = this.w.x;
    for (let n = 0; n < x[T_BRANCH_COUNT]!; n++) {
      const state = x[branchAt(n) + B_STATE]!;
      if (state === BRANCH_CALLING || state === BRANCH_PROCEEDING) this.cancel(n, cause);
    }
  }

  /** Cancels a branch: at once if it gave a provisional answer, else when one comes, and then for the first `cause`. */
  cancel(branch: number, cause: number): void {
    const x = this.w.x;
    const b = branchAt(branch);
    if (x[T_METHOD] !== M_INVITE || (x[b + B_FLAGS]! & B_CANCEL_SENT) !== 0) return;
    if (x[b + B_CANCEL_CAUSE] === CAUSE_NONE) x[b + B_CANCEL_CAUSE] = cause;
    if (x[b + B_STATE] !== BRANCH_PROCEEDING) {
      x[b + B_FLAGS] = x[b + B_FLAGS]! | B_CANCEL_WANTED;
      return;
    }
    const now = this.w.now;
    x[b + B_FLAGS] = (x[b + B_FLAGS]! & ~B_CANCEL_WANTED) | B_CANCEL_SENT;
    x[b + B_FINAL_DUE] = 0;
    x[b + B_END_DUE] = tickAfter(now, this.w.timers.patienceTicks);
    x[b + B_RETRANSMIT_INTERVAL] = this.w.timers.t1Ticks;
    x[b + B_RETRANSMIT_DUE] = tickAfter(now, this.w.timers.t1Ticks);
    this.sendCancel(branch);
  }

  /** Sends the CANCEL of a branch (again). */
  sendCancel(branch: number): void {
    this.sendForCopy(branch, 'CANCEL', null);
  }

  /** Acknowledges a negative answer of a branch; the To is the answer's. */
  sendAck(branch: number, answer: Message): void {
    this.sendForCopy(branch, 'ACK', answer);
  }

  /** A request that goes the way of branch `branch`'s copy, made of its header fields. */
  private sendForCopy(branch: number, method: string, answer: Message | null): void {
    const { w, out, copy } = this;
    if (!w.parkBranchRequest('branchRequest', copy, branch)) return;
    w.makeRoom(copy.length + MESSAGE_BYTES_MAX + REQUEST_BYTES);
    const x = w.x;
    const b = branchAt(branch);
    out.to(
      x[b + B_FLOW]!,
      x[b + B_PORT]!,
      x[b + B_ADDRESS0]!,
      x[b + B_ADDRESS0 + 1]!,
      x[b + B_ADDRESS0 + 2]!,
      x[b + B_ADDRESS0 + 3]!,
    );
    out.text(`${method} `);
    out.message(copy, copy.word(W_RURI_OFF), copy.word(W_RURI_LEN));
    out.text(' SIP/2.0\r\n');
    this.ourVia(copy);
    out.text('Max-Forwards: 70\r\n');
    for (let n = copy.findHeader(HDR_ROUTE); n >= 0; n = copy.findHeader(HDR_ROUTE, n + 1))
      this.line(copy, n);
    this.lineAt(copy, W_FROM_OFF);
    if (answer !== null && answer.word(W_TO_TAG_LEN) !== 0) this.lineAt(answer, W_TO_OFF);
    else this.lineAt(copy, W_TO_OFF);
    this.lineAt(copy, W_CALL_ID_OFF);
    out.text('CSeq: ');
    out.message(copy, copy.word(W_CSEQ_OFF), copy.word(W_CSEQ_LEN));
    out.text(` ${method}\r\n`);
    if (answer === null)
      out.literal(this.reasons.linesFor(x[T_INDEX]!, x[T_GENERATION]!, x[b + B_CANCEL_CAUSE]!));
    out.text('Content-Length: 0\r\n\r\n');
    out.send();
    w.count(COUNTERS.forwardedRequests);
  }

  /** The topmost Via line of a copy: ours, for we put it on a line of its own. */
  private ourVia(copy: Message): void {
    const start = copy.word(W_VIA_LINE_OFF);
    this.out.message(copy, start, copy.word(W_VIA_LINE_END) - start);
  }

  private line(message: Message, header: number): void {
    const start = message.headerLine(header);
    this.out.message(message, start, message.headerEnd(header) - start);
  }

  /** The header line whose value begins at the offset in word `offsetWord`. */
  private lineAt(message: Message, offsetWord: number): void {
    const offset = message.word(offsetWord);
    for (let n = 0; n < message.headerCount; n++) {
      if (offset >= message.headerLine(n) && offset < message.headerEnd(n)) {
        this.line(message, n);
        return;
      }
    }
  }
}
