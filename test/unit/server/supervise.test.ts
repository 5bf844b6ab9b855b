import assert from 'node:assert/strict';
import { setImmediate as turn } from 'node:timers/promises';
import { describe, test } from 'vitest';
import { ManualClock } from '../../../dist/clock.js';
import type { EngineError } from '../../../dist/errors.js';
import { silentLog } from '../../../dist/log.js';
import type { WorkerHandle } from '../../../dist/server/ports.js';
import { DEATHS_WINDOW_MS, REPLACE_WAIT_MS, STUCK_MS, Supervisor } from '../../../dist/server/supervise.js';

/** A worker that does what a test says. */
class FakeWorker implements WorkerHandle {
  ask(): Promise<never> {
    return Promise.reject(new Error('nobody answers'));
  }
  readonly owner: number;
  readonly gone: Promise<string | null>;
  beats = 0;
  state: 'alive' | 'stopped' | 'killed' | 'dead' = 'alive';
  #leave: (cause: string | null) => void = () => {};

  constructor(owner: number) {
    this.owner = owner;
    this.gone = new Promise((resolve) => {
      this.#leave = resolve;
    });
  }

  heartbeat() {
    return this.beats;
  }

  async stop() {
    this.state = 'stopped';
    this.#leave(null);
  }

  async kill() {
    this.state = 'killed';
    this.#leave(null);
  }

  die(cause: string) {
    this.state = 'dead';
    this.#leave(cause);
  }
}

function world(owners: readonly number[]) {
  const clock = new ManualClock(1_000);
  const workers: FakeWorker[] = [];
  const given: EngineError[] = [];
  /** What the next starts do instead of succeeding. */
  const failures: string[] = [];
  const waits: number[] = [];
  const supervisor = new Supervisor({
    owners,
    wait: async (ms) => waits.push(ms),
    clock,
    log: silentLog,
    giveUp: (error) => given.push(error),
    start: async (owner) => {
      const failure = failures.shift();
      if (failure !== undefined) throw new Error(failure);
      const worker = new FakeWorker(owner);
      workers.push(worker);
      return worker;
    },
  });
  /** Lets a second pass, in which these workers give a sign of life, and looks. */
  const second = async (...alive: FakeWorker[]) => {
    clock.advance(1_000);
    for (const worker of alive) worker.beats += 1;
    supervisor.check();
    for (let turns = 0; turns < 5; turns++) await turn();
  };
  return { clock, workers, given, failures, waits, supervisor, second };
}

