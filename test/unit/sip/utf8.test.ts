import assert from 'node:assert/strict';
import fc from 'fast-check';
import { describe, test } from 'vitest';
import { fromBytes, printable, toBytes } from '../../../dist/sip/utf8.js';

const bytes = (...list: number[]): string => String.fromCharCode(...list);
const anyBytes = fc
  .array(
    fc.oneof(
      fc.integer({ min: 0, max: 255 }),
      fc.constantFrom(0xc3, 0xbc, 0xed, 0xa0, 0xef, 0xbf, 0xbd, 0xf0),
    ),
  )
  .map((list) => bytes(...list));

describe('text and bytes [RFC 3629]', () => {
  test('ASCII is itself', () => {
    assert.deepEqual([fromBytes('alice'), toBytes('alice'), printable('alice')], ['alice', 'alice', 'alice']);
  });
  test('text is UTF-8 on the wire', () => {
    assert.equal(toBytes('ü'), bytes(0xc3, 0xbc));
    assert.equal(fromBytes(bytes(0xc5, 0x81)), 'Ł');
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), (text) => {
        assert.equal(toBytes(text), Buffer.from(text, 'utf8').toString('latin1'));
        assert.equal(fromBytes(toBytes(text)), text);
      }),
    );
  });
  test('bytes come back as they were, whatever they are', () => {
    fc.assert(
      fc.property(anyBytes, (text) => assert.equal(toBytes(fromBytes(text)), text)),
      { numRuns: 1000 },
    );
  });
  test('a text of any characters is bytes, none of which ends a line', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        assert.match(toBytes(text.replaceAll(/[\r\n]/g, '')), /^[^\r\n\u0100-\uffff]*$/);
      }),
    );
    assert.equal(toBytes('\ud800'), bytes(0xed, 0xa0, 0x80));
  });
  test('is shown without a replacement character of ours', () => {
    assert.equal(printable(bytes(0x61, 0xfc, 0xc3, 0xbc)), 'a\\xfcü');
    assert.equal(printable(bytes(0xc0, 0x80, 0xed, 0xa0, 0x80)), '\\xc0\\x80\\xed\\xa0\\x80');
    assert.equal(printable(bytes(0xef, 0xbf, 0xbd)), '\ufffd');
  });
});
