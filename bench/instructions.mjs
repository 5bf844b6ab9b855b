/**
 * How many instructions each operation of the native core takes: a figure that a busy machine does not change.
 *
 *   node bench/instructions.mjs             counts and prints what differs from bench/results/instructions.json
 *   node bench/instructions.mjs --store     counts and stores
 *
 * Runs bench/native/table_bench.cc with a fixed number of dialogs under callgrind, which dumps the counts of each step.
 * A report, not a gate: it fails only when it cannot count.  Counts depend on compiler and C library, which are stored
 * with them: where these differ, it says so.  Takes about half a minute.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { table } from './figures.mjs';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const STORED = fileURLToPath(new URL('results/instructions.json', import.meta.url));
const DIALOGS = 2_000;
/** Below this share a difference is the order of the heap, not the code. */
const DIFFERENCE_SHARE_MIN = 0.005;
const SECONDS_MAX = 300;
const CXX = process.env.CXX ?? 'g++';

/** Compiles the core and its bench; returns the program. */
export function buildTableBench(extra = []) {
  const into = join(ROOT, 'bench/.cache', extra.length > 0 ? 'table-bench-counted' : 'table-bench');
  mkdirSync(join(ROOT, 'bench/.cache'), { recursive: true });
  const core = readdirSync(join(ROOT, 'native/core'))
    .filter((file) => file.endsWith('.cc'))
    .map((file) => join('native/core', file));
  const flags = [
    '-std=c++20',
    '-O2',
    '-DNDEBUG',
    '-D_GNU_SOURCE',
    '-fno-exceptions',
    '-fno-rtti',
    '-pthread',
  ];
  execFileSync(CXX, [...flags, ...extra, '-Inative', 'bench/native/table_bench.cc', ...core, '-o', into], {
    cwd: ROOT,
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  return into;
}

const isInstalled = () => spawnSync('valgrind', ['--version'], { stdio: 'ignore' }).status === 0;

/** Instructions per operation, by step. */
function count() {
  const folder = mkdtempSync(join(tmpdir(), 'instructions-'));
  try {
    const program = buildTableBench(['-g1']);
    const out = join(folder, 'callgrind.out');
    const valgrind = ['--tool=callgrind', `--callgrind-out-file=${out}`, '--quiet', '--compress-strings=no'];
    const printed = execFileSync('valgrind', [...valgrind, program, String(DIALOGS), '--lines'], {
      encoding: 'utf8',
      timeout: SECONDS_MAX * 1_000,
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    const operations = new Map(
      printed
        .trim()
        .split('\n')
        .map((line) => line.split('\t'))
        .map(([name, , number]) => [name, Number(number)]),
    );
    const counts = {};
    for (const file of readdirSync(folder)) {
      const dump = readFileSync(join(folder, file), 'utf8');
      const name = /^desc: Trigger: Client Request: (.*)$/m.exec(dump)?.[1]?.trim();
      const total = Number(/^(?:totals|summary): (\d+)/m.exec(dump)?.[1] ?? Number.NaN);
      if (name !== undefined && operations.has(name)) counts[name] = Math.round(total / operations.get(name));
    }
    const missing = [...operations.keys()].filter((name) => !(counts[name] > 0));
    if (missing.length > 0)
      throw new Error(`no count of ${missing.join(', ')} (valgrind/callgrind.h there?)`);
    return Object.fromEntries([...operations.keys()].map((name) => [name, counts[name]]));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function tools() {
  const version = (command, args) => execFileSync(command, args, { encoding: 'utf8' }).split('\n')[0].trim();
  return { compiler: version(CXX, ['--version']), counter: version('valgrind', ['--version']) };
}

/** Counts, compares, prints.  Returns false when it could not count. */
export function reportInstructions({ stores = false } = {}) {
  if (!isInstalled()) {
    console.log('instructions: valgrind not found, not counted (on Debian: apt-get install valgrind)');
    return true;
  }
  let counts;
  try {
    counts = count();
  } catch (error) {
    console.log(`instructions: could not be counted: ${error.message}`);
    return false;
  }
  const now = { dialogs: DIALOGS, tools: tools(), counts };
  const before = existsSync(STORED) ? JSON.parse(readFileSync(STORED, 'utf8')) : null;
  const rows = Object.keys({ ...before?.counts, ...counts }).map((name) => {
    const [was, is] = [before?.counts[name], counts[name]];
    const share = was && is ? is / was - 1 : Number.NaN;
    const isSame = Math.abs(share) < DIFFERENCE_SHARE_MIN;
    const change =
      was && is ? (isSame ? '=' : `${share > 0 ? '+' : ''}${(100 * share).toFixed(1)} %`) : 'new';
    return [name, was ?? '–', is ?? '–', is === undefined ? 'gone' : change];
  });
  const changed = rows.filter((row) => row[3] !== '=');
  const sameTools = before !== null && JSON.stringify(before.tools) === JSON.stringify(now.tools);
  console.log(
    `instructions: ${Object.keys(counts).length} operations of the core, ${changed.length} differ from what is stored${
      before === null || sameTools ? '' : ' (by another compiler or valgrind)'
    }`,
  );
  const shown = stores || before === null ? rows : changed;
  if (shown.length > 0) console.log(table(['instructions per operation', 'stored', 'now', ''], shown));
  if (stores) {
    writeFileSync(STORED, `${JSON.stringify(now, null, 1)}\n`);
    console.log('stored in bench/results/instructions.json');
  }
  return true;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  process.exitCode = reportInstructions({ stores: process.argv.includes('--store') }) ? 0 : 1;
}
