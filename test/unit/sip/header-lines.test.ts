import assert from 'node:assert/strict';
import { describe, test } from 'vitest';
import { headerId, headerName } from '../../../dist/sip/headers.js';
import * as w from '../../../dist/sip/words.js';
import { invite, parsed } from './parsed.js';

const ALL_IDS = Array.from({ length: w.HDR_COUNT - 1 }, (_, index) => index + 1);
const COMPACT: Readonly<Record<string, number>> = {
  i: w.HDR_CALL_ID,
  m: w.HDR_CONTACT,
  e: w.HDR_CONTENT_ENCODING,
  l: w.HDR_CONTENT_LENGTH,
  c: w.HDR_CONTENT_TYPE,
  f: w.HDR_FROM,
  s: w.HDR_SUBJECT,
  k: w.HDR_SUPPORTED,
  t: w.HDR_TO,
  v: w.HDR_VIA,
  o: w.HDR_EVENT,
  r: w.HDR_REFER_TO,
  b: w.HDR_REFERRED_BY,
  x: w.HDR_SESSION_EXPIRES,
};

/** The id that the parser gives a name. */
const idOf = (name: string): number => parsed(`OPTIONS sip:h SIP/2.0\r\n${name}: 1\r\n\r\n`).headers[0]!.id;

describe('header field names [RFC 3261 7.3.1, 20]', () => {
  for (const id of ALL_IDS) {
    const name = headerName(id);
    test(`${name} is known in any case, and nothing like it`, () => {
      assert.notEqual(name, '');
      for (const spelling of [name, name.toLowerCase(), name.toUpperCase()]) {
        assert.equal(idOf(spelling), id);
        assert.equal(headerId(spelling), id);
      }
      const longer = `${name}s`;
      const swapped = `${name.slice(0, -1)}~`;
      const dashless = name.includes('-') ? name.replace('-', '_') : `${name}_`;
      for (const other of [longer, swapped, dashless, `X${name}`]) {
        assert.equal(idOf(other), w.HDR_OTHER, other);
        assert.equal(headerId(other), w.HDR_OTHER, other);
      }
    });
  }

  for (const letter of 'abcdefghijklmnopqrstuvwxyz') {
    test(`${letter} is ${COMPACT[letter] === undefined ? 'no compact form' : headerName(COMPACT[letter])}`, () => {
      const expected = COMPACT[letter] ?? w.HDR_OTHER;
      assert.equal(idOf(letter), expected);
      assert.equal(idOf(letter.toUpperCase()), expected);
      assert.equal(headerId(letter), expected);
    });
  }

  test('a byte that differs from a letter by one bit only is not that letter', () => {
    for (const name of ['\x16ia', 'C\x21LL-ID', 'call\rid', 'call\x0did', 'CSE\x11', '\x56\x29a']) {
      const message = parsed(`OPTIONS sip:h SIP/2.0\r\n${name}: 1\r\n\r\n`);
      assert.equal(message.headers[0]!.id, w.HDR_OTHER);
    }
  });
});

