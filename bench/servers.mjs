/**
 * The servers that the benches compare, one row each: how to start it, what it has, how its memory is read.
 *
 * All run the same policy: record-route, a dialog for every call, one profile with value (the caller), a limit check,
 * relay to one next hop.  To add a server, add a row.
 */
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import dgram from 'node:dgram';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { built, endsWithUs } from './load.mjs';

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const READY_WAIT_MS = 30_000;
const EXIT_WAIT_MS = 30_000;
const DOOR_WAIT_MS = 5_000;
const STOP_AGAIN_MS = 500;
const LIST_WAIT_MS = 60_000;
const COLLECT_MS = 2_000;
/** High enough never to refuse, low enough to be asked for: the check is what costs. */
const LIMIT = 1_000_000;

/** Segment bytes for a number of held calls: twice the budget of a dialog, and room for transactions. */
const segmentBytes = (held) => (512 << 20) + held * 2_000;
/** Shared memory in megabytes for the rival: what it was seen to need, and half as much again. */
const rivalMegabytes = (held) => Math.ceil(3_000 + (held * 2_600) / 1e6);

/** Whether a parameter's feature is built: a row of the parameters says so. */
async function works(room, rows, name) {
  const module = await import(`../dist/config/params/${room}.js`).catch(() => null);
  return module !== null && !module[rows][name].later;
}
const sendsByes = await works('lifetime', 'lifetimeParams', 'send_bye');

const holdfast = (id, title, settings) => ({
  id,
  title,
  isSip: true,
  isOurs: true,
  hasExpiry: sendsByes,
  /** Calls survive the process: it can be started again over them. */
  startsAgain: true,
  startSeconds: 3,
  opensPerSecond: 8_000,
  missing: (directory = '..') =>
    existsSync(here(`${directory}/dist/cli/main.js`)) ? null : 'dist/ is not there: npm run build',
  command: ({
    proxyPort,
    rpcPort,
    calleePort,
    held,
    directory,
    workers,
    hashSize,
    expireAtSeconds,
    routes,
    set,
    imports,
  }) => [
    process.execPath,
    // Where memory is measured, garbage is collected first; it costs nothing else.
    ...(held > 0 ? ['--expose-gc', '--import', here('collect.mjs')] : []),
    ...(imports ?? []).flatMap((path) => ['--import', path]),
    ...(process.env.HOLDFAST_NODE_ARGS?.split(' ') ?? []),
    join(directory ?? here('..'), 'dist/cli/main.js'),
    'start',
    ...['--listen', `udp:127.0.0.1:${proxyPort}`, '--rpc', `127.0.0.1:${rpcPort}`],
    ...['--next-hop', `sip:127.0.0.1:${calleePort}`, '--workers', String(workers ?? 1)],
    ...['--segment', `/dev/shm/holdfast-bench-${proxyPort}`, '--segment-size', String(segmentBytes(held))],
    ...['--routes', routes ?? here('peers/routes.ts'), '--set', 'dialog:profiles_with_value=caller'],
    ...[
      ...settings,
      ...(set ?? []),
      ...(hashSize ? [`dialog:hash_size=${hashSize}`] : []),
      ...(expireAtSeconds ? ['dialog:send_bye=1'] : []),
    ].flatMap((setting) => ['--set', setting]),
  ],
  environment: ({ calleePort, expireAtSeconds, burn }) => ({
    ...(burn ? { HOLDFAST_BENCH_BURN_US: String(burn) } : {}),
    HOLDFAST_BENCH_NEXT_HOP: `sip:127.0.0.1:${calleePort}`,
    ...(expireAtSeconds ? { HOLDFAST_BENCH_EXPIRE_AT: String(expireAtSeconds) } : {}),
  }),
  /** Segment accounting, and what the process has of its own once its garbage is gone. */
  async memory(server) {
    process.kill(server.pid, 'SIGUSR2');
    await pause(COLLECT_MS);
    return { pool: (await server.rpc('core.shmmem')).used, private: anonymousBytes(server.pid) };
  },
});

