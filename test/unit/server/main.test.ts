import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { describe, test } from 'vitest';
import { ManualClock } from '../../../dist/clock.js';
import { loadConfig } from '../../../dist/config/load.js';
import { EngineError } from '../../../dist/errors.js';
import { silentLog } from '../../../dist/log.js';
import { type Surroundings, serve } from '../../../dist/server/main.js';
import type { Runtime, WorkerHandle } from '../../../dist/server/ports.js';
import { dialog, FakeView } from '../rpc/fake-view.js';

const PORT = 18_070;
const BASE = `http://127.0.0.1:${PORT}`;

/** A process made of notes: what happened, in order. */
async function world(
  changes: { failWorker?: Error; drain?: () => Promise<void>; rpc?: string; set?: string[] } = {},
) {
  const events: string[] = [];
  const clock = new ManualClock(1_000);
  const listeners = new Map<string, () => void>();
  const workers: { die(cause: string): void }[] = [];
  const loaded = await loadConfig({
    flags: {
      rpc: changes.rpc ?? `127.0.0.1:${PORT}`,
      workers: '2',
      set: ['core:drain_timeout_ms=0', ...(changes.set ?? [])],
    },
    env: {},
    folder: '/',
    looksInFolder: false,
  });
  const runtime: Runtime = {
    owners: [0, 1],
    segment: { path: '/dev/shm/x', bytes: 268_435_456, callsEnough: 12_345, callsFound: 7 },
    view: () => new FakeView([dialog(1)]),
    async startWorker(owner) {
      if (changes.failWorker !== undefined && owner === 1) throw changes.failWorker;
      events.push(`worker ${owner}`);
      let leave: (cause: string | null) => void = () => {};
      const gone = new Promise<string | null>((resolve) => {
        leave = resolve;
      });
      workers.push({ die: leave });
      const stop = async (): Promise<void> => {
        events.push(`stop ${owner}`);
        leave(null);
      };
      const ask = () => Promise.reject(new Error('nobody answers'));
      return { heartbeat: () => 0, gone, ask, stop, kill: stop } satisfies WorkerHandle;
    },
    async drain() {
      events.push('drain');
      await changes.drain?.();
    },
    async close(keepSegment) {
      events.push(keepSegment ? 'close, keep segment' : 'close');
    },
  };
  const around: Surroundings = {
    version: '1.2.3',
    clock,
    log: silentLog,
    print: (text) => events.push(text),
    onSignal: (signal, listener) => listeners.set(signal, listener),
    exit: (code) => events.push(`exit ${code}`),
  };
  const open = async () => {
    events.push('open');
    return runtime;
  };
  const run = () => serve(loaded, open, around);
  const isUp = async () => {
    while (!events.some((event) => event.includes('is ready'))) await turn();
  };
  return { events, clock, run, isUp, workers, signal: (name: string) => listeners.get(name)?.() };
}

