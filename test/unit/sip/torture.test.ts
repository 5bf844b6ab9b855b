/**
 * What the parser says to each message of RFC 4475 and RFC 5118.  A message that is wrong above the parser (an
 * unknown scheme, a bad date) parses; test/torture/expectations.ts says what the proxy does with it.
 */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { describe, test } from 'vitest';
import * as w from '../../../dist/sip/words.js';
import { type Parsed, parsed } from './parsed.js';

const folder = new URL('../../torture/', import.meta.url);
const files = (name: string): string[] =>
  readdirSync(new URL(`${name}/`, folder)).map((file) => `${name}/${file}`);
const read = (file: string): Uint8Array => readFileSync(new URL(file, folder));

/** The others parse. */
const REFUSED: Readonly<Record<string, string>> = {
  'rfc4475/badinv01.dat': 'BAD_VIA',
  'rfc4475/clerr.dat': 'SHORT_BODY',
  'rfc4475/ncl.dat': 'BAD_CONTENT_LENGTH',
  'rfc4475/scalar02.dat': 'BAD_CSEQ',
  'rfc4475/scalarlg.dat': 'BAD_CSEQ',
  'rfc4475/quotbal.dat': 'BAD_TO',
  'rfc4475/ltgtruri.dat': 'BAD_REQUEST_URI',
  'rfc4475/lwsruri.dat': 'BAD_REQUEST_URI',
  'rfc4475/lwsstart.dat': 'BAD_REQUEST_URI',
  'rfc4475/trws.dat': 'BAD_START_LINE',
  'rfc4475/badaspec.dat': 'BAD_TO',
  'rfc4475/baddn.dat': 'BAD_FROM',
  'rfc4475/badvers.dat': 'BAD_VERSION',
  'rfc4475/mismatch01.dat': 'CSEQ_METHOD_MISMATCH',
  'rfc4475/mismatch02.dat': 'CSEQ_METHOD_MISMATCH',
  'rfc4475/bigcode.dat': 'BAD_STATUS_CODE',
  'rfc4475/insuf.dat': 'MISSING_FROM',
  'rfc4475/multi01.dat': 'REPEATED_HEADER',
  'rfc4475/mcl01.dat': 'REPEATED_HEADER',
};

