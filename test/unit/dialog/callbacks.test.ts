import assert from 'node:assert/strict';
import { describe, test } from 'vitest';
import { DLGCB } from '../../../dist/dialog/callbacks.js';
import { inWorld, type World } from './world.js';

const ALL =
  DLGCB.FAILED |
  DLGCB.CONFIRMED_NA |
  DLGCB.CONFIRMED |
  DLGCB.REQ_WITHIN |
  DLGCB.TERMINATED |
  DLGCB.EXPIRED |
  DLGCB.EARLY |
  DLGCB.RESPONSE_FWDED |
  DLGCB.RESPONSE_WITHIN |
  DLGCB.DESTROY |
  DLGCB.SPIRALED |
  DLGCB.TERMINATED_CONFIRMED;
const NAMES = new Map(Object.entries(DLGCB).map(([name, type]) => [type as number, name]));

/** Writes down what every dialog tells. */
function listen(world: World): string[] {
  const heard: string[] = [];
  const write = (type: number, direction: number): void => {
    heard.push(`${NAMES.get(type)} ${direction}`);
  };
  assert.ok(
    world.tracker.callbacks.register(null, DLGCB.CREATED, (news) => write(news.type, news.direction)),
  );
  assert.ok(world.tracker.callbacks.register(null, ALL, (news) => write(news.type, news.direction)));
  return heard;
}

describe('what a call tells [manual 10, spec 11.2]', () => {
  test('a normal call, in order, DESTROY last and once', async () => {
    await inWorld([], (world) => {
      const heard = listen(world);
      const invite = world.initial();
      world.reply(invite, 180);
      world.reply(invite, 183);
      world.reply(invite, 200);
      world.sequential({ method: 'ACK' });
      const info = world.sequential({ method: 'INFO', from: 'b2', to: 'a1', cseq: 1 })!;
      world.reply(info, 200, { method: 'INFO', from: 'b2', to: 'a1', cseq: 1 });
      world.end(info);
      world.end(invite);
      const bye = world.sequential({ method: 'BYE', cseq: 8 })!;
      world.reply(bye, 200, { method: 'BYE', cseq: 8 });
      world.end(bye);
      assert.deepEqual(heard, [
        'CREATED 1',
        'RESPONSE_FWDED 2',
        'EARLY 2',
        'RESPONSE_FWDED 2',
        'EARLY 2',
        'RESPONSE_FWDED 2',
        'CONFIRMED_NA 2',
        'CONFIRMED 1',
        'REQ_WITHIN 2',
        'RESPONSE_WITHIN 1',
        'TERMINATED 1',
        'TERMINATED_CONFIRMED 2',
        'DESTROY 0',
      ]);
    });
  });
  test('a call that is rejected', async () => {
    await inWorld([], (world) => {
      const heard = listen(world);
      const invite = world.initial();
      world.reply(invite, 180);
      world.reply(invite, 486);
      world.end(invite);
      assert.deepEqual(heard, ['CREATED 1', 'RESPONSE_FWDED 2', 'EARLY 2', 'FAILED 2', 'DESTROY 0']);
    });
  });
  test('a call whose time is over', async () => {
    await inWorld(['dialog:default_timeout=30'], (world) => {
      world.end(world.answered());
      const heard = listen(world);
      world.wait(31);
      assert.deepEqual(heard, ['EXPIRED 0', 'DESTROY 0']);
    });
  });
  test('an INVITE that goes nowhere', async () => {
    await inWorld([], (world) => {
      const heard = listen(world);
      const message = world.message({});
      world.tracker.begin(message);
      world.tracker.manage(message);
      world.tracker.scriptEnded(message, false);
      assert.deepEqual(heard, ['CREATED 1', 'DESTROY 0']);
    });
  });
  test('a spiral', async () => {
    await inWorld([], (world) => {
      const heard = listen(world);
      world.initial();
      world.initial();
      assert.deepEqual(heard, ['CREATED 1', 'SPIRALED 1']);
    });
  });
  test('a 2xx that comes again, an ACK that comes again', async () => {
    await inWorld([], (world) => {
      const invite = world.answered();
      const heard = listen(world);
      world.reply(invite, 200);
      world.sequential({ method: 'ACK' });
      assert.deepEqual(heard, ['RESPONSE_FWDED 2', 'REQ_WITHIN 1']);
    });
  });
  test('an answer of our own is no relayed one', async () => {
    await inWorld([], (world) => {
      const heard = listen(world);
      const invite = world.initial();
      world.ownReply(invite, 480);
      world.end(invite);
      assert.deepEqual(heard, ['CREATED 1', 'FAILED 2', 'DESTROY 0']);
    });
  });
});

