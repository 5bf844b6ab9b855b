/**
 * Hears requests, answers and ends of transactions from the proxy, and remembers calls.
 *
 * Each entry decides with machine.ts what the event means in the dialog's state, commits it in one native call that
 * names the state decided on, and hands the pair of states to effects.ts.  If another thread was faster, it looks again.
 *
 * Holds: the table has one until the end has been told; a transaction has one while its registers name the dialog; a
 * suspended route has one.  The last to let go frees the record.  [manual 1-6; RFC 3261 12, 15]
 */
import type { Config } from '../config/load.js';
import type { Shard } from '../memory/addon.js';
import { STATUS } from '../memory/addon.js';
import type { Scratch, ShardMemory } from '../memory/shard-memory.js';
import {
  D_CALLEE_CSEQ,
  D_CALLER_CSEQ,
  D_COOKIE_ID,
  D_DIRECTION,
  D_DUE,
  D_ENTRY,
  D_HOLDS,
  D_LIFETIME,
  D_PROPERTIES,
  D_RECORD_ROUTES,
  D_START_TS,
  D_STATE,
  T_BRANCH_COUNT,
  T_DIALOG_GENERATION,
  T_DIALOG_INDEX,
  T_DIRECTION,
  X_ARGS,
  X_LIST,
} from '../memory/words.js';
import type { Message } from '../sip/message.js';
import {
  M_ACK,
  M_BYE,
  M_CANCEL,
  M_INVITE,
  M_PRACK,
  W_CALL_ID_LEN,
  W_CALL_ID_OFF,
  W_CONTACT_URI_LEN,
  W_CONTACT_URI_OFF,
  W_FROM_TAG_LEN,
  W_FROM_TAG_OFF,
  W_FROM_URI_LEN,
  W_FROM_URI_OFF,
  W_RECORD_ROUTE_COUNT,
  W_RURI_LEN,
  W_RURI_OFF,
  W_TO_TAG_LEN,
  W_TO_TAG_OFF,
  W_TO_URI_LEN,
  W_TO_URI_OFF,
} from '../sip/words.js';
import { Callbacks, DLGCB } from './callbacks.js';
import { DialogContext } from './context.js';
import { CookieReader, writeCookie } from './cookie.js';
import { readSnapshot, readSnapshotText, type Snapshot } from './dialog.js';
import { type Cause, Effects, isWithin } from './effects.js';
import { hasOneContact, ROUTE_SET_UNUSABLE, writeCalleeRouteSet, writeCallerRouteSet } from './leg.js';
import { Lifetime } from './lifetime.js';
import {
  CONFIRMED,
  CONFIRMED_NO_ACK,
  DELETED,
  type DialogEventName,
  EARLY,
  next,
  STRAY,
  UNCONFIRMED,
} from './machine.js';
import { BY_COOKIE, BY_TAGS, DID_NONE, Matcher, NO_COOKIE } from './match.js';
import type { DialogEvents, DialogLog } from './ports.js';
import { ProfileBook } from './profile.js';
import * as record from './record.js';
import { Records } from './record.js';
import { COUNTERS } from './statistics.js';
import { Variables } from './variables.js';

export type TrackerParts = {
  readonly native: Shard;
  readonly memory: ShardMemory;
  readonly params: Config['params']['dialog'];
  readonly events: DialogEvents;
  readonly log: DialogLog;
  /** `active_dialogs` over all shards, for $DLG_count; left out: 0. */
  readonly activeDialogs?: () => number;
};

/** In T_DIRECTION beside the direction: the transaction is that of the INVITE that made the dialog. */
export const TRANSACTION_MADE_DIALOG = 4;
const DIRECTION_MASK = 3;

/** Dialogs whose time is over that one tick takes on: two words each. */
const DUE_PER_TICK_MAX = 256;
/** Failed calls whose memberships are remembered in case a 2xx comes after all. */
const REVIVABLE_MAX = 1024;
/** Contexts kept for the next suspended route. */
const SPARE_CONTEXTS_MAX = 64;
/** An answer, the failure that it is, and what a listener does in turn. */
const ENTERED_MAX = 8;
/** claim_end(): the lifetime is over. */
const REASON_EXPIRED = 1;
/** Room asked of the scratch region before it is written to. */
const COOKIE_ROOM_BYTES = 64;

export class DialogTracker {
  /** What is known of the message in hand. */
  context = new DialogContext();
  readonly records: Records;
  readonly callbacks: Callbacks;
  readonly profiles: ProfileBook;
  readonly variables: Variables;
  readonly lifetime: Lifetime;
  readonly params: Config['params']['dialog'];
  readonly activeDialogs: () => number;

