/**
 * Hears requests, answers and ends of transactions from the proxy, and remembers calls.
 *
 * The front of this room: what happens to one message, to the transaction in hand, and when a second has passed.  Each
 * step decides with machine.ts what an event means in the dialog's state, commits it in one native call that names the
 * state decided on, and hands the pair of states to effects.ts.  [manual 1-6; RFC 3261 12, 15]
 */
import type { Config } from '../config/load.js';
import type { Shard } from '../memory/addon.js';
import { STATUS } from '../memory/addon.js';
import type { Scratch, ShardMemory } from '../memory/shard-memory.js';
import {
  D_CALLER_CSEQ,
  D_COOKIE_ID,
  D_DIRECTION,
  D_DUE,
  D_ENTRY,
  D_HOLDS,
  D_MARKS,
  D_START_TS,
  D_STATE,
  D_STEPS,
  D_TRANSACTION_GENERATION,
  D_TRANSACTION_INDEX,
  T_CODE,
  T_DIALOG_GENERATION,
  T_DIALOG_INDEX,
  T_DIRECTION,
  T_GENERATION,
  T_INDEX,
  X_ARGS,
} from '../memory/words.js';
import { type Random, systemRandom } from '../random.js';
import type { Message } from '../sip/message.js';
import { toBytes } from '../sip/utf8.js';
import {
  M_BYE,
  M_CANCEL,
  M_INVITE,
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
  W_TO_URI_LEN,
  W_TO_URI_OFF,
} from '../sip/words.js';
import { Bridge } from './bridge.js';
import { ByHand } from './by-hand.js';
import { Callbacks, type ContextFields, DLGCB } from './callbacks.js';
import { DialogContext } from './context.js';
import { CookieReader, writeCookie } from './cookie.js';
import { Desk } from './desk.js';
import { type Snapshot, TEXT_TIMEOUT_ROUTE } from './dialog.js';
import { DueDialogs } from './due.js';
import { Effects, ENDED_BY_BYE, isWithin } from './effects.js';
import { BOTH_SIDES, Ending } from './ending.js';
import { Inquiry } from './inquiry.js';
import { InviteAnswers } from './invite.js';
import { KeepAlive } from './keepalive.js';
import { hasOneContact, ROUTE_SET_UNUSABLE, writeCallerRouteSet } from './leg.js';
import { Lifetime } from './lifetime.js';
import { CONFIRMED, CONFIRMED_NO_ACK, DELETED, EARLY, UNCONFIRMED } from './machine.js';
import {
  BAD_COOKIE,
  BY_COOKIE,
  BY_TAGS,
  DID_NONE,
  Matcher,
  NO_COOKIE,
  NO_SUCH_DIALOG,
  WRONG_ENDS,
} from './match.js';
import { Numbers } from './numbers.js';
import { OwnAnswers } from './own-answers.js';
import type { DialogEvents, DialogLog, Elsewhere, Owners, Sender } from './ports.js';
import { ProfileBook } from './profile.js';
import * as record from './record.js';
import { Records } from './record.js';
import { Refer } from './refer.js';
import { refuse } from './refused.js';
import { COUNTERS } from './statistics.js';
import { Sweep, type Walk } from './sweep.js';
import { TargetRefresh } from './target.js';
import { Variables } from './variables.js';
import { RequestsWithin } from './within.js';

/**
 * Dialogs of a profile, of one value unless that is null: from the skip-th on as pairs of words (index, generation) into
 * `out`; how many were written.
 */
export type MembersOf = (profile: string, value: string | null, skip: number, out: Uint32Array) => number;

export type TrackerParts = {
  readonly native: Shard;
  readonly memory: ShardMemory;
  readonly params: Config['params']['dialog'];
  readonly events: DialogEvents;
  readonly log: DialogLog;
  /** `active_dialogs` over all shards, for $DLG_count; left out: 0. */
  readonly activeDialogs?: () => number;
  /** `address:port` that a message came from when its Contact cannot be meant, else ''; left out: nobody looks. */
  readonly observedSource?: (message: Message) => string;
  /**
   * Whether a Via of the message names a live transaction of ours that has a dialog, whose index and generation are then
   * in X_ARGS; left out: an INVITE that has the CSeq number of the one that made the dialog is the same one.
   */
  readonly dialogOfVia?: (message: Message) => boolean;
  /** The request that the transaction in hand keeps, for listeners; left out: none. */
  readonly storedRequest?: () => Message | null;
  /** Members of a profile; left out: none are found. */
  readonly membersOf?: MembersOf;
  /** Sends requests of our own; left out: none can be sent. */
  readonly sender?: Sender;
  readonly random?: Random;
  /** Who is told of dialogs whose time is over; left out: this tracker itself; null: a timer worker keeps the time. */
  readonly owners?: Owners | null;
  /** This shard's number and what tells the others, when there are others; left out: every dialog is this shard's. */
  readonly elsewhere?: Elsewhere;
  /** Milliseconds of a clock that never goes back; left out: it stands still. */
  readonly nowMs?: () => number;
  /** So long a request of our own waits for its final answer at most; left out: as RFC 3261 has it. */
  readonly answerSeconds?: number;
  /** Text of the request of our own whose answer is in hand; left out: that of the transaction in hand. */
  readonly answeredText?: () => string;
  /** All records, to look after what a dead worker left; left out: nobody looks. */
  readonly walk?: Walk;
};

/** In T_DIRECTION beside the direction: the transaction is that of the INVITE that made the dialog. */
export const TRANSACTION_MADE_DIALOG = 4;
/** The transaction is that of the BYE that ended the dialog. */
export const TRANSACTION_ENDED_DIALOG = 8;
/**
 * The request found no early or confirmed call, or is our own: REQ_WITHIN was not told, nor is RESPONSE_WITHIN, and no
 * target moves.  [spec 11.2]
 */
const TRANSACTION_UNTOLD = 16;
const DIRECTION_MASK = 3;
/** Whether there are steps is not known: the table is asked. */
const ASK_FOR_STEPS = 3;

/** 64 * T1.  [RFC 3261 17.1.2.2, timer F] */
const ANSWER_SECONDS = 32;

