/**
 * Starts the built proxy as a process of its own, the way an operator does, and talks to it by RPC.
 *
 * Every proxy gets a private segment file, so that tests can run while another Holdfast is up.  What it prints is kept
 * and shown when it does not come up.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
const READY_WAIT_MS = 15_000;
const EXIT_WAIT_MS = 20_000;
const POLL_MS = 25;
const OUTPUT_BYTES_MAX = 1 << 20;

export interface ProxyOptions {
  /** Port on 127.0.0.1; more addresses go into `extra`. */
  readonly port: number;
  readonly rpcPort: number;
  /** `host:port` of the next hop, or `null` to route by Request-URI. */
  readonly nextHop: string | null;
  readonly workers?: number;
  readonly segmentBytes?: number;
  readonly extra?: readonly string[];
  /** Given again to start on what another process left behind. */
  readonly segment?: string;
  /** Arguments of node itself, such as `--expose-gc`. */
  readonly nodeArgs?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
}

/** What a process did before it ended. */
export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly output: string;
}

export interface RpcFault {
  readonly code: number;
  readonly message: string;
}

/** A dialog as `dlg.list` prints it; only what tests read. */
export interface ListedDialog {
  readonly h_entry: number;
  readonly h_id: number;
  readonly 'call-id': string;
  readonly state: number;
  readonly [field: string]: unknown;
}

interface SegmentUse {
  readonly used: number;
  readonly pools: readonly { readonly name: string; readonly used: number }[];
}

let segments = 0;

/** A path in shared memory that no other test of this machine uses. */
export function privateSegment(): string {
  segments += 1;
  return `/dev/shm/holdfast-test-${process.pid}-${segments}`;
}

/** The command line for these options. */
export function commandLine(options: ProxyOptions, segment: string): string[] {
  return [
    ...(options.nodeArgs ?? []),
    MAIN,
    'start',
    ...['--listen', `udp:127.0.0.1:${options.port}`],
    ...['--rpc', `127.0.0.1:${options.rpcPort}`],
    ...(options.nextHop ? ['--next-hop', `sip:${options.nextHop}`] : []),
    ...['--workers', String(options.workers ?? 1)],
    ...['--segment', segment],
    ...['--segment-size', String(options.segmentBytes ?? 64 << 20)],
    ...(options.extra ?? []),
  ];
}

export class ProxyProcess {
  readonly options: ProxyOptions;
  readonly segment: string;
  readonly pid: number;
  output = '';
  private readonly child: ChildProcess;
  private readonly exited: Promise<Exit>;
  private ended: Exit | null = null;

