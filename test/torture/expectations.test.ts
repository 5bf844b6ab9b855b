import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { describe, test } from 'vitest';
import { collisionFreeGroups, EXPECTATIONS, wire } from './expectations.js';

const folder = (name: string): string[] =>
  readdirSync(new URL(name, import.meta.url)).map((file) => `${name}/${file}`);

describe('expectations of the torture messages [RFC 4475, RFC 5118]', () => {
  test('there is one for every file, and no other', () => {
    const files = [...folder('rfc4475'), ...folder('rfc5118')].sort();
    assert.equal(files.length, 61);
    assert.deepEqual(EXPECTATIONS.map((expectation) => expectation.file).sort(), files);
  });

  test('a message of RFC 5118 is sent with CRLF and a complete header', () => {
    for (const expectation of EXPECTATIONS.filter((e) => e.file.startsWith('rfc5118'))) {
      const text = wire(expectation).toString('latin1');
      assert.ok(text.includes('\r\n\r\n'), expectation.file);
      assert.ok(!/[^\r]\n/.test(text), expectation.file);
    }
  });

  test('no message is in two groups, and every message is in one', () => {
    const grouped = collisionFreeGroups().flat();
    assert.equal(grouped.length, EXPECTATIONS.length);
    assert.equal(new Set(grouped).size, EXPECTATIONS.length);
  });
});
