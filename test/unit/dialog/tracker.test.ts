import assert from 'node:assert/strict';
import { describe, test } from 'vitest';
import { cookieText } from '../../../dist/dialog/cookie.js';
import * as words from '../../../dist/memory/words.js';
import { set_dlg_profile } from '../../../dist/script/functions/profile.js';
import { assertNothingLeft, inWorld, type Parts, type World } from './world.js';

/** dlg_manage() on one message, whose script then ends without a transaction. */
function manage(world: World, parts: Parts): boolean {
  const message = world.message(parts);
  world.tracker.begin(message);
  const done = world.tracker.manage(message);
  world.tracker.scriptEnded(message, false);
  return done;
}

describe('making a dialog [spec 2.3 A, 8.10]', () => {
  test('an INVITE makes one, unconfirmed, with all that it says of the caller', async () => {
    await inWorld([], (world) => {
      world.initial({ requestUri: 'sip:bob@next', recordRoutes: ['<sip:p2;lr>, <sip:p1;lr>'] });
      const dialog = world.dialog();
      assert.equal(dialog.state, 1);
      assert.equal(dialog['call-id'], 'call@h');
      assert.equal(dialog.from_uri, 'sip:alice@example.com');
      assert.equal(dialog.to_uri, 'sip:bob@example.com');
      assert.deepEqual(dialog.caller, {
        tag: 'a1',
        contact: 'sip:alice@192.0.2.10:5062',
        cseq: '7',
        route_set: '<sip:p2;lr>,<sip:p1;lr>',
        socket: 'udp:127.0.0.1:5060',
      });
      assert.deepEqual(dialog.callee, {
        tag: null,
        contact: null,
        cseq: null,
        route_set: null,
        socket: null,
      });
      assert.equal(dialog.lifetime, 43_200);
      assert.deepEqual([dialog.start_ts, dialog.end_ts, dialog.timeout, dialog.duration], [0, 0, 0, 0]);
      assert.equal(dialog.init_ts, world.native.nowUnixSeconds());
      assert.equal(world.statistic('processed_dialogs'), 1);
      assert.equal(world.statistic('early_dialogs'), 0);
    });
  });
  test('the hash entry is that of the worked example', async () => {
    await inWorld(['dialog:hash_size=4096'], (world) => {
      world.initial({ callId: '3c26700857a87f84@10.0.0.1' });
      assert.equal(world.dialog().h_entry, 1006);
    });
  });
  test('the Request-URI is the one the route left', async () => {
    await inWorld([], (world) => {
      const message = world.message({});
      world.tracker.begin(message);
      const { scratch } = world.memory;
      const at = scratch.at;
      scratch.text('sip:bob@changed');
      assert.equal(world.tracker.manage(message, at, scratch.at - at), true);
      assert.ok(world.tracker.contextDialog());
      assert.equal(world.tracker.snapshot()?.request_uri, 'sip:bob@changed');
      world.tracker.scriptEnded(message, false);
    });
  });
  for (const [name, parts] of [
    ['another method', { method: 'OPTIONS' }],
    ['SUBSCRIBE', { method: 'SUBSCRIBE' }],
    ['no From tag', { from: null }],
    ['no Contact', { contact: null }],
    ['two Contacts', { contact: '<sip:a@h>, <sip:b@h>' }],
    [
      'over 16,384 bytes of Record-Routes',
      { recordRoutes: Array.from({ length: 5 }, (_, n) => `<sip:${'x'.repeat(3300)}${n};lr>`) },
    ],
    ['a Call-ID over 4,096 bytes', { callId: 'x'.repeat(4097) }],
    ['a tag over 4,096 bytes', { from: 'x'.repeat(4097) }],
    ['a Contact over 4,096 bytes', { contact: `<sip:${'x'.repeat(4100)}@h>` }],
  ] as const) {
    test(`${name}: none is made`, async () => {
      await inWorld([], (world) => {
        const before = world.usage();
        assert.equal(manage(world, parts), false);
        assertNothingLeft(world, before);
        assert.equal(world.statistic('processed_dialogs'), 0);
      });
    });
  }
  test('150 Record-Routes are kept', async () => {
    await inWorld([], (world) => {
      const recordRoutes = Array.from({ length: 150 }, (_, n) => `<sip:p${n};lr>`);
      world.initial({ recordRoutes });
      assert.equal(world.dialog().caller.route_set, recordRoutes.join(','));
    });
  });
  test('a second dlg_manage() in the same script is refused and changes nothing', async () => {
    await inWorld([], (world) => {
      world.initial({}, (message) => assert.equal(world.tracker.manage(message), false));
      assert.deepEqual(world.states(), [1]);
      assert.equal(world.statistic('processed_dialogs'), 1);
    });
  });
  test('a script that ends without a transaction leaves nothing', async () => {
    await inWorld([], (world) => {
      const before = world.usage();
      assert.equal(manage(world, {}), true);
      assertNothingLeft(world, before);
      assert.deepEqual(world.events, []);
      assert.equal(world.statistic('failed_dialogs'), 0);
    });
  });
  test('a message that is followed by another without a word leaves nothing but its dialog', async () => {
    await inWorld([], (world) => {
      const message = world.message({});
      world.tracker.begin(message);
      world.tracker.profiles.tryJoin(world.tracker.context, message, 'all', null, 0);
      assert.equal(world.tracker.profiles.size('all', null), 1);
      world.tracker.begin(world.message({ callId: 'next@h' }));
      assert.equal(world.tracker.profiles.size('all', null), 0);
    });
  });
  test('a transaction that was not told of the dialog bounds it by early_timeout', async () => {
    await inWorld(['dialog:early_timeout=5'], (world) => {
      const before = world.usage();
      const message = world.message({});
      world.tracker.begin(message);
      world.tracker.manage(message);
      world.tracker.scriptEnded(message, true);
      world.wait(4);
      assert.deepEqual(world.states(), [1]);
      world.wait(3);
      assert.deepEqual(world.events, ['failed -']);
      assertNothingLeft(world, before);
    });
  });
});

