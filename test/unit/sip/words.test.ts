import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'vitest';
import * as w from '../../../dist/sip/words.js';
import { wordsFromHeader } from '../../../scripts/generate-words.mjs';

const root = new URL('../../../', import.meta.url);
const header = readFileSync(new URL('native/sip-parser/sip_parser.h', root), 'utf8');

describe('words.ts', () => {
  test('is what the header gives', () => {
    assert.equal(readFileSync(new URL('src/sip/words.ts', root), 'utf8'), wordsFromHeader(header));
  });

  test('has tables that do not overlap', () => {
    assert.ok(w.W_FIXED_END <= w.FIXED_WORDS);
    assert.equal(w.HEADERS_AT, w.FIXED_WORDS);
    assert.equal(w.ITEMS_AT, w.HEADERS_AT + w.HEADERS_MAX * w.HEADER_WORDS);
    assert.equal(w.WORDS, w.ITEMS_AT + w.ITEMS_MAX * w.ITEM_WORDS);
    assert.ok(w.U_END <= w.URI_WORDS);
    assert.ok(w.HDR_COUNT <= 64, 'one bit for each header in two words');
  });

  test('has a name for every method and fault', () => {
    assert.equal(w.METHOD_NAMES[w.M_UNKNOWN], 'UNKNOWN');
    assert.equal(w.METHOD_NAMES[w.M_PUBLISH], 'PUBLISH');
    assert.equal(w.FAULT_NAMES.length, w.F_FAULT_COUNT);
    assert.equal(w.FAULT_NAMES[w.F_OK], 'OK');
    assert.equal(w.FAULT_NAMES[w.F_CSEQ_METHOD_MISMATCH], 'CSEQ_METHOD_MISMATCH');
  });
});

describe('the generator', () => {
  for (const [about, text] of [
    ['an enum that it has no rule for', '#define SIP_NONE 0xffu\nenum sip_other { SIP_O_ONE };'],
    ['a member of another prefix', '#define SIP_NONE 0xffu\nenum sip_word { SIP_H_ONE };'],
    ['a value that it cannot evaluate', '#define SIP_NONE 0xffu\nenum sip_word { SIP_W_ONE = SIZE };'],
    ['names with a gap', '#define SIP_NONE 0xffu\nenum sip_fault { SIP_OK, SIP_BAD = 7 };'],
    ['a header without SIP_NONE', 'enum sip_word { SIP_W_ONE };'],
  ] as const) {
    test(`refuses ${about}`, () => {
      assert.throws(() => wordsFromHeader(text));
    });
  }
});
