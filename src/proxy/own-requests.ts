/**
 * Requests of our own: client transactions that no request from outside stands behind.  [RFC 3261 8.1, 13.2.2.4, 17.1]
 *
 * A record of kind 3 keeps the request and one branch, whose edit puts our Via in; copies, time-outs and a dead worker's
 * successor go the way of any branch.  Final answers are told to the observer.  What is asked for here may be asked in the
 * middle of another transaction's work: the registers are as before when a call returns.
 */

import {
  B_ADDRESS0,
  B_FLAGS,
  B_FLOW,
  B_HASH,
  B_PORT,
  B_TO_TAG,
  B_USER0,
  HEAD_WORDS,
  REGISTER_WORDS,
  T_ADDRESS0,
  T_BRANCH_COUNT,
  T_CODE,
  T_CREATED,
  T_CSEQ,
  T_DIALOG_GENERATION,
  T_DIALOG_INDEX,
  T_DIRECTION,
  T_END_DUE,
  T_FLAGS,
  T_FLOW,
  T_GENERATION,
  T_INDEX,
  T_KIND,
  T_LOOP_HASH,
  T_METHOD,
  T_OWNER,
  T_PORT,
  T_PURPOSE,
  T_REPLY_BYTES,
  T_ROUTE_DUE,
  T_STATE,
  X_ARGS,
  X_TRANSACTION,
} from '../memory/words.js';
import type { Message } from '../sip/message.js';
import {
  HDR_AUTHORIZATION,
  HDR_CONTENT_LENGTH,
  HDR_PROXY_AUTHORIZATION,
  M_ACK,
  M_CANCEL,
  M_INVITE,
  M_UNKNOWN,
  U_LR,
  W_BODY_LEN,
  W_BODY_OFF,
  W_CALL_ID_LEN,
  W_CALL_ID_OFF,
  W_CONTACT_URI_LEN,
  W_CONTACT_URI_OFF,
  W_FROM_LEN,
  W_FROM_OFF,
  W_HEADERS_END,
  W_KIND,
  W_RECORD_ROUTE_COUNT,
  W_RECORD_ROUTE_ITEM,
  W_RURI_LEN,
  W_RURI_OFF,
  W_STATUS,
  W_TO_LEN,
  W_TO_OFF,
  W_TO_TAG_LEN,
  W_TO_TAG_OFF,
  W_VIA_LINE_END,
  W_VIA_LINE_OFF,
} from '../sip/words.js';
import {
  ANSWER_IGNORED,
  ANSWER_ONLY_ACK,
  ANSWER_PASSED_WITH_ACK,
  clientInviteAnswer,
  clientInviteStart,
} from '../transaction/client-invite.js';
import { clientNonInviteAnswer, clientNonInviteStart } from '../transaction/client-non-invite.js';
import {
  B_CANCEL_WANTED,
  B_TIMED_OUT,
  KIND_CLIENT,
  KIND_INVITE_SERVER,
  SERVER_COMPLETED,
  SERVER_PROCEEDING,
  T_CANCELLED,
  T_FAILS_OVER,
  T_SETTLED,
  T_SUSPENDED,
} from '../transaction/states.js';
import { tickAfter } from '../transaction/timers.js';
import { CAUSE_NONE } from './cancel-reason.js';
import type { Continuations } from './continuations.js';
import { branchAt, type Downstream } from './downstream.js';
import { Edits } from './edits.js';
import { HOP_FOUND, HOP_UNKNOWN_NAME, NextHop } from './next-hop.js';
import { Outgoing } from './outgoing.js';
import { Passage } from './passage.js';
import type { NameResolver, ProxyObserver, RouteScript } from './ports.js';
import type { Upstream } from './upstream.js';
import { type BranchName, bindUpstream, writeVia } from './via.js';
import { COUNTERS, type Workspace } from './workspace.js';

