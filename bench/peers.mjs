/**
 * Holdfast and its peers on one core, side by side: `npm run bench:peers`.
 *
 *   node bench/peers.mjs [--short] [--rounds N] [--only ID,ROW,...] [--held N,N,...] [--ports BASE] [--cores S,G]
 *
 * Starts each server in turn on core S with the same policy, drives it from core G, interleaves the rounds, checks every
 * message while it measures, and prints one table and one verdict per target.  `--short` takes under 14 minutes: short
 * phases, two rounds, and the long rows only of Holdfast and of the rival that was cheaper.  What is measured how, and
 * what is not claimed: bench/README.md.
 */
import { execFileSync } from 'node:child_process';
import { parseArgs } from 'node:util';
import { EXPIRY_CALLS, planExpiry, watchExpiry } from './expiry.mjs';
import { machine, median, store, table } from './figures.mjs';
import { failures, faults, GATE, Load } from './load.mjs';
import { bytesPerCall, SERVERS, Server, versionOf } from './servers.mjs';
import { isNoisy, NOT_BUILT, rivalOf, tableOf, verdicts } from './verdict.mjs';

const { values: flags } = parseArgs({
  options: {
    short: { type: 'boolean', default: false },
    rounds: { type: 'string' },
    only: { type: 'string' },
    held: { type: 'string' },
    seconds: { type: 'string' },
    ports: { type: 'string', default: '5070' },
    cores: { type: 'string', default: '0,1' },
    help: { type: 'boolean', default: false },
  },
});

/** Finished transactions live 5 s; a phase is measured when as many end as begin. */
const WARM_S = flags.short ? 5.5 : 6;
const SETTLE_S = flags.short ? 6 : 7;
const OPEN_CALLS = 60;
/** An open loop has as many calls open as it needs. */
const OPEN_CALLS_MAX = 100_000;
const RATES = [300, 1_000, 3_000];
const LISTING_CALLS_PER_SECOND = 200;
const LISTING_S = flags.short ? 6 : 10;
const LISTED_MAX = 100_000;
const LATENCY_DEFAULT_RATE = 2_000;

const STEADY = ['saturated', ...RATES.map((rate) => `rate${rate}`)];
const ROWS = [...STEADY, 'latency', 'memory', 'held', 'restart', 'listing', 'startup', 'expiry'];
const rounds = Number(flags.rounds ?? (flags.short ? 2 : 3));
const measuredSeconds = Number(flags.seconds ?? (flags.short ? 3 : 10));
const heldSizes = (flags.held ?? '10000,100000,500000').split(',').map(Number);
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
const begunAt = performance.now();
const say = (text) =>
  console.error(`${((performance.now() - begunAt) / 1_000).toFixed(0).padStart(5)} s  ${text}`);

/** Keeps one measurement with what was wrong with it; what the server wrote explains that. */
function record(row, server, round, report, extra = {}, wrong = report ? faults(report) : []) {
  const output = wrong.length > 0 ? server.output.slice(-2_000) : undefined;
  records.push({ row, server: server.kind.id, round, faults: wrong, report, ...extra, output });
  if (wrong.length > 0) say(`${server.kind.id} ${row}: invalid: ${wrong.join(', ')}`);
}

const optionsOf = (options) => ({
  ...ports,
  core: serverCore,
  held: 0,
  checksLimit: true,
  touchesMemory: true,
  ...options,
});