describe('the cookie in our Record-Route [manual 5.3, spec 1.2]', () => {
  const parameters = (world: World, parts: Parts, sequential = false): string => {
    let text = '';
    const write = (): void => {
      const { scratch } = world.memory;
      const at = scratch.at;
      world.tracker.writeRecordRouteParameters(scratch);
      text = world.memory.text(at, scratch.at - at);
    };
    if (sequential) world.sequential(parts, write);
    else world.initial(parts, write);
    return text;
  };
  for (const mode of [0, 1]) {
    test(`is written for the INVITE that makes a dialog, in mode ${mode}`, async () => {
      await inWorld([`dialog:dlg_match_mode=${mode}`], (world) => {
        const text = parameters(world, {});
        const { h_entry, h_id } = world.dialog();
        assert.equal(text, `;did=${cookieText(h_entry, h_id)}`);
      });
    });
  }
  test('is not written in mode 2', async () => {
    await inWorld(['dialog:dlg_match_mode=2'], (world) => assert.equal(parameters(world, {}), ''));
  });
  test('is not written for a spiral, nor without a dialog, nor within one', async () => {
    await inWorld([], (world) => {
      assert.equal(parameters(world, { method: 'OPTIONS' }), '');
      world.answered();
      assert.equal(parameters(world, { method: 'INVITE', to: 'b2', cseq: 8 }, true), '');
      world.initial({ callId: 'second@h' });
      assert.equal(parameters(world, { callId: 'second@h' }), '');
    });
  });
  test('has the name that rr_param gives it', async () => {
    await inWorld(['dialog:rr_param=vsf'], (world) =>
      assert.match(parameters(world, {}), /^;vsf=[0-9a-f]+\.[0-9a-f]+$/),
    );
  });
  test('is written twice when two Record-Routes are', async () => {
    await inWorld([], (world) => {
      world.initial({}, () => {
        const { scratch } = world.memory;
        const at = scratch.at;
        world.tracker.writeRecordRouteParameters(scratch);
        world.tracker.writeRecordRouteParameters(scratch);
        assert.match(world.memory.text(at, scratch.at - at), /^(;did=[0-9a-f]+\.[0-9a-f]+)\1$/);
      });
    });
  });
  test('is written again for the branch that a failure route makes', async () => {
    await inWorld([], (world) => {
      const invite = world.initial();
      const { h_entry, h_id } = world.dialog();
      world.load(invite);
      world.tracker.begin(world.message({}));
      world.tracker.adopt();
      const { scratch } = world.memory;
      const at = scratch.at;
      world.tracker.writeRecordRouteParameters(scratch);
      assert.equal(world.memory.text(at, scratch.at - at), `;did=${cookieText(h_entry, h_id)}`);
    });
  });
});