  private readonly native: Shard;
  private readonly memory: ShardMemory;
  private readonly x: Uint32Array;
  private readonly matcher: Matcher;
  private readonly effects: Effects;
  private readonly log: DialogLog;
  private readonly cookieParameter: string;
  private readonly due = new Uint32Array(2 * DUE_PER_TICK_MAX);
  private readonly cause: Cause = { message: null, direction: 0, expired: false };
  private readonly spareContexts: DialogContext[] = [];
  private readonly entered = new Uint32Array(3 * ENTERED_MAX);
  private depth = 0;
  private readonly membersOfFailed = new Map<number, Snapshot>();

  constructor(parts: TrackerParts) {
    const { native, memory, params, events, log } = parts;
    this.native = native;
    this.memory = memory;
    this.x = memory.exchange;
    this.params = params;
    this.log = log;
    this.activeDialogs = parts.activeDialogs ?? (() => 0);
    this.records = new Records(native, memory);
    this.matcher = new Matcher(
      this.records,
      new CookieReader(memory.bytes, params.rr_param),
      params.dlg_match_mode,
    );
    this.lifetime = new Lifetime(params);
    this.cookieParameter = `;${params.rr_param}=`;
    this.callbacks = new Callbacks((error, index) =>
      log.error('dialog_listener_threw', { record: index, reason: String(error) }),
    );
    this.effects = new Effects(this.records, events, this.callbacks, log);
    const messageDialog = (message: Message): boolean => this.messageDialog(message);
    this.profiles = new ProfileBook(this.records, params, messageDialog);
    this.variables = new Variables(this.records, messageDialog);
  }

  // ---- one message -------------------------------------------------------------------------------------------------

  /** A request route is about to run; or a reply route, and then the transaction in hand gives the dialog. */
  begin(message: Message): void {
    this.settle();
    if (message.isRequest) this.context.mayCreate = true;
    else this.adopt();
  }

  /** A reply, failure or branch route sees the dialog of the transaction in hand. */
  adopt(): void {
    const { context, x } = this;
    const index = x[T_DIALOG_INDEX]!;
    if (index === 0) return;
    context.mayCreate = false;
    context.linked = true;
    context.own(index, x[T_DIALOG_GENERATION]!, x[T_DIRECTION]! & DIRECTION_MASK);
  }

  /**
   * dlg_manage(): makes the dialog of an initial INVITE; finds that of any sequential request by Call-ID and tags.
   *
   * @param requestUriAt where the Request-URI as it is now stands in memory; left out: as received
   */
  manage(message: Message, requestUriAt = -1, requestUriLength = 0): boolean {
    const { context } = this;
    if (message.hasToTag) {
      if (context.ownIndex === 0) this.sequential(message, this.matcher.byTags(message));
      return true;
    }
    if (context.ownIndex !== 0 || message.method !== M_INVITE || !message.isRequest) return false;
    if (message.word(W_FROM_TAG_LEN) === 0 || message.word(W_CALL_ID_LEN) === 0) return false;
    if (this.params.detect_spirals === 1 && this.isSpiral(message)) return true;
    const at = requestUriAt < 0 ? message.at + message.word(W_RURI_OFF) : requestUriAt;
    const length = requestUriAt < 0 ? message.word(W_RURI_LEN) : requestUriLength;
    return this.create(message, at, length);
  }

  /** Our own topmost Route was taken off the request; its URI's parameters stand at this offset of the message. */
  looseRouted(message: Message, paramsOffset: number, paramsLength: number): void {
    const { context } = this;
    if (context.ownIndex !== 0 || !message.hasToTag || paramsLength === 0) return;
    this.sequential(message, this.matcher.byRoute(message, message.at + paramsOffset, paramsLength));
  }

  /** Adds the cookie to a Record-Route URI that is being written; once for each. */
  writeRecordRouteParameters(scratch: Scratch): void {
    const { context } = this;
    if (!context.cookieOwed || !scratch.hasRoom(COOKIE_ROOM_BYTES)) return;
    scratch.text(this.cookieParameter);
    writeCookie(scratch, context.entry, context.id);
  }

  /**
   * The message has a transaction, whose registers are loaded: it holds the dialog from now on.
   *
   * Call it whenever the transaction is made, for relaying or for a local answer; again does nothing.  The caller stores
   * the registers.
   */
  relayed(_message: Message): void {
    const { context, x } = this;
    if (context.ownIndex === 0 || context.linked || context.spiral || x[T_DIALOG_INDEX] !== 0) return;
    if (this.native.dialogHold(context.ownIndex, context.ownGeneration) !== STATUS.ok) return;
    x[T_DIALOG_INDEX] = context.ownIndex;
    x[T_DIALOG_GENERATION] = context.ownGeneration;
    x[T_DIRECTION] = context.direction | (context.created ? TRANSACTION_MADE_DIALOG : 0);
    context.linked = true;
  }