/** Members of a profile that are fetched at a time. */
const MEMBERS_AT_A_TIME = 256;
/** Dialogs of one Call-ID that are looked at. */
const SAME_CALL_ID_MAX = 256;
/** Call-ID, two tags, direction. */
const FIND_CALL_WORDS = 7;
/** Contexts kept for the next suspended route. */
const SPARE_CONTEXTS_MAX = 64;
/** What the log calls a cookie that was not believed. */
const COMPLAINTS: Readonly<Record<number, string>> = {
  [BAD_COOKIE]: 'cookie_malformed',
  [NO_SUCH_DIALOG]: 'cookie_of_no_dialog',
  [WRONG_ENDS]: 'cookie_of_other_ends',
};
/** Of a cookie that cannot be read, this much is told. */
const COOKIE_TOLD_BYTES_MAX = 64;
/** Room asked of the scratch region before the cookie is written. */
const COOKIE_ROOM_BYTES = 64;

/** Without a proxy there is no way out. */
const NOBODY: Sender = {
  send: () => 'no_way',
  hasRoom: () => false,
  hasRoomFor: () => false,
  endInvite: () => false,
};

export class DialogTracker implements Owners {
  readonly records: Records;
  readonly callbacks: Callbacks;
  readonly profiles: ProfileBook;
  readonly variables: Variables;
  readonly params: Config['params']['dialog'];
  readonly events: DialogEvents;
  readonly activeDialogs: () => number;
  readonly ending: Ending;
  readonly keepAlive: KeepAlive;
  readonly refer: Refer;
  readonly bridge: Bridge;
  readonly inquiry: Inquiry;
  readonly byHand: ByHand;

  private readonly native: Shard;
  private readonly memory: ShardMemory;
  private readonly x: Uint32Array;
  private readonly effects: Effects;
  private readonly desk: Desk;
  private readonly matcher: Matcher;
  private readonly lifetime: Lifetime;
  private readonly invite: InviteAnswers;
  private readonly within: RequestsWithin;
  private readonly ownAnswers: OwnAnswers;
  private readonly numbers: Numbers;
  private readonly targets: TargetRefresh;
  private readonly observedSource: (message: Message) => string;
  private readonly dialogOfVia: (message: Message) => boolean;
  private readonly sweep: Sweep | null;
  /** One shard does it for all. */
  private readonly expiresRemotes: boolean;
  private readonly log: DialogLog;
  private readonly cookieParameter: string;
  private readonly due: DueDialogs | null;
  private readonly elsewhere: Elsewhere | null;
  private readonly membersOf: MembersOf;
  private readonly members = new Uint32Array(2 * MEMBERS_AT_A_TIME);
  private readonly spareContexts: DialogContext[] = [];

  constructor(parts: TrackerParts) {
    const { native, memory, params, events, log } = parts;
    this.native = native;
    this.memory = memory;
    this.x = memory.exchange;
    this.params = params;
    this.log = log;
    this.activeDialogs = parts.activeDialogs ?? (() => 0);
    this.membersOf = parts.membersOf ?? (() => 0);
    this.records = new Records(native, memory);
    const stored = parts.storedRequest ?? ((): Message | null => null);
    this.callbacks = new Callbacks(
      (error, index, generation) =>
        log.error('dialog_listener_threw', {
          dialog: this.desk.addressOf(index, generation),
          reason: String(error),
        }),
      (index) => (this.x[T_DIALOG_INDEX] === this.desk.firstOf(index) ? stored() : null),
    );
    this.events = events;
    this.effects = new Effects(this.records, events, this.callbacks, log);
    this.desk = new Desk(this.records, this.effects, this.callbacks, log);
    const cookie = new CookieReader(memory.bytes, params.rr_param);
    this.matcher = new Matcher(this.records, cookie, params.dlg_match_mode);
    this.cookieParameter = `;${params.rr_param}=`;
    const messageDialog = (message: Message): boolean => this.messageDialog(message);
    this.profiles = new ProfileBook(this.records, params, messageDialog, log);
    this.numbers = new Numbers(this.records, params.track_cseq_updates !== 0);
    this.variables = new Variables(this.records, messageDialog, this.numbers, log);
    this.lifetime = new Lifetime(params);
    this.observedSource = parts.observedSource ?? (() => '');
    this.dialogOfVia = parts.dialogOfVia ?? ((message) => this.dialogOfSameInvite(message));
    this.elsewhere = parts.elsewhere ?? null;
    const { observedSource } = this;
    this.invite = new InviteAnswers(this.desk, this.lifetime, this.profiles, params, observedSource, log);
    this.within = new RequestsWithin(this.desk, this.lifetime, params);
    const { nowMs = () => 0, random = systemRandom, sender = NOBODY, walk } = parts;
    const { answerSeconds = ANSWER_SECONDS } = parts;
    const owners = parts.owners ?? this;
    this.ending = new Ending(this.desk, sender, owners, this.elsewhere, params, log);
    this.due =
      parts.owners === null ? null : new DueDialogs(this.records, this.ending, owners, sender, nowMs);
    this.keepAlive = new KeepAlive(this.desk, sender, params, log);
    this.refer = new Refer(this.desk, sender, params);
    this.bridge = new Bridge(sender, params, random, log);
    this.inquiry = new Inquiry(this.desk, sender, params);
    this.byHand = new ByHand(this.desk, this.lifetime, observedSource);
    const ownText = parts.answeredText ?? (() => this.storedRequestText());
    this.ownAnswers = new OwnAnswers(this.x, ownText, this.ending, this.keepAlive, this.refer, this.bridge);
    this.targets = new TargetRefresh(this.desk, stored, observedSource);
    this.expiresRemotes = walk?.owner === 0;
    this.sweep =
      walk === undefined
        ? null
        : new Sweep(this.desk, this.invite, this.ending, this, walk, params, answerSeconds, log);
  }

  /** What is known of the message in hand. */
  get context(): DialogContext {
    return this.desk.context;
  }

  /** Unanswered calls of which more is remembered than the segment keeps; with their transactions that goes. */
  get remembered(): number {
    return this.invite.size + this.numbers.size + this.profiles.remembered;
  }

