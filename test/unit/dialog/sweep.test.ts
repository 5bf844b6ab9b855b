import assert from 'node:assert/strict';
import { describe, test } from 'vitest';
import * as record from '../../../dist/dialog/record.js';
import { STATUS } from '../../../dist/memory/addon.js';
import { constant } from '../../../dist/memory/words.js';
import { assertNothingLeft, inWorld, type World } from './world.js';

const END_COMMAND = constant('EndCommand');
const END_EXPIRED = constant('EndExpired');

/** A worker that dies while its route runs: nothing that its tracker knew is known any more. */
function die(world: World): void {
  world.tracker.context.clear();
}

function managed(world: World, parts = {}): void {
  const message = world.message(parts);
  world.tracker.begin(message);
  world.tracker.manage(message);
}

describe('dialogs that a dead worker left behind [spec 3.5]', () => {
  test('an unanswered one that no transaction holds fails after early_timeout', async () => {
    await inWorld(['dialog:early_timeout=20'], (world) => {
      const before = world.usage();
      managed(world);
      die(world);
      world.wait(20, 5);
      assert.deepEqual([world.states(), world.events], [[1], []]);
      world.wait(1, 5);
      assert.deepEqual(world.events, ['failed -']);
      assertNothingLeft(world, before);
    });
  });
  test('an ended one goes after end_timeout, however many hold it', async () => {
    await inWorld(['dialog:end_timeout=20'], (world) => {
      const before = world.usage();
      world.end(world.answered());
      managed(world, { method: 'BYE', to: 'b2', cseq: 8 });
      const { index, generation } = world.handle();
      assert.equal(world.native.dialogHold(index, generation), STATUS.ok);
      die(world);
      world.wait(20, 5);
      assert.deepEqual(world.states(), [5]);
      world.wait(1, 5);
      assert.deepEqual(world.events, ['start 200', 'end BYE']);
      assertNothingLeft(world, before);
    });
  });
  test('calls that ring, are up, or have just ended are left alone', async () => {
    await inWorld(['dialog:early_timeout=5', 'dialog:end_timeout=500'], (world) => {
      const ringing = world.initial({ callId: 'r@h' });
      world.reply(ringing, 180, { callId: 'r@h' });
      world.end(world.answered({ callId: 'u@h' }));
      world.answered({ callId: 'e@h' });
      world.sequential({ method: 'BYE', callId: 'e@h', cseq: 8 });
      world.wait(300, 20);
      assert.deepEqual(world.states(), [2, 4, 5]);
    });
  });
  test('BYEs that a process before owes are found with the first ticks, which follow each other at once', async () => {
    await inWorld([], (world) => {
      for (let n = 0; n < 600; n++) {
        managed(world, { callId: `c${n}@h` });
        die(world);
      }
      world.end(world.answered());
      assert.ok(world.tracker.loadByCallId('call@h'));
      const { index, generation } = world.tracker.records;
      assert.equal(world.native.dialogClaimEnd(index, generation, END_COMMAND, 3, 1), STATUS.ok);
      assert.equal(world.native.dialogHold(index, generation), STATUS.ok);
      const { records } = world.tracker;
      records.beginChange(record.CHANGE_MARKS, 5);
      world.x[record.A_MARKS_SET] = record.MARK_BYE_TO_CALLER_UNSENT | record.MARK_BYE_TO_CALLEE_UNSENT;
      assert.equal(records.change(index, generation), STATUS.ok);
      let ticks = 0;
      do world.wait(0);
      while (world.tracker.isBehind && ++ticks < 10);
      assert.equal(world.tracker.isBehind, false);
      assert.equal(world.sent.length, 2);
    });
  });
  test('many are found, a few with each tick', async () => {
    await inWorld(['dialog:early_timeout=20'], (world) => {
      const before = world.usage();
      world.wait(0); // the first round, which goes faster, is over
      for (let n = 0; n < 50; n++) {
        managed(world, { callId: `c${n}@h` });
        die(world);
      }
      world.wait(21, 2);
      assert.ok(world.states().length >= 50 - 2 * 4);
      world.wait(1, 20);
      assertNothingLeft(world, before);
      assert.equal(world.statistic('failed_dialogs'), 50);
    });
  });

  test('a call that was claimed by a thread that died then: its effects run once, late letter or not', async () => {
    await inWorld([], (world) => {
      const before = world.usage();
      world.end(world.answered());
      const { index, generation } = world.handle();
      world.wait(1);
      assert.equal(world.native.dialogClaimEnd(index, generation, END_COMMAND, 0, 1), STATUS.ok);
      world.wait(1, 5);
      assert.deepEqual(world.events, ['start 200', 'end -']);
      world.tracker.ended(index, generation, 4, 0);
      assert.deepEqual(world.events, ['start 200', 'end -']);
      assertNothingLeft(world, before);
    });
  });
  test('the same of one that expired is told as such', async () => {
    await inWorld(['dialog:default_timeout=20'], (world) => {
      const before = world.usage();
      world.end(world.answered());
      const { index, generation } = world.handle();
      world.wait(20, 0);
      assert.equal(world.native.dialogClaimEnd(index, generation, END_EXPIRED, 0, 1), STATUS.ok);
      world.wait(1, 5);
      assert.deepEqual(world.events, ['start 200', 'end -']);
      assert.equal(world.statistic('expired_dialogs'), 1);
      assertNothingLeft(world, before);
    });
  });
  test('one that died between the mark and the end of its effects does not run them again; age frees the record', async () => {
    await inWorld(['dialog:end_timeout=20'], (world) => {
      const before = world.usage();
      world.end(world.answered());
      const { index, generation } = world.handle();
      const now = world.native.nowUnixSeconds();
      assert.equal(world.native.dialogClaimEnd(index, generation, END_COMMAND, 0, now), STATUS.ok);
      const { records } = world.tracker;
      records.beginChange(record.CHANGE_MARKS, 5);
      world.x[record.A_MARKS_CLEAR] = record.MARK_END_OWED;
      assert.equal(records.change(index, generation), STATUS.ok);
      world.wait(20, 5);
      assert.deepEqual([world.states(), world.events], [[5], ['start 200']]);
      world.wait(1, 5);
      assert.deepEqual(world.events, ['start 200']);
      assertNothingLeft(world, before);
    });
  });

  test('BYEs that are owed are sent when nobody can be sending them any more, and the hold of the dead goes', async () => {
    await inWorld([], (world) => {
      const before = world.usage();
      world.end(world.answered());
      const { index, generation } = world.handle();
      // Another thread ended it before this worker began, and may still be at it.
      const ended = world.native.nowUnixSeconds() - 5;
      assert.equal(world.native.dialogHold(index, generation), STATUS.ok);
      assert.equal(world.native.dialogClaimEnd(index, generation, END_COMMAND, 3, ended), STATUS.ok);
      world.wait(60, 5);
      assert.deepEqual([world.states(), world.sent.length], [[5], 0]);
      world.wait(30, 5);
      assert.deepEqual(
        world.sent.map(({ method, side }) => [method, side]),
        [
          ['BYE', 1],
          ['BYE', 2],
        ],
      );
      world.answerOwn(0, 200);
      world.answerOwn(1, 481);
      assertNothingLeft(world, before);
    });
  });
});
