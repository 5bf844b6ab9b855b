/**
 * A dialog's record, as native calls see it: arguments of create and change in the exchange words.
 *
 * One native call per step; it sets only the fields that it names.  After each call X[D_*] shows the record.
 * [native/core/table.h]
 */
import type { Shard } from '../memory/addon.js';
import { STATUS } from '../memory/addon.js';
import type { ShardMemory } from '../memory/shard-memory.js';
import { constant, D_GENERATION, D_INDEX, D_MARKS, X_ARGS } from '../memory/words.js';
import type { Message } from '../sip/message.js';
import {
  W_CALL_ID_LEN,
  W_CALL_ID_OFF,
  W_FROM_TAG_LEN,
  W_FROM_TAG_OFF,
  W_TO_TAG_LEN,
  W_TO_TAG_OFF,
} from '../sip/words.js';

// Which fields a change names (ChangeField).
export const CHANGE_STATE = constant('ChangeState');
export const CHANGE_DUE = constant('ChangeDue');
export const CHANGE_LIFETIME = constant('ChangeLifetime');
export const CHANGE_START_TS = constant('ChangeStartTs');
export const CHANGE_END_TS = constant('ChangeEndTs');
export const CHANGE_FLAGS = constant('ChangeFlags');
export const CHANGE_SCRIPT_FLAGS = constant('ChangeScriptFlags');
export const CHANGE_PROPERTIES = constant('ChangeProperties');
export const CHANGE_CALLER_CSEQ = constant('ChangeCallerCSeq');
export const CHANGE_CALLEE_CSEQ = constant('ChangeCalleeCSeq');
/** Tag, contact, Route set, socket and source of the callee. */
export const CHANGE_CALLEE_LEG = constant('ChangeCalleeLeg');
/** Contact and source (none given: none kept), and the socket if not 0. */
export const CHANGE_CALLER_CONTACT = constant('ChangeCallerContact');
export const CHANGE_CALLEE_CONTACT = constant('ChangeCalleeContact');
export const CHANGE_TIMEOUT_ROUTE = constant('ChangeTimeoutRoute');
export const CHANGE_CALLER_ROUTE_SET = constant('ChangeCallerRouteSet');
/** The INVITE's server transaction; kept in states 1 and 2 only. */
export const CHANGE_TRANSACTION = constant('ChangeTransaction');
/** (old & ~clear) | set; a change of the deadline clears the route's mark first. */
export const CHANGE_MARKS = constant('ChangeMarks');
export const CHANGE_SAVED_DUE = constant('ChangeSavedDue');
/** Arms the keep-alive wheel, in CLOCK_BOOTTIME seconds; 0 disarms. */
export const CHANGE_KA_DUE = constant('ChangeKaDue');

/** The timeout route was asked for. */
export const MARK_ROUTE_ASKED = constant('MarkRouteAsked');
/** A keep-alive that nobody answered shortened the lifetime. */
export const MARK_SHORTENED = constant('MarkShortened');
/** The process before died when a BYE had ended the call, and perhaps before it went on; a hold stands for it. */
export const MARK_BYE_AWAITED = constant('MarkByeAwaited');
/** dialogClaimEnd has ended the call, and its effects have not begun; beside it, why and from which state. */
export const MARK_END_OWED = constant('MarkEndOwed');
export const MARK_END_EXPIRED = constant('MarkEndExpired');
export const MARK_END_NO_ACK = constant('MarkEndNoAck');
/** The process before died owing these BYEs, and no transaction sends them; a hold stands for both. */
export const MARK_BYE_TO_CALLER_UNSENT = constant('MarkByeToCallerUnsent');
export const MARK_BYE_TO_CALLEE_UNSENT = constant('MarkByeToCalleeUnsent');

