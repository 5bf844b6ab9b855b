/**
 * Real calls by sipp in which the proxy itself has a say: it ends them, forks them, answers challenges, makes one.
 *
 * What sipp checks stands in the scenarios (numbers, Routes, tags); what the proxy knows is asked by RPC.  Nothing depends
 * on how fast anything is.
 */
import assert from 'node:assert/strict';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, test } from 'vitest';
import { type ListedDialog, ProxyProcess, pause, STATISTIC } from '../support/proxy.js';
import { hasSipp, SIPP_REQUIRED, Sipp, type SippRun, scenario } from '../support/sipp.js';

const OURS = 15_040;
const BEFORE = 15_042;
const BEHIND = 15_044;
const CALLER = 15_046;
const CALLEE = 15_047;
const SECOND = 15_048;
const RUN_MS = 40_000;
/** sipp says nothing when it listens; what is sent before comes again. */
const LISTENING_MS = 300;
const TEST_MS = 120_000;
const ROUTES = fileURLToPath(new URL('../support/sipp-routes.ts', import.meta.url));

const isRunnable = hasSipp() || SIPP_REQUIRED;

const listen = (port: number): string[] => ['-i', '127.0.0.1', '-p', String(port)];

/** One callee, for as many calls as it is told. */
function callee(name: string, calls: number, port = CALLEE): Sipp {
  return new Sipp(['-sf', scenario(name), ...listen(port), '-m', String(calls)]);
}

/** Callers that dial `user` at `port`, all at once. */
function caller(name: string, user: string, calls: number, port = OURS): Sipp {
  const many = ['-m', String(calls), '-r', String(calls), '-s', user];
  return new Sipp([`127.0.0.1:${port}`, '-sf', scenario(name), ...many, ...listen(CALLER)]);
}

async function allFinish(calls: number, ...running: readonly Sipp[]): Promise<void> {
  const runs = await Promise.all(running.map((sipp) => sipp.finish(RUN_MS)));
  for (const run of runs) assertAll(run, calls);
}

function assertAll(run: SippRun, calls: number): void {
  assert.equal(run.failed, 0, run.unexpected);
  assert.equal(run.code, 0, run.unexpected);
  assert.equal(run.successful, calls, run.unexpected);
}