  // ---- one message -------------------------------------------------------------------------------------------------

  /**
   * A request route is about to run; or a reply route, and then the transaction in hand gives the dialog.
   *
   * @param answersUs the reply answers a request of our own, and T_DIRECTION is the side that sends it
   */
  begin(message: Message, answersUs = false): void {
    this.settle();
    const { context } = this;
    if (message.isRequest) context.mayCreate = true;
    else {
      this.adopt();
      // A reply travels the other way.
      if (!answersUs) context.direction = opposite(context.direction);
    }
  }

  /** The request in hand is one that we made in this dialog: it tells nothing of the side whose place we take. */
  comesFromUs(index: number, generation: number): void {
    this.context.madeIndex = index;
    this.context.madeGeneration = generation;
  }

  isOfDialog(message: Message): boolean {
    return this.records.findByTags(message);
  }

  /** A failure or branch route sees the dialog of the transaction in hand. */
  adopt(): void {
    const { context, x } = this;
    const index = x[T_DIALOG_INDEX]!;
    if (index === 0) return;
    context.mayCreate = false;
    context.linked = true;
    context.own(index, x[T_DIALOG_GENERATION]!, x[T_DIRECTION]! & DIRECTION_MASK);
    context.steps = ASK_FOR_STEPS;
    const made = (x[T_DIRECTION]! & TRANSACTION_MADE_DIALOG) !== 0;
    if (made && this.params.dlg_match_mode !== DID_NONE) context.cookieOwed = true;
  }

  /**
   * dlg_manage(): makes the dialog of an initial INVITE; finds that of any sequential request by Call-ID and tags.
   *
   * False: context.refused says why no dialog was made of an initial INVITE; null: there was none to make.
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
    if (context.refused !== null) return false;
    if (message.word(W_FROM_TAG_LEN) === 0) return refuse(context, this.native, 'from_tag');
    if (message.word(W_CALL_ID_LEN) === 0) return refuse(context, this.native, 'text');
    if (this.params.detect_spirals === 1 && this.isSpiral(message)) return true;
    if (this.params.refuse_merged === 1 && this.isMerged(message))
      return refuse(context, this.native, 'merged');
    const at = requestUriAt < 0 ? message.at + message.word(W_RURI_OFF) : requestUriAt;
    const length = requestUriAt < 0 ? message.word(W_RURI_LEN) : requestUriLength;
    return this.create(message, at, length);
  }

  /**
   * A Route of our own was taken off the request, the topmost first; its URI's parameters stand at this offset of the
   * message.  Without any it is matched all the same, as dlg_match_mode says.
   */
  looseRouted(message: Message, paramsOffset: number, paramsLength: number): void {
    const { context, matcher } = this;
    if (!message.hasToTag) return;
    const at = message.at + paramsOffset;
    if (context.ownIndex !== 0) {
      if (paramsLength !== 0 && matcher.byFurtherRoute(message, at, paramsLength)) this.passedAgain(message);
      return;
    }
    this.sequential(message, matcher.byRoute(message, at, paramsLength));
  }

  get hasDialog(): boolean {
    return this.context.ownIndex !== 0;
  }

  /** Whether the request in hand belongs to a dialog: it was matched to one, or Call-ID and tags say so. */
  isWithinDialog(message: Message): boolean {
    if (!message.hasToTag) return false;
    return this.context.ownIndex !== 0 || this.records.findByTags(message);
  }

  /** Adds the cookie to a Record-Route URI that is being written; once for each. */
  writeRecordRouteParameters(scratch: Scratch): void {
    const { context } = this;
    if (!context.cookieOwed || !scratch.hasRoom(COOKIE_ROOM_BYTES)) return;
    if (context.id === 0 && !this.learnAddress()) return;
    scratch.text(this.cookieParameter);
    writeCookie(scratch, context.entry, context.id);
  }

  /**
   * The message has a transaction, whose registers are loaded: it holds the dialog from now on.
   *
   * Call it whenever the transaction is made, for relaying or for a local answer; again does nothing.  The caller stores
   * the registers.
   */
  relayed(message: Message): void {
    const { context } = this;
    context.hasTransaction = true;
    context.transactionIndex = this.x[T_INDEX]!;
    context.transactionGeneration = this.x[T_GENERATION]!;
    this.link();
    if (context.owedCallback === 0) return;
    const type = context.owedCallback;
    context.owedCallback = 0;
    this.callbacks.tell(type, context.ownIndex, context.ownGeneration, message, null, 1);
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
    if (hasTransaction && context.heldMembers > 0 && context.ownIndex === 0) this.keepMembers();
    this.settle();
  }

  /** What was joined without a dialog counts for the transaction, unless that is over or has refused the request. */
  private keepMembers(): void {
    const { context, native, x } = this;
    const index = context.transactionIndex || x[T_INDEX]!;
    const isInHand = x[T_INDEX] === index;
    if (!isInHand && native.transactionLoad(index, context.transactionGeneration) !== STATUS.ok) return;
    if (x[T_CODE]! < 300) this.profiles.keepFor(context, index);
  }

  /** An ACK for an answer of our own: that of a 2xx confirms its dialog. */
  acknowledged(ack: Message): void {
    if (!this.records.findByTags(ack) || this.x[D_STATE] !== CONFIRMED_NO_ACK) return;
    this.begin(ack);
    this.sequential(ack, this.matcher.byTags(ack));
    this.scriptEnded(ack, false);
  }

  /** No message is in hand any more: what follows is no route's doing. */
  forgetMessage(): void {
    this.settle();
  }

  /** A route waits: takes its context away.  The dialog stays until it is brought back. */
  park(): DialogContext {
    const parked = this.context;
    if (parked.ownIndex !== 0 && !parked.held && !parked.linked) {
      parked.held = this.desk.hold(parked.ownIndex, parked.ownGeneration);
    }
    this.desk.context = this.spareContexts.pop() ?? new DialogContext();
    return parked;
  }

  /** The route goes on with what it knew. */
  resume(parked: DialogContext): void {
    this.settle();
    if (this.spareContexts.length < SPARE_CONTEXTS_MAX) this.spareContexts.push(this.context);
    parked.isUnknown = false;
    this.desk.context = parked;
  }

