/**
 * Half an hour of calls of every kind, and then nothing may be left: `npm run soak`.
 *
 *   node bench/soak.mjs [--minutes 30] [--rate 50] [--workers 2] [--seed 1] [--ports 5070]
 *
 * Calls are answered, refreshed by re-INVITE, rejected, cancelled, forked, left without any answer, or outlive their
 * lifetime; which one, the seed decides (bench/soak/agents.mjs).  Memory is sampled every 30 s, after a garbage
 * collection.  Afterwards: no dialog, no transaction, not a byte of the segment more than before, no difference between
 * kept counts and records, and resident memory that does not grow.  Exits with 1 when one of these does not hold.
 */
import { readFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { lifetimeParams } from '../dist/config/params/lifetime.js';
import { machine, store, table } from './figures.mjs';
import { SERVERS, Server } from './servers.mjs';
import { Soak } from './soak/agents.mjs';

const { values: flags } = parseArgs({
  options: {
    minutes: { type: 'string', default: '30' },
    rate: { type: 'string', default: '50' },
    workers: { type: 'string', default: '2' },
    seed: { type: 'string', default: '1' },
    ports: { type: 'string', default: '5070' },
  },
});
const SAMPLE_MS = 30_000;
const COLLECT_MS = 1_500;
/** Calls that nobody answers take 32 s, finished transactions 5, ended dialogs a little. */
const OVER_WAIT_MS = 90_000;
/** The first quarter is what a process needs to become warm; growth is judged over the rest. */
const WARM_SHARE = 0.25;
/** More than this over the judged time is growth: heaps breathe. */
const GROWTH_BYTES_MAX = 8 << 20;
const TURN_MS = 20;

const minutes = Number(flags.minutes);
const rate = Number(flags.rate);
const base = Number(flags.ports);
const ports = { proxyPort: base, callerPort: base + 10, calleePort: base + 20, rpcPort: base + 2 };
const calleePorts = [ports.calleePort, ports.calleePort + 1];
const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const kind = SERVERS.find((server) => server.id === 'holdfast');
const sendsByes = !lifetimeParams.send_bye.later;
process.env.HOLDFAST_SOAK_OTHER_CALLEE = `sip:fork@127.0.0.1:${calleePorts[1]}`;

const server = await Server.start(kind, {
  ...ports,
  held: 1,
  checksLimit: true,
  workers: Number(flags.workers),
  routes: here('soak/routes.ts'),
  set: sendsByes ? ['dialog:send_bye=1'] : [],
  imports: [here('soak/audit.mjs')],
});
const soak = new Soak({ ...ports, calleePorts, seed: Number(flags.seed), sendsByes });
const samples = [];
const wrong = [];

function residentBytes() {
  return (
    Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${server.pid}/status`, 'utf8'))?.[1] ?? 0) * 1_024
  );
}

/** Records in use, by pool. */
async function segment() {
  const { used, pools = [] } = await server.rpc('core.shmmem');
  const inUse = (word) =>
    pools.filter((pool) => pool.name.includes(word)).reduce((sum, pool) => sum + pool.used, 0);
  return { usedBytes: used, dialogs: inUse('dialog'), transactions: inUse('transaction') };
}

async function sample(begunAt) {
  process.kill(server.pid, 'SIGUSR2');
  await pause(COLLECT_MS);
  const one = {
    seconds: Math.round((performance.now() - begunAt) / 1_000),
    residentBytes: residentBytes(),
    ...(await segment()),
    openCalls: soak.openCalls,
  };
  samples.push(one);
  const megabytes = (bytes) => (bytes / 2 ** 20).toFixed(1);
  console.error(
    `${one.seconds} s: ${soak.counts.started} calls, ${one.openCalls} open, RSS ${megabytes(one.residentBytes)} MiB, segment ${megabytes(one.usedBytes)} MiB, ${soak.counts.failed} failed`,
  );
}

/** Bytes per second of the line through the samples. */
function slope(points, pick) {
  if (points.length < 2) return 0;
  const mean = (values) => values.reduce((sum, one) => sum + one, 0) / values.length;
  const [x, y] = [mean(points.map((p) => p.seconds)), mean(points.map(pick))];
  const above = points.reduce((sum, p) => sum + (p.seconds - x) * (pick(p) - y), 0);
  return above / points.reduce((sum, p) => sum + (p.seconds - x) ** 2, 0);
}

async function audit() {
  const before = server.output.length;
  process.kill(server.pid, 'SIGWINCH');
  for (let n = 0; n < 50; n++) {
    const found = /audit: (.*) wrong/.exec(server.output.slice(before));
    if (found) return found[1];
    await pause(100);
  }
  return 'not known';
}

let left = null;
try {
  await soak.open();
  const empty = await segment();
  const begunAt = performance.now();
  const endAt = begunAt + minutes * 60_000;
  let nextSample = begunAt + SAMPLE_MS;
  let started = 0;
  let sampling = Promise.resolve();
  while (performance.now() < endAt) {
    // As many as the clock asks for: a late turn is made up for.
    const due = Math.floor(((performance.now() - begunAt) / 1_000) * rate);
    for (; started < due; started++) soak.call();
    if (performance.now() >= nextSample) {
      nextSample += SAMPLE_MS;
      sampling = sampling.then(() => sample(begunAt));
    }
    await pause(TURN_MS);
  }
  await sampling;
  await sample(begunAt);
  const deadline = Date.now() + OVER_WAIT_MS;
  left = await segment();
  while (Date.now() < deadline && (left.dialogs > 0 || left.transactions > 0 || soak.openCalls > 0)) {
    await pause(1_000);
    left = await segment();
  }
  left.audit = await audit();
  left.listed = (await server.countListed()).listed;
  if (left.dialogs > 0 || left.listed > 0) wrong.push(`${left.dialogs} dialogs left`);
  if (left.transactions > 0) wrong.push(`${left.transactions} transactions left`);
  if (left.usedBytes !== empty.usedBytes)
    wrong.push(`${left.usedBytes - empty.usedBytes} bytes of the segment left`);
  if (left.audit !== '0') wrong.push(`audit: ${left.audit}`);
  if (soak.openCalls > 0) wrong.push(`${soak.openCalls} calls had no end`);
  if (soak.counts.failed > 0) wrong.push(`${soak.counts.failed} failures: ${soak.failures[0]}`);
  if (soak.counts.skipped > 0) wrong.push(`${soak.counts.skipped} calls not started: too many were open`);
} catch (error) {
  wrong.push(error.message);
} finally {
  soak.close();
  await server.stop();
}
const judged = samples.slice(Math.floor(samples.length * WARM_SHARE));
const spanSeconds = (judged.at(-1)?.seconds ?? 0) - (judged[0]?.seconds ?? 0);
const residentSlope = slope(judged, (one) => one.residentBytes);
const segmentSlope = slope(judged, (one) => one.usedBytes);
for (const [name, perSecond] of [
  ['resident memory', residentSlope],
  ['the segment', segmentSlope],
]) {
  if (perSecond * spanSeconds > GROWTH_BYTES_MAX)
    wrong.push(`${name} grew by ${((perSecond * 3_600) / 2 ** 20).toFixed(1)} MiB an hour`);
}
const perHour = (perSecond) => `${((perSecond * 3_600) / 2 ** 20).toFixed(1)} MiB/h`;
console.log(
  `\n${table(
    ['flow', 'ended as it should'],
    Object.entries(soak.counts.ended).map(([a, b]) => [a, String(b)]),
  )}\n`,
);
console.log(
  `${soak.counts.started} calls in ${minutes} minutes, ${soak.counts.sentAgain} messages sent again, ${soak.counts.failed} failures; expiry ${sendsByes ? 'with' : 'without'} BYE`,
);
console.log(
  `slope over the last ${spanSeconds} s: resident ${perHour(residentSlope)}, segment ${perHour(segmentSlope)}; left: ${JSON.stringify(left)}`,
);
const data = { command: process.argv.slice(1).join(' '), flags, machine: machine(), counts: soak.counts };
console.log(
  `raw data: ${store('soak', { ...data, failures: soak.failures, samples, residentSlope, segmentSlope, left, wrong })}`,
);
for (const what of wrong) console.log(`not so: ${what}`);
console.log(wrong.length > 0 ? 'soak: failed' : 'soak: good');
process.exitCode = wrong.length > 0 ? 1 : 0;
