/**
 * One message's passage through the dialogs, with the transactions that the tracker expects to have in hand.
 *
 * A proxy tells the tracker which transaction a message belongs to; here that is found out from the message.  An INVITE
 * that made a dialog is named by its Call-ID, From tag and CSeq number.
 */
import { COOKIE_ABSENT, type CookieReader, cookieText } from '../dialog/cookie.js';
import type { DialogHandle } from '../dialog/dialog.js';
import { DELETED, EARLY, UNCONFIRMED } from '../dialog/machine.js';
import { type DialogTracker, TRANSACTION_MADE_DIALOG } from '../dialog/tracker.js';
import { type Shard, STATUS } from '../memory/addon.js';
import type { ShardMemory } from '../memory/shard-memory.js';
import {
  D_CALLER_CSEQ,
  D_COOKIE_ID,
  D_DIRECTION,
  D_ENTRY,
  D_ID,
  D_START_TS,
  D_STATE,
  HEAD_WORDS,
  T_DIALOG_GENERATION,
  T_DIALOG_INDEX,
  T_DIRECTION,
  T_GENERATION,
  T_INDEX,
} from '../memory/words.js';
import type { Message } from '../sip/message.js';
import type { SipParser } from '../sip/parse.js';
import {
  M_BYE,
  M_CANCEL,
  M_INVITE,
  U_PARAMS_LEN,
  U_PARAMS_OFF,
  W_ROUTE_COUNT,
  W_ROUTE_ITEM,
} from '../sip/words.js';
import type { KeptRequests } from './kept-requests.js';
import { NOTHING, type Step } from './news.js';
import { type Transaction, Transactions } from './transactions.js';

/** What an initial INVITE's dialog begins with; of other requests it says nothing. */
export type Beginning = {
  /** false: the INVITE makes no dialog. */
  readonly track?: boolean;
  /** Lifetime, counted from the answer; left out: `default_timeout`. */
  readonly lifetimeSeconds?: number;
  /** Whether BYEs are sent when the lifetime is over; left out: as `send_bye` says. */
  readonly timeoutBye?: boolean;
  /** Name that `timeout` tells when the lifetime is over; left out: it is not told. */
  readonly timeoutRoute?: string;
};

/** Replies of forks may come this long after the first final answer.  [RFC 3261 13.3.1.4: 64 * T1] */
const FINISHED_SECONDS = 32;
/** Dialogs of one Call-ID. */
const SAME_CALL_ID_MAX = 256;
/** Transactions whose time is over that one tick takes on. */
const DUE_PER_TICK_MAX = 256;

export type PassageParts = {
  readonly native: Shard;
  readonly memory: ShardMemory;
  readonly parser: SipParser;
  readonly tracker: DialogTracker;
  readonly cookie: CookieReader;
  readonly kept: KeptRequests;
  readonly params: { readonly rr_param: string; readonly early_timeout: number };
  /** A process before this one may have left calls that ring. */
  readonly adopts: boolean;
};

export class Passage {
  private readonly parts: PassageParts;
  private readonly native: Shard;
  private readonly tracker: DialogTracker;
  private readonly x: Uint32Array;
  private readonly ringing: Transactions;
  private readonly finished = new Transactions(FINISHED_SECONDS);
  private readonly byes = new Transactions(FINISHED_SECONDS);

  constructor(parts: PassageParts) {
    this.parts = parts;
    this.native = parts.native;
    this.tracker = parts.tracker;
    this.x = parts.memory.exchange;
    this.ringing = new Transactions(parts.params.early_timeout);
  }

  /** Whether the INVITE of this dialog waits for its final answer. */
  isRinging(index: number, generation: number): boolean {
    return this.ringing.get(index, generation) !== null;
  }

  /** Nothing is in hand: as before a message. */
  begin(): void {
    this.parts.memory.scratch.reset();
    this.parts.kept.clear();
    this.x.fill(0, T_INDEX, T_INDEX + HEAD_WORDS);
    this.tracker.records.leftIndex = 0;
  }

  // ---- requests ----------------------------------------------------------------------------------------------------

  request(message: Message, how: Beginning): Step {
    const { tracker, x } = this;
    const { context } = tracker;
    tracker.begin(message);
    const isInitial = message.method === M_INVITE && !message.hasToTag && how.track !== false;
    if (message.hasToTag) this.findDialog(message);
    else if (isInitial) this.create(message, how);
    const { ownIndex: index, ownGeneration: generation, created, direction } = context;
    if (index === 0) {
      const step = message.method === M_CANCEL ? this.cancelled(message) : this.refused(isInitial);
      tracker.scriptEnded(message, false);
      return step;
    }
    const keeps = created || (message.method === M_BYE && this.byes.get(index, generation) === null);
    if (keeps) {
      // The engine's INVITEs are named by their dialogs.
      x[T_INDEX] = index;
      x[T_GENERATION] = generation;
      tracker.relayed(message);
    }
    const cseq = created ? 0 : tracker.mapCSeq(message, message.cseq);
    const sent = cseq === 0 ? message.cseq : cseq;
    if (keeps && x[T_DIALOG_INDEX] !== 0) this.remember(sent);
    if (!created) {
      const now = this.native.nowBootSeconds();
      this.parts.kept.keep(message, index, generation, direction, sent, now);
    }
    const step = this.stepOf(index, generation, direction, created ? 0 : -1);
    const recordRoute = context.cookieOwed ? this.recordRouteOf(step) : null;
    tracker.scriptEnded(message, keeps);
    if (recordRoute === null && sent === message.cseq) return step;
    return { ...step, recordRoute, cseq: sent === message.cseq ? null : sent };
  }

