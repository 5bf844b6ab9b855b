/**
 * Whether a call costs the same whatever is held beside it, and what a second worker costs.
 *
 *   node bench/scale.mjs [--held 0,1000,10000,100000,1000000] [--hash-sizes 4096,1048576] [--rounds 2] [--seconds 5]
 *                        [--rows growth,workers] [--rate 3000] [--ports 5070] [--cores 0,1]
 *
 * growth: one worker on core S, driven from core G; calls are opened in bulk up to each number and stay, beside them
 * CPU per call is measured saturated.  workers: one worker, then two with Call-IDs that belong to the worker that
 * receives them, then two with Call-IDs that belong to the other one, so that every message from a peer is handed over
 * through its mailbox; server and generator share the cores there, so only CPU per call is a figure, no calls/s.
 * bench/plot.mjs draws the growth.
 */
import { parseArgs } from 'node:util';
import { machine, median, spread, store, table } from './figures.mjs';
import { failures, faults, GATE, Load } from './load.mjs';
import { SERVERS, Server } from './servers.mjs';

const { values: flags } = parseArgs({
  options: {
    held: { type: 'string', default: '0,1000,10000,100000,1000000' },
    'hash-sizes': { type: 'string', default: '4096,1048576' },
    server: { type: 'string', default: 'holdfast' },
    rows: { type: 'string', default: 'growth,workers' },
    rounds: { type: 'string', default: '2' },
    seconds: { type: 'string', default: '5' },
    rate: { type: 'string', default: '3000' },
    ports: { type: 'string', default: '5070' },
    cores: { type: 'string', default: '0,1' },
  },
});
const WARM_S = 6;
const SETTLE_S = 6;
const OPEN_CALLS = 60;
const OPEN_CALLS_MAX = 100_000;
const CALLERS = 1_000;
const OPENING_S_MAX = 900;
/** Ports are tried until both peers' datagrams reach the same worker; each try has one chance in two. */
const PORT_TRIES = 16;
const SHARE_NEAR = 0.05;

const kind = SERVERS.find((server) => server.id === flags.server);
const missing = kind?.isOurs ? kind.missing() : `${flags.server} is not a build of ours`;
if (missing) {
  console.error(missing);
  process.exit(1);
}
const heldSizes = flags.held.split(',').map(Number);
const hashSizes = flags['hash-sizes'].split(',').map(Number);
const rows = flags.rows.split(',');
const seconds = Number(flags.seconds);
const rounds = Number(flags.rounds);
const base = Number(flags.ports);
const [core, loadCore] = flags.cores.split(',').map(Number);
const ports = { proxyPort: base, callerPort: base + 10, calleePort: base + 20, rpcPort: base + 2 };
const records = [];
const say = (text) => console.error(text);

/** One process that is filled step by step; a saturated phase beside each number of held calls. */
async function growth(hashSize, round) {
  const most = Math.max(...heldSizes, 1);
  const options = { ...ports, core, held: most, checksLimit: true, hashSize };
  const server = await Server.start(kind, options);
  try {
    const phases = [];
    let held = 0;
    for (const size of heldSizes) {
      if (size > held) phases.push(`hold:n=${size - held},max=${OPENING_S_MAX}`, `idle:${SETTLE_S}`);
      held = Math.max(held, size);
      phases.push(`run:cps=0,warm=${WARM_S},dur=${seconds}`, GATE);
    }
    const args = ['--window', String(OPEN_CALLS), '--users', String(CALLERS)];
    const load = new Load({ ...ports, pid: server.pid, core: loadCore, args }, phases);
    held = 0;
    for (const size of heldSizes) {
      const wrong = [];
      let opened = null;
      if (size > held) {
        opened = await load.report();
        wrong.push(...failures(opened));
        if (opened.established < size - held) wrong.push(`${opened.established} of ${size - held} opened`);
        await load.report();
      }
      held = Math.max(held, size);
      const report = await load.report();
      wrong.push(...faults(report));
      const { all } = await server.rpc('dlg.stats_active');
      if (all < held) wrong.push(`${all} of ${held} dialogs are there`);
      records.push({ row: 'growth', hashSize, round, size, faults: wrong, opened, report });
      say(
        `hash_size ${hashSize}, ${size} held, round ${round}: ${
          wrong.length > 0 ? `invalid: ${wrong.join(', ')}` : `${report.server.us_per_call} µs per call`
        }`,
      );
      load.release();
    }
    await load.finish();
  } finally {
    await server.stop();
  }
}

