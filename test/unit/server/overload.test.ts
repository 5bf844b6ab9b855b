/** A shard that is behind: calls that are up go first, and nobody else's shard suffers. */
import assert from 'node:assert/strict';
import { afterEach, describe, test } from 'vitest';
import { Overload } from '../../../dist/server/overload.js';
import { World } from '../../support/flow.js';

const BATCH = 64;
/** So long a shard that begins is never behind. */
const WARM_MS = 5_000;
const DELAY_MS = 100;
const URI = 'sip:bob@192.0.2.20';

let world: World;
afterEach(() => world?.close());

async function open(workers = 1, ...set: string[]): Promise<World> {
  const settings = new Map([['set', set]]);
  world = await World.open({ workers, timerWorker: false, seed: 7, settings });
  await world.pass(WARM_MS, 100);
  return world;
}

/** One message of a call that no agent knows. */
function request(
  method: string,
  call: string,
  more: { branch?: string; toTag?: string; route?: string } = {},
) {
  const { branch = `${call}-${method}`, toTag = '', route = '' } = more;
  const lines = [
    `${method} ${URI} SIP/2.0`,
    `Via: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bK${branch}`,
    ...(route === '' ? [] : [`Route: ${route}`]),
    'From: <sip:alice@h>;tag=a1',
    `To: <sip:bob@h>${toTag === '' ? '' : `;tag=${toTag}`}`,
    `Call-ID: ${call}`,
    `CSeq: ${method === 'BYE' || (toTag !== '' && method === 'INVITE') ? 2 : 1} ${method}`,
    'Contact: <sip:alice@192.0.2.10>',
    'Max-Forwards: 70',
    'Content-Length: 0',
  ];
  return `${lines.join('\r\n')}\r\n\r\n`;
}

const put = (text: string, worker = 0, from = '192.0.2.10:5060') =>
  world.wire.put(worker, 0, from, Buffer.from(text, 'latin1'));

/** What left since the last look, whole. */
function left(): string[] {
  const texts: string[] = [];
  for (let one = world.wire.take(); one !== null; one = world.wire.take())
    texts.push(Buffer.from(one.bytes).toString('latin1'));
  return texts;
}
const firstLines = (texts: readonly string[]) => texts.map((text) => text.slice(0, text.indexOf('\r')));
const of = (texts: readonly string[], call: string) =>
  texts.filter((text) => text.includes(`Call-ID: ${call}\r\n`));
const refused = () => world.statistic('core:overload_refused');

/** So many INVITEs of calls that nobody knows. */
function flood(count: number, name: string, worker = 0): void {
  for (let n = 0; n < count; n++) put(request('INVITE', `${name}-${n}@h`), worker);
}

function pass(milliseconds: number): void {
  world.nowMs += milliseconds;
  world.wire.setTime(world.nowMs);
}

/** Makes shard 0 see batches that have waited, until it is behind; three full ones are still there then. */
function fallBehind(): void {
  flood(5 * BATCH, 'flood');
  pass(DELAY_MS);
  world.shards[0]!.receive();
  pass(DELAY_MS);
  world.shards[0]!.receive();
  left();
  assert.equal(refused(), BATCH, 'the second batch is refused');
}

function drain(): void {
  for (const shard of world.shards) for (let n = 0; shard.receive() > 0; n++) assert.ok(n < 100);
}

