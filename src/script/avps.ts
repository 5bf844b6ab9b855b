/**
 * $avp: values that belong to a transaction, seen by all its routes.
 *
 * Most requests have none, so nothing is made until a route sets the first.
 */
import type { AvpValue, Passage } from '../proxy/passage.js';

const VALUES_PER_TRANSACTION_MAX = 64;

/** `s:x` is another way to write `x`. */
function keyOf(name: string): string {
  return name.startsWith('s:') ? name.slice(2) : name;
}

/** Name of the AVP that a parameter such as `$avp(s:timeout)` means; null: none. */
export function avpNameOf(written: string | null): string | null {
  return written === null ? null : written.slice('$avp('.length, -1);
}

type Kept = { readonly generation: number; readonly values: Map<string, AvpValue> };

export class AvpBook {
  private readonly kept = new Map<number, Kept>();

  get(passage: Passage, name: string): AvpValue | null {
    return this.valuesOf(passage)?.get(keyOf(name)) ?? null;
  }

  /** False: too many values, or nothing to remove. */
  set(passage: Passage, written: string, value: AvpValue | null): boolean {
    const name = keyOf(written);
    const values = this.valuesOf(passage);
    if (value === null) return values?.delete(name) ?? false;
    const room = values ?? this.room(passage);
    if (room.size >= VALUES_PER_TRANSACTION_MAX && !room.has(name)) return false;
    room.set(name, value);
    return true;
  }

  /** The passage has a transaction, or is about to: its values stay with it. */
  move(passage: Passage): void {
    if (passage.avps === null || passage.transactionIndex === 0) return;
    this.kept.set(passage.transactionIndex, {
      generation: passage.transactionGeneration,
      values: passage.avps,
    });
    passage.avps = null;
  }

  /** The transaction is over. */
  forget(index: number): void {
    if (this.kept.size > 0) this.kept.delete(index);
  }

  /** Transactions that have values. */
  get size(): number {
    return this.kept.size;
  }

  private valuesOf(passage: Passage): Map<string, AvpValue> | null {
    if (passage.avps !== null) return passage.avps;
    if (this.kept.size === 0 || passage.transactionIndex === 0) return null;
    const kept = this.kept.get(passage.transactionIndex);
    return kept !== undefined && kept.generation === passage.transactionGeneration ? kept.values : null;
  }

  private room(passage: Passage): Map<string, AvpValue> {
    const values = new Map<string, AvpValue>();
    if (passage.transactionIndex === 0) passage.avps = values;
    else this.kept.set(passage.transactionIndex, { generation: passage.transactionGeneration, values });
    return values;
  }
}
