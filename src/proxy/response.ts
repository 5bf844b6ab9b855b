/**
 * Answers of branches: matched, gathered, the best chosen and sent upstream.  [RFC 3261 16.7]
 */

import {
  B_ADDRESS0,
  B_CODE,
  B_CSEQ_RECEIVED,
  B_CSEQ_SENT,
  B_FINAL_DUE,
  B_FLAGS,
  B_PORT,
  B_REPLY_BYTES,
  B_RETRANSMIT_DUE,
  B_STATE,
  T_BRANCH_COUNT,
  T_CODE,
  T_CSEQ,
  T_END_DUE,
  T_FAILURE_ROUTE,
  T_FINISHED,
  T_FLAGS,
  T_GENERATION,
  T_INDEX,
  T_KIND,
  T_LOOP_HASH,
  T_METHOD,
  T_ON_FAILURE,
  T_ON_REPLY,
  T_STATE,
} from '../memory/words.js';
import type { Message } from '../sip/message.js';
import {
  M_CANCEL,
  M_INVITE,
  W_CSEQ_METHOD,
  W_CSEQ_NUMBER,
  W_VIA_BRANCH_LEN,
  W_VIA_BRANCH_OFF,
  W_VIA_COUNT,
} from '../sip/words.js';
import {
  ANSWER_IGNORED,
  ANSWER_ONLY_ACK,
  ANSWER_PASSED_WITH_ACK,
  clientFinished,
  clientInviteAnswer,
} from '../transaction/client-invite.js';
import { clientNonInviteAnswer } from '../transaction/client-non-invite.js';
import { lingerOn } from '../transaction/server-invite.js';
import {
  B_CANCEL_ANSWERED,
  B_CANCEL_WANTED,
  B_TIMED_OUT,
  BRANCH_CALLING,
  BRANCH_COMPLETED,
  BRANCH_PROCEEDING,
  BRANCH_SPENT,
  KIND_CLIENT,
  KIND_INVITE_SERVER,
  SERVER_ACCEPTED,
  SERVER_COMPLETED,
  SERVER_PROCEEDING,
  T_CANCELLED,
  T_FAILS_OVER,
  T_HAD_6XX,
} from '../transaction/states.js';
import { tickAfter } from '../transaction/timers.js';
import { CAUSE_NONE } from './cancel-reason.js';
import { Decisions } from './decisions.js';
import { branchAt, type Downstream } from './downstream.js';
import type { OwnRequests } from './own-requests.js';
import { Passage } from './passage.js';
import type { NameResolver, ProxyObserver, RouteScript } from './ports.js';
import { ANSWER_BYTES, type Upstream } from './upstream.js';
import { BranchName, bindSource, bindUpstream } from './via.js';
import { COUNTERS, type Workspace } from './workspace.js';

const STATUS_OK = 0;
/** Scratch for an answer that was kept, and for the challenges that go with it. */
const ROOM_TO_CONCLUDE_BYTES = 512 * 1024;

export class Responses {
  private readonly w: Workspace;
  private readonly observer: ProxyObserver;
  private readonly script: RouteScript;
  private readonly resolver: NameResolver;
  private readonly up: Upstream;
  private readonly down: Downstream;
  private readonly own: OwnRequests;
  private readonly name = new BranchName();
  /** The stored request, parsed again: for failure routes and answers of our own. */
  private readonly stored: Passage;
  private readonly kept: Message;
  private readonly shown: Message;
  /** The same of an INVITE that is ended by who is shown another. */
  private readonly shownMeanwhile: Message;
  readonly decisions: Decisions;
  /** The branch whose answer a failure route sees. */
  bestBranch = 0;

  constructor(
    w: Workspace,
    observer: ProxyObserver,
    script: RouteScript,
    resolver: NameResolver,
    up: Upstream,
    down: Downstream,
    own: OwnRequests,
  ) {
    this.w = w;
    this.observer = observer;
    this.script = script;
    this.resolver = resolver;
    this.up = up;
    this.down = down;
    this.own = own;
    this.stored = new Passage(w.newMessage());
    this.kept = w.newMessage();
    this.shown = w.newMessage();
    this.shownMeanwhile = w.newMessage();
    this.decisions = new Decisions(w.x);
  }

