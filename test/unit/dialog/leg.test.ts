import assert from 'node:assert/strict';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, test } from 'vitest';
import {
  hasOneContact,
  ROUTE_SET_UNUSABLE,
  writeCalleeRouteSet,
  writeCallerRouteSet,
} from '../../../dist/dialog/leg.js';
import { World } from './world.js';

let world: World;
beforeAll(async () => {
  world = await World.open();
});
afterAll(() => world.close());

function written(length: number): string | null {
  if (length === ROUTE_SET_UNUSABLE) return null;
  const { scratch } = world.memory;
  return world.memory.text(scratch.at - length, length);
}

function caller(recordRoutes: readonly string[]): string | null {
  world.memory.scratch.reset();
  return written(writeCallerRouteSet(world.message({ recordRoutes }), world.memory.scratch));
}

function callee(recordRoutes: readonly string[], k: number, o: number): string | null {
  world.memory.scratch.reset();
  const answer = world.message({ code: 200, to: 'b2', recordRoutes });
  return written(writeCalleeRouteSet(answer, k, o, world.memory.scratch));
}

const routes = (count: number): string[] => Array.from({ length: count }, (_, n) => `<sip:p${n};lr>`);

describe("the caller's Route set [spec 5, RFC 3261 12.1.1]", () => {
  test('is empty without Record-Route', () => assert.equal(caller([]), ''));
  test('is every value as received, in order, over lines and commas alike', () => {
    assert.equal(
      caller(['<sip:c;lr;did=1.2>, "C, Inc" <sip:b;lr>;x="a,b"', '<sip:a>']),
      '<sip:c;lr;did=1.2>,"C, Inc" <sip:b;lr>;x="a,b",<sip:a>',
    );
  });
  test('has as many values as the message', () => {
    assert.equal(caller(routes(150)), routes(150).join(','));
  });
  test('has at most 16,384 bytes', () => {
    const long = `<sip:${'x'.repeat(8_000)}>`;
    assert.equal(caller([long, long])?.length, 2 * long.length + 1);
    assert.equal(caller([long, long, long]), null);
  });
});

describe("the callee's Route set [spec 5, RFC 3261 12.1.2, 16.6]", () => {
  const all = ['<sip:d3>', '<sip:d2>', '<sip:d1>', '<sip:own>', '<sip:k1>'];
  for (const [k, o, expected] of [
    [1, 1, '<sip:d1>,<sip:d2>,<sip:d3>'],
    [1, 2, '<sip:d2>,<sip:d3>'],
    [2, 2, '<sip:d3>'],
    [2, 3, ''],
    [0, 0, '<sip:k1>,<sip:own>,<sip:d1>,<sip:d2>,<sip:d3>'],
    [3, 3, ''],
    [255, 2, ''],
  ] as const) {
    test(`with ${k} of the INVITE and ${o} of ours: ${expected || 'empty'}`, () => {
      assert.equal(callee(all, k, o), expected);
    });
  }
  test('counts what remains, not what came', () => {
    assert.equal(callee(routes(152), 1, 1)?.split(',').length, 150);
  });
  test('is the reversal of the values before ours, whatever they are', () => {
    const value = fc.stringMatching(/^[a-z]{1,12}$/).map((name) => `<sip:${name};lr>`);
    fc.assert(
      fc.property(fc.array(value, { maxLength: 20 }), fc.nat(10), fc.nat(2), (values, k, o) => {
        const kept = values.slice(0, Math.max(values.length - k - o, 0));
        assert.equal(callee(values, k, o), kept.reverse().join(','));
      }),
      { numRuns: 200 },
    );
  });
});

describe('one Contact [spec 5]', () => {
  for (const [contact, one] of [
    ['<sip:a@h>', true],
    ['sip:a@h', true],
    ['"A, B" <sip:a@h>', true],
    [null, false],
    ['<sip:a@h>, <sip:b@h>', false],
    ['*', false],
  ] as const) {
    test(`${contact ?? 'none'}: ${one}`, () => assert.equal(hasOneContact(world.message({ contact })), one));
  }
});
