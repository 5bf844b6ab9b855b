/**
 * One caller and two callees behind a network that loses, repeats and reorders, while time passes and somebody may end
 * the call from outside.  After each step the counts agree with the records, every dialog has told its story in a legal
 * order, and what is up has a deadline; at the end nothing is left.
 *
 * The proxy's part is played as its transactions would: copies of a request that has its transaction are absorbed,
 * answers pass while there is one.
 */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { afterAll, beforeAll, test } from 'vitest';
import { type DialogNews, DLGCB } from '../../../dist/dialog/callbacks.js';
import { addon, STATUS } from '../../../dist/memory/addon.js';
import { set_dlg_profile } from '../../../dist/script/functions/profile.js';
import { dlg_set_timeout } from '../../../dist/script/functions/timeout.js';
import { assertNothingLeft, type Parts, type Transaction, World } from './world.js';

const RUNS = 2_000;
/** A machine that is busy with other things plays fewer. */
const PLAY_MS = 10_000;
const STEPS_MAX = 60;
/** Messages under way at once; what comes on top is lost. */
const IN_FLIGHT_MAX = 12;

let world: World;
/** Where each dialog is in its story, by index and generation. */
const stories = new Map<string, { phase: number; readonly told: string[] }>();
/** What is told of calls that end so. */
const EXPECTED = ['dialog_expired', 'bye_refused', 'bye_not_sent'];
/** Stories that went wrong. */
const illegal: string[] = [];

/** From which phases a type may be told, and the phase it leads to (0: stays). */
const LEGAL: Readonly<Record<string, { readonly from: readonly number[]; readonly to: number }>> = {
  SPIRALED: { from: [1, 2, 3], to: 0 },
  EARLY: { from: [1], to: 0 },
  FAILED: { from: [1], to: 2 },
  CONFIRMED_NA: { from: [1, 2], to: 3 },
  CONFIRMED: { from: [3], to: 4 },
  REQ_WITHIN: { from: [1, 4], to: 0 },
  TERMINATED: { from: [3, 4], to: 5 },
  EXPIRED: { from: [3, 4], to: 5 },
  TERMINATED_CONFIRMED: { from: [5], to: 0 },
  DESTROY: { from: [1, 2, 5], to: 6 },
};
const NAMES = new Map(Object.entries(DLGCB).map(([name, type]) => [type as number, name]));

function keyOf(news: DialogNews): string {
  return `${news.index}/${news.generation}`;
}

function hear(news: DialogNews): void {
  const name = NAMES.get(news.type)!;
  const story = stories.get(keyOf(news));
  if (story === undefined) {
    illegal.push(`${name} of a dialog that was not made`);
    return;
  }
  story.told.push(name);
  const rule = LEGAL[name]!;
  if (!rule.from.includes(story.phase)) illegal.push(story.told.join(' '));
  if (rule.to !== 0) story.phase = rule.to;
}

beforeAll(async () => {
  // Transactions live here for as long as chance wants, and what they hold is not to be looked after meanwhile.
  const patience = ['dialog:end_timeout=1000000', 'dialog:early_timeout=1000000'];
  world = await World.open('dialog:default_timeout=200', 'dialog:noack_timeout=20', ...patience);
  const { callbacks } = world.tracker;
  callbacks.register(null, DLGCB.CREATED, (news) => {
    if (stories.has(keyOf(news))) illegal.push('made twice');
    stories.set(keyOf(news), { phase: 1, told: ['CREATED'] });
  });
  const types = Object.keys(LEGAL).reduce((all, name) => all | DLGCB[name as keyof typeof DLGCB], 0);
  callbacks.register(null, types, hear);
});
afterAll(() => world.close());

/** A message under way to the proxy. */
type Flying = { readonly parts: Parts; readonly from: 'caller' | 'callee' };
type Pending = { readonly transaction: Transaction; readonly key: string; answered: boolean };

const CALL = 'call@h';

class Conversation {
  private readonly flying: Flying[] = [];
  private invite: Pending | null = null;
  private readonly others: Pending[] = [];
  /** Numbers of our own requests that wait for their answer. */
  private readonly ours: number[] = [];
  private seenOwn = world.sent.length;
  private callerCSeq = 7;
  private calleeCSeq = 1;

