/**
 * A request's path through the proxy: transaction, validation, route, forwarding.  [RFC 3261 16]
 *
 * One ProxyCore per shard.  Synchronous from datagram in to datagram queued; a relay to a name that is not in the cache,
 * or a route that waits, suspends the transaction and goes on later on the same shard.
 */
import {
  B_END_DUE,
  B_FINAL_DUE,
  B_FLAGS,
  B_RETRANSMIT_DUE,
  B_RETRANSMIT_INTERVAL,
  B_STATE,
  HEAD_WORDS,
  T_ADDRESS0,
  T_BRANCH_COUNT,
  T_CODE,
  T_CREATED,
  T_CSEQ,
  T_DIALOG_GENERATION,
  T_DIALOG_INDEX,
  T_END_DUE,
  T_FAILURE_ROUTE,
  T_FLAGS,
  T_FLOW,
  T_GENERATION,
  T_INDEX,
  T_KIND,
  T_LOOP_HASH,
  T_METHOD,
  T_ON_BRANCH,
  T_ON_FAILURE,
  T_ON_REPLY,
  T_PORT,
  T_RETRANSMIT_DUE,
  T_ROUTE_DUE,
  T_STATE,
  X_ARGS,
  X_LIST,
} from '../memory/words.js';
import type { Message } from '../sip/message.js';
import {
  F_BAD_VERSION,
  F_MISSING_CALL_ID,
  F_MISSING_FROM,
  F_MISSING_TO,
  FAULT_NAMES,
  M_ACK,
  M_CANCEL,
  M_INVITE,
  W_BODY_LEN,
  W_BODY_OFF,
  W_CSEQ_NUMBER,
  W_KIND,
  W_STATUS,
  W_VIA_HOST_LEN,
} from '../sip/words.js';
import { isContinuable } from '../sip/writable.js';
import { clientCancelDue, clientInviteDue } from '../transaction/client-invite.js';
import { clientNonInviteDue } from '../transaction/client-non-invite.js';
import { inviteAcknowledged, inviteAnswerDue, inviteRepeated } from '../transaction/server-invite.js';
import { nonInviteRepeated } from '../transaction/server-non-invite.js';
import {
  B_CANCEL_SENT,
  BRANCH_CALLING,
  BRANCH_COMPLETED,
  KIND_CLIENT,
  KIND_INVITE_SERVER,
  KIND_NON_INVITE_SERVER,
  SERVER_PROCEEDING,
  T_BEGINS_ANEW,
  T_CANCELLED,
  T_COUNTED,
  T_FAILS_OVER,
  T_FORCED_RPORT,
  T_SUSPENDED,
  T_UNFINISHED,
} from '../transaction/states.js';
import { isDue, tickAfter } from '../transaction/timers.js';
import { formatAddress } from '../transport/address.js';
import { hasOwnTag } from './answer.js';
import { Authenticator, type IdentityOf } from './authenticate.js';
import { BranchEdits, targetOf } from './branch-edits.js';
import { CAUSE_CALLER, CAUSE_NONE, CancelReasons } from './cancel-reason.js';
import { Continuations } from './continuations.js';
import { branchAt, Downstream, ROOM_PER_BRANCH_BYTES } from './downstream.js';
import { isRoutedAsItCame, looseRoute, yieldToStrictRouter } from './loose-route.js';
import { HOP_FOUND, HOP_OTHER_SCHEME, HOP_UNKNOWN_NAME, NextHop } from './next-hop.js';
import { OwnRequests } from './own-requests.js';
import { Passage, TARGETS_MAX } from './passage.js';
import type { NameResolver, ProxyObserver, RouteScript } from './ports.js';
import { Predecessor } from './predecessor.js';
import { Responses } from './response.js';
import type { Sources } from './sources.js';
import { Upstream } from './upstream.js';
import { breadthOf, isExhausted, LoopCheck, passesOf } from './validate.js';
import { readSender } from './via.js';
import {
  COUNTERS,
  REPLIES_BY_CLASS,
  REQUESTS_BY_METHOD,
  ROOM_PER_STEP_BYTES,
  type Workspace,
} from './workspace.js';

const STATUS_OK = 0;
/** W_KIND */
const KIND_REQUEST = 1;
const KIND_RESPONSE = 2;
const STATUS_NO_MEMORY = 3;
/** Transactions whose time has come, handled between two batches at most. */
const DUE_PER_TICK_MAX = 256;
/** Routes that wait for something elsewhere, and requests that wait for a host name: each holds its message's slot. */
const ROUTES_WAITING_MAX = 512;
const NAME_WAITS_MAX = 512;

/** So often a request may go to ourselves: routes that lead through several roles of one proxy need two or three. */
const PASSES_MAX = 8;

const RETRY_AFTER = 'Retry-After: 5\r\n';

/** What the shard does for the proxy: keeps messages in place, sends what is queued. */
export interface ShardPort {
  /** Posts what was counted, sends what is queued, and has branches fail whose copy could not be sent. */
  flush(): void;
  /** Takes the message's slot out of circulation.  False: no slot can be spared. */
  keep(message: Message): boolean;
  release(message: Message): void;
}

export class ProxyCore {
  /** The process is about to stop: calls that are up go on, new ones are sent elsewhere. */
  draining = false;
  /** The shard is behind: calls that are up go first, new ones are sent elsewhere. */
  isBehind = false;
  readonly w: Workspace;
  readonly up: Upstream;
  readonly down: Downstream;
  readonly own: OwnRequests;
  readonly responses: Responses;
  readonly reasons: CancelReasons;
  private readonly predecessor: Predecessor;
  private readonly sources: Sources;
  private readonly authenticator: Authenticator;
  private readonly observer: ProxyObserver;
  private readonly script: RouteScript;
  private readonly resolver: NameResolver;
  private readonly shard: ShardPort;
  private readonly hops: NextHop[] = [];
  private readonly loopCheck: LoopCheck;
  private readonly due = new Uint32Array(DUE_PER_TICK_MAX);
  private passage: Passage;
  private readonly spare: Passage[] = [];
  private readonly continuations: Continuations;
  /** Passages that wait, by the index of their transaction; and those without one, the first to come to its end first. */
  private readonly waiting = new Map<number, Passage>();
  private readonly waitingStateless: Passage[] = [];
  private routesWaiting = 0;
  private nameWaits = 0;

