/**
 * The main thread: config → segment and sockets → workers → management; stops in reverse.
 *
 * It handles no message.  It answers management, watches the workers and waits for a signal: the first one
 * drains and stops in order, a second one stops at once.
 */
import { isatty } from 'node:tty';
import { type Clock, systemClock } from '../clock.js';
import type { Loaded } from '../config/load.js';
import { demandedToken } from '../config/token.js';
import type { EngineError } from '../errors.js';
import { type Log, makeLog, OnceAMinute } from '../log.js';
import { COMMANDS } from '../rpc/commands/index.js';
import { openHttp } from '../rpc/http.js';
import { jsonRpc } from '../rpc/json-rpc.js';
import type { Health } from '../rpc/ports.js';
import { announcement } from './announce.js';
import type { OpenRuntime, Runtime } from './ports.js';
import { Supervisor } from './supervise.js';

const CHECK_EVERY_MS = 1_000;
/** Terminals, npm and our own starter all pass one Ctrl-C on: signals this close together are one. */
const SAME_SIGNAL_MS = 300;
const STOP_SIGNALS = ['SIGTERM', 'SIGINT', 'SIGHUP'] as const;

/** What a process gives to serve(); tests give something else. */
export type Surroundings = {
  readonly version: string;
  readonly clock: Clock;
  readonly log: Log;
  readonly print: (text: string) => void;
  readonly onSignal: (signal: NodeJS.Signals, listener: () => void) => void;
  /** Ends the process now. */
  readonly exit: (code: number) => void;
};

/** The surroundings of a real process. */
export function processSurroundings(loaded: Loaded, version: string): Surroundings {
  const { logLevel: level, logFormat: format } = loaded.config;
  return {
    version,
    clock: systemClock,
    log: makeLog({ level, format }),
    print: (text) => process.stdout.write(text),
    onSignal: (signal, listener) => process.on(signal, listener),
    exit: (code) => process.exit(code),
  };
}

/**
 * Runs the proxy until it is told to stop.
 *
 * @returns the exit code
 * @throws EngineError when it cannot start; then nothing of it is left
 */
export async function serve(loaded: Loaded, open: OpenRuntime, around: Surroundings): Promise<number> {
  const { config } = loaded;
  const { clock, log } = around;
  const startedUnixSeconds = clock.unixSeconds();
  let state: Health['state'] = 'starting';

  const token = demandedToken(config);
  const stopAsked = onStopSignal(around, config.params.core.drain_timeout_ms);
  for (const warning of loaded.warnings) log.warn('configuration', { warning });

  const runtime = await open(config, log);
  const gaveUp = deferred<EngineError>();
  const supervisor = new Supervisor({
    owners: runtime.owners,
    start: (owner) => runtime.startWorker(owner),
    clock,
    log,
    giveUp: gaveUp.resolve,
  });
  const health = (): Health => ({
    state,
    workersWanted: supervisor.wanted,
    workersRunning: supervisor.running,
  });
  const context = {
    view: runtime.view(),
    clock,
    startedUnixSeconds,
    version: around.version,
    dialogStatistics: config.params.dialog.enable_stats === 1,
    dumpFolder: config.params.rpc.dump_folder,
  };
  const doors: { close(): Promise<void> }[] = [];
  const closeAll = async (keepSegment: boolean): Promise<void> => {
    for (const door of doors.reverse()) await door.close();
    await supervisor.stop();
    await runtime.close(keepSegment);
  };

  try {
    await supervisor.start();
    const rare = new OnceAMinute(log, clock);
    doors.push(await openHttp(config.rpc, jsonRpc(COMMANDS, context, log), health, rare, token));
  } catch (error) {
    await closeAll(false);
    throw error;
  }
  const checking = setInterval(() => supervisor.check(), CHECK_EVERY_MS);
  around.onSignal('SIGUSR1', () => logStatus(log, runtime, health()));
  state = 'ready';
  around.print(announcement(config, runtime.segment, around.version));
  log.info('started', { workers: config.workers, segment: runtime.segment.path });

  const why = await Promise.race([stopAsked, gaveUp.promise]);
  state = 'draining';
  if (typeof why === 'string') {
    log.info('draining', { signal: why });
    await atMost(config.params.core.drain_timeout_ms, runtime.drain());
  } else log.error('gave_up', { error: why.message });
  clearInterval(checking);
  const failed = typeof why !== 'string';
  await closeAll(failed);
  log.info('stopped');
  return failed ? 1 : 0;
}

/** Resolves with the first signal to stop; from then on the next one ends the process at once. */
function onStopSignal(around: Surroundings, drainMs: number): Promise<string> {
  const asked = deferred<string>();
  let firstAtMs: number | null = null;
  for (const signal of STOP_SIGNALS) {
    around.onSignal(signal, () => {
      // A service manager's reload must not end calls; a terminal that is gone must end the program in it.
      if (signal === 'SIGHUP' && !isatty(0)) {
        around.log.warn('nothing_to_reload', { signal });
        return;
      }
      const now = around.clock.monotonicMs();
      if (firstAtMs === null) {
        firstAtMs = now;
        asked.resolve(signal);
      } else if (now - firstAtMs >= SAME_SIGNAL_MS) {
        around.log.warn('stopped_at_once', { signal, drain_ms_max: drainMs });
        around.exit(1);
      }
    });
  }
  return asked.promise;
}

function logStatus(log: Log, runtime: Runtime, { state, workersWanted, workersRunning }: Health): void {
  const [unconfirmed, early, noAck, confirmed] = runtime.view().activeByState();
  const { totalBytes, usedBytes } = runtime.view().segment();
  log.info('status', {
    state,
    workers: workersRunning,
    workers_wanted: workersWanted,
    unconfirmed,
    early,
    confirmed_no_ack: noAck,
    confirmed,
    segment_bytes: totalBytes,
    segment_used_bytes: usedBytes,
  });
}

/** Waits for `work`, but no longer than this. */
async function atMost(ms: number, work: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, ms);
  });
  await Promise.race([work, late]);
  clearTimeout(timer);
}

function deferred<T>(): { readonly promise: Promise<T>; readonly resolve: (value: T) => void } {
  let resolve: (value: T) => void = () => {};
  const promise = new Promise<T>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}
