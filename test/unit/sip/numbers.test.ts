import assert from 'node:assert/strict';
import { describe, test } from 'vitest';
import * as w from '../../../dist/sip/words.js';
import { invite, parsed } from './parsed.js';

describe('CSeq [RFC 3261 20.16]', () => {
  for (const [value, number] of [
    ['1 INVITE', 1],
    ['0 INVITE', 0],
    ['0009\r\n  INVITE', 9],
    ['2147483647 INVITE', 2 ** 31 - 1],
    ['00000000000000000000000007 \t INVITE', 7],
  ] as const) {
    test(`${JSON.stringify(value)} is ${number}`, () => {
      const message = parsed(invite({ CSeq: value }));
      assert.equal(message.fault, 'OK');
      assert.equal(message.word(w.W_CSEQ_NUMBER), number);
      assert.equal(message.word(w.W_CSEQ_METHOD), w.M_INVITE);
      assert.equal(message.at(w.W_CSEQ_OFF), /^\d+/.exec(value)![0]);
      assert.equal(message.at(w.W_CSEQ_METHOD_OFF), 'INVITE');
    });
  }

  for (const [value, answerable] of [
    ['', false],
    ['INVITE', false],
    ['1', false],
    ['1INVITE', false],
    ['-1 INVITE', false],
    ['1 (INVITE)', false],
    ['1 INVITE x', true],
    ['1 INVITE, 2 INVITE', true],
    ['2147483648 INVITE', true],
    ['4294967297 INVITE', true],
    ['36893488147419103232 INVITE', true],
    ['18446744073709551617 INVITE', true],
  ] as const) {
    test(`${JSON.stringify(value)} is refused; it ${answerable ? 'can' : 'cannot'} be copied into an answer`, () => {
      const message = parsed(invite({ CSeq: value }));
      assert.equal(message.fault, 'BAD_CSEQ');
      assert.equal(message.answerable, answerable);
    });
  }

  for (const [line, cseq] of [
    ['INVITE', '1 ACK'],
    ['NEWMETHOD', '1 INVITE'],
    ['NEWMETHOD', '1 OTHERNEW'],
    ['NEWMETHOD', '1 newmethod'],
    ['NEWMETHOD', '1 NEWMETHODS'],
    ['INVITE', '1 invite'],
  ] as const) {
    test(`a request ${line} with CSeq ${cseq} is refused [8.1.1.5]`, () => {
      const message = parsed(invite({ CSeq: cseq }, '', `${line} sip:b@h SIP/2.0`));
      assert.equal(message.fault, 'CSEQ_METHOD_MISMATCH');
      assert.ok(message.faultAt.startsWith(cseq.slice(2)));
      assert.ok(message.answerable);
    });
  }

  test('a method that nobody knows matches itself', () => {
    assert.equal(parsed(invite({ CSeq: '1 NEW' }, '', 'NEW sip:b@h SIP/2.0')).fault, 'OK');
  });
});

describe('Max-Forwards, Max-Breadth, Content-Length [RFC 3261 20.14, 20.22, RFC 5393 5.3]', () => {
  test('are numbers with a place', () => {
    const message = parsed(invite({ 'Max-Forwards': '0068', 'Max-Breadth': ' 60 ', l: '0' }));
    assert.equal(message.fault, 'OK');
    assert.equal(message.word(w.W_MAX_FORWARDS), 68);
    assert.equal(message.at(w.W_MAX_FORWARDS_OFF), '0068');
    assert.equal(message.word(w.W_MAX_BREADTH), 60);
    assert.equal(message.at(w.W_MAX_BREADTH_OFF), '60');
    assert.equal(message.word(w.W_CONTENT_LENGTH), 0);
  });

  for (const [name, fault, largest] of [
    ['Max-Forwards', 'BAD_MAX_FORWARDS', '255'],
    ['Max-Breadth', 'BAD_MAX_BREADTH', '2147483647'],
  ] as const) {
    test(`${name} goes up to ${largest}`, () => {
      assert.equal(parsed(invite({ [name]: largest })).fault, 'OK');
    });
    for (const value of [
      '',
      '-1',
      '+1',
      '1 2',
      '1,2',
      '0x10',
      '1.0',
      '7a',
      `${Number(largest) + 1}`,
      '9'.repeat(40),
    ]) {
      test(`${name}: ${JSON.stringify(value)} is ${fault}`, () => {
        const message = parsed(invite({ [name]: value }));
        assert.equal(message.fault, fault);
        assert.equal(message.word(name === 'Max-Forwards' ? w.W_MAX_FORWARDS : w.W_MAX_BREADTH), w.NONE);
        assert.ok(message.answerable);
      });
    }
  }

  for (const value of [
    '',
    '-999',
    '1 2',
    '2147483648',
    '4294967296',
    '99999999999999999999',
    'zero',
    '1;x',
  ]) {
    test(`Content-Length: ${JSON.stringify(value)} is BAD_CONTENT_LENGTH`, () => {
      const message = parsed(invite({ 'Content-Length': value }, 'body'));
      assert.equal(message.fault, 'BAD_CONTENT_LENGTH');
      assert.equal(message.word(w.W_CONTENT_LENGTH), w.NONE);
      assert.ok(message.answerable);
    });
  }
});

describe('the body [RFC 3261 18.3]', () => {
  for (const [length, body, rest] of [
    [null, 'whole rest', 10],
    ['10', 'whole rest', 10],
    ['5', 'whole', 10],
    ['0', null, 10],
  ] as const) {
    test(`Content-Length ${length}: ${body}`, () => {
      const message = parsed(invite({ 'Content-Length': length }, 'whole rest'));
      assert.equal(message.fault, 'OK');
      assert.equal(message.word(w.W_REST_LEN), rest);
      assert.equal(message.word(w.W_BODY_LEN), body === null ? 0 : body.length);
      const at = message.word(w.W_BODY_OFF);
      assert.equal(message.text.slice(at, at + (body ?? '').length), body ?? '');
    });
  }

  for (const length of ['11', '9999', '2147483647']) {
    test(`Content-Length ${length} of ten bytes is SHORT_BODY`, () => {
      const message = parsed(invite({ 'Content-Length': length }, 'whole rest'));
      assert.equal(message.fault, 'SHORT_BODY');
      assert.equal(message.faultAt, 'whole rest');
      assert.equal(message.word(w.W_BODY_LEN), 10);
      assert.ok(message.answerable);
    });
  }
});

describe('Call-ID [RFC 3261 20.8]', () => {
  for (const value of ['a', 'f81d4fae@foo.bar', 'word%ZK-!.*_+\'@word`~)(><:\\/"][?}{', '\xe4']) {
    test(`${JSON.stringify(value)} is one`, () => {
      const message = parsed(invite({ 'Call-ID': `  ${value} ` }));
      assert.equal(message.fault, 'OK');
      assert.equal(message.at(w.W_CALL_ID_OFF), value);
    });
  }
  for (const value of [
    '',
    'two words',
    'a\tb',
    'a\r\n b',
    'a\0b',
    'a\x7f',
    '0123456789abcdef0123456789abcdef x',
  ]) {
    test(`${JSON.stringify(value)} is none`, () => {
      const message = parsed(invite({ 'Call-ID': value }));
      assert.equal(message.fault, 'BAD_CALL_ID');
      assert.equal(message.answerable, value !== '');
    });
  }
});
