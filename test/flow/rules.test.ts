/** The rules that every flow proves would notice: each is shown a message with one thing wrong. */
import assert from 'node:assert/strict';
import { describe, test } from 'vitest';
import { Agent } from '../support/flow-agents.js';
import {
  checkForwardedRequest,
  checkForwardedResponse,
  checkOwnRequest,
  checkOwnResponse,
  type Scene,
} from '../support/flow-rules.js';
import { type Leaves, readFlow } from '../support/flow-text.js';
import { WireMessage } from '../support/wire-message.js';

const OURS = '192.0.2.1:5060';

/** A caller, a callee, and an INVITE as a good proxy forwards it. */
function call() {
  const book = (name: string): string | null => (name === 'callee' ? '192.0.2.20:5060' : null);
  const caller = new Agent('caller', '192.0.2.10:5060', () => 'id@flow.example', book);
  const callee = new Agent('callee', '192.0.2.20:5060', () => 'id@flow.example', book);
  const invite = caller.write('a', 'INVITE', [], []);
  const forwarded = invite
    .replace('Via: ', `Via: SIP/2.0/UDP ${OURS};branch=z9hG4bKh1\r\nRecord-Route: <sip:${OURS};lr>\r\nVia: `)
    .replace(';rport;', ';rport=5060;received=192.0.2.10;')
    .replace('Max-Forwards: 70', 'Max-Forwards: 69');
  return { caller, callee, invite, forwarded };
}

function scene(text: string, agents: Agent[], to: Agent, checks: string[] = []): Scene {
  const message = new WireMessage(text);
  const step: Leaves = {
    kind: 'leaves',
    line: 1,
    text: '',
    expected: null,
    agent: to.name,
    call: 'a',
    what: message.label,
    times: 1,
    checks,
  };
  return {
    step,
    message,
    received: to.receivedIn('a'),
    sent: agents.flatMap((agent) => agent.sentIn('a').map((sent) => ({ agent, message: sent }))),
    ours: [OURS],
    socket: 0,
    to,
    branches: new Map(),
    sourceOf: () => '192.0.2.10:5060',
    maxForwards: 70,
  };
}

describe('a forwarded request [RFC 3261 16.6]', () => {
  const { caller, callee, forwarded } = call();
  const check = (text: string) => () => checkForwardedRequest(scene(text, [caller, callee], callee));
  test('as it should be', check(forwarded));
  for (const [what, from, to] of [
    ['another body', 's=a body  with', 's=a body with'],
    ['a header written anew', 'X-Strange:   kept', 'X-Strange: kept'],
    ['a header lost', /Subject : quoted\r\n/, ''],
    ['a folded line joined', '\r\n\t second', ' second'],
    ['Max-Forwards as it was', 'Max-Forwards: 69', 'Max-Forwards: 70'],
    ['no received', ';received=192.0.2.10', ''],
    ['no rport', 'rport=5060', 'rport'],
    ['a Via of another socket', `UDP ${OURS}`, 'UDP 192.0.2.2:5060'],
    ['no magic cookie', 'z9hG4bKh1', 'h1'],
    ['Record-Route without lr', ';lr>', '>'],
    ['another Request-URI', 'INVITE sip:callee@192.0.2.20:5060', 'INVITE sip:callee@192.0.2.20'],
    ['a Route too many', 'Max-Forwards', `Route: <sip:${OURS};lr>\r\nMax-Forwards`],
    ['another From', 'tag=caller-tag', 'tag=other-tag'],
  ] as [string, string | RegExp, string][]) {
    test(what, () => {
      const changed = forwarded.replace(from, to);
      assert.notEqual(changed, forwarded);
      assert.throws(check(changed));
    });
  }
  test('a branch that another request had', () => {
    const once = scene(forwarded, [caller, callee], callee);
    once.branches.set('z9hG4bKh1', 'another request');
    assert.throws(() => checkForwardedRequest(once), /a branch that was used/);
  });
});

