/**
 * What the tests of the parser look at: one message, parsed by the WebAssembly module and by the reference parser,
 * which must agree on every word.
 */
import assert from 'node:assert/strict';
import { SipParser } from '../../../dist/sip/parse.js';
import { referenceAnswerable, referenceParse } from '../../../dist/sip/reference-parser.js';
import * as w from '../../../dist/sip/words.js';

const WORDS_AT = w.PARSER_RESERVED_BYTES;
const MESSAGE_AT = 2 * 65_536;
const PAGES = 16;

const memory = new WebAssembly.Memory({ initial: PAGES, maximum: PAGES, shared: true });
export const memoryBytes = new Uint8Array(memory.buffer);
export const memoryWords = new Uint32Array(memory.buffer);
export const parser = new SipParser(memory);

const FIXED_NAMES = Object.fromEntries(
  Object.entries(w)
    .filter(([name]) => name.startsWith('W_'))
    .map(([name, word]) => [word as number, name]),
);

/** A line end, quotes, brackets, digits: whatever follows a message must not matter. */
const HOSTILE_PADDING = '\r\n\r\n"><;,:=\\ 09aZ\0\xff\t@[]';
let paddingShift = 0;
let alignment = 0;

/** Copies the message to an address that is seldom aligned, with hostile bytes behind it; returns the address. */
export function place(bytes: Uint8Array): number {
  alignment = (alignment + 7) % 16;
  paddingShift = (paddingShift + 5) % HOSTILE_PADDING.length;
  const at = MESSAGE_AT + alignment;
  memoryBytes.set(bytes, at);
  for (let i = 0; i < w.PADDING; i++) {
    memoryBytes[at + bytes.length + i] = HOSTILE_PADDING.charCodeAt(
      (paddingShift + i) % HOSTILE_PADDING.length,
    );
  }
  return at;
}

/** The words that the WebAssembly parser writes; rows behind the counts are 0. */
export function parseWords(bytes: Uint8Array): Uint32Array {
  const first = WORDS_AT / 4;
  memoryWords.fill(0, first, first + w.WORDS);
  const status = parser.parse(place(bytes), bytes.length, WORDS_AT);
  const words = memoryWords.slice(first, first + w.WORDS);
  assert.equal(words[w.W_STATUS], status);
  return words;
}

function nameOfWord(word: number): string {
  if (word < w.HEADERS_AT) return FIXED_NAMES[word] ?? `word ${word}`;
  const [table, start, size] =
    word < w.ITEMS_AT ? ['header', w.HEADERS_AT, w.HEADER_WORDS] : ['item', w.ITEMS_AT, w.ITEM_WORDS];
  return `${table} ${Math.floor((word - start) / size)} word ${(word - start) % size}`;
}

/** Fails with the names of the words in which the two parsers differ. */
export function assertSameWords(bytes: Uint8Array, actual: Uint32Array, expected: Uint32Array): void {
  const differences: string[] = [];
  for (let word = 0; word < expected.length; word++) {
    if (actual[word] !== expected[word]) {
      differences.push(`${nameOfWord(word)}: parser ${actual[word]}, reference ${expected[word]}`);
    }
  }
  const text = JSON.stringify(Buffer.from(bytes).toString('latin1'));
  assert.deepEqual(differences.slice(0, 8), [], `the parsers differ on ${text}`);
}

export interface Row {
  readonly id: number;
  readonly value: string;
}

export class Parsed {
  readonly text: string;
  readonly words: Uint32Array;

  constructor(text: string, words: Uint32Array) {
    this.text = text;
    this.words = words;
  }

  word(word: number): number {
    return this.words[word]!;
  }

  /** The text at an offset word and the length word behind it; `null` if the element is absent. */
  at(offsetWord: number): string | null {
    const [offset, length] = [this.word(offsetWord), this.word(offsetWord + 1)];
    if (length === 0) assert.equal(offset, 0, `${nameOfWord(offsetWord)} of an absent element`);
    return length === 0 ? null : this.text.slice(offset, offset + length);
  }

  get fault(): string {
    return w.FAULT_NAMES[this.word(w.W_STATUS)]!;
  }

  /** The bytes at which the fault was seen. */
  get faultAt(): string {
    return this.text.slice(this.word(w.W_FAULT_OFF));
  }

  get answerable(): boolean {
    return referenceAnswerable(this.words);
  }

  get headers(): (Row & { readonly name: string; readonly line: string })[] {
    return Array.from({ length: this.word(w.W_HEADER_COUNT) }, (_, index) => {
      const row = w.HEADERS_AT + index * w.HEADER_WORDS;
      const idAndLength = this.word(row + w.H_ID_NAME_LEN);
      const line = this.word(row + w.H_LINE_OFF);
      const value = this.word(row + w.H_VALUE_OFF);
      return {
        id: idAndLength >>> 16,
        name: this.text.slice(line, line + (idAndLength & 0xffff)),
        line: this.text.slice(line),
        value: this.text.slice(value, value + this.word(row + w.H_VALUE_LEN)),
      };
    });
  }

  /** Values of the item table that belong to one header name. */
  items(
    id: number,
  ): (Row & { readonly uri: string | null; readonly header: number; readonly next: number })[] {
    return Array.from({ length: this.word(w.W_ITEM_COUNT) }, (_, index) => {
      const row = w.ITEMS_AT + index * w.ITEM_WORDS;
      return {
        id: this.word(row + w.I_ID_HEADER) >>> 16,
        header: this.word(row + w.I_ID_HEADER) & 0xffff,
        value: this.at(row + w.I_OFF) ?? '',
        uri: this.at(row + w.I_URI_OFF),
        next: this.word(row + w.I_NEXT),
      };
    }).filter((item) => item.id === id);
  }
}

export const bytesOf = (text: string): Uint8Array => Buffer.from(text, 'latin1');

/** Parses with both parsers, asserts that they agree, and returns what they found. */
export function parsed(message: string | Uint8Array): Parsed {
  const bytes = typeof message === 'string' ? bytesOf(message) : message;
  const words = parseWords(bytes);
  assert.equal(parser.answerable(WORDS_AT), referenceAnswerable(words));
  assertSameWords(bytes, words, referenceParse(bytes));
  return new Parsed(Buffer.from(bytes).toString('latin1'), words);
}

/** Header fields of a small valid request: replaced, added (also several times) or left out with `null`. */
export type Fields = Readonly<Record<string, string | readonly string[] | null>>;

const INVITE_FIELDS: Fields = {
  Via: 'SIP/2.0/UDP client.example.com:5060;branch=z9hG4bK74bf9',
  'Max-Forwards': '70',
  From: 'Alice <sip:alice@example.com>;tag=9fxced76sl',
  To: 'Bob <sip:bob@example.com>',
  'Call-ID': '3848276298220188511@example.com',
  CSeq: '1 INVITE',
};

/** A valid INVITE with some header fields changed. */
export function invite(
  fields: Fields = {},
  body = '',
  startLine = 'INVITE sip:bob@example.com SIP/2.0',
): string {
  const lines = Object.entries({ ...INVITE_FIELDS, ...fields }).flatMap(([name, value]) =>
    value === null ? [] : (typeof value === 'string' ? [value] : value).map((one) => `${name}: ${one}`),
  );
  return `${[startLine, ...lines].join('\r\n')}\r\n\r\n${body}`;
}
