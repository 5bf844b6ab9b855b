/** Transactions through the addon: registers in X, texts in M, what leaves on the wire; then numbers of bad will. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'vitest';
import { addon, STATUS } from '../../../dist/memory/addon.js';
import {
  type Bench,
  describeSend,
  invite,
  k,
  LOOPBACK,
  makeBench,
  makeMemory,
  type OpenedShard,
} from './bench-shard.js';

let bench: Bench;
let s: OpenedShard;

beforeEach(() => {
  bench = makeBench(1);
  s = bench.open(0);
});
afterEach(() => bench.close());

const T = (name: string): number => k('XTransaction') + k(name);
const B = (branch: number, name: string): number =>
  k('XTransaction') + k('HeadWords') + branch * k('BranchWords') + k(name);
const AT = k('ScratchOffset');

/** Puts a text at `offset` of the scratch region; its place. */
function put(text: string | Uint8Array, offset = 0): { at: number; length: number } {
  const bytes = Buffer.from(text as string);
  s.M.set(bytes, AT + offset);
  return { at: AT + offset, length: bytes.length };
}

function create(key: readonly [number, number], request = invite('c@h')): number {
  const { at, length } = put(request, 1000);
  s.X.set(key, k('XArgs'));
  s.X.fill(0, k('XTransaction'), k('XTransaction') + k('HeadWords'));
  return s.shard.transactionCreate(at, length, 0);
}

function addBranch(edits: readonly (readonly [number, number, number])[], text: string): number {
  const { at, length } = put(text);
  s.X.set([edits.length, ...edits.flat()], k('XArgs'));
  return s.shard.transactionAddBranch(at, length, 0);
}

function takeText(): string | null {
  const left = bench.wire.take();
  return left === null ? null : Buffer.from(left.bytes).toString();
}

