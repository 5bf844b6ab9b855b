/**
 * What one shard works with while it handles a message: native calls, memory, parser, addresses, timers.
 *
 * Everything that would otherwise be module state, so that one thread can hold two shards.
 */
import type { Shard } from '../memory/addon.js';
import type { MessageSlotName, Scratch, ShardMemory } from '../memory/shard-memory.js';
import type { Tally } from '../memory/tally.js';
import { constant, optionalConstant, X_TICK } from '../memory/words.js';
import { Message } from '../sip/message.js';
import { SipParser } from '../sip/parse.js';
import { M_UNKNOWN, METHOD_NAMES } from '../sip/words.js';
import type { TimerParams, Timers } from '../transaction/timers.js';
import { timersOf } from '../transaction/timers.js';
import type { ListenAddress } from '../transport/sockets.js';
import { Sockets } from '../transport/sockets.js';
import type { CancelReasonParams } from './cancel-reason.js';

type FaultFields = Readonly<Record<string, string | number>>;

/** Where faults are told, once a minute each. */
export interface Faults {
  error(event: string, fields?: Readonly<Record<string, string | number>>): void;
  warn(event: string, fields?: FaultFields | (() => FaultFields)): void;
}

export type ProxyParams = {
  readonly tm: TimerParams & CancelReasonParams & { readonly max_per_source: number };
  readonly rr: {
    readonly enable_full_lr: number;
    readonly append_fromtag: number;
    readonly enable_double_rr: number;
  };
  readonly uac: {
    readonly credential: readonly string[];
    readonly auth_realm_avp: string | null;
    readonly auth_username_avp: string | null;
    readonly auth_password_avp: string | null;
  };
  readonly core: {
    readonly max_forwards: number;
    readonly max_breadth: number;
    readonly route_timeout_ms: number;
  };
};

/** Scratch that one step may need before it asks again: the handling of a datagram, a letter, a name that is known. */
export const ROOM_PER_STEP_BYTES = 256 * 1024;

export class Workspace {
  readonly native: Shard;
  readonly memory: ShardMemory;
  /** X: registers and arguments of native calls. */
  readonly x: Uint32Array;
  readonly scratch: Scratch;
  readonly parser: SipParser;
  readonly sockets: Sockets;
  readonly timers: Timers;
  readonly tally: Tally;
  readonly params: ProxyParams;
  readonly owner: number;
  readonly faults: Faults;

  constructor(
    native: Shard,
    memory: ShardMemory,
    tally: Tally,
    listen: readonly ListenAddress[],
    params: ProxyParams,
    owner: number,
    faults: Faults,
  ) {
    this.native = native;
    this.memory = memory;
    this.x = memory.exchange;
    this.scratch = memory.scratch;
    this.parser = new SipParser(memory.wasm);
    this.sockets = new Sockets(listen);
    this.timers = timersOf(params.tm);
    this.tally = tally;
    this.params = params;
    this.owner = owner;
    this.faults = faults;
  }

  /** Ticks of 10 ms since the segment was made, as of the last receive or tick. */
  get now(): number {
    return this.x[X_TICK]!;
  }

  /** Makes room in the scratch: what is queued is sent, so that its text is needed no more. */
  makeRoom(bytes: number): void {
    if (this.scratch.hasRoom(bytes)) return;
    this.native.sendQueued();
    this.scratch.reset();
  }

  /** Whatever was in hand did not come to its end: what it queued goes out, what it wrote is forgotten. */
  recover(): void {
    this.native.sendQueued();
    this.scratch.letGoAll();
    this.scratch.reset();
  }

  /** Something of ours threw: counted and told, for whoever caught it answers and goes on. */
  fault(where: string, error: unknown): void {
    this.count(COUNTERS.internalErrors);
    const reason = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
    const at = error instanceof Error ? (error.stack?.split('\n')[1]?.trim() ?? '') : '';
    this.faults.error('internal_error', { where, reason, at });
  }

  newMessage(): Message {
    return new Message(this.memory.bytes, this.memory.words, this.memory.buffer);
  }

  /**
   * Copies the stored request of the transaction in hand to slot `name` and parses it into `message`.
   * False: it has been shed.
   */
  parkRequest(name: MessageSlotName, message: Message): boolean {
    const parked = this.memory.slots[name];
    const length = this.native.transactionRequest(parked.at, parked.room);
    return length !== 0 && this.bindParked(name, message, length);
  }

