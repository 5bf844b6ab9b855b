import assert from 'node:assert/strict';
import { describe, test } from 'vitest';
import {
  type Call,
  cseqOfProbe,
  headerBlock,
  requestWithin,
  type Side,
  splitRouteSet,
  TO_CALLEE,
  TO_CALLER,
  uriOfRoute,
} from '../../../dist/dialog/requests.js';

const ALICE: Side = {
  uri: 'sip:alice@example.com',
  tag: 'a1',
  contact: 'sip:alice@192.0.2.10:5062',
  routeSet: '',
  source: '',
  socket: 1,
};
const BOB: Side = {
  uri: 'sip:bob@example.com',
  tag: 'b2',
  contact: 'sip:bob@203.0.113.9',
  routeSet: '',
  source: '',
  socket: 2,
};

function call(caller: Partial<Side> = {}, callee: Partial<Side> = {}): Call {
  return {
    index: 3,
    generation: 4,
    callId: 'call@h',
    caller: { ...ALICE, ...caller },
    callee: { ...BOB, ...callee },
  };
}

function bye(to: number, one = call(), headers?: string) {
  const wanted = { cseq: to === TO_CALLER ? 1 : 8, purpose: 9 };
  return requestWithin(one, to, 'BYE', headers === undefined ? wanted : { ...wanted, headers });
}

/** Lines of the request to the callee. */
function linesToBob(callee: Partial<Side>): string[] {
  return bye(TO_CALLEE, call({}, callee))!.text.split('\r\n');
}

function hopToBob(callee: Partial<Side>): string {
  return bye(TO_CALLEE, call({}, callee))!.nextHop;
}

describe('a request within a call [RFC 3261 12.2.1.1; spec 4.1, 4.4]', () => {
  test('BYE to the caller: as the callee would write it', () => {
    assert.deepEqual(bye(TO_CALLER), {
      method: 'BYE',
      text: [
        'BYE sip:alice@192.0.2.10:5062 SIP/2.0',
        'To: <sip:alice@example.com>;tag=a1',
        'From: <sip:bob@example.com>;tag=b2',
        'CSeq: 1 BYE',
        'Call-ID: call@h',
        'Max-Forwards: 70',
        'Content-Length: 0',
        '',
        '',
      ].join('\r\n'),
      nextHop: 'sip:alice@192.0.2.10:5062',
      socket: 1,
      index: 3,
      generation: 4,
      side: 1,
      purpose: 9,
    });
  });

  test('BYE to the callee: as the caller would write it', () => {
    const request = bye(TO_CALLEE, call(), 'X-Reason: a\r\nX-Other: b\r\n')!;
    assert.equal(
      request.text,
      [
        'BYE sip:bob@203.0.113.9 SIP/2.0',
        'To: <sip:bob@example.com>;tag=b2',
        'From: <sip:alice@example.com>;tag=a1',
        'CSeq: 8 BYE',
        'Call-ID: call@h',
        'Max-Forwards: 70',
        'Content-Length: 0',
        'X-Reason: a',
        'X-Other: b',
        '',
        '',
      ].join('\r\n'),
    );
    assert.equal(request.socket, 2);
    assert.equal(request.side, 2);
  });

  test('a body comes with its type and its length in bytes', () => {
    const request = requestWithin(call(), TO_CALLER, 'INFO', {
      cseq: 2,
      purpose: 0,
      contentType: 'application/x',
      body: 'a\xe9\r\n',
    })!;
    assert.match(request.text, /\r\nContent-Type: application\/x\r\nContent-Length: 4\r\n\r\na\xe9\r\n$/);
  });

  test('Max-Forwards of the added headers replaces ours', () => {
    const { text } = bye(TO_CALLEE, call(), 'max-forwards: 5\r\n')!;
    assert.equal(text.match(/max-forwards/gi)!.length, 1);
  });
});