describe('a transaction', () => {
  test('of a new call finds room where requests of our own find none any more', () => {
    const { at, length } = put(invite('c@h'), 1000);
    let made = 0;
    for (; s.shard.transactionRoom() > 0; made++) {
      s.X.fill(0, k('XArgs'), k('XArgs') + 2);
      assert.equal(s.shard.transactionCreate(at, length, 1), STATUS.ok);
    }
    assert.ok(made > 100);
    for (let n = 1; n <= made / 10; n++) assert.equal(create([n, n]), STATUS.ok, `${n} of ${made}`);
  });

  test('sends its branches from the stored request, each with its own edits', () => {
    const request = invite('c@h').toString();
    assert.equal(create([1, 2]), STATUS.ok);
    const index = s.X[T('TIndex')]!;
    const via = request.indexOf('Via:');
    for (let n = 0; n < 3; n++) {
      assert.equal(
        addBranch(
          [
            [via, 0, 8],
            [via + 5, 7, 0],
          ],
          `Via: b${n}\n`.padEnd(8),
        ),
        STATUS.ok,
      );
      s.X.set([1, 5090 + n, ...LOOPBACK], B(n, 'BFlow'));
    }
    assert.equal(s.shard.transactionStore(), STATUS.ok);
    s.M.fill(0, AT, AT + 4000); // nothing is read from here any more
    for (const n of [0, 1, 2]) assert.equal(s.shard.transactionSendBranch(n), STATUS.ok);
    assert.equal(s.shard.transactionSendBranch(3), STATUS.notFound);
    s.shard.transactionFree(index); // while its bytes are queued
    assert.equal(create([1, 2], Buffer.alloc(request.length, 'z')), STATUS.ok);
    assert.equal(s.shard.flush(), 0);
    for (const n of [0, 1, 2]) {
      const expected = `${request.slice(0, via)}Via: b${n}\n${request.slice(via, via + 5)}${request.slice(via + 12)}`;
      assert.equal(takeText(), expected);
    }
  });

  test('keeps and sends again its last reply', () => {
    assert.equal(create([1, 2]), STATUS.ok);
    assert.equal(s.shard.transactionSendReply(), STATUS.notFound);
    s.X.set([2, 5080, ...LOOPBACK], T('TFlow'));
    s.X[T('TFlow')] = 1;
    for (const reply of ['SIP/2.0 100 Trying', 'SIP/2.0 180 Ringing', 'SIP/2.0 486 Busy Here']) {
      const { at } = put(reply);
      describeSend(s, 0, 0, 0, [
        [at, 8],
        [at + 8, reply.length - 8],
      ]);
      assert.equal(s.shard.transactionSetReply(), STATUS.ok);
      assert.equal(s.X[T('TReplyBytes')], reply.length);
      assert.equal(s.shard.transactionStore(), STATUS.ok);
      assert.equal(s.shard.transactionSendReply(), STATUS.ok);
    }
    s.M.fill(0, AT, AT + 100);
    s.shard.flush();
    assert.equal(takeText(), 'SIP/2.0 100 Trying');
    assert.equal(takeText(), 'SIP/2.0 180 Ringing');
    assert.equal(takeText(), 'SIP/2.0 486 Busy Here');
    assert.equal(s.shard.transactionReply(AT, 100), 21);
  });

  test('gives copies of what it keeps, as far as there is room', () => {
    const request = invite('c@h');
    create([1, 2]);
    addBranch([[0, 6, 3]], 'ACK');
    describeSend(s, 0, 0, 0, [[put('SIP/2.0 486 Busy').at, 16]]);
    assert.equal(s.shard.transactionSetBranchReply(0), STATUS.ok);
    assert.equal(s.shard.transactionSetBranchReply(1), STATUS.outOfRange);
    const text = (length: number): string => Buffer.from(s.M.subarray(AT, AT + length)).toString();
    assert.equal(text(s.shard.transactionRequest(AT, 5000)), request.toString());
    assert.equal(text(s.shard.transactionBranchRequest(0, AT, 5000)), `ACK${request.toString().slice(6)}`);
    assert.equal(text(s.shard.transactionBranchReply(0, AT, 5000)), 'SIP/2.0 486 Busy');
    assert.equal(s.shard.transactionRequest(AT, request.length - 1), 0);
    assert.equal(s.shard.transactionStore(1), STATUS.ok);
    assert.equal(s.X[T('TRequestBytes')], 0);
    assert.equal(s.shard.transactionRequest(AT, 5000), 0);
    assert.equal(s.shard.transactionBranchRequest(0, AT, 5000), 0);
    assert.equal(s.shard.transactionSendBranch(0), STATUS.notFound);
    assert.equal(s.shard.transactionBranchReply(0, AT, 5000), 16);
  });

  test('comes back by handle, by index, and at its deadline', () => {
    create([1, 2]);
    const index = s.X[T('TIndex')]!;
    const generation = s.X[T('TGeneration')]!;
    s.X[T('TUser0')] = 77;
    s.X[T('TEndDue')] = 50;
    s.shard.transactionStore();
    s.X.fill(0, k('XTransaction'), k('XTransaction') + k('RegisterWords'));
    assert.equal(s.shard.transactionLoad(index, generation), STATUS.ok);
    assert.equal(s.X[T('TUser0')], 77);
    assert.equal(s.shard.transactionLoad(index, generation + 1), STATUS.notFound);
    bench.wire.setTime(499);
    assert.equal(s.shard.transactionAdvance(), 0);
    bench.wire.setTime(500);
    assert.equal(s.shard.transactionAdvance(), 1);
    assert.equal(s.X[k('XList')], index);
    assert.equal(s.shard.transactionLoadIndex(index), STATUS.ok);
    s.shard.transactionFree(index);
    assert.equal(s.shard.transactionLoadIndex(index), STATUS.notFound);
    assert.equal(addon.segmentUsage(bench.segment).transactions, 0);
  });

  test("its worker's successor arms it again", () => {
    create([1, 2]);
    const index = s.X[T('TIndex')]!;
    s.X[T('TEndDue')] = 50;
    s.shard.transactionStore();
    bench.wire.setTime(500);
    assert.equal(s.shard.transactionAdvance(), 1); // and dies with it in hand
    const successor = bench.open(0);
    bench.wire.setTime(510);
    assert.equal(successor.shard.transactionAdvance(), 1);
    assert.equal(successor.X[k('XList')], index);
  });

  test('is worked on by its owner alone', () => {
    create([1, 2]);
    const other = bench.open(1);
    assert.equal(other.shard.transactionLoad(s.X[T('TIndex')]!, s.X[T('TGeneration')]!), STATUS.notFound);
    other.shard.transactionFree(s.X[T('TIndex')]!);
    assert.equal(s.shard.transactionLoadIndex(s.X[T('TIndex')]!), STATUS.ok);
  });
});

