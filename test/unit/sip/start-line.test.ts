import assert from 'node:assert/strict';
import { describe, test } from 'vitest';
import * as w from '../../../dist/sip/words.js';
import { invite, parsed } from './parsed.js';

const request = (startLine: string, method = 'INVITE') =>
  parsed(invite({ CSeq: `1 ${method}` }, '', startLine));

describe('request line [RFC 3261 7.1]', () => {
  test('gives method, Request-URI and offsets', () => {
    const message = request('INVITE sip:bob@example.com;user=phone SIP/2.0');
    assert.equal(message.fault, 'OK');
    assert.equal(message.word(w.W_KIND), 1);
    assert.equal(message.word(w.W_METHOD), w.M_INVITE);
    assert.equal(message.at(w.W_METHOD_OFF), 'INVITE');
    assert.equal(message.at(w.W_RURI_OFF), 'sip:bob@example.com;user=phone');
    assert.equal(message.word(w.W_CODE), 0);
    assert.equal(message.at(w.W_REASON_OFF), null);
  });

  for (let method = w.M_INVITE; method <= w.M_PUBLISH; method++) {
    const name = w.METHOD_NAMES[method]!;
    test(`knows ${name}`, () => {
      const message = request(`${name} sip:b@h SIP/2.0`, name);
      assert.equal(message.fault, 'OK');
      assert.equal(message.word(w.W_METHOD), method);
    });
    test(`knows no ${name.toLowerCase()}: methods are compared exactly`, () => {
      const message = request(`${name.toLowerCase()} sip:b@h SIP/2.0`, name.toLowerCase());
      assert.equal(message.fault, 'OK');
      assert.equal(message.word(w.W_METHOD), w.M_UNKNOWN);
    });
    test(`knows neither ${name}X nor ${name.slice(0, -1)}`, () => {
      for (const other of [`${name}X`, name.slice(0, -1)]) {
        assert.equal(request(`${other} sip:b@h SIP/2.0`, other).word(w.W_METHOD), w.M_UNKNOWN);
      }
    });
  }

  test('may come after empty lines [7.5]', () => {
    const message = parsed(`\r\n\r\n\n${invite()}`);
    assert.equal(message.fault, 'OK');
    assert.equal(message.word(w.W_START_OFF), 5);
    assert.equal(message.at(w.W_METHOD_OFF), 'INVITE');
  });

  test('may spell the version in lower case [7.1]', () => {
    assert.equal(request('INVITE sip:b@h sip/2.0').fault, 'OK');
  });

  test('lets UTF-8 in a URI through', () => {
    assert.equal(request('INVITE sip:\xc3\xa4@h SIP/2.0').fault, 'OK');
  });

  for (const [line, fault, at] of [
    ['INVITE', 'BAD_START_LINE', '\r\n'],
    ['INVITE ', 'BAD_START_LINE', '\r\n'],
    ['INVITE sip:b@h', 'BAD_START_LINE', '\r\n'],
    ['INVITE sip:b@h ', 'BAD_START_LINE', '\r\n'],
    ['INVITE sip:b@h SIP/2.0 ', 'BAD_START_LINE', '\r\n'],
    [' INVITE sip:b@h SIP/2.0', 'BAD_START_LINE', ' INVITE'],
    ['INV(ITE sip:b@h SIP/2.0', 'BAD_START_LINE', '(ITE'],
    ['INVITE\tsip:b@h SIP/2.0', 'BAD_START_LINE', '\tsip'],
    ['INVITE sip:b@h HTTP/1.1', 'BAD_START_LINE', 'HTTP'],
    ['INVITE sip:b@h SIP/2', 'BAD_START_LINE', 'SIP/2'],
    ['INVITE sip:b@h SIP/2.', 'BAD_START_LINE', 'SIP/2.'],
    ['INVITE sip:b@h SIP/.0', 'BAD_START_LINE', 'SIP/.0'],
    ['INVITE sip:b@h SIP/2.0x', 'BAD_START_LINE', 'SIP/2.0x'],
    ['\xff\xfe\0\x01', 'BAD_START_LINE', '\xff'],
    ['INVITE sip:b@h SIP/7.0', 'BAD_VERSION', 'SIP/7.0'],
    ['INVITE sip:b@h SIP/2.1', 'BAD_VERSION', 'SIP/2.1'],
    ['INVITE sip:b@h SIP/2.00', 'BAD_VERSION', 'SIP/2.00'],
    ['INVITE sip:b@h SIP/12.0', 'BAD_VERSION', 'SIP/12.0'],
    ['INVITE  SIP/2.0', 'BAD_REQUEST_URI', ' SIP'],
    ['INVITE  sip:b@h SIP/2.0', 'BAD_REQUEST_URI', ' sip'],
    ['INVITE sip:b@h  SIP/2.0', 'BAD_REQUEST_URI', '  SIP'],
    ['INVITE sip:b@h; lr SIP/2.0', 'BAD_REQUEST_URI', ' lr'],
    ['INVITE sip:b\t@h SIP/2.0', 'BAD_REQUEST_URI', '\t@h'],
    ['INVITE <sip:b@h> SIP/2.0', 'BAD_REQUEST_URI', '<sip'],
    ['INVITE sip:"b"@h SIP/2.0', 'BAD_REQUEST_URI', '"b"'],
    ['INVITE sip:b\0@h SIP/2.0', 'BAD_REQUEST_URI', '\0@h'],
    ['INVITE sip:b\x7f@h SIP/2.0', 'BAD_REQUEST_URI', '\x7f@h'],
  ] as const) {
    test(`${JSON.stringify(line)} is ${fault}, and the rest is read all the same`, () => {
      const message = request(line);
      assert.equal(message.fault, fault);
      assert.equal(message.faultAt.slice(0, at.length), at);
      assert.equal(message.headers.length, 6);
      assert.equal(message.at(w.W_CALL_ID_OFF), '3848276298220188511@example.com');
      assert.ok(message.answerable);
    });
  }
});

