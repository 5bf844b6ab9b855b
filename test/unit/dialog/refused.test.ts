import assert from 'node:assert/strict';
import { describe, test } from 'vitest';
import { inWorld, type Parts, type World } from './world.js';

/** A message arrives, and its route does something. */
function route<T>(world: World, parts: Parts, script: (join: (limit: number) => boolean) => T): T {
  const message = world.message(parts);
  const { tracker } = world;
  tracker.begin(message);
  const done = script((limit) =>
    tracker.profiles.tryJoin(tracker.context, message, 'caller', 'alice', limit),
  );
  tracker.scriptEnded(message, false);
  return done;
}

/** An INVITE that is relayed without dlg_manage(), its caller counted. */
function relayedUntracked(
  world: World,
  parts: Parts,
): { joined: boolean; transaction: ReturnType<World['initial']> } {
  const message = world.message(parts);
  const { tracker } = world;
  tracker.begin(message);
  const joined = tracker.profiles.tryJoin(tracker.context, message, 'caller', 'alice', 1);
  const transaction = world.transaction(message);
  tracker.relayed(message);
  world.store();
  tracker.scriptEnded(message, true);
  return { joined, transaction };
}

const size = (world: World): number => world.tracker.profiles.size('caller', 'alice');

describe('an INVITE that no dialog is made of [spec 2.3 A, RFC 3261 8.1.1.8]', () => {
  const refusals: readonly [string, Parts, string, string][] = [
    ['no From tag', { from: null }, 'from_tag', 'refused_from_tag'],
    ['no Contact', { contact: null }, 'contact', 'refused_contact'],
    ['two Contacts', { contact: '<sip:a@h>, <sip:b@h>' }, 'contact', 'refused_contact'],
    ['Contact *', { contact: '*' }, 'contact', 'refused_contact'],
    [
      'long Record-Routes',
      { recordRoutes: Array.from({ length: 5 }, () => `<sip:${'x'.repeat(3300)};lr>`) },
      'route_set',
      'refused_route_set',
    ],
    ['a long tag', { from: 'x'.repeat(4097) }, 'text', 'refused_text'],
  ];
  for (const [name, parts, reason, counter] of refusals) {
    test(`${name}: says why, is counted, and passes no limit`, async () => {
      await inWorld([], (world) => {
        const { tracker } = world;
        const message = world.message(parts);
        tracker.begin(message);
        assert.equal(tracker.manage(message), false);
        assert.equal(tracker.context.refused, reason);
        assert.equal(tracker.manage(message), false);
        assert.equal(tracker.profiles.tryJoin(tracker.context, message, 'caller', 'alice', 2), false);
        assert.equal(tracker.profiles.set(tracker.context, message, 'caller', 'alice'), false);
        assert.deepEqual([world.statistic(counter), size(world)], [1, 0]);
        tracker.scriptEnded(message, false);
      });
    });
  }
  test('passes no limit before dlg_manage() either, when its Contact says so', async () => {
    await inWorld([], (world) => {
      assert.equal(
        route(world, { contact: null }, (join) => join(2)),
        false,
      );
      assert.equal(world.statistic('refused_contact'), 1);
    });
  });
  test('the 257th of a Call-ID is one', async () => {
    await inWorld([], (world) => {
      for (let n = 0; n < 256; n++) world.initial({ from: `a${n}` });
      world.initial({ from: 'last' }, () => assert.equal(world.tracker.context.refused, 'call_id'));
      assert.equal(world.statistic('refused_call_id'), 1);
    });
  });
  test('refuse_merged: what came another way is refused while it rings, not afterwards [RFC 3261 8.2.2.2]', async () => {
    await inWorld(['dialog:refuse_merged=1', 'dialog:detect_spirals=0'], (world) => {
      const first = world.initial();
      world.initial({}, () => assert.equal(world.tracker.context.refused, 'merged'));
      world.initial({ cseq: 8 }, () => assert.equal(world.tracker.context.refused, null));
      world.reply(first, 486);
      assert.equal(world.statistic('refused_merged'), 1);
    });
  });
});

describe('a limit without a dialog', () => {
  test('counts until the transaction ends', async () => {
    await inWorld([], (world) => {
      const first = relayedUntracked(world, {});
      assert.deepEqual([first.joined, size(world), world.tracker.remembered], [true, 1, 1]);
      const second = relayedUntracked(world, { callId: 'other@h' });
      assert.equal(second.joined, false);
      world.end(second.transaction);
      assert.equal(size(world), 1);
      world.end(first.transaction);
      assert.deepEqual([size(world), world.tracker.remembered], [0, 0]);
    });
  });
  test('counts no more once the request is refused', async () => {
    await inWorld([], (world) => {
      const { transaction } = relayedUntracked(world, {});
      world.reply(transaction, 486);
      assert.equal(size(world), 0);
      world.end(transaction);
    });
  });
});

describe('the next INVITE of a Call-ID', () => {
  for (const [name, reach] of [
    ['failed', (world) => world.reply(world.initial(), 407)],
    ['rings', (world) => void world.initial()],
    ['was answered', (world) => world.reply(world.initial(), 200)],
  ] as [string, (world: World) => void][]) {
    test(`whose call ${name} brings what was set before dlg_manage() into its own dialog`, async () => {
      await inWorld([], (world) => {
        reach(world);
        const message = world.message({ cseq: 8 });
        const { tracker } = world;
        const { context, profiles, variables } = tracker;
        tracker.begin(message);
        assert.equal(tracker.messageDialog(message), false);
        assert.equal(profiles.tryJoin(context, message, 'caller', 'alice', 1), true);
        assert.equal(profiles.set(context, message, 'all', null), true);
        assert.equal(variables.set(context, message, 'account', '7'), true);
        assert.equal(tracker.manage(message), true);
        world.transaction(message);
        tracker.relayed(message);
        world.store();
        tracker.scriptEnded(message, true);
        const [first, second] = world.dialogs();
        assert.deepEqual([first?.profiles, first?.variables], [[], []]);
        assert.deepEqual(second?.variables, [{ account: '7' }]);
        assert.equal(second?.profiles.length, 2);
      });
    });
  }
});

describe('one INVITE that many answer [RFC 3261 13.2.2.4]', () => {
  test('makes 16 dialogs, and the rest is counted', async () => {
    await inWorld([], (world) => {
      const invite = world.initial();
      for (let n = 0; n < 40; n++) world.reply(invite, 200, { to: `b${n}` });
      assert.equal(world.statistic('active_dialogs'), 16);
      assert.equal(world.statistic('forks_refused'), 24);
      // One that is known comes again: nothing is refused.
      world.reply(invite, 200, { to: 'b3' });
      assert.equal(world.statistic('forks_refused'), 24);
    });
  });
});