describe('the main thread', () => {
  test('starts in order, says what it is, and stops in reverse', async () => {
    const { events, run, isUp, signal } = await world();
    const running = run();
    await isUp();
    const ready = await fetch(`${BASE}/readyz`);
    assert.equal(ready.status, 200);
    await ready.text();
    signal('SIGTERM');
    assert.equal(await running, 0);
    const said = events[3] ?? '';
    assert.deepEqual(events.toSpliced(3, 1), [
      ...['open', 'worker 0', 'worker 1'],
      ...['drain', 'stop 0', 'stop 1', 'close'],
    ]);
    for (const part of [
      'holdfast 1.2.3 is ready',
      'udp:127.0.0.1:5060',
      `${BASE}/RPC`,
      '/dev/shm/x, 256 MiB, enough for 12345 calls',
      'found        7 calls',
      'sipp -sn uac',
      'holdfast list --rpc 127.0.0.1:18070',
    ]) {
      assert.ok(said.includes(part), `${said} says ${part}`);
    }
    await assert.rejects(fetch(`${BASE}/readyz`));
  });

  for (const name of ['SIGTERM', 'SIGINT']) {
    test(`a second ${name} stops at once`, async () => {
      let drained: () => void = () => {};
      const { events, run, isUp, signal, clock } = await world({
        drain: () => new Promise((resolve) => (drained = resolve)),
      });
      const running = run();
      await isUp();
      signal(name);
      clock.advance(10);
      signal(name);
      assert.ok(!events.some((event) => event.startsWith('exit')), 'one Ctrl-C may arrive twice');
      clock.advance(1_000);
      signal(name);
      assert.ok(events.includes('exit 1'));
      drained();
      await running;
    });
  }

  test('a worker that cannot start ends the start, and nothing is left', async () => {
    const failWorker = new EngineError('ERR_ROUTES_FILE', 'routes.ts');
    const { events, run } = await world({ failWorker });
    await assert.rejects(run(), { code: 'ERR_ROUTES_FILE' });
    assert.deepEqual(events, ['open', 'worker 0', 'stop 0', 'close']);
    await assert.rejects(fetch(`${BASE}/livez`));
  });

  test('management that others reach does not start without a token, nor does anything else', async () => {
    const { events, run } = await world({ rpc: `0.0.0.0:${PORT}` });
    await assert.rejects(run(), { code: 'ERR_RPC_OPEN' });
    assert.deepEqual(events, []);
  });

  test('management demands the token of its file', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'holdfast-main-'));
    const file = join(folder, 'token');
    writeFileSync(file, '0123456789abcdef', { mode: 0o600 });
    const { run, isUp, signal } = await world({ set: [`rpc:token_file=${file}`] });
    const running = run();
    await isUp();
    const statusWith = async (authorization: string) => {
      const headers = { 'content-type': 'application/json', authorization };
      const body = '{"jsonrpc":"2.0","method":"core.version","id":1}';
      const reply = await fetch(`${BASE}/RPC`, { method: 'POST', headers, body });
      await reply.text();
      return reply.status;
    };
    assert.equal(await statusWith('Bearer 0123456789abcdee'), 401);
    assert.equal(await statusWith('Bearer 0123456789abcdef'), 200);
    signal('SIGTERM');
    assert.equal(await running, 0);
    rmSync(folder, { recursive: true });
  });

  test('a management address in use ends the start, and nothing is left', async () => {
    const first = await world();
    const running = first.run();
    await first.isUp();
    const { events, run } = await world();
    await assert.rejects(run(), { code: 'ERR_ADDRESS_IN_USE' });
    assert.deepEqual(events, ['open', 'worker 0', 'worker 1', 'stop 0', 'stop 1', 'close']);
    first.signal('SIGTERM');
    assert.equal(await running, 0);
  });

  test('a signal during the start is not lost', async () => {
    const { events, run, signal } = await world();
    const running = run();
    signal('SIGTERM');
    assert.equal(await running, 0);
    assert.equal(events.at(-1), 'close');
  });

  test('three deaths in a minute: exit code 1, and the calls stay in the segment', async () => {
    const { events, run, isUp, workers } = await world();
    const running = run();
    await isUp();
    for (const at of [0, 1, 2]) {
      while (workers[at] === undefined) await turn();
      workers[at]?.die('thrown');
      await turn();
    }
    assert.equal(await running, 1);
    assert.equal(events.at(-1), 'close, keep segment');
    assert.ok(!events.includes('drain'));
  });

  test('SIGHUP of a service manager ends no call, SIGUSR1 only tells', async () => {
    const { events, run, isUp, signal } = await world();
    const running = run();
    await isUp();
    signal('SIGUSR1');
    if (!process.stdin.isTTY) signal('SIGHUP');
    await turn();
    assert.ok(!events.includes('drain'));
    signal('SIGTERM');
    assert.equal(await running, 0);
  });
});
