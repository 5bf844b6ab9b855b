/**
 * What a process or a worker left that died in the middle of its work, taken over by the one that begins.
 *
 * Between any two steps of a request's way its predecessor may have stopped.  What stands in the segment is finished or
 * undone: a copy or an answer that may not have left leaves now; a fork or a failure route that was not through with its
 * branches begins anew, and so does a request that has neither branch nor answer, as if its next copy had come: its caller
 * may have heard 100 and repeat nothing.  Whatever began anew too often is given up, for it may be what kills workers.
 */
import {
  B_END_DUE,
  B_FINAL_DUE,
  B_RETRANSMIT_DUE,
  B_STATE,
  T_BRANCH_COUNT,
  T_END_DUE,
  T_FAILURE_ROUTE,
  T_FLAGS,
  T_INDEX,
  T_KIND,
  T_REPLY_BYTES,
  T_RETRANSMIT_DUE,
  T_ROUTE_DUE,
  T_STATE,
} from '../memory/words.js';
import { lingerOn } from '../transaction/server-invite.js';
import {
  BRANCH_CALLING,
  BRANCH_PROCEEDING,
  BRANCH_SPENT,
  KIND_CLIENT,
  KIND_INVITE_SERVER,
  SERVER_ACCEPTED,
  SERVER_PROCEEDING,
  T_BEGINS_ANEW,
  T_BEGUN,
  T_BEGUN_SHIFT,
  T_CANCELLED,
  T_FAILS_OVER,
  T_SUSPENDED,
  T_UNFINISHED,
} from '../transaction/states.js';
import { tickAfter } from '../transaction/timers.js';
import { branchAt } from './downstream.js';
import type { ProxyObserver } from './ports.js';
import type { Responses } from './response.js';
import type { Upstream } from './upstream.js';
import { COUNTERS, type Workspace } from './workspace.js';

const STATUS_OK = 0;
/** Scratch that one transaction may need. */
const SCRATCH_BYTES = 80 * 1024;
/** Longest datagram. */
const MESSAGE_BYTES_MAX = 65_535;
/** `SIP/2.0 `: the code stands behind it. */
const CODE_OFFSET = 8;

export class Predecessor {
  private readonly w: Workspace;
  private readonly observer: ProxyObserver;
  private readonly responses: Responses;
  private readonly up: Upstream;

  constructor(w: Workspace, observer: ProxyObserver, responses: Responses, up: Upstream) {
    this.w = w;
    this.observer = observer;
    this.responses = responses;
    this.up = up;
  }

  /** Looks at every transaction of this shard, before it serves; `beginsMax`: how often a request may begin anew. */
  takeOver(beginsMax: number): void {
    const { w } = this;
    for (let cursor = 1; w.native.transactionNext(cursor) === STATUS_OK; ) {
      cursor = w.x[T_INDEX]! + 1;
      w.scratch.reset();
      w.makeRoom(SCRATCH_BYTES);
      this.look(beginsMax);
    }
    this.observer.takenOver();
  }

  private look(beginsMax: number): void {
    const { native, x } = this.w;
    const now = Math.max(this.w.now, 1);
    // While nobody ran, nobody absorbed copies.
    if (x[T_KIND] !== KIND_CLIENT) lingerOn(x, now, this.w.timers);
    if (x[T_KIND] === KIND_CLIENT) {
      // One that has no copy yet can have none: its next hop was being asked for.
      if (x[T_BRANCH_COUNT] === 0 || x[branchAt(0) + B_STATE] === 0) x[T_ROUTE_DUE] = now;
    } else if (x[T_STATE] === SERVER_PROCEEDING) {
      if (this.isThrough()) this.finish();
      else this.again(beginsMax);
    } else if (x[T_KIND] === KIND_INVITE_SERVER && x[T_STATE] === SERVER_ACCEPTED) {
      // Nobody else repeats a 2xx of our own.
      if (x[T_BRANCH_COUNT] === 0 && x[T_REPLY_BYTES] !== 0) this.up.sendStored(0);
    }
    if (x[T_RETRANSMIT_DUE] !== 0) x[T_RETRANSMIT_DUE] = now;
    for (let n = 0; n < x[T_BRANCH_COUNT]!; n++) {
      const b = branchAt(n);
      if (x[b + B_RETRANSMIT_DUE] !== 0) x[b + B_RETRANSMIT_DUE] = now;
    }
    native.transactionStore();
  }