describe('the states of a call [spec 2.2, 2.3]', () => {
  test('rings, is answered, is confirmed, ends', async () => {
    await inWorld([], (world) => {
      const before = world.usage();
      const invite = world.initial();
      world.reply(invite, 180);
      assert.deepEqual([world.dialog().state, world.statistic('early_dialogs')], [2, 1]);
      world.reply(invite, 200);
      assert.deepEqual([world.dialog().state, world.statistic('early_dialogs')], [3, 0]);
      assert.equal(world.statistic('active_dialogs'), 1);
      assert.equal(world.dialog().dflags, 513);
      world.sequential({ method: 'ACK' });
      assert.deepEqual([world.dialog().state, world.dialog().dflags], [4, 515]);
      assert.deepEqual(world.events, ['start 200']);
      world.end(invite);
      const bye = world.sequential({ method: 'BYE', cseq: 8 })!;
      const { state, dflags, end_ts, timeout } = world.dialog();
      assert.deepEqual([state, dflags, timeout], [5, 519, 0]);
      assert.equal(end_ts, world.native.nowUnixSeconds());
      assert.equal(world.statistic('active_dialogs'), 0);
      assert.deepEqual(world.events, ['start 200', 'end BYE']);
      world.end(bye);
      assertNothingLeft(world, before);
      assert.deepEqual(world.events, ['start 200', 'end BYE']);
      assert.deepEqual(world.faults, []);
    });
  });
  test('learns the callee from the first 2xx', async () => {
    await inWorld([], (world) => {
      const invite = world.initial({ recordRoutes: ['<sip:k1;lr>'] });
      const recordRoutes = ['<sip:d2;lr;x=1>', '<sip:d1;lr>,<sip:own;lr>', '<sip:k1;lr>'];
      world.reply(invite, 200, { recordRoutes }, 1);
      assert.deepEqual(world.dialog().callee, {
        tag: 'b2',
        contact: 'sip:bob@203.0.113.9',
        cseq: '0',
        route_set: '<sip:d1;lr>,<sip:d2;lr;x=1>',
        socket: 'udp:127.0.0.2:5060',
      });
    });
  });
  for (const [what, contact] of [
    ['no Contact', null],
    ['two Contacts', '<sip:b@h>,<sip:c@h>'],
  ] as const) {
    test(`a 2xx with ${what} still gives the callee's tag`, async () => {
      await inWorld([], (world) => {
        const invite = world.initial();
        world.reply(invite, 200, { contact });
        assert.deepEqual(
          [world.dialog().callee.tag, world.dialog().callee.contact, world.dialog().state],
          ['b2', null, 3],
        );
        world.sequential({ method: 'ACK' });
        assert.equal(world.dialog().state, 4);
      });
    });
  }
  test('a callee whose texts cannot be kept is answered all the same', async () => {
    await inWorld([], (world) => {
      const before = world.usage();
      const invite = world.initial();
      world.reply(invite, 200, { contact: `<sip:${'x'.repeat(5000)}@h>` });
      assert.deepEqual([world.dialog().state, world.dialog().callee.tag], [3, 'b2']);
      assert.deepEqual(world.faults, ['callee_leg_not_kept']);
      world.end(invite);
      world.end(world.sequential({ method: 'BYE' })!);
      assertNothingLeft(world, before);
    });
  });
  test('100, and provisional answers of our own, say nothing', async () => {
    await inWorld([], (world) => {
      const invite = world.initial();
      world.reply(invite, 100);
      world.ownReply(invite, 180);
      assert.equal(world.dialog().state, 1);
    });
  });
  test('a 2xx of our own makes us the callee: a tag, and nothing that requests are sent to', async () => {
    await inWorld([], (world) => {
      const invite = world.initial();
      world.ownReply(invite, 200);
      const { state, callee } = world.dialog();
      assert.deepEqual([state, callee.tag, callee.contact, callee.route_set], [3, 'own', null, null]);
      // The same INVITE again is no spiral of a confirmed call, and other tags are others' dialogs.
      world.sequential({ method: 'ACK', to: 'b2' });
      assert.equal(world.dialog().state, 3);
      world.sequential({ method: 'ACK', to: 'own' });
      assert.equal(world.dialog().state, 4);
      assert.deepEqual(world.events, ['start -']);
    });
  });
  for (const code of [300, 302, 404, 408, 486, 487, 503, 603]) {
    test(`${code} from downstream fails the call`, async () => {
      await inWorld([], (world) => {
        const before = world.usage();
        const invite = world.initial();
        world.reply(invite, 180);
        world.reply(invite, code);
        assert.deepEqual([world.dialog().state, world.statistic('early_dialogs')], [5, 0]);
        assert.equal(world.statistic('failed_dialogs'), 1);
        assert.deepEqual(world.events, [`failed ${code}`]);
        world.end(invite);
        assertNothingLeft(world, before);
        assert.deepEqual(world.events, [`failed ${code}`]);
      });
    });
  }
  test('a final answer of our own fails the call before anything came', async () => {
    await inWorld([], (world) => {
      const before = world.usage();
      const invite = world.initial();
      world.ownReply(invite, 408);
      assert.deepEqual([world.dialog().state, world.statistic('failed_dialogs')], [5, 1]);
      assert.deepEqual(world.events, ['failed -']);
      world.end(invite);
      assertNothingLeft(world, before);
    });
  });
  test('an answer before the transaction was told of the dialog finds it', async () => {
    await inWorld([], (world) => {
      const before = world.usage();
      const message = world.message({});
      world.tracker.begin(message);
      world.tracker.manage(message);
      const transaction = world.transaction(message);
      world.tracker.reply(null, 503, 0);
      world.store();
      world.tracker.scriptEnded(message, true);
      assert.deepEqual([world.dialog().state, world.events], [5, ['failed -']]);
      world.end(transaction);
      assertNothingLeft(world, before);
    });
  });
  test('wait_ack 0 frees a failed call at once', async () => {
    await inWorld(['dialog:wait_ack=0'], (world) => {
      const before = world.usage();
      const invite = world.initial();
      world.reply(invite, 486);
      assert.deepEqual(world.states(), []);
      world.reply(invite, 200);
      world.end(invite);
      assertNothingLeft(world, before);
    });
  });
  test('an INVITE transaction that ends without an answer fails the call', async () => {
    for (const ring of [false, true]) {
      await inWorld([], (world) => {
        const before = world.usage();
        const invite = world.initial();
        if (ring) world.reply(invite, 183);
        world.end(invite);
        assert.deepEqual(world.events, ['failed -']);
        assert.equal(world.statistic('failed_dialogs'), 1);
        assertNothingLeft(world, before);
      });
    }
  });
});