describe('supervision [architecture: Death of a worker]', () => {
  test('starts one worker for each owner number', async () => {
    const { supervisor, workers } = world([0, 1, 9]);
    await supervisor.start();
    assert.deepEqual(
      workers.map(({ owner }) => owner),
      [0, 1, 9],
    );
    assert.deepEqual([supervisor.running, supervisor.wanted], [3, 3]);
  });

  test('a start that fails at first is told to the caller', async () => {
    const { supervisor, failures, given } = world([0, 1]);
    failures.push('no such route file');
    await assert.rejects(supervisor.start(), /no such route file/);
    await supervisor.stop();
    assert.equal(given.length, 0);
  });

  test('replaces a worker that died, under its number', async () => {
    const { supervisor, workers, second } = world([0, 1]);
    await supervisor.start();
    workers[1]!.die('thrown');
    await second(workers[0]!);
    assert.equal(workers.length, 3);
    assert.equal(workers[2]!.owner, 1);
    assert.equal(supervisor.running, 2);
    assert.equal(workers[0]!.state, 'alive');
  });

  test('ends and replaces one that gave no sign of life for five seconds, not before', async () => {
    const { supervisor, workers, second } = world([0, 1]);
    await supervisor.start();
    await second(workers[0]!, workers[1]!);
    const [lively, stuck] = [workers[0]!, workers[1]!];
    for (let s = 1; s < STUCK_MS / 1_000; s++) await second(lively);
    assert.equal(stuck.state, 'alive');
    await second(lively);
    assert.equal(stuck.state, 'killed');
    assert.deepEqual([workers.length, workers[2]?.owner, supervisor.running], [3, 1, 2]);
    assert.equal(lively.state, 'alive');
  });

  test('the successor has five seconds of its own', async () => {
    const { supervisor, workers, second } = world([0]);
    await supervisor.start();
    for (let s = 0; s < 5; s++) await second();
    assert.equal(workers.length, 2);
    for (let s = 0; s < 4; s++) await second();
    assert.equal(workers[1]!.state, 'alive');
  });

  test('a process that stood still as a whole does not blame its workers', async () => {
    const { supervisor, workers, second, clock } = world([0]);
    await supervisor.start();
    clock.advance(3_600_000);
    await second();
    assert.equal(workers[0]!.state, 'alive');
  });

  test('three deaths in a minute, of whatever workers, are the end', async () => {
    const { supervisor, workers, given, second } = world([0, 1]);
    await supervisor.start();
    workers[0]!.die('first');
    await second();
    workers[1]!.die('second');
    await second();
    assert.equal(given.length, 0);
    workers[2]!.die('third');
    await second();
    assert.equal(given.length, 1);
    assert.equal(given[0]!.code, 'ERR_WORKER');
    assert.match(given[0]!.message, /3 deaths within 60 s, the last of owner 0: third/);
    assert.equal(workers.length, 4, 'nobody is started any more');
    workers[3]!.die('fourth');
    await second();
    assert.deepEqual([workers.length, given.length], [4, 1]);
  });

  test('three deaths in more than a minute are not', async () => {
    const { supervisor, workers, given, second, clock } = world([0]);
    await supervisor.start();
    for (let death = 0; death < 5; death++) {
      workers.at(-1)!.die('again');
      await second();
      clock.advance(DEATHS_WINDOW_MS / 2);
    }
    assert.equal(given.length, 0);
    assert.equal(workers.length, 6);
  });

  test('the first successor comes at once, the next after a wait, and after a quiet minute at once again', async () => {
    const { clock, supervisor, workers, waits, second } = world([0]);
    await supervisor.start();
    workers[0]!.die('first');
    await second();
    assert.deepEqual([workers.length, waits], [2, []]);
    workers[1]!.die('second');
    await second();
    assert.deepEqual([workers.length, waits], [3, [REPLACE_WAIT_MS]]);
    clock.advance(DEATHS_WINDOW_MS);
    workers[2]!.die('third');
    await second();
    assert.deepEqual([workers.length, waits], [4, [REPLACE_WAIT_MS]]);
  });

  test('a successor that cannot start counts as a death', async () => {
    const { supervisor, workers, given, failures, second } = world([0]);
    await supervisor.start();
    failures.push('no memory', 'no memory', 'no memory');
    workers[0]!.die('first');
    await second();
    assert.equal(given.length, 1);
    assert.match(given[0]!.message, /no memory/);
    assert.equal(failures.length, 1, 'tried twice after the first death');
  });

  test('a stop ends all and replaces nobody', async () => {
    const { supervisor, workers, given, second } = world([0, 1]);
    await supervisor.start();
    await supervisor.stop();
    await second();
    assert.deepEqual(
      workers.map(({ state }) => state),
      ['stopped', 'stopped'],
    );
    assert.equal(given.length, 0);
  });

  test('a successor that arrives after the stop is ended, and the stop waits for it', async () => {
    const clock = new ManualClock();
    const workers: FakeWorker[] = [];
    let arrive: () => void = () => {};
    const supervisor = new Supervisor({
      owners: [0],
      clock,
      log: silentLog,
      giveUp: () => assert.fail(),
      start: async (owner) => {
        if (workers.length > 0) await new Promise<void>((resolve) => (arrive = resolve));
        const worker = new FakeWorker(owner);
        workers.push(worker);
        return worker;
      },
    });
    await supervisor.start();
    workers[0]!.die('first');
    await turn();
    let stopped = false;
    const stopping = supervisor.stop().then(() => {
      stopped = true;
    });
    await turn();
    assert.equal(stopped, false);
    arrive();
    await stopping;
    assert.deepEqual(
      workers.map(({ state }) => state),
      ['dead', 'killed'],
    );
  });
});
