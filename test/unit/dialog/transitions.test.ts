/** Every message in every state, through the tracker: what machine.ts says is what SIP does.  [spec 2.2, 2.4] */
import assert from 'node:assert/strict';
import { describe, test } from 'vitest';
import { BOTH_SIDES } from '../../../dist/dialog/ending.js';
import { addon } from '../../../dist/memory/addon.js';
import { inWorld, type Transaction, type World } from './world.js';

/** Each state, and how a call comes to it; an ended call is not one that failed. */
const STATES: readonly [string, (world: World) => Transaction][] = [
  ['unconfirmed', (world) => world.initial()],
  ['early', (world) => rang(world)],
  ['confirmed without ACK', (world) => answered(world)],
  ['confirmed', (world) => world.answered()],
  [
    'failed',
    (world) => {
      const invite = rang(world);
      world.reply(invite, 486);
      return invite;
    },
  ],
  [
    'ended',
    (world) => {
      const invite = world.answered();
      world.sequential({ method: 'BYE', from: 'b2', to: 'a1', cseq: 1 });
      return invite;
    },
  ],
];

/** What happens, and for each of the states: '.' nothing, else the new state and the event route that runs. */
const ROWS: readonly [string, (world: World, invite: Transaction) => void, string][] = [
  ['a 180', (world, invite) => world.reply(invite, 180), '2 . . . . .'],
  ['a 200', (world, invite) => world.reply(invite, 200), '3:start 3:start . . 3:start .'],
  ['a 486', (world, invite) => world.reply(invite, 486), '5:failed 5:failed . . . .'],
  ['a 408 of our own', (world, invite) => world.ownReply(invite, 408), '5:failed 5:failed . . . .'],
  ['PRACK', request('PRACK'), '. . . . . .'],
  ['ACK', request('ACK', 7), '. . 4 . . .'],
  ['BYE', request('BYE'), '. . 5:end 5:end . .'],
  ...['INVITE', 'UPDATE', 'INFO', 'OPTIONS', 'MESSAGE', 'REFER', 'SUBSCRIBE', 'NOTIFY', 'NEW'].map(
    (method) => [method, request(method), '. . . . . .'] as const,
  ),
  ['CANCEL', request('CANCEL', 7), '. . . . . .'],
  ['the end of its transaction', (world, invite) => world.end(invite), '0:failed 0:failed . . 0 .'],
];

for (const [what, happens, columns] of ROWS) {
  describe(`${what} [spec 2.2]`, () => {
    for (const [n, [state, reach]] of STATES.entries()) {
      const cell = columns.split(' ')[n]!;
      test(`${state}: ${cell === '.' ? 'nothing' : cell}`, () =>
        inWorld([], (world) => {
          const invite = reach(world);
          const before = world.dialog().state;
          world.events.length = 0;
          happens(world, invite);
          const [to, event] = cell === '.' ? [String(before)] : cell.split(':');
          const now = world.states();
          assert.deepEqual(now, to === '0' ? [] : [Number(to)]);
          assert.deepEqual(
            world.events.map((one) => one.split(' ')[0]),
            event === undefined ? [] : [event],
          );
          // No state is counted but the one it is in, and nothing of all this is worth an operator's attention.
          const isFailed = event === 'failed' || (state === 'failed' && event === undefined);
          assert.deepEqual(
            ['early_dialogs', 'active_dialogs', 'failed_dialogs'].map((name) => world.statistic(name)),
            [now.includes(2), now.includes(3) || now.includes(4), isFailed].map(Number),
          );
          assert.equal(addon.audit(world.segment), 0);
          assert.deepEqual(world.faults, []);
        }));
    }
  });
}

describe('an end from here [spec 4.2]', () => {
  for (const [n, [state, reach]] of STATES.entries()) {
    if (n < 2) continue; // ending.test.ts: a call that rings has no dialog to send BYE in.
    test(`${state}: ${n < 4 ? 'ended' : 'gone'}`, () =>
      inWorld([], (world) => {
        reach(world);
        world.events.length = 0;
        const { index, generation } = world.handle();
        const result = world.tracker.ending.end(index, generation, BOTH_SIDES, '');
        assert.deepEqual([result, world.sent.length], n < 4 ? ['ended', 2] : ['gone', 0]);
        assert.deepEqual([world.states(), world.events], [[5], n < 4 ? ['end -'] : []]);
      }));
  }
});

function rang(world: World): Transaction {
  const invite = world.initial();
  world.reply(invite, 183);
  return invite;
}

function answered(world: World): Transaction {
  const invite = world.initial();
  world.reply(invite, 200);
  return invite;
}

/** A request of the caller; whatever the state, the dialog is that of its script. */
function request(method: string, cseq = 9): (world: World) => void {
  return (world) => {
    world.sequential({ method, cseq }, () => assert.notEqual(world.tracker.context.ownIndex, 0));
  };
}