const STATUS_OK = 0;
const KIND_REQUEST = 1;
/** Longest datagram, and so the longest request. */
const MESSAGE_BYTES_MAX = 65_000;
/** Scratch for our Via, for an ACK or an answer. */
const ROOM_BYTES = 72 * 1024;
/**
 * Requests that wait for their answers at a time before further ones had better wait: their answers come in ahead of new
 * calls, a few microseconds each.
 */
const FRESH_MAX = 1_024;
/** What is asked for while an answer is told, and what is asked for because of that. */
const DEPTH_MAX = 4;
/** Told as the final answer of a request that never left, for there was no memory when its way was known. */
const NO_MEMORY = 500;
/** Branch number in the Via of an ACK for a 2xx: no request has so many branches of our own.  [13.2.2.4] */
const ACK_BRANCH = 15;
/** Stands where our Via will be, so that the request can be parsed. */
const VIA_TO_COME = 'Via: SIP/2.0/UDP 0.0.0.0;branch=z9hG4bK0\r\n';
const MAX_FORWARDS = 'Max-Forwards: 70\r\n';
/** A byte is sent for each character: of one beyond Latin-1 the low byte would be left, which may end a line. */
const NOT_LATIN1 = /[^\0-\xff]/;

/** A request that the dialog room wants sent; dialog/ports.ts says what each part means. */
export type OwnRequest = {
  readonly method: string;
  readonly text: string;
  readonly nextHop: string;
  readonly socket: number;
  readonly index: number;
  readonly generation: number;
  readonly side: number;
  readonly purpose: number;
};

/** What became of it; dialog/ports.ts says what each means. */
export type Sent = 'sent' | 'no_room' | 'no_way';

export class OwnRequests {
  private readonly w: Workspace;
  private readonly observer: ProxyObserver;
  private readonly script: RouteScript;
  private readonly resolver: NameResolver;
  private readonly continuations: Continuations;
  private readonly up: Upstream;
  private readonly down: Downstream;
  private readonly out: Outgoing;
  private readonly edits: Edits;
  private readonly hop = new NextHop();
  private readonly message: Message;
  /** What a route says of the request being made. */
  private readonly passage: Passage;
  /** An INVITE that is being ended. */
  private readonly ended: Passage;
  private readonly registers: Uint32Array;
  private readonly saved: readonly Uint32Array[];
  /** Requests without an answer whose first copy is not due yet. */
  private fresh = 0;
  /** Transactions set aside now. */
  private depth = 0;
  /** A request is being made, an INVITE ended: their slots are taken. */
  private isMaking = false;
  private isEnding = false;

  constructor(
    w: Workspace,
    observer: ProxyObserver,
    script: RouteScript,
    resolver: NameResolver,
    continuations: Continuations,
    up: Upstream,
    down: Downstream,
  ) {
    this.w = w;
    this.observer = observer;
    this.script = script;
    this.resolver = resolver;
    this.continuations = continuations;
    this.up = up;
    this.down = down;
    this.out = new Outgoing(w.native, w.x, w.scratch);
    this.edits = new Edits(w.scratch);
    this.message = w.newMessage();
    this.passage = new Passage(this.message);
    this.ended = new Passage(w.newMessage());
    this.saved = Array.from({ length: DEPTH_MAX }, () => new Uint32Array(REGISTER_WORDS));
    this.registers = w.x.subarray(X_TRANSACTION, X_TRANSACTION + REGISTER_WORDS);
  }

  // -- what the dialog room asks for ---------------------------------------------------------------------------------

  /** Sends a request in a client transaction of its own; or nothing is left of it. */
  send(request: OwnRequest): Sent {
    if (this.isMaking) return 'no_room';
    this.isMaking = true;
    let sent: Sent = 'no_room';
    try {
      this.apart(() => {
        sent = this.begin(request);
        return true;
      });
    } finally {
      this.isMaking = false;
    }
    return sent;
  }