  private create(message: Message, { lifetimeSeconds, timeoutBye, timeoutRoute }: Beginning): void {
    const { context } = this.tracker;
    if (lifetimeSeconds !== undefined) context.timeoutSeconds = lifetimeSeconds;
    if (timeoutBye === true) context.timeoutBye = 1;
    if (timeoutRoute !== undefined) context.timeoutRoute = timeoutRoute;
    this.tracker.manage(message);
  }

  /** A topmost Route with our cookie is matched as dlg_match_mode says, everything else by Call-ID and tags. */
  private findDialog(message: Message): void {
    const { cookie, memory, parser } = this.parts;
    if (message.word(W_ROUTE_COUNT) > 0) {
      const route = message.word(W_ROUTE_ITEM);
      const { uriWords, words } = memory;
      parser.parseUri(message.at, message.itemUriOffset(route), message.itemUriLength(route), uriWords);
      const offset = words[(uriWords >> 2) + U_PARAMS_OFF]!;
      const length = words[(uriWords >> 2) + U_PARAMS_LEN]!;
      if (length > 0 && cookie.find(message.at + offset, length) !== COOKIE_ABSENT) {
        this.tracker.looseRouted(message, offset, length);
        return;
      }
    }
    this.tracker.manage(message);
  }

  /** What the INVITE is answered with ends the dialog, not the CANCEL. */
  private cancelled(message: Message): Step {
    const invite = this.inviteOf(message);
    return invite === null ? NOTHING : this.stepOf(invite.index, invite.generation, 1, -1);
  }

  private refused(isInitial: boolean): Step {
    if (!isInitial) return NOTHING;
    return { ...NOTHING, refused: this.tracker.context.refusedForMemory ? 'no-room' : 'unusable' };
  }

  private recordRouteOf({ dialog }: Step): string | null {
    const { context } = this.tracker;
    const id = context.id !== 0 ? context.id : this.x[D_COOKIE_ID]!;
    return dialog === null ? null : `${this.parts.params.rr_param}=${cookieText(dialog.entry, id)}`;
  }

  // ---- replies -----------------------------------------------------------------------------------------------------

  reply(message: Message, ownRecordRoutes: number): Step {
    const invite = message.cseqMethod === M_INVITE ? this.inviteOf(message) : null;
    return invite === null
      ? this.replyWithin(message, ownRecordRoutes)
      : this.answer(message, invite, ownRecordRoutes);
  }

  private replyWithin(message: Message, ownRecordRoutes: number): Step {
    const { tracker, x } = this;
    const { records } = tracker;
    if (!records.findByTags(message)) return NOTHING;
    const { index, generation } = records;
    const direction = x[D_DIRECTION]!;
    const from = x[D_STATE]!;
    const bye = this.byeOf(message, index, generation);
    this.parts.kept.ask(index, generation, direction, message);
    this.load(index, generation, bye?.direction ?? direction);
    tracker.begin(message);
    tracker.reply(message, message.code, ownRecordRoutes);
    const step = this.stepOf(index, generation, 3 - direction, from);
    if (bye !== null && message.code >= 200) this.end(this.byes, bye);
    return step;
  }

  /** The BYE that ended the dialog, if the reply is its. */
  private byeOf(message: Message, index: number, generation: number): Transaction | null {
    const bye = message.cseqMethod === M_BYE ? this.byes.get(index, generation) : null;
    return bye !== null && bye.cseq === message.cseq ? bye : null;
  }

  private answer(message: Message, invite: Transaction, ownRecordRoutes: number): Step {
    const { tracker, x } = this;
    const { code } = message;
    const before = this.answering(message, invite);
    this.load(invite.index, invite.generation, invite.direction);
    tracker.begin(message);
    tracker.reply(message, code, ownRecordRoutes);
    const isOver = x[T_DIALOG_INDEX] === 0;
    const after = code < 300 && tracker.records.findByTags(message) ? tracker.records.index : invite.index;
    const generation = after === invite.index ? invite.generation : tracker.records.generation;
    const step = this.stepOf(after, generation, 2, after === before.index ? before.state : 0);
    if (isOver || code >= 200) this.ringing.remove(invite);
    if (isOver) this.finished.remove(invite);
    else if (code >= 200) this.finished.add(invite, this.native.nowBootSeconds());
    return step;
  }

