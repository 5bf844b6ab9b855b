/**
 * Attacks at full speed beside honest traffic: what the honest notice, and what the attack is worth.
 *
 *   node bench/abuse.mjs [--seconds 8] [--rate 500] [--only ID,...] [--attacks NAME,...] [--ports BASE] [--cores S,G]
 *
 * One server on core S with the policy of peers.mjs.  On core G the generator makes --rate calls a second and checks every
 * message of them, and an attacker sends what one row below writes, as fast as it can, from an address of its own.  Told
 * are the honest calls that failed or were refused, how long an INVITE took, the server's memory and processor, and the
 * bytes that came back to the attacker for each byte it sent.  Attacks against features that the rival has not are left
 * out for it.  A hostile server's answers, hanging routes and a zone full of addresses need more than one sender: they are
 * tests, not rows here.
 */
import dgram from 'node:dgram';
import { parseArgs } from 'node:util';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { machine, store, table } from './figures.mjs';
import { failures, Load } from './load.mjs';
import { anonymousBytes, SERVERS, Server } from './servers.mjs';

/** Datagrams sent before the attacker looks at what came back. */
const BATCH = 32;
const WARM_S = 2;

const CRLF = '\r\n';
const write = (fields, body = '') =>
  Buffer.from(`${fields.join(CRLF)}${CRLF}Content-Length: ${body.length}${CRLF}${CRLF}${body}`, 'latin1');

/** A request of the attacker's, its n-th. */
function request(method, n, { at, uri, to = '', more = [], callId = `abuse-${n}@h`, body = '' }) {
  return write(
    [
      `${method} ${uri ?? `sip:a${n}@127.0.0.1:${at.proxyPort}`} SIP/2.0`,
      `Via: SIP/2.0/UDP 127.0.0.1:${at.attackerPort};branch=z9hG4bKabuse${n}`,
      `From: <sip:abuse@h>;tag=f${n}`,
      `To: <sip:victim@h>${to}`,
      `Call-ID: ${callId}`,
      `CSeq: 1 ${method}`,
      'Max-Forwards: 70',
      ...more,
    ],
    body,
  );
}

const own = (at) => `Route: <sip:127.0.0.1:${at.proxyPort};lr>`;
const contact = (at) => `Contact: <sip:abuse@127.0.0.1:${at.attackerPort}>`;
const forged = { to: ';tag=forged' };

/** Name, what it is, and the n-th datagram. */
const ATTACKS = {
  none: ['honest traffic alone', null],
  garbage: ['512 bytes that are no SIP', (n) => Buffer.alloc(512, 33 + (n % 90))],
  invites: ['new calls to nobody', (n, at) => request('INVITE', n, { at, more: [contact(at)] })],
  options: ['OPTIONS of 60 KB', (n, at) => request('OPTIONS', n, { at, body: 'x'.repeat(60_000) })],
  names: [
    'OPTIONS of 60 KB to host names that are nowhere',
    (n, at) =>
      request('OPTIONS', n, {
        at,
        uri: `sip:a@n${n % 64}.invalid`,
        ...forged,
        more: [own(at)],
        body: 'x'.repeat(60_000),
      }),
  ],
  routes: [
    'sixty Routes of the server itself',
    (n, at) => request('OPTIONS', n, { at, ...forged, more: Array(60).fill(own(at)) }),
  ],
  tags: [
    'BYE with forged To tag and a Route',
    (n, at) => request('BYE', n, { at, ...forged, more: [own(at)] }),
  ],
  digest: [
    'credentials of 60 KB',
    (n, at) => request('OPTIONS', n, { at, more: [`Proxy-Authorization: Digest ${'a=,'.repeat(20_000)}`] }),
  ],
  contacts: [
    'INVITE with two Contacts',
    (n, at) => request('INVITE', n, { at, more: [contact(at), contact(at)] }),
  ],
  'same-call': [
    'INVITEs of one Call-ID',
    (n, at) => request('INVITE', n, { at, callId: 'abuse-one@h', more: [contact(at)] }),
  ],
  cancels: ['CANCEL of nothing', (n, at) => request('CANCEL', n, { at })],
  replies: [
    'responses to nothing',
    (n, at) =>
      write([
        'SIP/2.0 200 OK',
        `Via: SIP/2.0/UDP 127.0.0.1:${at.proxyPort};branch=z9hG4bK${n.toString(16)}`,
        'From: <sip:a@h>;tag=1',
        'To: <sip:b@h>;tag=2',
        `Call-ID: abuse-${n}@h`,
        'CSeq: 1 INVITE',
      ]),
  ],
};

