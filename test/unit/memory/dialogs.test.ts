/** A dialog's rarer words and numbers through the shard's calls: arguments in XArgs, words in XDialog. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'vitest';
import { readSnapshot, type Snapshot } from '../../../dist/dialog/dialog.js';
import * as record from '../../../dist/dialog/record.js';
import { addon, STATUS } from '../../../dist/memory/addon.js';
import * as words from '../../../dist/memory/words.js';
import { type Bench, k, makeBench, type OpenedShard } from './bench-shard.js';

const DOWN = 1;
const UP = 2;

let bench: Bench;
let a: OpenedShard;
let at = 0;

beforeEach(() => {
  bench = makeBench(2);
  a = bench.open(0);
  at = k('ScratchOffset');
});
afterEach(() => bench.close());

function setText(argument: number, text: string): void {
  a.M.set(Buffer.from(text, 'latin1'), at);
  a.X.set([at, text.length], argument);
  at += text.length;
}

function begin(fields: number): void {
  a.X.fill(0, words.X_ARGS, words.X_ARGS + 64);
  a.X[record.A_FIELDS] = fields;
}

function make(source = ''): [number, number] {
  a.X.fill(0, words.X_ARGS, words.X_ARGS + 64);
  setText(record.N_CALL_ID, 'call@h');
  setText(record.N_CALLER_TAG, 'a1');
  setText(record.N_CALLER_CONTACT, 'sip:alice@10.0.0.1');
  a.X[record.N_CALLER_CSEQ] = 7;
  setText(record.N_CALLER_SOURCE, source);
  assert.equal(a.shard.dialogCreate(), STATUS.ok);
  return [a.X[words.D_INDEX]!, a.X[words.D_GENERATION]!];
}

function answer(index: number, generation: number): void {
  begin(record.CHANGE_STATE | record.CHANGE_CALLEE_LEG | record.CHANGE_START_TS);
  a.X[record.A_STATE] = 3;
  a.X[record.A_START_TS] = 1_700_000_000;
  setText(record.A_CALLEE_TAG, 'b2');
  setText(record.A_CALLEE_CONTACT, 'sip:bob@10.0.0.2');
  setText(record.A_CALLEE_SOURCE, '203.0.113.9:5080');
  a.X[record.A_CALLEE_SOCKET] = 2;
  assert.equal(a.shard.dialogChange(index, generation), STATUS.ok);
}

function snapshot(index: number): Snapshot {
  const out = Buffer.alloc(record.SNAPSHOT_BYTES_MAX);
  assert.ok(addon.snapshot(bench.segment, index, out) > 0);
  return readSnapshot(out, 0, { bootSeconds: 0, unixSeconds: 1_700_000_060 }, 'latin1');
}

describe('contacts and observed sources', () => {
  test('are kept when given, and change together', () => {
    const [index, generation] = make('198.51.100.7:40123');
    answer(index, generation);
    assert.equal(snapshot(index).caller_source, '198.51.100.7:40123');
    assert.equal(snapshot(index).callee_source, '203.0.113.9:5080');
    assert.equal(a.X[words.D_CALLEE_SOCKET], 2);
    begin(record.CHANGE_CALLER_CONTACT | record.CHANGE_CALLEE_CONTACT);
    setText(record.A_CALLER_CONTACT, 'sip:alice@10.9.9.9');
    setText(record.A_CALLER_SOURCE, '198.51.100.8:40124');
    a.X[record.A_CALLER_SOCKET] = 1;
    setText(record.A_CALLEE_CONTACT, 'sip:bob@10.9.9.8');
    assert.equal(a.shard.dialogChange(index, generation), STATUS.ok);
    const after = snapshot(index);
    assert.equal(after.caller.contact, 'sip:alice@10.9.9.9');
    assert.equal(after.caller.socket, 'udp:127.0.0.1:5060');
    assert.equal(after.caller_source, '198.51.100.8:40124');
    assert.equal(after.callee.contact, 'sip:bob@10.9.9.8');
    assert.equal(after.callee.socket, 'udp:[::1]:5060');
    assert.equal(after.callee.tag, 'b2');
    assert.equal(after.callee_source, null);
  });
});

describe('words of an unanswered call and of one kept alive', () => {
  test('transaction, marks, saved deadline and keep-alive are set by their fields', () => {
    const [index, generation] = make();
    begin(record.CHANGE_TRANSACTION);
    a.X[record.A_TRANSACTION_INDEX] = 17;
    a.X[record.A_TRANSACTION_GENERATION] = 3;
    assert.equal(a.shard.dialogChange(index, generation), STATUS.ok);
    assert.equal(a.X[words.D_TRANSACTION_INDEX], 17);
    assert.equal(a.X[words.D_TRANSACTION_GENERATION], 3);
    answer(index, generation);
    assert.equal(a.X[words.D_TRANSACTION_INDEX], 0);
    begin(record.CHANGE_MARKS | record.CHANGE_SAVED_DUE | record.CHANGE_KA_DUE);
    a.X[record.A_MARKS_SET] = record.MARK_ROUTE_ASKED | record.MARK_SHORTENED;
    a.X[record.A_SAVED_DUE] = 5000;
    a.X[record.A_KA_DUE] = 4000;
    assert.equal(a.shard.dialogChange(index, generation), STATUS.ok);
    assert.equal(a.X[words.D_MARKS], record.MARK_ROUTE_ASKED | record.MARK_SHORTENED);
    assert.equal(a.X[words.D_SAVED_DUE], 5000);
    assert.equal(a.X[words.D_KA_DUE], 4000);
    begin(record.CHANGE_DUE);
    a.X[record.A_DUE] = 6000;
    assert.equal(a.shard.dialogChange(index, generation), STATUS.ok);
    assert.equal(a.X[words.D_MARKS], record.MARK_SHORTENED);
    assert.equal(addon.audit(bench.segment), 0);
  });
});

describe('CSeq numbers', () => {
  test('are taken and mapped by direction; the words say whether mapping is needed', () => {
    const [index, generation] = make();
    answer(index, generation);
    const number = (status: number): number => {
      assert.equal(status, STATUS.ok);
      return a.X[words.X_ARGS]!;
    };
    assert.equal(a.X[words.D_STEPS], 0);
    assert.equal(number(a.shard.dialogMapCSeq(index, generation, DOWN, 7)), 7);
    assert.equal(number(a.shard.dialogTakeCSeq(index, generation, DOWN)), 8);
    assert.equal(number(a.shard.dialogSentCSeq(index, generation, DOWN)), 8);
    a.shard.dialogLoad(index, generation);
    assert.equal(a.X[words.D_STEPS], 1);
    assert.equal(number(a.shard.dialogMapCSeq(index, generation, DOWN, 7)), 7);
    assert.equal(number(a.shard.dialogMapCSeq(index, generation, DOWN, 8)), 9);
    assert.equal(number(a.shard.dialogTakeCSeq(index, generation, DOWN, 8)), 10); // 8 is sent anew as 10
    assert.equal(number(a.shard.dialogMapCSeq(index, generation, DOWN, 8)), 10);
    assert.equal(number(a.shard.dialogTakeCSeq(index, generation, UP)), 1);
    assert.equal(a.shard.dialogTakeCSeq(index, generation, 3), STATUS.outOfRange);
    assert.equal(a.shard.dialogMapCSeq(index, generation + 1, DOWN, 8), STATUS.notFound);
    assert.equal(a.shard.dialogClaimEnd(index, generation, k('EndCommand'), 3, 1), STATUS.ok);
    assert.equal(a.X[words.D_CALLER_CSEQ], 11);
    assert.equal(a.X[words.D_CALLEE_CSEQ], 2);
  });
});

describe('a call that forks', () => {
  test('has early legs by tag until its first 2xx', () => {
    const [index, generation] = make();
    const early = (tag: string, contact = 'sip:carol@10.0.0.3', routeSet = '<sip:p1;lr>'): number => {
      begin(0);
      setText(words.X_ARGS, tag);
      setText(words.X_ARGS + 2, contact);
      setText(words.X_ARGS + 4, routeSet);
      return a.shard.dialogEarlyLeg(index, generation);
    };
    assert.equal(early('c3'), STATUS.ok);
    assert.equal(early('d4'), STATUS.ok);
    assert.equal(early('d4', 'sip:dan@10.0.0.4', ''), STATUS.ok);
    assert.equal(a.X[words.D_EARLY_LEGS], 2);
    assert.deepEqual(snapshot(index).early_legs, [
      { tag: 'd4', contact: 'sip:dan@10.0.0.4', route_set: null },
      { tag: 'c3', contact: 'sip:carol@10.0.0.3', route_set: '<sip:p1;lr>' },
    ]);
    begin(0);
    setText(words.X_ARGS, 'c3');
    assert.equal(a.shard.dialogEndEarlyLeg(index, generation), STATUS.ok);
    assert.equal(a.X[words.D_EARLY_LEGS], 1);
    answer(index, generation);
    assert.equal(a.X[words.D_EARLY_LEGS], 0);
    assert.equal(early('e5'), STATUS.conflict);
  });

  test('has a sibling for each further 2xx, which a request finds by its tags', () => {
    const [index, generation] = make();
    const fork = (tag: string): number => {
      begin(0);
      setText(record.A_CALLEE_TAG, tag);
      setText(record.A_CALLEE_CONTACT, 'sip:carol@10.0.0.3');
      a.X[record.A_CALLEE_SOCKET] = 1;
      a.X[record.A_START_TS] = 1_700_000_002;
      a.X[record.A_DUE] = 9000;
      return a.shard.dialogFork(index, generation, 0, 0);
    };
    assert.equal(fork('c3'), STATUS.refused);
    answer(index, generation);
    const id = a.X[words.D_ID]!;
    assert.equal(fork('c3'), STATUS.ok);
    const sibling = a.X[words.D_INDEX]!;
    assert.notEqual(sibling, index);
    assert.equal(a.X[words.D_COOKIE_ID], id);
    assert.equal(a.X[words.D_STATE], 3);
    assert.equal(a.X[words.D_DUE], 9000);
    assert.equal(fork('c3'), STATUS.conflict);
    assert.equal(a.X[words.D_INDEX], sibling);
    begin(record.CHANGE_STATE);
    a.X[record.A_STATE] = 5;
    assert.equal(a.shard.dialogChange(index, generation), STATUS.ok);
    begin(0);
    setText(words.X_ARGS, 'call@h');
    setText(words.X_ARGS + 2, 'a1');
    setText(words.X_ARGS + 4, 'c3');
    assert.equal(a.shard.dialogFindByCallId(), STATUS.ok);
    assert.equal(a.X[words.D_INDEX], sibling);
    assert.equal(a.X[words.D_COOKIE_ID], id);
    assert.equal(addon.audit(bench.segment), 0);
  });
});

describe('keep-alives', () => {
  test("come to their owner's shard, or all of them to the timer worker, as deadlines do", () => {
    const timer = bench.open(2);
    const [index, generation] = make();
    answer(index, generation);
    const owner = a.shard.ownerOf(a.X[words.D_ENTRY]!);
    const [mine, other] = owner === 0 ? [a, bench.open(1)] : [bench.open(1), a];
    for (const opened of [timer, mine, other]) opened.shard.receive();
    const now = a.shard.nowBootSeconds();
    begin(record.CHANGE_KA_DUE | record.CHANGE_DUE);
    a.X[record.A_KA_DUE] = now + 30;
    a.X[record.A_DUE] = now + 30;
    assert.equal(a.shard.dialogChange(index, generation), STATUS.ok);
    const due = (opened: OpenedShard, name: 'dialogKeepAliveAdvance' | 'dialogAdvance'): number[] => {
      opened.shard.receive();
      return [...opened.X.subarray(k('XList'), k('XList') + 2 * opened.shard[name]())];
    };
    for (const name of ['dialogKeepAliveAdvance', 'dialogAdvance'] as const) {
      bench.wire.setTime(29_000);
      assert.deepEqual(due(timer, name), []);
    }
    for (const [second, name] of [
      [40_000, 'dialogKeepAliveAdvance'],
      [50_000, 'dialogAdvance'],
    ] as const) {
      bench.wire.setTime(second);
      assert.deepEqual(due(other, name), []);
      assert.deepEqual(due(mine, name), [index, generation]);
      bench.wire.setTime(second + 2000);
      assert.deepEqual(due(timer, name), [index, generation]);
    }
    assert.equal(a.shard.dialogProbeAnswered(index, generation, 2, 1), STATUS.ok);
    assert.equal(a.X[words.X_ARGS], 1);
    a.shard.dialogLoad(index, generation);
    assert.equal(a.X[words.D_KA_FAILURES], 1 << 16);
  });
});
