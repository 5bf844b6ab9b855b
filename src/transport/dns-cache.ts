/**
 * What is known of host names: one entry per name, the name used longest ago goes first.
 *
 * A hit moves the entry to the young end of a list threaded through the entries themselves, so it allocates nothing.
 */

/** Everything remembered of one name, by kind of question. */
export class Known<T> {
  readonly name: string;
  /** Indexed by kind; null: never asked, or forgotten. */
  readonly answers: (T | null)[];
  younger: Known<T> | null = null;
  older: Known<T> | null = null;

  constructor(name: string, kinds: number) {
    this.name = name;
    this.answers = Array.from({ length: kinds }, () => null);
  }
}

/** A bounded store of names. */
export class NameCache<T> {
  readonly #kinds: number;
  readonly #namesMax: number;
  readonly #names = new Map<string, Known<T>>();
  #youngest: Known<T> | null = null;
  #oldest: Known<T> | null = null;

  /** `kinds`: how many different questions are asked about a name. */
  constructor(namesMax: number, kinds: number) {
    this.#namesMax = namesMax;
    this.#kinds = kinds;
  }

  get size(): number {
    return this.#names.size;
  }

  /** The answer to question `kind` about `name`, null when it is not known; the name counts as used. */
  get(name: string, kind: number): T | null {
    const known = this.#names.get(name);
    if (known === undefined) return null;
    if (known !== this.#youngest) {
      this.#unlink(known);
      this.#link(known);
    }
    return known.answers[kind] ?? null;
  }

  set(name: string, kind: number, answer: T): void {
    let known = this.#names.get(name);
    if (known === undefined) {
      while (this.#oldest !== null && this.#names.size >= this.#namesMax) {
        this.#names.delete(this.#oldest.name);
        this.#unlink(this.#oldest);
      }
      known = new Known<T>(name, this.#kinds);
      this.#names.set(name, known);
    } else this.#unlink(known);
    this.#link(known);
    known.answers[kind] = answer;
  }

  clear(): void {
    this.#names.clear();
    this.#youngest = null;
    this.#oldest = null;
  }

  #link(known: Known<T>): void {
    known.older = this.#youngest;
    if (this.#youngest !== null) this.#youngest.younger = known;
    this.#youngest = known;
    this.#oldest ??= known;
  }

  #unlink(known: Known<T>): void {
    if (known.younger !== null) known.younger.older = known.older;
    else this.#youngest = known.older;
    if (known.older !== null) known.older.younger = known.younger;
    else this.#oldest = known.younger;
    known.younger = null;
    known.older = null;
  }
}
