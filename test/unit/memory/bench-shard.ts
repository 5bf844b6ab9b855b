/** A segment of its own and shards over a network in memory, for the tests of this folder. */
import { randomBytes } from 'node:crypto';
import { addon, type MemoryWire, type SegmentId, type Shard } from '../../../dist/memory/addon.js';

export const L = addon.layout();

/** A number of the layout; a missing one fails the test. */
export function k(name: string): number {
  const value = L[name];
  if (value === undefined) throw new Error(`layout() has no ${name}`);
  return value;
}

export const LISTEN = [
  { address: '127.0.0.1', port: 5060 },
  { address: '::1', port: 5060 },
];

export type Bench = {
  readonly segment: SegmentId;
  readonly wire: MemoryWire;
  /** `timerWorker`: whether one keeps the dialogs' time. */
  open(owner: number, timerWorker?: boolean): OpenedShard;
  close(): void;
};

export type OpenedShard = {
  readonly shard: Shard;
  readonly M: Uint8Array;
  readonly X: Uint32Array;
};

export function makeSegment(workers: number, bytes = 16 << 20): SegmentId {
  return addon.createSegment({
    path: `/dev/shm/holdfast-test-${process.pid}-${randomBytes(4).toString('hex')}`,
    bytes,
    hashSize: 64,
    workers,
    hIdStart: 0,
    hIdStep: 1,
    profiles: [{ name: 'caller', withValue: true }],
    sockets: ['udp:127.0.0.1:5060', 'udp:[::1]:5060'],
    mailboxBytes: 512 * 1024,
  });
}

export function makeMemory(): { M: Uint8Array; X: Uint32Array } {
  const pages = k('MemoryBytes') / 65_536;
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
  return {
    M: new Uint8Array(memory.buffer),
    X: new Uint32Array(new SharedArrayBuffer(k('ExchangeWords') * 4)),
  };
}

export function makeBench(workers = 1, bytes?: number): Bench {
  const segment = makeSegment(workers, bytes);
  const wire = addon.createMemoryWire(segment, LISTEN, workers);
  return {
    segment,
    wire,
    open(owner, timerWorker = false) {
      const { M, X } = makeMemory();
      const memory = { memory: M, exchange: X };
      const shard = addon.openShard({ segment, owner, ...memory, receiveWindowMs: 0, timerWorker, wire });
      return { shard, M, X };
    },
    close() {
      addon.closeSegment(segment, true);
    },
  };
}

/** A Call-ID whose hash entry belongs to `owner`. */
export function callIdOf(opened: OpenedShard, owner: number): string {
  const at = k('ScratchOffset');
  for (let n = 0; ; n++) {
    const text = `call-${n}-${owner}@example.com`;
    opened.M.set(Buffer.from(text), at);
    if (opened.shard.ownerOf(opened.shard.entryOf(at, text.length)) === owner) return text;
  }
}

export function invite(callId: string, length = 0): Buffer {
  return Buffer.from(
    'INVITE sip:bob@b.example SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:5080;branch=z9hG4bKabc\r\n' +
      `From: <sip:a@a>;tag=1\r\nTo: <sip:bob@b.example>\r\nCall-ID: ${callId}\r\nCSeq: 1 INVITE\r\n\r\n` +
      'x'.repeat(length),
  );
}

export function messageOf(opened: OpenedShard, n = 0): Buffer {
  const words = k('XBatch') + n * k('BatchWords');
  const at = opened.X[words + k('NMessage')]!;
  return Buffer.from(opened.M.subarray(at, at + opened.X[words + k('NLength')]!));
}

/** Words of 127.0.0.1 as the addon has them. */
export const LOOPBACK = [0, 0, 0xffff0000, 0x0100007f];

/** Describes an outgoing message in XSend. */
export function describeSend(
  opened: OpenedShard,
  flow: number,
  port: number,
  tag: number,
  pieces: readonly (readonly [number, number])[],
): void {
  const at = k('XSend');
  opened.X[at + k('SFlow')] = flow;
  opened.X[at + k('SPort')] = port;
  opened.X.set(LOOPBACK, at + k('SAddress0'));
  opened.X[at + k('STag')] = tag;
  opened.X[at + k('SCount')] = pieces.length;
  pieces.forEach(([offset, length], n) => {
    opened.X[at + k('SPieces') + 2 * n] = offset;
    opened.X[at + k('SPieces') + 2 * n + 1] = length;
  });
}