  /** A route that looks at a request of our own sees its dialog until leave(); index 0: none. */
  enter(index: number, generation: number, direction: number): void {
    this.desk.enter(index, generation, direction);
  }

  leave(): void {
    this.desk.leave();
  }

  // ---- the transaction in hand -------------------------------------------------------------------------------------

  /**
   * An answer is about to go upstream in the transaction in hand.
   *
   * @param message null: the answer is our own
   * @param ownRecordRoutes Record-Route values that we put on the branch that answered
   * @param tagAt the To tag that we give in a 2xx of our own, in memory
   */
  reply(message: Message | null, code: number, ownRecordRoutes: number, tagAt = 0, tagLength = 0): void {
    this.invite.ownTagAt = tagAt;
    this.invite.ownTagLength = tagLength;
    const { x } = this;
    if (code >= 300 && this.profiles.remembered > 0) this.profiles.transactionEnded(x[T_INDEX]!);
    if (x[T_DIALOG_INDEX] === 0 && this.context.created) this.link();
    const index = x[T_DIALOG_INDEX]!;
    if (index === 0) return;
    const generation = x[T_DIALOG_GENERATION]!;
    const direction = x[T_DIRECTION]! & DIRECTION_MASK;
    this.desk.enter(index, generation, opposite(direction));
    if ((x[T_DIRECTION]! & TRANSACTION_MADE_DIALOG) !== 0) {
      this.replyToInvite(message, code, ownRecordRoutes, index, generation);
      this.invite.movedBy = 0;
    } else if (message !== null) this.replyWithin(message, code, direction, index, generation);
    this.desk.leave();
  }

  /** The number under which a request of the context's dialog goes on; 0: as received. */
  mapCSeq(message: Message, received: number): number {
    return this.numbers.mapped(this.context, message, received);
  }

  /** The number for a request that is sent once more with credentials; 0: the one it has. */
  nextCSeq(message: Message, sent: number): number {
    const { x } = this;
    if ((x[T_DIRECTION]! & DIRECTION_MASK) !== 1) return 0;
    const isFirst = (x[T_DIRECTION]! & TRANSACTION_MADE_DIALOG) !== 0;
    return isFirst === message.hasToTag ? 0 : this.numbers.next(message, sent, isFirst);
  }

  /** A branch of an INVITE was sent under another number, and has a dialog now: its answer goes upstream next. */
  renumbered(answer: Message, received: number, sent: number): void {
    const { invite, x } = this;
    if (x[T_DIALOG_INDEX] === 0 || (x[T_DIRECTION]! & TRANSACTION_MADE_DIALOG) === 0) return;
    invite.received = received;
    invite.movedBy = sent - received;
    this.numbers.answered(answer, received, sent);
  }

  /** A request of our own, whose transaction is in hand, has its final answer; `message` null: none came. */
  ownAnswer(message: Message | null, code: number): void {
    this.ownAnswers.hear(message, code);
  }

  /** The transaction in hand goes.  A dialog that its INVITE made and nobody answered has failed. */
  transactionEnded(): void {
    const { x } = this;
    if (this.profiles.remembered > 0) this.profiles.transactionEnded(x[T_INDEX]!);
    const index = x[T_DIALOG_INDEX]!;
    if (index === 0) return;
    const generation = x[T_DIALOG_GENERATION]!;
    if ((x[T_DIRECTION]! & TRANSACTION_MADE_DIALOG) !== 0) {
      this.numbers.forget(index);
      this.invite.transactionEnded(index, generation);
    }
    this.unlink(index, generation);
  }

  // ---- in place of the dead ----------------------------------------------------------------------------------------

  /** The transaction in hand begins anew: the dialog that it made goes as if it had not been. */
  beginsAnew(): void {
    const { x } = this;
    if ((x[T_DIRECTION]! & TRANSACTION_MADE_DIALOG) === 0) return;
    this.undo(x[T_DIALOG_INDEX]!, x[T_DIALOG_GENERATION]!);
    x[T_DIALOG_INDEX] = 0;
    x[T_DIALOG_GENERATION] = 0;
    x[T_DIRECTION] = 0;
  }

  /** Unanswered dialogs of this shard that no transaction of an INVITE names: the next copy of it makes its own. */
  takenOver(): void {
    const { native, records, x } = this;
    for (let cursor = 1; native.dialogNextUnanswered(cursor) === STATUS.ok; ) {
      const { index, generation } = records;
      cursor = index + 1;
      const transaction = x[D_TRANSACTION_INDEX]!;
      const isNamed =
        transaction !== 0 &&
        native.transactionLoad(transaction, x[D_TRANSACTION_GENERATION]!) === STATUS.ok &&
        x[T_DIALOG_INDEX] === index &&
        x[T_DIALOG_GENERATION] === generation;
      // One whose transaction found no room to be named in it is held all the same.
      const isHeld = transaction === 0 && x[D_HOLDS]! > 1;
      if (!isNamed && !isHeld) this.undo(index, generation);
    }
  }

  /** An unanswered dialog goes, whoever holds it, and takes its memberships with it. */
  private undo(index: number, generation: number): void {
    const { desk, records, x } = this;
    if (!records.load(index, generation) || x[D_STATE]! > EARLY) return;
    if (desk.commitState(x[D_STATE]!, DELETED, 0, index, generation) !== STATUS.ok) return;
    while (records.load(index, generation)) {
      desk.letGo(index, generation);
      if (x[D_HOLDS]! <= 1) break;
    }
  }

  // ---- time --------------------------------------------------------------------------------------------------------

  /** Ends dialogs whose time is over, a bounded number of them, and looks after a few others. */
  tick(): void {
    this.sweep?.tick();
    if (this.expiresRemotes) this.profiles.expireRemotes();
    if (this.due === null) return;
    this.due.tick();
    this.keepAlive.tick();
  }

  /** The last tick left some for the next, which should come soon. */
  get isBehind(): boolean {
    if (this.sweep?.isBehind === true) return true;
    return this.due !== null && (this.due.isBehind || this.keepAlive.isBehind);
  }

