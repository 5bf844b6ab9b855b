/**
 * Holdfast and its peers on one core, side by side: `npm run bench:peers`.
 *
 *   node bench/peers.mjs [--quick] [--rounds N] [--only ID,ROW,...] [--held N,N,...] [--ports BASE] [--cores S,G]
 *
 * Starts each server in turn on core S with the same policy, drives it from core G, interleaves the rounds, checks every
 * message while it measures, and prints one table.  What is measured how, and what is not claimed: bench/README.md.
 */
import { parseArgs } from 'node:util';
import { machine, median, spread, store, table } from './figures.mjs';
import { faults, GATE, Load } from './load.mjs';
import { bytesPerCall, SERVERS, Server, versionOf } from './servers.mjs';

const { values: flags } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    rounds: { type: 'string' },
    only: { type: 'string' },
    held: { type: 'string' },
    ports: { type: 'string', default: '5070' },
    cores: { type: 'string', default: '0,1' },
    help: { type: 'boolean', default: false },
  },
});

/** Finished transactions live 5 s; a phase is measured when as many end as begin. */
const WARM_S = 6;
const SETTLE_S = 7;
const OPEN_CALLS = 60;
const RATES = [300, 1_000, 3_000];
const LISTING_CALLS_PER_SECOND = 200;
const EXPIRY_WAIT_S = 45;
/** From the start of the rival's process to the first call: it touches all its memory first. */
const EXPIRY_START_S = 15;
/** Other programs on the machine: above this share of a core a figure is marked. */
const OTHER_LOAD_MAX = 0.15;

const ROWS = [
  'saturated',
  ...RATES.map((rate) => `rate${rate}`),
  'latency',
  'memory',
  'held',
  'listing',
  'startup',
  'expiry',
];
const rounds = Number(flags.rounds ?? (flags.quick ? 2 : 3));
const measuredSeconds = flags.quick ? 3 : 10;
const heldSizes = (flags.held ?? (flags.quick ? '10000' : '10000,100000,500000')).split(',').map(Number);
const [serverCore, loadCore] = flags.cores.split(',').map(Number);
const base = Number(flags.ports);
const ports = { proxyPort: base, callerPort: base + 10, calleePort: base + 20, rpcPort: base + 2 };

const asked = flags.only?.split(',') ?? [];
const unknown = asked.filter((word) => !ROWS.includes(word) && !SERVERS.some((server) => server.id === word));
if (flags.help || unknown.length > 0) {
  if (unknown.length > 0) console.error(`unknown: ${unknown.join(', ')}`);
  console.error(`servers: ${SERVERS.map((server) => server.id).join(' ')}\nrows: ${ROWS.join(' ')}`);
  process.exit(unknown.length > 0 ? 1 : 0);
}
const askedRows = asked.filter((word) => ROWS.includes(word));
const isWanted = (row) => askedRows.length === 0 || askedRows.includes(row);
const askedServers = asked.filter((word) => !ROWS.includes(word));
const chosen = SERVERS.filter((server) => askedServers.length === 0 || askedServers.includes(server.id));
const servers = chosen.filter((server) => {
  const missing = server.missing();
  if (missing) console.error(`${server.id}: left out, ${missing}`);
  return !missing;
});

/** Everything that was measured, in order; the table is made from it and it is what is stored. */
const records = [];
const say = (text) => console.error(`${new Date().toISOString().slice(11, 19)} ${text}`);

function record(row, server, round, report, extra = {}) {
  const wrong = report ? faults(report) : [];
  records.push({ row, server: server.id, round, faults: wrong, report, ...extra });
  if (wrong.length > 0) say(`${server.id} ${row}: invalid: ${wrong.join(', ')}`);
}

/** Runs `body` with a server that is stopped afterwards, whatever happens; a failure is recorded, not fatal. */
async function withServer(kind, options, row, round, body) {
  let server = null;
  try {
    server = await Server.start(kind, {
      ...ports,
      core: serverCore,
      held: 0,
      checksLimit: true,
      touchesMemory: true,
      ...options,
    });
    await body(server);
  } catch (error) {
    say(`${kind.id} ${row}: ${error.message.slice(0, 300)}`);
    records.push({ row, server: kind.id, round, faults: [error.message.slice(0, 300)], report: null });
  } finally {
    await server?.stop();
  }
}