describe('responses [RFC 3261 16.7, 8.2.6]', () => {
  const { caller, callee, invite, forwarded } = call();
  callee.hear('a', new WireMessage(forwarded));
  const answer = callee.write('a', '200', [], []);
  const passed = new WireMessage(answer).withoutTopVia();
  const show = (text: string) => scene(text, [caller, callee], caller);
  test('forwarded without our Via', () => assert.ok(checkForwardedResponse(show(passed))));
  test('not with our Via', () => assert.throws(() => checkForwardedResponse(show(answer))));
  test('not with a byte changed', () => {
    assert.throws(() => checkForwardedResponse(show(passed.replace('t=0 0', 't=0 1'))));
  });
  const own = (to: string): string =>
    [
      'SIP/2.0 408 Request Timeout',
      ...new WireMessage(forwarded)
        .all('via')
        .slice(1)
        .map((via) => `Via: ${via}`),
      `From: ${new WireMessage(invite).header('from')}`,
      `To: ${new WireMessage(invite).header('to')}${to}`,
      'Call-ID: id@flow.example',
      'CSeq: 1 INVITE',
      'Content-Length: 0',
      '',
      '',
    ].join('\r\n');
  test('one of our own', () => {
    assert.equal(checkForwardedResponse(show(own(';tag=ours'))), false);
    checkOwnResponse(show(own(';tag=ours')));
  });
  test('one of our own without a tag', () => assert.throws(() => checkOwnResponse(show(own('')))));
  test('one of our own that lost received', () => {
    assert.throws(() => checkOwnResponse(show(own(';tag=ours').replace(';received=192.0.2.10', ''))));
  });
});

describe('CANCEL and ACK of our own [RFC 3261 9.1, 17.1.1.3]', () => {
  const { caller, callee, forwarded } = call();
  callee.hear('a', new WireMessage(forwarded));
  callee.write('a', '486', [], []);
  const invite = new WireMessage(forwarded);
  const made = (method: string, to: string): string =>
    [
      `${method} ${invite.uri} SIP/2.0`,
      `Via: ${invite.header('via')}`,
      'Max-Forwards: 70',
      `From: ${invite.header('from')}`,
      `To: ${to}`,
      'Call-ID: id@flow.example',
      `CSeq: 1 ${method}`,
      '',
      '',
    ].join('\r\n');
  const check = (text: string) => checkOwnRequest(scene(text, [caller, callee], callee));
  const to = invite.header('to');
  test('as they should be', () => {
    assert.ok(check(made('CANCEL', to)));
    assert.ok(check(made('ACK', `${to};tag=callee-tag`)));
  });
  test('an ACK without the tag of the answer', () => assert.throws(() => check(made('ACK', to))));
  test('a CANCEL with two Vias', () => {
    assert.throws(() => check(made('CANCEL', to).replace('Max-', 'Via: SIP/2.0/UDP x;branch=y\r\nMax-')));
  });
  test('a CANCEL for another branch is none of ours', () => {
    assert.equal(check(made('CANCEL', to).replace('z9hG4bKh1', 'z9hG4bKh2')), false);
  });
});

describe('the text of a flow', () => {
  for (const wrong of [
    'caller → INVITE | ringing',
    'caller says INVITE',
    '  → callee INVITE 200',
    'caller → INVITE                 | early, confirmed',
  ]) {
    test(`${wrong} is not one`, () => assert.throws(() => readFlow(wrong), /line 1/));
  }
  test('is read line by line', () => {
    const { title, steps, settings } = readFlow(
      '# A title   RFC 1\nroutes fork\ncaller → INVITE, Route: <a>, <b>   | early  x 1  event end\n   → callee 200 to BYE again ×2, Via 2\n',
    );
    assert.equal(title, 'A title · RFC 1');
    assert.deepEqual(settings.get('routes'), ['fork']);
    assert.equal(steps.length, 2);
    assert.deepEqual(steps[0]!.expected, { state: 2, counts: [{ name: 'x', value: 1 }], events: ['end'] });
    const leaves = steps[1] as Leaves;
    assert.deepEqual([leaves.what, leaves.times, leaves.checks], ['200 BYE', 2, ['again', 'Via 2']]);
  });
});