describe('register_dlgcb [spec 11.2]', () => {
  test('runs the last registered first', async () => {
    await inWorld([], (world) => {
      const order: number[] = [];
      const { callbacks } = world.tracker;
      for (const n of [1, 2, 3]) callbacks.register(null, DLGCB.CREATED, () => order.push(n));
      world.initial();
      assert.deepEqual(order, [3, 2, 1]);
    });
  });
  test('for one dialog hears of that one, until it is gone', async () => {
    await inWorld([], (world) => {
      const heard: string[] = [];
      const { callbacks } = world.tracker;
      callbacks.register(null, DLGCB.CREATED, ({ index, generation }) => {
        if (heard.length > 0) return;
        heard.push('created');
        callbacks.register({ index, generation }, DLGCB.FAILED | DLGCB.DESTROY, (news) =>
          heard.push(`${NAMES.get(news.type)}`),
        );
      });
      const first = world.initial({ callId: 'c1@h' });
      const second = world.initial({ callId: 'c2@h' });
      world.ownReply(second, 480);
      world.end(second);
      assert.deepEqual(heard, ['created']);
      world.ownReply(first, 480);
      world.end(first);
      world.end(world.initial({ callId: 'c3@h' }));
      assert.deepEqual(heard, ['created', 'FAILED', 'DESTROY']);
    });
  });
  test('a listener that throws harms neither the call nor the next listener', async () => {
    await inWorld([], (world) => {
      const heard: string[] = [];
      const { callbacks } = world.tracker;
      callbacks.register(null, DLGCB.CONFIRMED_NA, () => heard.push('second'));
      callbacks.register(null, DLGCB.CONFIRMED_NA, () => {
        throw new Error('listener');
      });
      world.answered();
      assert.deepEqual([heard, world.states(), world.faults], [['second'], [4], ['dialog_listener_threw']]);
    });
  });
  test('an event route that throws harms no call', async () => {
    await inWorld([], (world) => {
      world.inEvent = () => {
        throw new Error('route');
      };
      const invite = world.answered();
      const bye = world.sequential({ method: 'BYE', cseq: 8 })!;
      world.end(bye);
      world.end(invite);
      assert.deepEqual([world.states(), world.events], [[], ['start 200', 'end BYE']]);
      assert.deepEqual(world.faults, ['event_route_threw', 'event_route_threw']);
    });
  });
  test('refuses what cannot be combined, never fires, or is too much', async () => {
    await inWorld([], (world) => {
      const { callbacks } = world.tracker;
      const nothing = (): void => {};
      const dialog = { index: 1, generation: 1 };
      assert.equal(callbacks.register(null, 0, nothing), false);
      assert.equal(callbacks.register(null, 65_536, nothing), false);
      assert.equal(callbacks.register(null, DLGCB.CREATED | DLGCB.FAILED, nothing), false);
      assert.equal(callbacks.register(dialog, DLGCB.CREATED, nothing), false);
      for (const type of [DLGCB.LOADED, DLGCB.MI_CONTEXT, DLGCB.RPC_CONTEXT]) {
        assert.equal(callbacks.register(null, type, nothing), false);
      }
      for (let n = 0; n < 64; n++) assert.ok(callbacks.register(null, DLGCB.FAILED, nothing));
      assert.equal(callbacks.register(null, DLGCB.FAILED, nothing), false);
    });
  });
});