  /**
   * The script has ended: a dialog that it made without passing the INVITE on goes again, what was joined without a
   * dialog is given back.
   */
  scriptEnded(_message: Message, hasTransaction: boolean): void {
    const { context } = this;
    if (context.created && !context.linked) {
      if (hasTransaction) this.limitUnlinked(context.ownIndex, context.ownGeneration);
      else this.destroy(context.ownIndex, context.ownGeneration);
    }
    this.settle();
  }

  /** A route waits: takes its context away.  The dialog stays until it is brought back. */
  park(): DialogContext {
    const parked = this.context;
    if (parked.ownIndex !== 0 && !parked.held) {
      parked.held = this.native.dialogHold(parked.ownIndex, parked.ownGeneration) === STATUS.ok;
    }
    this.context = this.spareContexts.pop() ?? new DialogContext();
    return parked;
  }

  /** The route goes on with what it knew. */
  resume(parked: DialogContext): void {
    this.settle();
    if (this.spareContexts.length < SPARE_CONTEXTS_MAX) this.spareContexts.push(this.context);
    this.context = parked;
  }

  // ---- the transaction in hand -------------------------------------------------------------------------------------

  /**
   * An answer is about to go upstream in the transaction in hand.
   *
   * @param message null: the answer is our own
   * @param ownRecordRoutes Record-Route values that we put on the branch that answered
   */
  reply(message: Message | null, code: number, ownRecordRoutes: number): void {
    const { context, x } = this;
    if (x[T_DIALOG_INDEX] === 0) {
      if (!context.created || context.linked) return;
      this.link();
    }
    const index = x[T_DIALOG_INDEX]!;
    const generation = x[T_DIALOG_GENERATION]!;
    if (index === 0) return;
    this.enter(index, generation, x[T_DIRECTION]! & DIRECTION_MASK);
    if ((x[T_DIRECTION]! & TRANSACTION_MADE_DIALOG) === 0)
      this.answeredWithin(message, code, index, generation);
    else if (code >= 300) this.rejected(message, index, generation);
    else if (code >= 200) this.answered(message, index, generation, ownRecordRoutes);
    else if (message !== null && code > 100) this.rang(message, index, generation);
    this.leave();
  }

  /** The transaction in hand goes.  A dialog that its INVITE made and nobody answered has failed. */
  transactionEnded(): void {
    const { x } = this;
    const index = x[T_DIALOG_INDEX]!;
    if (index === 0) return;
    const generation = x[T_DIALOG_GENERATION]!;
    if ((x[T_DIRECTION]! & TRANSACTION_MADE_DIALOG) !== 0) {
      if (this.membersOfFailed.size > 0) this.membersOfFailed.delete(index);
      this.fail(null, 'transactionEnd', index, generation);
    }
    x[T_DIALOG_INDEX] = 0;
    x[T_DIALOG_GENERATION] = 0;
    this.letGo(index, generation);
  }

  // ---- time --------------------------------------------------------------------------------------------------------

  /** Ends dialogs whose time is over, a bounded number of them. */
  tick(): void {
    const count = Math.min(this.native.dialogAdvance(), DUE_PER_TICK_MAX);
    if (count === 0) return;
    const { due, x } = this;
    for (let n = 0; n < 2 * count; n++) due[n] = x[X_LIST + n]!;
    for (let n = 0; n < count; n++) this.timeIsOver(due[2 * n]!, due[2 * n + 1]!);
  }

  // ---- look-up by scripts ------------------------------------------------------------------------------------------

  /** Puts the dialog in hand that the context names, or else the one that Call-ID and tags of the message find. */
  messageDialog(message: Message): boolean {
    const { context, records } = this;
    if (context.index !== 0 && records.load(context.index, context.generation)) return true;
    return records.findByTags(message);
  }

  /** Puts the context's dialog in hand. */
  contextDialog(): boolean {
    return this.records.load(this.context.index, this.context.generation);
  }

  /** dlg_get(): the context points to the dialog of these texts, whatever way round the tags are. */
  find(callId: string, fromTag: string, toTag: string): boolean {
    if (callId === '' || fromTag === '' || toTag === '') return false;
    const { context, memory, records, x } = this;
    const { scratch } = memory;
    const mark = scratch.at;
    const written = records.write(callId) && records.write(fromTag) && records.write(toTag);
    scratch.at = mark;
    if (!written) return false;
    records.setText(X_ARGS, mark, callId.length);
    records.setText(X_ARGS + 2, mark + callId.length, fromTag.length);
    records.setText(X_ARGS + 4, mark + callId.length + fromTag.length, toTag.length);
    x[X_ARGS + 6] = 0;
    if (this.native.dialogFindByCallId() !== STATUS.ok) return false;
    context.dir = x[D_DIRECTION]!;
    context.point(records.index, records.generation, context.dir);
    return true;
  }

