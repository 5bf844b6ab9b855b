import assert from 'node:assert/strict';
import { describe, test } from 'vitest';
import { systemClock } from '../../../dist/clock.js';
import { DLGCB } from '../../../dist/dialog/callbacks.js';
import { type Ask, obey } from '../../../dist/server/commands.js';
import { JoinedEngine } from '../../../dist/server/joined-engine.js';
import { inWorld, type World } from '../dialog/world.js';

/** Management over the world's one shard; what was asked of whom is written down. */
function engineOf(world: World, asked: number[] = []): JoinedEngine {
  const ask: Ask = async (owner, command) => {
    asked.push(owner);
    return obey(world.tracker, command);
  };
  return new JoinedEngine(world.segment, world.config.params.dialog, systemClock, 4, ask);
}

describe('what management asks of shards', () => {
  test('the owner of the entry ends its dialog', () =>
    inWorld([], async (world) => {
      world.answered();
      const { h_entry, h_id } = world.dialog();
      const asked: number[] = [];
      assert.equal(await engineOf(world, asked).end(h_entry, h_id, 'X-A: 1'), 'ended');
      assert.deepEqual(asked, [Math.floor((h_entry * 4) / 4096)]);
      assert.equal(world.dialog().state, 5);
      for (const { text } of world.sent) assert.ok(text.includes('\r\nX-A: 1\r\n'));
      assert.equal(await engineOf(world).end(h_entry, h_id, ''), 'gone');
      assert.equal(await engineOf(world).end(h_entry, h_id + 1, ''), 'gone');
    }));

  test('headers that are none end nothing', () =>
    inWorld([], async (world) => {
      world.answered();
      const { h_entry, h_id } = world.dialog();
      assert.equal(await engineOf(world).end(h_entry, h_id, 'CSeq: 1 BYE'), 'bad_headers');
      assert.equal(world.dialog().state, 4);
    }));

  test('by Call-ID and tags, each dialog that has them', () =>
    inWorld([], async (world) => {
      world.answered();
      const invite = world.initial({ from: 'a9' });
      world.reply(invite, 200, { from: 'a9', to: 'b9' });
      world.sequential({ method: 'ACK', from: 'a9', to: 'b9' });
      assert.deepEqual(world.states(), [4, 4]);
      const engine = engineOf(world);
      assert.equal(await engine.terminate('call@h', 'a1', 'b9'), 'gone');
      assert.equal(await engine.terminate('other@h', null, null), 'gone');
      assert.equal(await engine.terminate('call@h', 'a9', 'b9'), 'ended');
      assert.deepEqual(world.states(), [4, 5]);
      assert.equal(await engine.terminate('call@h', null, null), 'ended');
      assert.deepEqual(world.states(), [5, 5]);
    }));

  test('a bridge', () =>
    inWorld([], async (world) => {
      assert.equal(await engineOf(world).bridge('sip:a@h', 'sip:b@h', '', null), true);
      assert.equal(await engineOf(world).bridge('a', 'sip:b@h', '', null), false);
      assert.equal(world.sent[0]!.method, 'INVITE');
    }));

  test('without a worker nothing happens, and that is told', () =>
    inWorld([], async (world) => {
      world.answered();
      const { h_entry, h_id } = world.dialog();
      const engine = new JoinedEngine(world.segment, world.config.params.dialog, systemClock);
      assert.equal(await engine.end(h_entry, h_id, ''), 'not_now');
      assert.equal(await engine.bridge('sip:a@h', 'sip:b@h', '', null), false);
      assert.equal(world.dialog().state, 4);
    }));

  test('what listeners add to a listing, in the order of the dialogs [manual 8.2, 9.2]', () =>
    inWorld([], async (world) => {
      world.answered();
      world.initial({ from: 'a9' });
      const [first, second] = world.dialogs();
      world.tracker.callbacks.register(null, DLGCB.RPC_CONTEXT, ({ data, index }) => {
        (data as Record<string, unknown>).record = index;
      });
      world.tracker.callbacks.register(null, DLGCB.MI_CONTEXT, ({ data }) => {
        (data as Record<string, unknown>).mi = 1;
      });
      const asked: number[] = [];
      const gone = { ...first!, h_id: first!.h_id + 1000 };
      const fields = await engineOf(world, asked).contextFields([second!, gone, first!]);
      assert.deepEqual(fields[1], {});
      assert.deepEqual(
        [fields[0], fields[2]].map((one) => [typeof one!.record, one!.mi]),
        [
          ['number', 1],
          ['number', 1],
        ],
      );
      assert.notEqual(fields[0]!.record, fields[2]!.record);
      assert.deepEqual(asked, [Math.floor((first!.h_entry * 4) / 4096)]);
      const nobody = new JoinedEngine(world.segment, world.config.params.dialog, systemClock);
      assert.deepEqual(await nobody.contextFields([first!]), [{}]);
    }));

  test('a state is forced, and nothing follows from it [spec 13.3]', () =>
    inWorld([], async (world) => {
      world.answered();
      const { h_entry, h_id } = world.dialog();
      let told = 0;
      world.tracker.callbacks.register(null, DLGCB.TERMINATED | DLGCB.EXPIRED | DLGCB.FAILED, () => {
        told += 1;
      });
      const engine = engineOf(world);
      assert.equal(await engine.setState(h_entry, h_id, 3), 'done');
      assert.equal(world.dialog().state, 3);
      assert.equal(await engine.setState(h_entry, h_id, 6), 'ended');
      assert.equal(await engine.setState(h_entry, h_id, 5), 'done');
      assert.equal(world.statistic('active_dialogs'), 0);
      assert.deepEqual(world.sent, []);
      assert.equal(told, 0);
      assert.equal(await engine.setState(h_entry, h_id + 1, 5), 'gone');
    }));

  test('a call forced up has a deadline', () =>
    inWorld([], async (world) => {
      world.initial();
      const { h_entry, h_id } = world.dialog();
      assert.equal(await engineOf(world).setState(h_entry, h_id, 4), 'done');
      const { state, start_ts, timeout } = world.dialog();
      assert.equal(state, 4);
      assert.ok(start_ts > 0 && timeout >= start_ts + 43_199);
    }));
});
