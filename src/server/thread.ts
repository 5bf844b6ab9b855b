/**
 * A worker thread as a WorkerHandle.
 *
 * The thread's side of the bargain: post THREAD_SERVES when it serves, call Heartbeats.beat() in every turn of
 * its loop (at least once a second), end by itself after the message THREAD_STOP, and answer what it is asked
 * (answerQuestions).
 */
import { setFlagsFromString } from 'node:v8';
import { type MessagePort, Worker, type WorkerOptions } from 'node:worker_threads';
import { EngineError } from '../errors.js';
import type { WorkerHandle } from './ports.js';

/** What a thread posts when it serves. */
export const THREAD_SERVES = 'serves';
/** The question for the texts of the routes that it has loaded. */
export const ROUTE_TEXTS = 'route-texts';
/** What it gets when it shall end. */
export const THREAD_STOP = 'stop';
/** A thread that does not serve after this long is ended. */
const START_MS_MAX = 30_000;
/** A question that is not answered by then never is. */
const ANSWER_MS_MAX = 5_000;
/** Questions of one thread that wait for their answers. */
const QUESTIONS_MAX = 1_000;
/** Owner numbers are one byte. */
const OWNERS_MAX = 256;

/** A number per owner that grows while its thread lives; shared by all threads. */
export class Heartbeats {
  readonly shared: SharedArrayBuffer;
  readonly #beats: Int32Array;

  /** @param shared what another thread's Heartbeats has under this name; left out: a new one */
  constructor(shared: SharedArrayBuffer = new SharedArrayBuffer(OWNERS_MAX * 4)) {
    this.shared = shared;
    this.#beats = new Int32Array(shared);
  }

  /** A sign of life. */
  beat(owner: number): void {
    Atomics.add(this.#beats, owner, 1);
  }

  read(owner: number): number {
    return Atomics.load(this.#beats, owner);
  }
}

type Question = { readonly number: number; readonly question: unknown };
type Answer = { readonly number: number; readonly value: unknown; readonly fault: string | null };

/** The thread's side: what it is asked over `port` is answered by `answer`. */
export function answerQuestions(port: MessagePort, answer: (question: unknown) => unknown): void {
  port.on('message', (message: Question | string) => {
    if (typeof message === 'string') return;
    const { number, question } = message;
    try {
      port.postMessage({ number, value: answer(question), fault: null } satisfies Answer);
    } catch (error) {
      port.postMessage({ number, value: null, fault: String(error) } satisfies Answer);
    }
  });
}

/** The other side: questions under way. */
class Questions {
  readonly #worker: Worker;
  readonly #waiting = new Map<number, { settle: (answer: Answer) => void; timer: NodeJS.Timeout }>();
  #last = 0;

  constructor(worker: Worker, gone: Promise<unknown>) {
    this.#worker = worker;
    worker.on('message', (message: Answer | string) => {
      if (typeof message !== 'string') this.#waiting.get(message.number)?.settle(message);
    });
    void gone.then(() => {
      for (const number of this.#waiting.keys()) this.#fail(number, 'the worker is gone');
    });
  }

  ask(question: unknown): Promise<unknown> {
    if (this.#waiting.size >= QUESTIONS_MAX)
      return Promise.reject(new EngineError('ERR_WORKER', 'too much is asked of it'));
    const number = ++this.#last;
    return new Promise((resolve, reject) => {
      const settle = ({ value, fault }: Answer): void => {
        clearTimeout(this.#waiting.get(number)?.timer);
        this.#waiting.delete(number);
        if (fault === null) resolve(value);
        else reject(new EngineError('ERR_WORKER', fault));
      };
      const timer = setTimeout(() => this.#fail(number, 'it did not answer'), ANSWER_MS_MAX);
      this.#waiting.set(number, { settle, timer });
      this.#worker.postMessage({ number, question } satisfies Question);
    });
  }

  #fail(number: number, fault: string): void {
    this.#waiting.get(number)?.settle({ number, value: null, fault });
  }
}

/**
 * Starts a thread and waits until it serves.
 *
 * @param file        URL of a built module
 * @param data        becomes its `workerData`
 * @throws EngineError when it ends, or stays silent, before it serves
 */
export async function startThread(
  file: URL,
  data: unknown,
  owner: number,
  heartbeats: Heartbeats,
  options: Pick<WorkerOptions, 'resourceLimits' | 'name'> = {},
): Promise<WorkerHandle> {
  // Threads make next to no garbage.  V8 would mark their whole heaps in quiet seconds, to give back a few megabytes: some
  // 100 ms of CPU, and calls wait meanwhile.
  setFlagsFromString('--no-memory-reducer');
  const worker = new Worker(file, { ...options, workerData: data });
  let wanted = false;
  let cause: unknown = null;
  const gone = new Promise<string | null>((resolve) => {
    worker.once('error', (error) => {
      cause = error;
    });
    worker.once('exit', (code) => resolve(wanted ? null : wordsOf(cause, code)));
  });
  const end = async (): Promise<void> => {
    wanted = true;
    await worker.terminate();
  };
  await served(worker, gone, end, () => cause);
  const questions = new Questions(worker, gone);
  return {
    gone,
    ask: (question) => questions.ask(question),
    heartbeat: () => heartbeats.read(owner),
    async stop() {
      wanted = true;
      worker.postMessage(THREAD_STOP);
      await gone;
    },
    kill: end,
  };
}

async function served(
  worker: Worker,
  gone: Promise<string | null>,
  end: () => Promise<void>,
  causeOf: () => unknown,
): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const verdict = await Promise.race([
    new Promise<'serves'>((resolve) => {
      worker.on('message', (message) => message === THREAD_SERVES && resolve('serves'));
    }),
    gone.then(() => 'gone' as const),
    new Promise<'late'>((resolve) => {
      timer = setTimeout(() => resolve('late'), START_MS_MAX);
    }),
  ]);
  clearTimeout(timer);
  if (verdict === 'serves') return;
  if (verdict === 'late') {
    await end();
    throw new EngineError('ERR_WORKER', `it did not serve within ${START_MS_MAX / 1000} s`);
  }
  const cause = causeOf();
  // Errors lose their class on the way between threads; the code survives.
  const code = (cause as { code?: unknown } | null)?.code;
  const detail = (cause as { detail?: unknown } | null)?.detail;
  if (code === 'ERR_ROUTES_FILE' && typeof detail === 'string')
    throw new EngineError(code, detail, { cause });
  throw new EngineError('ERR_WORKER', (await gone) ?? 'it ended before it served', { cause });
}

function wordsOf(cause: unknown, exitCode: number): string {
  if (cause instanceof Error) return cause.stack ?? cause.message;
  return cause === null ? `exit code ${exitCode}` : String(cause);
}
