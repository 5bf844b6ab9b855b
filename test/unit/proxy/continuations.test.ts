/** What goes on from promises: many requests that waited for one name, and steps that fail. */
import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { afterEach, beforeEach, describe, test } from 'vitest';
import { defaultConfig } from '../../../dist/config/load.js';
import { silentLog } from '../../../dist/log.js';
import { addon, type MemoryWire, type SegmentId } from '../../../dist/memory/addon.js';
import { ShardMemory } from '../../../dist/memory/shard-memory.js';
import { type Routes, RouteTable, routes } from '../../../dist/script/routes.js';
import { ShardCore } from '../../../dist/server/shard.js';
import type { Answer } from '../../../dist/transport/resolve.js';

const LISTEN = [{ proto: 'udp' as const, address: '192.0.2.1', port: 5060 }];
const CALLER = '192.0.2.10:5060';
const FOUND: Answer = {
  problem: null,
  destinations: [{ protocol: 'udp', a0: 0, a1: 0, a2: 0xffff0000, a3: 0x090200c0, port: 0 }],
};

let segment: SegmentId;
let wire: MemoryWire;
let shard: ShardCore;
let isKnown: boolean;
let answer: () => void;
let fails: boolean;
const path = `/dev/shm/holdfast-continuations-${process.pid}`;

async function open(routesOf: Routes, settings = ''): Promise<void> {
  const base = await defaultConfig('dialog:timer_procs=0', ...(settings === '' ? [] : [settings]));
  const config = { ...base, listen: LISTEN, workers: 1 };
  rmSync(path, { force: true });
  segment = addon.createSegment({
    path,
    bytes: 96 << 20,
    hashSize: 4096,
    workers: 1,
    hIdStart: 1,
    hIdStep: 1,
    profiles: [],
    sockets: ['udp:192.0.2.1:5060'],
    mailboxBytes: 1 << 19,
  });
  wire = addon.createMemoryWire(segment, LISTEN, 1);
  wire.setTime(1000);
  isKnown = false;
  fails = false;
  const asked = new Promise<void>((resolve) => {
    answer = () => {
      isKnown = true;
      resolve();
    };
  });
  const resolver = {
    lookup: (): Answer | null => {
      if (fails) throw new Error('a fault of ours');
      return isKnown ? FOUND : null;
    },
    resolve: () => asked.then(() => FOUND),
    failed: () => {},
  };
  const clock = { monotonicMs: () => 0, unixSeconds: () => 0 };
  const table = new RouteTable(routes(routesOf));
  shard = new ShardCore({
    ...{ config, segment, owner: 0, routes: table, log: silentLog },
    ...{ wire, resolver, clock },
  });
}

afterEach(() => {
  shard.close();
  addon.closeSegment(segment, true);
});

