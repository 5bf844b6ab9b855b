/**
 * Looks after dialogs that nobody will end: what a worker left behind that died between two calls.
 *
 * Every dialog has something that ends it: its INVITE transaction while it is not answered, its deadline while it is up,
 * the transactions that hold it afterwards.  Where that something is gone, age decides.  A few records are looked at
 * with each tick, round and round; those that have ended, for they may owe a BYE, first of all and then every second.
 * Only the owner of a dialog ends it.  [spec 3.5]
 */
import { STATUS } from '../memory/addon.js';
import {
  D_BYE_OWED,
  D_END_TS,
  D_ENTRY,
  D_HOLDS,
  D_INIT_TS,
  D_MARKS,
  D_PROPERTIES,
  D_STATE,
} from '../memory/words.js';
import type { Desk } from './desk.js';
import { ENDED_BY_BYE, EXPIRED, EXPIRED_WITH_BYE } from './effects.js';
import type { Ending } from './ending.js';
import type { InviteAnswers } from './invite.js';
import { CONFIRMED, CONFIRMED_NO_ACK, DELETED, EARLY } from './machine.js';
import type { DialogLog, Owners } from './ports.js';
import * as record from './record.js';
import { TO_CALLEE, TO_CALLER } from './requests.js';

/** A BYE that a call owes may be under way, and once more with a higher number; beyond that nobody sends it. */
const BYES_EACH_SIDE = 2;
/** 64 * T1: so long a BYE is repeated.  [RFC 3261 17.1.2.2, timer F] */
const BYE_SECONDS = 32;
/** A busy thread is late. */
const LATE_SECONDS = 20;
/** Records looked at with each tick of 10 ms; the first round, after a start, goes faster. */
const LOOKS_PER_TICK = 4;
const FIRST_LOOKS_PER_TICK = 128;
/** Ended ones that are looked at with a tick, and all records that are passed over on the way to them. */
const ENDED_LOOKS_PER_TICK = 128;
const ENDED_PASSED_PER_TICK = 32_768;

const UNSENT = record.MARK_BYE_TO_CALLER_UNSENT | record.MARK_BYE_TO_CALLEE_UNSENT;

/** Walks the records of the segment. */
export type Walk = {
  /** This shard's number. */
  readonly owner: number;
  /** The next record in use from `cursor` on, or the last of many free ones passed over; 0: none. */
  readonly next: (cursor: number) => number;
  /** The same of those that have ended. */
  readonly nextEnded: (cursor: number) => number;
};

export class Sweep {
  private readonly desk: Desk;
  private readonly invite: InviteAnswers;
  private readonly ending: Ending;
  private readonly owners: Owners;
  private readonly walk: Walk;
  /** Unix time when this worker began. */
  private readonly since: number;
  private readonly earlySeconds: number;
  private readonly endSeconds: number;
  /** After so long no transaction can still send what a call owes. */
  private readonly owedSeconds: number;
  private readonly log: DialogLog;
  private cursor = 1;
  private looksPerTick = FIRST_LOOKS_PER_TICK;
  private endedCursor = 1;
  private isFirstRound = true;
  /** When ended ones were looked at last. */
  private endedAt = 0;

  constructor(
    desk: Desk,
    invite: InviteAnswers,
    ending: Ending,
    owners: Owners,
    walk: Walk,
    params: { readonly early_timeout: number; readonly end_timeout: number },
    answerSeconds: number,
    log: DialogLog,
  ) {
    this.desk = desk;
    this.invite = invite;
    this.ending = ending;
    this.owners = owners;
    this.walk = walk;
    this.since = desk.native.nowUnixSeconds();
    this.earlySeconds = params.early_timeout;
    this.endSeconds = params.end_timeout;
    this.owedSeconds = BYES_EACH_SIDE * answerSeconds + LATE_SECONDS;
    this.log = log;
  }

  /** What a process before owes is not all found yet: the next tick should come soon. */
  get isBehind(): boolean {
    return this.isFirstRound;
  }

  tick(): void {
    this.tickEnded();
    for (let looks = 0; looks < this.looksPerTick; looks++) {
      const index = this.walk.next(this.cursor);
      this.cursor = index + 1;
      if (index === 0) {
        this.looksPerTick = LOOKS_PER_TICK;
        return;
      }
      this.look(index);
    }
  }

  private tickEnded(): void {
    const now = this.desk.native.nowBootSeconds();
    if (!this.isFirstRound && now === this.endedAt) return;
    this.endedAt = now;
    const until = this.endedCursor + ENDED_PASSED_PER_TICK;
    for (let looks = 0; looks < ENDED_LOOKS_PER_TICK && !this.ending.isBusy; looks++) {
      const index = this.walk.nextEnded(this.endedCursor);
      this.endedCursor = index + 1;
      if (index === 0) {
        this.isFirstRound = false;
        return;
      }
      this.look(index);
      if (index >= until) return;
    }
  }