describe('keys [RFC 3261 17.2.3]', () => {
  const WORDS_AT = k('ScratchOffset') + 40_960;
  // Words of the parser that the key is made of; see native/sip-parser/sip_parser.h.
  const W = {
    method: 3,
    ruri: 7,
    callId: 22,
    cseq: 24,
    fromTag: 42,
    via: 51,
    host: 56,
    port: 58,
    branch: 60,
  };
  const NAMES = { INVITE: 1, ACK: 2, BYE: 3, CANCEL: 4 };

  /** The key of a message described by hand. */
  function key(of: {
    method?: keyof typeof NAMES;
    branch?: string;
    host?: string;
    port?: number;
    callId?: string;
    asInvite?: boolean;
  }): string {
    const words = new Uint32Array(s.M.buffer, WORDS_AT, 2048).fill(0);
    let end = 0;
    const text = (word: number, value: string): void => {
      s.M.set(Buffer.from(value), AT + end);
      words[word] = end;
      words[word + 1] = value.length;
      end += value.length;
    };
    words[W.method] = NAMES[of.method ?? 'INVITE'];
    text(W.ruri, 'sip:bob@b.example');
    text(W.callId, of.callId ?? 'c@h');
    words[W.cseq] = 1;
    text(W.fromTag, 'tag');
    text(W.via, `SIP/2.0/UDP ${of.host ?? 'h'}`);
    text(W.host, of.host ?? 'h');
    words[W.port] = of.port ?? 0;
    text(W.branch, of.branch ?? 'z9hG4bKabc');
    assert.equal(s.shard.transactionMatch(AT, WORDS_AT, of.asInvite ? 1 : 0), STATUS.notFound);
    const [low, high] = s.X.subarray(k('XArgs'), k('XArgs') + 2);
    assert.ok(low !== 0 || high !== 0);
    return `${low}.${high}`;
  }

  test('branch, sent-by and method make it; host names without case', () => {
    assert.equal(key({}), key({ callId: 'other' }));
    assert.equal(key({ host: 'PROXY.Example' }), key({ host: 'proxy.example' }));
    const all = [
      key({}),
      key({ branch: 'z9hG4bKabd' }),
      key({ host: 'i' }),
      key({ port: 5060 }),
      key({ method: 'BYE' }),
      key({ method: 'ACK' }),
    ];
    assert.equal(new Set(all).size, all.length);
  });

  test('ACK and CANCEL find the INVITE when asked to', () => {
    assert.equal(key({ method: 'ACK', asInvite: true }), key({}));
    assert.equal(key({ method: 'CANCEL', asInvite: true }), key({}));
    assert.notEqual(key({ method: 'CANCEL' }), key({}));
    assert.notEqual(key({ method: 'BYE', asInvite: true }), key({}));
  });

  test('without the magic cookie it is the RFC 2543 rule', () => {
    assert.equal(key({ branch: '1', method: 'ACK', asInvite: true }), key({ branch: '1' }));
    assert.equal(key({ branch: '1' }), key({ branch: '2' }));
    assert.notEqual(key({ branch: '1' }), key({ branch: '1', callId: 'other' }));
    assert.notEqual(key({ branch: '1', host: 'x' }), key({ branch: '1' }));
  });

  test('a match loads the record', () => {
    key({});
    const args = s.X.slice(k('XArgs'), k('XArgs') + 2);
    create([args[0]!, args[1]!]);
    const index = s.X[T('TIndex')]!;
    s.X[T('TIndex')] = 0;
    // The same words again.
    assert.throws(() => key({}), /0 !== 1|Expected/);
    assert.equal(s.X[T('TIndex')], index);
  });
});