function put(n: number, padding: string, method = 'OPTIONS'): void {
  const lines = [
    `${method} sip:bob@phones.example SIP/2.0`,
    `Via: SIP/2.0/UDP ${CALLER};branch=z9hG4bK${n}`,
    'Max-Forwards: 70',
    'From: <sip:alice@h>;tag=1',
    `To: <sip:bob@h>${method === 'ACK' ? ';tag=2' : ''}`,
    `Call-ID: call-${n}`,
    `CSeq: 1 ${method}`,
    `X-Padding: ${padding}`,
    'Content-Length: 0',
  ];
  wire.put(0, 0, CALLER, Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1'));
}

function receive(): void {
  while (shard.receive() > 0);
}

/** Lets what has settled go on. */
const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

function left(): { readonly to: string; readonly text: string }[] {
  const all: { to: string; text: string }[] = [];
  for (let one = wire.take(); one !== null; one = wire.take())
    all.push({ to: one.destination, text: Buffer.from(one.bytes).toString('latin1') });
  return all;
}

const firstLine = (text: string): string => text.slice(0, text.indexOf('\r'));
const statistic = (name: string): number => addon.statistics(segment)[name] ?? -1;

/** A time later, in ticks. */
function pass(ms: number): void {
  const { wire: w } = { wire };
  w.setTime(1000 + ms);
  shard.native.receive();
  shard.tick();
}

describe('many requests that wait for one name', () => {
  for (const [count, bytes] of [
    [480, 3_000],
    [40, 60_000],
  ] as const) {
    test(`${count} of ${bytes} bytes go out whole`, async () => {
      await open({
        request(r) {
          // Text of the proxy's own, as long as the message, in each copy.
          r.$ru = `sip:${r.$ci}@phones.example;p=${'u'.repeat(bytes / 2)}`;
          r.append_hf(`X-Copy: ${(r.$hdr('X-Padding') ?? '').slice(0, 1_500)}\r\n`);
          r.t_relay();
        },
      });
      // A batch at a time, as its slots allow.
      for (let n = 0; n < count; n++) {
        put(n, String(n % 10).repeat(bytes / 2));
        if (n % 32 === 31) receive();
      }
      receive();
      assert.deepEqual(left(), []);
      assert.equal(statistic('core:name_waits'), count);
      answer();
      await settle();
      const copies = left();
      assert.equal(copies.length, count);
      for (const { text } of copies) {
        const n = Number(/\r\nCall-ID: call-(\d+)\r\n/.exec(text)![1]);
        const digits = String(n % 10).repeat(bytes / 2);
        assert.ok(text.startsWith(`OPTIONS sip:call-${n}@phones.example;p=uuu`));
        assert.ok(text.includes(`\r\nX-Padding: ${digits}\r\n`));
        assert.ok(text.includes(`\r\nX-Copy: ${digits.slice(0, 1_500)}\r\n`));
      }
      assert.equal(statistic('core:internal_errors'), 0);
    });
  }

  test('no more of them wait than there are places, and routes that wait have their own', async () => {
    const waiting: (() => void)[] = [];
    await open({
      request(r) {
        if (r.is_method('OPTIONS')) {
          r.t_relay();
          return;
        }
        return new Promise<void>((resolve) => waiting.push(resolve)).then(() => void r.t_reply(200, 'OK'));
      },
    });
    for (let n = 0; n < 520; n++) {
      put(n, '');
      if (n % 32 === 31) receive();
    }
    receive();
    assert.equal(statistic('core:name_waits_refused'), 8);
    assert.deepEqual(
      left().map(({ text }) => firstLine(text)),
      Array(8).fill('SIP/2.0 503 Service Unavailable'),
    );
    put(1_000, '', 'MESSAGE');
    receive();
    waiting[0]!();
    await settle();
    assert.deepEqual(
      left().map(({ text }) => firstLine(text)),
      ['SIP/2.0 200 OK'],
    );
  });
});

describe('a step that fails', () => {
  beforeEach(() => open({ request: (r) => void r.t_relay() }));

  test('when a name is known costs its request 500', async () => {
    put(1, '');
    receive();
    fails = true;
    answer();
    await settle();
    assert.deepEqual(
      left().map(({ text }) => firstLine(text)),
      ['SIP/2.0 500 Server Internal Error'],
    );
    assert.equal(statistic('core:internal_errors'), 1);
    fails = false;
    put(2, '');
    receive();
    assert.deepEqual(
      left().map(({ text }) => firstLine(text)),
      ['OPTIONS sip:bob@phones.example SIP/2.0'],
    );
  });

  test('in the branch of a retransmission timer leaves the others', () => {
    isKnown = true;
    put(1, '');
    put(2, '');
    receive();
    assert.equal(left().length, 2);
    const { down } = shard.core;
    assert.ok(down);
    const send = shard.native.transactionSendBranch;
    let times = 0;
    Object.assign(shard.native, {
      transactionSendBranch: (branch: number) => {
        if (times++ === 0) throw new Error('a fault of ours');
        return send.call(shard.native, branch);
      },
    });
    pass(500);
    assert.equal(statistic('core:internal_errors'), 1);
    assert.equal(left().length, 1);
  });
});

describe('a route that waits', () => {
  test('for what never comes gives its place back at its deadline', async () => {
    const seen: boolean[] = [];
    let late: () => void = () => {};
    await open({
      request(r) {
        return new Promise<void>((resolve) => {
          late = resolve;
        }).then(() => void seen.push(r.t_reply(200, 'OK')));
      },
    });
    let time = 0;
    // Three times as many as there are places.
    for (let round = 0; round < 3; round++) {
      for (let n = 0; n < 512; n++) {
        put(1_000 * round + n, '');
        if (n % 32 === 31) receive();
      }
      receive();
      assert.equal(statistic('core:suspended_routes_refused'), 0);
      for (const until = time + 5_200; time < until; time += 100) pass(time);
    }
    assert.equal(statistic('core:route_timeouts'), 3 * 512);
    late();
    await settle();
    assert.deepEqual(seen, [false]);
    assert.deepEqual(left(), []);
  });

  test('with an ACK for what never comes gives its place back too', async () => {
    await open({ request: () => new Promise<void>(() => {}) });
    let time = 0;
    for (let round = 0; round < 2; round++) {
      for (let n = 0; n < 512; n++) {
        put(1_000 * round + n, '', 'ACK');
        if (n % 32 === 31) receive();
      }
      receive();
      assert.equal(statistic('core:suspended_routes_refused'), 0);
      for (const until = time + 5_200; time < until; time += 100) pass(time);
    }
    assert.equal(statistic('core:route_timeouts'), 1_024);
  });
});

describe('the scratch region', () => {
  beforeEach(() => open({ request: () => {} }));

  test('refuses what it has no room for before it writes', () => {
    const memory = new ShardMemory();
    const { scratch } = memory;
    const writes: [string, () => void][] = [
      ['byte', () => scratch.byte(65)],
      ['text', () => scratch.text('AB')],
      ['long text', () => scratch.text('A'.repeat(100))],
      ['literal', () => scratch.literal(Buffer.from('ABC'))],
      ['copy', () => scratch.copy(scratch.start, 3)],
      ['long copy', () => scratch.copy(scratch.start, 300)],
      ['decimal', () => scratch.decimal(7)],
      ['long decimal', () => scratch.decimal(4_294_967_295)],
      ['hex', () => scratch.hex(1)],
      ['hexReversed', () => scratch.hexReversed(1)],
      ['hex8', () => scratch.hex8(1)],
    ];
    for (const [name, write] of writes) {
      scratch.at = scratch.end;
      const behind = memory.bytes.slice(scratch.end, scratch.end + 400);
      assert.throws(write, { name: 'ScratchFull' }, name);
      assert.equal(scratch.at, scratch.end, name);
      assert.deepEqual(memory.bytes.slice(scratch.end, scratch.end + 400), behind, name);
    }
  });

  test('begins again behind what is held', () => {
    const { scratch } = new ShardMemory();
    scratch.text('held');
    const floor = scratch.hold();
    scratch.text('more');
    scratch.reset();
    assert.equal(scratch.at, scratch.start + 4);
    scratch.letGo(floor);
    scratch.reset();
    assert.equal(scratch.at, scratch.start);
  });
});
