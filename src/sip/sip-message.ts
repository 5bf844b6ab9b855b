/**
 * A parsed message for those who want values, not offsets: text is decoded when it is asked for.
 *
 * What parseMessage() returns.  The packet path does not use it; there a message is a view over words (message.ts).
 */
import { headerId } from './headers.js';
import * as w from './words.js';

/** A From or To. */
export interface TaggedAddress {
  /** The whole value: display name, URI, parameters. */
  readonly value: string;
  readonly uri: string;
  /** `null` when there is no tag. */
  readonly tag: string | null;
}

/** A Contact, Route or Record-Route value; the URI of Contact "*" is ''. */
export interface Address {
  readonly value: string;
  readonly uri: string;
}

/** A Via value. */
export interface Via {
  readonly value: string;
  /** `null` for a client of RFC 2543. */
  readonly branch: string | null;
}

/** The topmost Via value, with what a response is routed by.  [RFC 3261 18.2.2, RFC 3581] */
export interface TopVia extends Via {
  readonly transport: string;
  /** An IPv6 reference with its brackets. */
  readonly host: string;
  readonly port: number | null;
  readonly received: string | null;
  /** `null` without the parameter, 0 if it has no value. */
  readonly rport: number | null;
  readonly maddr: string | null;
  readonly ttl: number | null;
}

export interface HeaderField {
  /** As written, perhaps in compact form. */
  readonly name: string;
  /** Line folds have become one space. */
  readonly value: string;
}

/** The blanks before it are looked at once, behind it: else a run of them without a line end would be read from each. */
const FOLD = /(?<![ \t])[ \t]*\r?\n[ \t]+/g;

/** A message, or the readable rest of one.  Every property is decoded anew: keep what you use often. */
export class SipMessage {
  private readonly text: Buffer;
  private readonly fixedWords: Uint32Array;
  private readonly headerWords: Uint32Array;
  private readonly itemWords: Uint32Array;

  /** @param words the parser's words; the part that is in use is copied */
  constructor(bytes: Uint8Array, words: Uint32Array) {
    const headersEnd = w.HEADERS_AT + words[w.W_HEADER_COUNT]! * w.HEADER_WORDS;
    const itemsEnd = w.ITEMS_AT + words[w.W_ITEM_COUNT]! * w.ITEM_WORDS;
    this.text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.fixedWords = words.slice(0, w.W_FIXED_END);
    this.headerWords = words.slice(w.HEADERS_AT, headersEnd);
    this.itemWords = words.slice(w.ITEMS_AT, itemsEnd);
  }

  /** The datagram that it was made of; not a copy. */
  get bytes(): Uint8Array {
    return this.text;
  }

  /** Puts the parser's words at index `at` of `words`, as parsing once more would. */
  copyWords(words: Uint32Array, at: number): void {
    words.set(this.fixedWords, at);
    words.set(this.headerWords, at + w.HEADERS_AT);
    words.set(this.itemWords, at + w.ITEMS_AT);
  }

  /** 'unknown' only in a SipFault whose start line could not be read. */
  get kind(): 'request' | 'response' | 'unknown' {
    const kind = this.word(w.W_KIND);
    return kind === 1 ? 'request' : kind === 2 ? 'response' : 'unknown';
  }

  /** Of a response, the method of its CSeq. */
  get method(): string {
    return this.kind === 'response' ? this.span(w.W_CSEQ_METHOD_OFF) : this.span(w.W_METHOD_OFF);
  }

  /** '' in a response. */
  get requestUri(): string {
    return this.span(w.W_RURI_OFF);
  }

  /** 0 in a request. */
  get statusCode(): number {
    return this.word(w.W_CODE);
  }

  get reason(): string {
    return this.span(w.W_REASON_OFF);
  }

  get callId(): string {
    return this.span(w.W_CALL_ID_OFF);
  }

  /** `number` is `null` only in a SipFault. */
  get cseq(): { readonly number: number | null; readonly method: string } {
    return { number: this.number(w.W_CSEQ_NUMBER), method: this.span(w.W_CSEQ_METHOD_OFF) };
  }

  get from(): TaggedAddress {
    return this.taggedAddress(w.W_FROM_OFF, w.W_FROM_URI_OFF, w.W_FROM_TAG_OFF);
  }

  get to(): TaggedAddress {
    return this.taggedAddress(w.W_TO_OFF, w.W_TO_URI_OFF, w.W_TO_TAG_OFF);
  }

  get maxForwards(): number | null {
    return this.number(w.W_MAX_FORWARDS);
  }

  get maxBreadth(): number | null {
    return this.number(w.W_MAX_BREADTH);
  }

  get contentLength(): number | null {
    return this.number(w.W_CONTENT_LENGTH);
  }

