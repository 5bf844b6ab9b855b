import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, describe, test } from 'vitest';
import { Heartbeats, startThread } from '../../../dist/server/thread.js';

const folder = mkdtempSync(join(tmpdir(), 'holdfast-thread-'));
afterAll(() => rmSync(folder, { recursive: true }));
const THREAD = new URL('../../../dist/server/thread.js', import.meta.url).href;
let files = 0;

/** A module that a worker thread runs. */
function script(body: string): URL {
  files += 1;
  const path = join(folder, `${files}.mjs`);
  const head = `import { parentPort, workerData } from 'node:worker_threads';
import { answerQuestions, Heartbeats, THREAD_SERVES, THREAD_STOP } from '${THREAD}';
const heartbeats = new Heartbeats(workerData.shared);
`;
  writeFileSync(path, head + body);
  return pathToFileURL(path);
}

function start(body: string) {
  const heartbeats = new Heartbeats();
  return startThread(script(body), { shared: heartbeats.shared }, 3, heartbeats);
}

const SERVES = 'parentPort.postMessage(THREAD_SERVES);';
const STOPS = "parentPort.on('message', (m) => m === THREAD_STOP && process.exit());";

describe('a worker thread', () => {
  test('serves, gives signs of life under its owner number, and ends when told', async () => {
    const worker = await start(`heartbeats.beat(3); heartbeats.beat(3); ${SERVES} ${STOPS}`);
    assert.equal(worker.heartbeat(), 2);
    await worker.stop();
    assert.equal(await worker.gone, null);
  });

  test('answers what it is asked, each by itself', async () => {
    const answers =
      "answerQuestions(parentPort, (q) => { if (q === 0) throw new Error('none'); return q * 2; });";
    const worker = await start(`${answers} ${SERVES} ${STOPS}`);
    const asked = [worker.ask(1), worker.ask(0), worker.ask(3)];
    assert.deepEqual(
      (await Promise.allSettled(asked)).map((one) => (one.status === 'fulfilled' ? one.value : 'refused')),
      [2, 'refused', 6],
    );
    await worker.stop();
  });

  test('a question that is under way when it ends is refused', async () => {
    const worker = await start(`${SERVES} parentPort.on('message', () => process.exit());`);
    await assert.rejects(worker.ask(1), /the worker is gone/);
  });

  test('a throw is the cause of its end', async () => {
    const worker = await start(`${SERVES} setImmediate(() => { throw new Error('a route of ours'); });`);
    assert.match((await worker.gone) ?? '', /a route of ours/);
  });

  test('an end that nobody asked for is told with its exit code', async () => {
    const worker = await start(`${SERVES} setImmediate(() => process.exit(7));`);
    assert.equal(await worker.gone, 'exit code 7');
  });

  test('one in an endless loop can be ended', async () => {
    const worker = await start(`${SERVES} setImmediate(() => { for (;;); });`);
    await worker.kill();
    assert.equal(await worker.gone, null);
  });

  test('one that hits its heap limit ends with that cause', async () => {
    const heartbeats = new Heartbeats();
    const hungry = script(`${SERVES} const all = []; for (;;) all.push(new Array(1000).fill(all.length));`);
    const limits = { resourceLimits: { maxOldGenerationSizeMb: 16 } };
    const worker = await startThread(hungry, { shared: heartbeats.shared }, 3, heartbeats, limits);
    assert.match((await worker.gone) ?? '', /memory limit/);
  });

  test('one that ends before it serves is a failure to start, with its reason', async () => {
    await assert.rejects(start("throw new Error('no addon');"), { code: 'ERR_WORKER', message: /no addon/ });
    await assert.rejects(start('process.exit(2);'), { code: 'ERR_WORKER', message: /exit code 2/ });
  });

  test("a mistake in the operator's routes keeps its code", async () => {
    const body =
      "throw Object.assign(new Error('x'), { code: 'ERR_ROUTES_FILE', detail: 'routes.ts line 3' });";
    await assert.rejects(start(body), { code: 'ERR_ROUTES_FILE', message: /routes\.ts line 3/ });
  });

  test('starts and stops thirty times in a row and leaves nothing behind', async () => {
    const before = process.getActiveResourcesInfo().filter((name) => name === 'MessagePort').length;
    for (let round = 0; round < 30; round++) {
      const worker = await start(`${SERVES} ${STOPS}`);
      await worker.stop();
    }
    const after = process.getActiveResourcesInfo().filter((name) => name === 'MessagePort').length;
    assert.equal(after, before);
  });
});