describe('status line [RFC 3261 7.2]', () => {
  const response = (startLine: string) => request(startLine, 'BYE');

  for (const [line, code, reason] of [
    ['SIP/2.0 200 OK', 200, 'OK'],
    ['SIP/2.0 100 ', 100, null],
    ['SIP/2.0 100', 100, null],
    ['SIP/2.0 699 No  such\tthing', 699, 'No  such\tthing'],
    ['SIP/2.0 404 \xd0\xbd\xd0\xb5\xd1\x82', 404, '\xd0\xbd\xd0\xb5\xd1\x82'],
    ['sip/2.0 200 OK', 200, 'OK'],
  ] as const) {
    test(`${JSON.stringify(line)} is a response; its method is the one of CSeq`, () => {
      const message = response(line);
      assert.equal(message.fault, 'OK');
      assert.equal(message.word(w.W_KIND), 2);
      assert.equal(message.word(w.W_CODE), code);
      assert.equal(message.word(w.W_METHOD), w.M_BYE);
      assert.equal(message.at(w.W_REASON_OFF), reason);
      assert.equal(message.at(w.W_RURI_OFF), null);
    });
  }

  for (const [line, fault] of [
    ['SIP/2.0', 'BAD_START_LINE'],
    ['SIP/2.0200 OK', 'BAD_START_LINE'],
    ['SIP/7.0 200 OK', 'BAD_START_LINE'],
    ['SIP/2.0\t200 OK', 'BAD_START_LINE'],
    ['SIP/2.0 ', 'BAD_STATUS_CODE'],
    ['SIP/2.0  200 OK', 'BAD_STATUS_CODE'],
    ['SIP/2.0 20 OK', 'BAD_STATUS_CODE'],
    ['SIP/2.0 099 OK', 'BAD_STATUS_CODE'],
    ['SIP/2.0 700 OK', 'BAD_STATUS_CODE'],
    ['SIP/2.0 0200 OK', 'BAD_STATUS_CODE'],
    ['SIP/2.0 200OK', 'BAD_STATUS_CODE'],
    ['SIP/2.0 2x0 OK', 'BAD_STATUS_CODE'],
    ['SIP/2.0 -200 OK', 'BAD_STATUS_CODE'],
    ['SIP/2.0 4294967496 OK', 'BAD_STATUS_CODE'],
  ] as const) {
    test(`${JSON.stringify(line)} is ${fault}`, () => {
      const message = response(line);
      assert.equal(message.fault, fault);
      assert.equal(message.word(w.W_KIND), 2);
      assert.equal(message.word(w.W_CODE), 0);
    });
  }
});

describe('datagrams that are hardly messages', () => {
  for (const [text, fault, offset] of [
    ['', 'BAD_START_LINE', 0],
    ['\r\n\r\n', 'BAD_START_LINE', 4],
    ['\0', 'BAD_START_LINE', 0],
    ['INVITE sip:b@h SIP/2.0', 'NO_END_OF_HEADER', 22],
    ['INVITE sip:b@h SIP/2.0\r\n', 'NO_END_OF_HEADER', 24],
    ['SIP/2.0 200 OK\r\n\r', 'NO_END_OF_HEADER', 17],
    ['SIP/2.0 200 OK\r\n\r\n', 'MISSING_VIA', 16],
    ['SIP/2.0 200 OK\n\n', 'MISSING_VIA', 15],
  ] as const) {
    test(`${JSON.stringify(text)} is ${fault} at ${offset}`, () => {
      const message = parsed(text);
      assert.equal(message.fault, fault);
      assert.equal(message.word(w.W_FAULT_OFF), offset);
      assert.equal(message.answerable, false);
    });
  }
});
