/**
 * One shard: the engines of one worker over its share of the hash entries, and the way of a batch through them.
 *
 * An object without module state, so that one thread can hold two (tests do) and a seed can decide who goes next.
 */
import type { Clock } from '../clock.js';
import { systemClock } from '../clock.js';
import type { Config } from '../config/load.js';
import { DialogTracker } from '../dialog/tracker.js';
import type { Log } from '../log.js';
import { OnceAMinute } from '../log.js';
import type { MemoryWire, SegmentId, Shard } from '../memory/addon.js';
import { addon } from '../memory/addon.js';
import { packetCalls } from '../memory/shard-calls.js';
import { ShardMemory } from '../memory/shard-memory.js';
import { Tally } from '../memory/tally.js';
import {
  BATCH_WORDS,
  constant,
  N_ADDRESS0,
  N_FLOW,
  N_LENGTH,
  N_MESSAGE,
  N_PORT,
  N_SLOT,
  X_ARGS,
  X_BACKLOG_MS,
  X_BATCH,
  X_LIST,
  X_TICK,
  X_WAITED_MS,
} from '../memory/words.js';
import type { ShardPort } from '../proxy/core.js';
import { ProxyCore } from '../proxy/core.js';
import type { NameResolver } from '../proxy/ports.js';
import { observedSource } from '../proxy/source.js';
import { Sources } from '../proxy/sources.js';
import { findDialogOfVia } from '../proxy/spiral.js';
import { COUNTERS, ROOM_PER_STEP_BYTES, Workspace } from '../proxy/workspace.js';
import type { Random } from '../random.js';
import { systemRandom } from '../random.js';
import type { RouteTable } from '../script/routes.js';
import { ScriptRunner } from '../script/runner.js';
import type { Message } from '../sip/message.js';
import { W_CALL_ID_LEN, W_CALL_ID_OFF } from '../sip/words.js';
import { type Directory, type Records, SYSTEM_DIRECTORY, SystemDirectory } from '../transport/directory.js';
import { Resolver } from '../transport/resolve.js';
import { type CommandResult, obey, type ShardCommand } from './commands.js';
import { deliver, Letters } from './letters.js';
import { Overload } from './overload.js';

export type ShardOptions = {
  readonly config: Config;
  readonly segment: SegmentId;
  readonly owner: number;
  readonly routes: RouteTable;
  readonly log: Log;
  /** A network in memory, for tests. */
  readonly wire?: MemoryWire;
  readonly clock?: Clock;
  readonly random?: Random;
  /** A worker under this number died before, perhaps over a request that it had in hand. */
  readonly isSuccessor?: boolean;
  /** Instead of the DNS. */
  readonly resolver?: NameResolver;
};

/** Words of one failed send in X_LIST: tag (transaction), branch, errno. */
const FAILURE_WORDS = constant('FailureWords');
/** Branch of a message that is no branch's copy. */
const NO_BRANCH = constant('NoBranch');
/** Keep-alives of clients behind NAT are this short.  [RFC 5626 4.4.1] */
const KEEP_ALIVE_BYTES_MAX = 4;
const FAILURES_MAX = constant('FailuresMax');
/**
 * How often a request begins anew that a dead process or worker was not through with.  A process is killed by whom it may
 * concern, several times in a row; a worker dies of what it did.
 */
const BEGINS_MAX = 3;
const BEGINS_AFTER_DEATH_MAX = 1;
const TICK_MS = 10;
/** Letters handled before datagrams have their turn again. */
const LETTERS_PER_TURN_MAX = 64;

export class ShardCore implements ShardPort {
  readonly native: Shard;
  readonly core: ProxyCore;
  readonly tracker: DialogTracker;
  readonly runner: ScriptRunner;
  readonly w: Workspace;
  private readonly x: Uint32Array;
  private readonly workers: number;
  private readonly owner: number;
  /** What other threads are told of dialogs of theirs. */
  private readonly outgoing: Letters;
  private readonly log: OnceAMinute;
  private readonly overload: Overload;
  private readonly beganTick: number;
  private readonly failures = new Uint32Array(FAILURES_MAX * FAILURE_WORDS);