/** Runs `body` with a server that is stopped afterwards, whatever happens; a failure is recorded, not fatal. */
async function withServer(kind, options, row, round, body) {
  let server = null;
  try {
    server = await Server.start(kind, optionsOf(options));
    await body(server);
  } catch (error) {
    const fault = error.message.slice(0, 300);
    say(`${kind.id} ${row}: ${fault}`);
    records.push({ row, server: kind.id, round, faults: [fault], report: null, size: options.held });
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

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
/** A server that is told to stop while it still starts its children may miss it. */
const CHILDREN_START_MS = 500;

/** Saturated, then at constant rates, then latency if its rate is known: one process, several phases. */
async function steady(kind, round, latencyRate) {
  // The forwarder is the floor of two rows; the others would only take time.
  const rows = STEADY.filter(isWanted).filter(
    (row) => kind.isSip || !flags.short || row === 'saturated' || row === 'rate1000',
  );
  const phases = rows.map(
    (row) => `run:cps=${row === 'saturated' ? 0 : row.slice(4)},warm=${WARM_S},dur=${measuredSeconds}`,
  );
  if (latencyRate) phases.push(latencyPhase(latencyRate));
  if (phases.length === 0) return;
  await withServer(kind, {}, rows[0] ?? 'latency', round, async (server) => {
    await pause(CHILDREN_START_MS);
    await withLoad(server, ['--window', String(OPEN_CALLS)], phases, async (load) => {
      for (const row of rows) record(row, server, round, await load.report());
      if (latencyRate) record('latency', server, round, await load.report(), { rate: latencyRate });
    });
  });
}

/** Random arrivals. */
const latencyPhase = (rate) =>
  `run:cps=${rate},poisson=1,window=${OPEN_CALLS_MAX},warm=${WARM_S},dur=${measuredSeconds}`;

/** Half of what the slowest SIP server of this run can do; null while that is not known of all of them. */
function halfLoad() {
  const lists = servers
    .filter((kind) => kind.isSip)
    .map((kind) => records.filter((r) => r.row === 'saturated' && r.server === kind.id && r.report));
  if (lists.some((list) => list.length === 0)) return isWanted('saturated') ? null : LATENCY_DEFAULT_RATE;
  const slowest = Math.min(...lists.map((list) => median(list.map((r) => r.report.cps))));
  return Math.max(Math.round(slowest / 200) * 100, 100);
}

/** Start to first answer with nothing held; memory is not touched in advance here. */
async function startup(kind, round) {
  await withServer(kind, { touchesMemory: false }, 'startup', round, async (server) => {
    record('startup', server, round, null, { startMs: server.startMs });
    await pause(CHILDREN_START_MS);
  });
}

/**
 * Holds 10k, 100k, 500k calls in one process: memory per call at each, the list of 100k, what a call costs beside all
 * of them against none before; then the process is killed and started again over them, and they are ended.
 */
async function held(kind, sizes, round) {
  const most = Math.max(...sizes);
  const wants = {
    cost: isWanted('held'),
    list: isWanted('listing'),
    memory: isWanted('memory'),
    restart: isWanted('restart') && kind.startsAgain,
  };
  // The rival's limit check walks the callers' list: with it these rows would show that and nothing else.
  const options = { held: most, checksLimit: kind.isOurs };
  await withServer(kind, options, 'memory', round, async (server) => {
    const cost = `run:cps=0,warm=${WARM_S},dur=${measuredSeconds}`;
    const phases = [wants.cost ? cost : 'run:cps=1000,dur=2', `idle:${SETTLE_S}`, GATE];
    const listedAt = Math.max(...sizes.filter((size) => size <= LISTED_MAX));
    for (const [n, size] of sizes.entries()) {
      phases.push(`hold:n=${size - (sizes[n - 1] ?? 0)},max=900`, `idle:${SETTLE_S}`, GATE);
      if (wants.list && size === listedAt) {
        const calls = `run:cps=${LISTING_CALLS_PER_SECOND},window=${OPEN_CALLS_MAX}`;
        phases.push(`${calls},dur=3`, `${calls},dur=${LISTING_S}`);
      }
    }
    if (wants.cost) phases.push(cost);
    phases.push(GATE, 'bye:max=900');
    await withLoad(server, ['--window', String(OPEN_CALLS), '--users', '1000'], phases, async (load) => {
      const none = await load.report();
      await load.report();
      const empty = await server.memory();
      load.release();
      let established = 0;
      for (const size of sizes) {
        const opened = await load.report();
        established += opened.established;
        await load.report();
        const full = await server.memory();
        const perCall = bytesPerCall(full, empty, established);
        const extra = { size, perCall, empty, full };
        if (wants.memory) record('memory', server, round, opened, extra, failures(opened));
        load.release();
        if (wants.list && size === listedAt) await listing(server, load, size, round);
      }
      if (wants.cost) {
        const beside = await load.report();
        const wrong = [...faults(none).map((fault) => `before: ${fault}`), ...faults(beside)];
        record('held', server, round, beside, { size: most, none }, wrong);
      }
      if (wants.restart) {
        await server.startAgain();
        const { all: active } = await server.rpc('dlg.stats_active');
        // It says so itself when it does not take over what a dead process left.
        const isBuilt = !/moved to .*\.stale/.test(server.output);
        const wrong = !isBuilt
          ? [NOT_BUILT]
          : active < established
            ? [`${active} of ${established} calls were still there`]
            : [];
        record('restart', server, round, null, { size: most, startMs: server.startMs, active }, wrong);
      }
      load.release();
      const ended = await load.report();
      const lost = established - ended.completed;
      if (ended.failed > 0 || lost > 0 || ended.rejected > 0) {
        const fault = `${lost} of ${established} calls could not be ended, last code ${ended.lastcode}`;
        say(`${kind.id}: ${fault}`);
        for (const r of records) {
          if (
            r.server === kind.id &&
            r.round === round &&
            ['memory', 'restart'].includes(r.row) &&
            !r.faults.includes(NOT_BUILT)
          )
            r.faults.push(fault);
        }
      }
    });
  });
}

/** The list of all calls while new ones come: time, bytes, and the slowest INVITE before and meanwhile. */
async function listing(server, load, size, round) {
  const before = await load.report();
  await pause(500);
  const begun = performance.now();
  let result;
  try {
    result = await server.countListed();
  } catch (error) {
    result = { listed: 0, bytes: 0, error: error.message };
  }
  const seconds = (performance.now() - begun) / 1_000;
  const report = await load.report();
  const wrong = failures(report);
  if (result.listed < size) wrong.push(`listed ${result.listed} of ${size} ${result.error ?? ''}`.trim());
  record('listing', server, round, report, { size, seconds, before, ...result }, wrong);
}

/** All held calls expire in the same second; both sides must be told, and new calls go on. */
async function expiry(kind, round) {
  const size = Math.min(EXPIRY_CALLS, Math.max(...heldSizes));
  const { options, phases } = planExpiry(kind, size);
  await withServer(kind, options, 'expiry', round, async (server) => {
    await withLoad(server, ['--window', String(OPEN_CALLS)], phases, async (load) => {
      const { report, wrong, ...extra } = await watchExpiry(kind, size, load);
      record('expiry', server, round, report, extra, wrong);
    });
  });
}

async function measure() {
  const latencies = (kind) => records.filter((r) => r.row === 'latency' && r.server === kind.id).length;
  const rate = () => (isWanted('latency') ? halfLoad() : null);
  for (let round = 1; round <= rounds; round++) {
    const known = rate();
    for (const kind of servers) {
      if (isWanted('startup')) await startup(kind, round);
      if (STEADY.some(isWanted) || known) {
        say(`round ${round} of ${rounds}: ${kind.id}, steady${known ? `, latency at ${known} calls/s` : ''}`);
        await steady(kind, round, known);
      }
    }
  }
  // The first round had no rate yet; a full run makes up for it.
  const wantedLatencies = flags.short ? Math.max(rounds - 1, 1) : rounds;
  const known = rate();
  for (let round = rounds + 1; known && servers.some((kind) => latencies(kind) < wantedLatencies); round++) {
    if (round > 2 * rounds) break;
    for (const kind of servers) {
      say(`${kind.id}, latency at ${known} calls/s`);
      await withServer(kind, {}, 'latency', round, (server) =>
        withLoad(server, [], [latencyPhase(known)], async (load) =>
          record('latency', server, round, await load.report(), { rate: known }),
        ),
      );
    }
  }
  const rival = rivalOf(records);
  // Window on or off makes no difference to memory: one of ours, and in a short run one of theirs.
  const ours = servers.find((kind) => kind.isOurs);
  const long = servers.filter(
    (kind) =>
      kind.isSip &&
      (kind === ours || (!kind.isOurs && (!flags.short || rival === null || kind.id === rival))),
  );
  if (['memory', 'held', 'listing', 'restart'].some(isWanted)) {
    for (const kind of long) {
      const sizes = heldSizes.filter((size) => !flags.short || kind.isOurs || size <= LISTED_MAX);
      say(`${kind.id}, ${sizes.join(', ')} held`);
      await held(kind, sizes, 1);
    }
  }
  if (isWanted('expiry')) {
    for (const kind of long.filter((server) => server.hasExpiry)) {
      say(`${kind.id}, mass expiry`);
      await expiry(kind, 1);
    }
  }
}

const about = machine();
// What reads a listing must not sit on the server's core.
execFileSync('taskset', ['-acp', String(loadCore), String(process.pid)], { stdio: 'ignore' });
await measure();
const minutes = (performance.now() - begunAt) / 60_000;
const versions = Object.fromEntries(servers.map((kind) => [kind.id, versionOf(kind)]));
const command = `node bench/peers.mjs ${process.argv.slice(2).join(' ')}`.trim();
const all = { command, machine: about, versions, rounds, measuredSeconds, heldSizes, minutes, records };
const judged = verdicts(records);
const path = store('peers', { ...all, verdicts: judged });
console.log(`\n${tableOf(servers, records, { isWanted, rates: RATES, heldSizes })}\n`);
console.log(
  table(
    ['target', 'is', 'must', '', 'aim', ''],
    judged.map((one) => [one.target, one.is, one.must, one.mustVerdict, one.aim, one.aimVerdict]),
  ),
);
console.log(`\nthe rival: ${rivalOf(records) ?? 'none was measured'}, the cheaper per saturated call`);
console.log(
  `median (least–most) of ${rounds} interleaved rounds of ${measuredSeconds} s; the held rows are taken once`,
);
if (records.some(isNoisy))
  console.log('* other programs took more than 15 % of a core in at least one of these rounds');
console.log(
  `${about.processor}, ${about.cores} cores, Linux ${about.kernel}, Node ${about.node}, ${about.revision}, ${minutes.toFixed(1)} minutes`,
);
console.log(`raw data: ${path}\nagain: ${command}`);
