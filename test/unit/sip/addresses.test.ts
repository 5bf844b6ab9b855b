import assert from 'node:assert/strict';
import { describe, test } from 'vitest';
import * as w from '../../../dist/sip/words.js';
import { invite, parsed } from './parsed.js';

const SIDES = [
  ['From', 'BAD_FROM', w.W_FROM_OFF, w.W_FROM_URI_OFF, w.W_FROM_TAG_OFF],
  ['To', 'BAD_TO', w.W_TO_OFF, w.W_TO_URI_OFF, w.W_TO_TAG_OFF],
] as const;

for (const [name, fault, valueWord, uriWord, tagWord] of SIDES) {
  const address = (value: string) => parsed(invite({ [name]: value }));

  describe(`${name} [RFC 3261 20.10, ${name === 'From' ? '20.20' : '20.39'}]`, () => {
    for (const [value, uri, tag] of [
      ['<sip:a@h>', 'sip:a@h', null],
      ['<sip:a@h>;tag=1', 'sip:a@h', '1'],
      ['sip:a@h', 'sip:a@h', null],
      ['sip:a@h;tag=1', 'sip:a@h', '1'],
      ['sip:a@h;user=phone;tag=1', 'sip:a@h', '1'],
      ['<sip:a@h;tag=no>;tag=yes', 'sip:a@h;tag=no', 'yes'],
      ['<sip:a@h;tag=no>', 'sip:a@h;tag=no', null],
      ['<sip:a@h>;TAG=1', 'sip:a@h', '1'],
      ['<sip:a@h> ; tag = 1 ; x', 'sip:a@h', '1'],
      ['<sip:a@h>\r\n ;\r\n tag\r\n =\r\n 1', 'sip:a@h', '1'],
      ['Alice <sip:a@h>;tag=1', 'sip:a@h', '1'],
      ['Alice<sip:a@h>;tag=1', 'sip:a@h', '1'],
      ["A. Bell-1!%*_+`'~ <sip:a@h>", 'sip:a@h', null],
      ['Andr\xc3\xa9 <sip:a@h>', 'sip:a@h', null],
      ['"Alice" <sip:a@h>;tag=1', 'sip:a@h', '1'],
      ['""<sip:a@h>', 'sip:a@h', null],
      ['"A <sip:no@h>;tag=no, \\" B" <sip:a@h>;tag=1', 'sip:a@h', '1'],
      ['"J Rosenberg \\\\\\"" <sip:a@h>', 'sip:a@h', null],
      ['"\r\n folded" <sip:a@h>', 'sip:a@h', null],
      ['"BEL:\\\x07 NUL:\\\0" <sip:a@h>', 'sip:a@h', null],
      ['<sip:a@h>;x="tag=no;tag=no";tag=1', 'sip:a@h', '1'],
      ['<sip:a@h>;xtag=no;tags=no;ta=no', 'sip:a@h', null],
      ['isbn:2983792873', 'isbn:2983792873', null],
      ['<http://www.example.com>;tag=1', 'http://www.example.com', '1'],
      ['<sip:a@[2001:db8::1]:5060>', 'sip:a@[2001:db8::1]:5060', null],
      ['sip:a@[2001:db8::1]', 'sip:a@[2001:db8::1]', null],
      ['<sip:a,b;c@h?d=e>', 'sip:a,b;c@h?d=e', null],
    ] as const) {
      test(`${JSON.stringify(value)}: ${uri}, tag ${tag}`, () => {
        const message = address(value);
        assert.equal(message.fault, 'OK');
        assert.equal(message.at(valueWord), value);
        assert.equal(message.at(uriWord), uri);
        assert.equal(message.at(tagWord), tag);
      });
    }

    for (const [value, at] of [
      ['', ''],
      [';tag=1', ';tag'],
      ['<>', '>'],
      ['<sip:a@h', ''],
      ['sip:a@h>', '>'],
      ['< sip:a@h >', ' sip'],
      ['<sip:a @h>', ' @h'],
      ['<sip:a\r\n @h>', '\r\n'],
      ['<<sip:a@h>>', '<sip'],
      ['<sip:a@h>>', '>'],
      ['<sip:a@h> x', 'x'],
      ['<sip:a@h>, <sip:b@h>', ', <'],
      ['sip:a@h, sip:b@h', ', sip'],
      ['sip:a@h sip:b@h', ' sip'],
      ['Bell, Alexander <sip:a@h>', ', Alex'],
      ['Bell (A) <sip:a@h>', '(A)'],
      ['a@b <sip:a@h>', '@b'],
      ['"Alice <sip:a@h>;tag=1', '"Alice'],
      ['"Alice\\" <sip:a@h>', '"Alice'],
      ['"Alice"', ''],
      ['"Alice" sip:a@h', 'sip'],
      ['"Alice" x <sip:a@h>', 'x'],
      ['Alice "x" <sip:a@h>', '"x"'],
      ['<sip:a@h>;', ''],
      ['<sip:a@h>;;tag=1', ';tag'],
      ['<sip:a@h>;=1', '=1'],
      ['<sip:a@h>;tag', 'tag'],
      ['<sip:a@h>;tag=', 'tag='],
      ['<sip:a@h>;tag=;x', 'tag='],
      ['<sip:a@h>;tag=1;tag=2', 'tag=2'],
      ['<sip:a@h>;tag=1;TAG=1', 'TAG=1'],
      ['<sip:a@h>;tag=1 2', '2'],
      ['<sip:a@h>;tag="1', '"1'],
      ['<sip:a@h>;tag=1,x', ',x'],
      ['sip:a\0@h', '\0@h'],
    ] as const) {
      test(`${JSON.stringify(value)} is ${fault} at ${JSON.stringify(at)}`, () => {
        const message = address(value);
        assert.equal(message.fault, fault);
        const seen = message.faultAt;
        assert.ok(
          seen.startsWith(at === '' ? '\r\n' : at) || (value === '' && at === ''),
          JSON.stringify(seen),
        );
        assert.equal(message.headers.length, 6);
        assert.equal(message.answerable, value !== '');
      });
    }
  });
}