describe('what event routes see, each once [manual 11, spec 11.1]', () => {
  const look = (world: World): unknown[] => {
    const seen: unknown[] = [];
    world.inEvent = (name) => {
      assert.ok(world.tracker.contextDialog());
      const { state, start_ts, end_ts, callee, profiles } = world.tracker.snapshot()!;
      const active = world.statistic('active_dialogs');
      seen.push([name, state, start_ts !== 0, end_ts !== 0, callee.tag, callee.contact, profiles, active]);
    };
    return seen;
  };
  test('start: the callee, the time of the answer, the count; end: the time of the end, nothing left to count', async () => {
    await inWorld([], (world) => {
      const seen = look(world);
      const invite = world.initial({}, (message) => set_dlg_profile(world.tracker, message, 'all'));
      world.reply(invite, 200);
      world.reply(invite, 200);
      world.sequential({ method: 'ACK' });
      world.sequential({ method: 'BYE', cseq: 8 });
      world.sequential({ method: 'BYE', cseq: 9, from: 'b2', to: 'a1' });
      assert.deepEqual(seen, [
        ['start', 3, true, false, 'b2', 'sip:bob@203.0.113.9', ['all'], 1],
        ['end', 5, true, true, 'b2', 'sip:bob@203.0.113.9', [], 0],
      ]);
    });
  });
  test('failed: the time of the end, and never an answer', async () => {
    await inWorld([], (world) => {
      const seen = look(world);
      const invite = world.initial({}, (message) => set_dlg_profile(world.tracker, message, 'all'));
      world.reply(invite, 486);
      world.end(invite);
      assert.deepEqual(seen, [['failed', 5, false, true, null, null, [], 0]]);
    });
  });
});

