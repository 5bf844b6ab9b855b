/**
 * Two builds side by side: `npm run bench:compare -- BASE CHANGE`.
 *
 *   node bench/compare.mjs BASE_DIRECTORY [CHANGE_DIRECTORY] [--rounds 8] [--rows saturated,rate1000] [--server holdfast]
 *   node bench/compare.mjs BASE_DIRECTORY [CHANGE_DIRECTORY] --rows expiry [--calls 100000] [--set dialog:NAME=VALUE]
 *
 * Both are directories with a built dist/; the second is this one when it is left out.  Rounds alternate (base, change,
 * change, base, ...), so that a slow minute of the machine hits both of a pair.  The verdict is the 95 % interval of the
 * ratio of the pairs, change to base: below 1 the change is faster.  A pair with an invalid half is left out.
 */
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { EXPIRY_CALLS, planExpiry, watchExpiry } from './expiry.mjs';
import { machine, median, pairedInterval, spread, store, table } from './figures.mjs';
import { faults, Load } from './load.mjs';
import { SERVERS, Server } from './servers.mjs';

const { values: flags, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: 'string', default: '8' },
    rows: { type: 'string', default: 'saturated,rate1000' },
    server: { type: 'string', default: 'holdfast' },
    seconds: { type: 'string', default: '6' },
    calls: { type: 'string', default: String(EXPIRY_CALLS) },
    set: { type: 'string', multiple: true, default: [] },
    ports: { type: 'string', default: '5070' },
    cores: { type: 'string', default: '0,1' },
  },
});
const WARM_S = 6;
/** Fewer pairs have no 95 % interval. */
const ROUNDS_MIN = 6;
const here = fileURLToPath(new URL('..', import.meta.url));
const directories = { base: resolve(positionals[0] ?? ''), change: resolve(positionals[1] ?? here) };
const rounds = Number(flags.rounds);
const kind = SERVERS.find((server) => server.id === flags.server);
const problem =
  positionals.length === 0
    ? 'usage: node bench/compare.mjs BASE_DIRECTORY [CHANGE_DIRECTORY]'
    : !kind?.isOurs
      ? `${flags.server} is not a build of ours`
      : rounds < ROUNDS_MIN
        ? `--rounds ${flags.rounds}: at least ${ROUNDS_MIN}, or there is no interval`
        : Object.values(directories).find((directory) => !existsSync(`${directory}/dist/cli/main.js`));
if (problem) {
  console.error(
    problem.startsWith('/') ? `${problem} has no dist/cli/main.js: npm run build there` : problem,
  );
  process.exit(1);
}
const base = Number(flags.ports);
const [core, loadCore] = flags.cores.split(',').map(Number);
const ports = { proxyPort: base, callerPort: base + 10, calleePort: base + 20, rpcPort: base + 2 };
const rows = flags.rows.split(',');
const records = [];

async function withLoad(name, options, phases, body) {
  const directory = directories[name];
  const server = await Server.start(kind, { ...ports, core, ...options, directory, set: flags.set });
  try {
    const load = new Load({ ...ports, pid: server.pid, core: loadCore, args: ['--window', '60'] }, phases);
    await body(load);
    await load.finish();
  } finally {
    await server.stop();
  }
}

function record(build, number, row, report, usPerCall, wrong) {
  records.push({ build, round: number, row, faults: wrong, report, usPerCall });
  const said = wrong.length > 0 ? `invalid: ${wrong.join(', ')}` : `${usPerCall} µs per call`;
  console.error(`round ${number} ${build} ${row}: ${said}`);
}

async function round(name, number) {
  const loaded = rows.filter((row) => row !== 'expiry');
  const phases = loaded.map((row) => {
    const rate = row === 'saturated' ? 0 : Number(row.replace('rate', ''));
    return `run:cps=${rate},warm=${WARM_S},dur=${flags.seconds}`;
  });
  if (phases.length > 0) {
    await withLoad(name, { held: 0, checksLimit: true }, phases, async (load) => {
      for (const row of loaded) {
        const report = await load.report();
        record(name, number, row, report, report.server.us_per_call, faults(report));
      }
    });
  }
  if (rows.includes('expiry')) {
    const size = Number(flags.calls);
    const { options, phases: expiring } = planExpiry(kind, size);
    await withLoad(name, options, expiring, async (load) => {
      const { report, usPerCall, wrong } = await watchExpiry(kind, size, load);
      record(name, number, 'expiry', report, usPerCall, wrong);
    });
  }
}

for (let number = 1; number <= rounds; number++) {
  const order = number % 2 ? ['base', 'change'] : ['change', 'base'];
  for (const name of order) await round(name, number);
}

const lines = rows.map((row) => {
  const of = (name, number) =>
    records.find((r) => r.build === name && r.round === number && r.row === row && r.faults.length === 0)
      ?.usPerCall;
  const pairs = Array.from({ length: rounds }, (_, n) => [of('base', n + 1), of('change', n + 1)]).filter(
    (pair) => pair[0] !== undefined && pair[1] !== undefined,
  );
  if (pairs.length < ROUNDS_MIN) {
    const first = records.find((r) => r.row === row && r.faults.length > 0);
    return [row, '–', '–', '–', `invalid: ${first?.faults.join(', ') ?? 'too few rounds'}`];
  }
  const [before, after] = [0, 1].map((half) => pairs.map((pair) => pair[half]));
  const { ratio, low, high } = pairedInterval(pairs);
  const verdict = high < 1 ? 'faster' : low > 1 ? 'slower' : 'no difference shown';
  const change = `${((ratio - 1) * 100).toFixed(1)} % (${((low - 1) * 100).toFixed(1)} … ${((high - 1) * 100).toFixed(1)})`;
  return [row, spread(before, 1), spread(after, 1), change, verdict];
});
console.log(`\n${table(['CPU µs per call', 'base', 'change', 'change to base, 95 %', 'verdict'], lines)}\n`);
console.log(`base ${directories.base}, change ${directories.change}, ${rounds} rounds each, alternating`);
console.log(`raw data: ${store('compare', { machine: machine(), directories, flags, records })}`);
const noisy = median(records.map((r) => r.report.other_load));
if (noisy > 0.15)
  console.log(`other programs took ${noisy.toFixed(2)} of a core (median): take again on a quiet machine`);