  // ---- Owners ------------------------------------------------------------------------------------------------------

  hasRoom(_entry: number): boolean {
    return true;
  }

  ended(index: number, generation: number, from: number, how: number): void {
    const { desk, records, x } = this;
    if (!records.load(index, generation) || (x[D_MARKS]! & record.MARK_END_OWED) === 0) return;
    if (this.isElsewhere()) {
      this.elsewhere!.owners.ended(index, generation, from, how);
      return;
    }
    // First the mark, then the effects: whatever happens in them, they do not run again.
    records.beginChange(record.CHANGE_MARKS, DELETED);
    x[record.A_MARKS_CLEAR] = record.MARK_END_OWED;
    if (records.change(index, generation) !== STATUS.ok) return;
    if (how !== ENDED_BY_BYE) this.log.warn('dialog_expired', () => this.tellWho(index, generation));
    desk.enter(index, generation, 0);
    desk.act(from, DELETED, index, generation, null, 0, how);
    desk.leave();
    desk.letGo(index, generation);
  }

  byeAnswered(index: number, generation: number, message: Message | null): void {
    if (this.elsewhere !== null && this.records.load(index, generation) && this.isElsewhere()) {
      this.elsewhere.owners.byeAnswered(index, generation, message);
      return;
    }
    this.desk.enter(index, generation, 0);
    this.callbacks.tell(DLGCB.TERMINATED_CONFIRMED, index, generation, null, message, 0);
    this.desk.leave();
  }

  /** Another shard owns the dialog in hand. */
  private isElsewhere(): boolean {
    const { elsewhere, native, x } = this;
    return elsewhere !== null && native.ownerOf(x[D_ENTRY]!) !== elsewhere.owner;
  }

  timeoutRoute(index: number, generation: number): void {
    const { records, x } = this;
    if (!records.load(index, generation) || x[D_STATE] === DELETED) return;
    if (x[D_DUE] === 0 || x[D_DUE]! > this.native.nowBootSeconds()) return;
    this.runTimeoutRoute(index, generation);
    this.ending.expire(index, generation);
  }

  endEarly(index: number, generation: number): void {
    const { desk, native, records, x } = this;
    if (!records.load(index, generation) || x[D_STATE]! > EARLY) return;
    if (x[D_DUE] === 0 || x[D_DUE]! > native.nowBootSeconds() || !desk.hold(index, generation)) return;
    this.invite.fail(null, 'end', index, generation);
    desk.letGo(index, generation);
  }

  endUnanswered(index: number, generation: number): void {
    this.ending.end(index, generation, BOTH_SIDES, '');
  }

  // ---- listings and restoring --------------------------------------------------------------------------------------

  /** What listeners add to a listing of the dialog: RPC_CONTEXT or MI_CONTEXT is told to them. */
  contextFields(index: number, generation: number, type: number = DLGCB.RPC_CONTEXT): ContextFields {
    const fields: ContextFields = {};
    this.callbacks.tell(type, index, generation, null, null, 0, fields);
    return fields;
  }

  /** The dialog was restored from where it was stored: LOADED is told. */
  restored(index: number, generation: number): void {
    this.callbacks.tell(DLGCB.LOADED, index, generation, null, null, 0);
  }

  // ---- look-up by scripts ------------------------------------------------------------------------------------------

  /** Puts the dialog in hand that the context names, or else the one that Call-ID and tags of the message find. */
  messageDialog(message: Message): boolean {
    if (this.contextDialog()) return true;
    if (message.method === M_CANCEL && message.isRequest) return this.cancelledDialog(message);
    const { context, params, records, x } = this;
    if (context.isUnknown) return false;
    const isFirst = !message.hasToTag;
    if (isFirst && context.mayCreate && message.method === M_INVITE) {
      // It makes a call of its own, unless it has been here: whoever has its Call-ID is no part of it.
      if (params.detect_spirals === 1 && this.findSpiral(message)) return true;
    } else if (records.findByTags(message)) {
      // Who has failed is not found by the next attempt, which has the same Call-ID.
      if (!isFirst || x[D_STATE] !== DELETED) return true;
    }
    // An INVITE that makes a call asks this for its limits, and once more whether it has been here.
    context.isUnknown = context.mayCreate && isFirst;
    return false;
  }

  /** A CANCEL has the ends of the INVITE it is about; with dlg_ctxiuid_mode its dialog becomes the context's. */
  private cancelledDialog(message: Message): boolean {
    const { context, records } = this;
    if (!records.findByTags(message) || this.x[D_STATE] === DELETED) return false;
    if (this.params.dlg_ctxiuid_mode === 1) context.point(records.index, records.generation, 1);
    return true;
  }

  /** Puts the context's dialog in hand. */
  contextDialog(): boolean {
    return this.records.load(this.context.index, this.context.generation);
  }

  /** dlg_get(): the context points to the dialog of these texts, whatever way round the tags are. */
  find(callId: string, fromTag: string, toTag: string): boolean {
    const { context, records, x } = this;
    if (toTag === '' || !this.loadByTags(callId, fromTag, toTag)) return false;
    context.dir = x[D_DIRECTION]!;
    context.point(records.index, records.generation, context.dir);
    return true;
  }

  /** Puts the dialog of these texts in hand; without To tag one that is not answered.  The context stays. */
  loadByTags(callId: string, fromTag: string, toTag: string): boolean {
    if (callId === '' || fromTag === '') return false;
    const { memory, records, x } = this;
    const { scratch } = memory;
    const mark = scratch.at;
    const texts = [toBytes(callId), toBytes(fromTag), toBytes(toTag)] as const;
    const written = texts.every((text) => records.write(text));
    scratch.at = mark;
    if (!written) return false;
    let at = mark;
    for (let n = 0; n < texts.length; n++) {
      records.setText(X_ARGS + 2 * n, at, texts[n]!.length);
      at += texts[n]!.length;
    }
    x[X_ARGS + 6] = 0;
    if (this.native.dialogFindByCallId() !== STATUS.ok) return false;
    return toTag !== '' || x[D_STATE] !== DELETED;
  }