  /** A response came. */
  receive(message: Message): void {
    const { w } = this;
    const x = w.x;
    w.count(COUNTERS.repliesReceived);
    const branch = this.match(message);
    if (branch < 0) {
      w.count(COUNTERS.repliesStray);
      w.count(COUNTERS.droppedReplies);
      return;
    }
    const b = branchAt(branch);
    if (message.word(W_CSEQ_METHOD) === M_CANCEL) {
      x[b + B_FLAGS] = x[b + B_FLAGS]! | B_CANCEL_ANSWERED;
      x[b + B_RETRANSMIT_DUE] = 0;
      w.native.transactionStore();
      return;
    }
    const code = message.code;
    if (code === 503 && x[b + B_STATE]! < BRANCH_COMPLETED) this.othersFirst(b);
    const kept = this.replyRoute(message, code);
    if (x[T_KIND] === KIND_CLIENT) {
      this.own.receive(message);
      return;
    }
    const now = w.now;
    const answer =
      x[T_KIND] === KIND_INVITE_SERVER
        ? clientInviteAnswer(x, b, code, now, w.timers)
        : clientNonInviteAnswer(x, b, code);
    lingerOn(x, now, w.timers);
    if (answer === ANSWER_IGNORED) w.count(COUNTERS.repliesAbsorbed);
    else if (answer === ANSWER_ONLY_ACK) {
      this.down.sendAck(branch, message);
      w.count(COUNTERS.repliesAbsorbed);
    } else {
      if (answer === ANSWER_PASSED_WITH_ACK) this.down.sendAck(branch, message);
      this.passed(message, branch, code, kept);
    }
    w.native.transactionStore(this.isDone() ? 1 : 0);
  }

  /** Loads the transaction of a response and finds its branch; -1: it is nobody's.  [17.1.3, RFC 6026 7.3] */
  private match(message: Message): number {
    const { w, name } = this;
    const at = message.at + message.word(W_VIA_BRANCH_OFF);
    if (!name.read(message.bytes, at, message.word(W_VIA_BRANCH_LEN))) return -1;
    if (w.native.transactionLoad(name.index, name.generation) !== STATUS_OK) return -1;
    const x = w.x;
    if (x[T_LOOP_HASH] !== name.hash || name.branch >= x[T_BRANCH_COUNT]!) return -1;
    // A copy may have gone out under another number than its request came with.
    const sent = x[branchAt(name.branch) + B_CSEQ_SENT]! || x[T_CSEQ];
    if (sent !== message.word(W_CSEQ_NUMBER)) return -1;
    const method = message.word(W_CSEQ_METHOD);
    if (method !== x[T_METHOD] && (method !== M_CANCEL || x[T_METHOD] !== M_INVITE)) return -1;
    return this.hasItsVias(message, method) ? name.branch : -1;
  }

  /**
   * Ours alone stands on an answer to a request of our own, a CANCEL too; below it stands the sender's on others.  Of
   * those a negative answer to an INVITE counts without it: it wants its ACK.  [8.1.3.3, 9.1, 16.7, 17.1.1.3]
   */
  private hasItsVias(message: Message, method: number): boolean {
    const isAlone = message.word(W_VIA_COUNT) === 1;
    if (this.w.x[T_KIND] === KIND_CLIENT || method === M_CANCEL) return isAlone;
    return !isAlone || (method === M_INVITE && message.code >= 300);
  }

  /** Runs the reply routes; false: the answer is dropped. */
  private replyRoute(message: Message, code: number): boolean {
    const route = this.w.x[T_ON_REPLY]!;
    if (route === 0 && !this.script.hasReplyForAll) return true;
    this.observer.begin(message, this.w.x[T_KIND] === KIND_CLIENT);
    if (this.script.reply(route, message) || code >= 200) return true;
    this.w.count(COUNTERS.droppedReplies);
    return false;
  }

