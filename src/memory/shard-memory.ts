/**
 * One worker's memory: the parser's linear memory with the receive slots in it, the exchange words, and the scratch
 * region where TypeScript writes header text.  Made once per shard at full size; it never grows.
 */
import { constant } from './words.js';

const PAGE_BYTES = 65_536;
/** Scratch for a stored request that is parsed again: the largest datagram and its words. */
const REQUEST_ROOM_BYTES = 66 * 1024;
const URI_ROOM_BYTES = 128;
const PARKING_PLACES = 4;
const WORDS_OFFSET = constant('WordsOffset');
const WORDS_BYTES = constant('WordsBytes');

export class ShardMemory {
  readonly wasm: WebAssembly.Memory;
  /** M: every byte of the parser's memory. */
  readonly bytes: Uint8Array;
  /** The same bytes as words: the parser's output is read here. */
  readonly words: Uint32Array;
  /** The same bytes as a Buffer, for cold text. */
  readonly buffer: Buffer;
  /** X: registers and arguments of native calls. */
  readonly exchange: Uint32Array;
  readonly scratch: Scratch;
  /** Offset of the words of the URI in hand. */
  readonly uriWords: number;
  /**
   * Where a stored message is copied to be parsed again: a request inside the handling of a reply, one that we make
   * ourselves meanwhile, and one that we end.
   */
  readonly parked: readonly { readonly at: number; readonly room: number; readonly words: number }[];

  constructor() {
    const pages = Math.ceil(constant('MemoryBytes') / PAGE_BYTES);
    this.wasm = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
    this.bytes = new Uint8Array(this.wasm.buffer);
    this.words = new Uint32Array(this.wasm.buffer);
    this.buffer = Buffer.from(this.wasm.buffer);
    this.exchange = new Uint32Array(new SharedArrayBuffer(constant('ExchangeWords') * 4));
    const scratchAt = constant('ScratchOffset');
    const scratchEnd = scratchAt + constant('ScratchBytes');
    const parkedBytes = REQUEST_ROOM_BYTES + WORDS_BYTES;
    const parked = [];
    let end = scratchEnd;
    for (let n = 0; n < PARKING_PLACES; n++) {
      end = (end - parkedBytes) & ~63;
      parked.push({ at: end, room: REQUEST_ROOM_BYTES - 64, words: end + REQUEST_ROOM_BYTES });
    }
    this.parked = parked;
    this.uriWords = end - URI_ROOM_BYTES;
    this.scratch = new Scratch(this.bytes, this.buffer, scratchAt, this.uriWords - 64);
  }

  /** Offset of the words of the message in receive slot `slot`. */
  wordsOfSlot(slot: number): number {
    return WORDS_OFFSET + slot * WORDS_BYTES;
  }

  /** Text of M as a string: latin1, for logs and script values. */
  text(at: number, length: number): string {
    return this.buffer.latin1Slice(at, at + length);
  }
}

/** Writes header text into the scratch region; what was written stays until the batch has been sent. */
export class Scratch {
  at: number;

  readonly start: number;
  readonly end: number;
  private readonly bytes: Uint8Array;
  private readonly buffer: Buffer;

  constructor(bytes: Uint8Array, buffer: Buffer, start: number, end: number) {
    this.bytes = bytes;
    this.buffer = buffer;
    this.start = start;
    this.end = end;
    this.at = start;
  }

  /** Everything written before has been sent: begin again. */
  reset(): void {
    this.at = this.start;
  }

  /** True if `bytes` more can be written; callers check once per message with a generous bound. */
  hasRoom(bytes: number): boolean {
    return this.end - this.at >= bytes;
  }

  byte(value: number): void {
    this.bytes[this.at++] = value;
  }

  /** Writes a string, a byte for each character; one that is not latin1 becomes `?`, for its low byte might end a line. */
  text(value: string): void {
    const length = value.length;
    if (length > LOOP_CHARACTERS_MAX && !NOT_LATIN1.test(value)) {
      this.at += this.buffer.latin1Write(value, this.at, length);
      return;
    }
    const bytes = this.bytes;
    let at = this.at;
    for (let i = 0; i < length; i++) {
      const character = value.charCodeAt(i);
      bytes[at++] = character > LATIN1_MAX ? QUESTION_MARK : character;
    }
    this.at = at;
  }

  /** Writes bytes that were made ready before: for text that every message has. */
  literal(value: Uint8Array): void {
    const { bytes } = this;
    const start = this.at;
    const { length } = value;
    for (let i = 0; i < length; i++) bytes[start + i] = value[i]!;
    this.at = start + length;
  }

  /** Copies bytes from elsewhere in the same memory. */
  copy(from: number, length: number): void {
    const bytes = this.bytes;
    if (length > LOOP_BYTES_MAX) {
      bytes.copyWithin(this.at, from, from + length);
      this.at += length;
      return;
    }
    let at = this.at;
    for (let i = from, end = from + length; i < end; i++) bytes[at++] = bytes[i]!;
    this.at = at;
  }

  /** An unsigned number in decimal. */
  decimal(value: number): void {
    const bytes = this.bytes;
    if (value < 10) {
      bytes[this.at++] = 48 + value;
      return;
    }
    let digits = 1;
    for (let rest = value; rest >= 10; rest = (rest / 10) >>> 0) digits++;
    let at = this.at + digits;
    this.at = at;
    for (let rest = value; digits > 0; digits--) {
      const next = (rest / 10) >>> 0;
      bytes[--at] = 48 + rest - next * 10;
      rest = next;
    }
  }

  /** An unsigned 32-bit number in lower-case hexadecimal without leading zeros. */
  hex(value: number): void {
    const { bytes } = this;
    let { at } = this;
    let shift = (31 - Math.clz32(value | 1)) & ~3;
    for (; shift >= 0; shift -= 4) bytes[at++] = HEX[(value >>> shift) & 15]!;
    this.at = at;
  }

  /** The same with the least significant digit first, as the did= cookie wants it (spec of the cookie: dialog/cookie). */
  hexReversed(value: number): void {
    let rest = value >>> 0;
    do {
      this.bytes[this.at++] = HEX[rest & 15]!;
      rest >>>= 4;
    } while (rest !== 0);
  }

  /** Exactly eight hexadecimal digits. */
  hex8(value: number): void {
    const { bytes, at } = this;
    for (let n = 0; n < 8; n++) bytes[at + n] = HEX[(value >>> (28 - 4 * n)) & 15]!;
    this.at = at + 8;
  }
}

const LOOP_CHARACTERS_MAX = 24;
const LATIN1_MAX = 0xff;
const NOT_LATIN1 = /[^\0-\xff]/;
const QUESTION_MARK = 63;
const LOOP_BYTES_MAX = 48;
const HEX = new Uint8Array([48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 97, 98, 99, 100, 101, 102]);
