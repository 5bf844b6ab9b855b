/** Letters between the timer worker and a shard, over a real segment; a ring that is full, an owner that is dead. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'vitest';
import type { Owners } from '../../../dist/dialog/ports.js';
import { STATUS } from '../../../dist/memory/addon.js';
import { deliver, LETTER, Letters } from '../../../dist/server/letters.js';
import { type Bench, callIdOf, k, makeBench, type OpenedShard } from '../memory/bench-shard.js';

const WORKERS = 2;
const TIMER = WORKERS;
const TEXT_WORDS = 2;

let bench: Bench;
let shards: OpenedShard[];
let timer: OpenedShard;
let letters: Letters;
let faults: string[];

beforeEach(() => {
  bench = makeBench(WORKERS);
  shards = [bench.open(0, true), bench.open(1, true)];
  timer = bench.open(TIMER, true);
  faults = [];
  const note = (event: string): void => void faults.push(event);
  letters = new Letters(timer.shard, timer.X, { error: note, warn: note });
});
afterEach(() => bench.close());

type Dialog = { readonly index: number; readonly generation: number; readonly entry: number };

/** A dialog whose entry belongs to `owner`. */
function dialogOf(owner: number): Dialog {
  const { M, X, shard } = shards[owner]!;
  const texts = [callIdOf(shards[owner]!, owner), 'tag', 'sip:a@h', 'sip:b@h', 'sip:b@h', 'sip:a@h', '', ''];
  let at = k('ScratchOffset');
  X.fill(0, k('XArgs'), k('XArgs') + 40);
  for (const [n, text] of texts.entries()) {
    M.set(Buffer.from(text), at);
    X.set([at, text.length], k('XArgs') + n * TEXT_WORDS);
    at += text.length;
  }
  assert.equal(shard.dialogCreate(), STATUS.ok);
  const word = (name: string): number => X[k('XDialog') + k(name)]!;
  return { index: word('DIndex'), generation: word('DGeneration'), entry: word('DEntry') };
}

/** What the owner hears, oldest first. */
function heard(owner: number): string[] {
  const { X, shard } = shards[owner]!;
  const out: string[] = [];
  const tell =
    (what: string) =>
    (...words: unknown[]): void =>
      void out.push([what, ...words].join(' '));
  const to: Owners = {
    hasRoom: () => true,
    ended: tell('ended'),
    timeoutRoute: tell('timeoutRoute'),
    endEarly: tell('endEarly'),
    endUnanswered: tell('endUnanswered'),
    byeAnswered: tell('byeAnswered'),
  };
  for (let words = shard.take(); words > 0; words = shard.take()) assert.ok(deliver(X, words, to));
  return out;
}

describe('letters [architecture: Ending]', () => {
  test("reach the dialog's owner, each with what it says", () => {
    const [here, there] = [dialogOf(0), dialogOf(1)];
    letters.ended(here.index, here.generation, 4, 2);
    letters.timeoutRoute(there.index, there.generation);
    letters.endEarly(there.index, there.generation);
    letters.byeAnswered(here.index, here.generation, null);
    letters.endUnanswered(there.index, there.generation);
    assert.deepEqual(heard(0), [
      `ended ${here.index} ${here.generation} 4 2`,
      `byeAnswered ${here.index} ${here.generation} `,
    ]);
    assert.deepEqual(heard(1), [
      `timeoutRoute ${there.index} ${there.generation}`,
      `endEarly ${there.index} ${there.generation}`,
      `endUnanswered ${there.index} ${there.generation}`,
    ]);
  });

  test('of a dialog that is gone, there is nothing to tell', () => {
    const { index, generation } = dialogOf(0);
    letters.ended(index, generation + 1, 4, 0);
    assert.deepEqual(heard(0), []);
  });

  test('a full ring: the letter is kept, nothing more is begun of that owner, others go on; order stays', () => {
    const [here, there] = [dialogOf(0), dialogOf(1)];
    let posted = 0;
    for (; letters.hasRoom(here.entry); posted++) letters.ended(here.index, here.generation, 4, posted);
    assert.equal(letters.keptLetters, 1);
    letters.ended(here.index, here.generation, 4, posted++);
    assert.equal(letters.keptLetters, 2);
    assert.ok(letters.hasRoom(there.entry));
    letters.endEarly(there.index, there.generation);
    assert.equal(heard(1).length, 1);

    letters.flush();
    assert.equal(letters.keptLetters, 2, 'there is no room yet');
    const first = heard(0);
    letters.flush();
    assert.equal(letters.keptLetters, 0);
    assert.ok(letters.hasRoom(here.entry));
    const all = [...first, ...heard(0)];
    assert.deepEqual(
      all,
      Array.from({ length: posted }, (_, n) => `ended ${here.index} ${here.generation} 4 ${n}`),
    );
    assert.deepEqual(faults, []);
  });

  test('of an owner that is dead, they wait for its successor', () => {
    const { index, generation } = dialogOf(0);
    shards[0]!.shard.release();
    letters.ended(index, generation, 3, 1);
    shards[0] = bench.open(0, true);
    assert.deepEqual(heard(0), [`ended ${index} ${generation} 3 1`]);
  });

  test('what is no letter of ours is refused', () => {
    const { X } = shards[0]!;
    const never = { hasRoom: () => assert.fail() } as unknown as Owners;
    for (const kind of [0, 6, 0xffffffff]) {
      X[k('XArgs')] = kind;
      assert.equal(deliver(X, 5, never), false);
    }
    X[k('XArgs')] = LETTER.ended;
    for (const words of [1, 4, 6, 64]) assert.equal(deliver(X, words, never), false);
  });
});