  /** One decision of chance. */
  step(choice: number): void {
    world.memory.scratch.reset();
    const actions = this.actions();
    const [, act] = actions[choice % actions.length]!;
    act(Math.floor(choice / actions.length));
    this.noteOwn();
  }

  private actions(): (readonly [string, (chance: number) => void])[] {
    const actions: (readonly [string, (chance: number) => void])[] = [
      ['caller calls', (chance) => this.call(chance)],
      ['caller asks', (chance) => this.ask(chance)],
      ['callee asks', (chance) => this.askBack(chance)],
      ['callee answers', (chance) => this.answer(chance)],
      ['callee answers', (chance) => this.answer(chance)],
      ['time passes', (chance) => world.wait(1 + (chance % 30), 2)],
      ['somebody ends a call', (chance) => this.endByCommand(chance)],
      ['somebody sets the lifetime', (chance) => this.setLifetime(chance)],
    ];
    if (this.invite !== null) actions.push(['the INVITE transaction goes on', (chance) => this.age(chance)]);
    if (this.ours.length > 0) actions.push(['we are answered', (chance) => this.answerUs(chance)]);
    if (this.others.length > 0) actions.push(['a transaction ends', (chance) => this.endOther(chance)]);
    if (this.flying.length > 0) {
      actions.push(['arrives', (chance) => this.arrive(chance, false)]);
      actions.push(['arrives', (chance) => this.arrive(chance, false)]);
      actions.push(['arrives', (chance) => this.arrive(chance, false)]);
      actions.push(['arrives twice', (chance) => this.arrive(chance, true)]);
      actions.push(['is lost', (chance) => void this.flying.splice(chance % this.flying.length, 1)]);
    }
    return actions;
  }

  private send(from: 'caller' | 'callee', parts: Parts): void {
    if (this.flying.length < IN_FLIGHT_MAX) this.flying.push({ from, parts: { callId: CALL, ...parts } });
  }

  // -- the user agents -----------------------------------------------------------------------------------------------

  private call(chance: number): void {
    if (chance % 3 === 0) this.callerCSeq += 1;
    this.send('caller', { method: 'INVITE', from: 'a1', cseq: this.callerCSeq });
  }

  private ask(chance: number): void {
    const method = ['ACK', 'ACK', 'ACK', 'BYE', 'UPDATE', 'INVITE', 'PRACK', 'CANCEL', 'INFO'][chance % 9]!;
    const to = chance % 4 === 3 ? 'c3' : 'b2';
    if (method !== 'ACK') this.callerCSeq += 1;
    this.send('caller', { method, from: 'a1', to, cseq: this.callerCSeq });
  }

  private askBack(chance: number): void {
    const method = ['BYE', 'UPDATE', 'INVITE', 'INFO'][chance % 4]!;
    this.calleeCSeq += 1;
    const from = chance % 5 === 4 ? 'c3' : 'b2';
    this.send('callee', { method, from, to: 'a1', cseq: this.calleeCSeq });
  }

  private answer(chance: number): void {
    const code = [180, 183, 200, 200, 200, 486, 487, 401, 603][chance % 9]!;
    const to = chance % 4 === 3 ? 'c3' : 'b2';
    this.send('callee', { method: 'INVITE', code, from: 'a1', to, cseq: this.callerCSeq });
  }

  // -- the proxy -----------------------------------------------------------------------------------------------------

  private arrive(chance: number, stays: boolean): void {
    const at = chance % this.flying.length;
    const { parts, from } = this.flying[at]!;
    if (!stays) this.flying.splice(at, 1);
    if (parts.code !== undefined) this.pass(parts);
    else if (parts.method === 'INVITE' && parts.to === undefined) this.initial(parts, chance);
    else this.sequential(parts, from);
  }

  private initial(parts: Parts, chance: number): void {
    const key = `INVITE ${parts.cseq}`;
    if (this.invite !== null) return; // a copy, or a caller that should wait for its answer
    const transaction = world.initial(parts, (message) => {
      if (chance % 2 === 0) set_dlg_profile(world.tracker, message, 'all');
    });
    this.invite = { transaction, key, answered: false };
  }

  private sequential(parts: Parts, from: string): void {
    const key = `${from} ${parts.method} ${parts.cseq}`;
    if (this.others.some((other) => other.key === key)) return;
    const transaction = world.sequential(parts);
    if (transaction === null) return;
    const other = { transaction, key, answered: false };
    this.others.push(other);
    const { method = '' } = parts;
    if (method === 'CANCEL') return;
    world.reply(transaction, method === 'INVITE' && this.others.length % 2 === 0 ? 488 : 200, parts);
    other.answered = true;
  }

