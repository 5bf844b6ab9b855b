/**
 * Calls of a few ends whose messages come in any order, twice, or not at all; transactions that end when they like; time
 * that passes.  After each step the counts agree with the records and every call has told its story in a legal order; at
 * the end nothing is left.
 */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { afterAll, beforeAll, test } from 'vitest';
import { DLGCB } from '../../../dist/dialog/callbacks.js';
import { addon } from '../../../dist/memory/addon.js';
import { dlg_try_profile, set_dlg_profile } from '../../../dist/script/functions/profile.js';
import { dlg_set_timeout } from '../../../dist/script/functions/timeout.js';
import { set_dlg_var } from '../../../dist/script/variables/dlg-var.js';
import { assertNothingLeft, type Transaction, World } from './world.js';

const RUNS = 300;
const STEPS_MAX = 60;
const LIMIT = 3;

let world: World;
/** What each record told, by index and generation. */
const stories = new Map<string, string[]>();
const TOLD: readonly [number, string][] = [
  [DLGCB.FAILED, 'failed'],
  [DLGCB.CONFIRMED_NA, 'answered'],
  [DLGCB.CONFIRMED, 'acknowledged'],
  [DLGCB.TERMINATED, 'ended'],
  [DLGCB.EXPIRED, 'ended'],
  [DLGCB.DESTROY, 'gone'],
];
/** created, perhaps failed, perhaps answered (after failing too), acknowledged, ended, gone. */
const LEGAL = /^created( failed)?( answered( acknowledged)?( ended)?)?( gone)?$/;

beforeAll(async () => {
  world = await World.open('dialog:default_timeout=40', 'dialog:noack_timeout=15', 'dialog:hash_size=64');
  const { callbacks } = world.tracker;
  const keyOf = (news: { index: number; generation: number }): string => `${news.index}/${news.generation}`;
  callbacks.register(null, DLGCB.CREATED, (news) => void stories.set(keyOf(news), ['created']));
  for (const [type, word] of TOLD) {
    callbacks.register(null, type, (news) => void stories.get(keyOf(news))!.push(word));
  }
});
afterAll(() => world.close());

type Live = { readonly transaction: Transaction; readonly callId: string; readonly cseq: number };

const DOWN = { from: 'a1', to: 'b2' };
const UP = { from: 'b2', to: 'a1' };
/** Mostly those of the call that is answered first. */
const ENDS = [
  DOWN,
  UP,
  DOWN,
  UP,
  DOWN,
  UP,
  { from: 'a1', to: 'c3' },
  { from: 'c3', to: 'a1' },
  { from: 'x', to: 'y' },
];

class Play {
  readonly invites: Live[] = [];
  readonly others: Transaction[] = [];
  private cseq = 100;

  step(what: string, call: number, which: number, end: number): void {
    world.memory.scratch.reset();
    const callId = `call${call}@h`;
    const ends = ENDS[end]!;
    const invite = this.invites[which % Math.max(this.invites.length, 1)];
    switch (what) {
      case 'INVITE':
        this.invite(callId, which);
        return;
      case 'call':
        this.invite(callId, which);
        this.reply(this.invites.at(-1)!, 200, 0);
        world.sequential({ method: 'ACK', callId, ...DOWN });
        return;
      case 'dropped INVITE': {
        const message = world.message({ callId, cseq: this.cseq });
        world.tracker.begin(message);
        dlg_try_profile(world.tracker, message, 'caller', 'x', LIMIT);
        world.tracker.manage(message);
        set_dlg_profile(world.tracker, message, 'all');
        world.tracker.scriptEnded(message, false);
        return;
      }
      case 'ACK':
        world.sequential({ method: 'ACK', callId, ...ends });
        return;
      case 'wait':
        world.wait(1 + (which % 25), 2);
        return;
      case 'gone':
        this.endOne(which);
        return;
      case 'timeout': {
        const message = world.message({ method: 'INFO', callId, ...ends });
        dlg_set_timeout(world.tracker, message, 1 + which);
        return;
      }
      case 'reply':
        if (invite !== undefined)
          this.reply(invite, [100, 180, 183, 200, 200, 302, 404, 486, 487, 603][which % 10]!, end);
        return;
      case 'own reply':
        if (invite !== undefined) {
          world.ownReply(invite.transaction, [180, 200, 408, 480, 487, 503][which % 6]!);
        }
        return;
      default:
        this.cseq += 1;
        this.others.push(world.sequential({ method: what, callId, cseq: this.cseq, ...ends })!);
    }
  }

