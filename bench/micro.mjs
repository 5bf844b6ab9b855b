/**
 * What single parts cost, beside few and many dialogs: `npm run bench:micro`.
 *
 *   node bench/micro.mjs [--quick] [--only parse,messages,dialogs,native] [--sizes 1,1000,1000000]
 *
 * parse, messages and dialogs are bench/cases, with tinybench, through the same calls as the packet path; native is the
 * core alone (bench/native), without Node.  Nanoseconds per call; each case checks its results.
 */
import { execFileSync } from 'node:child_process';
import { parseArgs } from 'node:util';
import * as dialogs from './cases/dialogs.bench.mjs';
import * as messages from './cases/messages.bench.mjs';
import * as parse from './cases/parse.bench.mjs';
import { machine, store, table } from './figures.mjs';
import { buildTableBench } from './instructions.mjs';

const { values: flags } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    only: { type: 'string', default: 'parse,messages,dialogs,native' },
    sizes: { type: 'string' },
  },
});
const timeMs = flags.quick ? 100 : 500;
const sizes = (flags.sizes ?? (flags.quick ? '1,1000' : '1,1000,1000000')).split(',').map(Number);
/** The native bench makes a call per dialog: with fewer there is nothing to measure. */
const NATIVE_DIALOGS_MIN = 64;

/** The core without Node; p99 is not known there. */
async function native() {
  const program = buildTableBench();
  return sizes.flatMap((size) => {
    const held = Math.max(size, NATIVE_DIALOGS_MIN);
    const lines = execFileSync(program, [String(held), '--lines'], { encoding: 'utf8' })
      .trim()
      .split('\n');
    return lines.map((line) => {
      const [name, ns] = line.split('\t');
      return { case: name, held, median: Math.round(Number(ns)), p99: null };
    });
  });
}

const CASES = { parse: parse.run, messages: messages.run, dialogs: dialogs.run, native };
const rows = [];
for (const name of flags.only.split(',')) {
  if (!CASES[name]) {
    console.error(`unknown: ${name}; there are ${Object.keys(CASES).join(', ')}`);
    process.exit(1);
  }
  console.error(`${name} ...`);
  for (const row of await CASES[name]({ timeMs, sizes })) rows.push({ part: name, ...row });
}

const helds = [...new Set(rows.map((row) => row.held))].sort((a, b) => a - b);
const lines = [...new Set(rows.map((row) => `${row.part}\t${row.case}`))].map((key) => {
  const [part, name] = key.split('\t');
  const cells = helds.map((held) => {
    const row = rows.find((one) => one.part === part && one.case === name && one.held === held);
    if (!row) return '';
    return row.p99 === null ? String(row.median) : `${row.median} (${row.p99})`;
  });
  return [part, name, ...cells];
});
const heading = (held) => (held === 0 ? 'no dialogs' : `beside ${held.toLocaleString('en')}`);
console.log(`\n${table(['', 'ns per call: median (p99)', ...helds.map(heading)], lines)}\n`);
console.log(`raw data: ${store('micro', { machine: machine(), flags, rows })}`);
