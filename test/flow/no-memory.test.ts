/**
 * A full segment: 503 to the new call, while calls that are up go on and can be ended.  [architecture: Memory that runs out]
 */
import assert from 'node:assert/strict';
import { describe, test } from 'vitest';
import { World } from '../support/flow.js';
import type { WireMessage } from '../support/wire-message.js';

const SEGMENT_BYTES = 5 << 20;
const CALLS_MAX = 20_000;
/** Transactions of calls before are gone after so many. */
const CALLS_PER_PAUSE = 100;
const PAUSE_MS = 6_000;
const OWN_ROUTE = 'Route: <sip:192.0.2.1:5060;lr>';
const FORGED_MAX = 20_000;
const TEST_MS = 240_000;

/** Sends, lets the proxy work, and hands to the agents what left. */
async function exchange(world: World, agent: string, call: string, what: string, ...changes: string[]) {
  world.put(agent, world.agent(agent).write(call, what, changes, []));
  await world.settle();
  const left = world.left.splice(0);
  for (const one of left) world.agent(one.agent).hear(one.call, one.message);
  return left.map(({ agent: to, message }) => `${to} ${message.label}`);
}

describe('memory runs out', () => {
  test(
    'new calls get 503, requests of calls that are up pass, and everything comes back',
    async () => {
      const settings = new Map([['segment', [String(SEGMENT_BYTES)]]]);
      const world = await World.open({ workers: 1, seed: 1, settings });
      try {
        const held: string[] = [];
        let refused: WireMessage | null = null;
        for (let n = 0; n < CALLS_MAX && refused === null; n++) {
          const call = `c${n}`;
          const left = await exchange(world, 'caller', call, 'INVITE');
          if (left.includes('caller 503 INVITE')) {
            refused = world.agent('caller').receivedIn(call).at(-1)!;
            assert.deepEqual(left, ['caller 503 INVITE'], 'nothing but the answer leaves');
            await exchange(world, 'caller', call, 'ACK');
            break;
          }
          assert.ok(left.includes('callee INVITE'), `call ${n}: ${left.join()}`);
          await exchange(world, 'callee', call, '200');
          await exchange(world, 'caller', call, 'ACK');
          held.push(call);
          if (n % CALLS_PER_PAUSE === 0) await world.pass(PAUSE_MS, 100);
        }
        assert.ok(refused !== null, `${CALLS_MAX} calls fit into ${SEGMENT_BYTES} bytes`);
        assert.ok(held.length > 100, `only ${held.length} calls were held`);
        assert.equal(world.statistic('dialog:active_dialogs'), held.length);
        assert.ok(
          world.statistic('core:no_memory') +
            world.statistic('dialog:no_memory') +
            world.statistic('tm:no_memory') >
            0,
        );

        // A To tag that belongs to no dialog gets nothing of what is left.
        const forged = (n: number) =>
          exchange(world, 'caller', `forged${n}`, 'MESSAGE', 'To: <sip:x@example.com>;tag=any', OWN_ROUTE);
        let taken = 0;
        while (taken < FORGED_MAX && (await forged(taken)).includes('callee MESSAGE')) taken += 1;
        assert.ok(taken < FORGED_MAX, 'forged requests are refused');
        assert.deepEqual(await forged(FORGED_MAX), ['caller 503 MESSAGE']);

        for (const call of [held[0]!, held.at(-1)!]) {
          assert.deepEqual(await exchange(world, 'caller', call, 'INFO'), ['callee INFO']);
          assert.deepEqual(await exchange(world, 'callee', call, '200', 'to INFO'), ['caller 200 INFO']);
        }
        assert.deepEqual(await exchange(world, 'caller', 'one-more', 'INVITE'), ['caller 503 INVITE']);

        await world.pass(PAUSE_MS * 6, 100);
        world.left.length = 0;
        for (const [n, call] of held.entries()) {
          assert.deepEqual(await exchange(world, 'caller', call, 'BYE'), ['callee BYE'], `BYE of call ${n}`);
          assert.deepEqual(await exchange(world, 'callee', call, '200', 'to BYE'), ['caller 200 BYE']);
          if (n % CALLS_PER_PAUSE === 0) await world.pass(PAUSE_MS, 100);
        }
        await world.pass(45_000, 100);
        assert.deepEqual(world.left, []);
        world.assertEmpty();

        assert.ok((await exchange(world, 'caller', 'again', 'INVITE')).includes('callee INVITE'));
        await exchange(world, 'callee', 'again', '486');
        await exchange(world, 'caller', 'again', 'ACK');
        await world.pass(45_000, 100);
        world.assertEmpty();
      } finally {
        world.close();
      }
    },
    TEST_MS,
  );
});
