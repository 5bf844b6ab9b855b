/**
 * Answers to the INVITE that made a dialog: it rings, is answered, fails, or fails and is answered after all.
 *
 * The transaction in hand names the dialog and holds it.  The callee's leg is that of the first 2xx.
 * [RFC 3261 12.1, 13.2.2.4, 16.7]
 */
import { STATUS } from '../memory/addon.js';
import { D_FLAGS, D_LIFETIME, D_RECORD_ROUTES, D_START_TS, D_STATE, X_ARGS } from '../memory/words.js';
import type { Message } from '../sip/message.js';
import {
  W_CONTACT_COUNT,
  W_CONTACT_URI_LEN,
  W_CONTACT_URI_OFF,
  W_TO_TAG_LEN,
  W_TO_TAG_OFF,
} from '../sip/words.js';
import { DLGCB } from './callbacks.js';
import type { Desk } from './desk.js';
import { type ProfileEntry, TEXT_CALLER_ROUTE_SET } from './dialog.js';
import { hasOneContact, writeCalleeRouteSet, writeCallerRouteSetByUs } from './leg.js';
import type { Lifetime } from './lifetime.js';
import { CONFIRMED_NO_ACK, DELETED, EARLY, next, STRAY, UNCONFIRMED } from './machine.js';
import type { DialogLog } from './ports.js';
import type { ProfileBook } from './profile.js';
import * as record from './record.js';
import { COUNTERS } from './statistics.js';

/** What an ended call remembers of its end, and its sibling has nothing to do with. */
const ENDING_FLAGS = record.FLAG_HAS_BYE | record.FLAG_BYE_TO_CALLER | record.FLAG_BYE_TO_CALLEE;
/** Failed calls whose memberships are remembered in case a 2xx comes after all. */
const REVIVABLE_MAX = 8192;
type Memberships = { readonly generation: number; readonly profiles: readonly ProfileEntry[] };

/** Bit of keep_proxy_rr: our own Record-Route stays in the callee's Route set. */
const KEEP_FOR_CALLEE = 1;
/** Bit of keep_proxy_rr: it is put before the caller's Route set. */
const KEEP_FOR_CALLER = 2;

/** How much of the callee's leg a change carries: nothing, the tag alone, all. */
const NO_LEG = 0;
const ONLY_TAG = 1;
const WHOLE_LEG = 2;

export class InviteAnswers {
  private readonly desk: Desk;
  private readonly lifetime: Lifetime;
  private readonly profiles: ProfileBook;
  private readonly log: DialogLog;
  /** The To tag that we give in a 2xx of our own; length 0: none. */
  ownTagAt = 0;
  ownTagLength = 0;
  /** The branch that answers had the INVITE, whose number is this, with so much more; 0: as it came. */
  received = 0;
  movedBy = 0;
  /** A call that failed stays with its transaction: a 2xx may come after all. */
  readonly outlivesFailure: boolean;
  private readonly membersOfFailed = new Map<number, Memberships>();
  private readonly keepsOwnRoutes: boolean;
  private readonly callerPassesUs: boolean;
  private readonly observedSource: (message: Message) => string;

  constructor(
    desk: Desk,
    lifetime: Lifetime,
    profiles: ProfileBook,
    params: { readonly keep_proxy_rr: number; readonly wait_ack: number },
    observedSource: (message: Message) => string,
    log: DialogLog,
  ) {
    this.desk = desk;
    this.lifetime = lifetime;
    this.profiles = profiles;
    this.outlivesFailure = params.wait_ack === 1;
    this.keepsOwnRoutes = (params.keep_proxy_rr & KEEP_FOR_CALLEE) !== 0;
    this.callerPassesUs = (params.keep_proxy_rr & KEEP_FOR_CALLER) !== 0;
    this.observedSource = observedSource;
    this.log = log;
  }

  /** Failed calls whose memberships are remembered. */
  get size(): number {
    return this.membersOfFailed.size;
  }