describe('special cases [spec 2.4]', () => {
  test('a late 2xx revives a failed call, with counts and memberships as before', async () => {
    await inWorld([], (world) => {
      const before = world.usage();
      const invite = world.initial({}, (message) => {
        const { context, profiles } = world.tracker;
        assert.ok(profiles.set(context, message, 'caller', 'alice'));
        assert.ok(profiles.set(context, message, 'all', null));
      });
      world.ownReply(invite, 408);
      assert.deepEqual([world.dialog().state, world.statistic('failed_dialogs')], [5, 1]);
      assert.equal(world.tracker.profiles.size('all', null), 0);
      world.reply(invite, 200);
      const { state, end_ts, profiles, duration } = world.dialog();
      assert.deepEqual([state, end_ts, duration], [3, 0, 0]);
      assert.deepEqual(profiles, ['all', { caller: 'alice' }]);
      assert.equal(world.statistic('failed_dialogs'), 0);
      assert.equal(world.statistic('active_dialogs'), 1);
      assert.deepEqual(world.events, ['failed -', 'start 200']);
      world.sequential({ method: 'ACK' });
      world.end(invite);
      world.end(world.sequential({ method: 'BYE', cseq: 9 })!);
      assertNothingLeft(world, before);
    });
  });
  test('so does one that comes after a negative answer from downstream', async () => {
    await inWorld([], (world) => {
      const before = world.usage();
      const invite = world.initial({}, (message) => {
        const { context, profiles } = world.tracker;
        assert.ok(profiles.tryJoin(context, message, 'caller', 'alice', 1));
        world.tracker.variables.set(context, message, 'k', 'v');
      });
      world.reply(invite, 487, { to: 'one' });
      assert.equal(world.tracker.profiles.size('caller', 'alice'), 0);
      world.reply(invite, 200, { to: 'two' });
      const { state, callee, profiles, variables } = world.dialog();
      assert.deepEqual(
        [state, callee.tag, profiles, variables],
        [3, 'two', [{ caller: 'alice' }], [{ k: 'v' }]],
      );
      world.end(invite);
      world.end(world.sequential({ method: 'BYE', to: 'two', cseq: 9 })!);
      assertNothingLeft(world, before);
    });
  });
  test('a 2xx after the BYE changes nothing', async () => {
    await inWorld([], (world) => {
      const before = world.usage();
      const invite = world.answered();
      const bye = world.sequential({ method: 'BYE', cseq: 8 })!;
      world.reply(invite, 200);
      assert.equal(world.dialog().state, 5);
      world.end(invite);
      world.end(bye);
      assertNothingLeft(world, before);
      assert.deepEqual(world.events, ['start 200', 'end BYE']);
    });
  });
  test('a 2xx that comes again changes nothing, one of another callee nothing of the first', async () => {
    await inWorld([], (world) => {
      const invite = world.initial();
      world.reply(invite, 200);
      world.reply(invite, 200);
      const before = world.dialog();
      assert.deepEqual([before.callee.tag, before.state, world.events], ['b2', 3, ['start 200']]);
      world.reply(invite, 200, { to: 'c3', contact: '<sip:carol@h>' });
      assert.deepEqual(world.dialogs()[0], before);
    });
  });
  test('answers to the INVITE that come too late are stray', async () => {
    await inWorld([], (world) => {
      const invite = world.answered();
      world.reply(invite, 180);
      world.reply(invite, 486);
      assert.equal(world.dialog().state, 4);
      assert.equal(world.statistic('failed_dialogs'), 0);
    });
  });
  test('BYE before ACK ends the call', async () => {
    await inWorld([], (world) => {
      const before = world.usage();
      const invite = world.initial();
      world.reply(invite, 200);
      const bye = world.sequential({ method: 'BYE', from: 'b2', to: 'a1', cseq: 1 })!;
      assert.deepEqual(world.states(), [5]);
      world.sequential({ method: 'ACK' });
      assert.deepEqual(world.states(), [5]);
      world.end(bye);
      world.end(invite);
      assertNothingLeft(world, before);
    });
  });
  test('BYE while it rings is ignored; the answer to the INVITE ends the call', async () => {
    await inWorld([], (world) => {
      const before = world.usage();
      const invite = world.initial();
      world.reply(invite, 180);
      const bye = world.sequential({ method: 'BYE' })!;
      assert.deepEqual([world.states(), world.events], [[2], []]);
      world.end(bye);
      world.reply(invite, 487);
      world.end(invite);
      assertNothingLeft(world, before);
    });
  });
  test('a BYE ends the call once, whatever it is answered and however often it comes', async () => {
    await inWorld([], (world) => {
      const before = world.usage();
      world.end(world.answered());
      const first = world.sequential({ method: 'BYE', cseq: 8 })!;
      world.reply(first, 407, { method: 'BYE', cseq: 8 });
      const second = world.sequential({ method: 'BYE', cseq: 9 })!;
      const crossing = world.sequential({ method: 'BYE', from: 'b2', to: 'a1', cseq: 1 })!;
      assert.deepEqual([world.states(), world.events], [[5], ['start 200', 'end BYE']]);
      for (const transaction of [first, second, crossing]) world.end(transaction);
      assertNothingLeft(world, before);
    });
  });
  test('a BYE whose script makes no transaction frees the dialog', async () => {
    await inWorld([], (world) => {
      const before = world.usage();
      world.end(world.answered());
      const message = world.message({ method: 'BYE', to: 'b2', cseq: 8 });
      world.tracker.begin(message);
      world.tracker.manage(message);
      assert.equal(world.tracker.context.status, 5);
      world.tracker.scriptEnded(message, false);
      assertNothingLeft(world, before);
    });
  });
  test('answers to requests within the dialog change nothing', async () => {
    await inWorld([], (world) => {
      world.answered();
      const again = world.sequential({ method: 'INVITE', cseq: 8 })!;
      for (const code of [180, 200, 408, 481, 488]) world.reply(again, code, { cseq: 8 });
      world.end(again);
      assert.deepEqual([world.states(), world.events], [[4], ['start 200']]);
    });
  });
  test('CANCEL within the dialog is no event', async () => {
    await inWorld([], (world) => {
      world.answered();
      const { timeout, caller } = world.dialog();
      world.sequential({ method: 'CANCEL', cseq: 20 });
      assert.deepEqual(
        [world.dialog().state, world.dialog().timeout, world.dialog().caller.cseq],
        [4, timeout, caller.cseq],
      );
    });
  });
  test('requests before any answer are stray and leave the call as it is', async () => {
    await inWorld([], (world) => {
      world.initial();
      for (const method of ['ACK', 'PRACK', 'BYE', 'INFO']) world.sequential({ method });
      assert.deepEqual([world.states(), world.events], [[1], []]);
      assert.equal(world.statistic('stray_events'), 4);
    });
  });
});

