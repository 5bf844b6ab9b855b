import assert from 'node:assert/strict';
import fc from 'fast-check';
import { describe, test } from 'vitest';
import {
  COOKIE_ABSENT,
  COOKIE_MALFORMED,
  COOKIE_READ,
  CookieReader,
  cookieText,
} from '../../../dist/dialog/cookie.js';

/** Looks for the cookie among URI parameters that stand somewhere in memory, between bytes that must not matter. */
function find(parameters: string, name = 'did'): { result: number; entry: number; id: number } {
  const before = ';did=1.1;did';
  const bytes = Buffer.from(`${before}${parameters};did=7.7`, 'latin1');
  const reader = new CookieReader(bytes, name);
  const result = reader.find(before.length, parameters.length);
  return { result, entry: reader.entry, id: reader.id };
}

function read(text: string): { entry: number; id: number } | null {
  const bytes = Buffer.from(text, 'latin1');
  const reader = new CookieReader(bytes, 'did');
  return reader.read(0, bytes.length) ? { entry: reader.entry, id: reader.id } : null;
}

describe('did= cookie [manual 5.3]', () => {
  test('reads each number least significant digit first', () => {
    assert.deepEqual(read('3a1.4321'), { entry: 0x1a3, id: 0x1234 });
  });
  test('is the worked example', () => {
    assert.deepEqual(read('ee3.4321'), { entry: 1006, id: 4660 });
    assert.equal(cookieText(1006, 4660), 'ee3.4321');
  });
  test('agrees with what was seen in the field', () => {
    assert.deepEqual(read('e1e.4f22'), { entry: 3614, id: 8948 });
    assert.equal(cookieText(93, 0), 'd5.0');
  });
  test('takes digits of either case', () => {
    assert.deepEqual(read('EE3.4f21'), read('ee3.4F21'));
  });
  test('holds numbers of 32 bits', () => {
    assert.deepEqual(read('ffffffff.ffffffff'), { entry: 0xffffffff, id: 0xffffffff });
    assert.deepEqual(read('00000008.1'), { entry: 0x80000000, id: 1 });
  });
  test('reads back whatever was written', () => {
    const word = fc.integer({ min: 0, max: 0xffffffff });
    fc.assert(
      fc.property(word, word, (entry, id) => {
        assert.deepEqual(read(cookieText(entry, id)), { entry, id });
      }),
      { numRuns: 300 },
    );
  });
  for (const forged of [
    '',
    '.',
    '..',
    '3a1',
    '3a1.',
    '.4321',
    '3a1.43g1',
    '3g1.4321',
    '123456789.1',
    '1.123456789',
    '3a1.1;lr',
    '3a1.1.2',
    ' 3a1.1',
    '3a1.1 ',
    '-1.1',
    '+1.1',
    '0x1.1',
    '3a1,1',
    '3a1.1\0',
    '@.@',
    '`.`',
    '/.:',
    'G.1',
  ]) {
    test(`finds nothing in ${JSON.stringify(forged)}`, () => {
      assert.equal(read(forged), null);
    });
  }
  test('is never read past its end, whatever the bytes are', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
        const reader = new CookieReader(bytes, 'did');
        const text = Buffer.from(bytes).toString('latin1');
        const cookie = /^([0-9a-f]{1,8})\.([0-9a-f]{1,8})$/i.test(text);
        assert.equal(reader.read(0, bytes.length), cookie);
      }),
      { numRuns: 500 },
    );
  });
});

describe('the parameter among others [manual 5.3, RFC 3261 19.1.4]', () => {
  for (const parameters of [
    ';did=ee3.4321',
    ';lr;did=ee3.4321',
    ';did=ee3.4321;lr',
    ';lr=on;ftag=x;did=ee3.4321;nat=yes',
    ';DID=ee3.4321',
    ';lr;Did=EE3.4321',
    ';;did=ee3.4321',
    ';did2=1.1;did=ee3.4321',
    ';xdid=1.1;did=ee3.4321',
    ';did=ee3.4321;did=1.1',
    ';x=did=1.1;did=ee3.4321',
    'did=ee3.4321',
  ]) {
    test(`is found in ${parameters}`, () => {
      assert.deepEqual(find(parameters), { result: COOKIE_READ, entry: 1006, id: 4660 });
    });
  }
  for (const parameters of [
    '',
    ';',
    ';lr',
    ';lr=on;ftag=a',
    ';di=1.1',
    ';didi=1.1',
    ';xdid=1.1',
    ';ftag=did',
    ';d',
  ]) {
    test(`is absent from ${JSON.stringify(parameters)}`, () => {
      assert.equal(find(parameters).result, COOKIE_ABSENT);
    });
  }
  for (const parameters of [
    ';did',
    ';did=',
    ';did;lr',
    ';did=;lr',
    ';lr;did=1',
    ';did=1.',
    ';did=.1',
    ';did=x.y',
    ';did=1.1.1;lr',
    ';did=123456789.1',
    ';did=zz;did=1.1',
    ';did==1.1',
  ]) {
    test(`is malformed in ${parameters}`, () => {
      assert.equal(find(parameters).result, COOKIE_MALFORMED);
    });
  }
  test('has the name that rr_param gives it', () => {
    assert.deepEqual(find(';did=1.1;call=ee3.4321', 'call'), { result: COOKIE_READ, entry: 1006, id: 4660 });
    assert.deepEqual(find(';call=ee3.4321', 'CALL').result, COOKIE_READ);
    assert.equal(find(';did=1.1', 'call').result, COOKIE_ABSENT);
  });
});