  /** A plain copy of the dialog in hand; null if it is gone. */
  snapshot(): Snapshot | null {
    const at = this.copySnapshot();
    return at === 0 ? null : readSnapshot(this.memory.buffer, at, this.now());
  }

  /** One text of the dialog in hand (TEXT_*); null if it is gone. */
  snapshotText(number: number): string | null {
    const at = this.copySnapshot();
    return at === 0 ? null : readSnapshotText(this.memory.buffer, at, number);
  }

  /** dlg_set_timeout(): lifetime and deadline of the dialog in hand from now on. */
  setTimeout(seconds: number): boolean {
    const { native, records, x } = this;
    for (let attempt = 0; attempt < record.ATTEMPTS_MAX; attempt++) {
      const { index, generation } = records;
      const state = x[D_STATE]!;
      if (state === DELETED) return false;
      const running = state === CONFIRMED_NO_ACK || state === CONFIRMED;
      const sinceAnswer = native.nowUnixSeconds() - x[D_START_TS]!;
      const dueAt = this.lifetime.dueAtSet(state, native.nowBootSeconds(), seconds, sinceAnswer);
      records.beginChange(
        record.CHANGE_LIFETIME | record.CHANGE_FLAGS | (running ? record.CHANGE_DUE : 0),
        state,
      );
      x[record.A_LIFETIME] = seconds;
      x[record.A_DUE] = dueAt;
      x[record.A_FLAGS_SET] = record.FLAG_CHANGED;
      const status = records.change(index, generation);
      if (status !== STATUS.conflict) return status === STATUS.ok;
      if (!records.load(index, generation)) return false;
    }
    return false;
  }

  // ---- requests ----------------------------------------------------------------------------------------------------

  private isSpiral(message: Message): boolean {
    const { context, records, x } = this;
    if (!records.findByCallerTag(message) || x[D_STATE] === DELETED) return false;
    const { index, generation } = records;
    context.spiral = true;
    context.own(index, generation, 1);
    this.attachPending(index, generation);
    this.native.count(COUNTERS.spirals, 1);
    this.callbacks.tell(DLGCB.SPIRALED, index, generation, message, null, 1);
    return true;
  }

  private create(message: Message, requestUriAt: number, requestUriLength: number): boolean {
    if (!hasOneContact(message)) return false;
    const { context, memory, records, x } = this;
    const { scratch } = memory;
    const mark = scratch.at;
    const routeSetLength = writeCallerRouteSet(message, scratch);
    if (routeSetLength === ROUTE_SET_UNUSABLE) return false;
    const routeSetAt = scratch.at - routeSetLength;
    const routeAt = scratch.at;
    if (!records.write(context.timeoutRoute)) return false;
    scratch.at = mark;

    const { at } = message;
    records.setText(record.N_CALL_ID, at + message.word(W_CALL_ID_OFF), message.word(W_CALL_ID_LEN));
    records.setText(record.N_CALLER_TAG, at + message.word(W_FROM_TAG_OFF), message.word(W_FROM_TAG_LEN));
    records.setText(record.N_FROM_URI, at + message.word(W_FROM_URI_OFF), message.word(W_FROM_URI_LEN));
    records.setText(record.N_TO_URI, at + message.word(W_TO_URI_OFF), message.word(W_TO_URI_LEN));
    records.setText(record.N_REQUEST_URI, requestUriAt, requestUriLength);
    records.setText(
      record.N_CALLER_CONTACT,
      at + message.word(W_CONTACT_URI_OFF),
      message.word(W_CONTACT_URI_LEN),
    );
    records.setText(record.N_CALLER_ROUTE_SET, routeSetAt, routeSetLength);
    records.setText(record.N_TIMEOUT_ROUTE, routeAt, context.timeoutRoute.length);
    x[record.N_CALLER_CSEQ] = message.cseq;
    x[record.N_LIFETIME] = this.lifetime.initial(context.timeoutSeconds);
    x[record.N_SCRIPT_FLAGS] = context.flags;
    x[record.N_PROPERTIES] =
      context.properties | (context.timeoutBye !== 0 ? record.PROPERTY_TIMEOUT_BYE : 0);
    x[record.N_INIT_TS] = this.native.nowUnixSeconds();
    x[record.N_CALLER_SOCKET] = message.flow;
    x[record.N_RECORD_ROUTES] = message.word(W_RECORD_ROUTE_COUNT);
    const status = this.native.dialogCreate();
    if (status !== STATUS.ok) return this.notCreated(status);

    const { index, generation } = records;
    context.created = true;
    context.cookieOwed = this.params.dlg_match_mode !== DID_NONE;
    context.entry = x[D_ENTRY]!;
    context.id = x[D_COOKIE_ID]!;
    context.own(index, generation, 1);
    this.attachPending(index, generation);
    this.callbacks.tell(DLGCB.CREATED, index, generation, message, null, 1);
    this.native.count(COUNTERS.processed, 1);
    return true;
  }

