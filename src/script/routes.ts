/**
 * The routing script: what a route file exports, and how its routes are found by name.
 *
 * One file, one default export, made by routes().  A route returns when it is done; what it returns does not matter
 * unless it is a promise.  [the manual's request, reply, failure, branch and event routes]
 */
import { type ContextFields, DLGCB } from '../dialog/callbacks.js';
import type {
  BranchContext,
  EventContext,
  FailureContext,
  LocalRequestContext,
  ReplyContext,
  RequestContext,
} from './context.js';

/** Where a route may do anything but wait. */
type Route<Context> = (context: Context) => unknown;

export type Routes = {
  /** Every request that starts a transaction, ACK for a 2xx, and CANCEL for nothing known. */
  readonly request: Route<RequestContext>;
  /** Runs when all branches failed and the transaction was armed with t_on_failure(name). */
  readonly failure?: Readonly<Record<string, Route<FailureContext>>>;
  /** Runs for each answer of a transaction armed with t_on_reply(name); the one named `all` runs for every answer. */
  readonly reply?: Readonly<Record<string, Route<ReplyContext>>>;
  /** Runs before each branch of a transaction armed with t_on_branch(name) goes out. */
  readonly branch?: Readonly<Record<string, Route<BranchContext>>>;
  /** Run by their name: when the lifetime of a call is over that named one in $dlg_ctx('timeout_route'). */
  readonly route?: Readonly<Record<string, Route<EventContext>>>;
  /** `dialog:start`, `dialog:end`, `dialog:failed`; `tm:local-request` before a request of our own goes out. */
  readonly event?: EventRoutes;
  /** What every dialog tells, by the names of its callback types: `EARLY`, `REQ_WITHIN`, `RPC_CONTEXT`.  [manual 10] */
  readonly callback?: CallbackRoutes;
};

/** What a callback is told beside its message and dialog, which are its context's. */
export type CallbackNews = {
  /** 1 downstream, 2 upstream, 0 neither. */
  readonly direction: number;
  /** EXPIRED: whether the call had been confirmed by its ACK.  RPC_CONTEXT, MI_CONTEXT: the fields to fill.  Else null. */
  readonly data: boolean | ContextFields | null;
};

export type CallbackName = keyof typeof DLGCB;

type CallbackRoutes = Partial<
  Readonly<Record<CallbackName, (context: EventContext, news: CallbackNews) => unknown>>
>;

type EventRoutes = Partial<Readonly<Record<DialogEventName, Route<EventContext>>>> & {
  readonly [LOCAL_REQUEST]?: Route<LocalRequestContext>;
};

export type DialogEventName = 'dialog:start' | 'dialog:end' | 'dialog:failed';

export const LOCAL_REQUEST = 'tm:local-request';

const EVENT_NAMES: readonly string[] = ['dialog:start', 'dialog:end', 'dialog:failed', LOCAL_REQUEST];
const KINDS: readonly string[] = ['request', 'failure', 'reply', 'branch', 'route', 'event', 'callback'];
/** Route numbers are kept in a word of the transaction. */
const ROUTES_PER_KIND_MAX = 65_535;

/** Gives a route file its types; returns what it was given. */
export function routes(definition: Routes): Routes {
  return definition;
}

/** Named routes of one kind; numbers are 1-based, 0 is none. */
export class NamedRoutes<Context> {
  private readonly numbers = new Map<string, number>();
  private readonly list: Route<Context>[] = [];

  constructor(named: Readonly<Record<string, Route<Context>>> = {}) {
    for (const [name, route] of Object.entries(named)) {
      this.list.push(route);
      this.numbers.set(name, this.list.length);
    }
  }

  /** Number of the route called `name`, 0 if there is none. */
  numberOf(name: string): number {
    return this.numbers.get(name) ?? 0;
  }

  of(number: number): Route<Context> | undefined {
    return this.list[number - 1];
  }
}

/** A checked definition. */
export class RouteTable {
  readonly request: Route<RequestContext>;
  readonly failure: NamedRoutes<FailureContext>;
  readonly reply: NamedRoutes<ReplyContext>;
  readonly branch: NamedRoutes<BranchContext>;
  readonly route: NamedRoutes<EventContext>;
  readonly event: EventRoutes;
  readonly callback: CallbackRoutes;
  /** Number of the reply route that runs for every answer, 0 if there is none. */
  readonly replyForAll: number;

  /** @throws Error that says what is wrong with the definition, in the operator's words */
  constructor(definition: Routes) {
    const mistake = mistakeIn(definition);
    if (mistake !== null) throw new Error(mistake);
    this.request = definition.request;
    this.failure = new NamedRoutes(definition.failure);
    this.reply = new NamedRoutes(definition.reply);
    this.branch = new NamedRoutes(definition.branch);
    this.route = new NamedRoutes(definition.route);
    this.event = definition.event ?? {};
    this.callback = definition.callback ?? {};
    this.replyForAll = this.reply.numberOf('all');
  }
}

function mistakeIn(definition: unknown): string | null {
  if (typeof definition !== 'object' || definition === null)
    return 'its default export must be routes({ ... })';
  const parts = definition as Record<string, unknown>;
  for (const kind of Object.keys(parts)) {
    if (!KINDS.includes(kind))
      return `there is no kind of route called ${kind}; known are ${KINDS.join(', ')}`;
  }
  if (typeof parts.request !== 'function') return 'it has no request route';
  for (const kind of KINDS.slice(1)) {
    const named = parts[kind];
    if (named === undefined) continue;
    if (typeof named !== 'object' || named === null) return `${kind} must be an object of named routes`;
    const entries = Object.entries(named);
    if (entries.length > ROUTES_PER_KIND_MAX) return `more than ${ROUTES_PER_KIND_MAX} ${kind} routes`;
    for (const [name, route] of entries) {
      if (typeof route !== 'function') return `${kind} route ${name} is not a function`;
      if (kind === 'event' && !EVENT_NAMES.includes(name)) {
        return `there is no event ${name}; known are ${EVENT_NAMES.join(', ')}`;
      }
      if (kind === 'callback' && !Object.hasOwn(DLGCB, name)) {
        return `there is no callback ${name}; known are ${Object.keys(DLGCB).join(', ')}`;
      }
    }
  }
  return null;
}