describe('header lines [RFC 3261 7.3.1, 25.1]', () => {
  test('are all in the table, in order, with name and trimmed value', () => {
    const message = parsed(invite({ 'X-One': ' \t one  ', Subject: 'two words', 'X-Empty': '' }, 'body'));
    assert.equal(message.fault, 'OK');
    assert.deepEqual(message.headers.map(({ name, value }) => [name, value]).slice(5), [
      ['CSeq', '1 INVITE'],
      ['X-One', 'one'],
      ['Subject', 'two words'],
      ['X-Empty', ''],
    ]);
  });

  test('an empty value stands just after its colon', () => {
    for (const text of ['X-Empty:\r\n', 'X-Empty: \t \r\n', 'X-Empty:\n', 'X-Empty: \r\n \r\n\t\r\n']) {
      const message = parsed(`OPTIONS sip:h SIP/2.0\r\n${text}\r\n`);
      const row = w.HEADERS_AT;
      assert.equal(message.word(row + w.H_VALUE_LEN), 0);
      assert.equal(message.text.charAt(message.word(row + w.H_VALUE_OFF) - 1), ':');
    }
  });

  test('white space may stand before the colon, folds anywhere in the value', () => {
    const message = parsed(invite({ 'X-Folded \t': 'a\r\n b\r\n\tc', 'X-Next': 'd' }));
    assert.equal(message.fault, 'OK');
    const [folded, next] = message.headers.slice(6);
    assert.equal(folded!.name, 'X-Folded');
    assert.equal(folded!.value, 'a\r\n b\r\n\tc');
    assert.equal(next!.value, 'd');
  });

  test('a value may begin on the next line', () => {
    assert.equal(parsed(invite({ 'Call-ID': '\r\n cid' })).at(w.W_CALL_ID_OFF), 'cid');
  });

  test('LF alone ends a line, and lines of both kinds may mix', () => {
    const lf = parsed(invite({}, 'body\n').replaceAll('\r\n', '\n'));
    assert.equal(lf.fault, 'OK');
    assert.equal(lf.at(w.W_BODY_OFF), 'body\n');
    assert.equal(parsed(invite().replace('\r\nTo', '\nTo')).fault, 'OK');
  });

  test('CR alone ends nothing', () => {
    const message = parsed(invite({ Subject: 'a\rTo: b' }));
    assert.equal(message.fault, 'OK');
    assert.equal(message.headers[6]!.value, 'a\rTo: b');
  });

  test('the end of the header and the body behind it are found', () => {
    const message = parsed(invite({}, 'v=0\r\n\r\nTo: x\r\n'));
    const end = message.text.indexOf('\r\n\r\n') + 2;
    assert.equal(message.word(w.W_HEADERS_OFF), message.text.indexOf('Via'));
    assert.equal(message.word(w.W_HEADERS_END), end);
    assert.equal(message.word(w.W_BODY_OFF), end + 2);
    assert.equal(message.word(w.W_REST_LEN), 14);
    assert.equal(message.headers.length, 6);
  });

  test('which headers are there is told by bits', () => {
    const message = parsed(invite({ 'Content-Encoding': 'gzip', 'X-Other': '1' }));
    const bits = [
      w.HDR_OTHER,
      w.HDR_VIA,
      w.HDR_FROM,
      w.HDR_TO,
      w.HDR_CALL_ID,
      w.HDR_CSEQ,
      w.HDR_MAX_FORWARDS,
    ];
    assert.equal(
      message.word(w.W_PRESENT_LO),
      bits.reduce((sum, id) => sum + 2 ** id, 0),
    );
    assert.equal(message.word(w.W_PRESENT_HI), 2 ** (w.HDR_CONTENT_ENCODING - 32));
  });

  for (const line of [
    'no colon',
    ': no name',
    ' : x',
    'two words: x',
    'na(me: x',
    'n\xe4me: x',
    '\0: x',
    'a\r: x',
    'X\0Y: x',
  ]) {
    test(`${JSON.stringify(line)} is no header line; the others are read`, () => {
      const message = parsed(invite().replace('\r\nTo:', `\r\n${line}\r\nTo:`));
      if (line.startsWith(' ')) {
        // It continues the line before it.
        assert.equal(message.fault, 'BAD_FROM');
        return;
      }
      assert.equal(message.fault, 'BAD_HEADER_LINE');
      assert.ok(message.faultAt.startsWith(line));
      assert.equal(message.headers.length, 7);
      const bad = message.headers.find((header) => header.line.startsWith(line))!;
      assert.deepEqual([bad.id, bad.name, bad.value], [w.HDR_OTHER, '', line]);
      assert.ok(message.answerable);
    });
  }

  test('a fold before the first header belongs to nothing', () => {
    const message = parsed(invite().replace('\r\nVia:', '\r\n folded\r\nVia:'));
    assert.equal(message.fault, 'BAD_HEADER_LINE');
    assert.ok(message.answerable);
  });

  test('a datagram that ends inside the header keeps the whole lines', () => {
    const whole = invite();
    for (let length = 0; length < whole.length; length++) {
      const message = parsed(whole.slice(0, length));
      assert.notEqual(message.fault, 'OK', `${length} bytes`);
      const lines = whole.slice(0, length).split('\r\n').length - 2;
      const half = whole.charAt(length - 1) === '\r' || whole.slice(length - 2, length) === '\r\n';
      if (!half && lines >= 0) assert.equal(message.headers.length, Math.min(lines, 6), `${length} bytes`);
    }
  });

  test('as many header fields as there is room for are read, one more is refused', () => {
    const filler = (count: number) => Array.from({ length: count }, (_, index) => `${index}`);
    const full = parsed(invite({ 'X-Filler': filler(w.HEADERS_MAX - 6) }));
    assert.equal(full.fault, 'OK');
    assert.equal(full.headers.length, w.HEADERS_MAX);
    const over = parsed(invite({ 'X-Filler': filler(w.HEADERS_MAX - 5) }));
    assert.equal(over.fault, 'TOO_MANY_HEADERS');
    assert.equal(over.faultAt, `X-Filler: ${w.HEADERS_MAX - 6}\r\n\r\n`);
    assert.equal(over.headers.length, w.HEADERS_MAX);
    assert.ok(over.answerable);
  });

  test('a name of 65,535 characters is a name, a longer one is not', () => {
    assert.equal(parsed(invite({ ['X'.repeat(0xffff)]: '1' })).fault, 'OK');
    assert.equal(parsed(invite({ ['X'.repeat(0x10000)]: '1' })).fault, 'BAD_HEADER_LINE');
  });
});

