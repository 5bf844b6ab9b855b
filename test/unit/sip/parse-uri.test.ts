import assert from 'node:assert/strict';
import { describe, test } from 'vitest';
import { referenceFindParameter, referenceParseUri } from '../../../dist/sip/reference-parser.js';
import { formatUri, parseUri } from '../../../dist/sip/uri.js';
import * as w from '../../../dist/sip/words.js';
import { bytesOf, memoryWords, parser, place } from './parsed.js';

const WORDS_AT = w.PARSER_RESERVED_BYTES;
/** The URI stands inside a message: what is around it must not matter. */
const BEFORE = 'x@y:<';
const AFTER = ';lr@>';

interface UriWords {
  readonly status: number;
  word(word: number): number;
  at(offsetWord: number): string | null;
}

function uriWords(uri: string): UriWords {
  const bytes = bytesOf(BEFORE + uri + AFTER);
  memoryWords.fill(7, WORDS_AT / 4, WORDS_AT / 4 + w.URI_WORDS);
  const status = parser.parseUri(place(bytes), BEFORE.length, uri.length, WORDS_AT);
  const words = memoryWords.slice(WORDS_AT / 4, WORDS_AT / 4 + w.URI_WORDS);
  assert.deepEqual([...words], [...referenceParseUri(bytes, BEFORE.length, uri.length)], uri);
  const text = BEFORE + uri;
  return {
    status,
    word: (word) => words[word]!,
    at: (word) => (words[word + 1] === 0 ? null : text.slice(words[word]!, words[word]! + words[word + 1]!)),
  };
}

