/** Medians, spreads, tables and a description of the machine: what every bench prints. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, release, totalmem } from 'node:os';
import { fileURLToPath } from 'node:url';

export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** `median (least–most)`, or `median` alone of one value. */
export function spread(values, digits = 0) {
  const text = (value) =>
    value.toLocaleString('en', { maximumFractionDigits: digits, minimumFractionDigits: digits });
  if (values.length < 2) return text(median(values));
  return `${text(median(values))} (${text(Math.min(...values))}–${text(Math.max(...values))})`;
}

/** Student's t for 95 %, two-sided, by degrees of freedom from 1; beyond the list the last is close enough. */
const T_95 = [
  12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.16, 2.145, 2.131,
  2.12, 2.11, 2.101, 2.093, 2.086,
];

/**
 * The ratio b/a of pairs [a, b] that were measured next to each other, and the interval that holds it with 95 %
 * confidence: Student's, over the logarithms, so that a slow minute of the machine hits both of a pair.
 */
export function pairedInterval(pairs) {
  const logs = pairs.map(([a, b]) => Math.log(b / a));
  const mean = logs.reduce((sum, one) => sum + one, 0) / logs.length;
  const variance = logs.reduce((sum, one) => sum + (one - mean) ** 2, 0) / (logs.length - 1);
  const reach = T_95[Math.min(logs.length - 1, T_95.length) - 1] * Math.sqrt(variance / logs.length);
  return { ratio: Math.exp(mean), low: Math.exp(mean - reach), high: Math.exp(mean + reach) };
}

export function table(head, rows) {
  const line = (cells) => `| ${cells.join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}

/** What the figures depend on, apart from us. */
export function machine() {
  return {
    processor: cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    kernel: release(),
    node: process.version,
    receiveBufferBytesMax: Number(readFileSync('/proc/sys/net/core/rmem_max', 'utf8')),
    loadAverage: loadavg(),
    revision: revision(),
    date: new Date().toISOString(),
  };
}

function revision() {
  try {
    return execFileSync('git', ['describe', '--always', '--dirty'], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim();
  } catch {
    return 'unknown';
  }
}

/** Stores raw data under bench/results/ and returns the path from the root of the project. */
export function store(name, data) {
  const folder = new URL('results/', import.meta.url);
  mkdirSync(folder, { recursive: true });
  const file = `${new Date().toISOString().replace(/[:.]/g, '-')}-${name}.json`;
  writeFileSync(fileURLToPath(new URL(file, folder)), `${JSON.stringify(data, null, 1)}\n`);
  return `bench/results/${file}`;
}
