import assert from 'node:assert/strict';
import { describe, test } from 'vitest';
import { MESSAGE_BYTES_MAX, parseMessage, SipFault, SipMessage } from '../../../dist/sip/parse.js';
import * as w from '../../../dist/sip/words.js';
import { bytesOf, invite } from './parsed.js';

function message(text: string): SipMessage {
  const result = parseMessage(bytesOf(text));
  assert.ok(result instanceof SipMessage, `refused: ${JSON.stringify(text)}`);
  return result;
}

function fault(text: string): SipFault {
  const result = parseMessage(bytesOf(text));
  assert.ok(result instanceof SipFault, `accepted: ${JSON.stringify(text)}`);
  return result;
}

describe('parseMessage', () => {
  test('gives a request with values', () => {
    const request = message(
      invite(
        {
          Via: ['SIP/2.0/UDP [::1]:5070;rport;received=::2;branch=b1, SIP/2.0/TCP old.example.com'],
          Contact: '"A" <sip:a@h>;expires=60, sip:b@h',
          Route: '<sip:p;lr>',
          'Record-Route': '<sip:r1>, <sip:r2>',
          'Max-Breadth': '60',
          'Content-Length': '4',
          'X-Folded': 'a\r\n \t b\r\n c',
        },
        'bodyrest',
      ),
    );
    assert.equal(request.kind, 'request');
    assert.equal(request.method, 'INVITE');
    assert.equal(request.requestUri, 'sip:bob@example.com');
    assert.equal(request.statusCode, 0);
    assert.equal(request.callId, '3848276298220188511@example.com');
    assert.deepEqual(request.cseq, { number: 1, method: 'INVITE' });
    assert.deepEqual(request.from, {
      value: 'Alice <sip:alice@example.com>;tag=9fxced76sl',
      uri: 'sip:alice@example.com',
      tag: '9fxced76sl',
    });
    assert.equal(request.to.tag, null);
    assert.equal(request.maxForwards, 70);
    assert.equal(request.maxBreadth, 60);
    assert.equal(request.contentLength, 4);
    assert.deepEqual(request.topVia, {
      value: 'SIP/2.0/UDP [::1]:5070;rport;received=::2;branch=b1',
      branch: 'b1',
      transport: 'UDP',
      host: '[::1]',
      port: 5070,
      received: '::2',
      rport: 0,
      maddr: null,
      ttl: null,
    });
    assert.deepEqual(request.vias[1], { value: 'SIP/2.0/TCP old.example.com', branch: null });
    assert.deepEqual(
      request.contacts.map((contact) => contact.uri),
      ['sip:a@h', 'sip:b@h'],
    );
    assert.deepEqual(request.routes, [{ value: '<sip:p;lr>', uri: 'sip:p;lr' }]);
    assert.equal(request.recordRoutes.length, 2);
    assert.equal(Buffer.from(request.body).toString(), 'body');
    assert.equal(request.header('x-folded'), 'a b c');
  });

  test('gives a response with values', () => {
    const response = message(invite({ CSeq: '7 BYE' }, '', 'SIP/2.0 486 Besetzt \xc3\xa4'));
    assert.equal(response.kind, 'response');
    assert.equal(response.statusCode, 486);
    assert.equal(response.reason, 'Besetzt ä');
    assert.equal(response.method, 'BYE');
    assert.equal(response.requestUri, '');
  });

  test('finds header fields by any of their names', () => {
    const request = message(invite({ k: 'timer', Supported: 'path', 'X-Own': ['1', '2'], s: '' }));
    assert.deepEqual(request.headerValues('SUPPORTED'), ['timer', 'path']);
    assert.deepEqual(request.headerValues('k'), ['timer', 'path']);
    assert.deepEqual(request.headerValues('x-own'), ['1', '2']);
    assert.equal(request.header('Subject'), '');
    assert.equal(request.header('X-Missing'), null);
    assert.equal([...request.headers()].length, request.headerCount);
    assert.deepEqual(request.headerAt(0).name, 'Via');
  });

  test('keeps a message while others are parsed', () => {
    const first = message(invite({ 'Call-ID': 'first' }));
    message(invite({ 'Call-ID': 'second', Contact: '<sip:x@y>' }));
    fault('garbage');
    assert.equal(first.callId, 'first');
    assert.equal(first.contacts.length, 0);
  });

  test('reads bytes that stand in the middle of a buffer', () => {
    const text = invite();
    const bytes = Buffer.concat([Buffer.from('xxx'), bytesOf(text), Buffer.from('yyy')]).subarray(
      3,
      3 + text.length,
    );
    const result = parseMessage(bytes);
    assert.ok(result instanceof SipMessage);
    assert.equal(result.word(w.W_REST_LEN), 0);
  });

  test('gives a fault with what could be read', () => {
    const refused = fault(invite({ To: '"Bob <sip:b@h>' }));
    assert.equal(refused.code, w.F_BAD_TO);
    assert.equal(refused.name, 'BAD_TO');
    assert.equal(refused.answerable, true);
    assert.equal(refused.message.callId, '3848276298220188511@example.com');
    assert.equal(refused.message.to.uri, '');
    assert.equal(refused.offset, invite().indexOf('Bob <sip:bob'));
  });

  test('gives a fault for bytes that are no message at all', () => {
    const refused = fault('\0\x01\x02');
    assert.equal(refused.name, 'BAD_START_LINE');
    assert.equal(refused.answerable, false);
    assert.equal(refused.message.kind, 'unknown');
    assert.equal(refused.message.topVia, null);
    assert.equal(refused.message.cseq.number, null);
    assert.equal(refused.message.method, '');
    assert.equal(refused.message.body.length, 0);
  });

  test('takes a message of the largest size and throws at more', () => {
    const head = invite({}, '').length;
    assert.equal(
      message(invite({}, 'x'.repeat(MESSAGE_BYTES_MAX - head))).body.length,
      MESSAGE_BYTES_MAX - head,
    );
    assert.throws(() => parseMessage(new Uint8Array(MESSAGE_BYTES_MAX + 1)), RangeError);
  });
});
