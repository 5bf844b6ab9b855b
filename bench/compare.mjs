/**
 * Two builds side by side: `npm run bench:compare -- BASE CHANGE`.
 *
 *   node bench/compare.mjs BASE_DIRECTORY [CHANGE_DIRECTORY] [--rounds 8] [--rows saturated,rate1000] [--server holdfast]
 *
 * Both are directories with a built dist/; the second is this one when it is left out.  Rounds alternate (base, change,
 * change, base, ...), so that a slow minute of the machine hits both of a pair.  The verdict is the 95 % interval of the
 * ratio of the pairs, change to base: below 1 the change is faster.  A pair with an invalid half is left out.
 */
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
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

async function round(name, number) {
  const options = { ...ports, core, held: 0, checksLimit: true, directory: directories[name] };
  const server = await Server.start(kind, options);
  try {
    const phases = rows.map((row) => {
      const rate = row === 'saturated' ? 0 : Number(row.replace('rate', ''));
      return `run:cps=${rate},warm=${WARM_S},dur=${flags.seconds}`;
    });
    const load = new Load({ ...ports, pid: server.pid, core: loadCore, args: ['--window', '60'] }, phases);
    for (const row of rows) {
      const report = await load.report();
      const wrong = faults(report);
      records.push({ build: name, round: number, row, faults: wrong, report });
      const said =
        wrong.length > 0 ? `invalid: ${wrong.join(', ')}` : `${report.server.us_per_call} µs per call`;
      console.error(`round ${number} ${name} ${row}: ${said}`);
    }
    await load.finish();
  } finally {
    await server.stop();
  }
}

for (let number = 1; number <= rounds; number++) {
  const order = number % 2 ? ['base', 'change'] : ['change', 'base'];
  for (const name of order) await round(name, number);
}

const lines = rows.map((row) => {
  const of = (name, number) =>
    records.find((r) => r.build === name && r.round === number && r.row === row && r.faults.length === 0)
      ?.report.server.us_per_call;
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
