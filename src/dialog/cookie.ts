/**
 * The did= cookie: a dialog's address, carried in our Record-Route URI.
 *
 * tracker.ts adds it to the INVITE that makes a dialog; match.ts reads it back from sequential requests.  It says only
 * which dialog is meant: Call-ID and tags are compared all the same, so a forged cookie finds nothing.  [manual 5.3, 5.8]
 */
import type { Scratch } from '../memory/shard-memory.js';

export const COOKIE_ABSENT = 0;
export const COOKIE_MALFORMED = 1;
export const COOKIE_READ = 2;

const SEMICOLON = 59;
const EQUALS = 61;
const DOT = 46;
const DIGITS_MAX = 8;

/** Reads the cookie among the parameters of a Route URI; `entry` and `id` hold what the last one said. */
export class CookieReader {
  entry = 0;
  id = 0;
  /** Where the text stands that was read, or could not be. */
  at = 0;
  length = 0;
  private readonly bytes: Uint8Array;
  /** The parameter's name in lower case. */
  private readonly name: Uint8Array;

  constructor(bytes: Uint8Array, name: string) {
    this.bytes = bytes;
    this.name = Uint8Array.from(Buffer.from(name.toLowerCase(), 'latin1'));
  }

  /**
   * Looks through `;lr;did=a.b;...`; the first parameter of the name counts, names differ not by case.
   *
   * @returns COOKIE_READ, COOKIE_ABSENT, or COOKIE_MALFORMED: the peer's mistake, which costs it the fast path
   */
  find(at: number, length: number): number {
    const end = at + length;
    let from = at;
    while (from < end) {
      if (this.bytes[from] === SEMICOLON) from++;
      const stop = this.endOfParameter(from, end);
      const value = this.valueOf(from, stop);
      if (value >= 0) {
        this.at = value;
        this.length = stop - value;
        return this.read(value, stop - value) ? COOKIE_READ : COOKIE_MALFORMED;
      }
      from = stop;
    }
    return COOKIE_ABSENT;
  }

  /** Reads `<entry>.<id>`: two hexadecimal numbers, least significant digit first, 1 to 8 digits each. */
  read(at: number, length: number): boolean {
    let dot = at;
    const end = at + length;
    while (dot < end && this.bytes[dot] !== DOT) dot++;
    const entryDigits = dot - at;
    const idDigits = end - dot - 1;
    if (entryDigits < 1 || entryDigits > DIGITS_MAX || idDigits < 1 || idDigits > DIGITS_MAX) return false;
    const entry = this.reversedHex(at, entryDigits);
    const id = this.reversedHex(dot + 1, idDigits);
    if (entry < 0 || id < 0) return false;
    this.entry = entry;
    this.id = id;
    return true;
  }

  private endOfParameter(from: number, end: number): number {
    let at = from;
    while (at < end && this.bytes[at] !== SEMICOLON) at++;
    return at;
  }

  /** Where the value begins if the parameter at [from, stop) has the name, else -1. */
  private valueOf(from: number, stop: number): number {
    const { bytes, name } = this;
    const after = from + name.length;
    if (after > stop) return -1;
    for (let i = 0; i < name.length; i++) {
      if (lowerCase(bytes[from + i]!) !== name[i]) return -1;
    }
    if (after === stop) return stop;
    return bytes[after] === EQUALS ? after + 1 : -1;
  }

  /** -1 when a byte is not a hexadecimal digit. */
  private reversedHex(at: number, digits: number): number {
    let value = 0;
    for (let i = 0; i < digits; i++) {
      const digit = hexDigit(this.bytes[at + i]!);
      if (digit < 0) return -1;
      value |= digit << (4 * i);
    }
    return value >>> 0;
  }
}

/** Writes `<entry>.<id>`. */
export function writeCookie(scratch: Scratch, entry: number, id: number): void {
  scratch.hexReversed(entry);
  scratch.byte(DOT);
  scratch.hexReversed(id);
}

/** The same as text, for logs. */
export function cookieText(entry: number, id: number): string {
  return `${reversed(entry)}.${reversed(id)}`;
}

function reversed(value: number): string {
  return [...(value >>> 0).toString(16)].reverse().join('');
}

function hexDigit(byte: number): number {
  if (byte >= 48 && byte <= 57) return byte - 48;
  const lower = byte | 32;
  return lower >= 97 && lower <= 102 ? lower - 87 : -1;
}

function lowerCase(byte: number): number {
  return byte >= 65 && byte <= 90 ? byte + 32 : byte;
}
