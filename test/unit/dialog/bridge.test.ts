import assert from 'node:assert/strict';
import { describe, test } from 'vitest';
import { inWorld, type World } from './world.js';

const SET = ['dialog:bridge_controller=sip:ctl@example.org', 'dialog:bridge_contact=sip:ctl@192.0.2.1'];

/** Call-ID and From tag of the bridge's INVITE. */
function own(world: World): { callId: string; tag: string } {
  const { text } = world.sent[0]!;
  return { callId: /^Call-ID: (.*)\r$/m.exec(text)![1]!, tag: /^From: .*;tag=(.*)\r$/m.exec(text)![1]! };
}

function bridge(
  world: World,
  from = 'sip:a@192.0.2.70',
  to = 'sip:b@192.0.2.80',
  op = '',
  sdp: string | null = null,
) {
  return world.tracker.bridge.bridge(from, to, op, sdp);
}

describe('a call between two addresses [manual 6.11; spec 4.6]', () => {
  test('INVITE on hold, REFER when it answers, BYE when that is answered', () =>
    inWorld(SET, (world) => {
      assert.equal(bridge(world), true);
      const { callId, tag } = own(world);
      const [head, body] = world.sent[0]!.text.split('\r\n\r\n');
      assert.deepEqual(head!.split('\r\n'), [
        'INVITE sip:a@192.0.2.70 SIP/2.0',
        'To: <sip:a@192.0.2.70>',
        `From: <sip:ctl@example.org>;tag=${tag}`,
        'CSeq: 10 INVITE',
        `Call-ID: ${callId}`,
        'Max-Forwards: 70',
        'Contact: <sip:ctl@192.0.2.1>',
        'Content-Type: application/sdp',
        `Content-Length: ${body!.length}`,
      ]);
      assert.match(body!, /^v=0\r\n[\s\S]*c=IN IP4 0\.0\.0\.0\r\n[\s\S]*a=rtpmap:0 PCMU\/8000\r\n$/);
      assert.equal(world.sent[0]!.nextHop, 'sip:a@192.0.2.70');

      const recordRoutes = ['<sip:far;lr>', '<sip:near;lr>'];
      const answer = { callId, from: tag, to: 'x9', contact: '<sip:a@10.0.0.1>', recordRoutes };
      world.answerOwn(0, 200, answer);
      assert.deepEqual(world.sent[1]!.text.split('\r\n'), [
        'REFER sip:a@10.0.0.1 SIP/2.0',
        'To: <sip:a@192.0.2.70>;tag=x9',
        `From: <sip:ctl@example.org>;tag=${tag}`,
        'CSeq: 11 REFER',
        `Call-ID: ${callId}`,
        'Route: <sip:near;lr>, <sip:far;lr>',
        'Max-Forwards: 70',
        'Content-Length: 0',
        'Referred-By: sip:ctl@example.org',
        'Refer-To: sip:b@192.0.2.80',
        'Contact: <sip:ctl@192.0.2.1>',
        '',
        '',
      ]);
      assert.equal(world.sent[1]!.nextHop, 'sip:near;lr');

      world.answerOwn(1, 202);
      assert.deepEqual(world.sent[2]!.text.split('\r\n'), [
        'BYE sip:a@10.0.0.1 SIP/2.0',
        'To: <sip:a@192.0.2.70>;tag=x9',
        `From: <sip:ctl@example.org>;tag=${tag}`,
        'CSeq: 12 BYE',
        `Call-ID: ${callId}`,
        'Route: <sip:near;lr>, <sip:far;lr>',
        'Max-Forwards: 70',
        'Content-Length: 0',
        '',
        '',
      ]);
      assert.equal(world.sent[2]!.nextHop, 'sip:near;lr');
      world.answerOwn(2, 200);
      assert.equal(world.sent.length, 3);
      assert.equal(world.usage().dialogs, 0);
      assert.equal(world.usage().transactions, 0);
    }));

  test('by way of an outbound proxy, with a body, or with none', () =>
    inWorld([], (world) => {
      bridge(world, 'sip:a@h', 'sip:b@h', 'sip:192.0.2.99', 'v=0\r\n');
      assert.equal(world.sent[0]!.nextHop, 'sip:192.0.2.99');
      assert.match(world.sent[0]!.text, /\r\nContent-Length: 5\r\n\r\nv=0\r\n$/);
      bridge(world, 'sip:a@h', 'sip:b@h', '', '');
      assert.match(world.sent[1]!.text, /\r\nContent-Length: 0\r\n\r\n$/);
      assert.ok(!world.sent[1]!.text.includes('Content-Type'));
    }));

  for (const code of [0, 302, 486]) {
    test(`${code === 0 ? 'no answer' : code} to the INVITE: nothing more`, () =>
      inWorld([], (world) => {
        bridge(world);
        const { callId, tag } = own(world);
        world.answerOwn(0, code, { callId, from: tag });
        assert.equal(world.sent.length, 1);
      }));
  }

  test('a strict router before the first side: its URI is where REFER and BYE go', () =>
    inWorld([], (world) => {
      bridge(world);
      const { callId, tag } = own(world);
      world.answerOwn(0, 200, {
        callId,
        from: tag,
        contact: '<sip:a@10.0.0.1>',
        recordRoutes: ['<sip:strict>'],
      });
      world.answerOwn(1, 0);
      for (const one of world.sent.slice(1)) {
        assert.match(one.text, /^[A-Z]+ sip:strict SIP\/2\.0\r\n[\s\S]*\r\nRoute: <sip:a@10\.0\.0\.1>\r\n/);
        assert.equal(one.nextHop, 'sip:strict');
      }
    }));

  for (const [from, to, op] of [
    ['bob', 'sip:b@h', ''],
    ['sip:a@h', 'bob', ''],
    ['sip:a@h', 'sip:b@h', 'nowhere'],
    ['sip:a@h\r\nX: y', 'sip:b@h', ''],
  ] as const) {
    test(`no address in ${JSON.stringify([from, to, op])}`, () =>
      inWorld([], (world) => assert.equal(bridge(world, from, to, op), false)));
  }

  test('without room nothing is left behind', () =>
    inWorld([], (world) => {
      world.sendRoom = 0;
      assert.equal(bridge(world), false);
    }));

  test('a character whose low byte ends a line is in no address', () =>
    inWorld(SET, (world) => {
      assert.equal(bridge(world, 'sip:a@192.0.2.70\u010d\u010aX:1'), false);
      assert.equal(bridge(world, 'sip:a@192.0.2.70', 'sip:b@h', 'sip:o@h\u010d\u010aX:1'), false);
      assert.equal(world.sent.length, 0);
    }));
});