  /** Puts the one answered dialog of a Call-ID in hand; false: there is none, or there are several. */
  loadByCallId(callId: string): boolean {
    const { memory, native, records, x } = this;
    const { scratch } = memory;
    const mark = scratch.at;
    let index = 0;
    let generation = 0;
    const text = toBytes(callId);
    let isOnly = text !== '' && records.write(text);
    scratch.at = mark;
    for (let nth = 0; isOnly && nth < SAME_CALL_ID_MAX; nth++) {
      for (let n = X_ARGS; n < X_ARGS + FIND_CALL_WORDS; n++) x[n] = 0;
      records.setText(X_ARGS, mark, text.length);
      if (native.dialogFindCall(nth) !== STATUS.ok) break;
      if (x[D_STATE] !== CONFIRMED && x[D_STATE] !== CONFIRMED_NO_ACK) continue;
      isOnly = index === 0;
      index = records.index;
      generation = records.generation;
    }
    return isOnly && records.load(index, generation);
  }

  /** dlg_set_timeout_by_profile(): of every member of a profile, or of one value, that rings or is up. */
  setTimeoutOfMembers(profile: string, value: string | null, seconds: number): boolean {
    if (this.profiles.size(profile, value) < 0) return false;
    const { members, records, x } = this;
    for (let skip = 0; ; skip += MEMBERS_AT_A_TIME) {
      const count = this.membersOf(profile, value, skip, members);
      for (let n = 0; n < count; n++) {
        if (records.load(members[2 * n]!, members[2 * n + 1]!) && x[D_STATE] !== UNCONFIRMED)
          this.setTimeout(seconds);
      }
      if (count < MEMBERS_AT_A_TIME) return true;
    }
  }

  /** A plain copy of the dialog in hand; null if it is gone. */
  snapshot(): Snapshot | null {
    return this.desk.snapshot();
  }

  /** One text of the dialog in hand (TEXT_*); null if it is gone. */
  snapshotText(number: number): string | null {
    return this.desk.snapshotText(number);
  }

  /** dlg_set_timeout(): lifetime and deadline of the dialog in hand, counted from now. */
  setTimeout(seconds: number): boolean {
    const { native, records, x } = this;
    for (let attempt = 0; attempt < record.ATTEMPTS_MAX; attempt++) {
      const { index, generation } = records;
      const state = x[D_STATE]!;
      if (state === DELETED) return false;
      const runs = state === CONFIRMED_NO_ACK || state === CONFIRMED;
      const sinceAnswer = native.nowUnixSeconds() - x[D_START_TS]!;
      const fields = record.CHANGE_LIFETIME | record.CHANGE_FLAGS | (runs ? record.CHANGE_DUE : 0);
      records.beginChange(fields, state);
      x[record.A_LIFETIME] = seconds;
      x[record.A_DUE] = this.lifetime.dueAtSet(state, native.nowBootSeconds(), seconds, sinceAnswer);
      x[record.A_FLAGS_SET] = record.FLAG_CHANGED;
      if (runs) records.forgetSavedDue();
      const status = records.change(index, generation);
      if (status !== STATUS.conflict) return status === STATUS.ok;
      if (!records.load(index, generation)) return false;
    }
    return false;
  }

  // ---- requests ----------------------------------------------------------------------------------------------------

  /** An INVITE that comes by again belongs to the dialog that it made, and adds nothing to it. */
  private isSpiral(message: Message): boolean {
    const { context, native, records } = this;
    if (context.isUnknown || !this.findSpiral(message)) return false;
    const { index, generation } = records;
    context.spiral = true;
    context.own(index, generation, 1);
    this.attachPending(index, generation);
    native.count(COUNTERS.spirals, 1);
    this.tellFirst(DLGCB.SPIRALED, index, generation, message);
    return true;
  }

  /**
   * Puts the dialog in hand that an INVITE without To tag made when it came by before: one of its Vias is ours, of the live
   * transaction that holds the dialog.  The same Call-ID and From tag alone say nothing: anybody can write them into a
   * second call.
   */
  private findSpiral(message: Message): boolean {
    const { records, x } = this;
    if (!this.dialogOfVia(message)) return false;
    return records.isOfCaller(message, x[X_ARGS]!, x[X_ARGS + 1]!) && x[D_STATE] !== DELETED;
  }

  /** Without Vias to go by, the same Call-ID, From tag and CSeq number are the same INVITE. */
  private dialogOfSameInvite(message: Message): boolean {
    const { records, x } = this;
    if (!records.findByCallerTag(message) || x[D_CALLER_CSEQ] !== message.cseq) return false;
    records.setText(X_ARGS, records.index, records.generation);
    return true;
  }

  /** The INVITE came to us by another way already, and has no final answer yet.  [RFC 3261 8.2.2.2] */
  private isMerged(message: Message): boolean {
    const { records, x } = this;
    return records.findByCallerTag(message) && x[D_STATE]! <= EARLY && x[D_CALLER_CSEQ] === message.cseq;
  }

