import assert from 'node:assert/strict';
import { describe, test } from 'vitest';
import { inWorld, type Parts, type World } from './world.js';

const ALICE = 'sip:alice@192.0.2.10:5062';
const BOB = 'sip:bob@203.0.113.9';
const NEW_ALICE = 'sip:alice@198.51.100.7:5070';
const NEW_BOB = 'sip:bob@198.51.100.8:5080';

/** A request from the caller (1) or the callee (2) and its answer, each with a Contact; sockets as they came. */
function exchange(
  world: World,
  from: 1 | 2,
  method: string,
  code: number,
  contacts: { readonly request?: string | null; readonly answer?: string | null } = {},
): void {
  const ends = from === 1 ? { from: 'a1', to: 'b2' } : { from: 'b2', to: 'a1' };
  const request = contacts.request === undefined ? (from === 1 ? NEW_ALICE : NEW_BOB) : contacts.request;
  const answer = contacts.answer === undefined ? (from === 1 ? NEW_BOB : NEW_ALICE) : contacts.answer;
  const contactOf = (uri: string | null): Parts => ({ contact: uri === null ? null : `<${uri}>` });
  const transaction = world.sequential({ method, cseq: 20, ...ends, ...contactOf(request) })!;
  world.reply(transaction, code, { method, cseq: 20, ...ends, ...contactOf(answer) });
  world.end(transaction);
}

function targets(world: World): [string | null, string | null] {
  const { caller, callee } = world.dialog();
  return [caller.contact, callee.contact];
}

describe('target refresh [RFC 3261 12.2.1.2, spec 5]', () => {
  for (const method of ['INVITE', 'UPDATE', 'SUBSCRIBE', 'NOTIFY', 'REFER']) {
    for (const from of [1, 2] as const) {
      test(`a 2xx to ${method} from ${from === 1 ? 'the caller' : 'the callee'} moves both targets`, async () => {
        await inWorld([], (world) => {
          world.answered();
          exchange(world, from, method, 200);
          assert.deepEqual(targets(world), [NEW_ALICE, NEW_BOB]);
        });
      });
    }
  }
  for (const method of ['INFO', 'OPTIONS', 'MESSAGE', 'PRACK', 'BYE']) {
    test(`${method} moves none`, async () => {
      await inWorld([], (world) => {
        world.answered();
        exchange(world, 1, method, 200);
        assert.deepEqual(targets(world), [ALICE, BOB]);
      });
    });
  }
  for (const code of [180, 401, 422, 481, 488, 491, 500]) {
    test(`an INVITE that is answered ${code} moves none`, async () => {
      await inWorld([], (world) => {
        world.answered();
        exchange(world, 1, 'INVITE', code);
        assert.deepEqual(targets(world), [ALICE, BOB]);
      });
    });
  }
  test('a Contact that is not there, or not one, leaves its side as it is', async () => {
    await inWorld([], (world) => {
      world.answered();
      exchange(world, 1, 'UPDATE', 200, { request: null });
      assert.deepEqual(targets(world), [ALICE, NEW_BOB]);
      exchange(world, 1, 'UPDATE', 200, { request: `${NEW_ALICE}>, <sip:x@h`, answer: null });
      assert.deepEqual(targets(world), [ALICE, NEW_BOB]);
      exchange(world, 2, 'UPDATE', 200, { request: null });
      assert.deepEqual(targets(world), [NEW_ALICE, NEW_BOB]);
    });
  });
  test('the sockets move with them', async () => {
    await inWorld([], (world) => {
      world.answered();
      const sockets = (): unknown => [world.dialog().caller.socket, world.dialog().callee.socket];
      assert.deepEqual(sockets(), ['udp:127.0.0.1:5060', 'udp:127.0.0.2:5060']);
      // The callee speaks first now: its request comes to the first socket, the caller's answer to the second.
      exchange(world, 2, 'INVITE', 200);
      assert.deepEqual(sockets(), ['udp:127.0.0.2:5060', 'udp:127.0.0.1:5060']);
    });
  });
  test('Route sets, tags and URIs stay', async () => {
    await inWorld([], (world) => {
      world.answered({ recordRoutes: ['<sip:p1;lr>'] });
      const before = world.dialog();
      exchange(world, 1, 'INVITE', 200);
      const after = world.dialog();
      assert.deepEqual(
        [after.caller.route_set, after.callee.route_set, after.from_uri, after.to_uri, after.callee.tag],
        [before.caller.route_set, before.callee.route_set, before.from_uri, before.to_uri, before.callee.tag],
      );
    });
  });
  test('UPDATE while it rings moves the caller; the callee comes with the 2xx to the INVITE', async () => {
    await inWorld([], (world) => {
      const invite = world.initial();
      world.reply(invite, 183);
      exchange(world, 1, 'UPDATE', 200);
      assert.deepEqual(targets(world), [NEW_ALICE, null]);
      world.reply(invite, 200);
      assert.deepEqual(targets(world), [NEW_ALICE, BOB]);
    });
  });
  test('an answer after the end moves nothing', async () => {
    await inWorld([], (world) => {
      world.answered();
      const update = world.sequential({ method: 'UPDATE', cseq: 20, contact: `<${NEW_ALICE}>` })!;
      const bye = world.sequential({ method: 'BYE', cseq: 21 })!;
      world.reply(update, 200, { method: 'UPDATE', cseq: 20, contact: `<${NEW_BOB}>` });
      assert.deepEqual(targets(world), [ALICE, BOB]);
      world.end(bye);
    });
  });
});

