/**
 * What a call costs without the kernel: one shard over a network in memory, in nanoseconds of our own code.
 *
 *   node bench/call.mjs [DIRECTORY...] [--rounds 5] [--batch 16] [--calls 60000]
 *
 * Directories are built checkouts, this one when none is given; with several, rounds alternate.  A call is INVITE, 100,
 * 180, 200, ACK, BYE, 200 with the policy of peers/routes.ts; calls come in batches, time goes on as at 24,000 calls/s, so
 * that finished transactions wait as they do in life.  Only the shard's own work is timed.  A round's figure is the
 * cheapest tenth of its pieces: what other programs take of the machine makes pieces dearer, never cheaper.
 */
import { spawnSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';

const { values: flags, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: 'string', default: '5' },
    batch: { type: 'string', default: '16' },
    calls: { type: 'string', default: '60000' },
    inside: { type: 'boolean', default: false },
  },
});
const CALLS_PER_SECOND = 24_000;
/** Finished transactions live 5 s: from then on as many end as begin. */
const WARM_S = 5.5;
/** Calls whose cost is taken together. */
const PIECE_CALLS = 800;
const CALLER = '127.0.0.1:5090';
const CALLEE = '127.0.0.1:5080';
const BODY =
  'v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0 8\r\na=rtpmap:0 PCMU/8000\r\n';

if (flags.inside) await inside(resolve(positionals[0]));
else outside();

function outside() {
  const here = fileURLToPath(new URL('..', import.meta.url));
  const directories = (positionals.length > 0 ? positionals : [here]).map((one) => resolve(one));
  const figures = directories.map(() => []);
  for (let round = 0; round < Number(flags.rounds); round++) {
    const order = directories.map((_, n) => (round % 2 ? directories.length - 1 - n : n));
    for (const n of order) {
      const script = fileURLToPath(import.meta.url);
      const settings = ['--inside', '--batch', flags.batch, '--calls', flags.calls];
      const { stdout, stderr, status } = spawnSync(process.execPath, [
        ...(process.env.HOLDFAST_NODE_ARGS?.split(' ') ?? []),
        script,
        directories[n],
        ...settings,
      ]);
      if (status !== 0) throw new Error(String(stderr));
      figures[n].push(JSON.parse(stdout));
    }
  }
  for (const [n, directory] of directories.entries()) {
    const sorted = figures[n].map(({ ns }) => ns).sort((a, b) => a - b);
    const steps = figures[n][0].steps.map((_, step) =>
      Math.min(...figures[n].map((figure) => figure.steps[step])),
    );
    const ofSteps = ['INVITE', '180', '200', 'ACK', 'BYE', '200', 'ends'].map((s, i) => `${s} ${steps[i]}`);
    console.log(`${directory}: ${sorted[0]} ns (rounds ${sorted.join(' ')})`);
    console.log(`  ${ofSteps.join(', ')}`);
  }
}

/** One round in a process of its own. */
async function inside(directory) {
  const of = (path) => import(pathToFileURL(`${directory}/dist/${path}`).href);
  const { defaultConfig } = await of('config/load.js');
  const { silentLog } = await of('log.js');
  const { addon } = await of('memory/addon.js');
  const { RouteTable, routes } = await of('script/routes.js');
  const { ShardCore } = await of('server/shard.js');
  const config = { ...(await defaultConfig('dialog:profiles_with_value=caller')), workers: 1 };
  const path = `/dev/shm/holdfast-call-${process.pid}`;
  const listen = [{ address: '127.0.0.1', port: 5060 }];
  const segment = addon.createSegment({
    path,
    bytes: 768 << 20,
    hashSize: config.params.dialog.hash_size,
    workers: 1,
    hIdStart: 1,
    hIdStep: 1,
    profiles: [{ name: 'caller', withValue: true }],
    sockets: ['udp:127.0.0.1:5060'],
    mailboxBytes: 1 << 20,
  });
  const wire = addon.createMemoryWire(segment, listen, 1);
  wire.setTime(1_000);
  const policy = routes({
    request(r) {
      if (!r.mf_process_maxfwd_header(10)) return r.sl_send_reply(483, 'Too Many Hops');
      if (r.has_totag()) {
        if (r.loose_route()) return r.t_relay();
        if (r.is_method('ACK')) return;
        return r.sl_send_reply(404, 'Not here');
      }
      if (r.is_method('INVITE')) {
        r.record_route();
        if (!r.dlg_try_profile('caller', r.$fU, 1_000_000)) return r.sl_send_reply(503, 'Limit');
        r.dlg_manage();
      }
      r.$du = `sip:${CALLEE}`;
      return r.t_relay();
    },
  });
  const shard = new ShardCore({
    config: { ...config, listen: [{ proto: 'udp', ...listen[0] }] },
    log: silentLog,
    segment,
    owner: 0,
    wire,
    routes: new RouteTable(policy),
  });
  try {
    const { ns, steps } = play(shard, wire);
    process.stdout.write(JSON.stringify({ ns, steps }));
  } finally {
    shard.close();
    addon.closeSegment(segment, true);
    for (const suffix of ['', '.lock', '.stale']) rmSync(path + suffix, { force: true });
  }
}