describe('spirals and repeated Call-IDs [manual 5.9, spec 1.6]', () => {
  const second = (world: World, cseq = 7): { by: string; context: number } => {
    const before = world.statistic('spirals');
    let context = 0;
    world.initial({ cseq }, () => {
      context = world.tracker.context.ownIndex;
    });
    return { by: world.statistic('spirals') > before ? 'spiral' : 'new', context };
  };
  const states: readonly [string, (world: World) => void, string, string][] = [
    ['unconfirmed', (world) => void world.initial(), 'spiral', 'new'],
    ['early', (world) => world.reply(world.initial(), 180), 'spiral', 'new'],
    ['answered without ACK', (world) => world.reply(world.initial(), 200), 'spiral', 'new'],
    ['confirmed', (world) => void world.answered(), 'new', 'new'],
    ['failed', (world) => world.reply(world.initial(), 486), 'new', 'new'],
    [
      'ended',
      (world) => {
        world.answered();
        world.sequential({ method: 'BYE', cseq: 8 });
      },
      'new',
      'new',
    ],
  ];
  for (const [name, reach, spiral, plain] of states) {
    test(`an INVITE that finds its call ${name}: ${spiral}`, async () => {
      await inWorld(['dialog:detect_spirals=1'], (world) => {
        reach(world);
        const found = second(world);
        assert.equal(found.by, spiral);
        assert.equal(world.dialogs().length, spiral === 'spiral' ? 1 : 2);
        assert.notEqual(found.context, 0);
      });
    });
    test(`a further INVITE of the same Call-ID and From tag while its call is ${name}: new`, async () => {
      await inWorld(['dialog:detect_spirals=1'], (world) => {
        reach(world);
        assert.equal(second(world, 8).by, 'new');
        assert.equal(world.dialogs().length, 2);
      });
    });
    test(`an INVITE that finds its call ${name}, detect_spirals 0: ${plain}`, async () => {
      await inWorld(['dialog:detect_spirals=0'], (world) => {
        reach(world);
        assert.equal(second(world).by, plain);
        assert.equal(world.dialogs().length, 2);
      });
    });
  }
  test('a spiral neither drives nor keeps the dialog', async () => {
    await inWorld([], (world) => {
      const before = world.usage();
      const first = world.initial();
      const again = world.initial();
      world.reply(again, 180);
      assert.deepEqual(world.states(), [1]);
      world.reply(again, 486);
      world.end(again);
      assert.deepEqual([world.states(), world.events], [[1], []]);
      world.reply(first, 486);
      world.end(first);
      assertNothingLeft(world, before);
      assert.equal(world.statistic('processed_dialogs'), 1);
    });
  });
  test('detect_spirals 0: the dialog that was found is not held by the one that was made', async () => {
    await inWorld(['dialog:detect_spirals=0'], (world) => {
      const before = world.usage();
      const invites = [7, 8, 9].map((cseq) => world.initial({ cseq }));
      assert.deepEqual(
        world.dialogs().map(({ ref }) => ref),
        [2, 2, 2],
      );
      for (const invite of invites) {
        world.reply(invite, 486);
        world.end(invite);
      }
      assertNothingLeft(world, before);
    });
  });
  test('another From tag, or another Call-ID, is another call', async () => {
    await inWorld([], (world) => {
      world.initial();
      world.initial({ from: 'a2' });
      world.initial({ callId: 'CALL@h' });
      assert.equal(world.dialogs().length, 3);
    });
  });
});

