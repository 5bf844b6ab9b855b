/**
 * How many server transactions each source has open.
 *
 * Two counters say it, found by two keyed hashes of the address, and the lower one is believed: the table is bounded,
 * nothing is allocated, nobody is counted too low, and who shares one counter with a flood does not share the other.  Of
 * IPv6 the first 64 bits are the source, for whoever has one address has them all.
 */
import type { Random } from '../random.js';
import { MAPPED } from '../transport/address.js';

const SLOTS = 8_192;

export class Sources {
  /** Open transactions of one source at most. */
  readonly max: number;
  private readonly counts = new Uint32Array(2 * SLOTS);
  private readonly firstKey: number;
  private readonly secondKey: number;
  private first = 0;
  private second = 0;

  constructor(max: number, random: Random) {
    this.max = max;
    this.firstKey = random.below(0x7fff_ffff);
    this.secondKey = random.below(0x7fff_ffff);
  }

  /** Open transactions of a source; never too few. */
  count(a0: number, a1: number, a2: number, a3: number): number {
    this.find(a0, a1, a2, a3);
    return Math.min(this.counts[this.first]!, this.counts[this.second]!);
  }

  /** One more, unless it has as many as it may.  False: refused. */
  add(a0: number, a1: number, a2: number, a3: number): boolean {
    if (this.count(a0, a1, a2, a3) >= this.max) return false;
    this.counts[this.first] = this.counts[this.first]! + 1;
    this.counts[this.second] = this.counts[this.second]! + 1;
    return true;
  }

  /** One that was there before this table, however many there are. */
  found(a0: number, a1: number, a2: number, a3: number): void {
    this.find(a0, a1, a2, a3);
    this.counts[this.first] = this.counts[this.first]! + 1;
    this.counts[this.second] = this.counts[this.second]! + 1;
  }

  /** One that add() or found() counted is over. */
  remove(a0: number, a1: number, a2: number, a3: number): void {
    this.find(a0, a1, a2, a3);
    if (this.counts[this.first]! > 0) this.counts[this.first] = this.counts[this.first]! - 1;
    if (this.counts[this.second]! > 0) this.counts[this.second] = this.counts[this.second]! - 1;
  }

  private find(a0: number, a1: number, a2: number, a3: number): void {
    const isV4 = a2 === MAPPED && a1 === 0 && a0 === 0;
    const high = isV4 ? 0 : a0;
    const low = isV4 ? a3 : a1;
    this.first = mixed(high, low, this.firstKey) & (SLOTS - 1);
    this.second = SLOTS + (mixed(high, low, this.secondKey) & (SLOTS - 1));
  }
}

/** Each bit of the words and the key changes half of the result's. */
function mixed(high: number, low: number, key: number): number {
  return turned(turned(turned(key) ^ high) ^ low);
}

function turned(word: number): number {
  let value = Math.imul(word ^ (word >>> 16), 0x21f0aaad);
  value = Math.imul(value ^ (value >>> 15), 0x735a2d97);
  return value ^ (value >>> 15);
}
