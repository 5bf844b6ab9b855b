import assert from 'node:assert/strict';
import { describe, test } from 'vitest';
import * as w from '../../../dist/sip/words.js';
import { invite, parsed } from './parsed.js';

const via = (value: string | readonly string[]) => parsed(invite({ Via: value }));

describe('the topmost Via [RFC 3261 20.42]', () => {
  test('gives transport, host, port, branch and where parameters may be put in', () => {
    const message = via('SIP/2.0/UDP pc33.example.com:5066;branch=z9hG4bK776asdhds;x=y');
    assert.equal(message.fault, 'OK');
    assert.equal(message.at(w.W_VIA_OFF), 'SIP/2.0/UDP pc33.example.com:5066;branch=z9hG4bK776asdhds;x=y');
    assert.equal(message.at(w.W_VIA_TRANSPORT_OFF), 'UDP');
    assert.equal(message.at(w.W_VIA_HOST_OFF), 'pc33.example.com');
    assert.equal(message.word(w.W_VIA_PORT), 5066);
    assert.equal(message.at(w.W_VIA_BRANCH_OFF), 'z9hG4bK776asdhds');
    assert.ok(message.text.slice(message.word(w.W_VIA_SENT_BY_END)).startsWith(';branch'));
    assert.equal(message.word(w.W_VIA_COUNT), 1);
    assert.equal(message.word(w.W_VIA_NEXT_OFF), 0);
    assert.equal(message.word(w.W_VIA_TTL), w.NONE);
  });

  test('gives its line', () => {
    const message = via('SIP/2.0/UDP a;\r\n branch=1');
    const line = message.text.slice(message.word(w.W_VIA_LINE_OFF), message.word(w.W_VIA_LINE_END));
    assert.equal(line, 'Via: SIP/2.0/UDP a;\r\n branch=1\r\n');
  });

  test('may have no branch and no port [RFC 2543]', () => {
    const message = via('SIP/2.0/TCP host.example.com');
    assert.equal(message.fault, 'OK');
    assert.equal(message.word(w.W_VIA_PORT), 0);
    assert.equal(message.at(w.W_VIA_BRANCH_OFF), null);
    assert.ok(message.text.slice(message.word(w.W_VIA_SENT_BY_END)).startsWith('\r\n'));
  });

  test('may have white space wherever the grammar lets it', () => {
    const message = via('SIP  /   2.0\r\n /UDP\r\n    192.0.2.2  :  5070 ;  branch  =  390sk  ; ttl = 1');
    assert.equal(message.fault, 'OK');
    assert.equal(message.at(w.W_VIA_TRANSPORT_OFF), 'UDP');
    assert.equal(message.at(w.W_VIA_HOST_OFF), '192.0.2.2');
    assert.equal(message.word(w.W_VIA_PORT), 5070);
    assert.equal(message.at(w.W_VIA_BRANCH_OFF), '390sk');
    assert.equal(message.word(w.W_VIA_TTL), 1);
  });

  for (const [host, port] of [
    ['[2001:db8::9:1]', 6050],
    ['[::ffff:192.0.2.10]', 19823],
    ['[::]', 0],
    ['a_b.example', 0],
    ['192.0.2.1', 65535],
    ['h', 1],
  ] as const) {
    test(`${host} with port ${port} can be sent-by [RFC 5118 4.5]`, () => {
      const message = via(`SIP/2.0/UDP ${host}${port === 0 ? '' : `:${port}`};branch=1`);
      assert.equal(message.fault, 'OK');
      assert.equal(message.at(w.W_VIA_HOST_OFF), host);
      assert.equal(message.word(w.W_VIA_PORT), port);
    });
  }

  for (const transport of ['UDP', 'TCP', 'TLS', 'SCTP', 'WS', 'WSS', 'UNKNOWN', 'udp', "x-1.~'"]) {
    test(`${transport} can be its transport`, () => {
      const message = via(`SIP/2.0/${transport} h`);
      assert.equal(message.fault, 'OK');
      assert.equal(message.at(w.W_VIA_TRANSPORT_OFF), transport);
    });
  }

  test('keeps received as written, an IPv6 address with or without brackets [RFC 5118 4.5]', () => {
    for (const address of ['2001:db8::9:255', '[2001:db8::9:255]', '192.0.2.1']) {
      const message = via(`SIP/2.0/UDP h;received=${address};branch=1;Received=x`);
      assert.equal(message.fault, 'OK');
      assert.equal(message.at(w.W_VIA_RECEIVED_OFF), address);
    }
  });

  for (const [parameter, number] of [
    ['rport', 0],
    ['RPORT', 0],
    ['rport=5062', 5062],
    ['rport = 5062', 5062],
    ['rport=', 0],
    ['rport=x', 0],
    ['rport=65536', 0],
  ] as const) {
    test(`;${parameter} asks for the port and says ${number} [RFC 3581 3]`, () => {
      const message = via(`SIP/2.0/UDP h;${parameter};branch=1`);
      assert.equal(message.fault, 'OK');
      const after = message.text.slice(message.word(w.W_VIA_RPORT_OFF));
      assert.equal(after.indexOf(';branch'), parameter.length - 5);
      assert.equal(message.word(w.W_VIA_RPORT), number);
    });
  }

  test('does not take another parameter for rport', () => {
    for (const parameter of ['xrport', 'rports', 'rpor', 'x=rport', 'x="rport"']) {
      assert.equal(via(`SIP/2.0/UDP h;${parameter}`).word(w.W_VIA_RPORT_OFF), 0, parameter);
    }
  });

  test('has maddr and ttl', () => {
    const message = via('SIP/2.0/UDP h;maddr=224.2.0.1;ttl=16;branch=1');
    assert.equal(message.at(w.W_VIA_MADDR_OFF), '224.2.0.1');
    assert.equal(message.word(w.W_VIA_TTL), 16);
    assert.equal(via('SIP/2.0/UDP h;ttl=256').word(w.W_VIA_TTL), w.NONE);
  });

  test('may have a quoted parameter with separators inside', () => {
    const message = via('SIP/2.0/UDP h;x=";branch=no, \\" SIP/2.0/UDP k";branch=yes');
    assert.equal(message.fault, 'OK');
    assert.equal(message.word(w.W_VIA_COUNT), 1);
    assert.equal(message.at(w.W_VIA_BRANCH_OFF), 'yes');
  });
});

