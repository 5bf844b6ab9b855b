/**
 * The Runtime of the product: the native segment and its sockets, and the worker threads that serve on them.
 */

import { systemClock } from '../clock.js';
import type { Config } from '../config/load.js';
import { profileDefinitions } from '../dialog/profile.js';
import { coded, EngineError } from '../errors.js';
import type { Log } from '../log.js';
import { addon, type SegmentId } from '../memory/addon.js';
import { openSegmentFile } from '../memory/segment-file.js';
import type { EngineView } from '../rpc/ports.js';
import type { RouteTexts } from '../script/load.js';
import { Sockets } from '../transport/sockets.js';
import { BackgroundAudit } from './audit.js';
import type { CommandResult, ShardCommand } from './commands.js';
import { JoinedEngine } from './joined-engine.js';
import type { Runtime, WorkerHandle } from './ports.js';
import { Heartbeats, ROUTE_TEXTS, startThread } from './thread.js';
import type { WorkerData } from './worker.js';

/** Letters and datagrams that wait for one shard. */
const MAILBOX_BYTES = 1 << 20;
const DRAIN_LOOK_EVERY_MS = 100;
/** The packet path makes no garbage that lives; a small young generation keeps what the routes make in the cache. */
const YOUNG_GENERATION_MB = 16;

/** Makes the segment and binds every listen address. */
export async function openRuntime(config: Config, log: Log): Promise<Runtime> {
  const { segment, found } = openSegment(config, log);
  try {
    const { core } = config.params;
    coded(() => addon.openSockets(segment, config.listen, config.workers, core.receive_buffer_bytes));
  } catch (error) {
    addon.closeSegment(segment, found === null);
    throw error;
  }
  const granted = addon.receiveBuffer(segment);
  if (granted < config.params.core.receive_buffer_bytes) {
    log.warn('receive_buffer_small', {
      bytes: granted,
      wanted_bytes: config.params.core.receive_buffer_bytes,
      remedy: 'sysctl net.core.rmem_max',
    });
  }
  return new Process(config, segment, found, log);
}

/** What a process before left goes on: its records are whole, indexes, counts and timers are made anew. */
function openSegment(
  config: Config,
  log: Log,
): { readonly segment: SegmentId; readonly found: number | null } {
  const { core, dialog } = config.params;
  const beganMs = systemClock.monotonicMs();
  const wanted = {
    path: config.segmentPath,
    bytes: config.segmentBytes,
    hashSize: dialog.hash_size,
    workers: config.workers,
    hIdStart: firstId(dialog.h_id_start, core.server_id),
    hIdStep: dialog.h_id_step,
    profiles: profileDefinitions(dialog),
    sockets: new Sockets(config.listen).all.map((socket) => socket.name),
    mailboxBytes: MAILBOX_BYTES,
    keepAliveSeconds: dialog.ka_interval,
    timerWorker: dialog.timer_procs === 1,
  };
  const how = { fresh: config.segmentFresh, everySocket: true };
  const { segment, attached, warning } = openSegmentFile(wanted, how);
  if (warning !== null) log.warn('segment_found', { warning });
  if (!attached) return { segment, found: null };
  const { dialogs, transactions, totalBytes } = addon.segmentUsage(segment);
  log.info('calls_taken_over', {
    dialogs,
    transactions,
    milliseconds: Math.round(systemClock.monotonicMs() - beganMs),
  });
  if (config.segmentBytes !== null && config.segmentBytes > totalBytes) {
    log.warn('segment_keeps_its_size', { bytes: totalBytes, wanted_bytes: config.segmentBytes });
  }
  const counts = addon.statistics(segment);
  const found = (counts['dialog:active_dialogs'] ?? 0) + (counts['dialog:early_dialogs'] ?? 0);
  return { segment, found };
}

/** Where the ids of dialogs begin; null: at random. */
export function firstId(start: number, serverId: number): number | null {
  if (start === 0) return null;
  return start === -1 ? serverId : start;
}

