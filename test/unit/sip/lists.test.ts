import assert from 'node:assert/strict';
import { describe, test } from 'vitest';
import * as w from '../../../dist/sip/words.js';
import { invite, parsed } from './parsed.js';

const LISTS = [
  ['Contact', w.HDR_CONTACT, w.W_CONTACT_COUNT, 'BAD_CONTACT'],
  ['Route', w.HDR_ROUTE, w.W_ROUTE_COUNT, 'BAD_ROUTE'],
  ['Record-Route', w.HDR_RECORD_ROUTE, w.W_RECORD_ROUTE_COUNT, 'BAD_RECORD_ROUTE'],
] as const;

for (const [name, id, countWord, fault] of LISTS) {
  const list = (value: string | readonly string[]) => parsed(invite({ [name]: value }));

  describe(`${name} [RFC 3261 7.3.1, 20.10, 25.1]`, () => {
    for (const [value, uris] of [
      ['<sip:a@h>', ['sip:a@h']],
      ['<sip:a@h;lr>,<sip:b@h;lr>', ['sip:a@h;lr', 'sip:b@h;lr']],
      ['<sip:a@h> , \r\n <sip:b@h>', ['sip:a@h', 'sip:b@h']],
      ['sip:a@h;expires=1, sip:b@h', ['sip:a@h', 'sip:b@h']],
      ['"A, B" <sip:a@h>, C <sip:c@h>;q=0.1', ['sip:a@h', 'sip:c@h']],
      ['<sip:a,b@h>', ['sip:a,b@h']],
      ['<sip:a@h>;x="1,2;3<4>";y, <sip:b@h>', ['sip:a@h', 'sip:b@h']],
      ['"a\\"" <sip:a@h>;x="\\",\\\\", <sip:b@h>', ['sip:a@h', 'sip:b@h']],
      ['Bell, Alexander <sip:a@h>', ['Bell', 'sip:a@h']],
      ['<sip:joe@h>;;;;', ['sip:joe@h']],
      ['< sip:a@h >', ['sip:a@h']],
      ['<>', [null]],
      ['sip:a@h?Route=x', ['sip:a@h?Route=x']],
      ['<name:John_Smith>', ['name:John_Smith']],
      ['', []],
      [',', []],
      [', ,<sip:a@h>,, <sip:b@h>,', ['sip:a@h', 'sip:b@h']],
    ] as const) {
      test(`${JSON.stringify(value)} has ${uris.length} values`, () => {
        const message = list(value);
        assert.equal(message.fault, 'OK');
        assert.deepEqual(
          message.items(id).map((item) => item.uri),
          uris,
        );
        assert.equal(message.word(countWord), uris.length);
      });
    }

    test('goes on over several lines, each value knows its line and the next value', () => {
      const message = list(['<sip:a@h>;x, <sip:b@h>', '<sip:c@h>']);
      const items = message.items(id);
      assert.deepEqual(
        items.map((item) => item.value),
        ['<sip:a@h>;x', '<sip:b@h>', '<sip:c@h>'],
      );
      assert.deepEqual(
        items.map((item) => message.headers[item.header]!.name),
        [name, name, name],
      );
      assert.notEqual(items[1]!.header, items[2]!.header);
      // Item 0 is the Via.
      assert.deepEqual(
        items.map((item) => item.next),
        [2, 3, 0],
      );
    });

    for (const [value, at] of [
      ['<sip:a@h', '<sip'],
      ['<sip:a@h>, <sip:b@h', '<sip:b'],
      ['"A <sip:a@h>', '"A'],
      ['"A" "B <sip:a@h>', '"B'],
      ['<sip:a@h>;x="y, <sip:b@h>', '"y'],
      ['<sip:a@h>;x="y\\"', '"y'],
    ] as const) {
      test(`${JSON.stringify(value)} cannot be split: ${fault} at ${at}`, () => {
        const message = list(value);
        assert.equal(message.fault, fault);
        assert.ok(message.faultAt.startsWith(at));
        assert.ok(message.answerable);
      });
    }

    test('with more values than there is room for is refused', () => {
      const values = (count: number) => Array.from({ length: count }, (_, index) => `<sip:${index}@h>`);
      const full = list(values(w.ITEMS_MAX - 1).join(','));
      assert.equal(full.fault, 'OK');
      assert.equal(full.word(w.W_ITEM_COUNT), w.ITEMS_MAX);
      const over = list([values(100).join(','), values(w.ITEMS_MAX - 100).join(',')]);
      assert.equal(over.fault, 'TOO_MANY_ITEMS');
      assert.equal(over.word(countWord), w.ITEMS_MAX - 1);
    });
  });
}

describe('Contact', () => {
  test('first value and its URI are words', () => {
    const message = parsed(invite({ m: '"T. desk" <sip:t@[::1]>;expires=60, <sip:u@h>' }));
    assert.equal(message.at(w.W_CONTACT_OFF), '"T. desk" <sip:t@[::1]>;expires=60');
    assert.equal(message.at(w.W_CONTACT_URI_OFF), 'sip:t@[::1]');
    assert.equal(message.word(w.W_CONTACT_STAR), 0);
  });

  test('* is a star [RFC 3261 10.2.2]', () => {
    for (const value of ['*', ' * ', '*;x']) {
      const message = parsed(invite({ Contact: value }));
      assert.equal(message.fault, 'OK');
      assert.equal(message.word(w.W_CONTACT_STAR), 1);
      assert.equal(message.word(w.W_CONTACT_COUNT), 1);
      assert.equal(message.at(w.W_CONTACT_URI_OFF), null);
    }
  });

  for (const value of ['<*>', '**', 'sip:*', '"*" <sip:a@h>', '* <sip:a@h>']) {
    test(`${value} is no star`, () => {
      assert.equal(parsed(invite({ Contact: value })).word(w.W_CONTACT_STAR), 0);
    });
  }
});

describe('Route and Record-Route', () => {
  test('tell the item of their first value', () => {
    const message = parsed(
      invite({
        Contact: '<sip:c@h>',
        'Record-Route': '<sip:r1;lr>, <sip:r2;lr>',
        Route: ['<sip:p1;lr>', '<sip:p2>'],
      }),
    );
    assert.equal(message.word(w.W_ROUTE_COUNT), 2);
    assert.equal(message.word(w.W_RECORD_ROUTE_COUNT), 2);
    const uriOf = (item: number) => message.at(w.ITEMS_AT + item * w.ITEM_WORDS + w.I_URI_OFF);
    assert.equal(uriOf(message.word(w.W_ROUTE_ITEM)), 'sip:p1;lr');
    assert.equal(uriOf(message.word(w.W_RECORD_ROUTE_ITEM)), 'sip:r1;lr');
  });

  test('a Route * is an address like any other', () => {
    assert.equal(parsed(invite({ Route: '*' })).items(w.HDR_ROUTE)[0]!.uri, '*');
  });
});
