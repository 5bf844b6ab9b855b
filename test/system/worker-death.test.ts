/**
 * A worker that ends, hangs or throws in a route: the main thread replaces it, and calls that are up stay up.
 * [architecture: death of a worker]
 */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'vitest';
import { answer, call, end, invitation } from '../support/calls.js';
import { hostileRoutes, type ListedDialog, ProxyProcess, pause } from '../support/proxy.js';
import { type SipText, UserAgent } from '../support/ua.js';

const PROXY_PORT = 15_060;
const RPC_PORT = 15_061;
const CALLEE_PORT = 15_062;
const HELD_CALLS = 40;
/** A stuck worker is seen after 5 s; the successor must be up well within this. */
const REPLACED_WAIT_MS = 20_000;
const FORGET_MS = 60_000;
const TEST_MS = 120_000;

describe('a worker dies', () => {
  let proxy: ProxyProcess;
  let caller: UserAgent;
  let callee: UserAgent;
  let held: SipText[];

  beforeEach(async () => {
    callee = answer(await UserAgent.open('127.0.0.1', CALLEE_PORT));
    caller = await UserAgent.open('127.0.0.1', 0);
    proxy = await ProxyProcess.start({
      port: PROXY_PORT,
      rpcPort: RPC_PORT,
      nextHop: `127.0.0.1:${CALLEE_PORT}`,
      workers: 2,
      extra: ['--routes', hostileRoutes],
      environment: { HOLDFAST_TEST_NEXT_HOP: `sip:127.0.0.1:${CALLEE_PORT}` },
    });
    held = [];
    for (let i = 0; i < HELD_CALLS; i++) held.push(await call(caller, PROXY_PORT, CALLEE_PORT, `held-${i}`));
  }, TEST_MS);

  afterEach(async () => {
    await proxy?.stop();
    await caller?.close();
    await callee?.close();
  }, TEST_MS);

  async function replaced(): Promise<void> {
    const deadline = Date.now() + REPLACED_WAIT_MS;
    while (!proxy.output.includes('worker_replaced')) {
      assert.ok(Date.now() < deadline, `the worker was not replaced: ${proxy.output}`);
      await pause(100);
    }
  }

  for (const wish of ['end the thread', 'never return']) {
    test(
      `its route asked to ${wish}: it is replaced, no call is lost, calls go on`,
      async () => {
        await caller.send(invitation(caller, CALLEE_PORT, 'hostile', [`X-Wish: ${wish}`]), PROXY_PORT);
        // Calls go on meanwhile; those of the dead worker's shard wait for its successor and its socket's queue.
        const begun: Promise<SipText>[] = [];
        for (let i = 0; i < 20; i++) {
          await caller.send(invitation(caller, CALLEE_PORT, `during-${i}`), PROXY_PORT);
        }
        await replaced();
        for (let i = 0; i < 20; i++) begun.push(call(caller, PROXY_PORT, CALLEE_PORT, `after-${i}`));
        const after = await Promise.all(begun);

        const listed = await proxy.rpc<readonly ListedDialog[]>('dlg.list');
        for (let i = 0; i < HELD_CALLS; i++) {
          const one = listed.find((dialog) => dialog['call-id'] === `held-${i}`);
          assert.equal(one?.state, 4, `held-${i} is confirmed`);
        }
        for (const [i, ok] of held.entries()) await end(caller, PROXY_PORT, CALLEE_PORT, `held-${i}`, ok);
        for (const [i, ok] of after.entries()) await end(caller, PROXY_PORT, CALLEE_PORT, `after-${i}`, ok);
        const left = await proxy.rpc<readonly ListedDialog[]>('dlg.list');
        const lost = left.filter((dialog) => /^(held|after)-/.test(dialog['call-id']) && dialog.state < 5);
        assert.deepEqual(
          lost.map((dialog) => dialog['call-id']),
          [],
        );
        assert.equal(await proxy.statistic('core:workers_replaced'), 1);
      },
      TEST_MS,
    );
  }

  test(
    'its route throws: the call gets 500, the worker lives, nothing is left behind',
    async () => {
      await caller.send(invitation(caller, CALLEE_PORT, 'thrown', ['X-Wish: throw']), PROXY_PORT);
      const { message } = await caller.nextResponse('INVITE', 500, 'thrown');
      const ack = invitation(caller, CALLEE_PORT, 'thrown')
        .replace(/^INVITE/, 'ACK')
        .replace('CSeq: 1 INVITE', 'CSeq: 1 ACK')
        .replace(/To: .*/, `To: ${message.header('to')}`);
      await caller.send(ack, PROXY_PORT);
      assert.equal(await proxy.statistic('core:workers_replaced'), 0);
      assert.equal(await proxy.statistic('core:route_errors'), 1);
      for (const [i, ok] of held.entries()) await end(caller, PROXY_PORT, CALLEE_PORT, `held-${i}`, ok);
      await proxy.forgetsEverything(FORGET_MS);
    },
    TEST_MS,
  );
});