  /** An answer that the machine did not absorb. */
  private passed(message: Message, branch: number, code: number, kept: boolean): void {
    const x = this.w.x;
    const b = branchAt(branch);
    if (code < 200) {
      if ((x[b + B_FLAGS]! & B_CANCEL_WANTED) !== 0) this.down.cancel(branch, CAUSE_NONE);
      // A request that is no INVITE gets no provisional answer but 100.  [RFC 4320 4.1]
      if (kept && code > 100 && x[T_STATE] === SERVER_PROCEEDING && x[T_KIND] === KIND_INVITE_SERVER) {
        this.tellNumber(message, b);
        this.up.pass(message, code, b);
      }
      return;
    }
    if (code < 300) {
      if (x[T_KIND] !== KIND_INVITE_SERVER) {
        if (x[T_STATE] === SERVER_PROCEEDING) this.up.pass(message, code, b);
        return;
      }
      this.tellNumber(message, b);
      this.up.pass(message, code, b);
      this.down.cancelPending(code);
      return;
    }
    if ((x[b + B_FLAGS]! & B_TIMED_OUT) !== 0) {
      x[b + B_CODE] = 408;
      this.negative(null, branch, 408);
      return;
    }
    // Without the sender's Via it cannot go up: an answer of our own says the same.
    const passes = message.word(W_VIA_COUNT) > 1;
    if (code === 408 && x[T_KIND] !== KIND_INVITE_SERVER) this.silent(branch);
    else this.negative(passes ? message : null, branch, code);
  }

  /** An INVITE that went out under another number has a dialog now. */
  private tellNumber(message: Message, b: number): void {
    const x = this.w.x;
    const sent = x[b + B_CSEQ_SENT]!;
    if (sent !== 0) this.observer.renumbered(message, x[b + B_CSEQ_RECEIVED]!, sent);
  }

  /**
   * A branch ended without success: `message`, or a code of our own.  The registers are stored by the caller.
   */
  negative(message: Message | null, branch: number, code: number): void {
    const x = this.w.x;
    if (x[T_STATE] !== SERVER_PROCEEDING) return;
    if (code >= 600 && (x[T_FLAGS]! & T_HAD_6XX) === 0) {
      x[T_FLAGS] = x[T_FLAGS]! | T_HAD_6XX;
      this.down.cancelPending(code);
    }
    if (!this.allEnded()) {
      if (message !== null) this.up.keep(message, branch);
      return;
    }
    this.conclude(message, branch);
  }

  /** Whether every branch has its final answer; one that a worker died over before it was sent counts as ended. */
  allEnded(): boolean {
    const x = this.w.x;
    for (let n = 0; n < x[T_BRANCH_COUNT]!; n++) {
      const state = x[branchAt(n) + B_STATE]!;
      if (state === BRANCH_CALLING || state === BRANCH_PROCEEDING) return false;
    }
    return true;
  }

  private hasNegative(): boolean {
    const x = this.w.x;
    for (let n = 0; n < x[T_BRANCH_COUNT]!; n++) if (x[branchAt(n) + B_CODE]! >= 300) return true;
    return false;
  }

  /** All branches ended without success: a failure route may go on, else the best answer goes upstream. */
  private conclude(message: Message | null, branch: number): void {
    const { w } = this;
    const x = w.x;
    w.makeRoom(ROOM_TO_CONCLUDE_BYTES);
    const best = this.best();
    const code = x[branchAt(best) + B_CODE]!;
    if (
      x[T_ON_FAILURE] !== 0 &&
      (x[T_FLAGS]! & T_CANCELLED) === 0 &&
      this.failureRoute(message, branch, best, code)
    )
      return;
    if (code === 503) {
      // Said of one target, it would make the caller leave us alone altogether.  [16.7 step 6]
      this.answerOwn(500);
      return;
    }
    this.gatherChallenges(best, message === null ? -1 : branch, message, code);
    const floor = w.scratch.hold();
    try {
      this.passBest(message, branch, best, code);
    } finally {
      w.scratch.letGo(floor);
    }
  }

  /** Sends the best answer upstream: `message`, the one that branch `best` keeps, or one of our own. */
  private passBest(message: Message | null, branch: number, best: number, code: number): void {
    const { w } = this;
    const x = w.x;
    if (message !== null && best === branch) {
      this.up.pass(message, code, branchAt(branch));
      return;
    }
    if (x[branchAt(best) + B_REPLY_BYTES] !== 0 && w.parkBranchReply('keptResponse', this.kept, best)) {
      this.up.passKept(this.kept, code, branchAt(best));
      return;
    }
    this.up.noMoreLines();
    this.answerOwn(code);
  }