describe('all Via values [RFC 3261 7.3.1]', () => {
  test('are items in order, over lines and commas, each with its branch', () => {
    const message = via([
      'SIP/2.0/UDP a;branch=1 , SIP/2.0/TCP b',
      'SIP/2.0/TLS [::1]:5061;received=192.0.2.1;branch=3',
    ]);
    assert.equal(message.fault, 'OK');
    assert.equal(message.word(w.W_VIA_COUNT), 3);
    assert.deepEqual(
      message.items(w.HDR_VIA).map(({ value, uri, header, next }) => [value, uri, header, next]),
      [
        ['SIP/2.0/UDP a;branch=1', '1', 0, 1],
        ['SIP/2.0/TCP b', null, 0, 2],
        ['SIP/2.0/TLS [::1]:5061;received=192.0.2.1;branch=3', '3', 1, 0],
      ],
    );
    assert.equal(message.at(w.W_VIA_OFF), 'SIP/2.0/UDP a;branch=1');
    assert.ok(message.text.slice(message.word(w.W_VIA_NEXT_OFF)).startsWith('SIP/2.0/TCP b'));
  });

  test('a parameter of a lower value is not the topmost one’s', () => {
    const message = via(['SIP/2.0/UDP a', 'SIP/2.0/UDP b:7;branch=2;rport=3;received=c;maddr=d;ttl=4']);
    for (const word of [w.W_VIA_BRANCH_OFF, w.W_VIA_RECEIVED_OFF, w.W_VIA_MADDR_OFF]) {
      assert.equal(message.at(word), null);
    }
    assert.equal(message.word(w.W_VIA_RPORT_OFF), 0);
    assert.equal(message.word(w.W_VIA_PORT), 0);
  });

  test('as many as there is room for are read, one more is refused', () => {
    const values = (count: number) =>
      Array.from({ length: count }, (_, index) => `SIP/2.0/UDP h${index}`).join(',');
    assert.equal(via(values(w.ITEMS_MAX)).fault, 'OK');
    const over = via(values(w.ITEMS_MAX + 1));
    assert.equal(over.fault, 'TOO_MANY_ITEMS');
    assert.ok(over.faultAt.startsWith(`SIP/2.0/UDP h${w.ITEMS_MAX}\r\n`));
    assert.equal(over.word(w.W_VIA_COUNT), w.ITEMS_MAX);
  });
});

