import assert from 'node:assert/strict';
import { describe, test } from 'vitest';
import { DLGCB } from '../../../dist/dialog/callbacks.js';
import { inWorld, type Parts, type World } from './world.js';

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
      const { h_entry, h_id } = world.dialog();
      assert.deepEqual(world.told, [{ dialog: `[${h_entry}:${h_id}]`, reason: 'Error: listener' }]);
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
  test('refuses what cannot be combined, is no type, or is too much', async () => {
    await inWorld([], (world) => {
      const { callbacks } = world.tracker;
      const nothing = (): void => {};
      const dialog = { index: 1, generation: 1 };
      assert.equal(callbacks.register(null, 0, nothing), false);
      assert.equal(callbacks.register(null, 65_536, nothing), false);
      assert.equal(callbacks.register(null, DLGCB.CREATED | DLGCB.FAILED, nothing), false);
      assert.equal(callbacks.register(dialog, DLGCB.CREATED, nothing), false);
      assert.equal(callbacks.register(dialog, DLGCB.LOADED, nothing), false);
      assert.equal(callbacks.register(null, DLGCB.LOADED | DLGCB.CREATED, nothing), false);
      for (let n = 0; n < 64; n++) assert.ok(callbacks.register(null, DLGCB.FAILED, nothing));
      assert.equal(callbacks.register(null, DLGCB.FAILED, nothing), false);
    });
  });
});

describe('what listeners are given [spec 11.2]', () => {
  test('the stored request of the transaction in the callbacks of an answer', async () => {
    await inWorld([], (world) => {
      const heard: string[] = [];
      const types = ALL & ~DLGCB.DESTROY;
      world.tracker.callbacks.register(null, types, ({ type, request, reply }) => {
        const what = request === null ? '-' : `${request.methodName} ${request.cseq}`;
        heard.push(`${NAMES.get(type)} ${what} ${reply === null ? '-' : reply.code}`);
      });
      const invite = world.initial();
      world.reply(invite, 180);
      world.reply(invite, 200);
      world.sequential({ method: 'ACK' });
      const info = world.sequential({ method: 'INFO', cseq: 8 })!;
      world.reply(info, 200, { method: 'INFO', cseq: 8 });
      const bye = world.sequential({ method: 'BYE', cseq: 9 })!;
      world.reply(bye, 481, { method: 'BYE', cseq: 9 });
      const failed = world.initial({ callId: 'two@h', cseq: 3 });
      world.ownReply(failed, 408);
      assert.deepEqual(heard, [
        'RESPONSE_FWDED INVITE 7 180',
        'EARLY INVITE 7 180',
        'RESPONSE_FWDED INVITE 7 200',
        'CONFIRMED_NA INVITE 7 200',
        'CONFIRMED ACK 7 -',
        'REQ_WITHIN INFO 8 -',
        'RESPONSE_WITHIN INFO 8 200',
        'TERMINATED BYE 9 -',
        'TERMINATED_CONFIRMED BYE 9 481',
        'FAILED INVITE 3 -',
      ]);
    });
  });
  test('EXPIRED says whether the ACK had come', async () => {
    await inWorld(['dialog:default_timeout=30', 'dialog:noack_timeout=5'], (world) => {
      const heard: unknown[] = [];
      world.tracker.callbacks.register(null, DLGCB.EXPIRED, ({ data, request }) => heard.push(data, request));
      world.end(world.answered());
      world.end(answeredWithoutAck(world));
      world.wait(31, 2);
      assert.deepEqual(heard.sort(), [false, null, null, true].sort());
    });
  });
  test('a listing is filled by whoever listens, a restored dialog is told as LOADED', async () => {
    await inWorld([], (world) => {
      const { callbacks } = world.tracker;
      const heard: string[] = [];
      callbacks.register(null, DLGCB.LOADED, ({ direction }) => heard.push(`loaded ${direction}`));
      callbacks.register(null, DLGCB.RPC_CONTEXT | DLGCB.MI_CONTEXT, ({ type, data }) => {
        if (typeof data === 'object' && data !== null) data.billing = NAMES.get(type)!;
      });
      world.answered();
      const { index, generation } = world.handle();
      world.tracker.restored(index, generation);
      assert.deepEqual(heard, ['loaded 0']);
      assert.deepEqual(world.tracker.contextFields(index, generation), { billing: 'RPC_CONTEXT' });
      const mi = world.tracker.contextFields(index, generation, DLGCB.MI_CONTEXT);
      assert.deepEqual(mi, { billing: 'MI_CONTEXT' });
    });
  });
});