  constructor(options: ShardOptions) {
    const { config, segment, owner, routes, log } = options;
    const { core, tm } = config.params;
    const memory = new ShardMemory();
    const timerWorker = config.params.dialog.timer_procs === 1;
    const opened = addon.openShard({
      segment,
      owner,
      memory: memory.bytes,
      exchange: memory.exchange,
      receiveWindowMs: config.params.core.receive_window_ms,
      timerWorker,
      ...(options.wire === undefined ? {} : { wire: options.wire }),
    });
    const tally = new Tally(opened, memory.exchange);
    this.native = packetCalls(opened, memory.exchange, tally);
    this.x = memory.exchange;
    this.workers = config.workers;
    this.owner = owner;
    const clock = options.clock ?? systemClock;
    const faults = new OnceAMinute(log, clock);
    this.log = faults;
    this.beganTick = memory.exchange[X_TICK]!;
    this.overload = new Overload(core.overload_delay_ms, faults);
    this.w = new Workspace(this.native, memory, tally, config.listen, config.params, owner, faults);
    this.runner = new ScriptRunner(this.w, routes, log);
    const isTimerWorker = timerWorker && owner === config.workers;
    this.outgoing = new Letters(this.native, memory.exchange, faults);
    const owners = timerWorker ? { owners: isTimerWorker ? this.outgoing : null } : {};
    const elsewhere = config.workers > 1 ? { elsewhere: { owner, owners: this.outgoing } } : {};
    const walk = {
      owner,
      next: (cursor: number) => addon.nextDialog(segment, cursor),
      nextEnded: (cursor: number) => addon.nextEndedDialog(segment, cursor),
    };
    this.tracker = new DialogTracker({
      native: this.native,
      memory,
      params: config.params.dialog,
      events: this.runner,
      log: faults,
      observedSource: (message) => observedSource(this.w, message),
      dialogOfVia: (message) => findDialogOfVia(this.native, message),
      storedRequest: () => this.core.responses.storedRequest(),
      activeDialogs: () => addon.statistics(segment)['dialog:active_dialogs'] ?? 0,
      ...(options.random === undefined ? {} : { random: options.random }),
      membersOf: (profile, value, skip, out) => addon.profileMembers(segment, profile, value, skip, out),
      // The proxy is made for the tracker, and sends for it.
      sender: {
        send: (request) => this.core.own.send(request),
        hasRoom: (n) => this.core.own.hasRoom(n),
        hasRoomFor: (first, second) => this.core.own.hasRoomFor(first, second),
        isBusy: () => this.core.own.isBusy,
        endInvite: (index, generation, code, reason) =>
          this.core.own.endInvite(index, generation, code, reason),
      },
      ...owners,
      ...elsewhere,
      answerSeconds: Math.ceil((tm.fr_timer + core.route_timeout_ms) / 1000),
      nowMs: () => clock.monotonicMs(),
      ...(isTimerWorker ? {} : { walk }),
    });
    const resolver =
      options.resolver ??
      resolverOf(config, clock, options.random ?? systemRandom, (counter) => this.w.count(counter));
    const { transactions, transactionsMax } = addon.segmentUsage(segment);
    const perSource = tm.max_per_source === 0 ? Math.ceil(transactionsMax / 2) : tm.max_per_source;
    const sources = new Sources(Math.ceil(perSource / config.workers), options.random ?? systemRandom);
    this.core = new ProxyCore(this.w, this.tracker, this.runner, resolver, this, sources);
    if (transactions > 0) this.core.recount(transactionsMax);
    this.runner.connect(this.core, this.tracker);
    this.core.takeOver(options.isSuccessor === true ? BEGINS_AFTER_DEATH_MAX : BEGINS_MAX);
    this.flush();
  }