if (isMainThread) await main();
else attack();

/** The attacker's thread: until it is told to stop. */
function attack() {
  const { name, at, batch } = workerData;
  const make = ATTACKS[name][1];
  const socket = dgram.createSocket('udp4');
  const count = { sent: 0, bytesOut: 0, bytesIn: 0 };
  let isOver = false;
  socket.on('message', (bytes) => {
    count.bytesIn += bytes.length;
  });
  parentPort.on('message', () => {
    isOver = true;
    // What still comes back belongs to it.
    setTimeout(() => {
      parentPort.postMessage(count);
      socket.close();
      parentPort.close();
    }, 1_500);
  });
  const round = () => {
    if (isOver) return;
    let left = batch;
    for (let n = 0; n < batch; n++) {
      const bytes = make(count.sent++, at);
      count.bytesOut += bytes.length;
      socket.send(bytes, at.proxyPort, '127.0.0.1', () => --left === 0 && setImmediate(round));
    }
  };
  socket.bind(at.attackerPort, '127.0.0.1', round);
}

async function main() {
  const { values: flags } = parseArgs({
    options: {
      seconds: { type: 'string', default: '8' },
      rate: { type: 'string', default: '500' },
      only: { type: 'string', default: 'holdfast,kamailio-tlsf' },
      attacks: { type: 'string', default: Object.keys(ATTACKS).join(',') },
      ports: { type: 'string', default: '5070' },
      cores: { type: 'string', default: '0,1' },
    },
  });
  const [serverCore, loadCore] = flags.cores.split(',').map(Number);
  const base = Number(flags.ports);
  const at = {
    ...{ proxyPort: base, callerPort: base + 10, calleePort: base + 20, rpcPort: base + 2 },
    attackerPort: base + 30,
  };
  const records = [];
  const kinds = SERVERS.filter((kind) => flags.only.split(',').includes(kind.id) && !kind.missing());
  for (const name of flags.attacks.split(',')) {
    for (const kind of kinds) {
      const record = {
        attack: name,
        server: kind.id,
        ...(await oneAttack(kind, name, flags, at, serverCore, loadCore)),
      };
      records.push(record);
      console.error(
        `${kind.id}, ${name}: ${record.error ?? `${record.wrong.join(', ') || 'nothing wrong'}`}`,
      );
    }
  }
  const path = store('abuse', { machine: machine(), rate: flags.rate, seconds: flags.seconds, records });
  console.log(tableOf(records));
  console.log(`\n${path}`);
}

async function oneAttack(kind, name, flags, at, serverCore, loadCore) {
  const options = { ...at, core: serverCore, held: 0, checksLimit: false, touchesMemory: false };
  const server = await Server.start(kind, options);
  const before = anonymousBytes(server.pid);
  const phases = [`run:cps=${flags.rate},window=100000,warm=${WARM_S},dur=${flags.seconds}`];
  const load = new Load({ ...at, pid: server.pid, core: loadCore, args: kind.loadArgs ?? [] }, phases);
  const attacker =
    ATTACKS[name][1] === null
      ? null
      : new Worker(new URL(import.meta.url), { workerData: { name, at, batch: BATCH } });
  try {
    const report = await load.report();
    const peak = anonymousBytes(server.pid);
    const count = attacker === null ? null : await stopped(attacker);
    await load.finish();
    return { report, count, grown: peak - before, wrong: failures(report) };
  } catch (error) {
    await load.kill();
    return { error: error.message.slice(0, 200), wrong: [], report: null, count: null, grown: 0 };
  } finally {
    await attacker?.terminate();
    await server.stop();
  }
}

function stopped(attacker) {
  return new Promise((resolve) => {
    attacker.once('message', resolve);
    attacker.postMessage('stop');
  });
}

function tableOf(records) {
  return table(
    [
      'attack',
      'server',
      'failed',
      'refused',
      'INVITE p99 ms',
      'CPU',
      'grown MB',
      'sent',
      'bytes back for each sent',
    ],
    records.map(({ attack: name, server, report, count, grown, error }) => {
      if (report === null) return [ATTACKS[name][0], server, error, '', '', '', '', '', ''];
      return [
        ATTACKS[name][0],
        server,
        report.failed + report.timeouts,
        report.rejected,
        ((report.lat_invite_us?.p99 ?? 0) / 1_000).toFixed(1),
        report.server.load.toFixed(2),
        (grown / 1e6).toFixed(1),
        count?.sent ?? '',
        count === null ? '' : (count.bytesIn / count.bytesOut).toFixed(2),
      ];
    }),
  );
}