  /** 101-199 from downstream; one with a To tag makes or refreshes an early leg. */
  rang(message: Message, index: number, generation: number, ownRecordRoutes: number): void {
    const { callbacks, native, records, x } = this.desk;
    callbacks.tell(DLGCB.RESPONSE_FWDED, index, generation, null, message, 2);
    for (let attempt = 0; attempt < record.ATTEMPTS_MAX; attempt++) {
      if (!records.load(index, generation)) return;
      const from = x[D_STATE]!;
      const to = next(from, 'reply1xx');
      if (to === STRAY) {
        native.count(COUNTERS.stray, 1);
        return;
      }
      if (to !== from) {
        const status = this.desk.commitState(from, to, record.FLAG_HOOKED, index, generation);
        if (status === STATUS.conflict) continue;
      }
      if (message.word(W_TO_TAG_LEN) !== 0) this.keepEarlyLeg(message, index, generation, ownRecordRoutes);
      callbacks.tell(DLGCB.EARLY, index, generation, null, message, 2);
      return;
    }
    this.desk.lost('provisional', STATUS.conflict, index);
  }

  /** 2xx; `message` null: our own.  A repeated one changes nothing, one of a further callee makes a dialog of its own. */
  answered(message: Message | null, index: number, generation: number, ownRecordRoutes: number): void {
    const { callbacks, records, x } = this.desk;
    if (message !== null) callbacks.tell(DLGCB.RESPONSE_FWDED, index, generation, null, message, 2);
    for (let attempt = 0; attempt < record.ATTEMPTS_MAX; attempt++) {
      if (!records.load(index, generation)) return;
      const from = x[D_STATE]!;
      const to = next(from, 'reply2xx');
      if (message !== null && x[D_START_TS] !== 0) {
        this.answeredAgain(message, index, generation, ownRecordRoutes);
        return;
      }
      // A call that was up once does not come back: its end was meant.
      if (to === from || (from === DELETED && x[D_START_TS] !== 0)) return;
      const status = this.commitAnswer(message, from, to, ownRecordRoutes, index, generation);
      if (status === STATUS.conflict) continue;
      if (status !== STATUS.ok) {
        this.desk.lost('answer', status, index);
        return;
      }
      if (from === DELETED) this.rejoin(index, generation);
      this.desk.act(from, to, index, generation, message, 2);
      return;
    }
    this.desk.lost('answer', STATUS.conflict, index);
  }

  /**
   * A 2xx after the first: the same once more, or another callee's, which makes the sibling of the dialog.
   *
   * The siblings are one family: cookie, variables, memberships.  Each starts and ends by itself.  [RFC 3261 13.2.2.4]
   */
  private answeredAgain(message: Message, index: number, generation: number, ownRecordRoutes: number): void {
    const { callbacks, native, records, x } = this.desk;
    // Without a tag of the first there is no telling which this is.
    if (message.word(W_TO_TAG_LEN) === 0 || x[record.D_CALLEE_TAG_HASH] === 0) return;
    if (records.findByTags(message) && x[record.D_CALLEE_TAG_HASH] !== 0) return;
    if (!records.load(index, generation)) return;
    const { scratch } = records.memory;
    const mark = scratch.at;
    const recordRoutes = x[D_RECORD_ROUTES]!;
    const dueAt = this.lifetime.dueAtAnswer(native.nowBootSeconds(), x[D_LIFETIME]!);
    records.beginChange(0, 0);
    x[record.A_DUE] = dueAt;
    x[record.A_START_TS] = native.nowUnixSeconds();
    this.nameCallee(message, WHOLE_LEG, recordRoutes, ownRecordRoutes);
    scratch.at = mark;
    const status = native.dialogFork(index, generation, this.received, this.movedBy);
    if (status === STATUS.noMemory) native.count(COUNTERS.noRoom, 1);
    if (status === STATUS.limit) {
      native.count(COUNTERS.forksRefused, 1);
      this.log.warn('too_many_forks', { call_id: message.callId });
      return;
    }
    if (status !== STATUS.ok) {
      if (status !== STATUS.conflict) this.desk.lost('fork', status, index);
      return;
    }
    const sibling = records.index;
    const siblingGeneration = records.generation;
    if ((x[D_FLAGS]! & ENDING_FLAGS) !== 0) {
      records.beginChange(record.CHANGE_FLAGS, CONFIRMED_NO_ACK);
      x[record.A_FLAGS_CLEAR] = ENDING_FLAGS;
      records.change(sibling, siblingGeneration);
    }
    this.desk.siblingOf(index, sibling);
    this.desk.enter(sibling, siblingGeneration, 2);
    callbacks.tell(DLGCB.CREATED, sibling, siblingGeneration, null, null, 1);
    this.desk.act(UNCONFIRMED, CONFIRMED_NO_ACK, sibling, siblingGeneration, message, 2);
    this.desk.leave();
    this.desk.siblingOf(0, 0);
  }

