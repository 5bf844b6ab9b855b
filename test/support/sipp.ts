/**
 * Runs sipp, where it is installed, with our scenarios or its built-in ones, and reads what it counted.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Whether this machine has sipp. */
export function hasSipp(): boolean {
  return (
    existsSync('/usr/bin/sipp') ||
    spawnSync('sh', ['-c', 'command -v sipp'], { stdio: 'ignore' }).status === 0
  );
}

/** Set by CI: without sipp the tests that need it fail instead of being skipped. */
export const SIPP_REQUIRED = process.env.HOLDFAST_REQUIRE_SIPP === '1';

/** The path of one of our scenarios. */
export function scenario(name: string): string {
  return fileURLToPath(new URL(`../sipp/${name}.xml`, import.meta.url));
}

export interface SippRun {
  readonly code: number | null;
  readonly successful: number;
  readonly failed: number;
  readonly retransmissions: number;
  readonly unexpected: string;
}

const EXIT_WAIT_MS = 10_000;

/** One sipp process. */
export class Sipp {
  private readonly child: ChildProcess;
  private readonly folder: string;
  private readonly done: Promise<number | null>;
  private output = '';

  /** `args` are sipp's own; statistics and errors go to a folder of this run. */
  constructor(args: readonly string[]) {
    this.folder = mkdtempSync(join(tmpdir(), 'sipp-'));
    const files = ['-trace_stat', '-stf', join(this.folder, 'stat.csv'), '-fd', '1'];
    const errors = ['-trace_err', '-error_file', join(this.folder, 'errors.log')];
    // sipp draws a screen; -nostdin keeps it from reading ours.
    this.child = spawn('sipp', [...args, ...files, ...errors, '-nostdin'], {
      cwd: this.folder,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, TERM: 'dumb' },
    });
    this.child.stdout?.resume();
    this.child.stderr?.on('data', (chunk: Buffer) => {
      if (this.output.length < 65_536) this.output += chunk.toString();
    });
    this.done = new Promise((resolve) => this.child.once('close', (code) => resolve(code)));
  }

  /** Waits until sipp ends by itself. */
  async finish(waitMs: number): Promise<SippRun> {
    const timer = setTimeout(() => this.child.kill('SIGKILL'), waitMs);
    const code = await this.done;
    clearTimeout(timer);
    return this.read(code);
  }

  /** Ends a sipp that would wait for calls for ever: SIGUSR1 lets calls in progress end. */
  async stop(): Promise<SippRun> {
    this.child.kill('SIGUSR1');
    const timer = setTimeout(() => this.child.kill('SIGKILL'), EXIT_WAIT_MS);
    const code = await this.done;
    clearTimeout(timer);
    return this.read(code);
  }

  private read(code: number | null): SippRun {
    const errors = join(this.folder, 'errors.log');
    const unexpected = existsSync(errors) ? readFileSync(errors, 'utf8').slice(0, 4_000) : '';
    const counts = lastRow(join(this.folder, 'stat.csv'));
    rmSync(this.folder, { recursive: true, force: true });
    return {
      code,
      successful: counts.get('SuccessfulCall(C)') ?? 0,
      failed: counts.get('FailedCall(C)') ?? 0,
      retransmissions: counts.get('Retransmissions(C)') ?? 0,
      unexpected: `${unexpected}${this.output}`,
    };
  }
}

function lastRow(path: string): Map<string, number> {
  if (!existsSync(path)) return new Map();
  const rows = readFileSync(path, 'utf8').trim().split('\n');
  const names = (rows[0] ?? '').split(';');
  const values = (rows.at(-1) ?? '').split(';');
  return new Map(names.map((name, i) => [name, Number(values[i])]));
}