describe.skipIf(!isRunnable)('calls by sipp in which the proxy has a say', () => {
  let proxy: ProxyProcess;
  let others: ProxyProcess[] = [];

  beforeAll(async () => {
    assert.ok(hasSipp(), 'HOLDFAST_REQUIRE_SIPP=1, but sipp is not installed');
    const ports = { OURS, CALLEE, SECOND, NEXT: BEHIND };
    const environment = Object.fromEntries(
      Object.entries(ports).map(([name, port]) => [`HOLDFAST_TEST_${name}`, String(port)]),
    );
    [proxy, ...others] = (await Promise.all([
      ProxyProcess.start({
        port: OURS,
        rpcPort: OURS + 1,
        nextHop: null,
        extra: [
          '--routes',
          ROUTES,
          '--set',
          'dialog:send_bye=1',
          '--set',
          'dialog:track_cseq_updates=1',
          '--set',
          'uac:credential=trunk:carrier:secret',
        ],
        environment,
      }),
      ProxyProcess.start({ port: BEFORE, rpcPort: BEFORE + 1, nextHop: `127.0.0.1:${OURS}` }),
      ProxyProcess.start({ port: BEHIND, rpcPort: BEHIND + 1, nextHop: null }),
    ])) as [ProxyProcess, ...ProxyProcess[]];
  }, TEST_MS);

  afterAll(async () => {
    await Promise.all([proxy, ...others].map((one) => one?.stop()));
  }, TEST_MS);

  /** How much statistics grow meanwhile. */
  async function growth(work: () => Promise<void>): Promise<(name: string) => number> {
    const before = await proxy.statistics();
    await work();
    await proxy.forgetsEverything(RUN_MS);
    const after = await proxy.statistics();
    return (name) => (after.get(name) ?? Number.NaN) - (before.get(name) ?? 0);
  }

  /** The dialogs of the proxy, once there are so many in a state. */
  async function inState(state: number, count: number): Promise<readonly ListedDialog[]> {
    for (let waited = 0; ; waited += 100) {
      const all = await proxy.rpc<readonly ListedDialog[]>('dlg.list');
      const found = all.filter((dialog) => dialog.state === state);
      if (found.length >= count) return found;
      assert.ok(waited < RUN_MS, `${found.length} of ${count} dialogs in state ${state}`);
      await pause(100);
    }
  }

  test(
    'a lifetime that is over ends the call on both sides, through record-routing proxies on the way to each',
    async () => {
      const grown = await growth(() =>
        allFinish(10, callee('uas_gets_bye', 10), caller('uac_gets_bye', 'timeout-far', 10, BEFORE)),
      );
      assert.equal(grown('dialog:expired_dialogs'), 10);
      // The proxies before and behind saw the BYEs pass, and their dialogs end.
      for (const other of others) {
        await other.forgetsEverything(RUN_MS);
        assert.equal(await other.statistic(STATISTIC.active), 0);
      }
    },
    TEST_MS,
  );

  test(
    'a BYE that crosses a re-INVITE ends the call once, and both are answered',
    async () => {
      const grown = await growth(() =>
        allFinish(10, callee('uas_crosses', 10), caller('uac_crossed', 'plain', 10)),
      );
      assert.equal(grown(STATISTIC.processed), 10);
      assert.equal(grown(STATISTIC.active), 0);
    },
    TEST_MS,
  );

  test(
    'PRACK and UPDATE pass before the answer and after it',
    async () => {
      const grown = await growth(() =>
        allFinish(10, callee('uas_prack', 10), caller('uac_prack', 'plain', 10)),
      );
      // PRACK, two UPDATEs, ACK and BYE of each.
      assert.ok(grown(STATISTIC.matchedByCookie) >= 50, `${grown(STATISTIC.matchedByCookie)} by cookie`);
    },
    TEST_MS,
  );

  test(
    'two callees answer one INVITE: each has a dialog of its own, ended by itself',
    async () => {
      const grown = await growth(() =>
        allFinish(
          5,
          callee('uas_after_ringing', 5),
          callee('uas_answers_all_the_same', 5, SECOND),
          caller('uac_two_answers', 'fork', 5),
        ),
      );
      assert.equal(grown(STATISTIC.processed), 5, 'families');
      assert.equal(grown(STATISTIC.failed), 0);
      assert.equal(grown(STATISTIC.active), 0);
    },
    TEST_MS,
  );

  test(
    'an INVITE that comes by twice belongs to the one dialog',
    async () => {
      const grown = await growth(() => allFinish(10, callee('uas', 10), caller('uac', 'spiral', 10)));
      assert.equal(grown(STATISTIC.processed), 10);
      assert.equal(grown('dialog:spirals'), 10);
      assert.equal(grown(STATISTIC.active), 0);
    },
    TEST_MS,
  );

  test(
    'a call that rings is ended by command: CANCEL downstream, an answer upstream',
    async () => {
      const grown = await growth(async () => {
        const running = allFinish(5, callee('uas_ended_early', 5), caller('uac_ended_early', 'plain', 5));
        for (const { h_entry, h_id } of await inState(2, 5)) await proxy.rpc('dlg.end_dlg', [h_entry, h_id]);
        await running;
      });
      assert.equal(grown(STATISTIC.failed), 5);
      assert.equal(grown(STATISTIC.early), 0);
    },
    TEST_MS,
  );

  test(
    'a call that is up is ended by command: BYE to both sides',
    async () => {
      const grown = await growth(async () => {
        const running = allFinish(5, callee('uas_gets_bye', 5), caller('uac_gets_bye', 'plain', 5));
        for (const { h_entry, h_id } of await inState(4, 5)) await proxy.rpc('dlg.end_dlg', [h_entry, h_id]);
        await running;
      });
      assert.equal(grown(STATISTIC.active), 0);
      assert.equal(grown('dialog:expired_dialogs'), 0);
    },
    TEST_MS,
  );

  for (const code of [401, 407]) {
    test(
      `a challenge (${code}) is answered by us: numbers are right on both sides for the rest of the call`,
      async () => {
        const grown = await growth(() =>
          allFinish(5, callee(`uas_challenges_${code}`, 5), caller('uac_not_challenged', 'trunk', 5)),
        );
        assert.equal(grown(STATISTIC.active), 0);
      },
      TEST_MS,
    );
  }

  // Last, for the transaction of an INVITE of ours stays 32 s, in case another 2xx comes.
  test(
    'dlg_bridge calls one, refers it to the other and leaves',
    async () => {
      const before = await proxy.statistic(STATISTIC.processed);
      const bridged = callee('uas_bridged', 1);
      await pause(LISTENING_MS);
      await proxy.rpc('dlg.bridge_dlg', [`sip:bridged@127.0.0.1:${CALLEE}`, 'sip:other@192.0.2.50']);
      await allFinish(1, bridged);
      assert.equal(await proxy.statistic(STATISTIC.processed), before, 'it is no tracked call');
    },
    TEST_MS,
  );
});