  private invite(callId: string, which: number): void {
    this.cseq += 1;
    const transaction = world.initial({ callId, cseq: this.cseq }, (message) => {
      if (which % 3 === 0) dlg_try_profile(world.tracker, message, 'caller', 'x', LIMIT);
      if (which % 3 === 1) set_dlg_profile(world.tracker, message, 'all');
      if (which % 5 === 0) set_dlg_var(world.tracker, message, 'k', 'v'.repeat(which));
    });
    this.invites.push({ transaction, callId, cseq: this.cseq });
  }

  private reply(invite: Live, code: number, end: number): void {
    const { callId, cseq, transaction } = invite;
    world.reply(transaction, code, { callId, cseq, to: end < 7 ? 'b2' : 'c3' }, 1);
  }

  private endOne(which: number): void {
    const all = this.invites.length + this.others.length;
    if (all === 0) return;
    const n = which % all;
    if (n < this.invites.length) world.end(this.invites.splice(n, 1)[0]!.transaction);
    else world.end(this.others.splice(n - this.invites.length, 1)[0]!);
  }

  /** All transactions end, and time passes until every answered call is over. */
  finish(): void {
    while (this.invites.length + this.others.length > 0) this.endOne(0);
    world.wait(100, 4);
    world.wait(3_000, 4);
  }

  check(): void {
    const states = world.states();
    const count = (...of: number[]): number => states.filter((state) => of.includes(state)).length;
    assert.equal(world.statistic('active_dialogs'), count(3, 4), 'active');
    assert.equal(world.statistic('early_dialogs'), count(2), 'early');
    assert.equal(addon.audit(world.segment), 0, 'audit');
    // A call that is answered after all is counted, though others may have taken its places meanwhile.
    const revived = [...stories.values()].filter((story) =>
      story.join(' ').startsWith('created failed answered'),
    );
    assert.ok(world.tracker.profiles.size('caller', 'x') <= LIMIT * (1 + revived.length), 'limit');
    assert.ok(count(1, 2) <= this.invites.length, 'an unanswered call has its transaction');
    for (const dialog of world.dialogs()) {
      const isTimed = dialog.state === 3 || dialog.state === 4;
      assert.equal(dialog.timeout !== 0, isTimed, 'a deadline while it is up');
      if (dialog.state === 5) assert.deepEqual(dialog.profiles, []);
    }
    for (const story of stories.values()) assert.match(story.join(' '), LEGAL);
    assert.equal([...stories.values()].filter((story) => story.at(-1) !== 'gone').length, states.length);
  }
}

const WORDS = [
  'call',
  'call',
  'INVITE',
  'INVITE',
  'INVITE',
  'dropped INVITE',
  'reply',
  'reply',
  'reply',
  'reply',
  'own reply',
  'ACK',
  'ACK',
  'BYE',
  'INFO',
  'PRACK',
  'UPDATE',
  'CANCEL',
  'timeout',
  'wait',
  'gone',
  'gone',
];

test('counts equal records, each call ends once, nothing is left, whatever comes in whatever order', () => {
  const before = world.usage();
  const step = fc.tuple(fc.constantFrom(...WORDS), fc.nat(2), fc.nat(29), fc.nat(8));
  fc.assert(
    fc.property(fc.array(step, { maxLength: STEPS_MAX, size: 'max' }), (steps) => {
      stories.clear();
      const play = new Play();
      for (const [what, call, which, end] of steps) {
        play.step(what, call, which, end);
        play.check();
      }
      play.finish();
      for (const story of stories.values()) {
        assert.equal(story.at(-1), 'gone', story.join(' '));
        assert.ok(story.filter((word) => word === 'gone').length === 1);
      }
      assertNothingLeft(world, before);
      assert.deepEqual(
        world.faults.filter((fault) => fault !== 'dialog_expired'),
        [],
      );
      world.faults.length = 0;
      world.events.length = 0;
    }),
    // A run that fails leaves its mess to the next one: the first to fail is the one to look at.
    { numRuns: RUNS, endOnFailure: true },
  );
});