describe('URI words [RFC 3261 19.1, 25.1]', () => {
  test('of a URI that has everything', () => {
    const uri = uriWords(
      'sips:alice:pw@[2001:db8::1]:5061;transport=TCP;lr;maddr=h;ttl=7;r2=on;ftag=x?Subject=a&b=c',
    );
    assert.equal(uri.status, 0);
    assert.equal(uri.word(w.U_SCHEME), 2);
    assert.equal(uri.word(w.U_SCHEME_LEN), 4);
    assert.equal(uri.at(w.U_USER_OFF), 'alice');
    assert.equal(uri.at(w.U_PASSWORD_OFF), 'pw');
    assert.equal(uri.at(w.U_HOST_OFF), '[2001:db8::1]');
    assert.equal(uri.word(w.U_PORT), 5061);
    assert.equal(uri.at(w.U_PARAMS_OFF), ';transport=TCP;lr;maddr=h;ttl=7;r2=on;ftag=x');
    assert.equal(uri.at(w.U_HEADERS_OFF), '?Subject=a&b=c');
    assert.equal(uri.word(w.U_LR), 1);
    assert.equal(uri.word(w.U_R2), 1);
    assert.equal(uri.word(w.U_TRANSPORT), 2);
    assert.equal(uri.at(w.U_MADDR_OFF), 'h');
    assert.equal(uri.word(w.U_TTL), 7);
    assert.equal(uri.at(w.U_FTAG_OFF), 'x');
  });

  test('of a URI that has only a host', () => {
    const uri = uriWords('sip:h');
    assert.equal(uri.status, 0);
    assert.equal(uri.at(w.U_HOST_OFF), 'h');
    for (const word of [w.U_USER_OFF, w.U_PASSWORD_OFF, w.U_PARAMS_OFF, w.U_HEADERS_OFF, w.U_MADDR_OFF]) {
      assert.equal(uri.at(word), null);
    }
    assert.equal(uri.word(w.U_PORT), 0);
    assert.equal(uri.word(w.U_TRANSPORT), 0);
    assert.equal(uri.word(w.U_LR), 0);
    assert.equal(uri.word(w.U_TTL), w.NONE);
  });

  for (const [uri, user, host] of [
    ['SIP:a@h', 'a', 'h'],
    ['sip:user;par=u%40example.net@example.com', 'user;par=u%40example.net', 'example.com'],
    ['sip:sips%3Auser%40example.com@example.net', 'sips%3Auser%40example.com', 'example.net'],
    ['sip:+1(972)555;isub=1@h;user=phone', '+1(972)555;isub=1', 'h'],
    ['sip:a?b&c=d+e$f,g/h@h', 'a?b&c=d+e$f,g/h', 'h'],
    ['sip:null-%00-null@h', 'null-%00-null', 'h'],
    ['sip:a@192.0.2.1:1', 'a', '192.0.2.1'],
    ['sip:a@[::ffff:192.0.2.2]', 'a', '[::ffff:192.0.2.2]'],
    ['sip:[2001:db8::10:5070]', null, '[2001:db8::10:5070]'],
    ['sip:a@host_1', 'a', 'host_1'],
    ['sip:h?to=a', null, 'h'],
    ['sip:a@h?Replaces=b@c', 'a', 'h'],
  ] as const) {
    test(`${uri} is ${user} at ${host}`, () => {
      const words = uriWords(uri);
      assert.equal(words.status, 0);
      assert.equal(words.at(w.U_USER_OFF), user);
      assert.equal(words.at(w.U_HOST_OFF), host);
      assert.equal(parseUri(uri)?.user, user);
      assert.equal(parseUri(uri)?.host, host);
    });
  }

  for (const [index, name] of ['udp', 'tcp', 'tls', 'sctp', 'ws', 'wss', 'other', '', 'udpx'].entries()) {
    test(`transport=${name} is ${Math.min(index + 1, 7)}, in any case`, () => {
      assert.equal(uriWords(`sip:h;transport=${name}`).word(w.U_TRANSPORT), Math.min(index + 1, 7));
      assert.equal(
        uriWords(`sip:h;Transport=${name.toUpperCase()};transport=udp`).word(w.U_TRANSPORT),
        Math.min(index + 1, 7),
      );
    });
  }

  test('lr is a parameter by itself, not a part of a name or value', () => {
    assert.equal(uriWords('sip:h;LR=on').word(w.U_LR), 1);
    for (const uri of [
      'sip:h;lrx',
      'sip:h;xlr',
      'sip:h;x=lr',
      'sip:lr@h',
      'sip:a;lr@h',
      'sip:h?lr',
      'sip:h?x;lr',
    ]) {
      assert.equal(uriWords(uri).word(w.U_LR), 0, uri);
    }
  });

  for (const [uri, scheme, length] of [
    ['tel:+1-201-555-0123;phone-context=x', 3, 3],
    ['nobodyKnowsThisScheme:totallyopaquecontent', 0, 21],
    ['soap.beep://192.0.2.103:3002', 0, 9],
    ['http://www.example.com', 0, 4],
    ['sipx:a@h', 0, 4],
    ['si:a@h', 0, 2],
  ] as const) {
    test(`${uri} is a URI that we cannot route by`, () => {
      const words = uriWords(uri);
      assert.equal(words.status, 1);
      assert.equal(words.word(w.U_SCHEME), scheme);
      assert.equal(words.word(w.U_SCHEME_LEN), length);
      assert.equal(parseUri(uri), null);
    });
  }

  test('of a tel URI the number is the user', () => {
    const words = uriWords('tel:+1-201-555-0123;phone-context=x');
    assert.equal(words.at(w.U_USER_OFF), '+1-201-555-0123');
    assert.equal(words.at(w.U_PARAMS_OFF), ';phone-context=x');
  });

  for (const uri of [
    '',
    ':',
    'sip',
    'sip:',
    'a@h',
    '1sip:a@h',
    '<sip:a@h>',
    ' sip:a@h',
    'sip:a@h ',
    'sip:a @h',
    'sip:a"b"@h',
    'sip:a\0@h',
    'sip:@h',
    'sip::pw@h',
    'sip:a@',
    'sip:a@:5060',
    'sip:a@h:',
    'sip:a@h:0',
    'sip:a@h:65536',
    'sip:a@h:99999999999',
    'sip:a@h:50x',
    'sip:a@h/path',
    'sip:a@h,b',
    'sip:2001:db8::10',
    'sip:a@2001:db8::10',
    'sip:a@[2001:db8::10',
    'sip:a@[]',
    'sip:a@[fe80::1%25eth0]',
    'sip:a@[::1]x',
    'sip:a@b@c',
    'sip:a@h\x7f',
  ]) {
    test(`${JSON.stringify(uri)} is none`, () => {
      assert.equal(uriWords(uri).status, 1);
      assert.equal(parseUri(uri), null);
    });
  }
});