  /** What the 18x says of who rings; what cannot be kept is left out, for the call goes on without. */
  private keepEarlyLeg(message: Message, index: number, generation: number, ownRecordRoutes: number): void {
    const { native, records, x } = this.desk;
    const { scratch } = records.memory;
    const mark = scratch.at;
    const { at } = message;
    const length = writeCalleeRouteSet(
      message,
      x[D_RECORD_ROUTES]!,
      this.subtracted(ownRecordRoutes),
      scratch,
    );
    records.setText(X_ARGS, at + message.word(W_TO_TAG_OFF), message.word(W_TO_TAG_LEN));
    const contactLength = hasOneContact(message) ? message.word(W_CONTACT_URI_LEN) : 0;
    records.setText(X_ARGS + 2, at + message.word(W_CONTACT_URI_OFF), contactLength);
    records.setText(X_ARGS + 4, scratch.at - Math.max(length, 0), Math.max(length, 0));
    scratch.at = mark;
    const status = native.dialogEarlyLeg(index, generation);
    if (status === STATUS.noMemory) native.count(COUNTERS.noRoom, 1);
  }

  /** How many Record-Routes of ours do not belong to the callee's Route set. */
  private subtracted(ownRecordRoutes: number): number {
    return this.keepsOwnRoutes ? 0 : ownRecordRoutes;
  }

  /** 300-699; `message` null: our own.  True if it ended the dialog. */
  rejected(message: Message | null, index: number, generation: number): boolean {
    if (this.outlivesFailure) this.rememberMembers(index, generation);
    return this.fail(message, 'replyNon2xx', index, generation);
  }

  /** The transaction is gone: whoever was not answered has failed. */
  transactionEnded(index: number, generation: number): void {
    if (this.membersOfFailed.size > 0) this.membersOfFailed.delete(index);
    this.fail(null, 'transactionEnd', index, generation);
  }

  /** An unanswered dialog ends; true if it was this event that ended it.  The caller has a hold of it. */
  fail(
    message: Message | null,
    event: 'replyNon2xx' | 'transactionEnd' | 'end',
    index: number,
    generation: number,
  ): boolean {
    const { records, x } = this.desk;
    for (let attempt = 0; attempt < record.ATTEMPTS_MAX; attempt++) {
      if (!records.load(index, generation)) return false;
      const from = x[D_STATE]!;
      const to = next(from, event);
      if (to === STRAY || to === from || from > EARLY) return false;
      const status = this.desk.commitState(from, to, record.FLAG_HOOKED, index, generation);
      if (status === STATUS.conflict) continue;
      this.desk.enter(index, generation, 2);
      this.desk.act(from, to, index, generation, message, 2);
      this.desk.leave();
      return true;
    }
    this.desk.lost('failure', STATUS.conflict, index);
    return false;
  }

  /** Fills the callee's leg with the change; what of it cannot be kept is left out, for the call comes first. */
  private commitAnswer(
    message: Message | null,
    from: number,
    to: number,
    ownRecordRoutes: number,
    index: number,
    generation: number,
  ): number {
    const { native, records, x } = this.desk;
    const { scratch } = records.memory;
    const dueAt = this.lifetime.dueAtAnswer(native.nowBootSeconds(), x[D_LIFETIME]!);
    const recordRoutes = x[D_RECORD_ROUTES]!;
    const fields =
      record.CHANGE_STATE |
      record.CHANGE_DUE |
      record.CHANGE_START_TS |
      record.CHANGE_END_TS |
      record.CHANGE_FLAGS;
    const callerRouteSet =
      this.callerPassesUs && ownRecordRoutes > 0
        ? (this.desk.snapshotText(TEXT_CALLER_ROUTE_SET) ?? '')
        : null;
    let status: number = STATUS.outOfRange;
    for (let part = message === null ? ONLY_TAG : WHOLE_LEG; part >= NO_LEG; part--) {
      records.beginChange(fields, from);
      x[record.A_STATE] = to;
      x[record.A_DUE] = dueAt;
      x[record.A_START_TS] = native.nowUnixSeconds();
      x[record.A_FLAGS_SET] = record.FLAG_NEW | record.FLAG_HOOKED;
      const mark = scratch.at;
      if (message !== null && part > NO_LEG) this.nameCallee(message, part, recordRoutes, ownRecordRoutes);
      if (message !== null && part === WHOLE_LEG && callerRouteSet !== null)
        this.nameCallerRoutes(message, recordRoutes, ownRecordRoutes, callerRouteSet);
      if (message === null && part > NO_LEG && this.ownTagLength > 0) this.nameOurselves();
      scratch.at = mark;
      status = records.change(index, generation);
      if (status !== STATUS.outOfRange && status !== STATUS.noMemory) return status;
      this.log.error('callee_leg_not_kept', { record: index, status });
    }
    return status;
  }

