/** A shard over a network in memory: the batch, the slots, steering, sending, letters and the clock. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'vitest';
import { addon, STATUS } from '../../../dist/memory/addon.js';
import {
  type Bench,
  callIdOf,
  describeSend,
  invite,
  k,
  makeBench,
  makeMemory,
  messageOf,
  type OpenedShard,
} from './bench-shard.js';

let bench: Bench;
let a: OpenedShard;
let b: OpenedShard;

beforeEach(() => {
  bench = makeBench(2);
  a = bench.open(0);
  b = bench.open(1);
});
afterEach(() => bench.close());

const word = (opened: OpenedShard, name: string, n = 0): number =>
  opened.X[k('XBatch') + n * k('BatchWords') + k(name)]!;
const counter = (name: string): number => addon.statistics(bench.segment)[name]!;

describe('a batch', () => {
  test('describes each datagram and its source', () => {
    const mine = callIdOf(a, 0);
    bench.wire.put(0, 1, '[::1]:5080', invite(mine));
    bench.wire.put(0, 0, '127.0.0.1:5081', invite(mine, 10));
    assert.equal(a.shard.receive(), 2);
    assert.deepEqual(messageOf(a, 0), invite(mine));
    assert.deepEqual(messageOf(a, 1), invite(mine, 10));
    assert.equal(word(a, 'NFlow', 0), 2);
    assert.equal(word(a, 'NPort', 0), 5080);
    assert.deepEqual(
      [...a.X.subarray(k('XBatch') + k('NAddress0'), k('XBatch') + k('NAddress0') + 4)],
      [0, 0, 0, 0x01000000],
    );
    assert.equal(word(a, 'NSteered', 0), 0);
    assert.equal(word(a, 'NOwnerGuess', 0), 0);
    const slot = word(a, 'NSlot', 1);
    assert.equal(word(a, 'NWords', 1), k('WordsOffset') + slot * k('WordsBytes'));
    assert.equal(a.shard.receive(), 0);
  });

  test('holds at most BatchMax; the rest comes with the next', () => {
    const bytes = invite(callIdOf(a, 0));
    for (let n = 0; n < k('BatchMax') + 3; n++) bench.wire.put(0, 0, '127.0.0.1:5080', bytes);
    assert.equal(a.shard.receive(), k('BatchMax'));
    assert.equal(a.shard.receive(), 3);
  });

  test('a datagram of 65,507 bytes lies in one piece', () => {
    const long = invite(callIdOf(a, 0), 64_000);
    bench.wire.put(0, 0, '127.0.0.1:5080', long);
    assert.equal(a.shard.receive(), 1);
    assert.deepEqual(messageOf(a), long);
  });

  test('kept slots stay, the others return; as many as KeptSlotsMax may be kept', () => {
    const bytes = invite(callIdOf(a, 0));
    const kept: number[] = [];
    let status: number = STATUS.ok;
    while (status === STATUS.ok) {
      bench.wire.put(0, 0, '127.0.0.1:5080', bytes);
      assert.equal(a.shard.receive(), 1);
      const slot = word(a, 'NSlot');
      assert.ok(!kept.includes(slot));
      status = a.shard.keepSlot(slot);
      if (status === STATUS.ok) kept.push(slot);
    }
    assert.equal(status, STATUS.full);
    assert.equal(kept.length, k('KeptSlotsMax'));
    for (const slot of kept) assert.equal(a.shard.releaseSlot(slot), STATUS.ok);
    assert.equal(a.shard.releaseSlot(kept[0]!), STATUS.outOfRange);
    assert.equal(a.shard.keepSlot(kept[0]!), STATUS.outOfRange); // not of this batch
  });
});

describe('steering', () => {
  test("a request goes to its Call-ID's owner before TypeScript sees it", () => {
    const theirs = callIdOf(a, 1);
    bench.wire.put(0, 0, '127.0.0.1:5080', invite(theirs));
    bench.wire.put(0, 0, '127.0.0.1:5080', invite(callIdOf(a, 0)));
    assert.equal(a.shard.receive(), 1);
    assert.deepEqual(messageOf(a), invite(callIdOf(a, 0)));
    assert.equal(b.shard.receive(), 1);
    assert.deepEqual(messageOf(b), invite(theirs));
    assert.equal(word(b, 'NSteered'), 1);
    assert.equal(word(b, 'NPort'), 5080);
    assert.equal(word(b, 'NFlow'), 1);
    assert.equal(counter('core:steered'), 1);
  });

  /** A live transaction of that shard; the branch that names it. */
  function branchOf(opened: OpenedShard, owner: number, hash: number): string {
    const { M, X, shard } = opened;
    const at = k('ScratchOffset');
    X.fill(0, k('XArgs'), k('XArgs') + 2);
    assert.equal(shard.transactionCreate(at, 0, 1), STATUS.ok);
    const head = (name: string): number => X[k('XTransaction') + k(name)]!;
    X[k('XTransaction') + k('TLoopHash')] = hash;
    assert.equal(shard.transactionStore(), STATUS.ok);
    X.set([owner, head('TIndex'), head('TGeneration'), 0, hash], k('XArgs'));
    const length = shard.writeBranch(at);
    return Buffer.from(M.subarray(at, at + length)).toString();
  }
  const response = (branch: string): Buffer =>
    Buffer.from(
      `SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP h;branch=${branch}\r\nCall-ID: ${callIdOf(a, 1)}\r\n\r\n`,
    );

  test('a response goes to the owner in our branch, be it the timer worker; a foreign one by Call-ID', () => {
    const [first, second, timer] = [bench.open(0, true), bench.open(1, true), bench.open(2, true)];
    const ours = branchOf(timer, 2, 0xabcdef01);
    assert.match(ours, /^z9hG4bKh02\.1\.[0-9a-f]+\.0\.abcdef01$/);
    bench.wire.put(0, 0, '127.0.0.1:5080', response(ours));
    bench.wire.put(0, 0, '127.0.0.1:5080', response(branchOf(second, 1, 7)));
    bench.wire.put(0, 0, '127.0.0.1:5080', response('z9hG4bKother'));
    bench.wire.put(0, 0, '127.0.0.1:5080', response(ours.replace('h02', 'hff'))); // no such owner
    assert.equal(first.shard.receive(), 0);
    assert.equal(timer.shard.receive(), 1);
    assert.equal(second.shard.receive(), 3);
  });

  test("a forged response takes no room in another's mailbox: who received it drops it", () => {
    const [first, second, timer] = [bench.open(0, true), bench.open(1, true), bench.open(2, true)];
    const ours = branchOf(timer, 2, 0xabcdef01);
    const forged = [
      ours.replace('abcdef01', 'abcdef02'), // the hash
      ours.replace('h02.1', 'h02.2'), // no such transaction
      ours.replace(/\.[0-9a-f]+\.0\./, '.77.0.'), // one of another time
      ours.replace('h02', 'h01'), // another's
    ];
    for (const branch of forged) bench.wire.put(0, 0, '127.0.0.1:5080', response(branch));
    assert.equal(first.shard.receive(), forged.length);
    assert.equal(timer.shard.receive() + second.shard.receive(), 0);
    assert.equal(counter('core:steered'), 0);
  });

  test('without a timer worker, what names one goes by its Call-ID', () => {
    const branch = branchOf(bench.open(2), 2, 0xabcdef01);
    bench.wire.put(0, 0, '127.0.0.1:5080', response(branch));
    assert.equal(a.shard.receive(), 0);
    assert.equal(b.shard.receive(), 1);
  });

  test('a wrong guess moves on once more, then it is a counted drop', () => {
    bench.wire.put(0, 0, '127.0.0.1:5080', invite(callIdOf(a, 1)));
    a.shard.receive();
    assert.equal(b.shard.receive(), 1);
    assert.equal(b.shard.forward(0, 1), STATUS.outOfRange); // to itself
    assert.equal(b.shard.forward(0, 0), STATUS.ok);
    b.shard.flush();
    assert.equal(a.shard.receive(), 1);
    assert.equal(word(a, 'NSteered'), 2);
    assert.equal(a.shard.forward(0, 1), STATUS.limit);
    assert.equal(counter('core:steered_twice'), 1);
    assert.equal(a.shard.forward(1, 1), STATUS.outOfRange);
    assert.equal(a.shard.forward(0, 99), STATUS.outOfRange);
  });

  test('a full mailbox is a counted drop', () => {
    const long = invite(callIdOf(a, 1), 60_000);
    for (let n = 0; n < 20; n++) bench.wire.put(0, 0, '127.0.0.1:5080', long);
    assert.equal(a.shard.receive(), 0);
    const dropped = counter('core:mailbox_drops');
    assert.ok(dropped > 0);
    assert.equal(b.shard.receive(), 20 - dropped);
    assert.deepEqual(messageOf(b), long);
  });
});

