/**
 * The proxy inside another Node program: no signal handlers, no output of its own, several in one process.
 */
import { systemClock } from '../clock.js';
import { loadConfig } from '../config/load.js';
import type { EngineError } from '../errors.js';
import { type Log, silentLog } from '../log.js';
import type { EngineView } from '../rpc/ports.js';
import { openRuntime } from './runtime.js';
import { Supervisor } from './supervise.js';

const CHECK_EVERY_MS = 1_000;

/** The same names and values as on the command line. */
export type StartOptions = {
  /** `udp:ADDRESS:PORT`, one or several. */
  readonly listen?: string | readonly string[];
  readonly nextHop?: string;
  /** Path of a route file. */
  readonly routes?: string;
  readonly workers?: number;
  readonly segment?: string;
  readonly segmentSize?: number;
  /** true: calls that a process before left in the segment are not wanted. */
  readonly segmentFresh?: boolean;
  /** Modparams: `{ 'dialog:hash_size': 4096 }`. */
  readonly set?: Readonly<Record<string, string | number>>;
  readonly log?: Log;
  /** Called when workers die faster than they can be replaced; the proxy serves no more. */
  readonly onGiveUp?: (error: EngineError) => void;
};

/** A running proxy. */
export type Proxy = {
  /** Dialogs, profiles and statistics. */
  readonly view: EngineView;
  /** Stops the workers; what is still up stays in the segment, where the next start finds it. */
  stop(): Promise<void>;
};

/**
 * Starts a proxy in this process.
 *
 * @throws EngineError when the options are wrong, an address is taken or the segment has no room
 */
export async function start(options: StartOptions = {}): Promise<Proxy> {
  const flags: Record<string, string | readonly string[]> = {
    set: Object.entries(options.set ?? {}).map(([name, value]) => `${name}=${value}`),
  };
  if (options.listen !== undefined) flags.listen = options.listen;
  if (options.nextHop !== undefined) flags['next-hop'] = options.nextHop;
  if (options.routes !== undefined) flags.routes = options.routes;
  if (options.workers !== undefined) flags.workers = String(options.workers);
  if (options.segment !== undefined) flags.segment = options.segment;
  if (options.segmentSize !== undefined) flags['segment-size'] = String(options.segmentSize);
  if (options.segmentFresh === true) flags['segment-fresh'] = 'yes';
  const { config } = await loadConfig({ flags, env: {}, folder: process.cwd(), looksInFolder: true });
  const log = options.log ?? silentLog;
  const runtime = await openRuntime(config, log);
  const supervisor = new Supervisor({
    owners: runtime.owners,
    start: (owner) => runtime.startWorker(owner),
    clock: systemClock,
    log,
    giveUp: (error) => options.onGiveUp?.(error),
  });
  const stop = async (): Promise<void> => {
    await supervisor.stop();
    await runtime.close(false);
  };
  try {
    await supervisor.start();
  } catch (error) {
    await stop();
    throw error;
  }
  const checking = setInterval(() => supervisor.check(), CHECK_EVERY_MS);
  return {
    view: runtime.view(),
    stop: () => {
      clearInterval(checking);
      return stop();
    },
  };
}