  constructor(
    w: Workspace,
    observer: ProxyObserver,
    script: RouteScript,
    resolver: NameResolver,
    shard: ShardPort,
    sources: Sources,
  ) {
    this.w = w;
    this.sources = sources;
    this.observer = observer;
    this.script = script;
    this.resolver = resolver;
    this.shard = shard;
    this.continuations = new Continuations(w, shard);
    this.up = new Upstream(w, observer);
    this.reasons = new CancelReasons(w.params.tm);
    this.down = new Downstream(w, observer, this.reasons);
    this.own = new OwnRequests(w, observer, script, resolver, this.continuations, this.up, this.down);
    this.authenticator = new Authenticator(w, observer);
    this.responses = new Responses(w, observer, script, resolver, this.up, this.down, this.own);
    this.predecessor = new Predecessor(w, observer, this.responses, this.up);
    this.loopCheck = new LoopCheck();
    for (let n = 0; n < TARGETS_MAX; n++) this.hops.push(new NextHop());
    this.passage = new Passage(w.newMessage());
  }

  /** Takes over what a process or worker before this one left; `beginsMax`: how often a request may begin anew. */
  takeOver(beginsMax: number): void {
    this.predecessor.takeOver(beginsMax);
  }

  /** The message to bind the next datagram to. */
  get inHand(): Message {
    return this.passage.message;
  }

  /** Handles the message in hand, parsed; its datagram came to this shard and belongs here. */
  receive(): void {
    const message = this.passage.message;
    const kind = message.word(W_KIND);
    // What follows the body in a datagram belongs to nobody.  [18.3]
    if (message.word(W_STATUS) === 0) message.length = message.word(W_BODY_OFF) + message.word(W_BODY_LEN);
    if (kind === KIND_REQUEST) {
      this.w.count(COUNTERS.receivedRequests);
      this.request();
    } else if (kind === KIND_RESPONSE && message.word(W_STATUS) === 0) {
      this.w.count(COUNTERS.receivedReplies);
      this.w.count(REPLIES_BY_CLASS + Math.floor(message.code / 100) - 1);
      this.responses.receive(message);
    } else {
      this.w.count(COUNTERS.badMessages);
      if (kind === KIND_RESPONSE) this.w.count(COUNTERS.replyErrors);
    }
  }

  // -- requests ------------------------------------------------------------------------------------------------------

  private request(): void {
    const passage = this.passage;
    const message = passage.message;
    passage.reset();
    readSender(passage, false);
    const fault = message.word(W_STATUS);
    if (fault !== 0) {
      this.refuseFault(passage, fault);
      return;
    }
    const method = message.method;
    const counter = REQUESTS_BY_METHOD[method];
    if (counter !== undefined) this.w.count(counter);
    if (method === M_ACK) {
      if (this.acknowledged(passage)) return;
    } else if (method === M_CANCEL) {
      if (this.cancelled(passage)) return;
    } else if (this.repeated(passage)) {
      return;
    }
    if (this.isBehind && method === M_INVITE && this.isNewCall(message)) {
      this.w.count(COUNTERS.overloadRefused);
      this.up.refuse(passage);
      return;
    }
    if (this.loopCheck.loops(message, passage.loopHash)) {
      this.w.count(COUNTERS.loops);
      this.up.answerStateless(passage, 482);
      return;
    }
    if (!isContinuable(message)) {
      this.w.count(COUNTERS.badMessages);
      this.up.answerStateless(passage, 400, 'Cannot Be Continued');
      return;
    }
    if (this.draining && method === M_INVITE && !message.hasToTag) {
      this.up.refuse(passage);
      return;
    }
    this.route(passage);
  }

  /** An INVITE of no dialog; a To tag alone proves nothing, for anybody can write one. */
  private isNewCall(message: Message): boolean {
    return !message.hasToTag || !this.observer.isOfDialog(message);
  }

  /** A request that breaks the grammar: answered where that is possible.  [16.3 step 1] */
  private refuseFault(passage: Passage, fault: number): void {
    this.w.count(COUNTERS.badMessages);
    const message = passage.message;
    if (message.method === M_ACK || !this.isAnswerable(message, fault)) {
      this.w.count(COUNTERS.droppedRequests);
      return;
    }
    if (fault === F_BAD_VERSION) this.up.answerStateless(passage, 505);
    else this.up.answerStateless(passage, 400, reasonOfFault(fault));
  }

  /** An answer needs a Via; what else is missing, the answer misses too. */
  private isAnswerable(message: Message, fault: number): boolean {
    if (this.w.parser.answerable(message.w * 4)) return true;
    const isIncomplete = fault === F_MISSING_FROM || fault === F_MISSING_TO || fault === F_MISSING_CALL_ID;
    return isIncomplete && message.word(W_VIA_HOST_LEN) !== 0;
  }

  /** ACK for a negative answer of ours ends here. */
  private acknowledged(passage: Passage): boolean {
    const { w } = this;
    const message = passage.message;
    if (this.matches(passage, 1)) {
      if (!inviteAcknowledged(w.x, w.now, w.timers)) {
        passage.loopHash = w.native.loopHash(message.at, message.w * 4);
        return this.acknowledgedUs(message);
      }
      w.native.transactionStore();
      w.count(COUNTERS.acksAbsorbed);
      return true;
    }
    if (!this.acknowledgedUs(message)) return false;
    w.count(COUNTERS.statelessAcks);
    return true;
  }