describe('the address a side was seen at [spec 14.20]', () => {
  const sources = (world: World): unknown => {
    const { index, generation } = world.handle();
    assert.ok(world.tracker.records.load(index, generation));
    const snapshot = world.tracker.snapshot();
    return [snapshot?.caller_source, snapshot?.callee_source];
  };
  const seen = (world: World): void => {
    world.sourceOf = (message) => (message.flow === 1 ? '192.0.2.10:40001' : '[2001:db8::9]:40002');
  };
  test('is kept beside the Contact where the two differ, and not where they agree', async () => {
    await inWorld([], (world) => {
      world.answered();
      assert.deepEqual(sources(world), [null, null]);
    });
    await inWorld([], (world) => {
      seen(world);
      world.answered();
      assert.deepEqual(targets(world), [ALICE, BOB]);
      assert.deepEqual(sources(world), ['192.0.2.10:40001', '[2001:db8::9]:40002']);
    });
  });
  test("is not the callee's when another proxy stands between", async () => {
    await inWorld([], (world) => {
      seen(world);
      world.reply(world.initial(), 200, { recordRoutes: ['<sip:p9;lr>', '<sip:own;lr>'] }, 1);
      assert.deepEqual(sources(world), ['192.0.2.10:40001', null]);
    });
  });
  test('moves with the target, and goes when the new Contact can be meant', async () => {
    await inWorld([], (world) => {
      seen(world);
      world.answered();
      exchange(world, 2, 'UPDATE', 200);
      assert.deepEqual(sources(world), ['[2001:db8::9]:40002', '192.0.2.10:40001']);
      world.sourceOf = () => '';
      exchange(world, 1, 'UPDATE', 200);
      assert.deepEqual(sources(world), [null, null]);
    });
  });
});

describe('keep_proxy_rr [spec 13.1]', () => {
  const CALLER = '<sip:c1;lr>';
  const ways = ['<sip:p9;lr>', '<sip:own-out;lr>', '<sip:own-in;lr>', CALLER];
  for (const [mode, caller, callee] of [
    [0, CALLER, '<sip:p9;lr>'],
    [1, CALLER, '<sip:own-in;lr>,<sip:own-out;lr>,<sip:p9;lr>'],
    [2, `<sip:own-out;lr>,<sip:own-in;lr>,${CALLER}`, '<sip:p9;lr>'],
    [3, `<sip:own-out;lr>,<sip:own-in;lr>,${CALLER}`, '<sip:own-in;lr>,<sip:own-out;lr>,<sip:p9;lr>'],
  ] as const) {
    test(`${mode}: our own values stay in ${['no', "the callee's", "the caller's", 'either'][mode]} Route set`, async () => {
      await inWorld([`dialog:keep_proxy_rr=${mode}`], (world) => {
        const invite = world.initial({ recordRoutes: [CALLER] });
        world.reply(invite, 180, { recordRoutes: ways }, 2);
        world.reply(invite, 200, { recordRoutes: ways }, 2);
        assert.deepEqual(
          [world.dialog().caller.route_set, world.dialog().callee.route_set],
          [caller, callee],
        );
      });
    });
  }
  test('without a Record-Route of ours there is nothing to keep', async () => {
    await inWorld(['dialog:keep_proxy_rr=3'], (world) => {
      world.answered();
      assert.deepEqual([world.dialog().caller.route_set, world.dialog().callee.route_set], [null, null]);
    });
  });
});