  /** Whether `n` more transactions find room. */
  hasRoom(n: number): boolean {
    return !this.isMaking && this.depth < DEPTH_MAX && this.w.native.transactionRoom() >= n;
  }

  /** Whether an INVITE is being ended, in the midst of whatever else. */
  get endsInvite(): boolean {
    return this.isEnding;
  }

  /** Whether a request of so many bytes finds room, records and memory, and a second one unless that has none. */
  hasRoomFor(firstBytes: number, secondBytes: number): boolean {
    if (this.isMaking || this.depth >= DEPTH_MAX) return false;
    const via = VIA_TO_COME.length;
    const second = secondBytes === 0 ? 0 : secondBytes + via;
    return this.w.native.transactionHasRoom(firstBytes + via, second) !== 0;
  }

  /** As many answers are awaited as can be taken in without others waiting for it. */
  get isBusy(): boolean {
    return this.fresh >= FRESH_MAX;
  }

  /** Loads the transaction that `name` is the branch of, if that is one of these; false: it is none of them. */
  made(name: BranchName): boolean {
    const { x, native } = this.w;
    if (native.transactionLoad(name.index, name.generation) !== STATUS_OK) return false;
    return x[T_KIND] === KIND_CLIENT && x[T_LOOP_HASH] === name.hash;
  }

  /** The request in hand is answered, rings, or had no answer in time.  What a predecessor sent was never counted. */
  settle(): void {
    const x = this.w.x;
    if (x[T_BRANCH_COUNT] === 0 || (x[T_FLAGS]! & T_SETTLED) !== 0) return;
    x[T_FLAGS] = x[T_FLAGS]! | T_SETTLED;
    if (this.fresh > 0) this.fresh--;
  }

  /** Ends an INVITE that is not answered: its branches are cancelled, `code reason` goes upstream now.  False: too late. */
  endInvite(index: number, generation: number, code: number, reason: string): boolean {
    if (this.isEnding) return false;
    this.isEnding = true;
    try {
      return this.apart(() => this.end(index, generation, code, reason));
    } finally {
      this.isEnding = false;
    }
  }

  private end(index: number, generation: number, code: number, reason: string): boolean {
    const { ended, w } = this;
    const x = w.x;
    if (w.native.transactionLoad(index, generation) !== STATUS_OK) return false;
    // A route may ask for a call of another shard, whose thread alone may touch its transaction.
    if (x[T_OWNER] !== w.owner) return false;
    if (x[T_KIND] !== KIND_INVITE_SERVER || x[T_STATE] !== SERVER_PROCEEDING) return false;
    if (!w.parkRequest('endedInvite', ended.message)) return false;
    ended.reset();
    ended.transactionIndex = index;
    ended.transactionGeneration = generation;
    bindUpstream(w, ended);
    x[T_FLAGS] = (x[T_FLAGS]! & ~T_FAILS_OVER) | T_CANCELLED;
    x[T_ROUTE_DUE] = 0;
    this.down.cancelPending(CAUSE_NONE);
    this.up.answer(ended, code, reason);
    w.native.transactionStore();
    return true;
  }

  /** Runs `step` beside the transaction in hand, which is in hand again afterwards. */
  private apart(step: () => boolean): boolean {
    const { registers, w } = this;
    const saved = this.saved[this.depth];
    w.makeRoom(ROOM_BYTES);
    if (saved === undefined || !w.scratch.hasRoom(ROOM_BYTES)) return false;
    this.depth++;
    saved.set(registers);
    try {
      return step();
    } finally {
      registers.set(saved);
      this.depth--;
    }
  }

  // -- sending -------------------------------------------------------------------------------------------------------