const kamailio = (id, title, allocator) => ({
  id,
  title,
  isSip: true,
  isOurs: false,
  hasExpiry: true,
  startsAgain: false,
  startSeconds: 8,
  opensPerSecond: 4_000,
  missing: () =>
    spawnSync('kamailio', ['-v'], { stdio: 'ignore' }).status === 0 ? null : 'kamailio is not installed',
  command: ({
    proxyPort,
    rpcPort,
    calleePort,
    held,
    checksLimit,
    touchesMemory,
    expireAtSeconds,
    folder,
    burn,
  }) => [
    'kamailio',
    ...[
      '-f',
      here('peers/kamailio.cfg'),
      '-DD',
      '-E',
      '-x',
      allocator,
      '-m',
      String(rivalMegabytes(held)),
      '-Y',
      folder,
    ],
    // A list of calls is built in private memory before it is sent.
    ...(held > 0 ? ['-M', '2048'] : []),
    ...[
      'WITH_DIALOG',
      ...(touchesMemory ? ['FORCEALLOC'] : []),
      `LISTEN=udp:127.0.0.1:${proxyPort}`,
      `NEXTHOP="sip:127.0.0.1:${calleePort}"`,
      'HTTPRPC',
      `HTTPLISTEN=tcp:127.0.0.1:${rpcPort}`,
      ...(checksLimit ? [`LIMIT=${LIMIT}`] : []),
      ...(burn ? [`BURN=${burn}`] : []),
      ...(expireAtSeconds ? ['SENDBYE', `EXPIREAT=${expireAtSeconds}`] : []),
    ].flatMap((define) => ['-A', define]),
  ],
  /** Blocks with the allocator's headers and fragments: what the pool loses to the calls. */
  async memory(server) {
    return { pool: (await server.rpc('core.shmmem')).real_used, private: 0 };
  },
});

export const SERVERS = [
  holdfast('holdfast', 'Holdfast, adaptive window', []),
  holdfast('holdfast-off', 'Holdfast, window off', ['core:receive_window_ms=0']),
  kamailio('kamailio-fm', 'Kamailio `-x fm`', 'fm'),
  kamailio('kamailio-tlsf', 'Kamailio `-x tlsf`', 'tlsf'),
  {
    id: 'forwarder',
    title: 'UDP forwarder (no SIP)',
    isSip: false,
    isOurs: false,
    hasExpiry: false,
    startsAgain: false,
    missing: () => null,
    command: ({ proxyPort, callerPort, calleePort }) => [
      built('peers/fwd.c'),
      ...['mmsg', String(proxyPort), String(callerPort), String(calleePort)],
    ],
    loadArgs: ['--no-rr', '--send-100'],
    memory: async () => ({ pool: 0, private: 0 }),
  },
];

/** A server that runs. */
export class Server {
  constructor(kind, context) {
    this.kind = kind;
    this.context = context;
    this.folder = mkdtempSync(join(tmpdir(), 'bench-'));
    this.output = '';
  }

  /** Starts and waits for the first answer; `startMs` is the time until then. */
  static async start(kind, context) {
    const server = new Server(kind, context);
    try {
      await server.#start();
    } catch (error) {
      await server.stop();
      throw error;
    }
    return server;
  }

  /** Ends it as a power cut would, by SIGKILL, and starts it again over what it held. */
  async startAgain() {
    this.child.kill('SIGKILL');
    await this.ended;
    await this.#start();
  }

