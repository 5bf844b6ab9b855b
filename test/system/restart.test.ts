/**
 * Killed with SIGKILL and started again: the calls go on.  Ports 16520-16539.  [architecture: crash safety]
 */
import assert from 'node:assert/strict';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, test } from 'vitest';
import { answer, call, end } from '../support/calls.js';
import { hostileRoutes, type ListedDialog, ProxyProcess, pause, privateSegment } from '../support/proxy.js';
import { type SipText, UserAgent } from '../support/ua.js';

const PROXY_PORT = 16_520;
const RPC_PORT = 16_521;
const CALLEE_PORT = 16_522;
const CALLS = 200;
const WAIT_MS = 60_000;
const TEST_MS = 180_000;

describe('a process that is killed and started again', () => {
  let proxy: ProxyProcess | null = null;
  let caller: UserAgent;
  let callee: UserAgent;
  let byesToCallee: Set<string>;
  const segment = privateSegment();
  const ends = privateSegment().replace('holdfast-test', 'ends');

  type Settings = { workers?: number; extra?: readonly string[]; diesAt?: number };

  async function start(settings: Settings = {}): Promise<ProxyProcess> {
    proxy = await ProxyProcess.start(optionsOf(settings));
    return proxy;
  }

  function optionsOf({ workers = 2, extra = [], diesAt = 0 }: Settings) {
    return {
      port: PROXY_PORT,
      rpcPort: RPC_PORT,
      nextHop: `127.0.0.1:${CALLEE_PORT}`,
      workers,
      segment,
      extra: ['--routes', hostileRoutes, ...extra],
      environment: {
        HOLDFAST_TEST_NEXT_HOP: `sip:127.0.0.1:${CALLEE_PORT}`,
        HOLDFAST_TEST_ENDS: ends,
        HOLDFAST_TEST_DIES_AT: String(diesAt),
      },
    };
  }

  beforeEach(async () => {
    writeFileSync(ends, '');
    byesToCallee = new Set();
    callee = answer(await UserAgent.open('127.0.0.1', CALLEE_PORT), (message) => {
      if (message.method === 'BYE') byesToCallee.add(message.header('call-id'));
    });
    caller = await UserAgent.open('127.0.0.1', 0);
  });

  afterEach(async () => {
    await proxy?.stop();
    proxy?.removeSegment();
    proxy = null;
    await caller?.close();
    await callee?.close();
    rmSync(ends, { force: true });
  }, TEST_MS);

  async function callsUp(prefix: string): Promise<Map<string, SipText>> {
    const up = new Map<string, SipText>();
    for (let n = 0; n < CALLS; n++) {
      up.set(`${prefix}-${n}`, await call(caller, PROXY_PORT, CALLEE_PORT, `${prefix}-${n}`));
    }
    await areUp(CALLS);
    return up;
  }

  /** The last ACK has been taken in. */
  async function areUp(count: number): Promise<void> {
    await until('the calls are up', async () => {
      const listed = await proxy!.rpc<readonly ListedDialog[]>('dlg.list');
      return listed.filter(({ state }) => state === 4).length === count;
    });
  }

  /** Call-IDs whose dialog:end ran, each once. */
  function told(): string[] {
    const lines = readFileSync(ends, 'utf8').trimEnd().split('\n');
    const ids = lines.map((line) => line.split(' ')[1] ?? '').filter((id) => id !== '');
    assert.equal(new Set(ids).size, ids.length, 'each end is told once');
    return ids.sort();
  }

  async function until(what: string, isTrue: () => boolean | Promise<boolean>): Promise<void> {
    for (const deadline = Date.now() + WAIT_MS; !(await isTrue()); await pause(50)) {
      assert.ok(Date.now() < deadline, `${what}: not within ${WAIT_MS} ms: ${proxy?.output}`);
    }
  }

  async function isListed(ids: Iterable<string>, state: number): Promise<void> {
    const listed = await proxy!.rpc<readonly ListedDialog[]>('dlg.list');
    const found = listed.filter((dialog) => dialog.state === state).map((dialog) => dialog['call-id']);
    assert.deepEqual(found.sort(), [...ids].sort());
  }

  for (const [workers, timerProcs] of [
    [2, 1],
    [1, 0],
    [3, 0],
  ] as const) {
    test(
      `${CALLS} calls are there with ${workers} workers, timer_procs=${timerProcs}: listed, counted, ended by their BYEs, each end told once`,
      async () => {
        const first = await start();
        const up = await callsUp('up');
        const exit = await first.kill();
        assert.equal(exit.signal, 'SIGKILL');

        const second = await start({ workers, extra: ['--set', `dialog:timer_procs=${timerProcs}`] });
        assert.match(second.output, new RegExp(`found +${CALLS} calls of the process before`));
        assert.match(second.output, /calls_taken_over/);
        await isListed(up.keys(), 4);
        assert.equal(await second.statistic('dialog:active_dialogs'), CALLS);
        for (const [id, ok] of up) await end(caller, PROXY_PORT, CALLEE_PORT, id, ok);
        assert.equal(await second.statistic('dialog:matched_by_cookie'), CALLS);
        assert.equal(await second.statistic('dialog:active_dialogs'), 0);
        assert.deepEqual(told(), [...up.keys()].sort());
        assert.equal(byesToCallee.size, CALLS);
        await second.forgetsEverything(WAIT_MS);
        assert.equal((await second.signal('SIGTERM')).code, 0);
        assert.ok(!existsSync(segment), 'nothing is left, and the file is gone');
      },
      TEST_MS,
    );
  }

  for (const timerProcs of [1, 0]) {
    test(
      `killed while calls expire with BYEs, timer_procs=${timerProcs}: every call ends, every side is told`,
      async () => {
        const extra = [
          ...['--set', 'dialog:send_bye=1', '--set', 'dialog:default_timeout=5'],
          ...['--set', `dialog:timer_procs=${timerProcs}`],
        ];
        const first = await start({ extra, diesAt: CALLS / 10 });
        const up = await callsUp('due');
        answer(caller);
        await until('it has died', () => !first.isUp);
        const before = told().length;
        assert.ok(before < CALLS, 'it died in the middle of them');

        // Whoever keeps the time may change meanwhile.
        const other = ['--set', `dialog:timer_procs=${1 - timerProcs}`];
        const second = await start({ extra: [...extra.slice(0, 4), ...other] });
        await until('no call is left', async () => (await second.load()).dialogs === 0);
        // Told at most once; not told are those whose routes were running at that instant, one in each thread.
        const missed = [...up.keys()].filter((id) => !told().includes(id));
        assert.ok(missed.length <= 2, `not told: ${missed.join(' ')}; told before: ${before}`);
        const unsent = [...up.keys()].filter((id) => !byesToCallee.has(id));
        assert.deepEqual(unsent, [], 'the callee got a BYE for each call');
        assert.equal(await second.statistic('dialog:active_dialogs'), 0);
      },
      TEST_MS,
    );
  }

  test(
    'a clean stop keeps the calls that are up, --segment-fresh leaves them aside',
    async () => {
      const first = await start();
      await call(caller, PROXY_PORT, CALLEE_PORT, 'kept');
      await areUp(1);
      assert.equal((await first.signal('SIGTERM')).code, 0);
      assert.ok(existsSync(segment), 'a call is up in it');

      const second = await start();
      assert.match(second.output, /found +1 call of the process before/);
      await isListed(['kept'], 4);
      await second.kill();

      const third = await start({ extra: ['--segment-fresh'] });
      assert.doesNotMatch(third.output, /found +1 call/);
      assert.ok(existsSync(`${segment}.stale`));
      await isListed([], 4);
    },
    TEST_MS,
  );

  test(
    'a file that does not fit is refused in one line that names value and remedy, and stays',
    async () => {
      const first = await start();
      await call(caller, PROXY_PORT, CALLEE_PORT, 'waits');
      await areUp(1);
      await first.kill();
      for (const [extra, named] of [
        [['--set', 'dialog:hash_size=8192'], /hash_size is 4096.*--segment-fresh/],
        [['--set', 'dialog:h_id_step=2'], /h_id_step is 1.*--segment-fresh/],
      ] as const) {
        const exit = await ProxyProcess.refused(optionsOf({ extra }));
        assert.equal(exit.code, 1, exit.output);
        assert.match(exit.output, named);
        assert.equal(exit.output.trim().split('\n').length, 1, exit.output);
      }
      const elsewhere = { ...optionsOf({}), port: PROXY_PORT + 8 };
      const moved = await ProxyProcess.refused(elsewhere);
      assert.equal(moved.code, 1, moved.output);
      assert.match(moved.output, /sockets are udp:127\.0\.0\.1:16520.*--segment-fresh/);
      await start();
      await isListed(['waits'], 4);
    },
    TEST_MS,
  );
});