describe('needed header fields [RFC 3261 8.1.1, 16.3]', () => {
  for (const [name, fault] of [
    ['Via', 'MISSING_VIA'],
    ['From', 'MISSING_FROM'],
    ['To', 'MISSING_TO'],
    ['Call-ID', 'MISSING_CALL_ID'],
    ['CSeq', 'MISSING_CSEQ'],
  ] as const) {
    test(`without ${name}: ${fault}, and no answer can be built`, () => {
      const message = parsed(invite({ [name]: null }));
      assert.equal(message.fault, fault);
      assert.equal(message.word(w.W_FAULT_OFF), message.word(w.W_HEADERS_END));
      assert.equal(message.answerable, false);
    });
  }

  test('Max-Forwards, Contact and Content-Length may be missing [RFC 2543]', () => {
    const message = parsed(invite({ 'Max-Forwards': null }));
    assert.equal(message.fault, 'OK');
    assert.equal(message.word(w.W_MAX_FORWARDS), w.NONE);
    assert.equal(message.word(w.W_CONTENT_LENGTH), w.NONE);
    assert.equal(message.word(w.W_MAX_BREADTH), w.NONE);
    assert.equal(message.word(w.W_CONTACT_COUNT), 0);
  });
});

describe('header fields that come once [RFC 3261 7.3.1]', () => {
  for (const [name, first, second] of [
    ['From', 'sip:a@h;tag=1', 'sip:a@h;tag=2'],
    ['To', 'sip:a@h', 'sip:a@h;tag=2'],
    ['Call-ID', 'one', 'One'],
    ['CSeq', '1 INVITE', '2 INVITE'],
    ['Max-Forwards', '70', '070'],
    ['Content-Length', '0', '1'],
    ['Max-Breadth', '60', '61'],
  ] as const) {
    test(`${name} twice with one value is harmless`, () => {
      const message = parsed(invite({ [name]: [first, ` ${first} `] }));
      assert.equal(message.fault, 'OK');
    });
    test(`${name} twice with two values is refused at the second`, () => {
      const message = parsed(invite({ [name]: [first, second] }));
      assert.equal(message.fault, 'REPEATED_HEADER');
      assert.ok(message.faultAt.startsWith(`${name}: ${second}\r\n`));
      assert.ok(message.answerable);
    });
  }

  test('a compact form is the same header field', () => {
    const message = parsed(invite({ i: 'another' }));
    assert.equal(message.fault, 'REPEATED_HEADER');
    assert.equal(message.at(w.W_CALL_ID_OFF), '3848276298220188511@example.com');
  });
});