async function withLoad(server, args, phases, body) {
  const at = { ...ports, pid: server.pid, core: loadCore, args: [...(server.kind.loadArgs ?? []), ...args] };
  const load = new Load(at, phases);
  try {
    await body(load);
    await load.finish();
  } catch (error) {
    await load.kill();
    throw error;
  }
}

/** Saturated, then at constant rates, in one process: its start is timed too. */
async function steady(kind, round) {
  await withServer(kind, {}, 'saturated', round, async (server) => {
    if (isWanted('startup'))
      records.push({ row: 'startup', server: kind.id, round, faults: [], startMs: server.startMs });
    // A server that is told to stop while it still starts its children may miss it.
    await new Promise((resolve) => setTimeout(resolve, 500));
    const wanted = ['saturated', ...RATES.map((rate) => `rate${rate}`)].filter(isWanted);
    const phase = (row) =>
      `run:cps=${row === 'saturated' ? 0 : row.slice(4)},warm=${WARM_S},dur=${measuredSeconds}`;
    await withLoad(server, ['--window', String(OPEN_CALLS)], wanted.map(phase), async (load) => {
      for (const row of wanted) record(row, kind, round, await load.report());
    });
  });
}

/** Start to first answer with nothing held; memory is not touched in advance here. */
async function startup(kind, round) {
  await withServer(kind, { touchesMemory: false }, 'startup', round, async (server) => {
    records.push({ row: 'startup', server: kind.id, round, faults: [], startMs: server.startMs });
    // A server that is told to stop while it still starts its children may miss it.
    await new Promise((resolve) => setTimeout(resolve, 500));
  });
}

/** Latency at half of what the slowest SIP server of this run can do, with random arrivals. */
async function latency(kind, round, rate) {
  await withServer(kind, {}, 'latency', round, async (server) => {
    const phases = [`run:cps=${rate},warm=${WARM_S},dur=${measuredSeconds}`];
    await withLoad(server, ['--poisson', '--window', '100000'], phases, async (load) => {
      record('latency', kind, round, await load.report(), { rate });
    });
  });
}

/** Holds `size` calls: memory per call, cost of a call beside them, the list of them; then ends all. */
async function held(kind, size, round) {
  // The rival's limit check walks the callers' list: with it these rows would show that and nothing else.
  const options = { held: size, checksLimit: kind.isOurs };
  await withServer(kind, options, 'memory', round, async (server) => {
    const wantsCost = isWanted('held');
    const wantsList = isWanted('listing') && size <= 100_000;
    const phases = [
      `run:cps=1000,dur=2`,
      `idle:${SETTLE_S}`,
      GATE,
      `hold:n=${size},max=900`,
      `idle:${SETTLE_S}`,
      GATE,
      ...(wantsCost ? [`run:cps=0,warm=${WARM_S},dur=${measuredSeconds}`] : []),
      ...(wantsList ? [GATE, `run:cps=${LISTING_CALLS_PER_SECOND},dur=10`] : []),
      'bye:max=900',
    ];
    const args = ['--window', String(OPEN_CALLS), '--users', '1000'];
    await withLoad(server, args, phases, async (load) => {
      await load.report();
      await load.report();
      const empty = await server.memory();
      load.release();
      const opened = await load.report();
      await load.report();
      const full = await server.memory();
      load.release();
      const perCall = bytesPerCall(full, empty, opened.established);
      record('memory', kind, round, opened, { size, perCall, empty, full });
      if (wantsCost) record('held', kind, round, await load.report(), { size });
      if (wantsList) await listing(server, load, size, round);
      const ended = await load.report();
      if (ended.failed > 0 || ended.completed !== opened.established) {
        records.push({
          row: 'memory',
          server: kind.id,
          round,
          size,
          faults: [`${ended.failed} calls lost at the end`],
        });
      }
    });
  });
}