  private create(message: Message, requestUriAt: number, requestUriLength: number): boolean {
    const { context, memory, native, records, x } = this;
    if (!hasOneContact(message)) return refuse(context, native, 'contact');
    const { scratch } = memory;
    const mark = scratch.at;
    const routeSetLength = writeCallerRouteSet(message, scratch);
    if (routeSetLength === ROUTE_SET_UNUSABLE) return refuse(context, native, 'route_set');
    const routeAt = scratch.at;
    const source = this.observedSource(message);
    const written = records.write(context.timeoutRoute) && records.write(source);
    scratch.at = mark;
    if (!written) return this.notCreated(STATUS.noMemory);

    const { at } = message;
    records.setText(record.N_CALL_ID, at + message.word(W_CALL_ID_OFF), message.word(W_CALL_ID_LEN));
    records.setText(record.N_CALLER_TAG, at + message.word(W_FROM_TAG_OFF), message.word(W_FROM_TAG_LEN));
    records.setText(record.N_FROM_URI, at + message.word(W_FROM_URI_OFF), message.word(W_FROM_URI_LEN));
    records.setText(record.N_TO_URI, at + message.word(W_TO_URI_OFF), message.word(W_TO_URI_LEN));
    records.setText(record.N_REQUEST_URI, requestUriAt, requestUriLength);
    const contactAt = at + message.word(W_CONTACT_URI_OFF);
    records.setText(record.N_CALLER_CONTACT, contactAt, message.word(W_CONTACT_URI_LEN));
    records.setText(record.N_CALLER_ROUTE_SET, mark, routeSetLength);
    records.setText(record.N_TIMEOUT_ROUTE, routeAt, context.timeoutRoute.length);
    x[record.N_CALLER_CSEQ] = message.cseq;
    x[record.N_LIFETIME] = this.lifetime.initial(context.timeoutSeconds, context.avpSeconds);
    x[record.N_SCRIPT_FLAGS] = context.flags;
    const endsWithBye = context.timeoutBye !== 0 || this.params.send_bye === 1;
    x[record.N_PROPERTIES] = context.properties | (endsWithBye ? record.PROPERTY_TIMEOUT_BYE : 0);
    x[record.N_INIT_TS] = native.nowUnixSeconds();
    x[record.N_CALLER_SOCKET] = message.flow;
    x[record.N_RECORD_ROUTES] = message.word(W_RECORD_ROUTE_COUNT);
    records.setText(record.N_CALLER_SOURCE, routeAt + context.timeoutRoute.length, source.length);
    const status = native.dialogCreate();
    if (status !== STATUS.ok) return this.notCreated(status);

    const { index, generation } = records;
    context.created = true;
    context.isUnknown = false;
    context.cookieOwed = this.params.dlg_match_mode !== DID_NONE;
    context.entry = x[D_ENTRY]!;
    context.id = x[D_COOKIE_ID]!;
    context.own(index, generation, 1);
    this.attachPending(index, generation);
    this.tellFirst(DLGCB.CREATED, index, generation, message);
    native.count(COUNTERS.processed, 1);
    return true;
  }

  /** CREATED and SPIRALED: at once, or when the transaction is made if there is none yet.  [manual 5.44] */
  private tellFirst(type: number, index: number, generation: number, message: Message): void {
    const { context } = this;
    const isNow = this.params.initial_cbs_inscript === 1 || context.hasTransaction;
    if (isNow) this.callbacks.tell(type, index, generation, message, null, 1);
    else context.owedCallback = type;
  }

  private notCreated(status: number): boolean {
    const { context, native } = this;
    if (status === STATUS.limit) return refuse(context, native, 'call_id');
    if (status !== STATUS.noMemory) return refuse(context, native, 'text');
    context.refusedForMemory = true;
    this.log.warn('no_room_for_dialog');
    return refuse(context, native, 'memory');
  }

  /** What waited for the dialog of this message belongs to it now. */
  private attachPending(index: number, generation: number): void {
    const { context } = this;
    if (context.heldMembers > 0 || context.joins.length > 0) this.profiles.attach(context, index, generation);
    if (context.variables.length > 0) this.variables.attach(context, index, generation);
  }

  /** A request within a dialog was matched, and its dialog is in hand; or it was not. */
  private sequential(message: Message, matched: number): void {
    const { context, matcher, native, records, x } = this;
    if (matcher.complaint !== 0) this.complain(message);
    if (matched !== BY_COOKIE && matched !== BY_TAGS) {
      if (matched !== NO_COOKIE) native.count(COUNTERS.unmatched, 1);
      return;
    }
    native.count(matched === BY_COOKIE ? COUNTERS.matchedByCookie : COUNTERS.matchedByTags, 1);
    const { index, generation } = records;
    context.own(index, generation, x[D_DIRECTION]!);
    if (context.isOurs) {
      // Its number is the next of the side it goes to already, and what it does to the call was done when it was made.
      context.status = x[D_STATE]!;
      return;
    }
    context.steps = x[D_STEPS]!;
    const waiting = context.heldMembers + context.joins.length + context.variables.length;
    if (waiting > 0 && x[D_STATE] !== DELETED) {
      this.attachPending(index, generation);
      if (!records.load(index, generation)) return;
    }
    const isShortened = (x[D_MARKS]! & record.MARK_SHORTENED) !== 0;
    this.within.hear(message, index, generation);
    // Whoever sends requests is alive.
    if (isShortened) this.keepAlive.answered(true, 0, index, generation, context.direction);
  }

  /** The dialog in hand is one that the same call made when it came by another time: it hears the request as well. */
  private passedAgain(message: Message): void {
    const { context, desk, native, records, x } = this;
    const { index, generation } = records;
    if (index === context.ownIndex || context.isOurs || x[D_STATE] === DELETED) return;
    native.count(COUNTERS.matchedByCookie, 1);
    const { direction, ended, held, lifetimeSeconds, status } = context;
    context.held = false;
    desk.enter(index, generation, x[D_DIRECTION]!);
    this.within.hear(message, index, generation);
    desk.leave();
    // Its transaction holds the first of them; this one goes by itself.
    if (context.held) desk.letGo(index, generation);
    context.direction = direction;
    context.ended = ended;
    context.held = held;
    context.status = status;
    context.lifetimeSeconds = lifetimeSeconds;
  }

  /** Tells of a cookie that was not believed.  [spec 1.4] */
  private complain(message: Message): void {
    const { matcher, memory } = this;
    const { cookie } = matcher;
    this.native.count(COUNTERS.badCookie, 1);
    const isRead = matcher.complaint !== BAD_COOKIE;
    const method = message.methodName;
    const text = memory.text(cookie.at, Math.min(cookie.length, COOKIE_TOLD_BYTES_MAX));
    const named = isRead ? { dialog: `[${cookie.entry}:${cookie.id}]` } : {};
    this.log.warn(COMPLAINTS[matcher.complaint]!, {
      method,
      cookie: text,
      ...named,
      call_id: message.callId,
    });
    matcher.complaint = 0;
  }

  // ---- answers -----------------------------------------------------------------------------------------------------