  private begin(asked: OwnRequest): Sent {
    const { w, message } = this;
    const x = w.x;
    const lineEnd = asked.text.indexOf('\r\n') + 2;
    if (lineEnd < 2) return 'no_way';
    const text = asked.text.slice(0, lineEnd) + VIA_TO_COME + asked.text.slice(lineEnd);
    if (!this.read(text)) return 'no_way';
    const request = this.script.hasLocalRequest ? this.routed(asked) : asked;
    if (request === null) return 'no_way';
    const status = this.hop.findText(w, this.resolver, request.socket, request.nextHop);
    if (status > HOP_UNKNOWN_NAME) return 'no_way';
    const { index, generation } = request;
    if (index !== 0 && w.native.dialogHold(index, generation) !== STATUS_OK) return 'no_way';
    x[X_ARGS] = 0;
    x[X_ARGS + 1] = 0;
    x.fill(0, T_INDEX, T_INDEX + HEAD_WORDS);
    x[T_KIND] = KIND_CLIENT;
    x[T_STATE] = SERVER_PROCEEDING;
    x[T_METHOD] = message.method;
    x[T_CSEQ] = message.cseq;
    x[T_LOOP_HASH] = w.native.loopHash(message.at, message.w * 4);
    x[T_CREATED] = w.now;
    x[T_FLOW] = request.socket;
    x[T_DIALOG_INDEX] = index;
    x[T_DIALOG_GENERATION] = index === 0 ? 0 : generation;
    x[T_DIRECTION] = request.side;
    x[T_PURPOSE] = request.purpose;
    // An INVITE of no call makes a new one.
    const isUp = index !== 0 || message.method !== M_INVITE ? 1 : 0;
    if (w.native.transactionCreate(message.at, message.length, isUp) !== STATUS_OK) {
      if (index !== 0) w.native.dialogDrop(index, generation);
      w.count(COUNTERS.noMemory);
      return 'no_room';
    }
    if (status === HOP_FOUND) {
      if (!this.addBranch()) {
        if (index !== 0) w.native.dialogDrop(index, generation);
        w.native.transactionFree(x[T_INDEX]!);
        w.count(COUNTERS.noMemory);
        return 'no_room';
      }
    } else {
      x[T_FLAGS] = T_SUSPENDED;
      x[T_ROUTE_DUE] = tickAfter(w.now, Math.ceil(w.params.core.route_timeout_ms / 10));
      this.askForName(x[T_INDEX]!, x[T_GENERATION]!, request);
    }
    w.native.transactionStore();
    return 'sent';
  }

  /** The request as tm:local-request leaves it, read again; null: dropped, or no request any more. */
  private routed(request: OwnRequest): OwnRequest | null {
    const { message, passage } = this;
    passage.reset();
    passage.destination = request.nextHop;
    message.flow = request.socket;
    if (!this.script.localRequest(passage, request.index, request.generation, request.side)) return null;
    const edits: { at: number; end: number; text: string }[] = passage.headersRemoved.map((n) => ({
      at: message.headerLine(n),
      end: message.headerEnd(n),
      text: '',
    }));
    const uri = passage.requestUri;
    const at = message.word(W_RURI_OFF);
    if (uri !== null) edits.push({ at, end: at + message.word(W_RURI_LEN), text: uri });
    const length = message.findHeader(HDR_CONTENT_LENGTH);
    // Behind Content-Length stands what the request was asked with, and that alone is asked for when it is sent once more.
    const end = length < 0 ? message.word(W_HEADERS_END) : message.headerLine(length);
    if (passage.headersAppended.length > 0)
      edits.push({ at: end, end, text: passage.headersAppended.join('') });
    let text = message.slice(0, message.length);
    edits.sort((a, b) => b.at - a.at);
    for (const edit of edits) text = text.slice(0, edit.at) + edit.text + text.slice(edit.end);
    if (edits.length > 0 && !this.read(text)) return null;
    const nextHop = passage.destination ?? message.text(W_RURI_OFF, W_RURI_LEN);
    return { ...request, nextHop, socket: message.flow };
  }