describe('when each type is told, and with what [spec 11.2]', () => {
  /** All there is in a call: who asks twice, early requests, requests before the ACK, answers of every kind. */
  const complete = (world: World): void => {
    const up = { from: 'b2', to: 'a1' };
    const exchange = (parts: Parts, ...codes: readonly number[]): void => {
      const transaction = world.sequential(parts)!;
      for (const code of codes) world.reply(transaction, code, parts);
      world.end(transaction);
    };
    const invite = world.initial();
    world.end(world.initial());
    world.reply(invite, 180);
    exchange({ method: 'PRACK', cseq: 8, to: 'b2' }, 200);
    world.reply(invite, 183);
    world.reply(invite, 200);
    exchange({ method: 'UPDATE', cseq: 9, to: 'b2' }, 200);
    world.sequential({ method: 'ACK' });
    world.reply(invite, 200);
    world.sequential({ method: 'ACK' });
    exchange({ method: 'INFO', cseq: 1, ...up }, 183, 200);
    exchange({ method: 'OPTIONS', cseq: 10, to: 'b2' }, 481);
    world.end(invite);
    exchange({ method: 'BYE', cseq: 2, ...up }, 183, 200);
  };
  const failing = (world: World): void => {
    const invite = world.initial();
    world.reply(invite, 180);
    world.reply(invite, 486);
    world.end(invite);
  };
  const endedFromHere = (world: World): void => {
    world.end(world.answered());
    const { index, generation } = world.handle();
    world.tracker.ending.end(index, generation, 3, '');
    world.answerOwn(0, 200);
    world.answerOwn(1, 481);
  };
  const expiring = (world: World): void => {
    world.end(world.answered());
    world.wait(43_201, 3);
  };
  // "request answer direction", for each time.
  const rows: readonly [keyof typeof DLGCB, (world: World) => void, readonly string[]][] = [
    ['CREATED', complete, ['INVITE - 1']],
    ['FAILED', failing, ['INVITE 486 2']],
    ['CONFIRMED_NA', complete, ['INVITE 200 2']],
    ['CONFIRMED', complete, ['ACK - 1']],
    ['REQ_WITHIN', complete, ['PRACK - 1', 'ACK - 1', 'INFO - 2', 'OPTIONS - 1']],
    ['EARLY', complete, ['INVITE 180 2', 'INVITE 183 2']],
    ['RESPONSE_FWDED', complete, ['INVITE 180 2', 'INVITE 183 2', 'INVITE 200 2', 'INVITE 200 2']],
    ['RESPONSE_WITHIN', complete, ['PRACK 200 2', 'INFO 183 1', 'INFO 200 1']],
    ['TERMINATED', complete, ['BYE - 2']],
    ['TERMINATED_CONFIRMED', complete, ['BYE 183 2', 'BYE 200 2']],
    ['SPIRALED', complete, ['INVITE - 1']],
    ['DESTROY', complete, ['- - 0']],
    ['TERMINATED', endedFromHere, ['- - 0']],
    ['TERMINATED_CONFIRMED', endedFromHere, ['BYE 200 0']],
    ['EXPIRED', expiring, ['- - 0']],
    ['EXPIRED', endedFromHere, []],
    ['TERMINATED', expiring, []],
    ['FAILED', complete, []],
    ['RESPONSE_FWDED', failing, ['INVITE 180 2']],
  ];
  for (const [name, run, expected] of rows) {
    test(`${name}, a call that is ${run.name}: ${expected.length} times`, () =>
      inWorld([], (world) => {
        const heard: string[] = [];
        world.tracker.callbacks.register(null, DLGCB[name], ({ request, reply, direction }) =>
          heard.push(`${request?.methodName ?? '-'} ${reply?.code ?? '-'} ${direction}`),
        );
        run(world);
        assert.deepEqual(heard, expected);
      }));
  }
});

describe('initial_cbs_inscript [manual 5.44, spec 8.10]', () => {
  const heardOf = (world: World): string[] => {
    const heard = listen(world);
    world.inEvent = (name) => void heard.push(name);
    return heard;
  };
  for (const inScript of [0, 1] as const) {
    test(`CREATED comes ${inScript === 1 ? 'with dlg_manage()' : 'when the transaction is made'} if it is ${inScript}`, async () => {
      await inWorld([`dialog:initial_cbs_inscript=${inScript}`], (world) => {
        const heard = heardOf(world);
        world.initial({}, () => heard.push('script goes on'));
        world.initial({}, () => heard.push('script goes on'));
        const expected =
          inScript === 1
            ? ['CREATED 1', 'script goes on', 'SPIRALED 1', 'script goes on']
            : ['script goes on', 'CREATED 1', 'script goes on', 'SPIRALED 1'];
        assert.deepEqual(heard, expected);
      });
    });
  }
  test('0, and the transaction exists already: at once', async () => {
    await inWorld(['dialog:initial_cbs_inscript=0'], (world) => {
      const heard = heardOf(world);
      const message = world.message({});
      world.tracker.begin(message);
      world.transaction(message);
      world.tracker.relayed(message);
      world.tracker.manage(message);
      assert.deepEqual(heard, ['CREATED 1']);
      world.tracker.relayed(message);
      world.store();
      world.tracker.scriptEnded(message, true);
      assert.deepEqual(heard, ['CREATED 1']);
    });
  });
  test('0, and no transaction is made: nothing is told, for nothing was', async () => {
    await inWorld(['dialog:initial_cbs_inscript=0'], (world) => {
      const before = world.usage();
      const heard = heardOf(world);
      const message = world.message({});
      world.tracker.begin(message);
      world.tracker.manage(message);
      world.tracker.scriptEnded(message, false);
      assert.deepEqual(heard, []);
      assert.equal(world.usage().usedBytes, before.usedBytes);
    });
  });
});

function answeredWithoutAck(world: World): ReturnType<World['initial']> {
  const invite = world.initial({ callId: 'two@h' });
  world.reply(invite, 200, { callId: 'two@h' });
  return invite;
}
