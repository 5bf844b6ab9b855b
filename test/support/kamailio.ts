/**
 * Starts Kamailio, where it is installed, with the policy of our default routes (bench/peers/kamailio.cfg).
 *
 * It runs in the foreground as one process group of ours and is stopped by the identity of its main process.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { pause, rpc } from './proxy.js';

const CONFIGURATION = fileURLToPath(new URL('../../bench/peers/kamailio.cfg', import.meta.url));
const READY_WAIT_MS = 10_000;
const EXIT_WAIT_MS = 10_000;

/** Whether this machine has Kamailio at all. */
export function hasKamailio(): boolean {
  return spawnSync('kamailio', ['-v'], { stdio: 'ignore' }).status === 0;
}

export class Kamailio {
  readonly rpcPort: number;
  output = '';
  private readonly child: ChildProcess;
  private readonly runDirectory: string;

  private constructor(port: number, rpcPort: number, nextHop: string) {
    this.rpcPort = rpcPort;
    this.runDirectory = mkdtempSync(join(tmpdir(), 'kamailio-'));
    const defines = [
      'WITH_DIALOG',
      'LIMIT=1000000',
      `LISTEN=udp:127.0.0.1:${port}`,
      `NEXTHOP="sip:${nextHop}"`,
      'HTTPRPC',
      `HTTPLISTEN=tcp:127.0.0.1:${rpcPort}`,
    ];
    const args = ['-f', CONFIGURATION, '-DD', '-E', '-m', '128', '-Y', this.runDirectory];
    this.child = spawn('kamailio', [...args, ...defines.flatMap((define) => ['-A', define])], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const keep = (chunk: Buffer): void => {
      this.output += chunk.toString();
    };
    this.child.stdout?.on('data', keep);
    this.child.stderr?.on('data', keep);
  }

  static async start(port: number, rpcPort: number, nextHop: string): Promise<Kamailio> {
    const kamailio = new Kamailio(port, rpcPort, nextHop);
    const deadline = Date.now() + READY_WAIT_MS;
    for (;;) {
      try {
        await kamailio.rpc('core.uptime');
        return kamailio;
      } catch {
        if (Date.now() > deadline || kamailio.child.exitCode !== null) {
          throw new Error(`kamailio did not come up: ${kamailio.output}`);
        }
        await pause(50);
      }
    }
  }

  rpc<Result>(method: string, params: readonly unknown[] = []): Promise<Result> {
    return rpc<Result>(this.rpcPort, method, params);
  }

  async stop(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.child.once('exit', () => resolve()));
    this.child.kill('SIGTERM');
    const timer = setTimeout(() => this.child.kill('SIGKILL'), EXIT_WAIT_MS);
    await closed;
    clearTimeout(timer);
    rmSync(this.runDirectory, { recursive: true, force: true });
  }
}
