/**
 * Whatever peers send, in whatever order, however much is lost: in the end nothing is left.
 *
 * Agents say random things that a UA may or may not say at that moment, some of what leaves never arrives, destinations
 * come and go, routes wait and fail, time jumps.  Then everybody falls silent: timers and lifetimes must clear dialogs,
 * transactions and every byte of the segment, and the counts must agree with the records all the way.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'vitest';
import { addon } from '../../dist/memory/addon.js';
import { seededRandom } from '../../dist/random.js';
import { World } from '../support/flow.js';
import type { WireMessage } from '../support/wire-message.js';

const AGENTS = ['caller', 'callee', 'callee2', 'callee3', 'backup'];
const POLICIES = [
  'relay',
  'fork',
  'fork3',
  'backup',
  'edits',
  'slow',
  'limit',
  'by_tags',
  'throws_late',
  'refuse',
];
const REQUESTS = ['INVITE', 'ACK', 'CANCEL', 'BYE', 'INFO', 'UPDATE', 'OPTIONS', 'PRACK', 'MESSAGE'];
const ANSWERS = ['100', '180', '183', '200', '200', '302', '407', '486', '487', '503', '603'];
const CHANGES = [
  'again',
  'again',
  'initial',
  'tag other',
  'without Contact',
  'branch none',
  'branch 7',
  'Max-Forwards: 0',
  'Max-Breadth: 1',
  'CSeq: 77 INVITE',
  'body 3000',
  'for callee2',
  'uri sip:x@192.0.2.1:5060',
  'uri sip:x@nowhere.example',
];
const LOOKUPS = ['sip:192.0.2.20:5060', 'sip:192.0.2.20:5060', 'fails', 'sip:nowhere.example', ''];
const CALLS = 12;
const STEPS = 300;
/** Messages that wait for an answer. */
const OPEN_MAX = 40;
/** In a hundred: steps that answer one of them as a UA would. */
const SENSIBLE = 60;
/** In a hundred: what leaves and does not arrive; time that passes; a destination that fails or works again. */
const LOST = 15;
const WAITS = 12;
const BREAKS = 3;
const WAIT_MS_MAX = 4_000;
const LIFETIME_SECONDS = 60;
/** Longer than the lifetime, the longest ringing and all waits after it. */
const QUIET_MS = 500_000;
const SEEDS = Number(process.env.HOLDFAST_TEST_SEEDS ?? 12);

async function play(seed: number): Promise<number> {
  const random = seededRandom(seed);
  const pick = <T>(list: readonly T[]): T => list[random.below(list.length)]!;
  const chance = (percent: number): boolean => random.below(100) < percent;
  const settings = new Map([
    ['routes', [pick(POLICIES)]],
    ['set', [`dialog:default_timeout=${LIFETIME_SECONDS}`, 'dialog:profiles_with_value=caller']],
  ]);
  const timerWorker = seed % 2 === 1;
  const world = await World.open({ workers: 1 + random.below(2), timerWorker, seed, settings });
  const open: { agent: string; call: string; message: WireMessage }[] = [];
  let heard = 0;
  const listen = (): void => {
    for (const { agent, call, message } of world.left.splice(0)) {
      if (call === '?' || !world.agents.has(agent) || chance(LOST)) continue;
      heard += 1;
      world.agent(agent).hear(call, message);
      if (message.status === 0 || (message.status >= 200 && message.method === 'INVITE')) {
        if (open.length === OPEN_MAX) open.shift();
        open.push({ agent, call, message });
      }
    }
  };
  /** What somebody does next: half the time what a UA would, to one of the last messages that came. */
  const next = (): { agent: string; call: string; what: string; changes: string[] } => {
    const changes = chance(25) ? [pick(CHANGES)] : [];
    const last = chance(SENSIBLE) ? open.splice(random.below(Math.max(1, open.length)), 1)[0] : undefined;
    if (last === undefined) {
      const what = pick(chance(60) ? ANSWERS : REQUESTS);
      return { agent: pick(AGENTS), call: `c${random.below(CALLS)}`, what, changes };
    }
    const { agent, call, message } = last;
    if (message.status > 0) return { agent, call, what: 'ACK', changes: [] };
    if (message.method === 'ACK') return { agent, call, what: pick(['BYE', 'INFO', 'INVITE']), changes: [] };
    const what = message.method === 'INVITE' ? pick(['180', '200', '200', '486']) : '200';
    return { agent, call, what, changes: [`to ${message.method}`] };
  };
  try {
    for (let step = 0; step < STEPS; step++) {
      if (chance(WAITS)) await world.pass(10 * (1 + random.below(WAIT_MS_MAX / 10)), 50);
      if (chance(BREAKS)) world.wire.failSends(world.agent(pick(AGENTS)).address, pick([0, 0, 1, 90, 113]));
      const { lookups } = world.policy;
      if (lookups.length > 0 && chance(SENSIBLE))
        lookups.splice(random.below(lookups.length), 1)[0]!(pick(LOOKUPS));
      if (chance(WAITS)) world.names.answer();
      const { agent, call, what, changes } = next();
      try {
        world.put(agent, world.agent(agent).write(call, what, changes, []));
      } catch {
        continue; // It has nothing to answer, to cancel or to repeat.
      }
      // Several datagrams may wait for one batch.
      if (chance(70)) await world.settle();
      listen();
      if (step % 25 === 0) assert.equal(addon.audit(world.segment), 0, `counts at step ${step}`);
    }
    await world.settle();
    listen();
    while (world.policy.lookups.length > 0) world.policy.lookups.shift()?.('fails');
    world.names.answer();
    await world.pass(QUIET_MS, 500);
    world.names.answer();
    await world.settle();
    world.left.length = 0;
    world.assertEmpty();
  } finally {
    world.close();
  }
  return heard;
}

describe('peers that do as they please', () => {
  for (let seed = 1; seed <= SEEDS; seed++) {
    test(`leave nothing behind, seed ${seed}`, async () => {
      assert.ok((await play(seed)) > 0, 'something was said');
    });
  }
});
