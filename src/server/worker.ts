/**
 * A worker thread: one shard over the process's sockets, from start to stop.
 */
import { parentPort, workerData } from 'node:worker_threads';
import type { Config } from '../config/load.js';
import { makeLog } from '../log.js';
import type { SegmentId } from '../memory/addon.js';
import { constant } from '../memory/words.js';
import { loadRoutes } from '../script/load.js';
import type { ShardCommand } from './commands.js';
import { ShardCore } from './shard.js';
import { answerQuestions, Heartbeats, THREAD_SERVES, THREAD_STOP } from './thread.js';

export type WorkerData = {
  readonly config: Config;
  readonly segment: SegmentId;
  readonly owner: number;
  readonly heartbeats: SharedArrayBuffer;
  /** A worker under this owner number died before. */
  readonly isSuccessor: boolean;
  /** Word 0 is not 0: no new calls any more. */
  readonly draining: Int32Array;
};

/** Well within what the supervisor takes for a stuck worker. */
const BEAT_EVERY_MS = 500;

async function run(data: WorkerData): Promise<void> {
  const { config, segment, owner } = data;
  const log = makeLog({ level: config.logLevel, format: config.logFormat }).child({ worker: owner });
  const routes = await loadRoutes(config.routesFile, config.nextHop);
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
  answerQuestions(parentPort!, (question) => shard.obey(question as ShardCommand));
  if (data.isSuccessor) shard.native.count(constant('CounterWorkersReplaced'), 1);
  // A promise of a route's own that nobody awaits costs that route what it wanted, and no calls.
  process.on('unhandledRejection', (reason) => shard.w.fault('unhandled rejection', reason));
  shard.start();
  parentPort!.postMessage(THREAD_SERVES);
}

await run(workerData as WorkerData);