  /** An answer to the INVITE; a negative one only while there was none, a 2xx as long as the transaction lives. */
  private pass(parts: Parts): void {
    const { invite } = this;
    if (invite === null || parts.code === undefined) return;
    if (invite.answered && (parts.code < 200 || parts.code >= 300)) return;
    world.reply(invite.transaction, parts.code, parts, 1);
    if (parts.code >= 200) invite.answered = true;
  }

  private age(chance: number): void {
    const invite = this.invite!;
    if (!invite.answered && chance % 3 !== 0) {
      world.ownReply(invite.transaction, [408, 487, 500, 200][chance % 4]!);
      invite.answered = true;
      return;
    }
    world.end(invite.transaction);
    this.invite = null;
  }

  private endOther(chance: number): void {
    const [other] = this.others.splice(chance % this.others.length, 1);
    world.end(other!.transaction);
  }

  /** A command, for any side or both; in whatever state the dialog is. */
  private endByCommand(chance: number): void {
    const dialogs = world.dialogs();
    if (dialogs.length === 0) return;
    const { h_entry, h_id } = dialogs[chance % dialogs.length]!;
    assert.equal(world.native.dialogFindById(h_entry, h_id), STATUS.ok);
    const { index, generation } = world.tracker.records;
    world.tracker.ending.end(index, generation, 1 + (chance % 3), '');
  }

  private answerUs(chance: number): void {
    const [n] = this.ours.splice(chance % this.ours.length, 1);
    world.answerOwn(n!, [200, 481, 500, 0][chance % 4]!, { callId: CALL });
    this.noteOwn();
  }

  /** What was sent since. */
  private noteOwn(): void {
    while (this.seenOwn < world.sent.length) this.ours.push(this.seenOwn++);
  }

  private setLifetime(chance: number): void {
    const message = world.message({ method: 'INFO', callId: CALL, to: 'b2' });
    dlg_set_timeout(world.tracker, message, 1 + (chance % 100));
  }

  /** Nothing comes any more: all transactions end, and then the time of every call is over. */
  finish(): void {
    this.flying.length = 0;
    if (this.invite !== null) world.end(this.invite.transaction);
    this.invite = null;
    while (this.others.length > 0) this.endOther(0);
    world.wait(250, 4);
    this.noteOwn();
    while (this.ours.length > 0) this.answerUs(0);
  }

  check(): void {
    assert.deepEqual(illegal, []);
    const dialogs = world.dialogs();
    const count = (...of: number[]): number => dialogs.filter(({ state }) => of.includes(state)).length;
    assert.equal(world.statistic('active_dialogs'), count(3, 4), 'active');
    assert.equal(world.statistic('early_dialogs'), count(2), 'early');
    assert.equal(addon.audit(world.segment), 0, 'audit');
    assert.ok(count(1, 2) <= (this.invite === null ? 0 : 1), 'unanswered without a transaction');
    for (const { state, timeout } of dialogs) assert.equal(timeout !== 0, state === 3 || state === 4);
    const alive = [...stories.values()].filter(({ phase }) => phase !== 6).length;
    assert.equal(alive, dialogs.length, 'whose end is told is gone, and nobody else');
  }
}

test('whatever the network does, each dialog tells one legal story and nothing is left', () => {
  const before = world.usage();
  fc.assert(
    fc.property(fc.array(fc.nat(1 << 20), { maxLength: STEPS_MAX, size: 'max' }), (choices) => {
      stories.clear();
      illegal.length = 0;
      world.sendRoom = 1_000;
      const conversation = new Conversation();
      for (const choice of choices) {
        conversation.step(choice);
        conversation.check();
      }
      conversation.finish();
      conversation.check();
      assertNothingLeft(world, before);
      const unexpected = world.faults.filter((fault) => !EXPECTED.includes(fault));
      assert.deepEqual(unexpected, []);
      world.faults.length = 0;
      world.told.length = 0;
      world.events.length = 0;
    }),
    { numRuns: RUNS, endOnFailure: true, interruptAfterTimeLimit: PLAY_MS },
  );
}, 60_000);