  /** ACK with the tag we gave: nobody else is to have it.  That for a 2xx of ours confirms its dialog.  [13.3.1.4] */
  private acknowledgedUs(message: Message): boolean {
    if (!message.hasToTag || !hasOwnTag(this.w, message)) return false;
    this.observer.acknowledged(message);
    return true;
  }

  /** CANCEL of a transaction we know: answered, and passed to the branches that still ring.  [16.10, 9.2] */
  private cancelled(passage: Passage): boolean {
    const { w } = this;
    const x = w.x;
    if (!this.matches(passage, 1)) return false;
    this.up.answerStateless(passage, 200);
    if (x[T_STATE] !== SERVER_PROCEEDING || (x[T_FLAGS]! & T_CANCELLED) !== 0) return true;
    x[T_FLAGS] = (x[T_FLAGS]! & ~T_FAILS_OVER) | T_CANCELLED;
    if ((x[T_FLAGS]! & T_SUSPENDED) === 0) x[T_ROUTE_DUE] = 0;
    this.reasons.keep(passage.message, x[T_INDEX]!, x[T_GENERATION]!);
    this.down.cancelPending(CAUSE_CALLER);
    if (this.responses.allEnded()) this.responses.answerOwn(487);
    w.native.transactionStore();
    return true;
  }

  /** Loads the transaction that the request belongs to; false: it has none, and its loop hash is known. */
  private matches(passage: Passage, asInvite: number): boolean {
    const { native, x } = this.w;
    const message = passage.message;
    const status = native.transactionMatch(message.at, message.w * 4, asInvite);
    passage.key[0] = x[X_ARGS]!;
    passage.key[1] = x[X_ARGS + 1]!;
    if (status === STATUS_OK) return true;
    passage.loopHash = x[X_ARGS + 2]!;
    return false;
  }

  /** A copy of a request that we have: the last answer again. */
  private repeated(passage: Passage): boolean {
    const { w } = this;
    const x = w.x;
    if (!this.matches(passage, 0)) return false;
    if ((x[T_FLAGS]! & T_BEGINS_ANEW) !== 0 && x[T_STATE] === SERVER_PROCEEDING) {
      this.beginAnew(passage);
      return false;
    }
    w.count(COUNTERS.requestsRepeated);
    const now = w.now;
    const again =
      x[T_KIND] === KIND_INVITE_SERVER
        ? inviteRepeated(x, now, w.timers)
        : nonInviteRepeated(x, now, w.timers);
    if (again) this.up.repeat(passage);
    w.native.transactionStore();
    return true;
  }

  /** The transaction in hand is the request's, and was never through with it: it is as if it had just been made. */
  private beginAnew(passage: Passage): void {
    const { w } = this;
    const x = w.x;
    x[T_FLAGS] = x[T_FLAGS]! & ~T_BEGINS_ANEW;
    x[T_END_DUE] = tickAfter(w.now, w.timers.noAnswerTicks);
    passage.transactionIndex = x[T_INDEX]!;
    passage.transactionGeneration = x[T_GENERATION]!;
    passage.loopHash = x[T_LOOP_HASH]!;
    w.native.transactionStore();
  }

  /** Runs the request route. */
  private route(passage: Passage): void {
    const message = passage.message;
    this.observer.begin(message);
    const { maker } = this.loopCheck;
    if (maker !== null && this.own.made(maker)) {
      this.observer.comesFromUs(this.w.x[T_DIALOG_INDEX]!, this.w.x[T_DIALOG_GENERATION]!);
    }
    const fine = this.script.request(passage);
    if (!fine) this.routeFailed(passage);
    if (passage.detached) {
      passage.parked = this.observer.park();
      this.passage = this.spare.pop() ?? new Passage(this.w.newMessage());
      return;
    }
    this.observer.scriptEnded(message, passage.transactionIndex !== 0);
    if (!passage.relayed && !passage.answered && message.method !== M_ACK)
      this.w.count(COUNTERS.droppedRequests);
  }

  /** The handling of the message in hand threw, and that is our fault: a request that has no answer gets 500. */
  handlingFailed(): void {
    const { passage } = this;
    const { message } = passage;
    if (!message.isRequest || message.word(W_STATUS) !== 0 || passage.answered || passage.relayed) return;
    this.reply(passage, 500);
    this.observer.scriptEnded(message, passage.transactionIndex !== 0);
  }

  /** A route threw: 500, unless something went out already. */
  routeFailed(passage: Passage): void {
    this.w.count(COUNTERS.routeErrors);
    this.w.count(COUNTERS.requestErrors);
    if (!passage.relayed && !passage.answered) this.reply(passage, 500);
  }

  // -- what routes ask for -------------------------------------------------------------------------------------------

  /** `loose_route()` */
  looseRoute(passage: Passage): boolean {
    return looseRoute(this.w, passage, this.observer);
  }

  /** `sl_send_reply()`: without a transaction, unless there is one. */
  reply(passage: Passage, code: number, reason?: string, extra?: string): boolean {
    if (!this.load(passage)) {
      this.up.answerStateless(passage, code, reason, extra);
      return true;
    }
    const sent = this.up.answer(passage, code, reason, extra);
    if (sent && code >= 200) passage.answered = true;
    this.w.native.transactionStore();
    return sent;
  }

  /** There is no room for a new call. */
  refuseForMemory(passage: Passage): void {
    this.outOfMemory();
    this.reply(passage, 503, undefined, RETRY_AFTER);
  }

  private outOfMemory(): void {
    this.w.count(COUNTERS.noMemory);
    this.w.count(COUNTERS.transactionsRefused);
    this.w.faults.warn('segment_full', { answered: 503, remedy: '--segment-size' });
  }

