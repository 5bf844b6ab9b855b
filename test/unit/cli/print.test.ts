import assert from 'node:assert/strict';
import { describe, test } from 'vitest';
import { dialogTable, parameterOf } from '../../../dist/cli/print.js';
import type { DialogView } from '../../../dist/rpc/ports.js';
import { dialog } from '../rpc/fake-view.js';

async function* each(dialogs: readonly DialogView[]) {
  yield* dialogs;
}

async function allOf(lines: AsyncIterable<string>): Promise<string[]> {
  const all: string[] = [];
  for await (const line of lines) all.push(line);
  return all;
}

describe('the table of dialogs', () => {
  test('has a head, a line for each, and their number', async () => {
    const lines = await allOf(dialogTable(each([dialog(7), dialog(8, { state: 2, duration: 0 })])));
    assert.deepEqual(
      lines.map((line) => line.trimEnd().split(/\s{2,}/)),
      [
        ['dialog', 'state', 'seconds', 'from', 'to', 'Call-ID'],
        ['1006:7', 'confirmed', '12', 'sip:alice@example.com', 'sip:bob@example.com', 'call-7@10.0.0.1'],
        ['1006:8', 'early', '0', 'sip:alice@example.com', 'sip:bob@example.com', 'call-8@10.0.0.1'],
        ['2 dialogs'],
      ],
    );
  });

  test('nothing that a peer wrote reaches the terminal as a command', async () => {
    const lines = await allOf(dialogTable(each([dialog(1, { from_uri: 'sip:\u001b[2Jx\u009b@y' })])));
    assert.ok(lines[1]?.includes('sip:?[2Jx?@y'));
  });
});

describe('parameters of rpc', () => {
  for (const [word, value] of [
    ['17', 17],
    ['-1', -1],
    ['0', 0],
    ['007', '007'],
    ['1e3', '1e3'],
    ['1.5', '1.5'],
    ['1234567890123456', '1234567890123456'],
    ['s:17', '17'],
    ['alice', 'alice'],
    ['', ''],
  ] as const) {
    test(`${JSON.stringify(word)} is ${JSON.stringify(value)}`, () => assert.equal(parameterOf(word), value));
  }
});