  /**
   * All branches of the transaction in hand had ended when its worker died: once more what follows from that, beginning
   * with failure route `route` (0: none).
   */
  concludeAgain(route: number): void {
    const x = this.w.x;
    x[T_ON_FAILURE] = route;
    if (x[T_STATE] !== SERVER_PROCEEDING) return;
    if (x[T_KIND] !== KIND_INVITE_SERVER && x[branchAt(this.best()) + B_CODE] === 408)
      this.silent(this.best());
    else this.conclude(null, this.best());
  }

  /** A 401 or 407 goes up with the challenges of all branches, so that the caller can meet them at once.  [16.7 step 7] */
  private gatherChallenges(best: number, last: number, message: Message | null, code: number): void {
    const { w } = this;
    const x = w.x;
    this.up.noMoreLines();
    if (code !== 401 && code !== 407) return;
    for (let n = 0; n < x[T_BRANCH_COUNT]!; n++) {
      const other = x[branchAt(n) + B_CODE]!;
      if (n === best || (other !== 401 && other !== 407)) continue;
      if (n === last && message !== null) this.up.addChallenges(message);
      else if (w.parkBranchReply('keptResponse', this.kept, n)) this.up.addChallenges(this.kept);
    }
  }

  /** Number of the branch with the best answer: 6xx first, else the lowest class, in it what lets the caller go on. */
  private best(): number {
    const x = this.w.x;
    const isInvite = x[T_KIND] === KIND_INVITE_SERVER;
    let best = -1;
    let bestRank = 0;
    for (let n = 0; n < x[T_BRANCH_COUNT]!; n++) {
      const b = branchAt(n);
      if (x[b + B_STATE] !== BRANCH_COMPLETED) continue;
      const rank = rankOf(x[b + B_CODE]!, isInvite);
      if (best < 0 || rank < bestRank) {
        best = n;
        bestRank = rank;
      }
    }
    return best < 0 ? 0 : best;
  }

  /** Runs the failure route; true if it took the request further or answered it. */
  private failureRoute(message: Message | null, branch: number, best: number, code: number): boolean {
    const { w, stored } = this;
    const x = w.x;
    const route = x[T_ON_FAILURE]!;
    if (message !== null) this.up.keep(message, branch);
    if (!this.loadStored()) return false;
    x[T_ON_FAILURE] = 0;
    stored.isFailure = true;
    this.bestBranch = best;
    const before = x[T_BRANCH_COUNT]!;
    // If the route never returns, the successor of this worker finds which one it was.
    x[T_FAILURE_ROUTE] = route;
    const endDue = x[T_END_DUE]!;
    x[T_END_DUE] = tickAfter(w.now, w.timers.waitTicks);
    w.native.transactionStore();
    x[T_END_DUE] = endDue;
    this.observer.begin(stored.message);
    this.observer.adopt();
    this.script.failure(route, stored, code);
    this.observer.scriptEnded(stored.message, true);
    if ((x[T_FLAGS]! & T_FAILS_OVER) === 0) x[T_FAILURE_ROUTE] = 0;
    if (x[T_STATE] !== SERVER_PROCEEDING) return true;
    if (x[T_BRANCH_COUNT] === before && (x[T_FLAGS]! & T_FAILS_OVER) === 0) return false;
    for (let n = 0; n < before; n++) x[branchAt(n) + B_STATE] = BRANCH_SPENT;
    x[branchAt(best) + B_STATE] = BRANCH_SPENT;
    return true;
  }

  /** Parses the stored request of the transaction in hand into `stored`.  False: it has been shed. */
  loadStored(): boolean {
    const { w, stored } = this;
    if (!w.parkRequest('storedRequest', stored.message)) return false;
    stored.reset();
    stored.transactionIndex = w.x[T_INDEX]!;
    stored.transactionGeneration = w.x[T_GENERATION]!;
    bindUpstream(w, stored);
    this.decisions.restore(stored);
    return true;
  }

  /** The request that the transaction in hand keeps, to read; null: it has been shed. */
  storedRequest(): Message | null {
    const { w, shown } = this;
    const isMeanwhile = this.own.endsInvite;
    const message = isMeanwhile ? this.shownMeanwhile : shown;
    if (!w.parkRequest(isMeanwhile ? 'shownMeanwhile' : 'shownRequest', message)) return null;
    bindSource(w, message);
    return message;
  }