  private notCreated(status: number): boolean {
    if (status === STATUS.noMemory) {
      this.context.refusedForMemory = true;
      this.native.count(COUNTERS.noRoom, 1);
      this.log.warn('no_room_for_dialog');
    }
    return false;
  }

  /** What waited for the dialog of this message belongs to it now. */
  private attachPending(index: number, generation: number): void {
    const { context } = this;
    if (context.heldMembers > 0 || context.joins.length > 0) this.profiles.attach(context, index, generation);
    if (context.variables.length > 0) this.variables.attach(context, index, generation);
  }

  /** A request within a dialog was matched (the dialog is in hand), or not. */
  private sequential(message: Message, matched: number): void {
    const { context, records, x } = this;
    if (this.matcher.complaint !== 0) this.native.count(COUNTERS.badCookie, 1);
    this.matcher.complaint = 0;
    if (matched !== BY_COOKIE && matched !== BY_TAGS) {
      if (matched !== NO_COOKIE) this.native.count(COUNTERS.unmatched, 1);
      return;
    }
    this.native.count(matched === BY_COOKIE ? COUNTERS.matchedByCookie : COUNTERS.matchedByTags, 1);
    const { index, generation } = records;
    context.own(index, generation, x[D_DIRECTION]!);
    const startTs = x[D_START_TS]!;
    context.lifetimeSeconds = startTs === 0 ? 0 : Math.max(this.native.nowUnixSeconds() - startTs, 0);
    const pending = context.heldMembers + context.joins.length + context.variables.length;
    if (pending > 0 && x[D_STATE] !== DELETED) {
      this.attachPending(index, generation);
      if (!records.load(index, generation)) return;
    }
    this.requestWithin(message, index, generation);
  }

  private requestWithin(message: Message, index: number, generation: number): void {
    const { context, records, x } = this;
    const { method } = message;
    if (method === M_CANCEL) {
      context.status = x[D_STATE]!;
      return;
    }
    const event = eventOf(method);
    for (let attempt = 0; attempt < record.ATTEMPTS_MAX; attempt++) {
      const from = x[D_STATE]!;
      const to = next(from, event);
      if (to === STRAY) {
        this.native.count(COUNTERS.stray, 1);
        context.status = from;
        return;
      }
      context.status = to;
      if (from === DELETED) return;
      const status = this.commitRequest(message, event, from, to, index, generation);
      if (status === STATUS.ok) {
        this.afterRequest(message, event, from, to, index, generation);
        return;
      }
      if (status !== STATUS.conflict) {
        this.lost('request', status, index);
        return;
      }
      if (!records.load(index, generation)) return;
    }
    this.lost('request', STATUS.conflict, index);
  }

  /** One native call with all that the request changes; none if it changes nothing. */
  private commitRequest(
    message: Message,
    event: DialogEventName,
    from: number,
    to: number,
    index: number,
    generation: number,
  ): number {
    const { context, native, records, x } = this;
    const now = native.nowBootSeconds();
    const lifetimeSeconds = x[D_LIFETIME]!;
    const isCaller = context.direction === 1;
    const highestCSeq = x[isCaller ? D_CALLER_CSEQ : D_CALLEE_CSEQ]!;
    let fields = 0;
    if (to !== from) fields |= record.CHANGE_STATE | record.CHANGE_FLAGS;
    if (to === DELETED) fields |= record.CHANGE_END_TS;
    const confirms = from === CONFIRMED_NO_ACK && to === CONFIRMED;
    const dueAt = this.lifetime.dueAtRefresh(now, lifetimeSeconds);
    const refreshes = to === CONFIRMED && event !== 'bye' && this.lifetime.isReset(to, x[D_PROPERTIES]!);
    if ((confirms || refreshes) && dueAt !== x[D_DUE]) fields |= record.CHANGE_DUE | record.CHANGE_FLAGS;
    if (event !== 'ack' && (highestCSeq === record.NO_CSEQ || message.cseq > highestCSeq)) {
      fields |= (isCaller ? record.CHANGE_CALLER_CSEQ : record.CHANGE_CALLEE_CSEQ) | record.CHANGE_FLAGS;
    }
    if (event === 'prack' && (from === EARLY || from === CONFIRMED_NO_ACK))
      fields |= record.CHANGE_PROPERTIES;
    if (fields === 0) return STATUS.ok;
    records.beginChange(fields, from);
    x[record.A_STATE] = to;
    x[record.A_DUE] = dueAt;
    x[record.A_END_TS] = to === DELETED ? native.nowUnixSeconds() : 0;
    x[record.A_FLAGS_SET] =
      to === DELETED ? record.FLAG_HAS_BYE : from === CONFIRMED || confirms ? record.FLAG_CHANGED : 0;
    x[record.A_PROPERTIES_SET] = record.PROPERTY_PRACK;
    x[record.A_CALLER_CSEQ] = message.cseq;
    x[record.A_CALLEE_CSEQ] = message.cseq;
    return records.change(index, generation);
  }