  /** `t_newtran()`: makes the server transaction.  False: no memory; the request has been answered 503. */
  newTransaction(passage: Passage): boolean {
    if (!this.load(passage) && !this.makeTransaction(passage)) return false;
    this.answerTrying(passage);
    this.w.native.transactionStore();
    return true;
  }

  /** The caller of an INVITE need not repeat it: at once, for nobody knows how long the rest takes.  [16.2] */
  private answerTrying(passage: Passage): void {
    const x = this.w.x;
    if (x[T_KIND] === KIND_INVITE_SERVER && x[T_CODE] === 0) this.up.answer(passage, 100);
  }

  /** The server transaction of the request, in hand; the caller stores it. */
  private makeTransaction(passage: Passage): boolean {
    const { w } = this;
    const x = w.x;
    const message = passage.message;
    if (message.method === M_ACK || message.method === M_CANCEL) return false;
    x[X_ARGS] = passage.key[0]!;
    x[X_ARGS + 1] = passage.key[1]!;
    const { address0, address1, address2, address3 } = message;
    // What belongs to a dialog is neither counted nor refused; whether it does is only asked when that matters.
    const isMatched = message.hasToTag && this.observer.hasDialog;
    const isCounted = !isMatched && this.sources.add(address0, address1, address2, address3);
    if (!isMatched && !isCounted && !this.observer.isWithinDialog(message)) {
      this.refuseSource(passage);
      return false;
    }
    x.fill(0, T_INDEX, T_INDEX + HEAD_WORDS);
    const isInvite = message.method === M_INVITE;
    x[T_KIND] = isInvite ? KIND_INVITE_SERVER : KIND_NON_INVITE_SERVER;
    x[T_STATE] = SERVER_PROCEEDING;
    x[T_FLAGS] = (passage.rportWanted ? T_FORCED_RPORT : 0) | (isCounted ? T_COUNTED : 0);
    x[T_METHOD] = message.method;
    x[T_FLOW] = message.flow;
    x[T_PORT] = passage.answerPort;
    x[T_ADDRESS0] = address0;
    x[T_ADDRESS0 + 1] = address1;
    x[T_ADDRESS0 + 2] = address2;
    x[T_ADDRESS0 + 3] = address3;
    x[T_CSEQ] = message.word(W_CSEQ_NUMBER);
    x[T_LOOP_HASH] = passage.loopHash;
    x[T_CREATED] = w.now;
    // Until it is relayed or answered: a route that does neither leaves nothing behind.
    x[T_END_DUE] = tickAfter(x[T_CREATED]!, w.timers.noAnswerTicks);
    let status = w.native.transactionCreate(message.at, message.length, 0);
    // What is left is for calls that are up.
    if (status === STATUS_NO_MEMORY && this.observer.isWithinDialog(message)) {
      x[X_ARGS] = passage.key[0]!;
      x[X_ARGS + 1] = passage.key[1]!;
      status = w.native.transactionCreate(message.at, message.length, 1);
    }
    if (status !== STATUS_OK) {
      if (isCounted) this.sources.remove(address0, address1, address2, address3);
      this.outOfMemory();
      this.up.answerStateless(passage, 503, undefined, RETRY_AFTER);
      return false;
    }
    passage.transactionIndex = x[T_INDEX]!;
    passage.transactionGeneration = x[T_GENERATION]!;
    this.observer.relayed(message);
    w.count(COUNTERS.serverTransactions);
    return true;
  }

  /** This source has as many transactions open as it may. */
  private refuseSource(passage: Passage): void {
    const { address0, address1, address2, address3 } = passage.message;
    this.w.count(COUNTERS.sourceLimited);
    this.w.faults.warn('source_limited', () => ({
      source: formatAddress(address0, address1, address2, address3),
      open: this.sources.max,
      parameter: 'tm:max_per_source',
    }));
    this.up.answerStateless(passage, 503, undefined, RETRY_AFTER);
  }

  /** Counts the transactions that another worker or process left to this one, of at most `max`. */
  recount(max: number): void {
    const { w } = this;
    for (let index = 1; index <= max; index++)
      if (w.native.transactionLoadIndex(index) === STATUS_OK && (w.x[T_FLAGS]! & T_COUNTED) !== 0)
        this.eachSource('found');
  }

  /** What the transaction in hand is to its source. */
  private eachSource(what: 'found' | 'remove'): void {
    const x = this.w.x;
    this.sources[what](x[T_ADDRESS0]!, x[T_ADDRESS0 + 1]!, x[T_ADDRESS0 + 2]!, x[T_ADDRESS0 + 3]!);
  }

  /** Loads the passage's transaction into the registers; false if it has none or it is over. */
  private load(passage: Passage): boolean {
    const { w } = this;
    const index = passage.transactionIndex;
    if (index === 0) return false;
    if (w.x[T_INDEX] === index && w.x[T_GENERATION] === passage.transactionGeneration && !passage.detached)
      return true;
    return w.native.transactionLoad(index, passage.transactionGeneration) === STATUS_OK;
  }

  /** `t_relay()`: forwards the request to its targets.  True: it went out, waits for a name, or was answered. */
  relay(passage: Passage): boolean {
    if (passage.answered || (passage.relayed && !passage.isFailure)) return false;
    const message = passage.message;
    if (isExhausted(message)) {
      this.w.count(COUNTERS.tooManyHops);
      return this.reply(passage, 483);
    }
    if (passage.editRefused) {
      this.w.count(COUNTERS.requestErrors);
      return this.reply(passage, 500);
    }
    if (passage.isFailure) return this.relayAgain(passage);
    yieldToStrictRouter(this.w, passage);
    const unknown = this.findHops(passage);
    if (this.returns(passage)) {
      this.w.count(COUNTERS.loops);
      return this.reply(passage, 482);
    }
    const stateless = message.method === M_ACK || message.method === M_CANCEL;
    if (unknown !== null) return this.waitForName(passage, unknown, stateless);
    if (stateless) {
      const hop = this.hops[0]!;
      passage.relayed =
        this.hopStatus[0] === HOP_FOUND && this.down.sendStateless(passage, hop, passage.requestUri);
      return passage.relayed;
    }
    if (this.load(passage) || this.makeTransaction(passage)) this.send(passage);
    return true;
  }