describe('its way [RFC 3261 12.2.1.1, 16.12]', () => {
  test('through loose routers: Route lists them, the Contact is the target', () => {
    const routeSet = '<sip:p1.example;lr;x=1>,"A, B" <sip:u@[2001:db8::1]:5070;lr=on>;foo';
    const lines = linesToBob({ routeSet });
    assert.equal(lines[0], 'BYE sip:bob@203.0.113.9 SIP/2.0');
    assert.equal(lines[5], 'Route: <sip:p1.example;lr;x=1>, "A, B" <sip:u@[2001:db8::1]:5070;lr=on>;foo');
    assert.equal(hopToBob({ routeSet }), 'sip:p1.example;lr;x=1');
  });

  test('through a strict router: its URI is the target, the Contact comes last', () => {
    const routeSet = '<sip:strict.example;method=BYE;x=lr?h=v>,<sip:p2.example;lr>';
    const lines = linesToBob({ routeSet });
    assert.equal(lines[0], 'BYE sip:strict.example;x=lr SIP/2.0');
    assert.equal(lines[5], 'Route: <sip:p2.example;lr>, <sip:bob@203.0.113.9>');
    assert.equal(hopToBob({ routeSet }), 'sip:strict.example;x=lr');
  });

  test('a strict router alone leaves the Contact as the only Route', () => {
    assert.equal(linesToBob({ routeSet: '<sip:strict.example>' })[5], 'Route: <sip:bob@203.0.113.9>');
  });

  test('`lr` in the user part is none', () => {
    assert.equal(
      linesToBob({ routeSet: '<sip:x;lr@strict.example>' })[0],
      'BYE sip:x;lr@strict.example SIP/2.0',
    );
  });

  test('a long Route set is kept whole', () => {
    const routeSet = Array.from(
      { length: 64 },
      (_, n) => `<sip:p${n}.example;lr;long=${'x'.repeat(200)}>`,
    ).join(',');
    const lines = linesToBob({ routeSet });
    assert.equal(splitRouteSet(lines[5]!.slice('Route: '.length)).length, 64);
  });

  test('an IPv6 Contact', () => {
    const contact = 'sip:bob@[2001:db8::9]:5070;transport=udp';
    assert.equal(linesToBob({ contact })[0], `BYE ${contact} SIP/2.0`);
    assert.equal(hopToBob({ contact }), contact);
  });

  test('an alias is the next hop and leaves the target, unless a Route leads', () => {
    const contact = 'sip:bob@10.0.0.7:5060;alias=198.51.100.7~40000~1;ob';
    assert.equal(linesToBob({ contact })[0], 'BYE sip:bob@10.0.0.7:5060;ob SIP/2.0');
    assert.equal(hopToBob({ contact }), 'sip:198.51.100.7:40000');
    const routeSet = '<sip:p1.example;lr>';
    assert.equal(linesToBob({ contact, routeSet })[0], `BYE ${contact} SIP/2.0`);
    assert.equal(hopToBob({ contact, routeSet }), 'sip:p1.example;lr');
  });

  for (const [alias, hop] of [
    ['2001:db8::7~5060~1', 'sip:[2001:db8::7]:5060'],
    ['[2001:db8::7]~5060~2', 'sip:[2001:db8::7]:5060;transport=tcp'],
    ['198.51.100.7~5061~3', 'sip:198.51.100.7:5061;transport=tls'],
  ] as const) {
    test(`alias ${alias}`, () => assert.equal(hopToBob({ contact: `sip:bob@10.0.0.7;alias=${alias}` }), hop));
  }

  for (const alias of [
    '',
    '1.2.3.4',
    '1.2.3.4~0~1',
    '1.2.3.4~70000~1',
    '1.2.3.4~5060~9',
    '1.2.3.4~5060~1x',
  ]) {
    test(`an alias that is none stays: ${alias}`, () => {
      const contact = `sip:bob@10.0.0.7;alias=${alias}`;
      assert.equal(hopToBob({ contact }), contact);
    });
  }

  test('without Route and alias, the address its messages come from', () => {
    assert.equal(hopToBob({ source: '198.51.100.7:40000' }), 'sip:198.51.100.7:40000');
    assert.equal(hopToBob({ source: '[2001:db8::7]:5060' }), 'sip:[2001:db8::7]:5060');
    assert.equal(linesToBob({ source: '198.51.100.7:40000' })[0], 'BYE sip:bob@203.0.113.9 SIP/2.0');
    assert.equal(hopToBob({ source: '198.51.100.7:40000', routeSet: '<sip:p;lr>' }), 'sip:p;lr');
  });

  test('header fields and method of a Contact are not for a request line', () => {
    const contact = 'sip:bob@203.0.113.9;method=INVITE;ob?Subject=x';
    assert.equal(linesToBob({ contact })[0], 'BYE sip:bob@203.0.113.9;ob SIP/2.0');
  });
});