describe('sending', () => {
  test('pieces of memory leave as one datagram, in order', () => {
    const at = k('ScratchOffset');
    a.M.set(Buffer.from('onetwothree'), at);
    describeSend(a, 1, 5090, 9, [
      [at + 3, 3],
      [at, 3],
      [at + 5, 0],
    ]);
    assert.equal(a.shard.send(), STATUS.ok);
    describeSend(a, 2, 5091, 9, [[at + 6, 5]]);
    assert.equal(a.shard.send(), STATUS.ok);
    assert.equal(bench.wire.take(), null);
    assert.equal(a.shard.flush(), 0);
    const first = bench.wire.take()!;
    assert.equal(Buffer.from(first.bytes).toString(), 'twoone');
    assert.equal(first.destination, '127.0.0.1:5090');
    assert.equal(first.socket, 0);
    assert.equal(Buffer.from(bench.wire.take()!.bytes).toString(), 'three');
    assert.equal(bench.wire.take(), null);
    assert.equal(counter('core:sent_datagrams'), 2);
    assert.equal(counter('core:sent_bytes'), 11);
  });

  test('what cannot be sent is reported by its tag, the rest goes', () => {
    const at = k('ScratchOffset');
    bench.wire.failSends('127.0.0.1:5090', 1);
    for (const [port, tag] of [
      [5089, 1],
      [5090, 2],
      [5091, 3],
    ] as const) {
      describeSend(a, 1, port, tag, [[at, 4]]);
      assert.equal(a.shard.send(), STATUS.ok);
    }
    assert.equal(a.shard.flush(), 1);
    assert.deepEqual([...a.X.subarray(k('XList'), k('XList') + k('FailureWords'))], [2, k('NoBranch'), 1]);
    assert.equal(a.shard.flush(), 0);
    assert.equal(bench.wire.take()!.destination, '127.0.0.1:5089');
    assert.equal(bench.wire.take()!.destination, '127.0.0.1:5091');
    bench.wire.failSends('127.0.0.1:5090', 0);
    describeSend(a, 1, 5090, 2, [[at, 4]]);
    a.shard.send();
    assert.equal(a.shard.flush(), 0);
  });

  test('more messages than the queue holds go out in between', () => {
    const at = k('ScratchOffset');
    const pieces = Array.from({ length: 64 }, () => [at, 1] as const);
    for (let n = 0; n < 3 * k('OutMessagesMax'); n++) {
      describeSend(a, 1, 5090, n, pieces);
      assert.equal(a.shard.send(), STATUS.ok);
    }
    a.shard.flush();
    let left = 0;
    while (bench.wire.take() !== null) left++;
    assert.equal(left, 3 * k('OutMessagesMax'));
  });

  test('hostile descriptions are refused', () => {
    const end = a.M.length;
    for (const pieces of [
      [],
      [[end, 1]],
      [[end - 1, 2]],
      [[0xffffffff, 0xffffffff]],
      [[0, 0xffffffff]],
      [[0x80000000, 0x80000000]],
      [[0, 0]],
    ] as const) {
      describeSend(a, 1, 5090, 0, pieces);
      assert.equal(a.shard.send(), STATUS.outOfRange, JSON.stringify(pieces));
    }
    for (const [flow, port] of [
      [0, 5090],
      [3, 5090],
      [0xffffffff, 5090],
      [1, 0],
      [1, 65_536],
    ] as const) {
      describeSend(a, flow, port, 0, [[0, 1]]);
      assert.equal(a.shard.send(), STATUS.outOfRange, `${flow} ${port}`);
    }
    describeSend(a, 1, 5090, 0, [[0, 1]]);
    for (const count of [65, 0xffffffff]) {
      a.X[k('XSend') + k('SCount')] = count;
      assert.equal(a.shard.send(), STATUS.outOfRange);
    }
    a.shard.flush();
    assert.equal(bench.wire.take(), null);
  });
});