  private afterRequest(
    message: Message,
    event: DialogEventName,
    from: number,
    to: number,
    index: number,
    generation: number,
  ): void {
    const { context } = this;
    if (to === from) {
      if (isWithin(to) && event !== 'bye') {
        this.callbacks.tell(DLGCB.REQ_WITHIN, index, generation, message, null, context.direction);
      }
      return;
    }
    if (to === DELETED) context.tableOwed = true;
    this.act(from, to, index, generation, message, context.direction, false);
  }

  // ---- answers to the INVITE ---------------------------------------------------------------------------------------

  private rang(message: Message, index: number, generation: number): void {
    const { records, x } = this;
    if (this.callbacks.wants(DLGCB.RESPONSE_FWDED)) {
      this.callbacks.tell(DLGCB.RESPONSE_FWDED, index, generation, null, message, 2);
    }
    for (let attempt = 0; attempt < record.ATTEMPTS_MAX; attempt++) {
      if (!records.load(index, generation)) return;
      const from = x[D_STATE]!;
      const to = next(from, 'reply1xx');
      if (to === STRAY) {
        this.native.count(COUNTERS.stray, 1);
        return;
      }
      if (to === from || this.commitState(from, to, record.FLAG_HOOKED, index, generation) === STATUS.ok) {
        this.callbacks.tell(DLGCB.EARLY, index, generation, null, message, 2);
        return;
      }
    }
    this.lost('provisional', STATUS.conflict, index);
  }

  private answered(
    message: Message | null,
    index: number,
    generation: number,
    ownRecordRoutes: number,
  ): void {
    const { records, x } = this;
    if (message !== null) this.callbacks.tell(DLGCB.RESPONSE_FWDED, index, generation, null, message, 2);
    for (let attempt = 0; attempt < record.ATTEMPTS_MAX; attempt++) {
      if (!records.load(index, generation)) return;
      const from = x[D_STATE]!;
      const to = next(from, 'reply2xx');
      if (to === STRAY) {
        this.native.count(COUNTERS.stray, 1);
        return;
      }
      // A call that was up once does not come back: its BYE, or its end, was meant.
      if (to === from || (from === DELETED && x[D_START_TS] !== 0)) return;
      const status = this.commitAnswer(message, from, to, ownRecordRoutes, index, generation);
      if (status === STATUS.ok) {
        if (from === DELETED) this.revive(index, generation);
        this.act(from, to, index, generation, message, 2, false);
        return;
      }
      if (status !== STATUS.conflict) {
        this.lost('answer', status, index);
        return;
      }
    }
    this.lost('answer', STATUS.conflict, index);
  }

  /** Fills the callee's leg with the change; what of it cannot be kept is left out, the call comes first. */
  private commitAnswer(
    message: Message | null,
    from: number,
    to: number,
    ownRecordRoutes: number,
    index: number,
    generation: number,
  ): number {
    const { x } = this;
    const lifetimeSeconds = x[D_LIFETIME]!;
    const recordRoutes = x[D_RECORD_ROUTES]!;
    let status: number = STATUS.outOfRange;
    for (let part = message === null ? NO_LEG : WHOLE_LEG; part >= NO_LEG; part--) {
      const fields =
        record.CHANGE_STATE |
        record.CHANGE_DUE |
        record.CHANGE_START_TS |
        record.CHANGE_END_TS |
        record.CHANGE_FLAGS;
      this.records.beginChange(fields, from);
      x[record.A_STATE] = to;
      x[record.A_DUE] = this.lifetime.dueAtAnswer(this.native.nowBootSeconds(), lifetimeSeconds);
      x[record.A_START_TS] = this.native.nowUnixSeconds();
      x[record.A_FLAGS_SET] = record.FLAG_NEW | record.FLAG_HOOKED;
      const mark = this.memory.scratch.at;
      if (message !== null && part > NO_LEG) this.nameCalleeLeg(message, part, recordRoutes, ownRecordRoutes);
      this.memory.scratch.at = mark;
      status = this.records.change(index, generation);
      if (status !== STATUS.outOfRange && status !== STATUS.noMemory) break;
      this.log.warn('callee_leg_not_kept', { record: index, status });
    }
    return status;
  }