  private look(index: number): void {
    const { native, records, x } = this.desk;
    const generation = this.desk.generationOf(index);
    if (generation < 0 || !records.load(index, generation)) return;
    if (native.ownerOf(x[D_ENTRY]!) !== this.walk.owner) return;
    const now = native.nowUnixSeconds();
    const state = x[D_STATE]!;
    if ((x[D_MARKS]! & record.MARK_END_OWED) !== 0) {
      this.finishEnd(index, generation);
      if (!records.load(index, generation)) return;
    }
    if ((x[D_MARKS]! & UNSENT) !== 0) {
      this.sendByes(index, generation);
      return;
    }
    if (state === DELETED) {
      const age = now - x[D_END_TS]!;
      if (age > this.endSeconds) this.free(index, generation);
      else if ((x[D_MARKS]! & record.MARK_BYE_AWAITED) !== 0) this.awaitBye(index, generation, age);
      // Those of a process before have their transactions, or the mark.
      else if (x[D_BYE_OWED] !== 0 && Math.min(age, now - this.since) > this.owedSeconds)
        this.ending.sendForgotten(index, generation);
      return;
    }
    if (state <= EARLY && x[D_HOLDS] === 1 && now - x[D_INIT_TS]! > this.earlySeconds)
      this.fail(index, generation);
  }

  /** A BYE that came to a process before is repeated for so long; then the call is over for whoever sent it. */
  private awaitBye(index: number, generation: number, age: number): void {
    const { records, x } = this.desk;
    if (age <= BYE_SECONDS) return;
    records.beginChange(record.CHANGE_MARKS, DELETED);
    x[record.A_MARKS_CLEAR] = record.MARK_BYE_AWAITED;
    if (records.change(index, generation) === STATUS.ok) this.desk.letGo(index, generation);
  }

  /** Claimed, but these BYEs are not under way: their process died, or there was no memory. */
  private sendByes(index: number, generation: number): void {
    const { records, x } = this.desk;
    const unsent = x[D_MARKS]! & UNSENT;
    const toCaller = (unsent & record.MARK_BYE_TO_CALLER_UNSENT) !== 0 ? TO_CALLER : 0;
    const toCallee = (unsent & record.MARK_BYE_TO_CALLEE_UNSENT) !== 0 ? TO_CALLEE : 0;
    const left = this.ending.sendOwed(index, generation, toCaller | toCallee);
    const sent =
      unsent &
      ~((left & TO_CALLER) !== 0 ? record.MARK_BYE_TO_CALLER_UNSENT : 0) &
      ~((left & TO_CALLEE) !== 0 ? record.MARK_BYE_TO_CALLEE_UNSENT : 0);
    if (sent === 0) return;
    records.beginChange(record.CHANGE_MARKS, DELETED);
    x[record.A_MARKS_CLEAR] = sent;
    records.change(index, generation);
  }

  /** Claimed by a thread that died before it told us, or whose letter is still under way: then that finds nothing to do. */
  private finishEnd(index: number, generation: number): void {
    const { x } = this.desk;
    const marks = x[D_MARKS]!;
    const from = (marks & record.MARK_END_NO_ACK) !== 0 ? CONFIRMED_NO_ACK : CONFIRMED;
    const withBye = (x[D_PROPERTIES]! & record.PROPERTY_TIMEOUT_BYE) !== 0;
    const expired = withBye ? EXPIRED_WITH_BYE : EXPIRED;
    const how = (marks & record.MARK_END_EXPIRED) !== 0 ? expired : ENDED_BY_BYE;
    this.owners.ended(index, generation, from, how);
  }

  /** Unanswered, and no transaction that could still answer it. */
  private fail(index: number, generation: number): void {
    if (!this.desk.hold(index, generation)) return;
    this.log.warn('dialog_left_behind', { record: index, state: EARLY });
    this.invite.fail(null, 'end', index, generation);
    this.desk.letGo(index, generation);
  }

  /** Ended long ago: whoever holds it is gone, and if not, finds nothing under its old handle. */
  private free(index: number, generation: number): void {
    const { native, x } = this.desk;
    this.log.warn('dialog_left_behind', { record: index, state: DELETED });
    for (let holds = x[D_HOLDS]!; holds > 0; holds--) {
      this.desk.letGo(index, generation);
      if (native.dialogLoad(index, generation) !== STATUS.ok) return;
    }
  }
}
