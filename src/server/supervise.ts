/**
 * Keeps one worker running under each owner number.
 *
 * A worker that dies is replaced under its number; one without a sign of life for STUCK_MS is ended and
 * replaced.  DEATHS_MAX deaths within DEATHS_WINDOW_MS are more than replacement can mend: the process gives
 * up, and the calls stay in the segment.  [architecture: Death of a worker]
 */
import { setTimeout as pause } from 'node:timers/promises';
import type { Clock } from '../clock.js';
import { EngineError } from '../errors.js';
import type { Log } from '../log.js';
import type { WorkerHandle } from './ports.js';

/** Without a sign of life for this long, a worker is stuck. */
export const STUCK_MS = 5_000;
export const DEATHS_MAX = 3;
export const DEATHS_WINDOW_MS = 60_000;
/** After the first death within the window the successor comes at once, after each further one so much later. */
export const REPLACE_WAIT_MS = 2_000;
/** A check that comes this late tells of a process that stood still as a whole, not of a stuck worker. */
const CHECK_LATE_MS = 2_500;
/** Time a worker has to end by itself before it is ended. */
const STOP_WAIT_MS = 5_000;

export type SupervisorOptions = {
  readonly owners: readonly number[];
  readonly start: (owner: number) => Promise<WorkerHandle>;
  readonly clock: Clock;
  readonly log: Log;
  /** Lets so many milliseconds pass. */
  readonly wait?: (ms: number) => Promise<unknown>;
  /** Called once, when it is no use to go on. */
  readonly giveUp: (error: EngineError) => void;
};

type Post = {
  readonly owner: number;
  /** null while its worker is being started. */
  worker: WorkerHandle | null;
  heartbeat: number;
  heartbeatAtMs: number;
  /** Set while a stuck worker is being ended. */
  ending: boolean;
};

/** The worker threads of one process. */
export class Supervisor {
  readonly #options: SupervisorOptions;
  readonly #posts: Post[];
  readonly #deathsAtMs: number[] = [];
  readonly #starting = new Set<Promise<WorkerHandle>>();
  #checkedAtMs: number;
  #over = false;

  constructor(options: SupervisorOptions) {
    this.#options = options;
    this.#posts = options.owners.map((owner) => ({
      owner,
      worker: null,
      heartbeat: 0,
      heartbeatAtMs: 0,
      ending: false,
    }));
    this.#checkedAtMs = options.clock.monotonicMs();
  }

  /** Starts them all; rejects with the first failure, for then the process is not worth starting. */
  async start(): Promise<void> {
    await Promise.all(this.#posts.map((post) => this.#fill(post)));
    this.#checkedAtMs = this.#options.clock.monotonicMs();
  }

  /** How many serve now. */
  get running(): number {
    return this.#posts.filter(({ worker, ending }) => worker !== null && !ending).length;
  }

  get wanted(): number {
    return this.#posts.length;
  }

  /** Looks for signs of life; to be called about once a second. */
  check(): void {
    const now = this.#options.clock.monotonicMs();
    const late = now - this.#checkedAtMs > CHECK_LATE_MS;
    this.#checkedAtMs = now;
    for (const post of this.#posts) {
      if (post.worker === null || post.ending) continue;
      const heartbeat = post.worker.heartbeat();
      if (late || heartbeat !== post.heartbeat) {
        post.heartbeat = heartbeat;
        post.heartbeatAtMs = now;
      } else if (now - post.heartbeatAtMs >= STUCK_MS) this.#end(post, post.worker);
    }
  }

  /** Ends all workers and starts no more. */
  async stop(): Promise<void> {
    this.#over = true;
    await Promise.all(this.#posts.map(({ worker }) => (worker === null ? null : stopOrKill(worker))));
    const late = await Promise.allSettled(this.#starting);
    await Promise.all(late.map((start) => (start.status === 'fulfilled' ? start.value.gone : null)));
  }

  async #fill(post: Post): Promise<void> {
    const starting = this.#options.start(post.owner);
    this.#starting.add(starting);
    const worker = await starting.finally(() => this.#starting.delete(starting));
    if (this.#over) return worker.kill();
    post.worker = worker;
    post.ending = false;
    post.heartbeat = worker.heartbeat();
    post.heartbeatAtMs = this.#options.clock.monotonicMs();
    void worker.gone.then((cause) => this.#replace(post, cause ?? 'stuck'));
  }

  #end(post: Post, worker: WorkerHandle): void {
    post.ending = true;
    this.#options.log.error('worker_stuck', { owner: post.owner, silent_ms: STUCK_MS });
    void worker.kill();
  }

  async #replace(post: Post, cause: string): Promise<void> {
    post.worker = null;
    while (!this.#over) {
      if (!this.#mayReplace(post.owner, cause)) return;
      const wait_ms = (this.#deathsAtMs.length - 1) * REPLACE_WAIT_MS;
      if (wait_ms > 0) {
        this.#options.log.info('worker_replaced_later', { owner: post.owner, wait_ms });
        await (this.#options.wait ?? pause)(wait_ms);
        if (this.#over) return;
      }
      try {
        await this.#fill(post);
        if (!this.#over) this.#options.log.info('worker_replaced', { owner: post.owner });
        return;
      } catch (error) {
        cause = (error as Error).message;
      }
    }
  }

  /** Notes a death; false when there were too many, and then it has given up. */
  #mayReplace(owner: number, cause: string): boolean {
    const now = this.#options.clock.monotonicMs();
    this.#deathsAtMs.push(now);
    while ((this.#deathsAtMs[0] ?? now) <= now - DEATHS_WINDOW_MS) this.#deathsAtMs.shift();
    this.#options.log.error('worker_died', { owner, deaths: this.#deathsAtMs.length, cause });
    if (this.#deathsAtMs.length < DEATHS_MAX) return true;
    this.#over = true;
    const detail = `${DEATHS_MAX} deaths within ${DEATHS_WINDOW_MS / 1000} s, the last of owner ${owner}: ${cause}`;
    this.#options.giveUp(new EngineError('ERR_WORKER', detail));
    return false;
  }
}

async function stopOrKill(worker: WorkerHandle): Promise<void> {
  const timer = setTimeout(() => void worker.kill(), STOP_WAIT_MS);
  try {
    await worker.stop();
    await worker.gone;
  } finally {
    clearTimeout(timer);
  }
}