// Arguments of dialogChange, in the order of struct Change.
export const A_FIELDS = X_ARGS;
export const A_EXPECTED_STATE = X_ARGS + 1;
export const A_STATE = X_ARGS + 2;
export const A_DUE = X_ARGS + 3;
export const A_LIFETIME = X_ARGS + 4;
export const A_START_TS = X_ARGS + 5;
export const A_END_TS = X_ARGS + 6;
export const A_FLAGS_SET = X_ARGS + 7;
export const A_FLAGS_CLEAR = X_ARGS + 8;
export const A_SCRIPT_FLAGS_SET = X_ARGS + 9;
export const A_SCRIPT_FLAGS_CLEAR = X_ARGS + 10;
export const A_PROPERTIES_SET = X_ARGS + 11;
export const A_PROPERTIES_CLEAR = X_ARGS + 12;
export const A_CALLER_CSEQ = X_ARGS + 13;
export const A_CALLEE_CSEQ = X_ARGS + 14;
export const A_CALLER_SOCKET = X_ARGS + 15;
export const A_CALLEE_SOCKET = X_ARGS + 16;
export const A_TRANSACTION_INDEX = X_ARGS + 17;
export const A_TRANSACTION_GENERATION = X_ARGS + 18;
export const A_MARKS_SET = X_ARGS + 19;
export const A_MARKS_CLEAR = X_ARGS + 20;
export const A_SAVED_DUE = X_ARGS + 21;
export const A_KA_DUE = X_ARGS + 22;
export const A_CALLEE_TAG = X_ARGS + 23;
export const A_CALLEE_CONTACT = X_ARGS + 25;
export const A_CALLEE_ROUTE_SET = X_ARGS + 27;
export const A_CALLER_CONTACT = X_ARGS + 29;
export const A_TIMEOUT_ROUTE = X_ARGS + 31;
/** Observed address and port, `192.0.2.1:40123`. */
export const A_CALLER_SOURCE = X_ARGS + 33;
export const A_CALLEE_SOURCE = X_ARGS + 35;
export const A_CALLER_ROUTE_SET = X_ARGS + 37;
const CHANGE_ARGUMENT_WORDS = 23 + 2 * 8;

// Arguments of dialogCreate, in the order of struct NewDialog: texts, then numbers.
export const N_CALL_ID = X_ARGS;
export const N_CALLER_TAG = X_ARGS + 2;
export const N_FROM_URI = X_ARGS + 4;
export const N_TO_URI = X_ARGS + 6;
export const N_REQUEST_URI = X_ARGS + 8;
export const N_CALLER_CONTACT = X_ARGS + 10;
export const N_CALLER_ROUTE_SET = X_ARGS + 12;
export const N_TIMEOUT_ROUTE = X_ARGS + 14;
export const N_CALLER_CSEQ = X_ARGS + 16;
export const N_LIFETIME = X_ARGS + 17;
export const N_SCRIPT_FLAGS = X_ARGS + 18;
export const N_PROPERTIES = X_ARGS + 19;
export const N_INIT_TS = X_ARGS + 20;
export const N_CALLER_SOCKET = X_ARGS + 21;
export const N_RECORD_ROUTES = X_ARGS + 22;
/** Observed address and port; a text like the first eight, empty: not kept. */
export const N_CALLER_SOURCE = X_ARGS + 23;

// dflags.  [manual 10.4]
export const FLAG_NEW = 1;
export const FLAG_CHANGED = 2;
export const FLAG_HAS_BYE = 4;
/** A BYE of ours went to that side alone. */
export const FLAG_BYE_TO_CALLER = 16;
export const FLAG_BYE_TO_CALLEE = 32;
export const FLAG_HOOKED = 512;

// iflags: what `dlg.list` prints as properties.
export const PROPERTY_TIMEOUT_BYE = 1;
export const PROPERTY_KA_CALLER = 2;
export const PROPERTY_KA_CALLEE = 4;
export const PROPERTY_TIMEOUT_NORESET = 8;
export const PROPERTY_PRACK = 32;

/** Of the dialog in hand: a hash of the callee's tag, 0 while it is not known; memberships; whether it has a timeout route. */
export const D_CALLEE_TAG_HASH = constant('XDialog') + constant('DCalleeTagHash');
export const D_MEMBERS = constant('XDialog') + constant('DMembers');
export const D_TIMEOUT_ROUTE = constant('XDialog') + constant('DTimeoutRoute');
/** No request of that side is known. */
export const NO_CSEQ = constant('NoCSeq');

/** Two threads may change a dialog at once; who lost looks again, at most this often. */
export const ATTEMPTS_MAX = 4;

/** Room for all texts and variables of any dialog. */
export const SNAPSHOT_BYTES_MAX = constant('SnapshotBytesMax');

export class Records {
  readonly native: Shard;
  readonly memory: ShardMemory;
  readonly x: Uint32Array;
  /** The record whose state was changed last, and the state that it left. */
  leftIndex = 0;
  leftState = 0;

  constructor(native: Shard, memory: ShardMemory) {
    this.native = native;
    this.memory = memory;
    this.x = memory.exchange;
  }

  get index(): number {
    return this.x[D_INDEX]!;
  }

  get generation(): number {
    return this.x[D_GENERATION]!;
  }

  load(index: number, generation: number): boolean {
    return index !== 0 && this.native.dialogLoad(index, generation) === STATUS.ok;
  }