function play(shard, wire) {
  const batch = Number(flags.batch);
  const warm = Math.ceil(WARM_S * CALLS_PER_SECOND);
  const total = warm + Number(flags.calls);
  const pieces = [];
  let piece = new Float64Array(7);
  let inPiece = 0;
  let now = 1_000;
  const put = (from, text) => wire.put(0, 0, from, Buffer.from(text, 'latin1'));
  const take = (count) => {
    const out = [];
    for (let one = wire.take(); one !== null; one = wire.take())
      out.push(Buffer.from(one.bytes).latin1Slice());
    if (out.length !== count) throw new Error(`${out.length} messages left, not ${count}: ${out[0]}`);
    return out;
  };
  const timed = (step, work) => {
    const begun = process.hrtime.bigint();
    work();
    piece[step] += Number(process.hrtime.bigint() - begun);
  };
  const receive = (step) => timed(step, () => shard.receive());
  for (let first = 0; first < total; first += batch) {
    const calls = Array.from({ length: batch }, (_, n) => first + n);
    for (const n of calls) put(CALLER, invite(n));
    receive(0);
    const invites = take(2 * batch).filter((text) => text.startsWith('INVITE'));
    for (const text of invites) put(CALLEE, answer(text, '180 Ringing', ''));
    receive(1);
    take(batch);
    for (const text of invites) put(CALLEE, answer(text, '200 OK', BODY));
    receive(2);
    const answers = take(batch);
    for (const text of answers) put(CALLER, within('ACK', 1, text));
    receive(3);
    take(batch);
    for (const text of answers) put(CALLER, within('BYE', 2, text));
    receive(4);
    const byes = take(batch);
    for (const text of byes) put(CALLEE, answer(text, '200 OK', ''));
    receive(5);
    take(batch);
    now += (1_000 * batch) / CALLS_PER_SECOND;
    wire.setTime(Math.floor(now));
    timed(6, () => shard.tick());
    inPiece += batch;
    if (inPiece < PIECE_CALLS) continue;
    if (first >= warm) pieces.push(piece.map((ns) => ns / inPiece));
    piece = new Float64Array(7);
    inPiece = 0;
  }
  const cheapest = pieces
    .sort((a, b) => sum(a) - sum(b))
    .slice(0, Math.max(1, Math.floor(pieces.length / 10)));
  const steps = cheapest[0].map((_, step) => Math.round(sum(cheapest.map((p) => p[step])) / cheapest.length));
  return { ns: sum([...steps]), steps: [...steps] };
}

function sum(numbers) {
  return numbers.reduce((a, b) => a + b, 0);
}

function invite(n) {
  return [
    'INVITE sip:bob@127.0.0.1:5060 SIP/2.0',
    `Via: SIP/2.0/UDP 127.0.0.1:5090;rport;branch=z9hG4bK-a-${n}-1`,
    'Max-Forwards: 70',
    `From: "alice" <sip:alice${n % 1_000}@127.0.0.1>;tag=a${n}`,
    'To: <sip:bob@127.0.0.1>',
    `Call-ID: 3c26700857a87f84-${n}@127.0.0.1`,
    'CSeq: 1 INVITE',
    'Contact: <sip:alice@127.0.0.1:5090>',
    'User-Agent: bench',
    'Allow: INVITE, ACK, BYE, CANCEL, OPTIONS, UPDATE',
    'Content-Type: application/sdp',
    `Content-Length: ${BODY.length}`,
    '',
    BODY,
  ].join('\r\n');
}

function lines(text, name) {
  return text.split('\r\n').filter((line) => line.startsWith(`${name}: `));
}

function answer(request, status, body) {
  const to = lines(request, 'To')[0];
  return [
    `SIP/2.0 ${status}`,
    ...lines(request, 'Via'),
    ...lines(request, 'Record-Route'),
    ...lines(request, 'From'),
    to.includes(';tag=') ? to : `${to};tag=b${lines(request, 'Call-ID')[0].slice(26)}`,
    ...lines(request, 'Call-ID'),
    ...lines(request, 'CSeq'),
    'Contact: <sip:bob@127.0.0.1:5080>',
    ...(body === '' ? [] : ['Content-Type: application/sdp']),
    `Content-Length: ${body.length}`,
    '',
    body,
  ].join('\r\n');
}

function within(method, number, answered) {
  const routes = lines(answered, 'Record-Route')
    .map((line) => line.replace('Record-', ''))
    .reverse();
  const id = lines(answered, 'Call-ID')[0];
  return [
    `${method} sip:bob@127.0.0.1:5080 SIP/2.0`,
    `Via: SIP/2.0/UDP 127.0.0.1:5090;rport;branch=z9hG4bK-a-${id.slice(26)}-${method}`,
    ...routes,
    'Max-Forwards: 70',
    ...lines(answered, 'From'),
    ...lines(answered, 'To'),
    id,
    `CSeq: ${number} ${method}`,
    'Contact: <sip:alice@127.0.0.1:5090>',
    'Content-Length: 0',
    '',
    '',
  ].join('\r\n');
}
