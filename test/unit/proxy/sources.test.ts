/** Open transactions by source. */
import assert from 'node:assert/strict';
import { describe, test } from 'vitest';
import { Sources } from '../../../dist/proxy/sources.js';
import { seededRandom } from '../../../dist/random.js';
import { MAPPED } from '../../../dist/transport/address.js';

const v4 = (n: number) => [0, 0, MAPPED, n] as const;

describe('open transactions by source', () => {
  test('a source has as many as it may, and again once some are over', () => {
    const sources = new Sources(3, seededRandom(1));
    assert.deepEqual(
      [1, 2, 3, 4].map(() => sources.add(...v4(7))),
      [true, true, true, false],
    );
    assert.equal(sources.add(...v4(8)), true);
    sources.remove(...v4(7));
    assert.equal(sources.count(...v4(7)), 2);
    assert.equal(sources.add(...v4(7)), true);
    assert.equal(sources.add(...v4(7)), false);
  });

  test('the addresses of one IPv6 network are one source', () => {
    const sources = new Sources(2, seededRandom(1));
    assert.equal(sources.add(0xb80d0120, 5, 1, 1), true);
    assert.equal(sources.add(0xb80d0120, 5, 2, 2), true);
    assert.equal(sources.add(0xb80d0120, 5, 3, 3), false);
    assert.equal(sources.add(0xb80d0120, 6, 3, 3), true);
  });

  test('of many sources none is counted too low, and all go to nothing', () => {
    const sources = new Sources(1_000_000, seededRandom(2));
    const COUNT = 20_000;
    for (let n = 0; n < COUNT; n++) for (let k = 0; k <= n % 3; k++) sources.found(...v4(n));
    for (let n = 0; n < COUNT; n++) assert.ok(sources.count(...v4(n)) > n % 3);
    for (let n = 0; n < COUNT; n++) for (let k = 0; k <= n % 3; k++) sources.remove(...v4(n));
    for (let n = 0; n < COUNT; n++) assert.equal(sources.count(...v4(n)), 0);
  });

  test('beside one flood hardly anybody is taken for it', () => {
    const sources = new Sources(1_000, seededRandom(3));
    while (sources.add(...v4(1)));
    let refused = 0;
    for (let n = 2; n < 10_002; n++) if (sources.count(...v4(n)) >= 1_000) refused += 1;
    assert.equal(refused, 0);
  });
});