describe('hostile numbers', () => {
  const NUMBERS = [
    0,
    1,
    2,
    63,
    64,
    65,
    0x7fffffff,
    0x80000000,
    0xfffffffe,
    0xffffffff,
    -1,
    1e300,
    Number.NaN,
    0.5,
  ];

  test('every call stands every number, and nothing is left behind', () => {
    const usage = addon.segmentUsage(bench.segment);
    // What is counted would show in the audit; who joins without a dialog holds a member until it is given back, and another
    // system's item stays until it expires.
    const leftOut = ['start', 'stop', 'release', 'count', 'countMany', 'profileJoin', 'profileAddRemote'];
    const names = Object.keys(s.shard).filter((name) => !leftOut.includes(name));
    assert.ok(names.length > 50, `${names.length} calls`);
    // A pseudo-random walk over all calls with garbage in X and M: the same each time.
    let seed = 12_345;
    const random = (below: number): number => {
      seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0;
      return (seed >>> 8) % below;
    };
    const call = s.shard as unknown as Record<string, (...numbers: number[]) => unknown>;
    const end = k('MemoryBytes');
    for (let round = 0; round < 40_000; round++) {
      if (round % 50 === 0) create([random(5), random(2)]);
      const spot = random(k('ExchangeWords'));
      s.X[spot] = NUMBERS[random(NUMBERS.length)]!;
      if (random(4) === 0) s.X[random(k('XBatch'))] = random(end);
      const name = names[random(names.length)]!;
      const numbers = Array.from({ length: 7 }, () =>
        random(3) === 0 ? random(end + 100) : NUMBERS[random(NUMBERS.length)]!,
      );
      const result = call[name]!(...numbers);
      assert.ok(result === undefined || (typeof result === 'number' && result >= 0), name);
      if (random(20) === 0) bench.wire.put(0, 0, '127.0.0.1:5080', invite(`c${random(9)}@h`, random(3000)));
    }
    s.shard.flush();
    while (s.shard.receive() > 0);
    while (bench.wire.take() !== null);
    assert.equal(addon.audit(bench.segment), 0);
    for (let index = 0; index < usage.transactionsMax; index++) s.shard.transactionFree(index);
    s.shard.flush();
    const after = addon.segmentUsage(bench.segment);
    assert.equal(after.transactions, 0);
    assert.equal(after.dialogs === 0 ? after.arenaUsedBytes : usage.arenaUsedBytes, usage.arenaUsedBytes);
  });

  test('edits beyond the request, pieces beyond the memory', () => {
    create([1, 2]);
    assert.equal(addBranch([[5000, 0, 0]], ''), STATUS.badMessage);
    assert.equal(addBranch([[0, 0xffffffff, 0]], ''), STATUS.badMessage);
    assert.equal(addBranch([[0, 0, 5]], 'abc'), STATUS.badMessage);
    s.X[k('XArgs')] = 33;
    assert.equal(s.shard.transactionAddBranch(AT, 0, 0), STATUS.limit);
    s.X[k('XArgs')] = 0;
    assert.equal(s.shard.transactionAddBranch(0xffffffff, 10, 0), STATUS.outOfRange);
    assert.equal(s.shard.transactionCreate(k('MemoryBytes'), 1, 0), STATUS.outOfRange);
    assert.equal(s.shard.transactionCreate(0, k('MemoryBytes'), 0), STATUS.outOfRange); // larger than any block
    assert.equal(s.shard.transactionMatch(0, k('MemoryBytes') - 8, 0), STATUS.outOfRange);
    assert.equal(s.shard.transactionMatch(0, 65_538, 0), STATUS.outOfRange); // not on a word
    assert.equal(s.shard.transactionRequest(k('MemoryBytes') - 10, 5000), 0);
    assert.equal(s.shard.loopHash(0xffffffff, 0), 0);
    describeSend(s, 0, 0, 0, [[0, k('MemoryBytes')]]);
    assert.equal(s.shard.transactionSetReply(), STATUS.outOfRange);
  });

  test('memory that runs out is an answer', () => {
    const { M, X } = makeMemory();
    assert.ok(M.length > 0 && X.length > 0);
    let status: number = STATUS.ok;
    let made = 0;
    while (status === STATUS.ok) {
      status = create([0, 0], Buffer.alloc(40_000, 'x'));
      made++;
    }
    assert.equal(status, STATUS.noMemory);
    assert.ok(made > 50);
  });
});
