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
 * The ratio b/a of pairs [a, b] that were measured next to each other, and the interval that holds it with 95 %
 * confidence: Wilcoxon's signed-rank interval over the logarithms, so that neither a slow minute of the machine, which
 * hits both of a pair, nor one wild pair decides.  Fewer than six pairs cannot have such an interval.
 */
export function pairedInterval(pairs) {
  const logs = pairs.map(([a, b]) => Math.log(b / a));
  const averages = logs.flatMap((x, n) => logs.slice(n).map((y) => (x + y) / 2)).sort((x, y) => x - y);
  const left = signedRankMargin(pairs.length);
  return {
    ratio: Math.exp(median(averages)),
    low: left > 0 ? Math.exp(averages[left - 1]) : 0,
    high: left > 0 ? Math.exp(averages[averages.length - left]) : Number.POSITIVE_INFINITY,
  };
}

/** How many averages from either end lie outside of the interval: the largest rank sum with at most 2.5 % below it. */
function signedRankMargin(n) {
  let ways = [1];
  for (let rank = 1; rank <= n; rank++) {
    const next = Array(ways.length + rank).fill(0);
    for (const [sum, count] of ways.entries()) {
      next[sum] += count;
      next[sum + rank] += count;
    }
    ways = next;
  }
  let below = 0;
  let margin = 0;
  while (below + ways[margin] <= 0.025 * 2 ** n) below += ways[margin++];
  return margin;
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
  // Where the checkout lies concerns nobody.
  const root = fileURLToPath(new URL('../', import.meta.url));
  const text = JSON.stringify(data, null, 1).replaceAll(`file://${root}`, './').replaceAll(root, './');
  writeFileSync(fileURLToPath(new URL(file, folder)), `${text}\n`);
  return `bench/results/${file}`;
}