  private nameCallerRoutes(message: Message, recordRoutes: number, own: number, routeSet: string): void {
    const { records, x } = this.desk;
    const { scratch } = records.memory;
    const length = writeCallerRouteSetByUs(message, recordRoutes, own, routeSet, scratch);
    if (length <= 0) return;
    x[record.A_FIELDS]! |= record.CHANGE_CALLER_ROUTE_SET;
    records.setText(record.A_CALLER_ROUTE_SET, scratch.at - length, length);
  }

  /** We answered: requests within the dialog carry our tag, and nothing is sent to us. */
  private nameOurselves(): void {
    const { records, x } = this.desk;
    x[record.A_FIELDS]! |= record.CHANGE_CALLEE_LEG;
    records.setText(record.A_CALLEE_TAG, this.ownTagAt, this.ownTagLength);
  }

  /** The tag is kept even if no request could be sent to the Contact: matching needs it. */
  private nameCallee(message: Message, part: number, recordRoutes: number, ownRecordRoutes: number): void {
    const { records, x } = this.desk;
    const { at } = message;
    x[record.A_FIELDS]! |= record.CHANGE_CALLEE_LEG;
    records.setText(record.A_CALLEE_TAG, at + message.word(W_TO_TAG_OFF), message.word(W_TO_TAG_LEN));
    x[record.A_CALLEE_SOCKET] = message.flow;
    if (part < WHOLE_LEG) return;
    if (hasOneContact(message)) {
      const length = message.word(W_CONTACT_URI_LEN);
      records.setText(record.A_CALLEE_CONTACT, at + message.word(W_CONTACT_URI_OFF), length);
    }
    const { scratch } = records.memory;
    const length = writeCalleeRouteSet(message, recordRoutes, this.subtracted(ownRecordRoutes), scratch);
    if (length > 0) records.setText(record.A_CALLEE_ROUTE_SET, scratch.at - length, length);
    else if (length < 0) this.log.warn('route_set_not_kept', { record: records.index });
    // Beyond another proxy the source is that proxy's.
    const observed = this.observedSource(message);
    const hasUnusable = !hasOneContact(message) && message.word(W_CONTACT_COUNT) !== 0;
    if (hasUnusable && observed !== '') this.nameCalleeAt(`sip:${observed}`);
    const source = length === 0 ? observed : '';
    const sourceAt = scratch.at;
    if (source !== '' && records.write(source))
      records.setText(record.A_CALLEE_SOURCE, sourceAt, source.length);
  }

  /** Its Contact cannot be written: it is reached where its answer came from. */
  private nameCalleeAt(uri: string): void {
    const { records } = this.desk;
    const { scratch } = records.memory;
    const at = scratch.at;
    if (records.write(uri)) records.setText(record.A_CALLEE_CONTACT, at, uri.length);
  }

  /** A 2xx may come after all: of another branch, or of whoever forks behind us.  [RFC 3261 16.7 step 5] */
  private rememberMembers(index: number, generation: number): void {
    const { records, x } = this.desk;
    if (this.membersOfFailed.size >= REVIVABLE_MAX || !records.load(index, generation)) return;
    if (x[D_STATE]! > EARLY || x[record.D_MEMBERS] === 0) return;
    this.membersOfFailed.set(index, { generation, profiles: this.desk.snapshotProfiles() });
  }

  /**
   * A call that is answered after all counts in its profiles as before, oldest membership first: even where others have
   * taken the last place meanwhile, for it is up.
   */
  private rejoin(index: number, generation: number): void {
    this.desk.native.count(COUNTERS.failed, -1);
    const before = this.membersOfFailed.get(index);
    if (before === undefined || before.generation !== generation) return;
    this.membersOfFailed.delete(index);
    for (const entry of [...before.profiles].reverse()) {
      const [name, value] = typeof entry === 'string' ? [entry, null] : Object.entries(entry)[0]!;
      this.profiles.rejoin(this.desk.context, index, generation, name, value);
    }
  }
}