  /** The passage that loadStored() filled. */
  get storedPassage(): Passage {
    return this.stored;
  }

  /** Answers the transaction in hand by ourselves, from its stored request. */
  answerOwn(code: number, reason?: string): void {
    if (!this.loadStored()) return;
    this.w.makeRoom(this.stored.message.length + ANSWER_BYTES);
    this.up.answer(this.stored, code, reason);
  }

  /** A branch's patience is over: its result is a code of ours. */
  timedOut(branch: number): void {
    this.w.count(COUNTERS.timeouts);
    const x = this.w.x;
    const b = branchAt(branch);
    x[b + B_FINAL_DUE] = 0;
    const isInvite = x[T_METHOD] === M_INVITE;
    if (isInvite && x[b + B_STATE] === BRANCH_PROCEEDING && (x[T_FLAGS]! & T_CANCELLED) === 0) {
      x[b + B_FLAGS] = x[b + B_FLAGS]! | B_TIMED_OUT;
      this.down.cancel(branch, CAUSE_NONE);
      return;
    }
    this.lost(branch, (x[T_FLAGS]! & T_CANCELLED) !== 0 ? 487 : 408);
  }

  /** A branch is over without an answer from outside: time-out, transport error.  [16.8, 16.9] */
  lost(branch: number, code: number): void {
    const x = this.w.x;
    const b = branchAt(branch);
    if (x[b + B_STATE] === BRANCH_CALLING) this.othersFirst(b);
    clientFinished(x, b, code);
    if (x[T_KIND] === KIND_CLIENT) {
      this.own.lost(code);
      return;
    }
    if (x[T_KIND] !== KIND_INVITE_SERVER && code === 408) {
      this.silent(branch);
      return;
    }
    this.negative(null, branch, code);
  }

  /** Where the branch was sent fails: of the addresses of a name, the next request tries another.  [RFC 3263 4.3] */
  private othersFirst(b: number): void {
    const x = this.w.x;
    const at = b + B_ADDRESS0;
    this.resolver.failed(x[at]!, x[at + 1]!, x[at + 2]!, x[at + 3]!, x[b + B_PORT]!);
  }

  /** A non-INVITE that timed out, here or behind us, gets no answer, though a failure route sees 408.  [RFC 4320 4.2] */
  private silent(branch: number): void {
    const x = this.w.x;
    if (x[T_STATE] !== SERVER_PROCEEDING || !this.allEnded()) return;
    const best = this.best();
    if (x[branchAt(best) + B_CODE] !== 408) {
      this.conclude(null, branch);
      return;
    }
    if (x[T_ON_FAILURE] !== 0 && this.failureRoute(null, branch, best, 408)) return;
    this.giveUp();
  }

  /** The transaction in hand ends without an answer: it stays only to absorb copies. */
  giveUp(): void {
    const { w } = this;
    const now = w.now;
    w.x[T_STATE] = SERVER_COMPLETED;
    w.x[T_FINISHED] = now;
    w.x[T_END_DUE] = tickAfter(now, w.timers.waitTicks);
  }

  /** The transaction in hand succeeded and waits for nothing: it needs its request no more. */
  isDone(): boolean {
    const x = this.w.x;
    const kind = x[T_KIND]!;
    if (kind === KIND_CLIENT) return false;
    if (kind !== KIND_INVITE_SERVER) return x[T_CODE]! >= 200 && this.allEnded();
    // A negative answer of another branch may be repeated, and each copy wants its ACK.
    return x[T_STATE] === SERVER_ACCEPTED && this.allEnded() && !this.hasNegative();
  }
}

/** Lower is better.  [16.7 step 6] */
function rankOf(code: number, isInvite: boolean): number {
  if (code >= 600) return code - 600;
  const hundred = Math.floor(code / 100);
  const preferred = code === 401 || code === 407 || code === 415 || code === 420 || code === 484;
  // A 503 says "do not come back for a while", which the caller must not take for us.
  if (code === 503) return 9_000;
  // A 408 must not go up at all to a request that is no INVITE.  [RFC 4320 4.2]
  if (code === 408 && !isInvite) return 8_999;
  return hundred * 1_000 + (preferred ? 0 : 500) + (code % 100);
}
