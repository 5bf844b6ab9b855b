// A worker that opens a shard over real sockets and echoes what arrives; for loop.test.ts.
import { parentPort, workerData } from 'node:worker_threads';
import { addon } from '../../../dist/memory/addon.js';

const L = addon.layout();
const pages = L.MemoryBytes / 65_536;
const memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
const M = new Uint8Array(memory.buffer);
const X = new Uint32Array(new SharedArrayBuffer(L.ExchangeWords * 4));
const { segment, owner, throwOn } = workerData;
const shard = addon.openShard({ segment, owner, memory: M, exchange: X, receiveWindowMs: 1 });

let ticks = 0;
shard.start(
  (count) => {
    for (let n = 0; n < count; n++) {
      const at = L.XBatch + n * L.BatchWords;
      const message = X[at + L.NMessage];
      const length = X[at + L.NLength];
      if (throwOn !== undefined && length === throwOn) throw new Error('out of the loop');
      const to = L.XSend;
      X[to + L.SFlow] = X[at + L.NFlow];
      X[to + L.SPort] = X[at + L.NPort];
      for (let word = 0; word < 4; word++) X[to + L.SAddress0 + word] = X[at + L.NAddress0 + word];
      X[to + L.STag] = 1;
      X[to + L.SCount] = 2;
      X[to + L.SPieces] = message;
      X[to + L.SPieces + 1] = 1;
      X[to + L.SPieces + 2] = message + 1;
      X[to + L.SPieces + 3] = length - 1;
      shard.send();
    }
  },
  () => {
    ticks++;
  },
  (count) => {
    const letters = [];
    for (let n = 0; n < count; n++) letters.push([...X.subarray(L.XArgs, L.XArgs + shard.take())]);
    parentPort.postMessage({ letters, ticks });
  },
  (failed) => parentPort.postMessage({ failed: [...X.subarray(L.XList, L.XList + failed * L.FailureWords)] }),
);
parentPort.on('message', (word) => {
  if (word === 'stop') {
    shard.stop();
    parentPort.close();
  } else if (word === 'fail') {
    X.set([1, 16_399, 0, 0, 0, 0x01000000, 42, 1, L.ScratchOffset, 4], L.XSend); // IPv6 from an IPv4 socket
    shard.send();
    shard.post(owner, 1); // wakes the loop, which sends
  }
});
parentPort.postMessage('ready');