  /** `null` only in a SipFault. */
  get topVia(): TopVia | null {
    if (this.word(w.W_VIA_HOST_LEN) === 0) return null;
    return {
      value: this.span(w.W_VIA_OFF),
      branch: this.spanOrNull(w.W_VIA_BRANCH_OFF),
      transport: this.span(w.W_VIA_TRANSPORT_OFF),
      host: this.span(w.W_VIA_HOST_OFF),
      port: this.word(w.W_VIA_PORT) || null,
      received: this.spanOrNull(w.W_VIA_RECEIVED_OFF),
      rport: this.word(w.W_VIA_RPORT_OFF) === 0 ? null : this.word(w.W_VIA_RPORT),
      maddr: this.spanOrNull(w.W_VIA_MADDR_OFF),
      ttl: this.number(w.W_VIA_TTL),
    };
  }

  /** All Via values over all lines, topmost first. */
  get vias(): Via[] {
    return this.items(w.HDR_VIA).map(({ value, uri }) => ({ value, branch: uri || null }));
  }

  get contacts(): Address[] {
    return this.items(w.HDR_CONTACT);
  }

  get routes(): Address[] {
    return this.items(w.HDR_ROUTE);
  }

  get recordRoutes(): Address[] {
    return this.items(w.HDR_RECORD_ROUTE);
  }

  /** A part of the datagram, not a copy. */
  get body(): Uint8Array {
    const at = this.word(w.W_BODY_OFF);
    return this.text.subarray(at, at + this.word(w.W_BODY_LEN));
  }

  get headerCount(): number {
    return this.word(w.W_HEADER_COUNT);
  }

  /** Header field `index` in order of appearance; `index` is below headerCount. */
  headerAt(index: number): HeaderField {
    const row = index * w.HEADER_WORDS;
    const words = this.headerWords;
    const value = this.decode(words[row + w.H_VALUE_OFF]!, words[row + w.H_VALUE_LEN]!);
    return {
      name: this.decode(words[row + w.H_LINE_OFF]!, words[row + w.H_ID_NAME_LEN]! & 0xffff),
      value: value.replace(FOLD, ' '),
    };
  }

  /** All header fields in order of appearance. */
  *headers(): Generator<HeaderField> {
    for (let index = 0; index < this.headerCount; index++) yield this.headerAt(index);
  }

  /** Values of all header fields of this name; long, compact and any case are one name. */
  headerValues(name: string): string[] {
    const id = headerId(name);
    const wanted = name.toLowerCase();
    const values: string[] = [];
    for (let index = 0; index < this.headerCount; index++) {
      if (this.headerWords[index * w.HEADER_WORDS + w.H_ID_NAME_LEN]! >>> 16 !== id) continue;
      const field = this.headerAt(index);
      if (id !== w.HDR_OTHER || field.name.toLowerCase() === wanted) values.push(field.value);
    }
    return values;
  }

  /** Value of the first header field of this name; `null` if there is none. */
  header(name: string): string | null {
    return this.headerValues(name)[0] ?? null;
  }

  /** One of the parser's fixed words: W_* of words.ts. */
  word(number: number): number {
    return this.fixedWords[number]!;
  }

  private number(word: number): number | null {
    const value = this.word(word);
    return value === w.NONE ? null : value;
  }

  private span(offsetWord: number): string {
    return this.decode(this.word(offsetWord), this.word(offsetWord + 1));
  }

  private spanOrNull(offsetWord: number): string | null {
    return this.word(offsetWord + 1) === 0 ? null : this.span(offsetWord);
  }

  private decode(at: number, length: number): string {
    return this.text.toString('utf8', at, at + length);
  }

  private taggedAddress(value: number, uri: number, tag: number): TaggedAddress {
    return { value: this.span(value), uri: this.span(uri), tag: this.spanOrNull(tag) };
  }

  private items(id: number): Address[] {
    const found: Address[] = [];
    const words = this.itemWords;
    for (let row = 0; row < words.length; row += w.ITEM_WORDS) {
      if (words[row + w.I_ID_HEADER]! >>> 16 !== id) continue;
      found.push({
        value: this.decode(words[row + w.I_OFF]!, words[row + w.I_LEN]!),
        uri: this.decode(words[row + w.I_URI_OFF]!, words[row + w.I_URI_LEN]!),
      });
    }
    return found;
  }
}

/** Why a message was refused, and what could be read all the same. */
export class SipFault {
  /** F_* of words.ts. */
  readonly code: number;
  /** The code's name, for logs: `BAD_VIA`. */
  readonly name: string;
  /** Byte of the message at which the fault was seen. */
  readonly offset: number;
  /** Whether `message` has what a response copies: Via, From, To, Call-ID, CSeq.  [RFC 3261 8.2.6.2] */
  readonly answerable: boolean;
  readonly message: SipMessage;

  constructor(message: SipMessage, answerable: boolean) {
    this.message = message;
    this.code = message.word(w.W_STATUS);
    this.name = w.FAULT_NAMES[this.code] ?? '';
    this.offset = message.word(w.W_FAULT_OFF);
    this.answerable = answerable;
  }
}