describe('what a request within the dialog leaves behind [spec 2.3 E, 4.3]', () => {
  test('the highest CSeq of its side', async () => {
    await inWorld([], (world) => {
      const invite = world.initial();
      world.reply(invite, 200);
      world.sequential({ method: 'UPDATE', cseq: 9 });
      assert.equal(world.dialog().caller.cseq, '9');
      world.sequential({ method: 'ACK', cseq: 7 });
      world.sequential({ method: 'INFO', cseq: 8 });
      world.sequential({ method: 'INFO', from: 'b2', to: 'a1', cseq: 40 });
      assert.deepEqual([world.dialog().caller.cseq, world.dialog().callee.cseq], ['9', '40']);
      world.sequential({ method: 'ACK', cseq: 99 });
      assert.equal(world.dialog().caller.cseq, '9');
      world.sequential({ method: 'INFO', cseq: 0 });
      world.sequential({ method: 'INFO', cseq: 2_147_483_647 });
      assert.equal(world.dialog().caller.cseq, '2147483647');
    });
  });
  test('that of PRACK while it rings, of requests before the ACK, and of the BYE', async () => {
    await inWorld([], (world) => {
      const invite = world.initial();
      world.reply(invite, 183);
      world.sequential({ method: 'PRACK', cseq: 8 });
      assert.equal(world.dialog().caller.cseq, '8');
      world.sequential({ method: 'CANCEL', cseq: 90 });
      assert.equal(world.dialog().caller.cseq, '8');
      world.reply(invite, 200);
      world.sequential({ method: 'INFO', from: 'b2', to: 'a1', cseq: 3 });
      assert.deepEqual([world.dialog().state, world.dialog().callee.cseq], [3, '3']);
      world.sequential({ method: 'BYE', from: 'b2', to: 'a1', cseq: 4 });
      assert.deepEqual([world.dialog().state, world.dialog().callee.cseq], [5, '4']);
    });
  });
  test('PRACK in setup is remembered, later it is a request like any other', async () => {
    await inWorld([], (world) => {
      const invite = world.initial();
      world.reply(invite, 183);
      world.sequential({ method: 'PRACK', cseq: 8 });
      assert.deepEqual([world.dialog().state, world.dialog().iflags], [2, 32]);
    });
    await inWorld([], (world) => {
      world.answered();
      world.sequential({ method: 'PRACK', cseq: 8 });
      assert.deepEqual([world.dialog().state, world.dialog().iflags], [4, 0]);
      assert.equal(world.statistic('stray_events'), 0);
    });
  });
  test('its transaction sees the dialog, and its reply travels the other way', async () => {
    await inWorld([], (world) => {
      world.answered();
      const info = world.sequential({ method: 'INFO', from: 'b2', to: 'a1', cseq: 1 })!;
      world.load(info);
      assert.equal(world.x[words.T_DIRECTION]! & 3, 2);
      world.tracker.begin(world.message({ method: 'INFO', code: 200, from: 'b2', to: 'a1', cseq: 1 }));
      assert.deepEqual(
        [world.tracker.context.index, world.tracker.context.direction],
        [world.x[words.T_DIALOG_INDEX], 1],
      );
    });
  });
});