  private nameCalleeLeg(message: Message, part: number, recordRoutes: number, ownRecordRoutes: number): void {
    const { records, x } = this;
    const { at } = message;
    x[record.A_FIELDS]! |= record.CHANGE_CALLEE_LEG;
    records.setText(record.A_CALLEE_TAG, at + message.word(W_TO_TAG_OFF), message.word(W_TO_TAG_LEN));
    x[record.A_CALLEE_SOCKET] = message.flow;
    if (part < WHOLE_LEG) return;
    if (hasOneContact(message)) {
      const length = message.word(W_CONTACT_URI_LEN);
      records.setText(record.A_CALLEE_CONTACT, at + message.word(W_CONTACT_URI_OFF), length);
    }
    const { scratch } = this.memory;
    const length = writeCalleeRouteSet(message, recordRoutes, ownRecordRoutes, scratch);
    if (length > 0) records.setText(record.A_CALLEE_ROUTE_SET, scratch.at - length, length);
  }

  /** The table keeps the dialog again, and it is counted in its profiles as before. */
  private revive(index: number, generation: number): void {
    this.native.dialogHold(index, generation);
    const before = this.membersOfFailed.get(index);
    if (before === undefined || before.handle.generation !== generation) return;
    this.membersOfFailed.delete(index);
    for (const entry of [...before.profiles].reverse()) {
      if (typeof entry === 'string') this.profiles.rejoin(this.context, index, generation, entry, null);
      else {
        for (const [name, value] of Object.entries(entry)) {
          this.profiles.rejoin(this.context, index, generation, name, value);
        }
      }
    }
  }

  private rejected(message: Message | null, index: number, generation: number): void {
    // A 2xx can still come when another branch is open, or when the answer was our own.
    if (message === null || this.x[T_BRANCH_COUNT]! > 1) this.rememberMembers(index, generation);
    if (!this.fail(message, 'replyNon2xx', index, generation)) return;
    if (this.params.wait_ack === 1) return;
    this.x[T_DIALOG_INDEX] = 0;
    this.x[T_DIALOG_GENERATION] = 0;
    this.letGo(index, generation);
  }

  private rememberMembers(index: number, generation: number): void {
    if (this.membersOfFailed.size >= REVIVABLE_MAX || !this.records.load(index, generation)) return;
    if (this.x[D_STATE]! > EARLY) return;
    const snapshot = this.snapshot();
    if (snapshot !== null && snapshot.profiles.length > 0) this.membersOfFailed.set(index, snapshot);
  }

  /** An unanswered dialog ends; true if it was this event that ended it. */
  private fail(
    message: Message | null,
    event: 'replyNon2xx' | 'transactionEnd' | 'end',
    index: number,
    generation: number,
  ): boolean {
    const { records, x } = this;
    for (let attempt = 0; attempt < record.ATTEMPTS_MAX; attempt++) {
      if (!records.load(index, generation)) return false;
      const from = x[D_STATE]!;
      const to = next(from, event);
      if (to === STRAY || to === from || from > EARLY) return false;
      if (this.commitState(from, to, record.FLAG_HOOKED, index, generation) !== STATUS.ok) continue;
      this.enter(index, generation, 1);
      this.act(from, to, index, generation, message, 2, false);
      this.leave();
      this.letGo(index, generation);
      return true;
    }
    this.lost('failure', STATUS.conflict, index);
    return false;
  }

  /** Answers to requests within the dialog change nothing; who asked hears of them. */
  private answeredWithin(message: Message | null, code: number, index: number, generation: number): void {
    if (message === null || !this.callbacks.wants(DLGCB.RESPONSE_WITHIN | DLGCB.TERMINATED_CONFIRMED)) return;
    const isBye = message.method === M_BYE;
    if (!isBye && code >= 300) return;
    const type = isBye ? DLGCB.TERMINATED_CONFIRMED : DLGCB.RESPONSE_WITHIN;
    const direction = isBye ? 2 : 3 - (this.x[T_DIRECTION]! & DIRECTION_MASK);
    this.callbacks.tell(type, index, generation, null, message, direction);
  }

  // ---- ends --------------------------------------------------------------------------------------------------------

  private timeIsOver(index: number, generation: number): void {
    const { native, records, x } = this;
    if (!records.load(index, generation)) return;
    const from = x[D_STATE]!;
    if (from <= EARLY) {
      if (x[D_DUE] !== 0 && x[D_DUE]! <= native.nowBootSeconds()) this.fail(null, 'end', index, generation);
      return;
    }
    if (from === DELETED) return;
    const status = native.dialogClaimEnd(index, generation, REASON_EXPIRED, 0, native.nowUnixSeconds());
    if (status !== STATUS.ok) return;
    this.log.warn('dialog_expired', this.tellWho(index, generation));
    this.enter(index, generation, 0);
    this.act(from, DELETED, index, generation, null, 0, true);
    this.leave();
    this.letGo(index, generation);
  }

  private tellWho(index: number, generation: number): Record<string, string | number> {
    const snapshot = this.records.load(index, generation) ? this.snapshot() : null;
    if (snapshot === null) return { record: index };
    return {
      h_entry: snapshot.h_entry,
      h_id: snapshot.h_id,
      from_tag: snapshot.caller.tag ?? '',
      to_tag: snapshot.callee.tag ?? '',
      call_id: snapshot['call-id'],
    };
  }

