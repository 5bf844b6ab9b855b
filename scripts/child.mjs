/**
 * Child processes of our scripts: signals that reach us reach them, and their output is shown when it matters.
 */
import { spawn } from 'node:child_process';
import { constants } from 'node:os';

/** Signals a supervisor or a terminal may send us. */
const FORWARDED = ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGUSR2'];
const running = new Set();

for (const signal of FORWARDED) {
  process.on(signal, () => {
    if (running.size === 0) process.exit(128 + constants.signals[signal]);
    for (const child of running) child.kill(signal);
  });
}

/**
 * Runs one program to its end.
 *
 * @param {string} command
 * @param {readonly string[]} args
 * @param {{ quiet?: boolean, env?: Record<string, string>, secondsMax?: number, cwd?: string }} options
 *        quiet: output is gathered (at most 4 MiB) and not shown; secondsMax: killed when it takes longer
 * @returns {Promise<{ code: number, output: string }>} code 128 + n when signal n ended it
 */
export function run(command, args, options = {}) {
  return new Promise((resolve) => {
    const child = spawn(command, args, {
      cwd: options.cwd,
      env: { ...process.env, ...options.env },
      stdio: options.quiet ? ['ignore', 'pipe', 'pipe'] : ['ignore', 'inherit', 'inherit'],
    });
    running.add(child);
    const timer =
      options.secondsMax === undefined
        ? null
        : setTimeout(() => child.kill('SIGKILL'), options.secondsMax * 1000);
    let output = '';
    const gather = (chunk) => {
      if (output.length < 4_194_304) output += chunk;
    };
    child.stdout?.on('data', gather);
    child.stderr?.on('data', gather);
    const end = (code) => {
      if (timer !== null) clearTimeout(timer);
      running.delete(child);
      resolve({ code, output });
    };
    child.on('error', (error) => {
      output += `${command}: ${error.message}\n`;
      end(127);
    });
    child.on('close', (code, signal) => end(code ?? 128 + constants.signals[signal]));
  });
}

/** Runs jobs, at most `width` of them at a time; results stand in the order of the jobs. */
export async function inParallel(jobs, width) {
  const results = new Array(jobs.length);
  let next = 0;
  const worker = async () => {
    while (next < jobs.length) {
      const at = next++;
      results[at] = await jobs[at]();
    }
  };
  await Promise.all(Array.from({ length: Math.min(width, jobs.length) }, worker));
  return results;
}
