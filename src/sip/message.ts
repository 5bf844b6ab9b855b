/**
 * One received message: a view over the parser's words and the datagram's bytes.
 *
 * A flyweight: the shard has one per place where a message can stand and binds it again for each datagram, so nothing is
 * allocated per message.  Strings are made only when somebody asks for text.  [RFC 3261 section 7]
 */
import {
  H_ID_NAME_LEN,
  H_LINE_OFF,
  H_VALUE_LEN,
  H_VALUE_OFF,
  HDR_OTHER,
  HEADER_WORDS,
  HEADERS_AT,
  I_ID_HEADER,
  I_LEN,
  I_NEXT,
  I_OFF,
  I_URI_LEN,
  I_URI_OFF,
  ITEM_WORDS,
  ITEMS_AT,
  METHOD_NAMES,
  W_CALL_ID_LEN,
  W_CALL_ID_OFF,
  W_CODE,
  W_CSEQ_METHOD,
  W_CSEQ_NUMBER,
  W_HEADER_COUNT,
  W_HEADERS_END,
  W_KIND,
  W_METHOD,
  W_METHOD_LEN,
  W_METHOD_OFF,
  W_TO_TAG_LEN,
} from './words.js';

export class Message {
  /** Offset of its first byte in the memory. */
  at = 0;
  length = 0;
  /** Index of its first parser word in `words`. */
  w = 0;
  /** Receive slot, -1 when it stands elsewhere. */
  slot = -1;
  /** Socket it came on, 1-based. */
  flow = 0;
  /** Where it came from: port and IPv6 (or IPv4-mapped) address words in network byte order. */
  port = 0;
  address0 = 0;
  address1 = 0;
  address2 = 0;
  address3 = 0;

  readonly bytes: Uint8Array;
  readonly words: Uint32Array;
  readonly buffer: Buffer;

  /** All three are views of one memory. */
  constructor(bytes: Uint8Array, words: Uint32Array, buffer: Buffer) {
    this.bytes = bytes;
    this.words = words;
    this.buffer = buffer;
  }

  /** Word `number` of the parser's fixed words (W_*). */
  word(number: number): number {
    return this.words[this.w + number]!;
  }

  get isRequest(): boolean {
    return this.words[this.w + W_KIND] === 1;
  }

  get method(): number {
    return this.words[this.w + W_METHOD]!;
  }

  get code(): number {
    return this.words[this.w + W_CODE]!;
  }

  get cseq(): number {
    return this.words[this.w + W_CSEQ_NUMBER]!;
  }

  get cseqMethod(): number {
    return this.words[this.w + W_CSEQ_METHOD]!;
  }

  get hasToTag(): boolean {
    return this.words[this.w + W_TO_TAG_LEN] !== 0;
  }

  /** Text at (offset word, length word); '' when absent. */
  text(offsetWord: number, lengthWord: number): string {
    const length = this.words[this.w + lengthWord]!;
    if (length === 0) return '';
    const at = this.at + this.words[this.w + offsetWord]!;
    return this.buffer.latin1Slice(at, at + length);
  }

  /** Text at an offset of the message. */
  slice(offset: number, length: number): string {
    return this.buffer.latin1Slice(this.at + offset, this.at + offset + length);
  }

  get callId(): string {
    return this.text(W_CALL_ID_OFF, W_CALL_ID_LEN);
  }

  get methodName(): string {
    return this.isRequest ? this.text(W_METHOD_OFF, W_METHOD_LEN) : (METHOD_NAMES[this.method] ?? '');
  }

  get headerCount(): number {
    return this.words[this.w + W_HEADER_COUNT]!;
  }

  /** Word index of header `n` in the header table. */
  private header(n: number): number {
    return this.w + HEADERS_AT + n * HEADER_WORDS;
  }

  headerId(n: number): number {
    return this.words[this.header(n) + H_ID_NAME_LEN]! >>> 16;
  }

  headerLine(n: number): number {
    return this.words[this.header(n) + H_LINE_OFF]!;
  }

  /** Just after the header's line end. */
  headerEnd(n: number): number {
    return n + 1 < this.headerCount ? this.headerLine(n + 1) : this.word(W_HEADERS_END);
  }

  headerName(n: number): string {
    const h = this.header(n);
    return this.slice(this.words[h + H_LINE_OFF]!, this.words[h + H_ID_NAME_LEN]! & 0xffff);
  }

  headerValueOffset(n: number): number {
    return this.words[this.header(n) + H_VALUE_OFF]!;
  }

  headerValueLength(n: number): number {
    return this.words[this.header(n) + H_VALUE_LEN]!;
  }

  headerValue(n: number): string {
    return this.slice(this.headerValueOffset(n), this.headerValueLength(n));
  }

  /** Number of the first header with this id from `from` on, -1 if there is none. */
  findHeader(id: number, from = 0): number {
    const count = this.headerCount;
    for (let n = from; n < count; n++) if (this.headerId(n) === id) return n;
    return -1;
  }

  /** Number of the first header of this (not specially known) name, -1 if there is none.  Case does not matter. */
  findHeaderName(name: string, from = 0): number {
    const wanted = name.toLowerCase();
    const count = this.headerCount;
    for (let n = from; n < count; n++) {
      if (this.headerId(n) !== HDR_OTHER) continue;
      if ((this.words[this.header(n)]! & 0xffff) !== wanted.length) continue;
      if (this.headerName(n).toLowerCase() === wanted) return n;
    }
    return -1;
  }

  // Items: values of Via, Route, Record-Route and Contact.
  private item(n: number): number {
    return this.w + ITEMS_AT + n * ITEM_WORDS;
  }

  itemHeader(n: number): number {
    return this.words[this.item(n) + I_ID_HEADER]! & 0xffff;
  }

  itemOffset(n: number): number {
    return this.words[this.item(n) + I_OFF]!;
  }

  itemLength(n: number): number {
    return this.words[this.item(n) + I_LEN]!;
  }

  itemUriOffset(n: number): number {
    return this.words[this.item(n) + I_URI_OFF]!;
  }

  itemUriLength(n: number): number {
    return this.words[this.item(n) + I_URI_LEN]!;
  }

  /** The next item of the same header name, 0 if none. */
  itemNext(n: number): number {
    return this.words[this.item(n) + I_NEXT]!;
  }
}
