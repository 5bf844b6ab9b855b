/**
 * What a message costs between the sockets: a script's calls, a whole request answered, and a hand-over to the shard
 * that owns it.  Real shards over a network in memory, so without the kernel.
 *
 * check: each request has its one answer, made by the shard that owns the Call-ID.
 */
import { Bench } from 'tinybench';
import { addon } from '../../dist/memory/addon.js';
import { CALLS, mustBe, rowsOf, World } from './world.mjs';

const PEER = '192.0.2.10:5060';

const options = (callId) =>
  Buffer.from(
    [
      'OPTIONS sip:127.0.0.1:5060 SIP/2.0',
      'Via: SIP/2.0/UDP 192.0.2.10:5060;rport;branch=z9hG4bK-524287-1',
      'Max-Forwards: 70',
      'From: "Alice" <sip:+12155550121@192.0.2.10:5060>;tag=a48s8fj2k3',
      'To: <sip:127.0.0.1:5060>',
      `Call-ID: ${callId}`,
      'CSeq: 1 OPTIONS',
      'Content-Length: 0',
      '',
      '',
    ].join('\r\n'),
  );

function answers(world) {
  let count = 0;
  for (let out = world.wire.take(); out !== null; out = world.wire.take()) {
    if (out.bytes[8] !== 0x32) throw new Error(`not a 2xx: ${Buffer.from(out.bytes).toString('latin1')}`);
    count++;
  }
  return count;
}

/** Batches as the kernel would give them. */
const BATCH = 50;

export async function run({ timeMs }) {
  let scriptCalls = 0;
  let isRight = true;
  const world = await World.open({
    workers: 2,
    request: (r) => {
      for (let call = 0; call < scriptCalls; call++)
        isRight = r.is_method('OPTIONS') && r.$fU === '+12155550121' && isRight;
      return r.sl_send_reply(200, 'OK');
    },
  });
  try {
    const [first, second] = world.shards;
    const bench = new Bench({ time: timeMs });
    const ownedBy = (owner) => {
      for (let n = 0; ; n++) {
        const callId = `call-${n}@192.0.2.10`;
        const length = world.m.latin1Write(callId, world.at);
        if (world.native.ownerOf(world.native.entryOf(world.at, length)) === owner) return options(callId);
      }
    };
    const [ours, theirs] = [ownedBy(0), ownedBy(1)];
    const exchange = (message) => {
      for (let sent = 0; sent < CALLS; sent += BATCH) {
        for (let n = 0; n < BATCH; n++) world.wire.put(0, 0, PEER, message);
        // What another shard owns goes to its mailbox before the first sees it.
        while (first.receive() > 0);
        while (second.receive() > 0);
        mustBe(answers(world), BATCH, 'each request has one answer');
      }
    };
    bench.add('a stateless answer: receive, parse, route, reply', () => exchange(ours));
    bench.add('steering: the same handed to the other shard first', () => exchange(theirs));
    bench.add(
      'script call: is_method() and $fU (a hundred in one route)',
      () => {
        world.wire.put(0, 0, PEER, ours);
        first.receive();
        mustBe(answers(world), 1, 'the request has one answer');
      },
      { beforeAll: () => (scriptCalls = CALLS), afterAll: () => (scriptCalls = 0) },
    );
    const before = addon.statistics(world.segment)['core:steered'];
    await bench.run();
    mustBe(isRight, true, 'the script saw the right values');
    mustBe(addon.statistics(world.segment)['core:steered'] > before, true, 'messages were handed over');
    mustBe(addon.segmentUsage(world.segment).transactions, 0, 'no transaction was left');
    return rowsOf(bench, 0);
  } finally {
    world.close();
  }
}