describe('letters', () => {
  test('arrive in order, word for word', () => {
    const args = k('XArgs');
    for (let n = 1; n <= 3; n++) {
      a.X.set([n, n + 10, 0xffffffff], args);
      assert.equal(a.shard.post(1, 3), STATUS.ok);
    }
    for (let n = 1; n <= 3; n++) {
      assert.equal(b.shard.take(), 3);
      assert.deepEqual([...b.X.subarray(args, args + 3)], [n, n + 10, 0xffffffff]);
    }
    assert.equal(b.shard.take(), 0);
    assert.equal(a.shard.take(), 0);
  });

  test('a full mailbox says so, and takes letters again when some are taken', () => {
    let posted = 0;
    while (a.shard.post(1, k('LetterWordsMax')) === STATUS.ok) posted++;
    assert.ok(posted > 100);
    assert.equal(a.shard.post(1, k('LetterWordsMax')), STATUS.full);
    for (let n = 0; n < 10; n++) assert.equal(b.shard.take(), k('LetterWordsMax'));
    assert.equal(a.shard.post(1, 1), STATUS.ok);
    for (const [owner, words] of [
      [3, 1],
      [0xffffffff, 1],
      [1, 0],
      [1, 65],
      [1, 0xffffffff],
    ] as const)
      assert.equal(a.shard.post(owner, words), STATUS.outOfRange);
  });
});

