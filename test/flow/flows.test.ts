/** Every .flow file of this folder, with one worker and with two. */
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, test } from 'vitest';
import { playFlow } from '../support/flow.js';
import { readFlow } from '../support/flow-text.js';

const FOLDER = fileURLToPath(new URL('.', import.meta.url));
/** More of them find rarer races: HOLDFAST_TEST_SEEDS=50. */
const SEEDS = Number(process.env.HOLDFAST_TEST_SEEDS ?? 3);

for (const file of readdirSync(FOLDER).sort()) {
  if (!file.endsWith('.flow')) continue;
  const flow = readFlow(readFileSync(`${FOLDER}/${file}`, 'utf8'));
  describe(`${file}: ${flow.title}`, () => {
    const fixed = flow.settings.get('workers')?.[0];
    if (fixed === undefined) {
      test('one worker that keeps its own time', () => playFlow(flow, 1, 1, false));
      test('one worker and the timer worker', () => playFlow(flow, 1, 1));
    }
    const seeds = Number(flow.settings.get('seeds')?.[0] ?? SEEDS);
    for (let seed = 1; seed <= seeds; seed++) {
      const timer = seed % 2 === 1;
      test(`two workers${timer ? ' and the timer worker' : ''}, seed ${seed}`, () =>
        playFlow(flow, Number(fixed ?? 2), seed, timer));
    }
  });
}