async function listing(server, load, size, round) {
  load.release();
  await new Promise((resolve) => setTimeout(resolve, 2_000));
  const begun = performance.now();
  let result;
  try {
    result = await server.countListed();
  } catch (error) {
    result = { listed: 0, bytes: 0, error: error.message };
  }
  const seconds = (performance.now() - begun) / 1_000;
  const report = await load.report();
  const wrong =
    result.listed < size ? [`listed ${result.listed} of ${size} ${result.error ?? ''}`.trim()] : [];
  records.push({
    row: 'listing',
    server: server.kind.id,
    round,
    size,
    faults: wrong,
    seconds,
    ...result,
    report,
  });
}

/** All held calls expire in the same second; both sides must be told, and new calls go on. */
async function expiry(kind, round) {
  const size = Math.min(100_000, Math.max(...heldSizes));
  const openingSeconds = Math.ceil(size / 2_500) + 5;
  const expireAtSeconds = Math.floor(Date.now() / 1_000) + EXPIRY_START_S + openingSeconds;
  await withServer(
    kind,
    { held: size, checksLimit: false, expireAtSeconds },
    'expiry',
    round,
    async (server) => {
      const phases = [
        `hold:n=${size},max=${openingSeconds}`,
        `run:cps=200,expire=${EXPIRY_WAIT_S + openingSeconds}`,
      ];
      await withLoad(server, ['--window', String(OPEN_CALLS)], phases, async (load) => {
        const opened = await load.report();
        const report = await load.report();
        const early = opened.srv_bye.caller + opened.srv_bye.callee;
        const wrong = early > 0 ? [`${early} expired while calls were still opened`] : [];
        records.push({
          row: 'expiry',
          server: kind.id,
          round,
          size: opened.established,
          faults: wrong,
          report,
        });
      });
    },
  );
}

async function measure() {
  for (let round = 1; round <= rounds; round++) {
    for (const kind of servers) {
      if (isWanted('startup')) await startup(kind, round);
      if (!['saturated', ...RATES.map((rate) => `rate${rate}`)].some(isWanted)) continue;
      say(`round ${round} of ${rounds}: ${kind.id}, steady`);
      await steady(kind, round);
    }
  }
  if (isWanted('latency')) {
    const slowest = servers
      .filter((kind) => kind.isSip)
      .map((kind) => valid('saturated', kind).map((r) => r.report.cps))
      .filter((list) => list.length > 0)
      .map(median);
    const rate = slowest.length > 0 ? Math.round(Math.min(...slowest) / 200) * 100 : 2_000;
    for (let round = 1; round <= rounds; round++) {
      for (const kind of servers) {
        say(`round ${round} of ${rounds}: ${kind.id}, latency at ${rate} calls/s`);
        await latency(kind, round, rate);
      }
    }
  }
  if (['memory', 'held', 'listing'].some(isWanted)) {
    for (const size of heldSizes) {
      for (const kind of servers.filter((server) => server.isSip)) {
        say(`${kind.id}, ${size} held`);
        await held(kind, size, 1);
      }
    }
  }
  if (isWanted('expiry')) {
    for (const kind of servers.filter((server) => server.hasExpiry)) {
      say(`${kind.id}, mass expiry`);
      await expiry(kind, 1);
    }
  }
}

/** The records of a cell that may be printed. */
function valid(row, kind, where = () => true) {
  return records.filter((r) => r.row === row && r.server === kind.id && r.faults.length === 0 && where(r));
}

/** A cell: figures of the valid rounds, or why there are none. */
function cell(row, kind, pick, digits, where = () => true) {
  const all = records.filter((r) => r.row === row && r.server === kind.id && where(r));
  const good = all.filter((r) => r.faults.length === 0);
  if (all.length === 0) return '–';
  if (good.length === 0) return `invalid: ${all[0].faults[0]}`;
  const noisy = good.some((r) => (r.report?.other_load ?? 0) > OTHER_LOAD_MAX) ? ' *' : '';
  const lost = good.length < all.length ? ` (${good.length} of ${all.length} rounds)` : '';
  return `${spread(good.map(pick), digits)}${lost}${noisy}`;
}