describe('torture messages [RFC 4475, RFC 5118]', () => {
  const all = [...files('rfc4475'), ...files('rfc5118')];

  test('are all there', () => {
    assert.equal(all.length, 61);
    for (const file of Object.keys(REFUSED)) assert.ok(all.includes(file), file);
  });

  for (const file of all) {
    test(`${file}: ${REFUSED[file] ?? 'OK'}`, () => {
      const message = parsed(read(file));
      assert.equal(message.fault, REFUSED[file] ?? 'OK');
      if (file !== 'rfc4475/insuf.dat') assert.ok(message.answerable);
    });
  }

  const values = (message: Parsed) => ({
    method: message.at(w.W_METHOD_OFF),
    from: message.at(w.W_FROM_URI_OFF),
    fromTag: message.at(w.W_FROM_TAG_OFF),
    to: message.at(w.W_TO_URI_OFF),
    toTag: message.at(w.W_TO_TAG_OFF),
    branch: message.at(w.W_VIA_BRANCH_OFF),
  });

  test('wsinv: folds and white space hide nothing [RFC 4475 3.1.1.1]', () => {
    const message = parsed(read('rfc4475/wsinv.dat'));
    assert.deepEqual(values(message), {
      method: 'INVITE',
      from: 'sip:jdrosen@example.com',
      fromTag: '98asjd8',
      to: 'sip:vivekg@chair-dnrc.example.com',
      toTag: '1918181833n',
      branch: '390skdjuw',
    });
    assert.equal(message.word(w.W_CSEQ_NUMBER), 9);
    assert.equal(message.word(w.W_MAX_FORWARDS), 68);
    assert.equal(message.word(w.W_VIA_COUNT), 3);
    assert.deepEqual(
      message.items(w.HDR_VIA).map((item) => item.uri),
      ['390skdjuw', 'z9hG4bK9ikj8', 'z9hG4bK30239'],
    );
    assert.equal(message.at(w.W_CONTACT_URI_OFF), 'sip:jdrosen@example.com');
    assert.equal(
      message.items(w.HDR_ROUTE)[0]!.uri,
      'sip:services.example.com;lr;unknownwith=value;unknown-no-value',
    );
  });

  test('intmeth: odd characters are kept where they are [RFC 4475 3.1.1.2]', () => {
    const message = parsed(read('rfc4475/intmeth.dat'));
    assert.deepEqual(values(message), {
      method: "!interesting-Method0123456789_*+`.%indeed'~",
      from: 'sip:mundane@example.com',
      fromTag: "_token~1'+`*%!-.",
      to: "sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*@example.com",
      toTag: null,
      branch: "z9hG4bK-.!%66*_+`'~",
    });
    assert.equal(message.word(w.W_METHOD), w.M_UNKNOWN);
    assert.equal(message.at(w.W_CALL_ID_OFF), 'intmeth.word%ZK-!.*_+\'@word`~)(><:\\/"][?}{');
  });

  test('esc02: a name with an escape is another name [RFC 4475 3.1.1.5]', () => {
    const message = parsed(read('rfc4475/esc02.dat'));
    assert.equal(message.word(w.W_METHOD), w.M_UNKNOWN);
    assert.equal(message.word(w.W_CONTACT_COUNT), 2);
  });

  test('longreq: nothing is too long [RFC 4475 3.1.1.7]', () => {
    const message = parsed(read('rfc4475/longreq.dat'));
    assert.equal(message.word(w.W_VIA_COUNT), 34);
    assert.equal(message.at(w.W_VIA_HOST_OFF), 'sip33.example.com');
    assert.equal(message.at(w.W_FROM_TAG_OFF)!.length, 155);
  });

  test('dblreq: what follows the body is not read [RFC 4475 3.1.1.8]', () => {
    const message = parsed(read('rfc4475/dblreq.dat'));
    assert.equal(message.word(w.W_METHOD), w.M_REGISTER);
    assert.equal(message.word(w.W_BODY_LEN), 0);
    assert.ok(message.text.slice(message.word(w.W_BODY_OFF)).startsWith('\r\nINVITE'));
    assert.equal(message.word(w.W_BODY_OFF) + message.word(w.W_REST_LEN), message.text.length);
  });

  test('mpart01: a binary body is counted [RFC 4475 3.1.1.11]', () => {
    const message = parsed(read('rfc4475/mpart01.dat'));
    assert.equal(message.word(w.W_BODY_LEN), 553);
    assert.ok(message.text.slice(message.word(w.W_VIA_RPORT_OFF)).startsWith('\r\n'));
  });

  test('multi01: the first of each counts [RFC 4475 3.3.8]', () => {
    const message = parsed(read('rfc4475/multi01.dat'));
    assert.equal(message.at(w.W_CALL_ID_OFF), 'multi01.98asdh@192.0.2.1');
    assert.equal(message.word(w.W_CSEQ_NUMBER), 5);
    assert.equal(values(message).fromTag, '3413415');
  });

  test('IPv6 addresses keep their brackets, received is as it was written [RFC 5118 4.5]', () => {
    const bare = parsed(read('rfc5118/via-received-param-no-delim'));
    const bracketed = parsed(read('rfc5118/via-received-param-with-delim'));
    assert.equal(bare.at(w.W_VIA_HOST_OFF), '[2001:db8::9:1]');
    assert.equal(bare.at(w.W_VIA_RECEIVED_OFF), '2001:db8::9:255');
    assert.equal(bracketed.at(w.W_VIA_RECEIVED_OFF), '[2001:db8::9:255]');
  });
});