describe('the clock', () => {
  test("is the test's", () => {
    const boot = a.shard.nowBootSeconds();
    const unix = a.shard.nowUnixSeconds();
    assert.equal(a.shard.nowTick(), 0);
    bench.wire.setTime(123_456);
    assert.equal(a.shard.nowTick(), 12_345);
    assert.equal(b.shard.nowTick(), 12_345);
    assert.ok([123, 124].includes(a.shard.nowBootSeconds() - boot));
    assert.equal(a.shard.nowUnixSeconds() - unix, 123);
  });
});

describe('opening', () => {
  test('refuses what it cannot work with', () => {
    const { M, X } = makeMemory();
    const good = {
      segment: bench.segment,
      owner: 0,
      memory: M,
      exchange: X,
      receiveWindowMs: 0,
      wire: bench.wire,
    };
    const refused = (change: object): void => {
      assert.throws(() => addon.openShard({ ...good, ...change } as never), { code: 'ERR_SHARD' });
    };
    refused({ segment: 999_999 });
    refused({ owner: 3 });
    refused({ owner: -1 });
    refused({ owner: Number.NaN });
    refused({ memory: M.subarray(64) });
    refused({ memory: new Uint8Array(10) });
    refused({ memory: X });
    refused({ exchange: X.subarray(1) });
    refused({ exchange: null });
    refused({ wire: {} });
    refused({ wire: undefined }); // and no sockets are open
    assert.throws(() => addon.openShard(7 as never), { code: 'ERR_SHARD' });
    assert.throws(() => bench.wire.put(0, 0, 'nonsense', M.subarray(0, 1)), { code: 'ERR_ADDRESS' });
    assert.throws(() => bench.wire.put(9, 0, '127.0.0.1:1', M.subarray(0, 1)), { code: 'ERR_ADDRESS' });
    assert.throws(() => bench.wire.put(0, 0, '127.0.0.1:1', M.subarray(0, 70_000)), { code: 'ERR_ADDRESS' });
    assert.throws(() => bench.wire.setTime(-1), { code: 'ERR_ADDRESS' });
    assert.throws(() => addon.createMemoryWire(999, [], 1), { code: 'ERR_SEGMENT' });
    assert.throws(() => addon.createMemoryWire(bench.segment, [], 1), { code: 'ERR_ADDRESS' });
    assert.throws(() => addon.createMemoryWire(bench.segment, [{ address: 'x', port: 1 }], 1), {
      code: 'ERR_ADDRESS',
    });
  });

  test('sockets: a taken address is named', () => {
    const listen = [{ address: '127.0.0.1', port: 16_201 }];
    assert.deepEqual(addon.openSockets(bench.segment, listen, 2, 65_536), [16_201]);
    assert.ok(addon.receiveBuffer(bench.segment) >= 65_536);
    assert.equal(addon.kernelDrops(bench.segment), 0);
    const other = makeBench(1);
    assert.throws(() => addon.openSockets(other.segment, listen, 1, 0), {
      code: 'ERR_ADDRESS_IN_USE',
      message: /127\.0\.0\.1:16201/,
    });
    addon.closeSockets(bench.segment);
    assert.deepEqual(addon.openSockets(other.segment, listen, 1, 0), [16_201]);
    addon.closeSockets(other.segment);
    other.close();
  });
});