function print() {
  const rows = [];
  const add = (name, make) => rows.push([name, ...servers.map(make)]);
  const cpu = (r) => r.report.server.us_per_call;
  if (isWanted('saturated')) {
    add('calls/s on one core, saturated', (kind) => cell('saturated', kind, (r) => r.report.cps, 0));
    add('CPU µs per call, saturated', (kind) => cell('saturated', kind, cpu, 1));
    add('load of the server core / of the generator core', (kind) => {
      const share = (r) => r.report.gen_cpu_s / r.report.wall_s;
      return `${cell('saturated', kind, (r) => r.report.server.load, 2)} / ${cell('saturated', kind, share, 2)}`;
    });
  }
  for (const rate of RATES.filter((one) => isWanted(`rate${one}`))) {
    add(`CPU µs per call at ${rate} calls/s`, (kind) => cell(`rate${rate}`, kind, cpu, 1));
  }
  if (isWanted('latency')) {
    const at = records.find((r) => r.row === 'latency' && r.rate)?.rate ?? 0;
    for (const [name, field] of [
      ['INVITE through the proxy', 'lat_invite_us'],
      ['200 through the proxy', 'lat_200_us'],
    ]) {
      add(`${name} at ${at} calls/s, p50 µs`, (kind) => cell('latency', kind, (r) => r.report[field].p50, 0));
      add(`${name} at ${at} calls/s, p99 µs`, (kind) => cell('latency', kind, (r) => r.report[field].p99, 0));
    }
  }
  for (const size of heldSizes) {
    const where = (r) => r.size === size;
    if (isWanted('memory'))
      add(`bytes per held call, ${size} held`, (kind) => cell('memory', kind, (r) => r.perCall, 0, where));
    if (isWanted('held')) {
      add(`CPU µs per call, saturated, beside ${size} held`, (kind) => cell('held', kind, cpu, 1, where));
      add(`the same against none held`, (kind) => {
        const none = valid('saturated', kind).map(cpu);
        return none.length > 0 ? cell('held', kind, (r) => cpu(r) / median(none), 2, where) : '–';
      });
    }
    if (isWanted('listing') && size <= 100_000) {
      add(`dlg.list of ${size}: seconds`, (kind) => cell('listing', kind, (r) => r.seconds, 2, where));
      add(`slowest INVITE meanwhile, ms`, (kind) =>
        cell('listing', kind, (r) => r.report.lat_invite_us.max / 1_000, 1, where),
      );
    }
  }
  if (isWanted('startup'))
    add('start to first answer, ms', (kind) => cell('startup', kind, (r) => r.startMs, 0));
  if (isWanted('expiry'))
    add('mass expiry: BYEs caller / callee of calls, seconds, p99 of new calls', expiryCell);
  console.log(`\n${table(['', ...servers.map((kind) => kind.title)], rows)}\n`);
}

function expiryCell(kind) {
  if (!kind.isSip) return '–';
  if (!kind.hasExpiry) return 'not built yet';
  const [one] = records.filter((r) => r.row === 'expiry' && r.server === kind.id);
  if (!one?.report || one.faults.length > 0) return one ? `invalid: ${one.faults[0]}` : '–';
  const { srv_bye: bye, lat_invite_us: invite } = one.report;
  return `${bye.caller} / ${bye.callee} of ${one.size}, ${bye.span_s.toFixed(1)} s, ${(invite.p99 / 1_000).toFixed(1)} ms`;
}

const about = machine();
await measure();
const versions = Object.fromEntries(servers.map((kind) => [kind.id, versionOf(kind)]));
const command = `node bench/peers.mjs ${process.argv.slice(2).join(' ')}`.trim();
const path = store('peers', {
  command,
  machine: about,
  versions,
  rounds,
  measuredSeconds,
  heldSizes,
  records,
});
print();
console.log(`median (least–most) of ${rounds} interleaved rounds of ${measuredSeconds} s; held rows once.`);
console.log('* other programs took more than 15 % of a core in at least one of these rounds.');
console.log(
  `${about.processor}, ${about.cores} cores, Linux ${about.kernel}, Node ${about.node}, ${about.revision}`,
);
console.log(`raw data: ${path}\nagain: ${command}`);