  /** A failure route's t_relay(): more branches of the same transaction. */
  private relayAgain(passage: Passage): boolean {
    const x = this.w.x;
    if (x[T_STATE] !== SERVER_PROCEEDING || (x[T_FLAGS]! & T_CANCELLED) !== 0) return false;
    const unknown = this.findHops(passage);
    if (unknown !== null) {
      passage.transactionIndex = x[T_INDEX]!;
      passage.transactionGeneration = x[T_GENERATION]!;
      return this.failOverToName(passage, unknown);
    }
    const before = x[T_BRANCH_COUNT]!;
    this.keepDecisions(passage);
    this.observer.relayed(passage.message);
    this.addBranches(passage);
    return x[T_BRANCH_COUNT]! > before;
  }

  /** Finds the hops of all targets; the first name that must be looked up, or null. */
  private findHops(passage: Passage): NextHop | null {
    const { w, resolver } = this;
    const count = 1 + passage.targets.length;
    let unknown: NextHop | null = null;
    for (let n = 0; n < count; n++) {
      const hop = this.hops[n]!;
      const target = n === 0 ? passage.requestUri : passage.targets[n - 1]!;
      const destination = n === 0 ? passage.destination : passage.targetDestinations[n - 1]!;
      const status = hop.find(w, resolver, passage, target, destination);
      this.hopStatus[n] = status;
      if (status === HOP_UNKNOWN_NAME && unknown === null) unknown = hop;
    }
    return unknown;
  }

  /**
   * The request would come back to us at once, as it came or once too often: 482 without the detour.  Whoever rewrites it
   * each time is stopped by the count of our own Vias.  [16.3 step 4]
   */
  private returns(passage: Passage): boolean {
    const { w } = this;
    const hop = this.hops[0]!;
    if (this.hopStatus[0] !== HOP_FOUND || passage.targets.length > 0) return false;
    if (!w.sockets.isOurs(hop.address, hop.port)) return false;
    return isRoutedAsItCame(passage) || passesOf(passage.message) >= PASSES_MAX;
  }

  private readonly hopStatus = new Int32Array(TARGETS_MAX);
  private readonly branchEdits = new BranchEdits();

  /** Makes the branches, in the transaction in hand; without any the request is answered.  Either way it is stored. */
  private send(passage: Passage): void {
    const { w } = this;
    const x = w.x;
    this.keepDecisions(passage);
    this.observer.relayed(passage.message);
    // It has its deadline, whatever a branch route does to this worker.
    if (x[T_ON_BRANCH] !== 0) w.native.transactionStore();
    x[T_END_DUE] = 0;
    const failed = this.addBranches(passage);
    passage.relayed = true;
    if (x[T_BRANCH_COUNT] !== 0) return;
    this.up.answer(passage, failed);
    w.native.transactionStore();
  }

  /** Keeps with the transaction in hand what the route asked for. */
  private keepDecisions(passage: Passage): void {
    const x = this.w.x;
    if (passage.onReply !== 0) x[T_ON_REPLY] = passage.onReply;
    if (passage.onFailure !== 0) x[T_ON_FAILURE] = passage.onFailure;
    if (passage.onBranch !== 0) x[T_ON_BRANCH] = passage.onBranch;
    this.responses.decisions.keep(passage);
  }

  /** One branch for each target that can be reached; the code to answer with if none was. */
  private addBranches(passage: Passage): number {
    const { w } = this;
    const x = w.x;
    const count = 1 + passage.targets.length;
    const breadth = breadthOf(passage.message, w.params.core.max_breadth);
    if (breadth < count) return 440;
    const each = Math.floor(breadth / count);
    let failed = 478;
    let isThrough = count === 1 && x[T_FAILURE_ROUTE] === 0;
    if (count > 1) x[T_FLAGS] = x[T_FLAGS]! | T_UNFINISHED;
    for (let n = 0; n < count; n++) {
      if (x[T_ON_BRANCH] !== 0) this.branchEdits.begin(passage, n);
      const uri = x[T_ON_BRANCH] !== 0 ? this.branchRoute(passage, n) : targetOf(passage, n);
      if (this.hopStatus[n] !== HOP_FOUND) {
        if (this.hopStatus[n] === HOP_OTHER_SCHEME) failed = 416;
        this.branchEdits.end(passage);
        continue;
      }
      w.makeRoom(ROOM_PER_BRANCH_BYTES);
      this.answerTrying(passage);
      if (n === count - 1) this.noMoreToCome();
      const status = this.down.addBranch(passage, this.hops[n]!, uri, each);
      this.branchEdits.end(passage);
      if (status === STATUS_OK) {
        isThrough ||= n === count - 1;
        continue;
      }
      failed = status === STATUS_NO_MEMORY ? 503 : 500;
      if (status === STATUS_NO_MEMORY) this.outOfMemory();
    }
    // The last target got no branch that was stored with it.
    if (!isThrough) {
      this.noMoreToCome();
      if (x[T_BRANCH_COUNT] !== 0) w.native.transactionStore();
    }
    return failed;
  }

  /** A successor of this worker finds all branches there. */
  private noMoreToCome(): void {
    const x = this.w.x;
    x[T_FLAGS] = x[T_FLAGS]! & ~T_UNFINISHED;
    x[T_FAILURE_ROUTE] = 0;
  }

  /** Runs the branch route for target `n`; where it sends that branch is looked for again.  Its R-URI. */
  private branchRoute(passage: Passage, n: number): string | null {
    const { w, resolver } = this;
    const { destination, requestUri } = passage;
    this.script.branch(w.x[T_ON_BRANCH]!, passage, w.x[T_BRANCH_COUNT]!);
    const uri = passage.requestUri;
    if (uri !== requestUri || passage.destination !== destination)
      this.hopStatus[n] = this.hops[n]!.find(w, resolver, passage, uri, passage.destination);
    return uri;
  }

