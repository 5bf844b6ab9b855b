/**
 * What is listed is counted: each row of the statistics has a place that counts it.
 */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'vitest';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));

function sources(folder: string, ending: RegExp): string {
  return readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .filter((file) => ending.test(file) && !file.endsWith('counters.h'))
    .map((file) => readFileSync(join(ROOT, folder, file), 'utf8'))
    .join('\n');
}

/** Counted by arithmetic on the row before: classes of codes, methods by name. */
const IN_SERIES = /^(RcvRequests[A-Z]\w+|RcvReplies[2-6]xx|Tm[3-6]xx)$/;

test('each statistic is counted somewhere', () => {
  const rows = readFileSync(join(ROOT, 'native/core/counters.h'), 'utf8').matchAll(/^ {2}X\((\w+), +"/gm);
  const native = sources('native', /\.(cc|h)$/);
  const typescript = sources('src', /\.ts$/);
  const uncounted = [...rows]
    .map((row) => row[1]!)
    .filter((name) => !IN_SERIES.test(name))
    .filter((name) => {
      if (new RegExp(`kCounter${name}\\b`).test(native)) return false;
      const key = new RegExp(`(\\w+): constant\\('Counter${name}'\\)`).exec(typescript)?.[1];
      if (key === undefined) return !typescript.includes(`'Counter${name}'`);
      // By its name, or as one of a table of reasons.
      return !new RegExp(`\\w\\.${key}\\b|'${key}'`).test(typescript);
    });
  assert.deepEqual(uncounted, []);
});