  /** Serves until close(): batches, ticks and letters come from the native loop. */
  start(): void {
    this.native.start(
      (count) => this.batch(count),
      () => this.tick(),
      () => void this.letters(),
      (count) => this.handleFailures(Math.min(count, FAILURES_MAX)),
    );
  }

  /** Without start(): takes what has arrived, handles it and sends; how many datagrams and letters that was. */
  receive(): number {
    const count = this.native.receive();
    if (count > 0) {
      this.batch(count);
      this.flush();
    }
    const letters = this.letters();
    if (letters > 0) this.flush();
    return count + letters;
  }

  /** Serves no more, and lets go of the segment.  Not from within a route. */
  close(): void {
    this.native.stop();
    this.native.release();
  }

  /** One batch, message by message in order of arrival; whoever calls sends what it queues. */
  private batch(count: number): void {
    const { x } = this;
    this.core.isBehind = this.overload.isBehind(
      x[X_BACKLOG_MS]!,
      x[X_WAITED_MS]!,
      TICK_MS * (x[X_TICK]! - this.beganTick),
    );
    this.w.scratch.reset();
    this.parse(count);
    for (let n = 0; n < count; n++) this.datagram(n);
    this.w.tally.post();
  }

  /** Parses the whole batch, so that what its messages will touch is on its way into the cache. */
  private parse(count: number): void {
    const { memory, parser } = this.w;
    const { x } = this;
    let parsed = 0;
    for (let n = 0; n < count; n++) {
      const b = X_BATCH + n * BATCH_WORDS;
      const length = x[b + N_LENGTH]!;
      if (length <= KEEP_ALIVE_BYTES_MAX) continue;
      const words = memory.wordsOfSlot(x[b + N_SLOT]!);
      parser.parse(x[b + N_MESSAGE]!, length, words);
      x[X_LIST + 2 * parsed] = x[b + N_MESSAGE]!;
      x[X_LIST + 2 * parsed + 1] = words;
      parsed++;
    }
    if (parsed > 1) this.native.prefetch(parsed);
  }

  private datagram(n: number): void {
    const { x, core } = this;
    const b = X_BATCH + n * BATCH_WORDS;
    const message = core.inHand;
    message.slot = x[b + N_SLOT]!;
    message.at = x[b + N_MESSAGE]!;
    message.length = x[b + N_LENGTH]!;
    message.w = this.w.memory.wordsOfSlot(message.slot) >> 2;
    message.flow = x[b + N_FLOW]!;
    message.port = x[b + N_PORT]!;
    message.address0 = x[b + N_ADDRESS0]!;
    message.address1 = x[b + N_ADDRESS0 + 1]!;
    message.address2 = x[b + N_ADDRESS0 + 2]!;
    message.address3 = x[b + N_ADDRESS0 + 3]!;
    this.w.makeRoom(ROOM_PER_STEP_BYTES);
    if (message.length <= KEEP_ALIVE_BYTES_MAX) {
      this.w.count(COUNTERS.keepAlives);
      return;
    }
    if (this.workers > 1 && message.isRequest && !this.isOurs(message, n)) return;
    try {
      core.receive();
    } catch (error) {
      this.failed('message', error, () => core.handlingFailed());
    }
  }

  /** A fault of ours: it costs what it happened to an answer, and nobody else anything. */
  private failed(where: string, error: unknown, answer: () => void): void {
    this.w.fault(where, error);
    this.w.recover();
    try {
      answer();
    } catch (again) {
      this.w.fault(where, again);
      this.w.recover();
    }
  }

  /** The scan was a guess: if the parsed Call-ID has another owner, the datagram moves on, once. */
  private isOurs(message: Message, n: number): boolean {
    const length = message.word(W_CALL_ID_LEN);
    if (length === 0) return true;
    const entry = this.native.entryOf(message.at + message.word(W_CALL_ID_OFF), length);
    const owner = this.native.ownerOf(entry);
    if (owner === this.owner) return true;
    this.native.forward(n, owner);
    return false;
  }