describe('a malformed Via', () => {
  for (const [value, at] of [
    ['', ''],
    ['SIP', ''],
    ['SIP/2.0', ''],
    ['SIP/2.0/', ''],
    ['SIP/2.0/UDP', ''],
    ['SIP/2.0/UDP;branch=1', ';branch'],
    ['/2.0/UDP h', '/2.0'],
    ['SIP//UDP h', '/UDP'],
    ['SIP 2.0/UDP h', '2.0'],
    ['SIP/2.0 UDP h', 'UDP'],
    ['SIP/2.0/UDP ;branch=1', ';branch'],
    ['SIP/2.0/UDP :5060', ':5060'],
    ['SIP/2.0/UDP [::1;branch=1', '[::1'],
    ['SIP/2.0/UDP []', '[]'],
    ['SIP/2.0/UDP [fe80::1%eth0]', '[fe80'],
    ['SIP/2.0/UDP h!x', '!x'],
    ['SIP/2.0/UDP h x', 'x'],
    ['SIP/2.0/UDP h:', ''],
    ['SIP/2.0/UDP h:x', 'x'],
    ['SIP/2.0/UDP h:0', '0'],
    ['SIP/2.0/UDP h:65536', '65536'],
    ['SIP/2.0/UDP h:99999999999', '99999999999'],
    ['SIP/2.0/UDP h:50 60', '60'],
    ['SIP/2.0/UDP 192.0.2.15;;,;,,', ';,;,,'],
    ['SIP/2.0/UDP h;', ''],
    ['SIP/2.0/UDP h;branch=1;', ''],
    ['SIP/2.0/UDP h;=1', '=1'],
    ['SIP/2.0/UDP h;(=1', '(=1'],
    ['SIP/2.0/UDP h;a"b', '"b'],
    ['SIP/2.0/UDP h;x="open', '"open'],
    ['SIP/2.0/UDP h;x="open\\"', '"open'],
    ['SIP/2.0/UDP h;x="a"b', 'b'],
    ['SIP/2.0/UDP h;branch=1 2', '2'],
    ['SIP/2.0/UDP h;branch=1;branch=1', 'branch=1'],
    ['SIP/2.0/UDP h;branch=a\0b', '\0b'],
    ['SIP/2.0/UDP h,', ''],
    ['SIP/2.0/UDP h,,SIP/2.0/UDP k', ',SIP'],
  ] as const) {
    test(`${JSON.stringify(value)} is BAD_VIA at ${JSON.stringify(at)}`, () => {
      const message = via(value);
      assert.equal(message.fault, 'BAD_VIA');
      const offset = message.word(w.W_FAULT_OFF);
      const end = message.text.indexOf('\r\nMax-Forwards');
      const seen = message.text.slice(offset, end).trim();
      assert.ok(at === '' ? seen === '' : seen.startsWith(at), `seen at ${JSON.stringify(seen)}`);
      assert.equal(message.headers.length, 6);
      assert.equal(message.at(w.W_FROM_TAG_OFF), '9fxced76sl');
    });
  }

  test('can be answered if its host could be read', () => {
    assert.ok(via('SIP/2.0/UDP 192.0.2.15;;,;,,').answerable);
    assert.equal(via('SIP/2.0/UDP').answerable, false);
  });

  test('on the first line hides no later line, and that one is not taken for the topmost', () => {
    const message = via(['SIP/2.0', 'SIP/2.0/UDP k;branch=2']);
    assert.equal(message.fault, 'BAD_VIA');
    assert.equal(message.word(w.W_VIA_COUNT), 1);
    assert.equal(message.at(w.W_VIA_HOST_OFF), null);
    assert.equal(message.answerable, false);
  });
});
