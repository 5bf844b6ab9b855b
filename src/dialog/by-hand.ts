/**
 * What operators change in a dialog by hand: its state, and where a side is reached.
 *
 * Nothing follows from it: no route runs, no listener hears of it, no BYE goes out.  [spec 13.2, 13.3]
 */
import { STATUS } from '../memory/addon.js';
import { D_DUE, D_LIFETIME, D_START_TS, D_STATE } from '../memory/words.js';
import type { Message } from '../sip/message.js';
import { W_CONTACT_URI_LEN, W_CONTACT_URI_OFF } from '../sip/words.js';
import type { Desk } from './desk.js';
import {
  TEXT_CALLEE_CONTACT,
  TEXT_CALLEE_SOURCE,
  TEXT_CALLER_CONTACT,
  TEXT_CALLER_SOURCE,
} from './dialog.js';
import { hasOneContact } from './leg.js';
import type { Lifetime } from './lifetime.js';
import { CONFIRMED, CONFIRMED_NO_ACK, DELETED, UNCONFIRMED } from './machine.js';
import * as record from './record.js';

export class ByHand {
  private readonly desk: Desk;
  private readonly lifetime: Lifetime;
  private readonly observedSource: (message: Message) => string;

  constructor(desk: Desk, lifetime: Lifetime, observedSource: (message: Message) => string) {
    this.desk = desk;
    this.lifetime = lifetime;
    this.observedSource = observedSource;
  }

  /** The dialog in hand is in this state from now on; false: it has ended, and stays so, or there is no such state. */
  setState(to: number): boolean {
    if (!Number.isInteger(to) || to < UNCONFIRMED || to > DELETED) return false;
    const { native, records, x } = this.desk;
    const { index, generation } = records;
    for (let attempt = 0; attempt < record.ATTEMPTS_MAX; attempt++) {
      const from = x[D_STATE]!;
      if (from === to) return true;
      if (from === DELETED) return false;
      const isUp = to !== DELETED && to >= CONFIRMED_NO_ACK;
      let fields = record.CHANGE_STATE | record.CHANGE_FLAGS;
      if (to === DELETED) fields |= record.CHANGE_END_TS;
      if (isUp && x[D_START_TS] === 0) fields |= record.CHANGE_START_TS;
      const due = this.dueIn(from, to);
      if (due !== x[D_DUE]) fields |= record.CHANGE_DUE;
      records.beginChange(fields, from);
      x[record.A_STATE] = to;
      x[record.A_DUE] = due;
      x[record.A_START_TS] = native.nowUnixSeconds();
      x[record.A_END_TS] = native.nowUnixSeconds();
      x[record.A_FLAGS_SET] = record.FLAG_CHANGED;
      if ((fields & record.CHANGE_DUE) !== 0) records.forgetSavedDue();
      const status = records.change(index, generation);
      if (status !== STATUS.conflict) return status === STATUS.ok;
      if (!records.load(index, generation)) return false;
    }
    return false;
  }

  /**
   * The deadline of the dialog in hand in its new state, as if it had come there by itself: without an ACK the patience for
   * it, with one the lifetime.  One that was up and is not any more has no INVITE transaction that would end it.
   */
  private dueIn(from: number, to: number): number {
    const { native, x } = this.desk;
    const now = native.nowBootSeconds();
    if (to === CONFIRMED_NO_ACK) return this.lifetime.dueAtAnswer(now, x[D_LIFETIME]!);
    if (to === CONFIRMED) return this.lifetime.dueAtRefresh(now, x[D_LIFETIME]!);
    if (to === DELETED || from < CONFIRMED_NO_ACK) return x[D_DUE]!;
    return this.lifetime.dueWithoutTransaction(now);
  }

  /** The Contact of the message is where its sender is reached: the side that sends in `direction` of the dialog in hand. */
  updateContact(message: Message, direction: number): boolean {
    if (!hasOneContact(message)) return false;
    const { memory } = this.desk.records;
    const contact = memory.text(
      message.at + message.word(W_CONTACT_URI_OFF),
      message.word(W_CONTACT_URI_LEN),
    );
    return this.reachAt(direction, contact, this.observedSource(message), 0);
  }

  /** Requests of our own to the message's sender leave from the socket that the message came to. */
  updateSocket(message: Message, direction: number): boolean {
    const contact = this.desk.snapshotText(direction === 1 ? TEXT_CALLER_CONTACT : TEXT_CALLEE_CONTACT);
    const source = this.desk.snapshotText(direction === 1 ? TEXT_CALLER_SOURCE : TEXT_CALLEE_SOURCE);
    if (contact === null || source === null) return false;
    return this.reachAt(direction, contact, source, message.flow);
  }

  private reachAt(direction: number, contact: string, source: string, socket: number): boolean {
    const { records, x } = this.desk;
    const isCaller = direction === 1;
    // Before the answer there is no callee leg: its Contact comes with the 2xx to the INVITE.
    if (x[D_STATE] === DELETED || (!isCaller && x[record.D_CALLEE_TAG_HASH] === 0)) return false;
    const { index, generation } = records;
    const { scratch } = records.memory;
    const mark = scratch.at;
    const written = records.write(contact) && records.write(source);
    scratch.at = mark;
    if (!written) return false;
    records.beginChange(isCaller ? record.CHANGE_CALLER_CONTACT : record.CHANGE_CALLEE_CONTACT, 0);
    records.setText(isCaller ? record.A_CALLER_CONTACT : record.A_CALLEE_CONTACT, mark, contact.length);
    records.setText(
      isCaller ? record.A_CALLER_SOURCE : record.A_CALLEE_SOURCE,
      mark + contact.length,
      source.length,
    );
    x[isCaller ? record.A_CALLER_SOCKET : record.A_CALLEE_SOCKET] = socket;
    return records.change(index, generation) === STATUS.ok;
  }
}