  /** Timers that are due.  True: there are more. */
  tick(): boolean {
    this.w.scratch.reset();
    this.outgoing.flush();
    this.core.tick();
    this.flush();
    return this.tracker.isBehind;
  }

  /** Letters of other threads, a bounded number of them; how many that were. */
  private letters(): number {
    let taken = 0;
    for (; taken < LETTERS_PER_TURN_MAX; taken++) {
      const words = this.native.take();
      if (words === 0) break;
      this.w.makeRoom(ROOM_PER_STEP_BYTES);
      try {
        if (!deliver(this.x, words, this.tracker))
          this.log.error('unknown_letter', { kind: this.x[X_ARGS]! });
      } catch (error) {
        this.failed('letter', error, () => {});
      }
    }
    this.w.tally.post();
    return taken;
  }

  /** Does what management asks. */
  obey(command: ShardCommand): CommandResult {
    this.w.scratch.reset();
    const result = obey(this.tracker, command);
    this.w.tally.post();
    this.flush();
    return result;
  }

  /** Sends what is queued; branches whose datagram could not be sent fail, which may send more. */
  flush(): void {
    this.w.tally.post();
    for (let rounds = 0; rounds < FLUSH_ROUNDS_MAX; rounds++) {
      const failed = Math.min(this.native.flush(), FAILURES_MAX);
      if (failed === 0) return;
      this.handleFailures(failed);
    }
  }

  private handleFailures(failed: number): void {
    const { failures, x } = this;
    for (let i = 0; i < failed * FAILURE_WORDS; i++) failures[i] = x[X_LIST + i]!;
    for (let n = 0; n < failed; n++) {
      const f = n * FAILURE_WORDS;
      this.w.makeRoom(ROOM_PER_STEP_BYTES);
      const branch = failures[f + 1]!;
      if (branch === NO_BRANCH) continue;
      try {
        this.core.sendFailed(failures[f]!, branch);
      } catch (error) {
        this.failed('failed send', error, () => {});
      }
    }
    this.w.tally.post();
  }

  // -- ShardPort ----------------------------------------------------------------------------------------------------

  keep(message: Message): boolean {
    return this.native.keepSlot(message.slot) === 0;
  }

  release(message: Message): void {
    this.native.releaseSlot(message.slot);
  }
}

/** A failed send may cause another message whose send fails, and so on; a branch fails once, so few rounds suffice. */
const FLUSH_ROUNDS_MAX = 16;

/** A directory whose questions and failures are counted. */
function counted(directory: Directory, count: (counter: number) => void): Directory {
  const ask = async <T>(question: Promise<Records<T>>): Promise<Records<T>> => {
    count(COUNTERS.dnsQueries);
    const found = await question;
    if (found.outcome === 'failed') count(COUNTERS.dnsFailures);
    return found;
  };
  return {
    addresses: (name, family) => ask(directory.addresses(name, family)),
    services: (name) => ask(directory.services(name)),
    rewrites: (name) => ask(directory.rewrites(name)),
    close: () => directory.close(),
  };
}

function resolverOf(
  config: Config,
  clock: Clock,
  random: Random,
  count: (counter: number) => void,
): Resolver {
  const {
    dns_cache_min_ttl,
    dns_cache_max_ttl,
    dns_cache_negative_ttl,
    dns_cache_max_names,
    dns_cache_max_bytes,
  } = config.params.core;
  const families = config.listen.map((one) => (one.address.includes(':') ? 6 : 4));
  return new Resolver(
    counted(new SystemDirectory(SYSTEM_DIRECTORY), count),
    {
      families: [...new Set(families)],
      minTtlSeconds: dns_cache_min_ttl,
      maxTtlSeconds: dns_cache_max_ttl,
      negativeTtlSeconds: dns_cache_negative_ttl,
      namesMax: dns_cache_max_names,
      bytesMax: dns_cache_max_bytes,
    },
    clock,
    random,
  );
}
