/**
 * The process as an operator meets it: killed and started again, stopped, started twice.
 */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { afterEach, describe, test } from 'vitest';
import { answer, call, end } from '../support/calls.js';
import { type Exit, type ListedDialog, ProxyProcess, pause, privateSegment } from '../support/proxy.js';
import { type SipText, UserAgent } from '../support/ua.js';

const PROXY_PORT = 15_040;
const RPC_PORT = 15_041;
const CALLEE_PORT = 15_042;
const OTHER_PORT = 15_044;
const OTHER_RPC_PORT = 15_045;
const TEST_MS = 120_000;
const OPTIONS = { port: PROXY_PORT, rpcPort: RPC_PORT, nextHop: `127.0.0.1:${CALLEE_PORT}` };

const open: { stop(): Promise<unknown> }[] = [];

afterEach(async () => {
  for (const thing of open.splice(0).reverse()) await thing.stop();
});

async function start(options: Parameters<typeof ProxyProcess.start>[0]): Promise<ProxyProcess> {
  const proxy = await ProxyProcess.start(options);
  open.push(proxy);
  return proxy;
}

async function agent(port: number): Promise<UserAgent> {
  const ua = await UserAgent.open('127.0.0.1', port);
  open.push({ stop: () => ua.close() });
  return ua;
}

describe('the life of the process', () => {
  test(
    'killed with SIGKILL in the middle of traffic, it starts again at once with the same options',
    async () => {
      answer(await agent(CALLEE_PORT));
      const caller = await agent(0);
      const segment = privateSegment();
      const first = await start({ ...OPTIONS, segment });
      for (let i = 0; i < 50; i++) await call(caller, PROXY_PORT, CALLEE_PORT, `before-${i}`);
      // Fire and do not wait: INVITEs are in every stage when the process dies.
      for (let i = 0; i < 200; i++) {
        const uri = `sip:bob@127.0.0.1:${CALLEE_PORT}`;
        const callId = `during-${i}`;
        const parts = { method: 'INVITE', uri, callId, cseq: 1, to: `<${uri}>`, branch: `z9hG4bK-${callId}` };
        await caller.send(caller.request({ ...parts, from: `<sip:alice@here>;tag=${i}` }), PROXY_PORT);
      }
      const exit = await first.kill();
      assert.equal(exit.signal, 'SIGKILL');
      caller.inbox.length = 0;

      const second = await start({ ...OPTIONS, segment });
      await call(caller, PROXY_PORT, CALLEE_PORT, 'after');
      const listed = await second.rpc<readonly ListedDialog[]>('dlg.list');
      assert.ok(listed.some((dialog) => dialog['call-id'] === 'after' && dialog.state >= 3));
      assert.equal(new Set(listed.map((dialog) => dialog['call-id'])).size, listed.length, 'no dialog twice');
      first.removeSegment();
    },
    TEST_MS,
  );

  test(
    'SIGTERM stops it in order: exit code 0, a call that is up stays in the segment, the port is free',
    async () => {
      answer(await agent(CALLEE_PORT));
      const caller = await agent(0);
      const proxy = await start(OPTIONS);
      assert.ok(existsSync(proxy.segment));
      await call(caller, PROXY_PORT, CALLEE_PORT, 'held');
      const exit = await proxy.signal('SIGTERM');
      assert.deepEqual([exit.code, exit.signal], [0, null], exit.output);
      assert.ok(existsSync(proxy.segment), 'the call goes on');
      const again = await start({ ...OPTIONS, segment: proxy.segment });
      assert.equal((await again.rpc<readonly ListedDialog[]>('dlg.list')).length, 1);
      await call(caller, PROXY_PORT, CALLEE_PORT, 'again');
      await again.stop();
    },
    TEST_MS,
  );

  test(
    'a second one on the same port is refused with exit code 1 and one line, and the first lives on',
    async () => {
      const first = await start(OPTIONS);
      const refused = await ProxyProcess.refused({ ...OPTIONS, rpcPort: OTHER_RPC_PORT });
      assertRefused(refused, String(PROXY_PORT));
      assert.ok(await first.isReady());
    },
    TEST_MS,
  );

  test(
    'a second one on the same segment is refused with exit code 1 and one line, and the first lives on',
    async () => {
      answer(await agent(CALLEE_PORT));
      const caller = await agent(0);
      const first = await start(OPTIONS);
      await call(caller, PROXY_PORT, CALLEE_PORT, 'held');
      const other = { ...OPTIONS, port: OTHER_PORT, rpcPort: OTHER_RPC_PORT, segment: first.segment };
      assertRefused(await ProxyProcess.refused(other), first.segment);
      assert.equal((await first.rpc<readonly ListedDialog[]>('dlg.list')).length, 1);
    },
    TEST_MS,
  );

  test(
    'a segment that is too small is refused with exit code 1 and one line that says how much is needed',
    async () => {
      assertRefused(await ProxyProcess.refused({ ...OPTIONS, segmentBytes: 4096 }), 'segment');
    },
    TEST_MS,
  );

  test(
    'the memory of calls that are over is given back',
    async () => {
      answer(await agent(CALLEE_PORT));
      const caller = await agent(0);
      const proxy = await start(OPTIONS);
      const empty = await proxy.usedBytes();
      const answers: SipText[] = [];
      for (let i = 0; i < 40; i++) answers.push(await call(caller, PROXY_PORT, CALLEE_PORT, `round-${i}`));
      assert.ok((await proxy.usedBytes()) > empty);
      for (const [i, reply] of answers.entries())
        await end(caller, PROXY_PORT, CALLEE_PORT, `round-${i}`, reply);
      await proxy.forgetsEverything(60_000);
      await pause(100);
      assert.equal(await proxy.usedBytes(), empty);
    },
    TEST_MS,
  );
});

function assertRefused(exit: Exit, named: string): void {
  assert.equal(exit.code, 1, exit.output);
  const lines = exit.output.trim().split('\n');
  assert.equal(lines.length, 1, exit.output);
  assert.ok(lines[0]!.includes(named), exit.output);
}
