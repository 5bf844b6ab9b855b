/**
 * A process that dies between any two native steps of a message's way: the one that takes over finishes or undoes what it
 * finds, and with the retransmissions of its peers every call is whole.  [architecture: crash safety]
 */
import assert from 'node:assert/strict';
import { describe, test } from 'vitest';
import type { RequestContext } from '../../dist/script/context.js';
import { RouteTable, routes } from '../../dist/script/routes.js';
import { playCrash, type Scenario } from '../support/crash.js';

const CALLEE = 'sip:callee@192.0.2.20:5060';
const CALLEE_2 = 'sip:callee2@192.0.2.30:5060';
const BACKUP = 'sip:192.0.2.50:5060';

/** What every scenario's route begins with; one call of each caller at a time.  True: the request is dealt with. */
function isDealtWith(r: RequestContext): boolean {
  if (!r.sanity_check()) return true;
  if (r.has_totag()) {
    r.loose_route();
    if (r.is_known_dlg()) r.t_relay();
    else if (!r.is_method('ACK')) r.sl_send_reply(404, 'Not here');
    return true;
  }
  if (!r.is_method('INVITE')) return false;
  r.record_route();
  r.dlg_manage();
  if (r.dlg_try_profile('caller', r.$fU ?? '', 1)) return false;
  r.sl_send_reply(486, 'One call at a time');
  return true;
}

const relay = (): RouteTable =>
  new RouteTable(
    routes({
      request(r) {
        if (!isDealtWith(r)) r.t_relay();
      },
    }),
  );

const RINGS = [
  { code: 180, afterMs: 20 },
  { code: 200, afterMs: 100 },
];
const SET = ['dialog:profiles_with_value=caller', 'dialog:timer_procs=0'];

const SCENARIOS: readonly Scenario[] = [
  {
    title: 'a call that the caller ends',
    set: SET,
    routes: relay,
    answers: { callee: { INVITE: RINGS } },
    moves: [
      { who: 'caller', sends: 'INVITE', expects: 200 },
      { who: 'caller', sends: 'BYE', expects: 200, waitMs: 500 },
    ],
    heard: { callee: ['INVITE', 'ACK 1', 'BYE'] },
  },
  {
    title: 'a call with re-INVITEs from both sides that the callee ends',
    set: SET,
    routes: relay,
    answers: { callee: { INVITE: RINGS } },
    moves: [
      { who: 'caller', sends: 'INVITE', expects: 200 },
      { who: 'caller', sends: 'INVITE', expects: 200, waitMs: 100 },
      { who: 'callee', sends: 'INVITE', expects: 200, waitMs: 100 },
      { who: 'callee', sends: 'INFO', expects: 200, waitMs: 100 },
      { who: 'callee', sends: 'BYE', expects: 200, waitMs: 6_000 },
    ],
    heard: {
      callee: ['INVITE', 'ACK 1', 'INVITE', 'ACK 2'],
      caller: ['INVITE', 'ACK 1', 'INFO', 'BYE'],
    },
  },
  {
    title: 'a call that is cancelled while it rings',
    set: SET,
    routes: relay,
    answers: { callee: { INVITE: [{ code: 180, afterMs: 20 }] } },
    moves: [{ who: 'caller', sends: 'INVITE', expects: 487, cancelsMs: 200 }],
    heard: { callee: ['INVITE', 'ACK 1'] },
  },
  {
    title: 'a call that is refused',
    set: SET,
    routes: relay,
    answers: { callee: { INVITE: [{ code: 486, afterMs: 20 }] } },
    moves: [{ who: 'caller', sends: 'INVITE', expects: 486 }],
    heard: { callee: ['INVITE', 'ACK 1'] },
  },
  {
    title: 'a call whose failure route tries another target',
    set: SET,
    routes: () =>
      new RouteTable(
        routes({
          request(r) {
            if (isDealtWith(r)) return;
            r.t_on_failure('backup');
            r.t_relay();
          },
          failure: {
            backup(f) {
              f.$du = BACKUP;
              f.t_relay();
            },
          },
        }),
      ),
    answers: { callee: { INVITE: [{ code: 486, afterMs: 20 }] }, backup: { INVITE: RINGS } },
    moves: [
      { who: 'caller', sends: 'INVITE', expects: 200 },
      { who: 'caller', sends: 'BYE', expects: 200, waitMs: 500 },
    ],
    heard: { callee: ['INVITE', 'ACK 1'], backup: ['INVITE', 'ACK 1', 'BYE'] },
  },
  {
    title: 'a call to two, of whom one answers',
    set: SET,
    routes: () =>
      new RouteTable(
        routes({
          request(r) {
            if (isDealtWith(r)) return;
            if (r.is_method('INVITE')) {
              r.$ru = CALLEE;
              r.append_branch(CALLEE_2);
              r.t_on_branch('mark');
            }
            r.t_relay();
          },
          branch: { mark() {} },
        }),
      ),
    answers: { callee: { INVITE: [{ code: 180, afterMs: 20 }] }, callee2: { INVITE: RINGS } },
    moves: [
      { who: 'caller', sends: 'INVITE', expects: 200 },
      { who: 'caller', sends: 'BYE', expects: 200, waitMs: 500 },
    ],
    heard: { callee: ['INVITE', 'ACK 1'], callee2: ['INVITE', 'ACK 1', 'BYE'] },
  },
  {
    title: 'a call whose route waits before it goes on',
    set: SET,
    routes: (lookup) =>
      new RouteTable(
        routes({
          async request(r) {
            if (isDealtWith(r)) return;
            await lookup();
            r.t_relay();
          },
        }),
      ),
    answers: { callee: { INVITE: RINGS } },
    moves: [
      { who: 'caller', sends: 'INVITE', expects: 200 },
      { who: 'caller', sends: 'BYE', expects: 200, waitMs: 500 },
    ],
    heard: { callee: ['INVITE', 'ACK 1', 'BYE'] },
  },
  {
    title: 'requests outside of calls, one answered behind us and one here',
    set: SET,
    routes: () =>
      new RouteTable(
        routes({
          request(r) {
            if (!r.sanity_check()) return;
            if (r.is_method('INFO')) r.t_reply(488, 'Not here');
            else r.t_relay();
          },
        }),
      ),
    answers: {},
    moves: [
      { who: 'caller', sends: 'MESSAGE', expects: 200 },
      { who: 'caller', sends: 'INFO', expects: 488 },
    ],
    heard: { callee: ['MESSAGE'] },
  },
  {
    title: 'a call that we end when its lifetime is over',
    set: [...SET, 'dialog:default_timeout=3', 'dialog:send_bye=1'],
    routes: relay,
    answers: { callee: { INVITE: RINGS } },
    moves: [{ who: 'caller', sends: 'INVITE', expects: 200 }],
    heard: { caller: ['BYE'], callee: ['INVITE', 'ACK 1', 'BYE'] },
  },
];

describe('a process that dies before any of its native calls', () => {
  for (const scenario of SCENARIOS) {
    test(scenario.title, async () => {
      const whole = await playCrash(scenario, 0);
      assert.deepEqual(whole.faults, [], 'without any death');
      const lost: string[] = [];
      for (let point = 1; point <= whole.points; point++) {
        const { diedAt, faults } = await playCrash(scenario, point);
        if (faults.length > 0) lost.push(`${diedAt}: ${faults.join('; ')}`);
      }
      assert.deepEqual(lost, [], `of ${whole.points} points`);
    });
  }
});
