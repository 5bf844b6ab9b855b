/**
 * Runs the operator's routes for one shard: a RouteScript for the proxy, DialogEvents for the dialogs.
 *
 * A route that throws costs its own request a 500 and nobody else anything.  A route that returns a promise is suspended
 * with its context and message until it settles; the synchronous case pays one test for this.
 */
import { type DialogNews, DLGCB } from '../dialog/callbacks.js';
import type { DialogEvents } from '../dialog/ports.js';
import type { DialogTracker } from '../dialog/tracker.js';
import type { Log } from '../log.js';
import type { ProxyCore } from '../proxy/core.js';
import { Passage } from '../proxy/passage.js';
import type { RouteScript } from '../proxy/ports.js';
import { COUNTERS, type Workspace } from '../proxy/workspace.js';
import type { Message } from '../sip/message.js';
import { AvpBook, avpNameOf } from './avps.js';
import type { Surroundings } from './context.js';
import {
  BranchContext,
  EventContext,
  FailureContext,
  LocalRequestContext,
  ReplyContext,
  RequestContext,
} from './context.js';
import { authSettings } from './functions/auth.js';
import { type CallbackName, type DialogEventName, LOCAL_REQUEST, type RouteTable } from './routes.js';

export class ScriptRunner implements RouteScript, DialogEvents {
  private readonly w: Workspace;
  private table: RouteTable;
  private readonly log: Log;
  private readonly avps = new AvpBook();
  private surroundings: Surroundings | null = null;
  private requestContext: RequestContext | null = null;
  private failureContext: FailureContext | null = null;
  private replyContext: ReplyContext | null = null;
  private branchContext: BranchContext | null = null;
  private eventContext: EventContext | null = null;
  private localContext: LocalRequestContext | null = null;

  constructor(w: Workspace, table: RouteTable, log: Log) {
    this.w = w;
    this.table = table;
    this.log = log;
  }

  /** Hands over what routes work with; the proxy needs the runner before it can be made itself. */
  connect(core: ProxyCore, tracker: DialogTracker): void {
    const { timeout_avp, dlg_flag } = tracker.params;
    const surroundings = {
      core,
      tracker,
      log: this.log,
      avps: this.avps,
      auth: authSettings(core.w.params.uac),
      table: this.table,
      timeoutAvp: avpNameOf(timeout_avp),
      dialogFlag: dlg_flag === null ? 0 : (1 << dlg_flag) >>> 0,
    };
    this.surroundings = surroundings;
    this.failureContext = new FailureContext(surroundings, core.responses.storedPassage);
    this.branchContext = new BranchContext(surroundings, core.responses.storedPassage);
    this.replyContext = new ReplyContext(surroundings, core.inHand);
    this.eventContext = new EventContext(surroundings, this.w.newMessage());
    for (const name of Object.keys(this.table.callback) as CallbackName[])
      tracker.callbacks.register(null, DLGCB[name], (news) => this.callback(name, news));
  }

  get hasReplyForAll(): boolean {
    return this.table.replyForAll !== 0;
  }

  /** Transactions that keep values. */
  get transactionsWithValues(): number {
    return this.avps.size;
  }

  request(passage: Passage): boolean {
    let context = this.requestContext;
    if (context === null) {
      context = new RequestContext(this.surroundings!, passage);
      this.requestContext = context;
    }
    context.bind(passage);
    let result: unknown;
    try {
      result = this.table.request(context);
    } catch (error) {
      this.fault('request', passage.message, error);
      return false;
    }
    if (isPromise(result)) this.suspend(context, passage, result);
    return true;
  }

  failure(route: number, passage: Passage, code: number): boolean {
    const run = this.table.failure.of(route);
    if (run === undefined) return false;
    const context = this.failureContext!;
    context.failed(passage, code);
    try {
      refusePromise(run(context));
    } catch (error) {
      this.fault('failure', passage.message, error);
      return false;
    } finally {
      context.alive = false;
    }
    return true;
  }

  reply(route: number, message: Message): boolean {
    const context = this.replyContext!;
    context.bind(message);
    for (const number of [this.table.replyForAll, route]) {
      const run = this.table.reply.of(number);
      if (run === undefined) continue;
      try {
        refusePromise(run(context));
      } catch (error) {
        this.fault('reply', message, error);
      }
    }
    return !context.dropped;
  }

