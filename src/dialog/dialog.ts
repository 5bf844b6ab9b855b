/**
 * A dialog as plain data: one consistent copy of its record, read by management, $dlg() and whoever embeds the engine.
 *
 * The one place that knows how a snapshot is laid out: DialogWord words, texts in the order of SnapshotText (a length
 * word, then bytes padded to 4), variables and profile members as pairs of texts, early legs as three.  [native/core/table.h]
 */
import { constant } from '../memory/words.js';
import { printable } from '../sip/utf8.js';
import { DELETED } from './machine.js';
import { NO_CSEQ } from './record.js';
import type { Call } from './requests.js';

/** A dialog's address: hash entry and id. */
export type DialogAddress = { readonly entry: number; readonly id: number };
/** A record, for as long as its generation lasts. */
export type DialogHandle = { readonly index: number; readonly generation: number };

/** One side of a dialog as management prints it.  null: not known, or empty.  [spec 10.4] */
export type LegView = {
  readonly tag: string | null;
  readonly contact: string | null;
  /** Text, as everywhere in these replies. */
  readonly cseq: string | null;
  readonly route_set: string | null;
  /** `udp:192.0.2.1:5060` */
  readonly socket: string | null;
};

/** Somebody who rings, as management prints it.  [RFC 3261 12.1.2] */
export type EarlyLegView = Pick<LegView, 'contact' | 'route_set'> & { readonly tag: string };

/** One dialog as management prints it: these names, in this order.  [manual 9.1] */
export type DialogView = {
  readonly h_entry: number;
  readonly h_id: number;
  readonly ref: number;
  readonly 'call-id': string;
  readonly from_uri: string;
  readonly to_uri: string;
  /** 1 unconfirmed, 2 early, 3 confirmed without ACK, 4 confirmed, 5 deleted */
  readonly state: number;
  /** Unix time of the answer; 0 before it. */
  readonly start_ts: number;
  readonly init_ts: number;
  /** 0 while the dialog lives. */
  readonly end_ts: number;
  /** Seconds since the answer, up to the end; 0 for a call that was never answered. */
  readonly duration: number;
  /** Unix time of the expiry; 0 when none is set. */
  readonly timeout: number;
  readonly lifetime: number;
  readonly dflags: number;
  readonly sflags: number;
  readonly iflags: number;
  readonly caller: LegView;
  readonly callee: LegView;
  /** A name, or `{name: value}`, newest first; empty in state 5. */
  readonly profiles: readonly ProfileEntry[];
  /** `{key: value}` each, newest first; empty in state 5. */
  readonly variables: readonly { readonly [key: string]: string }[];
  /** One for each To tag of an 18x, newest first; left out when there is none. */
  readonly early_legs?: readonly EarlyLegView[];
};

/** A profile without values, or one with its value. */
export type ProfileEntry = string | { readonly [profile: string]: string };

/** What a snapshot holds beyond DialogView. */
export type Snapshot = DialogView & {
  readonly handle: DialogHandle;
  readonly request_uri: string;
  readonly timeout_route: string | null;
  /** Observed addresses, `192.0.2.1:40123`; null: not kept. */
  readonly caller_source: string | null;
  readonly callee_source: string | null;
};

/** Now, in both kinds of seconds that a record knows. */
export type Now = { readonly bootSeconds: number; readonly unixSeconds: number };

export const TEXT_CALL_ID = constant('TextCallId');
export const TEXT_FROM_URI = constant('TextFromUri');
export const TEXT_TO_URI = constant('TextToUri');
export const TEXT_REQUEST_URI = constant('TextRequestUri');
export const TEXT_CALLER_TAG = constant('TextCallerTag');
export const TEXT_CALLEE_TAG = constant('TextCalleeTag');
export const TEXT_CALLER_CONTACT = constant('TextCallerContact');
export const TEXT_CALLEE_CONTACT = constant('TextCalleeContact');
export const TEXT_CALLER_ROUTE_SET = constant('TextCallerRouteSet');
export const TEXT_CALLEE_ROUTE_SET = constant('TextCalleeRouteSet');
export const TEXT_CALLER_SOCKET = constant('TextCallerSocket');
export const TEXT_CALLEE_SOCKET = constant('TextCalleeSocket');
export const TEXT_TIMEOUT_ROUTE = constant('TextTimeoutRoute');
export const TEXT_CALLER_SOURCE = constant('TextCallerSource');
export const TEXT_CALLEE_SOURCE = constant('TextCalleeSource');
const TEXT_COUNT = constant('TextCount');
/** Whether a text, by its number, is part of a Call. */
const CALL_TEXTS = Array.from({ length: TEXT_COUNT }, (_, number) =>
  [
    TEXT_CALL_ID,
    TEXT_FROM_URI,
    TEXT_TO_URI,
    TEXT_CALLER_TAG,
    TEXT_CALLEE_TAG,
    TEXT_CALLER_CONTACT,
    TEXT_CALLEE_CONTACT,
    TEXT_CALLER_ROUTE_SET,
    TEXT_CALLEE_ROUTE_SET,
    TEXT_CALLER_SOURCE,
    TEXT_CALLEE_SOURCE,
  ].includes(number),
);

