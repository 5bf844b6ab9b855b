/**
 * SIGKILL, again and again, under calls: none fails and nothing is left.  `npm run kill-nine`
 *
 *   node bench/kill-nine.mjs [--kills 1000] [--rate 150] [--hold 3000] [--seed 1] [--workers 1] [--ports 5270]
 *
 * sipp's own caller and callee set up `rate` calls a second through the default routes and hold each for `hold`
 * milliseconds.  The process is killed at a random instant, after it was up as long as its start took, and started again over what
 * it left, `kills` times: 1,000 take some 35 minutes and 250,000 calls.  What comes while nobody runs is lost as on any
 * network; the caller's retransmissions bring it again, so a start must be over well before its 32 s are.  Afterwards sipp
 * must have had no failed call, and no dialog, no transaction, no member and not a byte of the segment may be left.  Exits
 * with 1 when one of these does not hold.
 */
import { spawn, spawnSync } from 'node:child_process';
import { appendFileSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { machine, store, table } from './figures.mjs';

const { values: flags } = parseArgs({
  options: {
    kills: { type: 'string', default: '1000' },
    rate: { type: 'string', default: '150' },
    hold: { type: 'string', default: '3000' },
    seed: { type: 'string', default: '1' },
    workers: { type: 'string', default: '1' },
    ports: { type: 'string', default: '5270' },
  },
});
/** A process lives this much longer at most than its start took. */
const UP_MS_MAX = 1_500;
const READY_MS_MAX = 30_000;
/** sipp gives up after 32 s; a dialog whose BYE may come again stays so long, too. */
const OVER_MS_MAX = 90_000;
const TOLD_EVERY = 20;
const LOOK_EVERY_MS = 500;

const kills = Number(flags.kills);
const base = Number(flags.ports);
const [proxyPort, rpcPort, callerPort, calleePort] = [base, base + 2, base + 10, base + 20];
const folder = mkdtempSync(join(tmpdir(), 'kill-nine-'));
const segment = `/dev/shm/holdfast-kill-nine-${proxyPort}`;
const main = fileURLToPath(new URL('../dist/cli/main.js', import.meta.url));
const wrong = [];

if (spawnSync('sh', ['-c', 'command -v sipp'], { stdio: 'ignore' }).status !== 0) {
  console.error('sipp is not installed (Debian: apt-get install sip-tester)');
  process.exit(1);
}

/** A number in [0, 1) that depends on the seed alone. */
let state = Number(flags.seed) >>> 0;
function random() {
  state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
  return state / 2 ** 32;
}

async function rpc(method, params = []) {
  const answer = await fetch(`http://127.0.0.1:${rpcPort}/RPC`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method, params }),
  });
  const reply = await answer.json();
  if (reply.error) throw new Error(`${method}: ${reply.error.message}`);
  return reply.result;
}

/** Starts the server and waits for its announcement. */
async function start() {
  const args = [
    ...['start', '--listen', `udp:127.0.0.1:${proxyPort}`, '--rpc', `127.0.0.1:${rpcPort}`],
    // A busy machine would have new calls refused, which is not what is asked here.
    ...['--set', 'core:overload_delay_ms=0'],
    ...['--next-hop', `sip:127.0.0.1:${calleePort}`, '--segment', segment, '--workers', flags.workers],
  ];
  const begunAt = performance.now();
  const child = spawn(process.execPath, [main, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  const gone = new Promise((resolve) => child.once('exit', (code, signal) => resolve({ code, signal })));
  await new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`not ready: ${output}`)), READY_MS_MAX);
    const hear = (chunk) => {
      appendFileSync(join(folder, 'server.log'), chunk);
      if (output.length < 65_536) output += chunk;
      if (!output.includes('"started"') && !output.includes('started')) return;
      clearTimeout(timer);
      resolve();
    };
    child.stdout.on('data', hear);
    child.stderr.on('data', hear);
    void gone.then(({ code }) => reject(new Error(`it ended with ${code}: ${output}`)));
  });
  return { child, gone, readyMs: performance.now() - begunAt };
}