  /** Puts the request in its place and parses it.  False: it is none that can be sent. */
  private read(text: string): boolean {
    const { w, message } = this;
    if (text.length > MESSAGE_BYTES_MAX || NOT_LATIN1.test(text)) return false;
    const place = w.memory.slots.localRequest;
    w.bindParked('localRequest', message, w.memory.buffer.latin1Write(text, place.at));
    const { method } = message;
    return (
      message.word(W_STATUS) === 0 &&
      message.word(W_KIND) === KIND_REQUEST &&
      method !== M_UNKNOWN &&
      method !== M_ACK &&
      method !== M_CANCEL &&
      message.word(W_BODY_OFF) + message.word(W_BODY_LEN) === message.length
    );
  }

  /** Makes the branch of the transaction in hand to the hop found, and sends it. */
  private addBranch(): boolean {
    const { edits, hop, message, w } = this;
    const { native, scratch, x } = w;
    const mark = scratch.at;
    edits.reset();
    writeVia(scratch, x, w.sockets.of(hop.flow), w.owner, 0);
    const via = message.word(W_VIA_LINE_OFF);
    edits.add(via, message.word(W_VIA_LINE_END) - via);
    edits.finish(x, message);
    const status = native.transactionAddBranch(edits.textAt, edits.textLength, 1);
    scratch.at = mark;
    if (status !== STATUS_OK) return false;
    const b = branchAt(0);
    x[b + B_FLOW] = hop.flow;
    x[b + B_PORT] = hop.port;
    x[b + B_ADDRESS0] = hop.address.a0;
    x[b + B_ADDRESS0 + 1] = hop.address.a1;
    x[b + B_ADDRESS0 + 2] = hop.address.a2;
    x[b + B_ADDRESS0 + 3] = hop.address.a3;
    x[b + B_HASH] = x[T_LOOP_HASH]!;
    if (x[T_METHOD] === M_INVITE) clientInviteStart(x, b, w.now, w.timers);
    else clientNonInviteStart(x, b, w.now, w.timers);
    native.transactionSendBranch(0);
    this.fresh++;
    w.count(COUNTERS.clientTransactions);
    return true;
  }

  /** The branch is made when the name is known; until then the deadline of a route holds. */
  private askForName(index: number, generation: number, request: OwnRequest): void {
    const { hop } = this;
    this.continuations.after(
      this.resolver.resolve(hop.host, hop.namePort, hop.transport),
      'own request to a name',
      () => this.nameAnswered(index, generation, request),
      () => this.nameFailed(index, generation),
    );
  }

  /** Nobody will send it: it ends as if it could not be sent. */
  private nameFailed(index: number, generation: number): void {
    const { w } = this;
    const x = w.x;
    if (w.native.transactionLoad(index, generation) !== STATUS_OK || x[T_BRANCH_COUNT] !== 0) return;
    x[T_FLAGS] = x[T_FLAGS]! & ~T_SUSPENDED;
    x[T_ROUTE_DUE] = 0;
    this.conclude(null, 503);
    w.native.transactionStore();
  }

  private nameAnswered(index: number, generation: number, request: OwnRequest): void {
    const { w } = this;
    const x = w.x;
    if (w.native.transactionLoad(index, generation) !== STATUS_OK) return;
    if (x[T_KIND] !== KIND_CLIENT || (x[T_FLAGS]! & T_SUSPENDED) === 0) return;
    const status = this.hop.findText(w, this.resolver, request.socket, request.nextHop);
    x[T_FLAGS] = x[T_FLAGS]! & ~T_SUSPENDED;
    x[T_ROUTE_DUE] = 0;
    if (status !== HOP_FOUND || !w.parkRequest('localRequest', this.message)) this.conclude(null, 503);
    else if (!this.addBranch()) this.conclude(null, NO_MEMORY);
    w.native.transactionStore();
  }

  /** The name is not known in time: the transaction in hand ends. */
  nameTimedOut(): void {
    const x = this.w.x;
    x[T_FLAGS] = x[T_FLAGS]! & ~T_SUSPENDED;
    this.conclude(null, 408);
  }