  /** The INVITE went nowhere: the dialog goes as if it had not been. */
  private destroy(index: number, generation: number): void {
    const { records, x } = this;
    for (let attempt = 0; attempt < record.ATTEMPTS_MAX; attempt++) {
      if (!records.load(index, generation)) return;
      const from = x[D_STATE]!;
      if (from !== UNCONFIRMED) return;
      if (this.commitState(from, DELETED, 0, index, generation) !== STATUS.ok) continue;
      this.letGo(index, generation);
      return;
    }
    this.lost('destroy', STATUS.conflict, index);
  }

  /** A transaction exists but was not told of the dialog: it must not stay for ever. */
  private limitUnlinked(index: number, generation: number): void {
    this.records.beginChange(record.CHANGE_DUE, 0);
    this.x[record.A_DUE] = this.lifetime.dueWithoutTransaction(this.native.nowBootSeconds());
    this.records.change(index, generation);
  }

  /** A change of state with no more to it than flags and, for the last state, the time. */
  private commitState(from: number, to: number, flags: number, index: number, generation: number): number {
    const { native, records, x } = this;
    const endFields = to === DELETED ? record.CHANGE_END_TS : 0;
    records.beginChange(record.CHANGE_STATE | record.CHANGE_FLAGS | endFields, from);
    x[record.A_STATE] = to;
    x[record.A_FLAGS_SET] = flags;
    x[record.A_END_TS] = to === DELETED ? native.nowUnixSeconds() : 0;
    return records.change(index, generation);
  }

  /** Drops one hold; the last one frees the record, and listeners hear that it is gone. */
  private letGo(index: number, generation: number): void {
    const { callbacks, records, x } = this;
    if (callbacks.wants(DLGCB.DESTROY) && records.load(index, generation)) {
      if (x[D_STATE] === DELETED && x[D_HOLDS] === 1) callbacks.destroyed(index, generation);
    }
    this.native.dialogDrop(index, generation);
  }

  // ---- the context around all this ---------------------------------------------------------------------------------

  private link(): void {
    const { context, x } = this;
    if (this.native.dialogHold(context.ownIndex, context.ownGeneration) !== STATUS.ok) return;
    x[T_DIALOG_INDEX] = context.ownIndex;
    x[T_DIALOG_GENERATION] = context.ownGeneration;
    x[T_DIRECTION] = 1 | TRANSACTION_MADE_DIALOG;
    context.linked = true;
  }

  private act(
    from: number,
    to: number,
    index: number,
    generation: number,
    message: Message | null,
    direction: number,
    expired: boolean,
  ): void {
    const { cause } = this;
    cause.message = message;
    cause.direction = direction;
    cause.expired = expired;
    this.effects.act(from, to, index, generation, cause);
    cause.message = null;
  }

  /** Scripts and listeners that run until leave() see this dialog. */
  private enter(index: number, generation: number, direction: number): void {
    const { context, entered } = this;
    const at = 3 * this.depth++;
    entered[at] = context.index;
    entered[at + 1] = context.generation;
    entered[at + 2] = context.direction;
    context.point(index, generation, direction);
  }

  private leave(): void {
    const { context, entered } = this;
    const at = 3 * --this.depth;
    context.point(entered[at]!, entered[at + 1]!, entered[at + 2]!);
  }

  /** Gives back what the message in hand still holds, and forgets it. */
  private settle(): void {
    const { context } = this;
    if (context.heldMembers > 0) this.profiles.giveBack(context);
    if (context.ownIndex !== 0) {
      if (context.tableOwed) this.letGo(context.ownIndex, context.ownGeneration);
      if (context.held) this.letGo(context.ownIndex, context.ownGeneration);
    }
    context.clear();
  }

  private copySnapshot(): number {
    const { scratch } = this.memory;
    const at = (scratch.at + 3) & ~3;
    const room = Math.min(scratch.end - at, record.SNAPSHOT_BYTES_MAX);
    const { index } = this.records;
    return room > 0 && this.native.dialogSnapshot(index, at, room) === STATUS.ok ? at : 0;
  }

  private now(): { bootSeconds: number; unixSeconds: number } {
    return { bootSeconds: this.native.nowBootSeconds(), unixSeconds: this.native.nowUnixSeconds() };
  }

  private lost(what: string, status: number, index: number): void {
    this.log.error('dialog_change_lost', { what, status, record: index });
  }
}

/** Parts of the callee's leg that a change may carry. */
const NO_LEG = 0;
const WHOLE_LEG = 2;

function eventOf(method: number): DialogEventName {
  if (method === M_ACK) return 'ack';
  if (method === M_BYE) return 'bye';
  return method === M_PRACK ? 'prack' : 'request';
}
