/**
 * Where a call's time goes: perf over the server while it is loaded, by stage.
 *
 *   node bench/profile.mjs [--server holdfast] [--rate 0] [--seconds 10] [--top 25] [--ports 5070]
 *   node bench/profile.mjs --expiry [--calls 100000] ...
 *
 * With --expiry that of calls that expire in the same second, until the last transaction is gone.
 *
 * Samples by cpu-clock, for virtual machines have no hardware counters.  Two views of the same samples: by whose code it
 * was (kernel, node and V8, TypeScript compiled by V8, the parser in WebAssembly, our addon, C library), and by what it
 * was done for, from the chain of calls.
 */
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { EXPIRY_CALLS, planExpiry, watchExpiry } from './expiry.mjs';
import { machine, store, table } from './figures.mjs';
import { faults, Load } from './load.mjs';
import { family, SERVERS, Server } from './servers.mjs';

const { values: flags } = parseArgs({
  options: {
    server: { type: 'string', default: 'holdfast' },
    rate: { type: 'string', default: '0' },
    seconds: { type: 'string', default: '10' },
    expiry: { type: 'boolean', default: false },
    calls: { type: 'string', default: String(EXPIRY_CALLS) },
    top: { type: 'string', default: '25' },
    ports: { type: 'string', default: '5070' },
    cores: { type: 'string', default: '0,1' },
  },
});
const WARM_S = 6;
const SAMPLES_PER_SECOND = 1_999;
/** INVITE 100 180 200 ACK BYE 200 at a proxy: six come in, seven go out.  Two BYEs and their 200s. */
const DATAGRAMS_PER_CALL = flags.expiry ? 4 : 13;
const kind = SERVERS.find((server) => server.id === flags.server);
const missing = kind ? kind.missing() : `no server ${flags.server}`;
if (missing || spawnSync('perf', ['--version'], { stdio: 'ignore' }).status !== 0) {
  console.error(missing ?? 'perf is not installed (Debian: apt-get install linux-perf)');
  process.exit(1);
}

/** The stage of a sample, by the file and the symbol that it fell into. */
function stageOf(file, symbol) {
  if (file.includes('[kernel') || file.includes('[guest') || symbol.startsWith('[k]')) return 'kernel';
  if (/\.node$/.test(file)) return 'our addon (C++)';
  if (/^perf-\d+\.map$|^\[JIT\]|^jitted-|^\/\/anon|^anon|\[unknown\]/.test(file)) {
    if (/wasm/i.test(symbol)) return 'parser (WebAssembly)';
    return /^(JS|LazyCompile|Script|Function|Eval|RegExp)\b|[*~^+]/.test(symbol)
      ? 'TypeScript, compiled by V8'
      : 'generated code without a name';
  }
  if (/^(node|nodejs)$/.test(file))
    return /Builtins_/.test(symbol) ? 'V8 builtins and interpreter' : 'node and V8';
  if (/^(libc|ld-linux|libm|libstdc|libpthread|\[vdso\]|\[vsyscall\])/.test(file)) return 'C library';
  return `other: ${file}`;
}