  /** `uac_auth()`: prepares the branch that answers the best answer's challenge. */
  authenticate(passage: Passage, identityOf: IdentityOf): boolean {
    if (!passage.isFailure) return false;
    return this.authenticator.answer(passage, this.responses.bestBranch, identityOf);
  }

  /** `t_cancel_branches()` */
  cancelBranches(passage: Passage): boolean {
    if (!this.load(passage)) return false;
    this.down.cancelPending(CAUSE_NONE);
    this.w.native.transactionStore();
    return true;
  }

  // -- suspended routes ----------------------------------------------------------------------------------------------

  /** Suspends the transaction of a route that waits; false: answered instead. */
  suspend(passage: Passage): boolean {
    if (!this.wait(passage, true)) return false;
    this.w.count(COUNTERS.routesSuspended);
    return true;
  }

  /**
   * Takes the request out of circulation until its route goes on, or its name is known, but no longer than a route may
   * wait.  False: answered instead, or nobody is there to answer.
   */
  private wait(passage: Passage, forRoute: boolean): boolean {
    const { w } = this;
    const { message } = passage;
    // ACK, and CANCEL that belongs to nothing here, have no transaction: only the message is kept.
    const isStateless = message.method === M_ACK || message.method === M_CANCEL;
    if (!isStateless && !this.newTransaction(passage)) return false;
    if (!passage.detached && !this.keep(passage, forRoute)) {
      if (!isStateless) this.reply(passage, 503);
      return false;
    }
    const due = tickAfter(w.now, Math.ceil(w.params.core.route_timeout_ms / 10));
    if (isStateless) {
      passage.waitsUntil = due;
      this.waitingStateless.push(passage);
      return true;
    }
    const x = w.x;
    this.waiting.set(passage.transactionIndex, passage);
    x[T_FLAGS] = x[T_FLAGS]! | T_SUSPENDED;
    x[T_ROUTE_DUE] = due;
    // Until then nothing else ends it, whatever fr_timer says.
    x[T_END_DUE] = 0;
    w.native.transactionStore();
    return true;
  }

  /** Keeps the message's place, of those for routes that wait or of those for names; false: there is none. */
  private keep(passage: Passage, forRoute: boolean): boolean {
    const { message } = passage;
    const isFull = forRoute ? this.routesWaiting >= ROUTES_WAITING_MAX : this.nameWaits >= NAME_WAITS_MAX;
    if (isFull || (message.slot >= 0 && !this.shard.keep(message))) {
      this.w.count(forRoute ? COUNTERS.routesRefused : COUNTERS.nameWaitsRefused);
      return false;
    }
    if (forRoute) this.routesWaiting++;
    else this.nameWaits++;
    passage.detached = true;
    passage.isKeptForRoute = forRoute;
    return true;
  }

  /** Loads the transaction of a suspended route; false: its time is over, or the caller gave up. */
  resume(passage: Passage): boolean {
    const x = this.w.x;
    if (!this.load(passage)) return false;
    return x[T_STATE] === SERVER_PROCEEDING && (x[T_FLAGS]! & T_SUSPENDED) !== 0;
  }

  /** A route that waited goes on for one step: its transaction and dialog are in hand again.  False: its time is over. */
  enter(passage: Passage): boolean {
    if (passage.transactionIndex !== 0 && !this.resume(passage)) return false;
    this.w.makeRoom(ROOM_PER_STEP_BYTES);
    this.observer.resume(passage.parked);
    return true;
  }

  /** The step is over. */
  leave(passage: Passage): void {
    this.linkDialog(passage);
    passage.parked = this.observer.park();
    this.shard.flush();
    this.w.scratch.reset();
  }

  /** A dialog that the step made belongs to the transaction, which may end before the route goes on. */
  private linkDialog(passage: Passage): void {
    const { native, x } = this.w;
    const isInHand =
      x[T_INDEX] === passage.transactionIndex && x[T_GENERATION] === passage.transactionGeneration;
    if (passage.transactionIndex === 0 || !isInHand || x[T_DIALOG_INDEX] !== 0) return;
    this.observer.relayed(passage.message);
    if (x[T_DIALOG_INDEX] !== 0) native.transactionStore();
  }

  /** Ends the passage when the route's promise has settled; `onError` hears why it failed.  After its time: neither. */
  whenSettled(passage: Passage, promise: PromiseLike<unknown>, onError: (error: unknown) => void): void {
    const { lives } = passage;
    const isOver = (): boolean => passage.lives !== lives;
    const after = (error: unknown, hasFailed: boolean): void =>
      this.continuations.run(
        'route',
        () => {
          if (isOver()) return;
          if (hasFailed) {
            onError(error);
            if (this.enter(passage)) {
              this.routeFailed(passage);
              this.leave(passage);
            }
          }
          passage.routeWaits = false;
          if (!passage.waitsForName) this.finish(passage);
        },
        () => {
          if (!isOver()) this.giveUp(passage);
        },
      );
    Promise.resolve(promise).then(
      () => after(null, false),
      (error) => after(error, true),
    );
  }

  /** A step of a passage that waits threw: 500, and it waits no more. */
  private giveUp(passage: Passage): void {
    try {
      if (passage.transactionIndex !== 0 && this.resume(passage)) {
        this.up.answer(passage, 500);
        this.w.native.transactionStore();
      }
    } finally {
      this.finish(passage);
    }
  }