  // -- answers -------------------------------------------------------------------------------------------------------

  /** An answer to the transaction in hand came; the registers are stored here. */
  receive(message: Message): void {
    const { w } = this;
    const x = w.x;
    const b = branchAt(0);
    const { code } = message;
    const isInvite = x[T_METHOD] === M_INVITE;
    const answer = isInvite
      ? clientInviteAnswer(x, b, code, w.now, w.timers)
      : clientNonInviteAnswer(x, b, code);
    if (answer === ANSWER_IGNORED) w.count(COUNTERS.repliesAbsorbed);
    else if (answer === ANSWER_ONLY_ACK) {
      this.down.sendAck(0, message);
      w.count(COUNTERS.repliesAbsorbed);
    } else if (code < 200) {
      this.settle();
      if ((x[b + B_FLAGS]! & B_CANCEL_WANTED) !== 0) this.down.cancel(0, CAUSE_NONE);
    } else {
      if (answer === ANSWER_PASSED_WITH_ACK) this.down.sendAck(0, message);
      if (isInvite && code < 300) this.accepted(message);
      else if ((x[b + B_FLAGS]! & B_TIMED_OUT) !== 0) this.conclude(null, 408);
      else this.conclude(message, code);
    }
    w.native.transactionStore();
  }

  /** The branch of the transaction in hand is over without an answer: 408, or 503 if it could not be sent. */
  lost(code: number): void {
    this.conclude(null, code);
  }

  /**
   * The final answer, for the first time: told when it is stored, so that an observer that never returns costs its worker
   * no second one.
   */
  private conclude(message: Message | null, code: number): void {
    const { w } = this;
    const x = w.x;
    if (x[T_STATE] !== SERVER_PROCEEDING) return;
    const isInvite = x[T_METHOD] === M_INVITE;
    this.settle();
    x[T_STATE] = SERVER_COMPLETED;
    x[T_CODE] = code;
    x[T_END_DUE] = tickAfter(w.now, isInvite ? w.timers.patienceTicks : w.timers.waitTicks);
    w.native.transactionStore();
    // Whoever hears of it may read the request.
    this.observer.ownAnswer(message, code);
    if (isInvite) return;
    w.native.transactionStore(1);
  }

  // -- 2xx of an INVITE ----------------------------------------------------------------------------------------------

  /** Each 2xx is acknowledged, also when it comes again; one too many is ended with BYE.  [13.2.2.4] */
  private accepted(message: Message): void {
    const { w } = this;
    const x = w.x;
    const b = branchAt(0);
    const tag = w.native.hash(message.at + message.word(W_TO_TAG_OFF), message.word(W_TO_TAG_LEN));
    const isFirst = x[T_STATE] === SERVER_PROCEEDING;
    if (isFirst) x[b + B_TO_TAG] = tag;
    if (x[T_REPLY_BYTES] !== 0 && x[b + B_TO_TAG] === tag) {
      w.native.transactionSendReply();
      return;
    }
    const isOurs = x[b + B_TO_TAG] === tag;
    this.acknowledge(message, isOurs);
    if (isFirst) this.conclude(message, message.code);
    else if (!isOurs && x[b + B_USER0] !== tag) {
      x[b + B_USER0] = tag;
      this.endSurplus(message);
    }
  }

