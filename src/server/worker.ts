/**
 * A worker thread: one shard over the process's sockets, from start to stop.
 */
import { parentPort, workerData } from 'node:worker_threads';
import type { Config } from '../config/load.js';
import { makeLog } from '../log.js';
import type { SegmentId } from '../memory/addon.js';
import { constant } from '../memory/words.js';
import { loadRoutes, type RouteTexts } from '../script/load.js';
import type { ShardCommand } from './commands.js';
import { ShardCore } from './shard.js';
import { answerQuestions, Heartbeats, ROUTE_TEXTS, THREAD_SERVES, THREAD_STOP } from './thread.js';

export type WorkerData = {
  readonly config: Config;
  readonly segment: SegmentId;
  readonly owner: number;
  readonly heartbeats: SharedArrayBuffer;
  /** A worker under this owner number died before. */
  readonly isSuccessor: boolean;
  /** Word 0 is not 0: no new calls any more. */
  readonly draining: Int32Array;
  /** The routes' texts that the first worker loaded; null: it is the first. */
  readonly routeTexts: RouteTexts | null;
};

/** Well within what the supervisor takes for a stuck worker. */
const BEAT_EVERY_MS = 500;

async function run(data: WorkerData): Promise<void> {
  const { config, segment, owner } = data;
  const log = makeLog({ level: config.logLevel, format: config.logFormat }).child({ worker: owner });
  const { table: routes, texts } = await loadRoutes(
    config.routesFile,
    config.nextHop,
    data.routeTexts ?? undefined,
  );
  const shard = new ShardCore({ config, segment, owner, routes, log, isSuccessor: data.isSuccessor });
  const heartbeats = new Heartbeats(data.heartbeats);
  const beating = setInterval(() => {
    heartbeats.beat(owner);
    shard.core.draining = Atomics.load(data.draining, 0) !== 0;
  }, BEAT_EVERY_MS);
  parentPort!.on('message', (message) => {
    if (message !== THREAD_STOP) return;
    clearInterval(beating);
    shard.close();
    parentPort!.close();
  });
  answerQuestions(parentPort!, (question) =>
    question === ROUTE_TEXTS ? texts : shard.obey(question as ShardCommand),
  );
  if (data.isSuccessor) shard.native.count(constant('CounterWorkersReplaced'), 1);
  // A promise of a route's own that nobody awaits costs that route what it wanted, and no calls.
  process.on('unhandledRejection', (reason) => shard.w.fault('unhandled rejection', reason));
  shard.start();
  parentPort!.postMessage(THREAD_SERVES);
}

await run(workerData as WorkerData);