  private constructor(options: ProxyOptions) {
    if (!existsSync(MAIN)) throw new Error(`no ${MAIN}: run npm run build first`);
    this.options = options;
    this.segment = options.segment ?? privateSegment();
    this.child = spawn(process.execPath, commandLine(options, this.segment), {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...options.environment },
    });
    this.pid = this.child.pid ?? -1;
    const keep = (chunk: Buffer): void => {
      if (this.output.length < OUTPUT_BYTES_MAX) this.output += chunk.toString();
    };
    this.child.stdout?.on('data', keep);
    this.child.stderr?.on('data', keep);
    this.exited = new Promise((resolve) =>
      this.child.once('close', (code, signal) => {
        this.ended = { code, signal, output: this.output };
        resolve(this.ended);
      }),
    );
  }

  /** Starts and waits until calls are served. */
  static async start(options: ProxyOptions): Promise<ProxyProcess> {
    const proxy = new ProxyProcess(options);
    const deadline = Date.now() + READY_WAIT_MS;
    for (;;) {
      if (proxy.ended) throw new Error(`the proxy ended with ${proxy.ended.code}: ${proxy.output}`);
      if (await proxy.isReady()) return proxy;
      if (Date.now() > deadline) {
        await proxy.kill();
        throw new Error(`the proxy was not ready after ${READY_WAIT_MS} ms: ${proxy.output}`);
      }
      await pause(POLL_MS);
    }
  }

  /** Starts one that is expected to give up, and waits for its end. */
  static async refused(options: ProxyOptions): Promise<Exit> {
    const proxy = new ProxyProcess(options);
    const timer = setTimeout(() => proxy.child.kill('SIGKILL'), READY_WAIT_MS);
    const exit = await proxy.exited;
    clearTimeout(timer);
    return exit;
  }

  get isUp(): boolean {
    return this.ended === null;
  }

  async isReady(): Promise<boolean> {
    try {
      const answer = await fetch(`http://127.0.0.1:${this.options.rpcPort}/readyz`);
      await answer.text();
      return answer.status === 200;
    } catch {
      return false;
    }
  }

  /** One JSON-RPC call; a fault is thrown as an Error that carries its code. */
  async rpc<Result>(method: string, params: readonly unknown[] = []): Promise<Result> {
    return rpc<Result>(this.options.rpcPort, method, params);
  }

  /** All statistics, by `group:name`. */
  async statistics(): Promise<Map<string, number>> {
    const lines = await this.rpc<readonly string[]>('stats.get_statistics', ['all']);
    return new Map(
      lines.map((line) => {
        const [name = '', value = ''] = line.split(' = ');
        return [name, Number(value)];
      }),
    );
  }

  async statistic(name: string): Promise<number> {
    const value = (await this.statistics()).get(name);
    if (value === undefined) throw new Error(`no statistic ${name}`);
    return value;
  }

  /** Waits until the proxy remembers nothing: no dialog, no transaction. */
  async forgetsEverything(waitMs: number): Promise<void> {
    const deadline = Date.now() + waitMs;
    for (;;) {
      const { dialogs, transactions } = await this.load();
      if (dialogs === 0 && transactions === 0) return;
      if (Date.now() > deadline)
        throw new Error(`after ${waitMs} ms: ${dialogs} dialogs, ${transactions} transactions`);
      await pause(100);
    }
  }

  /** Records in use: dialogs in any state, and transactions. */
  async load(): Promise<{ dialogs: number; transactions: number }> {
    const { pools } = await this.segmentUse();
    const used = (name: string): number => {
      const pool = pools.find((candidate) => candidate.name === name);
      if (!pool) throw new Error(`no pool ${name}`);
      return pool.used;
    };
    return { dialogs: used('dialogs'), transactions: used('transactions') };
  }

  /** Bytes in use in the segment. */
  async usedBytes(): Promise<number> {
    return (await this.segmentUse()).used;
  }

  private segmentUse(): Promise<SegmentUse> {
    return this.rpc<SegmentUse>('core.shmmem');
  }

  async signal(signal: NodeJS.Signals): Promise<Exit> {
    this.child.kill(signal);
    const timer = setTimeout(() => this.child.kill('SIGKILL'), EXIT_WAIT_MS);
    const exit = await this.exited;
    clearTimeout(timer);
    return exit;
  }

  /** An orderly stop. */
  async stop(): Promise<Exit> {
    const exit = this.ended ?? (await this.signal('SIGTERM'));
    this.removeSegment();
    return exit;
  }

  /** The end without warning; the segment stays. */
  async kill(): Promise<Exit> {
    return this.ended ?? (await this.signal('SIGKILL'));
  }

  /** Takes away what a killed process left. */
  removeSegment(): void {
    for (const suffix of ['', '.stale', '.lock']) rmSync(`${this.segment}${suffix}`, { force: true });
  }
}

/** The names of the statistics that tests read, in one place. */
export const STATISTIC = {
  active: 'dialog:active_dialogs',
  early: 'dialog:early_dialogs',
  processed: 'dialog:processed_dialogs',
  failed: 'dialog:failed_dialogs',
  matchedByCookie: 'dialog:matched_by_cookie',
  matchedBySip: 'dialog:matched_by_tags',
} as const;

/** One JSON-RPC 2.0 call over HTTP. */
export async function rpc<Result>(
  port: number,
  method: string,
  params: readonly unknown[] = [],
): Promise<Result> {
  const answer = await fetch(`http://127.0.0.1:${port}/RPC`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method, params }),
  });
  const reply = (await answer.json()) as { result?: Result; error?: RpcFault };
  if (reply.error)
    throw Object.assign(new Error(`${method}: ${reply.error.message}`), { code: reply.error.code });
  return reply.result as Result;
}

/** Waits; never a way to prove anything, only to give time. */
export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** A route file that misbehaves on request. */
export const hostileRoutes = fileURLToPath(new URL('hostile-routes.ts', import.meta.url));