  /** All branches that the request is to have are there, or it is cancelled and needs no more. */
  private isThrough(): boolean {
    const { x } = this.w;
    if ((x[T_FLAGS]! & T_CANCELLED) !== 0) return true;
    if ((x[T_FLAGS]! & T_UNFINISHED) !== 0 || x[T_FAILURE_ROUTE] !== 0) return false;
    for (let n = 0; n < x[T_BRANCH_COUNT]!; n++) if (x[branchAt(n) + B_STATE] !== 0) return true;
    return false;
  }

  /** Goes on with the branches there are. */
  private finish(): void {
    const { x } = this.w;
    if (!this.responses.allEnded()) return;
    if ((x[T_FLAGS]! & T_CANCELLED) !== 0) this.responses.answerOwn(487);
    else if ((x[T_FLAGS]! & T_SUSPENDED) === 0) this.responses.concludeAgain(0);
  }

  private again(beginsMax: number): void {
    const { x } = this.w;
    const code = this.storedCode();
    if (code >= 200 && this.responses.allEnded()) {
      this.up.sendStored(code);
      return;
    }
    const flags = x[T_FLAGS]! & ~(T_SUSPENDED | T_FAILS_OVER | T_UNFINISHED | T_BEGINS_ANEW);
    x[T_FLAGS] = flags;
    x[T_ROUTE_DUE] = 0;
    const route = x[T_FAILURE_ROUTE]!;
    x[T_FAILURE_ROUTE] = 0;
    const begun = (flags & T_BEGUN) >> T_BEGUN_SHIFT;
    if (begun >= beginsMax) {
      this.giveUp(route !== 0);
      return;
    }
    x[T_FLAGS] = (flags & ~T_BEGUN) | ((begun + 1) << T_BEGUN_SHIFT);
    this.spendPending();
    if (route !== 0) this.responses.concludeAgain(route);
    else this.beginAnew();
  }

  /** It killed too many: whoever waits hears so. */
  private giveUp(hasFailed: boolean): void {
    const { x } = this.w;
    if (!this.responses.allEnded()) return;
    if (hasFailed) this.responses.concludeAgain(0);
    else this.responses.answerOwn(500);
    if (x[T_STATE] === SERVER_PROCEEDING) x[T_END_DUE] = Math.max(this.w.now, 1);
  }

  /** The request comes again; the dialog that it made goes as if it had not been. */
  private beginAnew(): void {
    const { w } = this;
    const x = w.x;
    this.observer.beginsAnew();
    x[T_FLAGS] = x[T_FLAGS]! | T_BEGINS_ANEW;
    x[T_END_DUE] = tickAfter(w.now, w.timers.noAnswerTicks);
    w.count(COUNTERS.requestsRepeated);
    if (w.native.transactionRepeatRequest() !== STATUS_OK) this.responses.answerOwn(503);
  }

  /** Copies of a route that was not through may have left: what they bring is heard, but they count no more. */
  private spendPending(): void {
    const { x } = this.w;
    for (let n = 0; n < x[T_BRANCH_COUNT]!; n++) {
      const b = branchAt(n);
      const state = x[b + B_STATE]!;
      if (state !== BRANCH_CALLING && state !== BRANCH_PROCEEDING && state !== 0) continue;
      x[b + B_STATE] = BRANCH_SPENT;
      x[b + B_RETRANSMIT_DUE] = 0;
      x[b + B_FINAL_DUE] = 0;
      x[b + B_END_DUE] = 0;
    }
  }

  /** Status code of the answer that the transaction in hand keeps, 0: it keeps none. */
  private storedCode(): number {
    const { native, memory, scratch, x } = this.w;
    if (x[T_REPLY_BYTES] === 0) return 0;
    const length = native.transactionReply(scratch.at, MESSAGE_BYTES_MAX);
    if (length < CODE_OFFSET + 3) return 0;
    return Number(memory.text(scratch.at + CODE_OFFSET, 3)) || 0;
  }
}
