import assert from 'node:assert/strict';
import { describe, test } from 'vitest';
import { TO_CALLEE, TO_CALLER } from '../../../dist/dialog/requests.js';
import { X_ARGS } from '../../../dist/memory/words.js';
import { assertNothingLeft, inWorld, type World } from './world.js';

function refer(world: World, side: number, address = 'sip:announcement@example.net'): boolean {
  const { index, generation } = world.handle();
  return world.tracker.refer.refer(index, generation, side, address);
}

function within(world: World, sides: number, method: string, headers = '', type = '', body = ''): boolean {
  const { index, generation } = world.handle();
  return world.tracker.inquiry.send(index, generation, sides, method, headers, type, body);
}

/** "REFER a1 1": method, To tag, number. */
function sent(world: World): string[] {
  return world.sent.map(({ method, text }) => {
    return `${method} ${/^To: .*;tag=(.*)\r$/m.exec(text)?.[1]} ${/^CSeq: (\d+)/m.exec(text)?.[1]}`;
  });
}

describe('a side is referred [manual 6.9; spec 4.5]', () => {
  test('to an address: REFER as its peer would write it, then BYE; the tracked call stays', () =>
    inWorld(
      ['dialog:bridge_controller=sip:ctl@example.org', 'dialog:bridge_contact=sip:ctl@192.0.2.1'],
      (world) => {
        world.answered();
        assert.equal(refer(world, TO_CALLER), true);
        assert.equal(
          world.sent[0]!.text,
          [
            'REFER sip:alice@192.0.2.10:5062 SIP/2.0',
            'To: <sip:alice@example.com>;tag=a1',
            'From: <sip:bob@example.com>;tag=b2',
            'CSeq: 1 REFER',
            'Call-ID: call@h',
            'Max-Forwards: 70',
            'Content-Length: 0',
            'Referred-By: sip:ctl@example.org',
            'Refer-To: sip:announcement@example.net',
            'Contact: <sip:ctl@192.0.2.1>',
            '',
            '',
          ].join('\r\n'),
        );
        world.answerOwn(0, 202);
        assert.deepEqual(sent(world), ['REFER a1 1', 'BYE a1 2']);
        world.answerOwn(1, 200);
        assert.equal(world.dialog().state, 4);
        assert.equal(world.statistic('active_dialogs'), 1);
      },
    ));

  for (const code of [0, 481, 603]) {
    test(`${code === 0 ? 'no answer' : code} to the REFER: BYE all the same`, () =>
      inWorld([], (world) => {
        world.answered();
        refer(world, TO_CALLEE);
        world.answerOwn(0, code);
        assert.deepEqual(sent(world), ['REFER b2 8', 'BYE b2 9']);
      }));
  }

  test('a call that ends meanwhile gets no BYE', () =>
    inWorld([], (world) => {
      const before = world.usage();
      const invite = world.answered();
      refer(world, TO_CALLEE);
      const bye = world.sequential({ method: 'BYE', cseq: 8 })!;
      world.answerOwn(0, 481);
      assert.equal(world.sent.length, 1);
      world.end(invite);
      world.end(bye);
      assertNothingLeft(world, before);
    }));

  test('numbers that the side has not seen yet move behind ours', () =>
    inWorld([], (world) => {
      world.answered();
      refer(world, TO_CALLEE);
      const { index, generation } = world.handle();
      assert.equal(world.native.dialogMapCSeq(index, generation, 1, 8), 0);
      assert.equal(world.x[X_ARGS], 9);
    }));

  for (const [address, value] of [
    ['sip:a,b@example.net', '<sip:a,b@example.net>'],
    ['sip:a@example.net;x=1?Replaces=y', '<sip:a@example.net;x=1?Replaces=y>'],
    ['"A" <sip:a@example.net>', '"A" <sip:a@example.net>'],
  ] as const) {
    test(`Refer-To ${value}`, () =>
      inWorld([], (world) => {
        world.answered();
        assert.equal(refer(world, TO_CALLER, address), true);
        assert.ok(world.sent[0]!.text.includes(`\r\nRefer-To: ${value}\r\n`));
      }));
  }

  for (const address of ['', 'bob', 'sip:a b', 'sip:a@h\r\nX: y', '<sip:a>;x', 'sip:a>']) {
    test(`no address: ${JSON.stringify(address)}`, () =>
      inWorld([], (world) => {
        world.answered();
        assert.equal(refer(world, TO_CALLER, address), false);
        assert.equal(world.sent.length, 0);
      }));
  }

  test('a call that is not answered is not referred', () =>
    inWorld([], (world) => {
      const invite = world.initial();
      world.reply(invite, 180);
      assert.equal(refer(world, TO_CALLER), false);
    }));
});

describe('dlg_req_within [spec 13.2]', () => {
  test('a request to each side, with numbers of their own that are not used again', () =>
    inWorld(['dialog:lreq_callee_headers=X-Callee: 1\r\n'], (world) => {
      world.answered();
      assert.equal(within(world, 3, 'INFO', 'X-A: 1', 'text/plain', 'hé'), true);
      assert.equal(within(world, TO_CALLEE, 'MESSAGE'), true);
      assert.deepEqual(sent(world), ['INFO a1 1', 'INFO b2 8', 'MESSAGE b2 9']);
      assert.match(
        world.sent[1]!.text,
        /\r\nContent-Type: text\/plain\r\nContent-Length: 3\r\nX-A: 1\r\nX-Callee: 1\r\n\r\nh\xc3\xa9$/,
      );
      world.answerOwn(0, 200);
      world.answerOwn(1, 0);
      assert.equal(world.dialog().state, 4);
      world.tracker.ending.end(world.handle().index, world.handle().generation, 3, '');
      assert.deepEqual(sent(world).slice(3), ['BYE a1 2', 'BYE b2 10']);
    }));

  for (const [what, method, headers, type, body] of [
    ['ACK', 'ACK', '', '', ''],
    ['BYE, which ends calls', 'BYE', '', '', ''],
    ['no method', 'IN FO', '', '', ''],
    ['no header line', 'INFO', 'X', '', ''],
    ['a line of the dialog', 'INFO', 'CSeq: 1 INFO', '', ''],
    ['a body without type', 'INFO', '', '', 'x'],
  ] as const) {
    test(`refused: ${what}`, () =>
      inWorld([], (world) => {
        world.answered();
        assert.equal(within(world, 3, method, headers, type, body), false);
        assert.equal(world.sent.length, 0);
      }));
  }

  test('one side that cannot be reached costs the other nothing', () =>
    inWorld([], (world) => {
      world.answered();
      world.unreachable.add(TO_CALLER);
      assert.equal(within(world, 3, 'INFO'), false);
      assert.deepEqual(sent(world), ['INFO b2 8']);
    }));
});