  /** The dialog that a reply to the INVITE is about as it is now: a fork may answer for one that is still to be made. */
  private answering(message: Message, invite: Transaction): { index: number; state: number } {
    const { records } = this.tracker;
    if (message.code < 300 && records.findByTags(message)) {
      return { index: records.index, state: this.x[D_STATE]! };
    }
    const state = records.load(invite.index, invite.generation) ? this.x[D_STATE]! : DELETED;
    return { index: invite.index, state };
  }

  /** The INVITE that a reply or a CANCEL is about; null if it made no dialog, or is forgotten. */
  private inviteOf(message: Message): Transaction | null {
    const { records } = this.tracker;
    for (let nth = 0; nth < SAME_CALL_ID_MAX && records.findCall(message, nth); nth++) {
      const { index, generation } = records;
      const found =
        this.ringing.get(index, generation) ??
        this.finished.get(index, generation) ??
        this.adopt(message, index, generation);
      if (found !== null && found.cseq === message.cseq) return found;
    }
    return null;
  }

  /** A process before this one had the INVITE: what still rings, or was answered just now, goes on. */
  private adopt(message: Message, index: number, generation: number): Transaction | null {
    const { native, x } = this;
    if (!this.parts.adopts || !this.isAdoptable(message.cseq)) return null;
    const state = x[D_STATE]!;
    if (native.dialogHold(index, generation) !== STATUS.ok) return null;
    const direction = 1 | TRANSACTION_MADE_DIALOG;
    const invite = { index, generation, cseq: message.cseq, direction, due: 0 };
    (state > EARLY ? this.finished : this.ringing).add(invite, native.nowBootSeconds());
    return invite;
  }

  /** Whether the dialog in hand may have been made by an INVITE with this number. */
  private isAdoptable(cseq: number): boolean {
    const { native, x } = this;
    const state = x[D_STATE]!;
    const highest = x[D_CALLER_CSEQ]!;
    if (state === UNCONFIRMED) return cseq === highest;
    if (state === EARLY) return cseq <= highest;
    const isRecent = native.nowUnixSeconds() - x[D_START_TS]! < FINISHED_SECONDS;
    return state !== DELETED && isRecent && cseq <= highest && x[D_COOKIE_ID] === x[D_ID];
  }

  // ---- transactions ------------------------------------------------------------------------------------------------

  /** The caller's transaction of a dialog's INVITE is over. */
  inviteEnded({ index, generation }: DialogHandle): void {
    for (const transactions of [this.ringing, this.finished]) {
      const invite = transactions.get(index, generation);
      if (invite !== null) this.end(transactions, invite);
    }
  }

  /** Ends transactions whose time is over, a bounded number of them. */
  tick(): void {
    const now = this.native.nowBootSeconds();
    this.parts.kept.tick(now);
    for (const transactions of [this.ringing, this.finished, this.byes]) {
      for (let n = 0; n < DUE_PER_TICK_MAX; n++) {
        const transaction = transactions.due(now);
        if (transaction === null) break;
        this.end(transactions, transaction);
      }
    }
  }

  /** The registers say what the message's transaction knows: it is kept here; `cseq` is the number it goes on with. */
  private remember(cseq: number): void {
    const { x } = this;
    const direction = x[T_DIRECTION]!;
    const index = x[T_DIALOG_INDEX]!;
    const generation = x[T_DIALOG_GENERATION]!;
    const transaction = { index, generation, cseq, direction, due: 0 };
    const made = (direction & TRANSACTION_MADE_DIALOG) !== 0;
    (made ? this.ringing : this.byes).add(transaction, this.native.nowBootSeconds());
  }

  private end(transactions: Transactions, transaction: Transaction): void {
    transactions.remove(transaction);
    this.load(transaction.index, transaction.generation, transaction.direction);
    this.tracker.transactionEnded();
  }

  /** Puts a transaction's dialog into the registers. */
  private load(index: number, generation: number, direction: number): void {
    const { x } = this;
    x[T_DIALOG_INDEX] = index;
    x[T_DIALOG_GENERATION] = generation;
    x[T_DIRECTION] = direction;
  }

  /** @param before state before the message; -1: as it is now, unless it was changed */
  private stepOf(index: number, generation: number, direction: number, before: number): Step {
    const { x } = this;
    const { records } = this.tracker;
    const isThere = records.load(index, generation);
    const to = isThere ? x[D_STATE]! : DELETED;
    const left = records.leftIndex === index ? records.leftState : to;
    const dialog = isThere ? { entry: x[D_ENTRY]!, id: x[D_ID]! } : null;
    return {
      dialog,
      direction,
      from: before < 0 ? left : before,
      to,
      recordRoute: null,
      cseq: null,
      refused: null,
    };
  }
}