class Process implements Runtime {
  readonly owners: readonly number[];
  readonly segment: Runtime['segment'];
  readonly #config: Config;
  readonly #id: SegmentId;
  readonly #heartbeats = new Heartbeats();
  readonly #draining = new Int32Array(new SharedArrayBuffer(4));
  readonly #started = new Set<number>();
  /** A worker that is replaced runs the routes that the others run, not what stands in the file by now. */
  #routeTexts: RouteTexts | null = null;
  readonly #view: EngineView;
  readonly #audit: BackgroundAudit;
  /** Looks whether transactions are in work, while it drains. */
  #looking: NodeJS.Timeout | undefined;
  /** Those that serve now, by owner number. */
  readonly #workers = new Map<number, WorkerHandle>();

  constructor(config: Config, segment: SegmentId, found: number | null, log: Log) {
    this.#config = config;
    this.#id = segment;
    const timerWorkers = config.params.dialog.timer_procs === 1 ? 1 : 0;
    this.owners = Array.from({ length: config.workers + timerWorkers }, (_, n) => n);
    const usage = addon.segmentUsage(segment);
    this.segment = {
      path: config.segmentPath,
      bytes: usage.totalBytes,
      callsEnough: usage.callsEnough,
      callsFound: found,
    };
    this.#audit = new BackgroundAudit((cursor) => addon.auditSlice(segment, cursor), log);
    this.#audit.start();
    this.#view = new JoinedEngine(
      segment,
      config.params.dialog,
      systemClock,
      config.workers,
      (owner, command) => this.#ask(owner, command),
      () => this.#audit.difference,
    );
  }

  async startWorker(owner: number): Promise<WorkerHandle> {
    // Joins of a predecessor's calls that never became dialogs.
    addon.profilesGiveBack(this.#id, owner);
    const data: WorkerData = {
      config: this.#config,
      segment: this.#id,
      owner,
      heartbeats: this.#heartbeats.shared,
      isSuccessor: this.#started.has(owner),
      draining: this.#draining,
      routeTexts: this.#routeTexts,
    };
    this.#started.add(owner);
    const worker = await startThread(new URL('./worker.js', import.meta.url), data, owner, this.#heartbeats, {
      name: owner < this.#config.workers ? `shard ${owner}` : 'timer',
      resourceLimits: { maxYoungGenerationSizeMb: YOUNG_GENERATION_MB },
    });
    this.#routeTexts ??= (await worker.ask(ROUTE_TEXTS)) as RouteTexts;
    this.#workers.set(owner, worker);
    void worker.gone.then(() => {
      if (this.#workers.get(owner) === worker) this.#workers.delete(owner);
    });
    return worker;
  }

  async #ask(owner: number, command: ShardCommand): Promise<CommandResult> {
    const worker = this.#workers.get(owner);
    if (worker === undefined) throw new EngineError('ERR_WORKER', `none serves under number ${owner}`);
    return (await worker.ask(command)) as CommandResult;
  }

  view(): EngineView {
    return this.#view;
  }

  drain(): Promise<void> {
    // The next start goes on with all that is in the segment: nobody need be refused, nothing waited for.
    if (!this.#config.segmentFresh) return Promise.resolve();
    Atomics.store(this.#draining, 0, 1);
    return new Promise((resolve) => {
      this.#looking = setInterval(() => {
        if (addon.transactionsInWork(this.#id) > 0) return;
        clearInterval(this.#looking);
        resolve();
      }, DRAIN_LOOK_EVERY_MS).unref();
    });
  }

  async close(keepSegment: boolean): Promise<void> {
    // Time may have run out while it still looked.
    clearInterval(this.#looking);
    this.#audit.stop();
    addon.closeSockets(this.#id);
    const { dialogs, transactions } = addon.segmentUsage(this.#id);
    addon.closeSegment(this.#id, !keepSegment && dialogs + transactions === 0);
  }
}