  branch(route: number, passage: Passage, branch: number): void {
    const run = this.table.branch.of(route);
    if (run === undefined) return;
    const context = this.branchContext!;
    context.bind(passage);
    context.$T_branch_idx = branch;
    try {
      refusePromise(run(context));
    } catch (error) {
      this.fault('branch', passage.message, error);
    } finally {
      context.alive = false;
    }
  }

  get hasLocalRequest(): boolean {
    return this.table.event[LOCAL_REQUEST] !== undefined;
  }

  localRequest(passage: Passage, index: number, generation: number, side: number): boolean {
    const run = this.table.event[LOCAL_REQUEST];
    if (run === undefined) return true;
    const { tracker } = this.surroundings!;
    this.localContext ??= new LocalRequestContext(this.surroundings!, passage);
    const context = this.localContext;
    context.bind(passage);
    tracker.enter(index, generation, side === 0 ? 0 : 3 - side);
    try {
      refusePromise(run(context));
    } catch (error) {
      this.fault(LOCAL_REQUEST, passage.message, error);
    } finally {
      tracker.leave();
      context.alive = false;
    }
    return !context.dropped;
  }

  transactionEnded(index: number): void {
    this.avps.forget(index);
  }

  start(message: Message | null): void {
    this.event('dialog:start', message);
  }

  end(message: Message | null): void {
    this.event('dialog:end', message);
  }

  failed(message: Message | null): void {
    this.event('dialog:failed', message);
  }

  timeout(name: string): boolean {
    const run = this.table.route.of(this.routeNumber(name));
    if (run !== undefined) this.runEvent(name, run, null);
    return run !== undefined;
  }

  routeNumber(name: string): number {
    return this.table.route.numberOf(name);
  }

  private event(name: DialogEventName, message: Message | null): void {
    const run = this.table.event[name];
    if (run !== undefined) this.runEvent(name, run, message);
  }

  /** It sees the dialog and the message that it is about; whoever it comes in the midst of, sees its own again. */
  private callback(name: CallbackName, news: DialogNews): void {
    const { tracker } = this.surroundings!;
    const context = this.eventContext!;
    const message = news.reply ?? news.request;
    const before = context.bound;
    tracker.enter(news.index, news.generation, news.direction);
    context.bind(message);
    try {
      refusePromise(this.table.callback[name]!(context, { direction: news.direction, data: news.data }));
    } catch (error) {
      this.fault(name, message, error);
    } finally {
      context.bind(before);
      tracker.leave();
    }
  }

  private runEvent(name: string, run: (context: EventContext) => unknown, message: Message | null): void {
    const context = this.eventContext!;
    const before = context.bound;
    context.bind(message);
    try {
      refusePromise(run(context));
    } catch (error) {
      this.fault(name, message, error);
    } finally {
      context.bind(before);
    }
  }

  /** The route waits: its context leaves circulation with it. */
  private suspend(context: RequestContext, passage: Passage, promise: PromiseLike<unknown>): void {
    const { core } = this.surroundings!;
    this.requestContext = null;
    context.waiting = true;
    if (passage.relayed || passage.answered || !core.suspend(passage)) {
      // It has decided already, or there is no room to wait: what it does from now on has no effect.
      context.retire(new Passage(this.w.newMessage()));
      Promise.resolve(promise).catch((error) => this.fault('request', null, error));
      return;
    }
    passage.routeWaits = true;
    passage.route = { retire: () => context.retire(new Passage(this.w.newMessage())) };
    // Never before the request has been put aside, however soon it settles.
    core.whenSettled(passage, promise, (error) => this.fault('request', passage.message, error));
  }

  private fault(route: string, message: Message | null, error: unknown): void {
    const reason = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
    const at = error instanceof Error ? (error.stack?.split('\n')[1]?.trim() ?? '') : '';
    const callId = message === null ? '' : message.callId;
    this.w.faults.error('route_threw', { route, reason, at, call_id: callId });
    if (route !== 'request') this.w.count(COUNTERS.routeErrors);
  }
}

function isPromise(value: unknown): value is PromiseLike<unknown> {
  return (
    typeof value === 'object' && value !== null && typeof (value as { then?: unknown }).then === 'function'
  );
}

/** Only the request route may wait. */
function refusePromise(value: unknown): void {
  if (!isPromise(value)) return;
  Promise.resolve(value).catch(() => {});
  throw new TypeError('only the request route may return a promise');
}