function sipp(name, args) {
  const files = ['-trace_stat', '-stf', join(folder, `${name}.csv`), '-fd', '1'];
  const errors = ['-trace_err', '-error_file', join(folder, `${name}.err`)];
  const child = spawn('sipp', [...args, '-i', '127.0.0.1', '-nostdin', ...files, ...errors], {
    cwd: folder,
    stdio: 'ignore',
    env: { ...process.env, TERM: 'dumb' },
  });
  return { child, gone: new Promise((resolve) => child.once('exit', resolve)) };
}

/** The last line of sipp's statistics, by column. */
function counted(name) {
  const [head, ...lines] = readFileSync(join(folder, `${name}.csv`), 'utf8')
    .trim()
    .split('\n');
  const last = (lines.at(-1) ?? '').split(';');
  return new Map(head.split(';').map((column, n) => [column, last[n]]));
}

/** What is left of the calls. */
async function left() {
  const { used } = await rpc('core.shmmem');
  const { all } = await rpc('dlg.stats_active');
  return { dialogs: all, usedBytes: used };
}

let server = await start();
const starts = [];
const uas = sipp('uas', ['-sn', 'uas', '-p', String(calleePort)]);
const uac = sipp('uac', [
  ...['-sn', 'uac', `127.0.0.1:${proxyPort}`, '-p', String(callerPort)],
  ...['-r', flags.rate, '-d', flags.hold, '-l', '100000'],
]);
const begunAt = performance.now();
try {
  await pause(1_000);
  for (let n = 1; n <= kills; n++) {
    // On a busy machine a start takes long: whoever repeats must find somebody.
    await pause(server.readyMs + random() * UP_MS_MAX);
    server.child.kill('SIGKILL');
    await server.gone;
    server = await start();
    starts.push(server.readyMs);
    if (n % TOLD_EVERY === 0) {
      const numbers = counted('uac');
      console.error(
        `${n} kills, ${numbers.get('TotalCallCreated')} calls, ${numbers.get('FailedCall(C)')} failed`,
      );
    }
  }
  // No new calls; those that are up come to their ends.
  uac.child.kill('SIGUSR1');
  await Promise.race([uac.gone, pause(OVER_MS_MAX)]);
  let rest = await left();
  for (const endAt = performance.now() + OVER_MS_MAX; rest.usedBytes > 0 && performance.now() < endAt; ) {
    await pause(LOOK_EVERY_MS);
    rest = await left();
  }
  const seconds = (performance.now() - begunAt) / 1_000;
  const numbers = counted('uac');
  const failed = Number(numbers.get('FailedCall(C)'));
  const calls = Number(numbers.get('TotalCallCreated'));
  if (calls === 0) wrong.push('there were no calls');
  if (failed !== 0) wrong.push(`${failed} calls failed`);
  if (rest.dialogs !== 0) wrong.push(`${rest.dialogs} dialogs left`);
  if (rest.usedBytes !== 0) wrong.push(`${rest.usedBytes} bytes of the segment left`);
  const sorted = starts.sort((a, b) => a - b);
  const at = (share) => Math.round(sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))]);
  const result = {
    kills,
    calls,
    failed,
    ...rest,
    retransmissions: Number(numbers.get('Retransmissions(C)')),
    readyMs: { median: at(0.5), most: at(1) },
    seconds: Math.round(seconds),
  };
  console.log(
    table(
      ['kills', 'calls', 'failed', 'left', 'repeated by the caller', 'ready after ms'],
      [
        [
          kills,
          calls,
          failed,
          `${rest.dialogs} dialogs, ${rest.usedBytes} bytes`,
          result.retransmissions,
          `${result.readyMs.median} (most ${result.readyMs.most})`,
        ].map(String),
      ],
    ),
  );
  const file = store('kill-nine', { command: process.argv.slice(2), machine: machine(), ...result, wrong });
  console.error(`raw: ${file}`);
} catch (error) {
  wrong.push(String(error));
} finally {
  uac.child.kill('SIGKILL');
  uas.child.kill('SIGKILL');
  server.child.kill('SIGTERM');
  await server.gone;
  rmSync(segment, { force: true });
}
for (const why of wrong) console.error(`WRONG: ${why}`);
if (wrong.length > 0) {
  for (const name of readdirSync(folder).filter((one) => one.endsWith('.err')))
    console.error(
      readFileSync(join(folder, name), 'latin1').split('\n').slice(0, 12).join('\n').slice(0, 3_000),
    );
  process.exitCode = 1;
} else rmSync(folder, { recursive: true, force: true });