  /** Sends the ACK for a 2xx, and keeps it for the next copy of this 2xx. */
  private acknowledge(message: Message, kept: boolean): void {
    const { hop, out, w } = this;
    const x = w.x;
    const within = this.within(message);
    if (within === null) return;
    const status = hop.findText(w, this.resolver, x[T_FLOW]!, within.nextHop);
    if (status === HOP_UNKNOWN_NAME) {
      // Known when the 2xx comes again.
      void this.resolver.resolve(hop.host, hop.namePort, hop.transport);
    }
    if (status !== HOP_FOUND) return;
    const { address } = hop;
    out.to(hop.flow, hop.port, address.a0, address.a1, address.a2, address.a3);
    out.text(`ACK ${within.requestUri} SIP/2.0\r\n`);
    const mark = w.scratch.at;
    writeVia(w.scratch, x, w.sockets.of(hop.flow), w.owner, ACK_BRANCH);
    out.piece(mark, w.scratch.at - mark);
    out.text(`${MAX_FORWARDS}${within.headers}CSeq: ${x[T_CSEQ]} ACK\r\n`);
    out.text(`${this.credentials()}Content-Length: 0\r\n\r\n`);
    if (kept) {
      x[T_FLOW] = hop.flow;
      x[T_PORT] = hop.port;
      x[T_ADDRESS0] = address.a0;
      x[T_ADDRESS0 + 1] = address.a1;
      x[T_ADDRESS0 + 2] = address.a2;
      x[T_ADDRESS0 + 3] = address.a3;
      w.native.transactionSetReply();
    }
    out.send();
    w.count(COUNTERS.forwardedRequests);
  }

  /** Ends the dialog of a 2xx that nobody waited for. */
  private endSurplus(message: Message): void {
    const within = this.within(message);
    if (within === null) return;
    const headers = `${MAX_FORWARDS}${within.headers}CSeq: ${this.w.x[T_CSEQ]! + 1} BYE\r\n`;
    this.send({
      method: 'BYE',
      text: `BYE ${within.requestUri} SIP/2.0\r\n${headers}Content-Length: 0\r\n\r\n`,
      nextHop: within.nextHop,
      socket: this.w.x[T_FLOW]!,
      index: 0,
      generation: 0,
      side: 0,
      purpose: 0,
    });
  }

  /** What a request within the dialog of a 2xx begins with; null: it has no Contact to send it to.  [12.1.2, 12.2.1.1] */
  private within(message: Message): { requestUri: string; nextHop: string; headers: string } | null {
    let requestUri = message.text(W_CONTACT_URI_OFF, W_CONTACT_URI_LEN);
    if (requestUri === '') return null;
    const routes: string[] = [];
    let nextHop = requestUri;
    let item = message.word(W_RECORD_ROUTE_ITEM);
    for (let n = message.word(W_RECORD_ROUTE_COUNT); n > 0; n--) {
      routes.unshift(message.slice(message.itemOffset(item), message.itemLength(item)));
      nextHop = message.slice(message.itemUriOffset(item), message.itemUriLength(item));
      if (n === 1 && !this.isLoose(message, item)) {
        routes.shift();
        routes.push(`<${requestUri}>`);
        requestUri = nextHop;
      }
      item = message.itemNext(item);
    }
    const headers =
      (routes.length === 0 ? '' : `Route: ${routes.join(', ')}\r\n`) +
      `From: ${message.text(W_FROM_OFF, W_FROM_LEN)}\r\n` +
      `To: ${message.text(W_TO_OFF, W_TO_LEN)}\r\n` +
      `Call-ID: ${message.text(W_CALL_ID_OFF, W_CALL_ID_LEN)}\r\n`;
    return { requestUri, nextHop, headers };
  }

  private isLoose(message: Message, item: number): boolean {
    const { memory, parser } = this.w;
    parser.parseUri(message.at, message.itemUriOffset(item), message.itemUriLength(item), memory.uriWords);
    return memory.words[(memory.uriWords >> 2) + U_LR] === 1;
  }

  /** The INVITE's credentials, which its ACK repeats.  [22.1] */
  private credentials(): string {
    const { message, w } = this;
    if (this.isMaking || !w.parkRequest('localRequest', message)) return '';
    let lines = '';
    for (let n = 0; n < message.headerCount; n++) {
      const id = message.headerId(n);
      if (id !== HDR_AUTHORIZATION && id !== HDR_PROXY_AUTHORIZATION) continue;
      lines += message.slice(message.headerLine(n), message.headerEnd(n) - message.headerLine(n));
    }
    return lines;
  }
}
