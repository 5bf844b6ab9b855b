/**
 * A batch of 64 gives bit for bit what 64 batches of one give.  [architecture: Threads]
 *
 * The same datagrams go to two proxies: one takes each as it comes, the other takes a whole batch at once.  In a batch
 * stand side by side what may: an INVITE and its copy, an INVITE and its CANCEL, 180 and 200, ACK and BYE, and nonsense.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'vitest';
import { seededRandom } from '../../dist/random.js';
import { World } from '../support/flow.js';
import type { WireMessage } from '../support/wire-message.js';

type Send = readonly [agent: 'caller' | 'callee', what: string, ...changes: string[]];

/** What one call does: bursts whose messages depend on answers to earlier bursts only. */
const CALLS: readonly (readonly (readonly Send[])[])[] = [
  [
    [
      ['caller', 'INVITE'],
      ['caller', 'INVITE', 'again'],
    ],
    [
      ['callee', '180'],
      ['callee', '200', 'to INVITE'],
      ['callee', '200', 'to INVITE', 'again'],
    ],
    [
      ['caller', 'ACK'],
      ['caller', 'BYE'],
      ['caller', 'BYE', 'again'],
    ],
    [
      ['callee', '200', 'to BYE'],
      ['callee', '200', 'to BYE', 'again'],
    ],
    [
      ['caller', 'BYE', 'again'],
      ['caller', 'ACK', 'again'],
    ],
  ],
  [
    [
      ['caller', 'INVITE'],
      ['caller', 'CANCEL'],
    ],
    [['callee', '100']],
    [
      ['callee', '200', 'to CANCEL'],
      ['callee', '487', 'to INVITE'],
    ],
    [
      ['caller', 'ACK'],
      ['caller', 'ACK', 'again'],
    ],
  ],
  [
    [['caller', 'INVITE']],
    [
      ['callee', '180'],
      ['caller', 'CANCEL'],
      ['callee', '200', 'to INVITE'],
    ],
    [['caller', 'ACK']],
    [['callee', 'BYE']],
    [['caller', '200']],
  ],
  [
    [['caller', 'INVITE']],
    [
      ['callee', '180'],
      ['callee', '486'],
      ['callee', '486', 'again'],
    ],
    [
      ['caller', 'INVITE', 'again'],
      ['caller', 'ACK'],
      ['caller', 'INVITE', 'again'],
    ],
  ],
  [
    [
      ['caller', 'OPTIONS'],
      ['caller', 'OPTIONS', 'again'],
    ],
    [
      ['callee', '200'],
      ['callee', '200', 'again'],
    ],
    [['caller', 'OPTIONS', 'again']],
  ],
  [
    [['caller', 'raw']],
    [['caller', 'OPTIONS', 'Max-Forwards: 0']],
    [
      ['caller', 'raw'],
      ['caller', 'raw'],
    ],
  ],
];
const NONSENSE = [
  ['INVITE sip:a@b SIP/2.0', 'Via: x', '', ''],
  ['SIP/2.0 200 OK', ''],
  ['\u0000\u0001\u0002 not SIP at all'],
];

const BATCH_MAX = 64;
const CALLS_AT_ONCE = 20;
const SEEDS = 25;

/** What leaves, in order, for the traffic of `seed`; afterwards nothing is left in the segment. */
async function left(seed: number, together: boolean, workers = 1): Promise<string[]> {
  const world = await World.open({ workers, seed, settings: new Map() });
  const random = seededRandom(seed);
  const out: string[] = [];
  try {
    const plans = Array.from({ length: CALLS_AT_ONCE }, (_, n) => ({
      call: `c${n}`,
      bursts: [...CALLS[random.below(CALLS.length)]!],
    }));
    while (plans.some((plan) => plan.bursts.length > 0)) {
      const lanes = plans
        .filter((plan) => plan.bursts.length > 0 && random.below(3) > 0)
        .map((plan) => ({ call: plan.call, sends: [...plan.bursts.shift()!] }));
      const texts: [agent: string, text: string][] = [];
      while (lanes.some((lane) => lane.sends.length > 0) && texts.length < BATCH_MAX) {
        const lane = lanes[random.below(lanes.length)]!;
        const send = lane.sends.shift();
        if (send === undefined) continue;
        const [agent, what, ...changes] = send;
        const raw = what === 'raw' ? NONSENSE[random.below(NONSENSE.length)]! : [];
        texts.push([agent, world.agent(agent).write(lane.call, what, changes, raw)]);
      }
      for (const [agent, text] of texts) {
        world.put(agent, text);
        if (!together) world.shards[0]!.receive();
      }
      await world.settle();
      for (const { agent, call, message } of world.left.splice(0)) {
        if (world.agents.has(agent)) world.agent(agent).hear(call, message);
        out.push(`→ ${agent}\n${normal(message)}`);
      }
    }
    out.push(JSON.stringify(counted(world)));
    await world.pass(45_000, 100);
    world.left.length = 0;
    world.assertEmpty();
  } finally {
    world.close();
  }
  return out;
}

/** Without what is keyed by the segment's own secret: the hash in our branch, the cookie, our tags. */
function normal(message: WireMessage): string {
  return message.raw
    .replace(/(branch=z9hG4bKh[0-9a-f.]+\.)[0-9a-f]{8}\b/g, '$1*')
    .replace(/branch=z9hG4bKs[0-9a-f]{16}/g, 'branch=z9hG4bKs*')
    .replace(/;did=[0-9a-f.]+/g, ';did=*')
    .replace(/^(To: .*;tag=)(?!caller-tag|callee-tag).*$/gm, '$1*');
}

/** Statistics, but for how many batches there were. */
function counted(world: World): Record<string, number> {
  return Object.fromEntries(
    Object.entries(world.statistics()).filter(([name]) => name !== 'core:rcv_batches'),
  );
}

describe('two shards that take turns by lot', () => {
  for (let seed = 1; seed <= SEEDS; seed++) {
    test(`end everything that the traffic of seed ${seed} began`, async () => {
      const [once, again] = [await left(seed, true, 2), await left(seed, true, 2)];
      assert.ok(once.length > CALLS_AT_ONCE, 'the traffic is not empty');
      for (const [n, message] of once.entries()) assert.equal(again[n], message, `replayed datagram ${n}`);
    });
  }
});

describe('a batch is nothing but its messages in order', () => {
  for (let seed = 1; seed <= SEEDS; seed++) {
    test(`traffic of seed ${seed}`, async () => {
      const single = await left(seed, false);
      const together = await left(seed, true);
      assert.ok(single.length > CALLS_AT_ONCE, 'the traffic is not empty');
      for (const [n, message] of single.entries()) assert.equal(together[n], message, `datagram ${n}`);
      assert.equal(together.length, single.length);
    });
  }
});