const DIALOG_WORDS = constant('DialogWords');
const WORD = {
  index: constant('DIndex'),
  generation: constant('DGeneration'),
  entry: constant('DEntry'),
  id: constant('DId'),
  state: constant('DState'),
  holds: constant('DHolds'),
  flags: constant('DFlags'),
  scriptFlags: constant('DScriptFlags'),
  properties: constant('DProperties'),
  lifetime: constant('DLifetime'),
  due: constant('DDue'),
  initTs: constant('DInitTs'),
  startTs: constant('DStartTs'),
  endTs: constant('DEndTs'),
  callerCSeq: constant('DCallerCSeq'),
  calleeCSeq: constant('DCalleeCSeq'),
  callerSocket: constant('DCallerSocket'),
  calleeSocket: constant('DCalleeSocket'),
  members: constant('DMembers'),
  variables: constant('DVariables'),
  earlyLegs: constant('DEarlyLegs'),
} as const;

/**
 * How bytes become text: scripts see each byte as one character and can put it back as it was; people and programs
 * read UTF-8, and what is none as `\\xNN`.  [RFC 3261 7]
 */
export type Reading = 'latin1' | 'utf8';

/** Reads the snapshot at `at` of `bytes`. */
export function readSnapshot(bytes: Buffer, at: number, now: Now, reading: Reading): Snapshot {
  const word = (number: number): number => bytes.readUInt32LE(at + 4 * number);
  const texts = new TextReader(bytes, at + 4 * DIALOG_WORDS, reading);
  const text = Array.from({ length: TEXT_COUNT }, () => texts.next());
  const variables = Array.from({ length: word(WORD.variables) }, () => ({ [texts.next()]: texts.next() }));
  const profiles = Array.from({ length: word(WORD.members) }, () => profileEntry(texts.next(), texts.next()));
  const rings = Array.from({ length: word(WORD.earlyLegs) }, () => earlyLeg(texts));
  const state = word(WORD.state);
  const due = word(WORD.due);
  const startTs = word(WORD.startTs);
  const endTs = word(WORD.endTs);
  return {
    handle: { index: word(WORD.index), generation: word(WORD.generation) },
    h_entry: word(WORD.entry),
    h_id: word(WORD.id),
    ref: word(WORD.holds) + (due === 0 ? 0 : 1),
    'call-id': text[TEXT_CALL_ID]!,
    from_uri: text[TEXT_FROM_URI]!,
    to_uri: text[TEXT_TO_URI]!,
    state,
    start_ts: startTs,
    init_ts: word(WORD.initTs),
    end_ts: endTs,
    duration: duration(startTs, endTs, now.unixSeconds),
    timeout: due === 0 ? 0 : now.unixSeconds + ((due - now.bootSeconds) | 0),
    lifetime: word(WORD.lifetime),
    dflags: word(WORD.flags),
    sflags: word(WORD.scriptFlags),
    iflags: word(WORD.properties),
    caller: {
      tag: orNull(text[TEXT_CALLER_TAG]!),
      contact: orNull(text[TEXT_CALLER_CONTACT]!),
      cseq: cseqText(word(WORD.callerCSeq)),
      route_set: orNull(text[TEXT_CALLER_ROUTE_SET]!),
      socket: orNull(text[TEXT_CALLER_SOCKET]!),
    },
    callee: {
      tag: orNull(text[TEXT_CALLEE_TAG]!),
      contact: orNull(text[TEXT_CALLEE_CONTACT]!),
      cseq: calleeCSeqText(word(WORD.calleeCSeq), startTs),
      route_set: orNull(text[TEXT_CALLEE_ROUTE_SET]!),
      socket: orNull(text[TEXT_CALLEE_SOCKET]!),
    },
    profiles: state === DELETED ? [] : profiles,
    variables: state === DELETED ? [] : variables,
    ...(rings.length === 0 ? {} : { early_legs: rings }),
    request_uri: text[TEXT_REQUEST_URI]!,
    timeout_route: orNull(text[TEXT_TIMEOUT_ROUTE]!),
    caller_source: orNull(text[TEXT_CALLER_SOURCE]!),
    callee_source: orNull(text[TEXT_CALLEE_SOURCE]!),
  };
}