describe('a shard that is behind', () => {
  test('answers a new INVITE 503 with Retry-After, keeps nothing of it, and absorbs its ACK', async () => {
    await open();
    fallBehind();
    const before = world.usage();
    put(request('INVITE', 'late@h'));
    flood(BATCH, 'tail');
    for (let n = 0; n < 4; n++) world.shards[0]!.receive();
    const [answer = '', ...more] = of(left(), 'late@h');
    assert.equal(more.length, 0);
    assert.match(answer, /^SIP\/2\.0 503 Service Unavailable\r\n/);
    assert.match(answer, /\r\nRetry-After: 5\r\nContent-Length: 0\r\n\r\n$/);
    for (const field of ['Via: ', 'From: ', 'CSeq: 1 INVITE'])
      assert.ok(answer.includes(`\r\n${field}`), field);
    const toTag = /\r\nTo: <sip:bob@h>;tag=(\S+)/.exec(answer)?.[1];
    assert.deepEqual(world.usage(), before);
    drain();
    left();
    put(request('ACK', 'late@h', { branch: 'late@h-INVITE', toTag: toTag! }));
    drain();
    assert.deepEqual(left(), []);
    assert.equal(world.statistic('sl:received_ACKs'), 1);
  });

  test('lets calls that are up go on: re-INVITE, BYE, replies, CANCEL, copies of an INVITE under way', async () => {
    await open();
    for (const call of ['up@h', 'ringing@h']) put(request('INVITE', call));
    drain();
    const [copy = ''] = of(left(), 'up@h').filter((text) => text.startsWith('INVITE'));
    const fields = copy.split('\r\n').filter((line) => /^(via|from|call-id|cseq|record-route):/i.test(line));
    const answered = ['SIP/2.0 200 OK', ...fields, 'To: <sip:bob@h>;tag=b2', 'Contact: <sip:bob@192.0.2.20>'];
    const route = fields.find((line) => line.startsWith('Record-Route: '))!.slice(14);
    fallBehind();
    put(`${answered.join('\r\n')}\r\nContent-Length: 0\r\n\r\n`, 0, '192.0.2.20:5060');
    put(request('ACK', 'up@h', { branch: 'ack', toTag: 'b2', route }));
    put(request('INVITE', 'up@h', { branch: 're', toTag: 'b2', route }));
    put(request('BYE', 'up@h', { toTag: 'b2', route }));
    put(request('INVITE', 'ringing@h'));
    put(request('CANCEL', 'ringing@h', { branch: 'ringing@h-INVITE' }));
    put(request('INVITE', 'forged@h', { toTag: 'b2', route }));
    flood(BATCH, 'tail');
    drain();
    const texts = left();
    assert.deepEqual(firstLines(of(texts, 'up@h')), [
      'SIP/2.0 200 OK',
      'ACK sip:bob@192.0.2.20 SIP/2.0',
      'SIP/2.0 100 Trying',
      'INVITE sip:bob@192.0.2.20 SIP/2.0',
      'BYE sip:bob@192.0.2.20 SIP/2.0',
    ]);
    assert.deepEqual(firstLines(of(texts, 'ringing@h')).slice(0, 2), [
      'SIP/2.0 100 Trying',
      'SIP/2.0 200 OK',
    ]);
    assert.deepEqual(firstLines(of(texts, 'forged@h')), ['SIP/2.0 503 Service Unavailable']);
  });

  test('takes on new calls again once its queue is empty', async () => {
    await open();
    fallBehind();
    drain();
    left();
    const before = refused();
    put(request('INVITE', 'again@h'));
    drain();
    assert.ok(firstLines(of(left(), 'again@h')).includes('INVITE sip:bob@192.0.2.20 SIP/2.0'));
    assert.equal(refused(), before);
  });

  test('never refuses with overload_delay_ms=0, nor for a burst that waited once', async () => {
    await open(1, 'core:overload_delay_ms=0');
    flood(4 * BATCH, 'flood');
    for (let n = 0; n < 4; n++) {
      pass(DELAY_MS);
      world.shards[0]!.receive();
    }
    assert.equal(refused(), 0);
    world.close();
    await open();
    flood(4 * BATCH, 'flood');
    pass(500);
    drain();
    assert.equal(refused(), 0);
  });

  test('is behind alone: all Call-IDs aimed at it, on whatever socket they come, the other shard serves', async () => {
    await open(2);
    const [aimed, other] = [0, 1].map((owner) => {
      const calls: string[] = [];
      for (let n = 0; calls.length < 5 * BATCH; n++) {
        const call = `aimed-${n}@h`;
        if (world.ownerOf(call) === owner) calls.push(call);
      }
      return calls;
    }) as [string[], string[]];
    const [victim, well] = world.shards as [(typeof world.shards)[0], (typeof world.shards)[0]];
    for (const call of aimed) put(request('INVITE', call));
    for (let n = 0; n < 2; n++) {
      pass(DELAY_MS);
      victim.receive();
    }
    assert.equal(refused(), BATCH);
    put(request('INVITE', other[0]!), 0);
    put(request('INVITE', other[1]!), 1);
    put(request('INVITE', aimed[0]!.replace('aimed', 'more')), 0);
    drain();
    drain();
    const texts = left();
    for (const call of other.slice(0, 2))
      assert.ok(firstLines(of(texts, call)).includes('INVITE sip:bob@192.0.2.20 SIP/2.0'), call);
    assert.equal(well.core.isBehind, false);
  });

  test('is behind by what other shards hand it, too', async () => {
    await open(2);
    const calls: string[] = [];
    for (let n = 0; calls.length < 3 * BATCH; n++) {
      const call = `handed-${n}@h`;
      if (world.ownerOf(call) === 0) calls.push(call);
    }
    for (const call of calls) put(request('INVITE', call), 1);
    for (let n = 0; n < 4; n++) world.shards[1]!.receive();
    for (let n = 0; n < 3; n++) {
      pass(DELAY_MS);
      world.shards[0]!.receive();
    }
    assert.ok(refused() > 0);
  });
});

describe('the measure', () => {
  const told: string[] = [];
  const faults = { error() {}, warn: (event: string) => told.push(event) };

  test('a wait counts when the queue has not been empty for as long; a loss counts at once', () => {
    const overload = new Overload(DELAY_MS, faults);
    assert.equal(overload.isBehind(DELAY_MS - 1, 500, WARM_MS), false);
    assert.equal(overload.isBehind(DELAY_MS, DELAY_MS - 1, WARM_MS), false);
    assert.equal(overload.isBehind(5_000, DELAY_MS - 1, WARM_MS), false, 'a long queue that moves');
    assert.equal(overload.isBehind(DELAY_MS, DELAY_MS, WARM_MS), true);
    assert.equal(overload.isBehind(DELAY_MS, 0, WARM_MS), true, 'until it is empty');
    assert.equal(overload.isBehind(0, 0, WARM_MS), false);
    assert.equal(overload.isBehind(DELAY_MS, DELAY_MS, WARM_MS - 1), false, 'what waited for it to begin');
    assert.equal(overload.isBehind(5, 0xffffffff, WARM_MS), true);
    assert.deepEqual(told, ['overloaded', 'overloaded']);
  });
});