  async #start() {
    const { kind, context } = this;
    const command = kind.command({ ...context, folder: this.folder });
    const pinned = context.core === undefined ? command : ['taskset', '-c', String(context.core), ...command];
    this.command = pinned.join(' ');
    const begun = performance.now();
    const child = spawn(pinned[0], pinned.slice(1), {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...kind.environment?.(context) },
    });
    this.child = endsWithUs(child);
    this.pid = child.pid;
    const keep = (chunk) => {
      if (this.output.length < 65_536) this.output += chunk;
    };
    child.stdout.on('data', keep);
    child.stderr.on('data', keep);
    // 'exit', not 'close': a child that outlives its parent would hold our end of the pipe open.
    this.ended = new Promise((resolve) => child.once('exit', resolve));
    await (kind.isSip ? this.#answers() : this.#isBound());
    this.startMs = performance.now() - begun;
  }

  /** Asks with Max-Forwards 0, which every SIP server answers itself, until an answer comes. */
  async #answers() {
    const socket = dgram.createSocket('udp4');
    let answered = false;
    socket.on('message', () => {
      answered = true;
    });
    await new Promise((resolve) => socket.bind(0, '127.0.0.1', resolve));
    const { port } = socket.address();
    const deadline = Date.now() + READY_WAIT_MS;
    try {
      for (let n = 0; !answered; n++) {
        if (Date.now() > deadline || this.child.exitCode !== null)
          throw new Error(`no answer: ${this.output}`);
        const probe = [
          `OPTIONS sip:127.0.0.1:${this.context.proxyPort} SIP/2.0`,
          `Via: SIP/2.0/UDP 127.0.0.1:${port};rport;branch=z9hG4bK-probe-${process.pid}-${n}`,
          'Max-Forwards: 0',
          'From: <sip:probe@127.0.0.1>;tag=probe',
          'To: <sip:probe@127.0.0.1>',
          `Call-ID: probe-${process.pid}-${n}`,
          'CSeq: 1 OPTIONS',
          'Content-Length: 0',
        ];
        await new Promise((resolve) =>
          socket.send(`${probe.join('\r\n')}\r\n\r\n`, this.context.proxyPort, '127.0.0.1', () => resolve()),
        );
        await pause(4);
      }
    } finally {
      socket.close();
    }
  }

  async #isBound() {
    const wanted = `:${this.context.proxyPort.toString(16).toUpperCase().padStart(4, '0')} `;
    const deadline = Date.now() + READY_WAIT_MS;
    while (!readFileSync('/proc/net/udp', 'utf8').includes(wanted)) {
      if (Date.now() > deadline) throw new Error('not bound');
      await pause(4);
    }
  }

  /** One management command; the door may open a moment after the first SIP answer. */
  async rpc(method, params = []) {
    const deadline = Date.now() + DOOR_WAIT_MS;
    for (;;) {
      try {
        return await this.#ask(method, params);
      } catch (error) {
        if (error.cause?.code !== 'ECONNREFUSED' || Date.now() > deadline) throw error;
        await pause(20);
      }
    }
  }

  async #ask(method, params) {
    const answer = await fetch(`http://127.0.0.1:${this.context.rpcPort}/RPC`, {
      method: 'POST',
      // A connection that is kept would outlast a process that is killed and started again.
      headers: { 'content-type': 'application/json', connection: 'close' },
      body: JSON.stringify({ jsonrpc: '2.0', id: 1, method, params }),
    });
    const reply = await answer.json();
    if (reply.error) throw new Error(`${method}: ${reply.error.message}`);
    return reply.result;
  }

  /** Reads `dlg.list` as a stream and counts, without building it. */
  async countListed() {
    const answer = await fetch(`http://127.0.0.1:${this.context.rpcPort}/RPC`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'dlg.list', params: [] }),
      signal: AbortSignal.timeout(LIST_WAIT_MS),
    });
    const mark = Buffer.from('"h_entry"');
    let listed = 0;
    let bytes = 0;
    let tail = Buffer.alloc(0);
    for await (const chunk of answer.body) {
      const buffer = Buffer.concat([tail, chunk]);
      bytes += chunk.length;
      let from = 0;
      for (let at = buffer.indexOf(mark); at >= 0; at = buffer.indexOf(mark, from)) {
        listed++;
        from = at + mark.length;
      }
      tail = buffer.subarray(Math.max(from, buffer.length - mark.length + 1));
    }
    return { listed, bytes };
  }

  /** Bytes in use now, in the shared pool and in private memory. */
  memory() {
    return this.kind.memory(this);
  }

  async stop() {
    const members = this.child.exitCode === null ? family(this.pid) : [];
    this.child.kill('SIGTERM');
    // A second one does not wait for transactions that are still kept.
    const again = setTimeout(() => this.child.kill('SIGTERM'), STOP_AGAIN_MS);
    const timer = setTimeout(() => this.child.kill('SIGKILL'), EXIT_WAIT_MS);
    await this.ended;
    clearTimeout(again);
    clearTimeout(timer);
    for (const member of members.filter((pid) => pid !== this.pid && parentOf(pid) === 1))
      process.kill(member, 'SIGKILL');
    this.child.stdout.destroy();
    this.child.stderr.destroy();
    rmSync(this.folder, { recursive: true, force: true });
    for (const suffix of ['', '.stale', '.lock']) {
      rmSync(`/dev/shm/holdfast-bench-${this.context.proxyPort}${suffix}`, { force: true });
    }
  }
}

/** What one of `calls` held calls costs: the growth of the pool, and of private memory if that grew at all. */
export function bytesPerCall(full, empty, calls) {
  return (full.pool - empty.pool + Math.max(0, full.private - empty.private)) / calls;
}

/** Anonymous memory of a process and all its children: heaps and stacks, without what is mapped from files. */
export function anonymousBytes(pid) {
  let kilobytes = 0;
  for (const member of family(pid)) {
    try {
      const rollup = readFileSync(`/proc/${member}/smaps_rollup`, 'utf8');
      kilobytes += Number(/^Anonymous:\s+(\d+)/m.exec(rollup)?.[1] ?? 0);
    } catch {
      // It has ended meanwhile.
    }
  }
  return kilobytes * 1024;
}

/** A process and all that descend from it. */
export function family(pid) {
  const parents = new Map();
  for (const name of readdirSync('/proc'))
    if (/^\d+$/.test(name)) parents.set(Number(name), parentOf(Number(name)));
  const members = [pid];
  for (const member of members) {
    for (const [child, parent] of parents) if (parent === member) members.push(child);
  }
  return members;
}

/** The parent of a process, or 0 when it has ended. */
function parentOf(pid) {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
  } catch {
    return 0;
  }
}

/** The version that a server prints about itself. */
export function versionOf(kind) {
  try {
    if (kind.id.startsWith('kamailio')) {
      return execFileSync('kamailio', ['-v'], { encoding: 'utf8' })
        .split('\n')[0]
        .replace('version: ', '')
        .trim();
    }
    if (kind.isOurs)
      return execFileSync(process.execPath, [here('../dist/cli/main.js'), '--version'], {
        encoding: 'utf8',
      }).trim();
  } catch {
    return 'unknown';
  }
  return '';
}