/** Messages handled, and datagrams handed to another worker. */
async function traffic(server) {
  const lines = await server.rpc('stats.get_statistics', ['all']);
  const all = new Map(lines.map((line) => [line.split(' = ')[0], Number(line.split(' = ')[1])]));
  return {
    handled: all.get('core:rcv_requests') + all.get('core:rcv_replies'),
    handed: all.get('core:steered'),
  };
}

/** CPU per call with `workers`, of calls that belong to worker `owner`; how many hand-overs a call had. */
async function withWorkers(name, workers, owner, calleePort, round, phase) {
  const at = { ...ports, calleePort };
  const server = await Server.start(kind, { ...at, held: 0, checksLimit: true, workers });
  try {
    const owned = workers > 1 ? ['--owner', `${owner}/${workers}`] : [];
    const args = ['--window', String(OPEN_CALLS_MAX), ...owned];
    const load = new Load({ ...at, pid: server.pid, args }, ['run:cps=50,calls=50', GATE, phase]);
    await load.report();
    const before = await traffic(server);
    load.release();
    const report = await load.report();
    await load.finish();
    const after = await traffic(server);
    const share = (after.handed - before.handed) / (after.handled - before.handled);
    const wrong = faults(report);
    if (round > 0) {
      records.push({ row: 'workers', name, workers, round, faults: wrong, report, share });
      const said =
        wrong.length > 0 ? `invalid: ${wrong.join(', ')}` : `${report.server.us_per_call} µs per call`;
      say(`${name}, round ${round}: ${said}`);
    }
    return share;
  } finally {
    await server.stop();
  }
}

/** A callee's port whose datagrams the kernel gives to the worker that also gets the caller's, and that worker. */
async function portOfSameWorker() {
  for (let n = 0; n < PORT_TRIES; n++) {
    const calleePort = ports.calleePort + n;
    const share = await withWorkers('', 2, 0, calleePort, 0, 'run:cps=200,calls=200');
    if (share < SHARE_NEAR) return { calleePort, near: 0 };
    // Every message of a peer is handed over once: both sides are received by the other worker.
    if (share > 1 - SHARE_NEAR) return { calleePort, near: 1 };
  }
  throw new Error('no port of the callee is received by the worker that receives the caller');
}

async function workersRow() {
  const { calleePort, near } = await portOfSameWorker();
  const phase = `run:cps=${flags.rate},warm=${WARM_S},dur=${seconds}`;
  for (let round = 1; round <= rounds; round++) {
    await withWorkers('one worker', 1, 0, calleePort, round, phase);
    await withWorkers('two workers, no message crosses', 2, near, calleePort, round, phase);
    await withWorkers('two workers, every message crosses', 2, 1 - near, calleePort, round, phase);
  }
}

if (rows.includes('growth')) {
  for (let round = 1; round <= rounds; round++)
    for (const hashSize of hashSizes) await growth(hashSize, round);
}
if (rows.includes('workers')) await workersRow();

const cpu = (r) => r.report.server.us_per_call;
const cell = (list, pick, digits) => {
  const good = list.filter((r) => r.faults.length === 0);
  if (list.length === 0) return '–';
  return good.length > 0 ? spread(good.map(pick), digits) : `invalid: ${list[0].faults[0]}`;
};
if (rows.includes('growth')) {
  const of = (hashSize, size) => records.filter((r) => r.hashSize === hashSize && r.size === size);
  const lines = heldSizes.map((size) => [
    size.toLocaleString('en'),
    ...hashSizes.map((hashSize) => cell(of(hashSize, size), cpu, 1)),
  ]);
  console.log(
    `\n${table(['CPU µs per call, saturated, beside held', ...hashSizes.map((n) => `hash_size ${n}`)], lines)}\n`,
  );
}
if (rows.includes('workers')) {
  const names = [...new Set(records.filter((r) => r.row === 'workers').map((r) => r.name))];
  const lines = names.map((name) => {
    const list = records.filter((r) => r.name === name);
    return [name, cell(list, cpu, 1), `${(100 * median(list.map((r) => r.share))).toFixed(0)} %`];
  });
  console.log(
    `\n${table([`at ${flags.rate} calls/s`, 'CPU µs per call', 'handed to the other worker'], lines)}\n`,
  );
}
const command = `node bench/scale.mjs ${process.argv.slice(2).join(' ')}`.trim();
console.log(
  `raw data: ${store('scale', { command, machine: machine(), flags, records })}\nagain: ${command}`,
);
process.exitCode = records.some((r) => r.faults.length > 0) ? 1 : 0;