describe('what cannot be made is refused', () => {
  for (const [what, callee] of [
    ['no Contact', { contact: '' }],
    ['a Contact that is no URI', { contact: 'bob' }],
    ['a Contact with a line end', { contact: 'sip:bob@h\r\nX: y' }],
    ['a Contact with a bracket', { contact: 'sip:bob@h>' }],
    ['no tag', { tag: '' }],
    ['a tag with a line end', { tag: 'b\r\nX: y' }],
    ['a URI with a line end', { uri: 'sip:bob@h\nX: y' }],
    ['a Route with a bare line end', { routeSet: '<sip:p;lr>;x=\ny' }],
    ['a Route without URI', { routeSet: 'p1' }],
    ['a request over its bound', { routeSet: `<sip:p;lr;x=${'x'.repeat(64_000)}>` }],
  ] as const) {
    test(what, () => assert.equal(bye(TO_CALLEE, call({}, callee)), null));
  }

  test('a method that is no token', () => {
    assert.equal(requestWithin(call(), TO_CALLER, 'BYE x', { cseq: 1, purpose: 0 }), null);
  });

  test('a Content-Type with a line end', () => {
    const wanted = { cseq: 1, purpose: 0, body: 'x', contentType: 'a/b\r\nX: y' };
    assert.equal(requestWithin(call(), TO_CALLER, 'INFO', wanted), null);
  });

  test('a folded Route is unfolded', () => {
    assert.equal(linesToBob({ routeSet: '"P"\r\n <sip:p;lr>' })[5], 'Route: "P" <sip:p;lr>');
  });
});

describe('header lines of operators', () => {
  test('are taken whole; the last line end may be left out', () => {
    assert.equal(headerBlock(''), '');
    assert.equal(headerBlock('X-A: 1\r\nX-B : 2'), 'X-A: 1\r\nX-B : 2\r\n');
    assert.equal(headerBlock('X-Name: Žofie'), 'X-Name: \xc5\xbdofie\r\n');
  });

  for (const text of [
    'X-A',
    'X A: 1',
    'X-A: 1\nX-B: 2',
    'X-A: 1\r\n\r\nbody',
    '\r\nX-A: 1',
    'X-A: 1\r\n folded',
    'X-A: \0',
    'Via: x',
    'v: x',
    'X-A: 1\r\nCSeq: 5 BYE',
    'call-id : x',
    'Content-Length: 5',
    `X-A: ${'x'.repeat(9_000)}`,
  ]) {
    test(`refused: ${JSON.stringify(text.slice(0, 40))}`, () => assert.equal(headerBlock(text), null));
  }
});

describe('CSeq of a probe [manual 6.16]', () => {
  for (const [last, number] of [
    [0, 0],
    [1, 0],
    [7, 6],
  ] as const) {
    test(`after ${last}`, () => assert.equal(cseqOfProbe(last), number));
  }
});

describe('Route sets', () => {
  test('are parted at commas outside of quotes and brackets', () => {
    const items = ['"a\\", b" <sip:x,y;lr>', '<sip:z>'];
    assert.deepEqual(splitRouteSet(items.join(',')), items);
    assert.deepEqual(items.map(uriOfRoute), ['sip:x,y;lr', 'sip:z']);
    assert.deepEqual(splitRouteSet(''), []);
    assert.equal(uriOfRoute('"<sip:no>" <sip:yes>'), 'sip:yes');
  });
});

test('a character whose low byte ends a line makes no request', () => {
  const wanted = { cseq: 8, purpose: 0, body: 'x', contentType: 'text/plain\u010d\u010aX: 1' };
  assert.equal(requestWithin(call(), TO_CALLEE, 'INFO', wanted), null);
});