  /** The same for branch `branch`'s copy as it went out. */
  parkBranchRequest(name: MessageSlotName, message: Message, branch: number): boolean {
    const parked = this.memory.slots[name];
    const length = this.native.transactionBranchRequest(branch, parked.at, parked.room);
    return length !== 0 && this.bindParked(name, message, length);
  }

  /** The same for the answer that branch `branch` keeps. */
  parkBranchReply(name: MessageSlotName, message: Message, branch: number): boolean {
    const parked = this.memory.slots[name];
    const length = this.native.transactionBranchReply(branch, parked.at, parked.room);
    return length !== 0 && this.bindParked(name, message, length);
  }

  /** Parses the `length` bytes that stand in slot `name` into `message`; always true. */
  bindParked(name: MessageSlotName, message: Message, length: number): boolean {
    const parked = this.memory.slots[name];
    message.at = parked.at;
    message.length = length;
    message.w = parked.words >> 2;
    message.slot = -1;
    this.parser.parse(parked.at, length, parked.words);
    return true;
  }

  /** Adds one to a counter of this shard; the sums show it when the batch is over. */
  count(counter: number): void {
    this.tally.add(counter);
  }
}

/** Counters the proxy keeps; core/counters.h has their names for management. */
export const COUNTERS = {
  receivedRequests: constant('CounterRcvRequests'),
  receivedReplies: constant('CounterRcvReplies'),
  forwardedRequests: constant('CounterFwdRequests'),
  forwardedReplies: constant('CounterFwdReplies'),
  droppedRequests: constant('CounterDropRequests'),
  droppedReplies: constant('CounterDropReplies'),
  badMessages: constant('CounterBadMsg'),
  keepAlives: constant('CounterKeepalives'),
  badUris: constant('CounterBadUriRcvd'),
  unsupportedMethods: constant('CounterUnsupportedMethods'),
  requestErrors: constant('CounterErrRequests'),
  replyErrors: constant('CounterErrReplies'),
  dnsQueries: constant('CounterDnsQueries'),
  dnsFailures: constant('CounterDnsFailures'),
  noMemory: constant('CounterNoMemory'),
  transactionsRefused: constant('CounterTmNoMemory'),
  routeErrors: constant('CounterRouteErrors'),
  routeTimeouts: constant('CounterRouteTimeouts'),
  routesSuspended: constant('CounterSuspended'),
  routesRefused: constant('CounterSuspendedRefused'),
  nameWaits: constant('CounterNameWaits'),
  nameWaitsRefused: constant('CounterNameWaitsRefused'),
  internalErrors: constant('CounterInternalErrors'),
  loops: constant('CounterLoops'),
  overloadRefused: constant('CounterOverloadRefused'),
  tooManyHops: constant('CounterTooManyHops'),
  transportErrors: constant('CounterTransportErrors'),
  sourceLimited: constant('CounterSourceLimited'),
  timeouts: constant('CounterTmTimeouts'),
  serverTransactions: constant('CounterUasTransactions'),
  clientTransactions: constant('CounterUacTransactions'),
  repliesReceived: constant('CounterRplReceived'),
  repliesAbsorbed: constant('CounterRplAbsorbed'),
  repliesStray: constant('CounterRplStray'),
  repliesSent: constant('CounterRplSent'),
  repliesGenerated: constant('CounterRplGenerated'),
  repliesRelayed: constant('CounterRplRelayed'),
  requestsRepeated: constant('CounterReqRetransmissions'),
  repliesRepeated: constant('CounterRplRetransmissions'),
  acksAbsorbed: constant('CounterAckAbsorbed'),
  statelessReplies: constant('CounterSlSentReplies'),
  statelessErrors: constant('CounterSlSentErrReplies'),
  statelessAcks: constant('CounterSlReceivedAcks'),
  /** Final answers sent upstream, by class: add 0 for 2xx to 4 for 6xx. */
  finalAnswers: constant('CounterTm2xx'),
} as const;

/** Requests received, by method number; Kamailio counts these, others only in the sum. */
export const REQUESTS_BY_METHOD: readonly (number | undefined)[] = METHOD_NAMES.map((name, method) =>
  method === M_UNKNOWN
    ? COUNTERS.unsupportedMethods
    : optionalConstant(`CounterRcvRequests${name.charAt(0)}${name.slice(1).toLowerCase()}`),
);

/** Responses received, by class: add 0 for 1xx to 5 for 6xx. */
export const REPLIES_BY_CLASS = constant('CounterRcvReplies1xx');