/** The memberships in the snapshot at `at`, newest first. */
export function readSnapshotProfiles(bytes: Buffer, at: number): readonly ProfileEntry[] {
  const texts = new TextReader(bytes, at + 4 * DIALOG_WORDS, 'latin1');
  const variables = bytes.readUInt32LE(at + 4 * WORD.variables);
  for (let n = 0; n < TEXT_COUNT + 2 * variables; n++) texts.skip();
  const members = bytes.readUInt32LE(at + 4 * WORD.members);
  return Array.from({ length: members }, () => profileEntry(texts.next(), texts.next()));
}

/** What requests to the sides of the snapshot at `at` are made of. */
export function readCall(bytes: Buffer, at: number): Call {
  const texts = new TextReader(bytes, at + 4 * DIALOG_WORDS, 'latin1');
  const text = CALL_TEXTS.map((isWanted) => (isWanted ? texts.next() : texts.skip()));
  return {
    index: bytes.readUInt32LE(at + 4 * WORD.index),
    generation: bytes.readUInt32LE(at + 4 * WORD.generation),
    callId: text[TEXT_CALL_ID]!,
    caller: {
      uri: text[TEXT_FROM_URI]!,
      tag: text[TEXT_CALLER_TAG]!,
      contact: text[TEXT_CALLER_CONTACT]!,
      routeSet: text[TEXT_CALLER_ROUTE_SET]!,
      source: text[TEXT_CALLER_SOURCE]!,
      socket: bytes.readUInt32LE(at + 4 * WORD.callerSocket),
    },
    callee: {
      uri: text[TEXT_TO_URI]!,
      tag: text[TEXT_CALLEE_TAG]!,
      contact: text[TEXT_CALLEE_CONTACT]!,
      routeSet: text[TEXT_CALLEE_ROUTE_SET]!,
      source: text[TEXT_CALLEE_SOURCE]!,
      socket: bytes.readUInt32LE(at + 4 * WORD.calleeSocket),
    },
  };
}

/** One text of the snapshot at `at`; number as TEXT_*. */
export function readSnapshotText(bytes: Buffer, at: number, number: number): string {
  const texts = new TextReader(bytes, at + 4 * DIALOG_WORDS, 'latin1');
  for (let n = 0; n < number; n++) texts.skip();
  return texts.next();
}

class TextReader {
  private at: number;
  private readonly bytes: Buffer;
  private readonly reading: Reading;

  constructor(bytes: Buffer, at: number, reading: Reading) {
    this.bytes = bytes;
    this.at = at;
    this.reading = reading;
  }

  next(): string {
    const from = this.at + 4;
    const length = this.bytes.readUInt32LE(this.at);
    this.at = from + ((length + 3) & ~3);
    if (length === 0) return '';
    const text = this.bytes.latin1Slice(from, from + length);
    return this.reading === 'utf8' ? printable(text) : text;
  }

  /** Passes over one text. */
  skip(): '' {
    this.at += 4 + ((this.bytes.readUInt32LE(this.at) + 3) & ~3);
    return '';
  }
}

function duration(startTs: number, endTs: number, now: number): number {
  if (startTs === 0) return 0;
  return Math.max((endTs === 0 ? now : endTs) - startTs, 0);
}

function profileEntry(name: string, value: string): ProfileEntry {
  return value === '' ? name : { [name]: value };
}

function earlyLeg(texts: TextReader): EarlyLegView {
  return { tag: texts.next(), contact: orNull(texts.next()), route_set: orNull(texts.next()) };
}

function orNull(text: string): string | null {
  return text === '' ? null : text;
}

function cseqText(number: number): string | null {
  return number === NO_CSEQ ? null : String(number);
}

/** '0' from the answer on, until the callee sends a request. */
function calleeCSeqText(number: number, startTs: number): string | null {
  if (number !== NO_CSEQ) return String(number);
  return startTs !== 0 ? '0' : null;
}
