/**
 * The load generator as a process: built when needed, driven phase by phase, its lines read as JSON.
 *
 * Every figure goes through `faults()`: a phase in which anything was lost, wrong or sent twice has no figure.
 */
import { execFileSync, spawn } from 'node:child_process';
import {
  closeSync,
  constants,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

/** What we started ends with us, however we end. */
const children = new Set();
process.once('exit', () => {
  for (const child of children) child.kill('SIGKILL');
});
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(1));
export function endsWithUs(child) {
  children.add(child);
  child.once('exit', () => children.delete(child));
  return child;
}

const here = (path) => fileURLToPath(new URL(path, import.meta.url));

/** Compiles a C file of ours into bench/.cache when it is newer than what lies there. */
export function built(source) {
  const from = here(source);
  const into = here(`.cache/${source.split('/').at(-1).replace(/\.c$/, '')}`);
  mkdirSync(here('.cache'), { recursive: true });
  if (!existsSync(into) || statSync(into).mtimeMs < statSync(from).mtimeMs) {
    execFileSync(process.env.CC ?? 'cc', ['-O2', '-o', into, from, '-lm'], {
      stdio: ['ignore', 'ignore', 'inherit'],
    });
  }
  return into;
}

/** A gate in the list of phases: the generator waits there until `release()`. */
export const GATE = Symbol('gate');

/** Ends a `cat` that waits at a gate; nobody may be there, so this must not wait itself. */
function openForever(path) {
  try {
    closeSync(openSync(path, constants.O_WRONLY | constants.O_NONBLOCK));
  } catch {
    // Nobody waits there.
  }
}

export class Load {
  /**
   * @param {{ proxyPort: number, callerPort: number, calleePort: number, pid: number, args?: string[], core?: number }} at
   * @param {(string | symbol)[]} phases phases of the generator, and gates between them
   */
  constructor(at, phases) {
    this.folder = mkdtempSync(join(tmpdir(), 'load-'));
    this.gates = [];
    const words = phases.map((phase) => (phase === GATE ? this.#gate() : phase));
    const args = [
      ...['--proxy', `127.0.0.1:${at.proxyPort}`, '--uac', `127.0.0.1:${at.callerPort}`],
      ...['--uas', `127.0.0.1:${at.calleePort}`, '--pid', String(at.pid)],
      ...(at.args ?? []),
      ...words,
    ];
    const pinned = at.core === undefined ? [] : ['-c', String(at.core)];
    const generator = built('loadgen/sipload.c');
    const command = pinned.length ? ['taskset', [...pinned, generator, ...args]] : [generator, args];
    this.command = [command[0], ...command[1]].join(' ');
    this.child = endsWithUs(spawn(command[0], command[1], { stdio: ['ignore', 'pipe', 'inherit'] }));
    // 'exit', not 'close': a gate that outlives the generator holds its end of the pipe open.
    this.ended = new Promise((resolve) => this.child.once('exit', resolve));
    this.lines = createInterface({ input: this.child.stdout })[Symbol.asyncIterator]();
  }

  #gate() {
    const path = join(this.folder, `gate${this.gates.length}`);
    execFileSync('mkfifo', [path]);
    this.gates.push(path);
    return `exec:cat ${path}`;
  }

  /** Lets the generator go on behind the next gate. */
  release() {
    const path = this.gates.shift();
    if (path) writeFileSync(path, '');
  }

  /** The report of the next phase that makes one. */
  async report() {
    const { value, done } = await this.lines.next();
    if (done) throw new Error(`the generator ended too early: ${this.command}`);
    return JSON.parse(value);
  }

  /** Waits for the end; kills what does not come to it. */
  async finish(waitMs = 60_000) {
    const timer = setTimeout(() => this.child.kill('SIGKILL'), waitMs);
    const code = await this.ended;
    clearTimeout(timer);
    rmSync(this.folder, { recursive: true, force: true });
    return code;
  }

  async kill() {
    this.child.kill('SIGKILL');
    await this.ended;
    for (const path of this.gates.splice(0)) openForever(path);
    this.child.stdout.destroy();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** A generator that falls behind its own schedule by more than this does not drive an open loop. */
const BEHIND_MS_MAX = 50;
/** An open loop that reaches less than this share of its rate measured something else. */
const RATE_SHARE_MIN = 0.98;
/** Random arrivals are as many as they happen to be. */
const RATE_SHARE_RANDOM_MIN = 0.93;

/** Calls that went wrong, in words: what no phase may have, not even one that is meant to be late. */
export function failures(report) {
  const wrong = [];
  const add = (name, value) => value > 0 && wrong.push(`${name} ${value}`);
  add('failed', report.failed);
  add('timeouts', report.timeouts);
  add('rejected', report.rejected);
  if (report.rejected) add('last code', report.lastcode);
  for (const [name, value] of Object.entries(report.bad)) add(`bad ${name}`, value);
  return wrong;
}

/** What is wrong with a phase, in words; an empty list is a valid phase. */
export function faults(report) {
  const wrong = failures(report);
  const add = (name, value) => value > 0 && wrong.push(`${name} ${value}`);
  add('stray', report.stray);
  for (const [name, value] of Object.entries(report.rtx)) add(`sent again: ${name}`, value);
  for (const [name, value] of Object.entries(report.dup)) add(`received again: ${name}`, value);
  for (const [name, value] of Object.entries(report.drops)) add(`dropped by the kernel at ${name}`, value);
  add('never finished', report.undrained ?? 0);
  if (report.target_cps > 0) {
    const share = report.poisson ? RATE_SHARE_RANDOM_MIN : RATE_SHARE_MIN;
    if (report.cps < share * report.target_cps) wrong.push(`${report.cps} of ${report.target_cps} calls/s`);
    if (report.max_behind_ms > BEHIND_MS_MAX) wrong.push(`generator ${report.max_behind_ms} ms behind`);
  }
  if (!(report.calls > 0) && report.phase !== 'idle') wrong.push('no calls');
  return wrong;
}
