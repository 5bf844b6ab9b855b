/**
 * Mutated datagrams and dialogs over the memory wire: support/fuzz.ts.
 *
 *   HOLDFAST_FUZZ_SEED=N npx vitest run test/fuzz/dialogs.test.ts     one round again
 *
 * `npm run nightly` makes it a million.  A seed that broke us goes to dialogs.corpus with a word about what it broke.
 */
import { randomInt } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { test } from 'vitest';
import { fuzzRound } from '../support/fuzz.js';

const DATAGRAMS_PER_ROUND = 1_000;
const FIXED_SEED = 20_261_201;
const FIXED_ROUNDS = 4;
const isLong = process.env.HOLDFAST_NIGHTLY === '1';
const RANDOM_ROUNDS = isLong ? 1_000 : 20;
const asked = process.env.HOLDFAST_FUZZ_SEED;

/** `seed  # what it broke` */
const CORPUS = readFileSync(new URL('dialogs.corpus', import.meta.url), 'utf8')
  .split('\n')
  .map((line) => line.replace(/#.*/, '').trim())
  .filter((line) => line !== '')
  .map(Number);

async function rounds(seeds: readonly number[]): Promise<void> {
  for (const seed of seeds) await fuzzRound(seed, DATAGRAMS_PER_ROUND);
}
const from = (first: number, count: number) => Array.from({ length: count }, (_, n) => first + n);

if (asked !== undefined) test(`seed ${asked}`, () => rounds([Number(asked)]));
else {
  const first = randomInt(1 << 30);
  test.each(CORPUS)('seed %i, which broke us once', (seed) => rounds([seed]));
  test('rounds of fixed seeds', () => rounds(from(FIXED_SEED, FIXED_ROUNDS)), 120_000);
  test(
    `rounds from seed ${first} on`,
    () => rounds(from(first, RANDOM_ROUNDS)),
    isLong ? 3_600_000 : 120_000,
  );
}
