/**
 * What takes longer than `npm test` may: `npm run nightly`.
 *
 *   npm run nightly                   builds, then runs every row below, one after the other, even after a failure
 *   npm run nightly -- fuzz soak      the rows whose name contains one of the words
 *   npm run nightly -- --list         what there is
 *
 * A row is a command that exits with 0 when all is well.  HOLDFAST_NIGHTLY=1 stands in its environment: a test that has
 * a short form for `npm test` and a long one asks for that variable, so that both are one test.  Exits with 1 when a row
 * fails or takes longer than its minutes.
 */
import { parseArgs } from 'node:util';
import { build } from './build.mjs';
import { run } from './child.mjs';
import { ROOT, say } from './stamps.mjs';

const NODE = process.execPath;
const native = (...words) => [NODE, 'scripts/test-native.mjs', ...words];

/** Name, what it proves, command, and after how many minutes it is killed. */
const ROWS = [
  {
    name: 'parser-fuzz',
    proves: 'fifty million mutated messages do not break the parser',
    command: [NODE, 'scripts/test-parser-native.mjs', '--runs', '5e7'],
    minutesMax: 60,
  },
  {
    name: 'dialog-fuzz',
    proves: 'a million mutated datagrams and dialogs leave counts equal to records, and nothing in the end',
    command: [NODE, 'node_modules/vitest/vitest.mjs', 'run', 'test/fuzz/dialogs.test.ts'],
    minutesMax: 60,
  },
  {
    name: 'kill-native',
    proves: 'SIGKILL at every point of a change, and at random instants, leaves each record whole',
    command: native('native/kill_test', 'native/transactions_kill_test'),
    minutesMax: 30,
  },
  {
    name: 'attach-step',
    proves: 'SIGKILL at any instruction of attach leaves what the next process takes over',
    command: native('native/attach_step'),
    minutesMax: 30,
  },
  {
    name: 'damage',
    proves: 'a file with any bytes changed is refused, or works',
    command: native('native/damage_test'),
    minutesMax: 60,
  },
  {
    name: 'kill-nine',
    proves: 'a thousand SIGKILLs under 250,000 calls lose none and leave nothing',
    command: [NODE, 'bench/kill-nine.mjs', '--kills', '1000'],
    minutesMax: 120,
  },
  {
    name: 'soak',
    proves: 'half an hour of calls of every kind leaves nothing behind',
    command: [NODE, 'bench/soak.mjs', '--minutes', '30'],
    minutesMax: 40,
  },
];

const { values, positionals } = parseArgs({
  options: { list: { type: 'boolean', default: false } },
  allowPositionals: true,
});
const chosen = ROWS.filter(
  ({ name }) => positionals.length === 0 || positionals.some((word) => name.includes(word)),
);
if (values.list) for (const row of chosen) process.stdout.write(`${row.name}: ${row.proves}\n`);
else process.exitCode = (await runRows(chosen)) ? 0 : 1;

async function runRows(rows) {
  if (rows.length === 0) {
    say('nightly: no row has such a name (--list shows them)');
    return false;
  }
  if (!(await build())) return false;
  const verdicts = [];
  for (const row of rows) verdicts.push(await runRow(row));
  const failed = verdicts.filter((verdict) => !verdict).length;
  process.stdout.write(`nightly: ${rows.length - failed} passed, ${failed} failed\n`);
  return failed === 0;
}

async function runRow({ name, proves, command, minutesMax }) {
  process.stdout.write(`nightly: ${name}: ${proves}\n`);
  const begunAt = performance.now();
  const env = { HOLDFAST_NIGHTLY: '1' };
  const { code } = await run(command[0], command.slice(1), { env, secondsMax: minutesMax * 60, cwd: ROOT });
  const minutes = ((performance.now() - begunAt) / 60_000).toFixed(1);
  process.stdout.write(
    `nightly: ${name}: ${code === 0 ? 'passed' : `failed, code ${code}`}, ${minutes} min\n`,
  );
  return code === 0;
}