  private replyToInvite(
    message: Message | null,
    code: number,
    ownRecordRoutes: number,
    index: number,
    generation: number,
  ): void {
    if (code >= 300) {
      const ended = this.invite.rejected(message, index, generation);
      this.numbers.forget(index);
      if (ended && !this.invite.outlivesFailure) this.unlink(index, generation);
    } else if (code >= 200) this.invite.answered(message, index, generation, ownRecordRoutes);
    else if (message !== null && code > 100) this.invite.rang(message, index, generation, ownRecordRoutes);
  }

  /** Answers to requests within the dialog change no state; a 2xx may move the targets, and who asked hears of it. */
  private replyWithin(
    message: Message,
    code: number,
    direction: number,
    index: number,
    generation: number,
  ): void {
    const isTold = (this.x[T_DIRECTION]! & TRANSACTION_UNTOLD) === 0;
    if (isTold && code >= 200 && code < 300) this.targets.accepted(message, direction, index, generation);
    if (message.cseqMethod === M_BYE) {
      if ((this.x[T_DIRECTION]! & TRANSACTION_ENDED_DIALOG) === 0) return;
      this.callbacks.tell(DLGCB.TERMINATED_CONFIRMED, index, generation, null, message, 2);
    } else if (code < 300 && isTold) {
      this.callbacks.tell(DLGCB.RESPONSE_WITHIN, index, generation, null, message, 3 - direction);
    }
  }

  // ---- ends --------------------------------------------------------------------------------------------------------

  /**
   * Runs the timeout route of an answered call, if its script has one of that name; the route sees the dialog and no
   * message, and may move the deadline.  [spec 3.4]
   */
  private runTimeoutRoute(index: number, generation: number): void {
    const { desk, records, x } = this;
    if (!records.load(index, generation)) return;
    if (x[D_STATE] !== CONFIRMED_NO_ACK && x[D_STATE] !== CONFIRMED) return;
    // A route that a worker died in is not run again.
    if ((x[D_MARKS]! & record.MARK_ROUTE_ASKED) !== 0) return;
    const name = desk.snapshotText(TEXT_TIMEOUT_ROUTE);
    if (name === null || name === '') return;
    records.beginChange(record.CHANGE_MARKS, 0);
    x[record.A_MARKS_SET] = record.MARK_ROUTE_ASKED;
    if (records.change(index, generation) !== STATUS.ok) return;
    desk.enter(index, generation, 0);
    this.effects.timeout(name, index);
    desk.leave();
  }

  /** Text of the request that the transaction in hand keeps; '' if it keeps none. */
  private storedRequestText(): string {
    const { memory, native } = this;
    const { scratch } = memory;
    const length = native.transactionRequest(scratch.at, scratch.end - scratch.at);
    return memory.text(scratch.at, length);
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
    const { desk, records, x } = this;
    for (let attempt = 0; attempt < record.ATTEMPTS_MAX; attempt++) {
      if (!records.load(index, generation) || x[D_STATE] !== UNCONFIRMED) return;
      // Who was not told of its beginning hears nothing of its end.
      if (this.context.owedCallback !== 0) this.callbacks.forget(index, generation);
      else if (x[D_HOLDS] === 1) this.callbacks.destroyed(index, generation);
      if (desk.commitState(UNCONFIRMED, DELETED, 0, index, generation) !== STATUS.conflict) return;
    }
    desk.lost('destroy', STATUS.conflict, index);
  }

  /** A transaction exists but was not told of the dialog: it must not stay for ever. */
  private limitUnlinked(index: number, generation: number): void {
    this.records.beginChange(record.CHANGE_DUE, 0);
    this.x[record.A_DUE] = this.lifetime.dueWithoutTransaction(this.native.nowBootSeconds());
    this.records.change(index, generation);
  }

  // ---- the message's dialog and its transaction --------------------------------------------------------------------

  /** The transaction in hand names the message's dialog, and holds it. */
  private link(): void {
    const { context, x } = this;
    if (context.ownIndex === 0 || context.linked || context.spiral || x[T_DIALOG_INDEX] !== 0) return;
    // What the message held, its transaction holds now.
    if (context.created) {
      if (!this.linkMade(context.ownIndex, context.ownGeneration)) return;
    } else if (!context.held && !this.desk.hold(context.ownIndex, context.ownGeneration)) return;
    context.held = false;
    x[T_DIALOG_INDEX] = context.ownIndex;
    x[T_DIALOG_GENERATION] = context.ownGeneration;
    const made = context.created ? TRANSACTION_MADE_DIALOG : 0;
    const ended = context.ended ? TRANSACTION_ENDED_DIALOG : 0;
    const isUntold = context.isOurs || (context.status !== 0 && !isWithin(context.status));
    const untold = isUntold ? TRANSACTION_UNTOLD : 0;
    x[T_DIRECTION] = context.direction | made | ended | untold;
    context.linked = true;
  }

  /** The dialog that the INVITE made: while nobody has answered, whoever ends the call ends this transaction. */
  private linkMade(index: number, generation: number): boolean {
    const status = this.native.dialogLink(index, generation, this.context.held ? 1 : 0);
    if (status === STATUS.noMemory) this.desk.lost('transaction', status, index);
    return status === STATUS.ok || status === STATUS.noMemory;
  }

  /** A failure route makes a new branch of the INVITE: its Record-Route needs the address of the dialog. */
  private learnAddress(): boolean {
    const { context, x } = this;
    if (!this.records.load(context.ownIndex, context.ownGeneration)) return false;
    context.entry = x[D_ENTRY]!;
    context.id = x[D_COOKIE_ID]!;
    return true;
  }

  private unlink(index: number, generation: number): void {
    this.x[T_DIALOG_INDEX] = 0;
    this.x[T_DIALOG_GENERATION] = 0;
    this.desk.letGo(index, generation);
  }

  /** Gives back what the message in hand still holds, and forgets it. */
  private settle(): void {
    const { context } = this;
    if (context.heldMembers > 0) this.profiles.giveBack(context);
    if (context.held) this.desk.letGo(context.ownIndex, context.ownGeneration);
    context.clear();
  }
}

/** The direction of a reply to a request that travels in `direction`; 0: neither is known. */
function opposite(direction: number): number {
  return direction === 0 ? 0 : 3 - direction;
}
