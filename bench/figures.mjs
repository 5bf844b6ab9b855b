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

/**
 * The interval that holds the ratio median(a)/median(b) with 95 % confidence: a bootstrap with a fixed seed, so that
 * the same data always give the same interval.
 */
export function ratioInterval(a, b, draws = 10_000) {
  let state = 0x2545f491;
  const random = () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
  const again = (values) => values.map(() => values[Math.floor(random() * values.length)]);
  const ratios = Array.from({ length: draws }, () => median(again(a)) / median(again(b))).sort(
    (x, y) => x - y,
  );
  const at = (share) => ratios[Math.floor(share * (draws - 1))];
  return { ratio: median(a) / median(b), low: at(0.025), high: at(0.975) };
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
