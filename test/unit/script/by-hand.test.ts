import assert from 'node:assert/strict';
import { describe, test } from 'vitest';
import {
  dlg_set_state,
  dlg_update_contact,
  dlg_update_socket,
} from '../../../dist/script/functions/by-hand.js';
import { dlg_refer_cid, dlg_refer_did } from '../../../dist/script/functions/requests.js';
import { inWorld } from '../dialog/world.js';

describe('dialogs changed by hand [spec 13.2]', () => {
  test('the state, by word or first letter; what has ended stays ended', () =>
    inWorld([], (world) => {
      world.answered({}, () => assert.throws(() => dlg_set_state(world.tracker, 'x'), TypeError));
      for (const [name, state] of [
        ['answered', 3],
        ['c', 4],
        ['Deleted', 5],
      ] as const) {
        world.sequential({ method: 'INFO' }, () => assert.equal(dlg_set_state(world.tracker, name), true));
        assert.equal(world.dialog().state, state);
      }
      world.sequential({ method: 'INFO' }, () => assert.equal(dlg_set_state(world.tracker, 'c'), false));
      assert.equal(world.statistic('active_dialogs'), 0);
      assert.deepEqual(world.events, ['start 200']);
    }));

  test('where the sender of a message is reached, either side', () =>
    inWorld([], (world) => {
      world.answered();
      const { tracker } = world;
      world.sourceOf = () => '192.0.2.77:4000';
      const moved = { method: 'INFO', contact: '<sip:moved@192.0.2.11:5070>' };
      world.sequential(moved, (message) => assert.equal(dlg_update_contact(tracker, message), true));
      assert.equal(world.dialog().caller.contact, 'sip:moved@192.0.2.11:5070');
      assert.equal(world.dialog().callee.contact, 'sip:bob@203.0.113.9');
      world.sequential({ ...moved, from: 'b2', to: 'a1' }, (message) =>
        assert.equal(dlg_update_contact(tracker, message), true),
      );
      assert.equal(world.dialog().callee.contact, 'sip:moved@192.0.2.11:5070');
      world.sequential({ method: 'INFO', contact: null }, (message) =>
        assert.equal(dlg_update_contact(tracker, message), false),
      );
    }));

  test('the sender of a reply is the side that was asked', () =>
    inWorld([], (world) => {
      const { tracker } = world;
      const answer = (contact: string): boolean => {
        const message = world.message({ method: 'INFO', code: 200, to: 'b2', contact });
        tracker.begin(message);
        return dlg_update_contact(tracker, message);
      };
      world.answered();
      world.load(world.sequential({ method: 'INFO' })!);
      assert.equal(answer('<sip:moved@203.0.113.8>'), true);
      assert.equal(world.dialog().callee.contact, 'sip:moved@203.0.113.8');
      world.load(world.sequential({ method: 'INFO', from: 'b2', to: 'a1' })!);
      assert.equal(answer('<sip:moved@192.0.2.11>'), true);
      assert.equal(world.dialog().caller.contact, 'sip:moved@192.0.2.11');
      assert.equal(world.dialog().callee.contact, 'sip:moved@203.0.113.8');
    }));

  test('the sender of the 2xx that an event route sees is the callee', () =>
    inWorld([], (world) => {
      world.inEvent = () => {
        const answer = world.message({ code: 200, to: 'b2', contact: '<sip:moved@203.0.113.8>' });
        assert.equal(dlg_update_contact(world.tracker, answer), true);
      };
      world.answered();
      assert.equal(world.dialog().caller.contact, 'sip:alice@192.0.2.10:5062');
      assert.equal(world.dialog().callee.contact, 'sip:moved@203.0.113.8');
    }));

  test('the socket that its messages come to, and nothing else of the leg', () =>
    inWorld([], (world) => {
      world.answered();
      const { caller } = world.dialog();
      world.sequential({ method: 'INFO' }, (message) => {
        message.flow = 2;
        assert.equal(dlg_update_socket(world.tracker, message), true);
      });
      assert.deepEqual(world.dialog().caller, {
        ...caller,
        cseq: world.dialog().caller.cseq,
        socket: 'udp:127.0.0.2:5060',
      });
    }));

  test('nothing without a dialog, and no callee before there is one', () =>
    inWorld([], (world) => {
      const none = world.message({ method: 'INFO', callId: 'none@h' });
      world.tracker.begin(none);
      assert.equal(dlg_set_state(world.tracker, 'c'), false);
      assert.equal(dlg_update_contact(world.tracker, none), false);
      assert.equal(dlg_update_socket(world.tracker, none), false);
    }));
});

describe('dlg_refer on another dialog [spec 13.2]', () => {
  test('by its address, by its Call-ID', () =>
    inWorld([], (world) => {
      world.answered();
      const { tracker } = world;
      const { h_entry, h_id } = world.dialog();
      assert.equal(dlg_refer_did(tracker, h_entry, h_id, 'caller', 'sip:a@h'), true);
      assert.equal(dlg_refer_did(tracker, h_entry, h_id + 1, 'caller', 'sip:a@h'), false);
      assert.equal(dlg_refer_cid(tracker, 'call@h', 'callee', 'sip:a@h'), true);
      assert.equal(dlg_refer_cid(tracker, 'none@h', 'callee', 'sip:a@h'), false);
      assert.equal(dlg_refer_cid(tracker, '', 'callee', 'sip:a@h'), false);
      assert.deepEqual(
        world.sent.map(({ method, side }) => [method, side]),
        [
          ['REFER', 1],
          ['REFER', 2],
        ],
      );
    }));

  test('not when a Call-ID names several answered calls', () =>
    inWorld([], (world) => {
      world.answered();
      const other = world.initial({ from: 'a9' });
      assert.equal(dlg_refer_cid(world.tracker, 'call@h', 'callee', 'sip:a@h'), true);
      world.reply(other, 200, { from: 'a9', to: 'b9' });
      assert.equal(dlg_refer_cid(world.tracker, 'call@h', 'callee', 'sip:a@h'), false);
    }));
});