  /** Nothing is waited for any more: the transaction goes its own way, the message's place is free again. */
  private finish(passage: Passage): void {
    const { w } = this;
    const x = w.x;
    if (!passage.detached) return;
    passage.detached = false;
    passage.lives++;
    const { message, route } = passage;
    passage.route = null;
    if (passage.isKeptForRoute) this.routesWaiting--;
    else this.nameWaits--;
    if (this.waiting.get(passage.transactionIndex) === passage) this.waiting.delete(passage.transactionIndex);
    try {
      route?.retire();
      this.observer.resume(passage.parked);
      if (passage.transactionIndex !== 0 && this.resume(passage)) {
        x[T_FLAGS] = x[T_FLAGS]! & ~T_SUSPENDED;
        if ((x[T_FLAGS]! & T_FAILS_OVER) === 0) x[T_ROUTE_DUE] = 0;
        // A route that did nothing about the request leaves it to its deadline: nobody else will answer.
        if (x[T_BRANCH_COUNT] === 0) x[T_END_DUE] = tickAfter(w.now, w.timers.waitTicks);
        w.native.transactionStore();
      }
      this.observer.scriptEnded(message, passage.transactionIndex !== 0);
    } finally {
      if (message.slot >= 0) this.shard.release(message);
      if (this.spare.length < TARGETS_MAX) this.spare.push(passage);
    }
    this.shard.flush();
  }

  /** The time of a passage that waits is over, or its transaction's: whatever it waits for ends in the void. */
  private retire(index: number): void {
    const passage = this.waiting.get(index);
    if (passage !== undefined) this.finish(passage);
  }

  /** The same for those without a transaction. */
  private retireStateless(): void {
    const { waitingStateless: all, w } = this;
    let over = 0;
    while (over < all.length && (!isWaiting(all[over]!) || isDue(all[over]!.waitsUntil, w.now))) {
      const passage = all[over++]!;
      if (!isWaiting(passage)) continue;
      w.count(COUNTERS.routeTimeouts);
      this.finish(passage);
    }
    if (over > 0) all.splice(0, over);
  }

  /** A relay that needs a name first; goes on when the resolver knows. */
  private waitForName(passage: Passage, hop: NextHop, stateless: boolean): boolean {
    if (stateless) {
      // Nothing keeps an ACK: the name is found out for its copies.
      void this.resolver.resolve(hop.host, hop.namePort, hop.transport);
      return false;
    }
    if (!this.wait(passage, false)) return true;
    this.w.count(COUNTERS.nameWaits);
    this.observer.relayed(passage.message);
    this.w.native.transactionStore();
    passage.relayed = true;
    this.askForName(passage, hop);
    return true;
  }

  private askForName(passage: Passage, hop: NextHop): void {
    passage.waitsForName = true;
    passage.namesAsked++;
    const { lives } = passage;
    const isOver = (): boolean => passage.lives !== lives;
    this.continuations.after(
      this.resolver.resolve(hop.host, hop.namePort, hop.transport),
      'relay to a name',
      () => {
        if (!isOver()) this.relayWithName(passage);
      },
      () => {
        if (!isOver()) this.giveUp(passage);
      },
    );
  }

  private relayWithName(passage: Passage): void {
    const x = this.w.x;
    passage.waitsForName = false;
    this.observer.resume(passage.parked);
    if (this.resume(passage)) {
      const unknown = this.findHops(passage);
      if (unknown !== null && passage.namesAsked < TARGETS_MAX) {
        this.askForName(passage, unknown);
        this.leave(passage);
        return;
      }
      if (!passage.routeWaits) {
        x[T_FLAGS] = x[T_FLAGS]! & ~T_SUSPENDED;
        x[T_ROUTE_DUE] = 0;
      }
      this.send(passage);
      this.w.native.transactionStore();
    }
    passage.parked = this.observer.park();
    if (!passage.routeWaits) this.finish(passage);
  }

  /** A failure route relays to a name: its copy of the request is not kept, so the route's target is tried once known. */
  private failOverToName(passage: Passage, hop: NextHop): boolean {
    const { w } = this;
    const x = w.x;
    const index = x[T_INDEX]!;
    const generation = x[T_GENERATION]!;
    const wish = {
      destination: passage.destination,
      requestUri: passage.requestUri,
      targets: [...passage.targets],
    };
    this.keepDecisions(passage);
    x[T_FLAGS] = x[T_FLAGS]! | T_FAILS_OVER;
    x[T_ROUTE_DUE] = tickAfter(w.now, Math.ceil(w.params.core.route_timeout_ms / 10));
    const isWaiting = (): boolean =>
      w.native.transactionLoad(index, generation) === STATUS_OK &&
      x[T_STATE] === SERVER_PROCEEDING &&
      (x[T_FLAGS]! & T_FAILS_OVER) !== 0;
    this.continuations.after(
      this.resolver.resolve(hop.host, hop.namePort, hop.transport),
      'failure route to a name',
      () => {
        if (!isWaiting()) return;
        this.failOver(wish);
        w.native.transactionStore();
      },
      () => {
        if (!isWaiting()) return;
        x[T_FLAGS] = x[T_FLAGS]! & ~T_FAILS_OVER;
        x[T_ROUTE_DUE] = 0;
        this.responses.answerOwn(500);
        w.native.transactionStore();
      },
    );
    passage.relayed = true;
    return true;
  }

  /** The name is known, or will not be: the branches of a failure route that waited for it. */
  private failOver(wish: Pick<Passage, 'destination' | 'requestUri' | 'targets'>): void {
    const { w } = this;
    const x = w.x;
    if (!this.responses.loadStored()) return;
    const stored = this.responses.storedPassage;
    stored.destination = wish.destination;
    stored.requestUri = wish.requestUri;
    stored.targets.push(...wish.targets);
    this.observer.begin(stored.message);
    this.observer.adopt();
    const before = x[T_BRANCH_COUNT]!;
    this.findHops(stored);
    const failed = this.addBranches(stored);
    x[T_FLAGS] = x[T_FLAGS]! & ~T_FAILS_OVER;
    x[T_ROUTE_DUE] = 0;
    if (x[T_BRANCH_COUNT] === before) this.up.answer(stored, failed);
    this.observer.scriptEnded(stored.message, true);
  }

