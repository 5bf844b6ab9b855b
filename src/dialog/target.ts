/**
 * Target refresh: a request that changes where its sender is reached, and its 2xx, where the answerer is.
 *
 * Both Contacts count from the 2xx on, each with the socket its message came to; a refused request changes nothing.
 * [RFC 3261 12.2.1.2, 12.2.2, RFC 3311 5.1, RFC 5057 5.4]
 */
import { STATUS } from '../memory/addon.js';
import { D_STATE } from '../memory/words.js';
import type { Message } from '../sip/message.js';
import {
  M_INVITE,
  M_NOTIFY,
  M_REFER,
  M_SUBSCRIBE,
  M_UPDATE,
  W_CONTACT_URI_LEN,
  W_CONTACT_URI_OFF,
} from '../sip/words.js';
import type { Desk } from './desk.js';
import { hasOneContact } from './leg.js';
import { DELETED } from './machine.js';
import * as record from './record.js';

/** Methods whose Contact is the new target of their sender, a bit each. */
const REFRESHES = maskOf(M_INVITE, M_UPDATE, M_SUBSCRIBE, M_NOTIFY, M_REFER);

export class TargetRefresh {
  private readonly desk: Desk;
  private readonly storedRequest: () => Message | null;

  private readonly observedSource: (message: Message) => string;

  constructor(desk: Desk, storedRequest: () => Message | null, observedSource: (message: Message) => string) {
    this.desk = desk;
    this.storedRequest = storedRequest;
    this.observedSource = observedSource;
  }

  /** A 2xx to the request that the transaction in hand keeps; `direction` is the request's. */
  accepted(answer: Message, direction: number, index: number, generation: number): void {
    if (((1 << answer.cseqMethod) & REFRESHES) === 0) return;
    const { records, x } = this.desk;
    if (!records.load(index, generation) || x[D_STATE] === DELETED) return;
    // Before the answer there is no callee leg: its Contact comes with the 2xx to the INVITE.
    const hasCallee = x[record.D_CALLEE_TAG_HASH] !== 0;
    const request = this.storedRequest();
    const { scratch } = records.memory;
    const mark = scratch.at;
    records.beginChange(0, 0);
    if (request !== null && (direction === 1 || hasCallee)) this.name(request, direction);
    if (direction === 2 || hasCallee) this.name(answer, 3 - direction);
    scratch.at = mark;
    if (x[record.A_FIELDS] === 0) return;
    const status = records.change(index, generation);
    if (status !== STATUS.ok && status !== STATUS.notFound) this.desk.lost('target', status, index);
  }

  /** The message's sender, 1 the caller and 2 the callee, is reached at its Contact from now on. */
  private name(message: Message, side: number): void {
    if (!hasOneContact(message)) return;
    const { records, x } = this.desk;
    const isCaller = side === 1;
    x[record.A_FIELDS]! |= isCaller ? record.CHANGE_CALLER_CONTACT : record.CHANGE_CALLEE_CONTACT;
    x[isCaller ? record.A_CALLER_SOCKET : record.A_CALLEE_SOCKET] = message.flow;
    const contact = isCaller ? record.A_CALLER_CONTACT : record.A_CALLEE_CONTACT;
    records.setText(contact, message.at + message.word(W_CONTACT_URI_OFF), message.word(W_CONTACT_URI_LEN));
    const source = this.observedSource(message);
    const at = records.memory.scratch.at;
    if (source === '' || !records.write(source)) return;
    records.setText(isCaller ? record.A_CALLER_SOURCE : record.A_CALLEE_SOURCE, at, source.length);
  }
}

function maskOf(...methods: readonly number[]): number {
  return methods.reduce((mask, method) => mask | (1 << method), 0);
}