describe('a route that waits [spec 2.5]', () => {
  test('keeps the dialog, and finds its context again', async () => {
    await inWorld([], (world) => {
      const before = world.usage();
      world.end(world.answered());
      const bye = world.message({ method: 'BYE', to: 'b2', cseq: 8 });
      world.tracker.begin(bye);
      world.tracker.manage(bye);
      const parked = world.tracker.park();
      world.initial({ callId: 'other@h' });
      const other = world.dialogs().find((dialog) => dialog['call-id'] === 'other@h');
      assert.equal(other?.state, 1);
      world.tracker.resume(parked);
      assert.equal(world.tracker.context.status, 5);
      assert.ok(world.tracker.contextDialog());
      world.tracker.scriptEnded(bye, false);
      assert.deepEqual(world.states(), [1]);
      world.tracker.begin(world.message({}));
      const message = world.message({ callId: 'third@h' });
      world.tracker.begin(message);
      world.tracker.manage(message);
      const early = world.tracker.park();
      world.tracker.resume(early);
      world.tracker.scriptEnded(message, false);
      assert.deepEqual(world.states(), [1]);
      assert.equal(world.usage().dialogs, before.dialogs + 1);
    });
  });
});

describe('when memory runs out', () => {
  test('new calls are refused and counted, and calls that are up go on', async () => {
    await inWorld(['dialog:hash_size=64'], (world) => {
      const before = world.usage();
      const calls: { index: number; generation: number }[] = [];
      let refused = 0;
      for (let n = 0; n < 200_000 && refused === 0; n++) {
        world.memory.scratch.reset();
        const message = world.message({ callId: `c${n}@h`, contact: `<sip:alice@h;x=${'x'.repeat(1800)}>` });
        world.tracker.begin(message);
        if (!world.tracker.manage(message)) {
          assert.equal(world.tracker.context.refusedForMemory, true);
          refused += 1;
        } else {
          calls.push(world.transaction(message));
          world.tracker.relayed(message);
          world.store();
        }
        world.tracker.scriptEnded(message, true);
      }
      assert.equal(refused, 1);
      assert.equal(world.statistic('no_memory'), 1);
      assert.deepEqual([...new Set(world.faults)], ['no_room_for_dialog']);
      world.reply(calls[0]!, 180, { callId: 'c0@h' });
      world.reply(calls[0]!, 200, { callId: 'c0@h' });
      world.sequential({ method: 'ACK', callId: 'c0@h' });
      assert.equal(world.statistic('active_dialogs'), 1);
      const bye = world.sequential({ method: 'BYE', callId: 'c0@h', cseq: 8 })!;
      world.end(bye);
      for (const call of calls) world.end(call);
      assertNothingLeft(world, before);
    });
  });
});
