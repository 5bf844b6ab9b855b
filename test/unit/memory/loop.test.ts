/** The loop in real workers with real sockets: it echoes, it stops, it is terminated, it is replaced.  Ports 16300-16399. */
import assert from 'node:assert/strict';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { afterAll, beforeAll, describe, test } from 'vitest';
import { addon, type SegmentId } from '../../../dist/memory/addon.js';
import { makeMemory, makeSegment } from './bench-shard.js';

const PORT = 16_300;
let segment: SegmentId;
let peer: Socket;

beforeAll(async () => {
  segment = makeSegment(1);
  addon.openSockets(segment, [{ address: '127.0.0.1', port: PORT }], 1, 1 << 20);
  peer = createSocket('udp4');
  peer.bind(PORT + 1, '127.0.0.1');
  await once(peer, 'listening');
});
afterAll(() => {
  peer.close();
  addon.closeSockets(segment);
  addon.closeSegment(segment, true);
});

async function startWorker(more: object = {}): Promise<Worker> {
  const worker = new Worker(new URL('./loop-worker.mjs', import.meta.url), {
    workerData: { segment, owner: 0, ...more },
  });
  assert.deepEqual(await once(worker, 'message'), ['ready']);
  return worker;
}

async function echo(text: string): Promise<string> {
  const answer = once(peer, 'message');
  peer.send(text, PORT, '127.0.0.1');
  return String((await answer)[0]);
}

describe('the loop', () => {
  test('30 workers one after the other on the same sockets, half of them terminated', async () => {
    for (let n = 0; n < 30; n++) {
      const worker = await startWorker();
      assert.equal(await echo(`datagram ${n}`), `datagram ${n}`);
      if (n % 2 === 0) {
        await worker.terminate();
      } else {
        worker.postMessage('stop');
        await once(worker, 'exit');
      }
    }
  });

  test('what arrives while no worker lives waits for the next', async () => {
    const first = await startWorker();
    await first.terminate();
    const answer = once(peer, 'message');
    peer.send('meanwhile', PORT, '127.0.0.1');
    const second = await startWorker();
    assert.equal(String((await answer)[0]), 'meanwhile');
    await second.terminate();
  });

  test('an exception out of a callback ends the worker, not the process', async () => {
    const worker = await startWorker({ throwOn: 13 });
    const error = once(worker, 'error');
    peer.send('x'.repeat(13), PORT, '127.0.0.1');
    assert.match(String((await error)[0]), /out of the loop/);
    const next = await startWorker();
    assert.equal(await echo('again'), 'again');
    await next.terminate();
  });

  test('letters from another thread wake it, those of a dead worker wait for its successor', async () => {
    const { M, X } = makeMemory();
    // The owner number of the timer worker; this thread has no sockets of its own.
    const timer = addon.openShard({ segment, owner: 1, memory: M, exchange: X, receiveWindowMs: 0 });
    const args = addon.layout().XArgs!;
    let worker = await startWorker();
    X.set([7, 8, 9], args);
    timer.post(0, 3);
    assert.deepEqual((await once(worker, 'message'))[0].letters, [[7, 8, 9]]);
    await worker.terminate();
    timer.post(0, 2);
    worker = new Worker(new URL('./loop-worker.mjs', import.meta.url), { workerData: { segment, owner: 0 } });
    const heard: { letters: number[][] }[] = [];
    worker.on('message', (message) => {
      if (message !== 'ready') heard.push(message);
    });
    while (heard.length === 0) await once(worker, 'message');
    assert.deepEqual(heard[0]!.letters, [[7, 8]]);
    await worker.terminate();
  });

  test('a failed send is reported to the loop', async () => {
    const worker = await startWorker();
    worker.postMessage('fail');
    for (;;) {
      const [message] = await once(worker, 'message');
      if (message.failed === undefined) continue;
      assert.deepEqual(message.failed, [42, addon.layout().NoBranch, 101]);
      break;
    }
    await worker.terminate();
  });

  test('wants three functions, and runs once', async () => {
    const { M, X } = makeMemory();
    const shard = addon.openShard({ segment, owner: 0, memory: M, exchange: X, receiveWindowMs: 0 });
    const nothing = (): void => {};
    assert.throws(() => shard.start(nothing, nothing, undefined as never), { code: 'ERR_SHARD' });
    shard.start(nothing, nothing, nothing);
    assert.throws(() => shard.start(nothing, nothing, nothing), { code: 'ERR_SHARD' });
    shard.stop();
    shard.stop();
    await new Promise(setImmediate);
    shard.start(nothing, nothing, nothing);
    shard.stop();
  });
});