  /** Loads the dialog that a message belongs to by Call-ID and tags, whatever its direction. */
  findByTags(message: Message): boolean {
    if (message.word(W_FROM_TAG_LEN) === 0) return false;
    this.nameMessage(message, message.word(W_TO_TAG_LEN));
    return this.native.dialogFindByCallId() === STATUS.ok;
  }

  /** The same as for a request without To tag: what a spiral is found by. */
  findByCallerTag(message: Message): boolean {
    this.nameMessage(message, 0);
    return this.native.dialogFindByCallId() === STATUS.ok;
  }

  /** Loads a dialog if the INVITE that made it has the Call-ID and From tag of the message, and it is not confirmed. */
  isOfCaller(message: Message, index: number, generation: number): boolean {
    this.nameMessage(message, 0);
    return this.native.dialogMatch(index, generation) === STATUS.ok;
  }

  /** Loads the nth dialog of Call-ID and caller's tag, whatever the To tag; in order of their making. */
  findCall(message: Message, nth: number): boolean {
    if (message.word(W_FROM_TAG_LEN) === 0) return false;
    this.nameMessage(message, 0);
    return this.native.dialogFindCall(nth) === STATUS.ok;
  }

  /** Loads the dialog of an address if Call-ID and tags of the message agree. */
  findByAddress(message: Message, entry: number, id: number): number {
    if (this.native.dialogFindById(entry, id) !== STATUS.ok) return STATUS.notFound;
    const index = this.index;
    const generation = this.generation;
    this.nameMessage(message, message.word(W_TO_TAG_LEN));
    return this.native.dialogMatch(index, generation);
  }

  entryOf(message: Message): number {
    return this.native.entryOf(message.at + message.word(W_CALL_ID_OFF), message.word(W_CALL_ID_LEN));
  }

  /** Clears the arguments and names the fields of the change that follows. */
  beginChange(fields: number, expectedState: number): void {
    const { x } = this;
    // So few that the built-in fill() costs more.
    for (let n = A_FIELDS; n < A_FIELDS + CHANGE_ARGUMENT_WORDS; n++) x[n] = 0;
    x[A_FIELDS] = fields;
    x[A_EXPECTED_STATE] = expectedState;
  }

  /** The deadline of the change begun is meant: the one that keep-alive saved of the dialog in hand is forgotten. */
  forgetSavedDue(): void {
    const { x } = this;
    if ((x[D_MARKS]! & MARK_SHORTENED) === 0) return;
    x[A_FIELDS]! |= CHANGE_SAVED_DUE | CHANGE_MARKS;
    x[A_MARKS_CLEAR] = MARK_SHORTENED;
  }

  change(index: number, generation: number): number {
    const { x } = this;
    const before = (x[A_FIELDS]! & CHANGE_STATE) === 0 ? 0 : x[A_EXPECTED_STATE]!;
    const status = this.native.dialogChange(index, generation);
    if (before !== 0 && status === STATUS.ok) {
      this.leftIndex = index;
      this.leftState = before;
    }
    return status;
  }

  /** Takes the number of a request of our own to `side` (1 caller, 2 callee); 0: there is none to take. */
  takeCSeq(index: number, generation: number, side: number): number {
    const taken = this.native.dialogTakeCSeq(index, generation, directionTo(side)) === STATUS.ok;
    return taken ? this.x[X_ARGS]! : 0;
  }

  /** The highest number that went to `side`, 0: none. */
  sentCSeq(index: number, generation: number, side: number): number {
    const known = this.native.dialogSentCSeq(index, generation, directionTo(side)) === STATUS.ok;
    return known ? this.x[X_ARGS]! : 0;
  }

  setText(argument: number, at: number, length: number): void {
    this.x[argument] = at;
    this.x[argument + 1] = length;
  }

  /** Writes script text into the scratch region; true if there was room.  It ends at scratch.at. */
  write(text: string): boolean {
    const { scratch } = this.memory;
    if (!scratch.hasRoom(text.length)) return false;
    scratch.text(text);
    return true;
  }

  private nameMessage(message: Message, toTagLength: number): void {
    const { x } = this;
    const { at } = message;
    x[X_ARGS] = at + message.word(W_CALL_ID_OFF);
    x[X_ARGS + 1] = message.word(W_CALL_ID_LEN);
    x[X_ARGS + 2] = at + message.word(W_FROM_TAG_OFF);
    x[X_ARGS + 3] = message.word(W_FROM_TAG_LEN);
    x[X_ARGS + 4] = at + message.word(W_TO_TAG_OFF);
    x[X_ARGS + 5] = toTagLength;
    x[X_ARGS + 6] = 0;
  }
}

/** Requests to the callee (2) go downstream, those to the caller (1) upstream. */
function directionTo(side: number): number {
  return 3 - side;
}
