/**
 * Who keeps the time: real calls that expire, ended by the timer worker or by their shards; the timer worker dies.
 * Ports 16500-16519.
 */
import assert from 'node:assert/strict';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, test } from 'vitest';
import { answer, call, end } from '../support/calls.js';
import { hostileRoutes, type ListedDialog, ProxyProcess, pause, privateSegment } from '../support/proxy.js';
import { UserAgent } from '../support/ua.js';

const PROXY_PORT = 16_500;
const RPC_PORT = 16_501;
const CALLEE_PORT = 16_502;
const WORKERS = 2;
const CALLS = 20;
const LIFETIME_SECONDS = 2;
const WAIT_MS = 20_000;
const TEST_MS = 60_000;

describe('calls whose time is over [manual 5.50]', () => {
  let proxy: ProxyProcess;
  let caller: UserAgent;
  let callee: UserAgent;
  const endOwner = privateSegment().replace('holdfast-test', 'end-owner');
  const ends = privateSegment().replace('holdfast-test', 'ends');

  async function start(timerProcs: number): Promise<void> {
    proxy = await ProxyProcess.start({
      port: PROXY_PORT,
      rpcPort: RPC_PORT,
      nextHop: `127.0.0.1:${CALLEE_PORT}`,
      workers: WORKERS,
      extra: [
        ...['--routes', hostileRoutes],
        ...['--set', `dialog:timer_procs=${timerProcs}`],
        ...['--set', `dialog:default_timeout=${LIFETIME_SECONDS}`],
      ],
      environment: {
        HOLDFAST_TEST_NEXT_HOP: `sip:127.0.0.1:${CALLEE_PORT}`,
        HOLDFAST_TEST_END_OWNER: endOwner,
        HOLDFAST_TEST_ENDS: ends,
      },
    });
  }

  beforeEach(async () => {
    writeFileSync(ends, '');
    callee = answer(await UserAgent.open('127.0.0.1', CALLEE_PORT));
    caller = await UserAgent.open('127.0.0.1', 0);
  });

  afterEach(async () => {
    await proxy?.stop();
    await caller?.close();
    await callee?.close();
    rmSync(endOwner, { force: true });
    rmSync(ends, { force: true });
  }, TEST_MS);

  async function until(what: string, isTrue: () => boolean | Promise<boolean>): Promise<void> {
    for (const deadline = Date.now() + WAIT_MS; !(await isTrue()); await pause(50)) {
      assert.ok(Date.now() < deadline, `${what}: not within ${WAIT_MS} ms: ${proxy.output}`);
    }
  }

  /** Owners on which event_route[dialog:end] ran, by call: each once. */
  function endsSeen(): Map<string, number> {
    const seen = new Map<string, number>();
    for (const line of readFileSync(ends, 'utf8').trimEnd().split('\n')) {
      const [owner, id] = line.split(' ');
      if (id === undefined) continue;
      assert.ok(!seen.has(id), `${id} ended twice`);
      seen.set(id, Number(owner));
    }
    return seen;
  }

  /** Every call has ended once, on a shard, and nothing is left of it. */
  async function allEnded(calls: readonly string[]): Promise<void> {
    await until('the calls end', () => endsSeen().size >= calls.length);
    const seen = endsSeen();
    assert.deepEqual([...seen.keys()].sort(), [...calls].sort());
    for (const [id, owner] of seen) assert.ok(owner < WORKERS, `${id}: its route ran on ${owner}`);
    assert.equal(await proxy.statistic('dialog:expired_dialogs'), calls.length);
    assert.equal(await proxy.statistic('dialog:active_dialogs'), 0);
    await proxy.forgetsEverything(TEST_MS);
  }

  for (const timerProcs of [1, 0]) {
    test(
      `timer_procs=${timerProcs}: every one ends once, on its owner, and is forgotten`,
      async () => {
        await start(timerProcs);
        const calls: string[] = [];
        for (let n = 0; n < CALLS; n++) {
          const id = `expires-${timerProcs}-${n}`;
          await call(caller, PROXY_PORT, CALLEE_PORT, id);
          calls.push(id);
        }
        await allEnded(calls);
        const health = await fetch(`http://127.0.0.1:${RPC_PORT}/healthz`);
        assert.equal(health.status, 200);
        const exit = await proxy.stop();
        assert.equal(exit.code, 0, exit.output);
      },
      TEST_MS,
    );
  }

  test(
    'the timer worker dies: it is replaced, calls go on, and those whose time was over meanwhile end',
    async () => {
      await start(1);
      const calls: string[] = [];
      for (let n = 0; n < CALLS; n++) {
        const id = `due-${n}`;
        await call(caller, PROXY_PORT, CALLEE_PORT, id);
        calls.push(id);
      }
      writeFileSync(endOwner, String(WORKERS));
      await until('the timer worker ends', () => proxy.output.includes('worker_died'));
      const ok = await call(caller, PROXY_PORT, CALLEE_PORT, 'meanwhile');
      await end(caller, PROXY_PORT, CALLEE_PORT, 'meanwhile', ok);
      await until('the timer worker is replaced', () => proxy.output.includes('worker_replaced'));
      await until('the calls end', () => calls.every((id) => endsSeen().has(id)));
      assert.equal(await proxy.statistic('core:workers_replaced'), 1);
      const listed = await proxy.rpc<readonly ListedDialog[]>('dlg.list');
      assert.ok(
        listed.every(({ state }) => state === 5),
        'all have ended',
      );
    },
    TEST_MS,
  );

  test(
    'a shard dies while its calls come due: the letters wait for its successor',
    async () => {
      await start(1);
      const calls: string[] = [];
      for (let n = 0; n < CALLS; n++) {
        const id = `waits-${n}`;
        await call(caller, PROXY_PORT, CALLEE_PORT, id);
        calls.push(id);
      }
      writeFileSync(endOwner, '0');
      await until('the shard ends', () => proxy.output.includes('worker_died'));
      await allEnded(calls);
      assert.equal(await proxy.statistic('core:workers_replaced'), 1);
    },
    TEST_MS,
  );
});
