/** How the product's Runtime ends: over a real segment, without workers. */
import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { afterEach, beforeEach, test } from 'vitest';
import { defaultConfig } from '../../../dist/config/load.js';
import { silentLog } from '../../../dist/log.js';
import { addon, type MemoryWire, type SegmentId } from '../../../dist/memory/addon.js';
import { RouteTable, routes } from '../../../dist/script/routes.js';
import { openRuntime } from '../../../dist/server/runtime.js';
import { ShardCore } from '../../../dist/server/shard.js';

const path = `/dev/shm/holdfast-runtime-${process.pid}`;
const LISTEN = [{ proto: 'udp' as const, address: '127.0.0.1', port: 0 }];

beforeEach(() => rmSync(path, { force: true }));
afterEach(() => rmSync(path, { force: true }));

const configWith = async (segmentFresh: boolean) => ({
  ...(await defaultConfig()),
  ...{ listen: [{ ...LISTEN[0]!, port: 25_981 }], workers: 1, segmentPath: path, segmentBytes: 64 << 20 },
  segmentFresh,
});

test('a stop waits for nothing when the next start takes the calls over', async () => {
  const runtime = await openRuntime(await configWith(false), silentLog);
  await runtime.drain();
  await runtime.close(false);
});

test('one that still waits for transactions when its time is over ends in silence', async () => {
  const config = await configWith(true);
  const runtime = await openRuntime(config, silentLog);
  let isDrained = false;
  void runtime.drain().then(() => {
    isDrained = true;
  });
  await runtime.close(false);
  // Longer than the time between two looks.
  await new Promise((resolve) => setTimeout(resolve, 250));
  assert.equal(isDrained, false);
});

test('a transaction that has its final answer is not in work any more', async () => {
  const config = { ...(await defaultConfig('dialog:timer_procs=0')), workers: 1 };
  const listen = [{ proto: 'udp' as const, address: '192.0.2.1', port: 5060 }];
  const segment: SegmentId = addon.createSegment({
    ...{ path, bytes: 24 << 20, hashSize: 4096, workers: 1, hIdStart: 1, hIdStep: 1, profiles: [] },
    ...{ sockets: ['udp:192.0.2.1:5060'], mailboxBytes: 1 << 19 },
  });
  const wire: MemoryWire = addon.createMemoryWire(segment, listen, 1);
  wire.setTime(1000);
  const shard = new ShardCore({
    ...{ config: { ...config, listen }, segment, owner: 0, log: silentLog, wire },
    routes: new RouteTable(
      routes({ request: (r) => void (r.$rU === 'us' ? r.t_reply(200, 'OK') : r.t_relay()) }),
    ),
  });
  const put = (user: string): void =>
    wire.put(
      ...([0, 0, '192.0.2.10:5060'] as const),
      Buffer.from(
        `OPTIONS sip:${user}@192.0.2.20 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.10;branch=z9hG4bK${user}\r\nMax-Forwards: 70\r\n` +
          `From: <sip:a@h>;tag=1\r\nTo: <sip:b@h>\r\nCall-ID: ${user}\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n`,
      ),
    );
  try {
    put('us');
    shard.receive();
    assert.equal(addon.segmentUsage(segment).transactions, 1);
    assert.equal(addon.transactionsInWork(segment), 0);
    put('them');
    shard.receive();
    assert.equal(addon.transactionsInWork(segment), 1);
  } finally {
    shard.close();
    addon.closeSegment(segment, true);
  }
});
