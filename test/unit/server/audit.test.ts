/** The audit in the background: rounds of slices, the statistic and the one line in the log. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'vitest';
import { systemClock } from '../../../dist/clock.js';
import { defaultConfig } from '../../../dist/config/load.js';
import { makeLog, silentLog } from '../../../dist/log.js';
import { addon, STATUS } from '../../../dist/memory/addon.js';
import * as words from '../../../dist/memory/words.js';
import { BackgroundAudit } from '../../../dist/server/audit.js';
import { JoinedEngine } from '../../../dist/server/joined-engine.js';
import { type Bench, k, makeBench } from '../memory/bench-shard.js';

let bench: Bench;
beforeEach(() => {
  bench = makeBench(1);
});
afterEach(() => bench.close());

test('a good segment has none, whatever joins and leaves between the slices', () => {
  const { shard, M, X } = bench.open(0);
  let rounds = 0;
  const audit = new BackgroundAudit((cursor) => {
    const found = addon.auditSlice(bench.segment, cursor);
    if (cursor[0] === 0) rounds += 1;
    return found;
  }, silentLog);
  const value = k('ScratchOffset');
  M.set(Buffer.from('alice'), value);
  const held: number[] = [];
  for (let n = 0; n < 300 || rounds < 2; n++) {
    assert.equal(shard.profileJoin(0, 0, 0, value, 1 + (n % 5), 0), STATUS.ok);
    held.push(X[words.X_ARGS]!);
    if (n % 3 === 2) shard.profileGiveBack(held.splice(n % held.length, 1)[0]!);
    audit.step();
    assert.equal(audit.difference, 0);
  }
  assert.equal(addon.profileCount(bench.segment, 'caller', null), held.length);
  for (const member of held) shard.profileGiveBack(member);
  assert.equal(addon.auditSlice(bench.segment, new Uint32Array(0)), 0);
});

test('a difference is a statistic as soon as it is found and until a round finds none, and told once', async () => {
  const lines: string[] = [];
  const log = makeLog({ level: 'error', format: 'text', write: (line) => lines.push(line) });
  let found = 0;
  let slices = 0;
  const audit = new BackgroundAudit((cursor) => {
    slices += 1;
    cursor[0] = slices % 2;
    return found;
  }, log);
  const { dialog } = (await defaultConfig()).params;
  const engine = new JoinedEngine(bench.segment, dialog, systemClock, 1, undefined, () => audit.difference);
  const steps = (differences: readonly number[]): readonly number[] =>
    differences.map((next) => {
      found = next;
      audit.step();
      return engine.statistics()['dialog:audit_difference']!;
    });
  assert.deepEqual(steps([0, 0]), [0, 0]);
  assert.deepEqual(steps([0, 2, 1, 0]), [0, 2, 2, 1]);
  assert.equal(engine.resetStatistic('dialog:audit_difference'), false);
  assert.deepEqual(steps([0, 0, 0, 3]), [1, 0, 0, 3]);
  assert.equal(lines.length, 1);
  assert.match(lines[0]!, /counts_are_wrong.*difference=2/);
});