describe('URI text', () => {
  for (const uri of [
    'sip:h',
    'sips:a:b@h:5061;transport=tcp;lr?x=y',
    'sip:a:@h',
    'sip:[::1]:5060;lr',
    'sip:user;par=1@h;x=%20',
    'sip:h?',
  ]) {
    test(`${uri} comes out as it went in`, () => {
      const parts = parseUri(uri);
      assert.ok(parts);
      assert.equal(formatUri(parts), uri.replace(/\?$/, ''));
      assert.deepEqual(parseUri(formatUri(parts)), parts);
    });
  }

  test('has its parameters by lower-case name, the first of two counts', () => {
    const parameters = parseUri('sip:h;Transport=TCP;lr;transport=udp;;x=a=b')!.parameters;
    assert.deepEqual(
      [...parameters],
      [
        ['transport', 'TCP'],
        ['lr', null],
        ['x', 'a=b'],
      ],
    );
  });
});

describe('one parameter', () => {
  /** The value, '' for a parameter without one, `null` if it is not there. */
  function find(parameters: string, name: string): string | null {
    const bytes = bytesOf(BEFORE + parameters + AFTER);
    const found = parser.findParameter(place(bytes), BEFORE.length, parameters.length, name, WORDS_AT);
    const [offset, length] = memoryWords.slice(WORDS_AT / 4, WORDS_AT / 4 + 2) as unknown as [number, number];
    const reference = referenceFindParameter(bytes, BEFORE.length, parameters.length, name);
    assert.deepEqual(found ? [offset, length] : null, reference, parameters);
    return found ? (BEFORE + parameters).slice(offset, offset + length) : null;
  }

  for (const [parameters, name, value] of [
    [';tag=1', 'tag', '1'],
    [';TAG=1', 'tag', '1'],
    [' ; tag = 1 ', 'tag', '1'],
    ['\r\n ;\r\n tag\r\n =\r\n 1', 'tag', '1'],
    [';a;b=2;c', 'a', ''],
    [';a;b=2;c', 'b', '2'],
    [';a;b=2;c', 'c', ''],
    [';a;b=2;c', 'd', null],
    [';a=;b', 'a', ''],
    [';a="x;b=1";b=2', 'b', '2'],
    [';a="x;b=1";b=2', 'a', 'x;b=1'],
    [';a="x\\"y"', 'a', 'x\\"y'],
    [';a=""', 'a', ''],
    [';a=1;a=2', 'a', '1'],
    [';;;a=1', 'a', '1'],
    [';=x;a=1', 'a', '1'],
    [';x y;a=1', 'a', '1'],
    [';did=3a1.4321;lr', 'did', '3a1.4321'],
    [';lr;ftag=a', 'lr', ''],
    ['a=1', 'a', null],
    ['', 'a', null],
    [';', 'a', null],
    [';ab=1', 'a', null],
    [';xa=1', 'a', null],
    [';a="open', 'a', null],
    [';x="open;a=1', 'a', null],
    ['"quoted;a=1";a=2', 'a', '2'],
  ] as const) {
    test(`${name} of ${JSON.stringify(parameters)} is ${JSON.stringify(value)}`, () => {
      assert.equal(find(parameters, name), value);
    });
  }

  test('a name that is too long is not there', () => {
    assert.equal(parser.findParameter(place(bytesOf(';a')), 0, 2, 'x'.repeat(300), WORDS_AT), false);
  });
});