/** What a sample was taken for: the first row whose pattern is found, in the innermost function or in any. */
const WORK = [
  ['send, with the delivery to the receiver', 'any', /sys_sendm?msg|sys_sendto/],
  ['receive', 'any', /sys_recvm?msg|sys_recvfrom/],
  ['wait and be woken', 'any', /sys_(ppoll|poll|epoll|futex)/],
  ['V8 threads: garbage, compiling', 'any', /PlatformWorkerThread|Heap::CollectGarbage|IncrementalMarking/],
  ['parse', 'innermost', /wasm-function/],
  ['transactions that end, timers', 'any', /transaction_advance|\b(tick|fire|free) \S*proxy\/core/],
  ['dialogs and profiles', 'any', /\/dist\/dialog\//],
  [
    'what leaves: Via, Record-Route, edits, answers',
    'script',
    /proxy\/(copy|edits|via|record-route|answer|outgoing|upstream)/,
  ],
  ['route script, next hop', 'script', /\/dist\/script\/|next-hop|\/dist\/transport\//],
  ['proxy core and transactions', 'script', /\/dist\//],
  ['entry to JavaScript, batch in and out', 'any', /holdfast::binding/],
];

/** @param chain symbols of a sample, innermost first */
function workOf(chain) {
  // Of TypeScript the innermost function counts, not who called it.
  const script = chain.find((symbol) => symbol.startsWith('JS:') && !symbol.includes('wasm')) ?? '';
  const places = { any: chain.join('\n'), innermost: chain[0] ?? '', script };
  return WORK.find(([, where, pattern]) => pattern.test(places[where]))?.[0] ?? 'everything else';
}

const base = Number(flags.ports);
const [core, loadCore] = flags.cores.split(',').map(Number);
const ports = { proxyPort: base, callerPort: base + 10, calleePort: base + 20, rpcPort: base + 2 };
const folder = mkdtempSync(join(tmpdir(), 'profile-'));
const data = join(folder, 'perf.data');
// V8 writes the names of what it compiles to /tmp/perf-PID.map.
process.env.HOLDFAST_NODE_ARGS = '--perf-basic-prof --interpreted-frames-native-stack';

/** perf over the server and its children; end() when enough was seen. */
function samplesOf(pid) {
  const what = ['-g', '-e', 'cpu-clock', '-F', String(SAMPLES_PER_SECOND), '-o', data];
  // A rival may be a family of processes.
  const perf = spawn('perf', ['record', ...what, '-p', family(pid).join(',')], { stdio: 'ignore' });
  const closed = new Promise((resolve) => perf.once('close', resolve));
  return {
    async end() {
      perf.kill('SIGINT');
      await closed;
    },
  };
}

/** Full calls at a rate. */
async function loaded(load) {
  const seconds = Number(flags.seconds);
  await pause((WARM_S + 0.5) * 1_000);
  const samples = samplesOf(server.pid);
  await pause((seconds - 1) * 1_000);
  await samples.end();
  const report = await load.report();
  return { report, cpu: report.server.us_per_call, wrong: faults(report) };
}

/** Calls that end in the same second. */
async function expired(load) {
  await pause(plan.expireAtSeconds * 1_000 - Date.now() - 100);
  const samples = samplesOf(server.pid);
  const { usPerCall, ...rest } = await watchExpiry(kind, Number(flags.calls), load);
  await samples.end();
  return { ...rest, cpu: usPerCall };
}

const plan = flags.expiry
  ? planExpiry(kind, Number(flags.calls))
  : {
      options: { held: 0, checksLimit: true },
      phases: [`run:cps=${flags.rate},warm=${WARM_S},dur=${flags.seconds}`],
    };
const server = await Server.start(kind, { ...ports, core, ...plan.options });
try {
  const at = {
    ...ports,
    pid: server.pid,
    core: loadCore,
    args: ['--window', '60', ...(kind.loadArgs ?? [])],
  };
  const load = new Load(at, plan.phases);
  const { report, cpu, wrong } = await (flags.expiry ? expired : loaded)(load);
  await load.finish();

  const fields = ['--fields', 'comm,ip,sym,dso'];
  const script = execFileSync('perf', ['script', '-i', data, ...fields], {
    encoding: 'utf8',
    maxBuffer: 1 << 30,
  });
  const stages = new Map();
  const symbols = new Map();
  let samples = 0;
  const works = new Map();
  const count = (map, key) => map.set(key, (map.get(key) ?? 0) + 1);
  for (const sample of script.split('\n\n')) {
    const [comm, ...lines] = sample.trimStart().split('\n');
    const frames = lines.map((line) => /^\s*[0-9a-f]+ (.*) \((.*)\)\s*$/.exec(line)).filter(Boolean);
    if (frames.length === 0 || /^(swapper|perf|sipload)/.test(comm)) continue;
    const file = frames[0][2].split('/').at(-1);
    const symbol = frames[0][1];
    const stage = stageOf(file, symbol);
    samples++;
    count(stages, stage);
    count(works, workOf(frames.map((frame) => frame[1])));
    const key = `${stage}\t${symbol.slice(0, 90)}`;
    count(symbols, key);
  }
  const share = (count) => `${((100 * count) / samples).toFixed(1)} %`;
  const us = (count) => ((cpu * count) / samples).toFixed(2);
  const sorted = (map) => [...map].sort((a, b) => b[1] - a[1]);
  const pace = flags.expiry
    ? `first BYE to last ${report.srv_bye.span_s.toFixed(1)} s`
    : `${report.cps.toFixed(0)} calls/s`;
  console.log(
    `\n${kind.title}: ${pace}, ${cpu} µs CPU per call, ${(cpu / DATAGRAMS_PER_CALL).toFixed(2)} per datagram, ${samples} samples\n`,
  );
  for (const [title, map] of [
    ['whose code', stages],
    ['what for', works],
  ]) {
    const rows = sorted(map).map(([name, count]) => [
      name,
      share(count),
      us(count),
      (us(count) / DATAGRAMS_PER_CALL).toFixed(2),
    ]);
    console.log(`${table([title, 'share', 'µs per call', 'µs per datagram'], rows)}\n`);
  }
  const top = sorted(symbols).slice(0, Number(flags.top));
  console.log(
    `\n${table(
      ['stage', 'symbol', 'share', 'µs per call'],
      top.map(([key, count]) => [
        ...key.split('\t').map((word) => word.replaceAll('|', '\\|')),
        share(count),
        us(count),
      ]),
    )}\n`,
  );
  if (wrong.length > 0) console.log(`invalid as a figure: ${wrong.join(', ')}`);
  const kept = {
    machine: machine(),
    flags,
    samples,
    report,
    stages: sorted(stages),
    works: sorted(works),
    symbols: sorted(symbols).slice(0, 500),
  };
  console.log(`raw data: ${store('profile', kept)}`);
} finally {
  await server.stop();
  rmSync(folder, { recursive: true, force: true });
  rmSync(`/tmp/perf-${server.pid}.map`, { force: true });
}
