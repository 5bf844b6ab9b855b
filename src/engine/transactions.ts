/**
 * What stands for the transactions of whoever embeds the engine: INVITEs that made a dialog, and BYEs that ended one.
 *
 * Each has a hold of its dialog until its time is over.  Time is always counted from the entry, so the oldest are first
 * and a look at the first says whether any is due.  There is at most one of a kind for a dialog, so there are never more
 * than the segment has records.
 */

/** One transaction, named by its dialog's record. */
export type Transaction = {
  readonly index: number;
  readonly generation: number;
  readonly cseq: number;
  /** As T_DIRECTION keeps it. */
  readonly direction: number;
  /** Boot seconds. */
  due: number;
};

/** Transactions that stay equally long, oldest first. */
export class Transactions {
  private readonly staySeconds: number;
  private readonly rows = new Map<number, Transaction>();

  constructor(staySeconds: number) {
    this.staySeconds = staySeconds;
  }

  get size(): number {
    return this.rows.size;
  }

  /** That of a record; a record used anew has another generation. */
  get(index: number, generation: number): Transaction | null {
    const found = this.rows.get(index);
    return found !== undefined && found.generation === generation ? found : null;
  }

  add(transaction: Transaction, now: number): void {
    transaction.due = now + this.staySeconds;
    this.rows.delete(transaction.index);
    this.rows.set(transaction.index, transaction);
  }

  remove(transaction: Transaction): void {
    if (this.rows.get(transaction.index) === transaction) this.rows.delete(transaction.index);
  }

  /** The oldest if its time is over. */
  due(now: number): Transaction | null {
    for (const oldest of this.rows.values()) return oldest.due <= now ? oldest : null;
    return null;
  }

  /** Any one of them. */
  first(): Transaction | null {
    for (const oldest of this.rows.values()) return oldest;
    return null;
  }
}
