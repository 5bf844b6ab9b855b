/** Whatever a call was begun and answered with: once it is up, both sides can be told of its end. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { describe, test } from 'vitest';
import { BOTH_SIDES } from '../../../dist/dialog/ending.js';
import type { Message } from '../../../dist/sip/message.js';
import { CSEQ_MAX, isContinuable } from '../../../dist/sip/writable.js';
import { inWorld, type Parts, textOf, type World } from './world.js';

const ODD = [
  '\x7f',
  '\x01',
  '"',
  '<',
  '>',
  '\r\n ',
  ' ',
  '\t',
  ';',
  ',',
  '%',
  '\\',
  '\xe0',
  '\xa0',
  '=',
  '?',
  ':',
  '@',
  '\0',
  '\r',
  '\n',
];
const text = fc
  .array(fc.oneof({ weight: 3, arbitrary: fc.constantFrom('a', 'b', '1', '-') }, fc.constantFrom(...ODD)), {
    minLength: 1,
    maxLength: 6,
  })
  .map((parts) => parts.join(''));
const quoted = text.map((inner) => `"${inner}"`);
const tag = fc.oneof(text, quoted, fc.constantFrom('t1', 'ab\x7fcd', '"a\r\n b"'));
const uri = fc.oneof(
  text.map((t) => `sip:${t}@192.0.2.7`),
  text.map((t) => `sip:b@192.0.2.7;p=${t}`),
  quoted.map((t) => `sip:b@192.0.2.7;p=${t}`),
  text,
);
const contact = fc.oneof(
  uri.map((u) => `<${u}>`),
  uri,
  fc.constant('<sip:b@192.0.2.7>'),
);
const routes = fc.array(
  uri.map((u) => `<${u};lr>`),
  { maxLength: 3 },
);
const cseq = fc.oneof(fc.constantFrom(0, 1, CSEQ_MAX, CSEQ_MAX + 1, 2_147_483_646, 2_147_483_647), fc.nat());
const invite = fc.record({ from: tag, cseq, contact, recordRoutes: routes, fromUri: uri, toUri: uri });
const answer = fc.record({ to: tag, contact, recordRoutes: routes });

/** The message as it is received; null: its grammar is broken. */
function received(world: World, parts: Parts, fromUri: string, toUri: string): Message | null {
  const whole = textOf(parts)
    .replace('sip:alice@example.com', () => fromUri)
    .replace('sip:bob@example.com', () => toUri);
  try {
    return world.message(whole);
  } catch {
    return null;
  }
}

describe('both BYEs can be built', () => {
  test('for every INVITE that is let through, whatever its 2xx brings', () =>
    inWorld([], (world) => {
      world.sourceOf = (message) => (message.isRequest ? '' : '203.0.113.9:5060');
      let calls = 0;
      fc.assert(
        fc.property(invite, answer, ({ fromUri, toUri, ...parts }, answered) => {
          const callId = `c${++calls}@h`;
          const message = received(world, { ...parts, callId }, fromUri, toUri);
          if (message === null || !isContinuable(message)) return;
          world.tracker.begin(message);
          const isTracked = world.tracker.manage(message);
          if (!isTracked) {
            world.tracker.scriptEnded(message, false);
            return;
          }
          const transaction = world.transaction(message);
          world.tracker.relayed(message);
          world.store();
          world.tracker.scriptEnded(message, true);
          const reply = received(world, { ...parts, ...answered, callId, code: 200 }, fromUri, toUri);
          world.load(transaction);
          if (reply?.hasToTag) {
            world.tracker.begin(reply);
            world.tracker.reply(reply, 200, 0);
            world.store();
            assert.ok(world.tracker.loadByCallId(callId));
            const { index, generation } = world.tracker.records;
            const before = world.sent.length;
            world.sendRoom = 2;
            assert.equal(world.tracker.ending.end(index, generation, BOTH_SIDES, ''), 'ended');
            assert.equal(world.sent.length, before + 2);
            world.answerOwn(before, 200, { to: 'x', from: 'y' });
            world.answerOwn(before + 1, 200, { to: 'x', from: 'y' });
          }
          world.end(transaction);
          world.memory.scratch.reset();
        }),
        { numRuns: 1500 },
      );
    }));

  test('these are refused, and those are not', () =>
    inWorld([], (world) => {
      const goesOn = (parts: Parts): boolean => isContinuable(world.message(parts));
      assert.equal(goesOn({ contact: '<sip:h;p="x">' }), false);
      assert.equal(goesOn({ cseq: CSEQ_MAX + 1 }), false);
      assert.equal(goesOn({ cseq: CSEQ_MAX + 1, method: 'INFO', to: 'b' }), false);
      assert.equal(goesOn({ cseq: CSEQ_MAX + 1, method: 'OPTIONS' }), true);
      assert.equal(goesOn({ cseq: CSEQ_MAX + 1, method: 'ACK', to: 'b' }), true);
      assert.equal(goesOn({ cseq: CSEQ_MAX, from: 'ab\x7fcd' }), true);
      assert.equal(goesOn({ contact: '<sip:\xc3\xa0@h>' }), true);
    }));
});
