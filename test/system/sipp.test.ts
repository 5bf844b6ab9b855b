/**
 * Real calls by sipp through a running proxy: ours with Record-Route, and sipp's built-in pair, which knows no Route.
 *
 * None may fail, calls are matched by the cookie, and when the last one is over nothing is left: no dialog, no
 * transaction, and after a second round as many bytes in the segment as after the first.
 */
import assert from 'node:assert/strict';
import { afterAll, beforeAll, describe, test } from 'vitest';
import { type ListedDialog, ProxyProcess, pause, STATISTIC } from '../support/proxy.js';
import { hasSipp, SIPP_REQUIRED, Sipp, type SippRun, scenario } from '../support/sipp.js';

const PROXY_PORT = 15_020;
const RPC_PORT = 15_021;
const CALLEE_PORT = 15_022;
const CALLER_PORT = 15_023;
const CALLS = 200;
const CALLS_PER_SECOND = 100;
const RUN_MS = 60_000;
const FORGET_MS = 60_000;
const TEST_MS = 180_000;

const isRunnable = hasSipp() || SIPP_REQUIRED;
if (!isRunnable)
  console.log('sipp is not installed: its tests are skipped (Debian: apt-get install sip-tester)');

/** The arguments that every sipp of this file has. */
const at = (port: number): string[] => ['-i', '127.0.0.1', '-p', String(port)];
const toProxy = `127.0.0.1:${PROXY_PORT}`;

/** Starts a callee, runs a caller against it and waits until both are done. */
async function calls(caller: readonly string[], callee: readonly string[], count: number, perSecond: number) {
  const uas = new Sipp([...callee, ...at(CALLEE_PORT)]);
  await pause(300);
  const uac = new Sipp([
    toProxy,
    ...caller,
    ...at(CALLER_PORT),
    '-m',
    String(count),
    '-r',
    String(perSecond),
  ]);
  const atCaller = await uac.finish(RUN_MS);
  const atCallee = await uas.stop();
  return { atCaller, atCallee };
}

function assertNoneFailed(run: SippRun, count: number): void {
  assert.equal(run.code, 0, run.unexpected);
  assert.equal(run.failed, 0, run.unexpected);
  assert.equal(run.successful, count, run.unexpected);
}

describe.skipIf(!isRunnable)('calls by sipp', () => {
  let proxy: ProxyProcess;

  beforeAll(async () => {
    assert.ok(hasSipp(), 'HOLDFAST_REQUIRE_SIPP=1, but sipp is not installed');
    proxy = await ProxyProcess.start({
      port: PROXY_PORT,
      rpcPort: RPC_PORT,
      nextHop: `127.0.0.1:${CALLEE_PORT}`,
      // The no-answer scenario waits for fr_inv_timer, and no other rings that long.
      extra: ['--set', 'tm:fr_inv_timer=4000'],
    });
  }, TEST_MS);

  afterAll(async () => {
    await proxy?.stop();
  }, TEST_MS);

  const ours = [
    ['-sf', scenario('uac')],
    ['-sf', scenario('uas')],
  ] as const;
  const builtIn = [
    ['-sn', 'uac', '-d', '2000'],
    ['-sn', 'uas'],
  ] as const;

  test(
    'our scenarios: none fails, all are matched by the cookie, and a second round uses no byte more',
    async () => {
      const used: number[] = [];
      for (const round of [1, 2]) {
        const before = await proxy.statistics();
        let peak: readonly ListedDialog[] = [];
        const running = calls(...ours, CALLS, CALLS_PER_SECOND);
        let isOver = false;
        void running.finally(() => {
          isOver = true;
        });
        while (!isOver) {
          const listed = await proxy.rpc<readonly ListedDialog[]>('dlg.list');
          if (listed.length > peak.length) peak = listed;
          await pause(200);
        }
        const { atCaller, atCallee } = await running;
        assertNoneFailed(atCaller, CALLS);
        assert.equal(atCallee.failed, 0, atCallee.unexpected);
        // Calls last 2 s and 100 begin in one: many are up at once, and each is in the list once.
        assert.ok(
          peak.length >= CALLS_PER_SECOND,
          `round ${round}: the list had ${peak.length} dialogs at most`,
        );
        assert.equal(new Set(peak.map((dialog) => dialog['call-id'])).size, peak.length);
        await proxy.forgetsEverything(FORGET_MS);
        const after = await proxy.statistics();
        const grown = (name: string): number => (after.get(name) ?? Number.NaN) - (before.get(name) ?? 0);
        assert.equal(grown(STATISTIC.processed), CALLS);
        // ACK and BYE of every call carry the cookie; a retransmission may add to that.
        assert.ok(
          grown(STATISTIC.matchedByCookie) >= 2 * CALLS,
          `${grown(STATISTIC.matchedByCookie)} by cookie`,
        );
        assert.equal(after.get(STATISTIC.active), 0);
        assert.equal(after.get(STATISTIC.early), 0);
        used.push(await proxy.usedBytes());
      }
      assert.equal(used[1], used[0], 'bytes in use after the second round');
    },
    TEST_MS,
  );

  test(
    "sipp's own pair: without Route the calls are matched by Call-ID and tags",
    async () => {
      const before = await proxy.statistics();
      const { atCaller, atCallee } = await calls(...builtIn, CALLS, CALLS_PER_SECOND);
      assertNoneFailed(atCaller, CALLS);
      assert.equal(atCallee.failed, 0, atCallee.unexpected);
      await proxy.forgetsEverything(FORGET_MS);
      const after = await proxy.statistics();
      const grown = (name: string): number => (after.get(name) ?? Number.NaN) - (before.get(name) ?? 0);
      assert.equal(grown(STATISTIC.processed), CALLS);
      assert.ok(
        grown(STATISTIC.matchedBySip) >= 2 * CALLS,
        `${grown(STATISTIC.matchedBySip)} by Call-ID and tags`,
      );
      assert.equal(after.get(STATISTIC.active), 0);
    },
    TEST_MS,
  );

  const FLOWS = [
    ['a re-INVITE in the middle', 'uac_reinvite', 'uas_reinvite'],
    ['the callee ends the call', 'uac_ended_by_callee', 'uas_ends'],
    ['the caller gives up: CANCEL, 200, 487', 'uac_cancel', 'uas_cancel'],
    ['the callee is busy: 486', 'uac_busy', 'uas_busy'],
    ['nobody answers: 408 and CANCEL when fr_inv_timer is over', 'uac_no_answer', 'uas_no_answer'],
  ] as const;
  for (const [what, caller, callee] of FLOWS) {
    test(
      what,
      async () => {
        const { atCaller, atCallee } = await calls(
          ['-sf', scenario(caller)],
          ['-sf', scenario(callee)],
          20,
          40,
        );
        assertNoneFailed(atCaller, 20);
        assert.equal(atCallee.failed, 0, atCallee.unexpected);
        await proxy.forgetsEverything(FORGET_MS);
      },
      TEST_MS,
    );
  }
});