  // -- time ----------------------------------------------------------------------------------------------------------

  /** Transactions that are due; then the dialogs. */
  tick(): void {
    const { w, due } = this;
    const count = Math.min(w.native.transactionAdvance(), DUE_PER_TICK_MAX);
    for (let n = 0; n < count; n++) due[n] = w.x[X_LIST + n]!;
    for (let n = 0; n < count; n++) {
      w.makeRoom(ROOM_PER_STEP_BYTES);
      try {
        if (w.native.transactionLoadIndex(due[n]!) === STATUS_OK) this.fire();
        if (this.overdue !== 0) this.retireOverdue();
      } catch (error) {
        w.fault('timer', error);
        w.recover();
      }
    }
    w.makeRoom(ROOM_PER_STEP_BYTES);
    try {
      if (this.waitingStateless.length > 0) this.retireStateless();
      this.observer.tick();
    } catch (error) {
      w.fault('timer', error);
      w.recover();
    }
  }

  /** Index of a transaction whose passage waits no more, once the transaction is stored; 0: none. */
  private overdue = 0;

  private retireOverdue(): void {
    const index = this.overdue;
    this.overdue = 0;
    this.retire(index);
  }

  /** One due transaction: branches first, then itself. */
  private fire(): void {
    const { w } = this;
    const x = w.x;
    const now = w.now;
    for (let n = 0; n < x[T_BRANCH_COUNT]!; n++) this.fireBranch(n, now);
    if (isDue(x[T_ROUTE_DUE]!, now)) this.routeTimedOut();
    if (isDue(x[T_RETRANSMIT_DUE]!, now)) {
      inviteAnswerDue(x, now, w.timers);
      w.native.transactionSendReply();
      w.count(COUNTERS.repliesRepeated);
    }
    if (isDue(x[T_END_DUE]!, now)) {
      if (this.responses.allEnded()) {
        this.free();
        return;
      }
      x[T_END_DUE] = tickAfter(now, w.timers.waitTicks);
    }
    w.native.transactionStore(this.responses.isDone() ? 1 : 0);
  }

  private fireBranch(branch: number, now: number): void {
    const { w } = this;
    const x = w.x;
    const b = branchAt(branch);
    if (x[b + B_STATE]! >= BRANCH_COMPLETED) return;
    if (isDue(x[b + B_FINAL_DUE]!, now)) {
      this.responses.timedOut(branch);
      return;
    }
    if (isDue(x[b + B_END_DUE]!, now)) {
      this.responses.lost(branch, (x[T_FLAGS]! & T_CANCELLED) !== 0 ? 487 : 408);
      return;
    }
    if (!isDue(x[b + B_RETRANSMIT_DUE]!, now)) return;
    w.count(COUNTERS.requestsRepeated);
    if (x[T_KIND] === KIND_CLIENT) this.own.settle();
    if (x[T_METHOD] !== M_INVITE) {
      clientNonInviteDue(x, b, now, w.timers);
      w.native.transactionSendBranch(branch);
    } else if ((x[b + B_FLAGS]! & B_CANCEL_SENT) !== 0) {
      clientCancelDue(x, b, now, w.timers);
      this.down.sendCancel(branch);
    } else if (x[b + B_STATE] === BRANCH_CALLING) {
      clientInviteDue(x, b, now);
      w.native.transactionSendBranch(branch);
    } else {
      x[b + B_RETRANSMIT_DUE] = 0;
      x[b + B_RETRANSMIT_INTERVAL] = 0;
    }
  }

  /** A route waited too long. */
  private routeTimedOut(): void {
    this.w.count(COUNTERS.routeTimeouts);
    const x = this.w.x;
    x[T_ROUTE_DUE] = 0;
    if (x[T_KIND] === KIND_CLIENT) {
      this.own.nameTimedOut();
      return;
    }
    this.overdue = x[T_INDEX]!;
    x[T_FLAGS] = x[T_FLAGS]! & ~(T_SUSPENDED | T_FAILS_OVER);
    if (x[T_STATE] !== SERVER_PROCEEDING || !this.responses.allEnded()) return;
    if (x[T_KIND] === KIND_INVITE_SERVER) this.responses.answerOwn(408);
    else this.responses.giveUp();
  }

  private free(): void {
    if (this.waiting.has(this.w.x[T_INDEX]!)) this.overdue = this.w.x[T_INDEX]!;
    if ((this.w.x[T_FLAGS]! & T_COUNTED) !== 0) this.eachSource('remove');
    this.observer.transactionEnded();
    this.script.transactionEnded(this.w.x[T_INDEX]!);
    this.responses.decisions.forget(this.w.x[T_INDEX]!);
    this.reasons.forget(this.w.x[T_INDEX]!);
    this.w.native.transactionFree(this.w.x[T_INDEX]!);
  }

  /** Branch `branch` of transaction `index` could not be sent: it failed as if answered 503.  [16.9] */
  sendFailed(index: number, branch: number): void {
    const { w } = this;
    const x = w.x;
    w.count(COUNTERS.transportErrors);
    if (w.native.transactionLoadIndex(index) !== STATUS_OK || branch >= x[T_BRANCH_COUNT]!) return;
    if (x[branchAt(branch) + B_STATE] !== BRANCH_CALLING) return;
    this.responses.lost(branch, 503);
    w.native.transactionStore(this.responses.isDone() ? 1 : 0);
  }
}

function isWaiting(passage: Passage): boolean {
  return passage.detached && passage.transactionIndex === 0;
}

function reasonOfFault(fault: number): string {
  const name = FAULT_NAMES[fault];
  return name === undefined ? 'Bad Request' : `Bad Request (${name.toLowerCase().replaceAll('_', ' ')})`;
}
