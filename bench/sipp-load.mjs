/**
 * The big run with sipp: 10,000 calls at 500 a second, held 2 s, three rounds, then the same with sipp's built-in pair.
 *
 *   node bench/sipp-load.mjs [--calls 10000] [--rate 500] [--rounds 3] [--ports 5070] [--builtin]
 *
 * Prints failed calls, matches by cookie, the longest dlg.list, bytes used in the segment and resident memory after a
 * forced collection, round by round.  Exits with 1 when a call failed, something was left over, or memory grew.
 */
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { machine, store, table } from './figures.mjs';

const { values: flags } = parseArgs({
  options: {
    calls: { type: 'string', default: '10000' },
    rate: { type: 'string', default: '500' },
    rounds: { type: 'string', default: '3' },
    ports: { type: 'string', default: '5070' },
    builtin: { type: 'boolean', default: false },
  },
});
const FORGET_WAIT_MS = 90_000;
const READY_WAIT_MS = 30_000;
const RESIDENT_GROWTH_MAX = 0.05;
const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const calls = Number(flags.calls);
const base = Number(flags.ports);
const [proxyPort, rpcPort, callerPort, calleePort] = [base, base + 2, base + 10, base + 20];
const folder = mkdtempSync(join(tmpdir(), 'sipp-load-'));
const segment = `/dev/shm/holdfast-sipp-load-${proxyPort}`;
const wrong = [];

if (spawnSync('sh', ['-c', 'command -v sipp'], { stdio: 'ignore' }).status !== 0) {
  console.error('sipp is not installed (Debian: apt-get install sip-tester)');
  process.exit(1);
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

async function statistics() {
  const lines = await rpc('stats.get_statistics', ['all']);
  return new Map(lines.map((line) => [line.split(' = ')[0], Number(line.split(' = ')[1])]));
}

/** Records in use, by pool: what must be none when the calls are over. */
async function live() {
  const { used, pools = [] } = await rpc('core.shmmem');
  const inUse = (word) =>
    pools.filter((pool) => pool.name.includes(word)).reduce((sum, pool) => sum + pool.used, 0);
  return { usedBytes: used, dialogs: inUse('dialog'), transactions: inUse('transaction') };
}

function residentKilobytes(pid) {
  return Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1]);
}

function sipp(name, args) {
  const statistics = join(folder, `${name}.csv`);
  const common = ['-i', '127.0.0.1', '-nostdin', '-trace_stat', '-stf', statistics, '-fd', '1'];
  const child = spawn(
    'sipp',
    [...args, ...common, '-trace_err', '-error_file', join(folder, `${name}.err`)],
    {
      cwd: folder,
      stdio: ['ignore', 'ignore', 'ignore'],
    },
  );
  const ended = new Promise((resolve) => child.once('close', resolve));
  return { child, ended, counted: () => lastRow(statistics) };
}

function lastRow(path) {
  const rows = readFileSync(path, 'utf8').trim().split('\n');
  const values = rows.at(-1).split(';');
  return new Map(rows[0].split(';').map((name, i) => [name, Number(values[i])]));
}

const proxy = spawn(
  process.execPath,
  [
    ...[
      '--expose-gc',
      '--import',
      here('collect.mjs'),
      here('../dist/cli/main.js'),
      'start',
      '--listen',
      `udp:127.0.0.1:${proxyPort}`,
    ],
    ...['--rpc', `127.0.0.1:${rpcPort}`, '--next-hop', `sip:127.0.0.1:${calleePort}`, '--workers', '1'],
    ...['--segment', segment],
  ],
  { stdio: ['ignore', 'ignore', 'inherit'] },
);
const rows = [];
try {
  const deadline = Date.now() + READY_WAIT_MS;
  for (;;) {
    const isReady = await fetch(`http://127.0.0.1:${rpcPort}/readyz`).then(
      (a) => a.status === 200,
      () => false,
    );
    if (isReady) break;
    if (Date.now() > deadline || proxy.exitCode !== null) throw new Error('the proxy did not come up');
    await pause(50);
  }
  const pair = flags.builtin
    ? { caller: ['-sn', 'uac', '-d', '2000'], callee: ['-sn', 'uas'], counter: 'dialog:matched_by_tags' }
    : {
        caller: ['-sf', here('../test/sipp/uac.xml')],
        callee: ['-sf', here('../test/sipp/uas.xml')],
        counter: 'dialog:matched_by_cookie',
      };
  for (let round = 1; round <= Number(flags.rounds); round++) {
    const before = await statistics();
    const uas = sipp(`uas${round}`, [...pair.callee, '-p', String(calleePort)]);
    await pause(500);
    const load = ['-m', String(calls), '-r', flags.rate, '-l', String(calls)];
    const uac = sipp(`uac${round}`, [
      `127.0.0.1:${proxyPort}`,
      ...pair.caller,
      '-p',
      String(callerPort),
      ...load,
    ]);
    let peak = 0;
    let isOver = false;
    void uac.ended.then(() => {
      isOver = true;
    });
    while (!isOver) {
      peak = Math.max(peak, (await rpc('dlg.list')).length);
      await pause(2_000);
    }
    uas.child.kill('SIGUSR1');
    await Promise.race([uas.ended, pause(5_000)]);
    uas.child.kill('SIGKILL');
    const forgotten = Date.now() + FORGET_WAIT_MS;
    let left = await live();
    while ((left.dialogs > 0 || left.transactions > 0) && Date.now() < forgotten) {
      await pause(250);
      left = await live();
    }
    proxy.kill('SIGUSR2');
    await pause(2_000);
    const after = await statistics();
    const counted = uac.counted();
    const row = {
      round,
      successful: counted.get('SuccessfulCall(C)'),
      failed: counted.get('FailedCall(C)'),
      sentAgain: counted.get('Retransmissions(C)'),
      matched: after.get(pair.counter) - before.get(pair.counter),
      peak,
      ...left,
      residentKilobytes: residentKilobytes(proxy.pid),
    };
    rows.push(row);
    if (row.failed > 0 || row.successful !== calls) wrong.push(`round ${round}: ${row.failed} calls failed`);
    if (row.matched < 2 * calls) wrong.push(`round ${round}: ${row.matched} matches in ${pair.counter}`);
    if (row.dialogs > 0 || row.transactions > 0)
      wrong.push(`round ${round}: ${row.dialogs} dialogs, ${row.transactions} transactions left`);
    if (round > 1 && row.usedBytes !== rows[0].usedBytes)
      wrong.push(`round ${round}: ${row.usedBytes - rows[0].usedBytes} bytes more`);
    if (round > 1 && row.residentKilobytes > rows[0].residentKilobytes * (1 + RESIDENT_GROWTH_MAX)) {
      wrong.push(`round ${round}: resident memory grew to ${row.residentKilobytes} kB`);
    }
    console.error(`round ${round}: ${row.successful} calls, ${row.failed} failed`);
  }
} finally {
  proxy.kill('SIGTERM');
  await Promise.race([new Promise((resolve) => proxy.once('close', resolve)), pause(20_000)]);
  proxy.kill('SIGKILL');
  rmSync(folder, { recursive: true, force: true });
  rmSync(segment, { force: true });
}
const names = Object.keys(rows[0] ?? {});
console.log(
  table(
    names,
    rows.map((row) => names.map((name) => String(row[name]))),
  ),
);
console.log(`raw data: ${store('sipp-load', { flags, machine: machine(), rows, wrong })}`);
for (const what of wrong) console.error(`invalid: ${what}`);
process.exitCode = wrong.length > 0 ? 1 : 0;
