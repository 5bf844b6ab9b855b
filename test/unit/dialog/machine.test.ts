import assert from 'node:assert/strict';
import fc from 'fast-check';
import { describe, test } from 'vitest';
import {
  CONFIRMED,
  CONFIRMED_NO_ACK,
  DELETED,
  DIALOG_EVENTS,
  type DialogEventName,
  EARLY,
  next,
  STRAY,
  UNCONFIRMED,
} from '../../../dist/dialog/machine.js';

const U = UNCONFIRMED;
const E = EARLY;
const N = CONFIRMED_NO_ACK;
const C = CONFIRMED;
const D = DELETED;

/** One row for each event: where it leads from unconfirmed, early, no ACK, confirmed, deleted.  [RFC 3261 12, 13, 15] */
const ROWS: readonly [DialogEventName, ...number[]][] = [
  ['reply1xx', E, E, STRAY, STRAY, STRAY],
  ['reply2xx', N, N, N, C, N],
  ['replyNon2xx', D, D, STRAY, STRAY, STRAY],
  ['ack', STRAY, STRAY, C, C, D],
  ['prack', STRAY, E, N, C, D],
  ['bye', STRAY, E, D, D, D],
  ['request', STRAY, E, N, C, D],
  ['transactionEnd', D, D, N, C, D],
  ['end', D, D, D, D, D],
];

describe('dialog machine', () => {
  for (const [event, ...to] of ROWS) {
    for (const [n, state] of to.entries()) {
      test(`${event} in state ${n + 1} leads to ${state === STRAY ? 'nothing' : state}`, () => {
        assert.equal(next(n + 1, event), state);
      });
    }
  }
  test('has a row for every event', () => {
    assert.deepEqual([...DIALOG_EVENTS].sort(), ROWS.map(([event]) => event).sort());
  });
  for (const state of [0, 6, -1, 1.5, Number.NaN, 0xffffffff]) {
    test(`knows no state ${state}`, () => {
      for (const event of DIALOG_EVENTS) assert.equal(next(state, event), STRAY);
    });
  }
});

describe('whatever happens in whatever order', () => {
  const events = fc.array(fc.constantFrom(...DIALOG_EVENTS), { maxLength: 60 });
  const walk = (sequence: readonly DialogEventName[]): number[] => {
    const states = [U];
    for (const event of sequence) {
      const to = next(states.at(-1)!, event);
      states.push(to === STRAY ? states.at(-1)! : to);
    }
    return states;
  };

  test('a dialog is in one of five states', () => {
    fc.assert(fc.property(events, (sequence) => walk(sequence).every((state) => state >= U && state <= D)));
  });
  test('nothing leads back but a 2xx after the end', () => {
    fc.assert(
      fc.property(events, (sequence) => {
        const states = walk(sequence);
        for (const [n, event] of sequence.entries()) {
          const from = states[n]!;
          const to = states[n + 1]!;
          assert.ok(to >= from || (from === D && event === 'reply2xx'), `${event} from ${from} to ${to}`);
        }
      }),
    );
  });
  test('only a 2xx confirms, and only an ACK after it makes it whole', () => {
    fc.assert(
      fc.property(events, (sequence) => {
        const states = walk(sequence);
        for (const [n, event] of sequence.entries()) {
          const from = states[n]!;
          const to = states[n + 1]!;
          if (to === N && from !== N) assert.equal(event, 'reply2xx');
          if (to === C && from !== C) assert.deepEqual([from, event], [N, 'ack']);
        }
      }),
    );
  });
  test('an end, or the end of its transaction before an answer, is always the end', () => {
    fc.assert(
      fc.property(events, (sequence) => {
        assert.equal(walk([...sequence, 'end']).at(-1), D);
        const last = walk(sequence).at(-1)!;
        if (last <= E) assert.equal(walk([...sequence, 'transactionEnd']).at(-1), D);
      }),
    );
  });
});
