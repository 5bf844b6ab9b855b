/**
 * One worker's memory: the parser's linear memory with the receive slots in it, the exchange words, and the scratch
 * region where TypeScript writes header text.  Made once per shard at full size; it never grows.
 */
import { constant } from './words.js';

const PAGE_BYTES = 65_536;
/** Scratch for a stored request that is parsed again: the largest datagram and its words. */
const REQUEST_ROOM_BYTES = 66 * 1024;
const URI_ROOM_BYTES = 128;
/**
 * Places for messages that are not in a receive slot, each for one purpose alone: while one is in use a route may run that
 * ends other calls, and needs the others.
 */
const MESSAGE_SLOT_NAMES = [
  /** The stored request of the transaction in hand, for failure routes and answers of our own. */
  'storedRequest',
  /** The same, shown to who hears of its dialog; and to who hears of another one meanwhile. */
  'shownRequest',
  'shownMeanwhile',
  /** The answer that a branch keeps, on its way upstream. */
  'keptResponse',
  /** A branch's copy as it went out, for its CANCEL or ACK. */
  'branchRequest',
  /** A branch's answer with a challenge, then the copy that was challenged. */
  'challenge',
  /** A request of our own. */
  'localRequest',
  /** An INVITE that is ended by us. */
  'endedInvite',
  /** What whoever embeds the engine hands in. */
  'handedIn',
] as const;
export type MessageSlotName = (typeof MESSAGE_SLOT_NAMES)[number];
/** Offsets in the memory: of the message's bytes, at most `room`, and of its words. */
export type MessageSlot = { readonly at: number; readonly room: number; readonly words: number };
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
  /** Where a stored message is copied to be parsed again, by purpose. */
  readonly slots: Readonly<Record<MessageSlotName, MessageSlot>>;

  constructor() {
    const pages = Math.ceil(constant('MemoryBytes') / PAGE_BYTES);
    this.wasm = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
    this.bytes = new Uint8Array(this.wasm.buffer);
    this.words = new Uint32Array(this.wasm.buffer);
    this.buffer = Buffer.from(this.wasm.buffer);
    this.exchange = new Uint32Array(new SharedArrayBuffer(constant('ExchangeWords') * 4));
    const scratchAt = constant('ScratchOffset');
    const scratchEnd = scratchAt + constant('ScratchBytes');
    const slotBytes = REQUEST_ROOM_BYTES + WORDS_BYTES;
    let end = scratchEnd;
    const slots: Partial<Record<MessageSlotName, MessageSlot>> = {};
    for (const name of MESSAGE_SLOT_NAMES) {
      end = (end - slotBytes) & ~63;
      slots[name] = { at: end, room: REQUEST_ROOM_BYTES - 64, words: end + REQUEST_ROOM_BYTES };
    }
    this.slots = slots as Record<MessageSlotName, MessageSlot>;
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

/** The scratch region has no room for what was to be written; nothing of it was. */
export class ScratchFull extends Error {
  constructor(wantedBytes: number, leftBytes: number) {
    super(`the scratch region has ${leftBytes} bytes left, ${wantedBytes} are needed`);
    this.name = 'ScratchFull';
  }
}

/**
 * Writes header text into the scratch region; what was written stays until the batch has been sent.
 *
 * Each write that finds no room throws ScratchFull before it writes: behind the region lie messages of other calls.
 */
export class Scratch {
  at: number;

  readonly start: number;
  readonly end: number;
  private readonly bytes: Uint8Array;
  private readonly buffer: Buffer;
  /** Text below is still needed, whatever was sent. */
  private floor: number;

  constructor(bytes: Uint8Array, buffer: Buffer, start: number, end: number) {
    this.bytes = bytes;
    this.buffer = buffer;
    this.start = start;
    this.end = end;
    this.at = start;
    this.floor = start;
  }

  /** Everything written before has been sent, but for what is held: begin again. */
  reset(): void {
    this.at = this.floor;
  }

  /** What is written so far outlives reset() until letGo() is called with what this returns. */
  hold(): number {
    const { floor } = this;
    this.floor = this.at;
    return floor;
  }

  letGo(floor: number): void {
    this.floor = floor;
  }

  /** Nothing is held any more: whatever held it did not come to its end. */
  letGoAll(): void {
    this.floor = this.start;
  }

  /** True if `bytes` more can be written; callers check once per message with a generous bound. */
  hasRoom(bytes: number): boolean {
    return this.end - this.at >= bytes;
  }

  private claim(bytes: number): void {
    if (this.end - this.at < bytes) throw new ScratchFull(bytes, this.end - this.at);
  }

  byte(value: number): void {
    this.claim(1);
    this.bytes[this.at++] = value;
  }

  /** Writes a string, a byte for each character; one that is not latin1 becomes `?`, for its low byte might end a line. */
  text(value: string): void {
    const length = value.length;
    this.claim(length);
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
    this.claim(length);
    for (let i = 0; i < length; i++) bytes[start + i] = value[i]!;
    this.at = start + length;
  }

  /** Copies bytes from elsewhere in the same memory. */
  copy(from: number, length: number): void {
    const bytes = this.bytes;
    this.claim(length);
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
      this.claim(1);
      bytes[this.at++] = 48 + value;
      return;
    }
    let digits = 1;
    for (let rest = value; rest >= 10; rest = (rest / 10) >>> 0) digits++;
    this.claim(digits);
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
    this.claim(HEX_DIGITS_MAX);
    let { at } = this;
    let shift = (31 - Math.clz32(value | 1)) & ~3;
    for (; shift >= 0; shift -= 4) bytes[at++] = HEX[(value >>> shift) & 15]!;
    this.at = at;
  }

  /** The same with the least significant digit first, as the did= cookie wants it (spec of the cookie: dialog/cookie). */
  hexReversed(value: number): void {
    this.claim(HEX_DIGITS_MAX);
    let rest = value >>> 0;
    do {
      this.bytes[this.at++] = HEX[rest & 15]!;
      rest >>>= 4;
    } while (rest !== 0);
  }

  /** Exactly eight hexadecimal digits. */
  hex8(value: number): void {
    const { bytes, at } = this;
    this.claim(HEX_DIGITS_MAX);
    for (let n = 0; n < 8; n++) bytes[at + n] = HEX[(value >>> (28 - 4 * n)) & 15]!;
    this.at = at + 8;
  }
}

const HEX_DIGITS_MAX = 8;
const LOOP_CHARACTERS_MAX = 24;
const LATIN1_MAX = 0xff;
const NOT_LATIN1 = /[^\0-\xff]/;
const QUESTION_MARK = 63;
const LOOP_BYTES_MAX = 48;
const HEX = new Uint8Array([48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 97, 98, 99, 100, 101, 102]);
