/**
 * Real calls by sipp whose callee is gone: one says 481 to OPTIONS, one says nothing.  Both calls get their BYEs.
 *
 * The shortest interval between two probes is 30 s and a call whose end does not answer lives 10 s more, so this takes 45
 * seconds; it has a file of its own and runs beside the others.  [manual 5.47, 5.48]
 */
import assert from 'node:assert/strict';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, test } from 'vitest';
import { ProxyProcess, STATISTIC } from '../support/proxy.js';
import { hasSipp, SIPP_REQUIRED, Sipp, scenario } from '../support/sipp.js';

const RUN_MS = 90_000;
const TEST_MS = 150_000;
const CALLS = 5;
const ROUTES = fileURLToPath(new URL('../support/sipp-routes.ts', import.meta.url));

const isRunnable = hasSipp() || SIPP_REQUIRED;

/** Calls of one kind through a proxy of their own: `base` and the ports behind it. */
async function probed(callee: string, base: number): Promise<(name: string) => number> {
  const proxy = await ProxyProcess.start({
    port: base,
    rpcPort: base + 1,
    nextHop: null,
    extra: [
      ...['--routes', ROUTES, '--set', 'tm:fr_timer=2000', '--set', 'dialog:send_bye=1'],
      ...['--set', 'dialog:ka_timer=1', '--set', 'dialog:ka_interval=30'],
    ],
    environment: { HOLDFAST_TEST_CALLEE: String(base + 3) },
  });
  try {
    const many = ['-i', '127.0.0.1', '-m', String(CALLS)];
    const uas = new Sipp(['-sf', scenario(callee), '-p', String(base + 3), ...many]);
    const to = [`127.0.0.1:${base}`, '-s', 'probed', '-r', String(CALLS)];
    const uac = new Sipp([...to, '-sf', scenario('uac_probed'), '-p', String(base + 2), ...many]);
    for (const run of await Promise.all([uas.finish(RUN_MS), uac.finish(RUN_MS)])) {
      assert.equal(run.failed, 0, run.unexpected);
      assert.equal(run.successful, CALLS, run.unexpected);
    }
    await proxy.forgetsEverything(RUN_MS);
    const statistics = await proxy.statistics();
    return (name) => statistics.get(name) ?? Number.NaN;
  } finally {
    await proxy.stop();
  }
}

describe.skipIf(!isRunnable)('probed calls by sipp whose callee is gone', () => {
  let gone: Promise<(name: string) => number>;
  let silent: Promise<(name: string) => number>;

  beforeAll(() => {
    gone = probed('uas_gone', 15_060);
    silent = probed('uas_silent', 15_065);
    // Whoever waits for the other one first must not make this one an unhandled rejection.
    silent.catch(() => {});
  }, TEST_MS);

  afterAll(() => Promise.allSettled([gone, silent]), TEST_MS);

  test(
    '481 to OPTIONS ends the call, with BYE to both sides',
    async () => {
      const statistic = await gone;
      assert.equal(statistic('dialog:expired_dialogs'), CALLS);
      assert.equal(statistic(STATISTIC.active), 0);
    },
    TEST_MS,
  );

  test(
    'so does silence',
    async () => {
      const statistic = await silent;
      assert.equal(statistic('dialog:expired_dialogs'), CALLS);
      assert.equal(statistic(STATISTIC.active), 0);
    },
    TEST_MS,
  );
});
