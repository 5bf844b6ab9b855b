import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'vitest';
import { addon } from '../../../dist/memory/addon.js';
import { ShardMemory } from '../../../dist/memory/shard-memory.js';
import * as words from '../../../dist/memory/words.js';
import { firstId } from '../../../dist/server/runtime.js';

/** Ids of the first three dialogs of one entry. */
function idsWith(hIdStart: number | null, hIdStep: number): number[] {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-ids-'));
  const segment = addon.createSegment({
    path: join(folder, 'segment'),
    bytes: 24 * 1024 * 1024,
    hashSize: 64,
    workers: 1,
    hIdStart,
    hIdStep,
    profiles: [],
    sockets: ['udp:127.0.0.1:5060'],
    mailboxBytes: 1 << 20,
  });
  const memory = new ShardMemory();
  const wire = addon.createMemoryWire(segment, [{ address: '127.0.0.1', port: 5060 }], 1);
  const { bytes, exchange: x } = memory;
  const shard = addon.openShard({ segment, owner: 0, memory: bytes, exchange: x, receiveWindowMs: 0, wire });
  const { at } = memory.scratch;
  memory.buffer.write('call@h', at, 'latin1');
  memory.buffer.write('a1', at + 6, 'latin1');
  const ids = [1, 2, 3].map(() => {
    x.fill(0, words.X_ARGS, words.X_ARGS + 40);
    x.set([at, 6, at + 6, 2], words.X_ARGS);
    assert.equal(shard.dialogCreate(), 0);
    return x[words.D_ID]!;
  });
  shard.stop();
  addon.closeSegment(segment, true);
  rmSync(folder, { recursive: true, force: true });
  return ids;
}

test('h_id begins at random, at h_id_start, or at the number of the server [spec 13.1]', () => {
  assert.deepEqual([firstId(0, 5), firstId(7, 5), firstId(-1, 5), firstId(-1, 0)], [null, 7, 5, 0]);
  assert.deepEqual(idsWith(firstId(7, 0), 1), [8, 9, 10]);
  assert.deepEqual(idsWith(firstId(-1, 20), 1), [21, 22, 23]);
});

test('with h_id_step nodes of different starts never give the same id', () => {
  for (const start of [1, 2]) {
    const ids = idsWith(start, 10);
    assert.deepEqual(
      ids.map((id) => id % 10),
      [start, start, start],
    );
    assert.equal(ids[1]! - ids[0]!, 10);
  }
});
