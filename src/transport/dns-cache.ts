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
  /** What each answer takes. */
  readonly sizes: number[];

  constructor(name: string, kinds: number) {
    this.name = name;
    this.answers = Array.from({ length: kinds }, () => null);
    this.sizes = Array.from({ length: kinds }, () => 0);
  }
}

/** What a name takes beside its answers: the entry, its place in the table, two bytes a character. */
const NAME_BYTES = 512;
const CHARACTER_BYTES = 2;

/** A store of names, bounded in their number and in bytes. */
export class NameCache<T> {
  readonly #kinds: number;
  readonly #namesMax: number;
  readonly #bytesMax: number;
  #bytes = 0;
  readonly #names = new Map<string, Known<T>>();
  #youngest: Known<T> | null = null;
  #oldest: Known<T> | null = null;

  /** `kinds`: how many different questions are asked about a name. */
  constructor(namesMax: number, bytesMax: number, kinds: number) {
    this.#namesMax = namesMax;
    this.#bytesMax = bytesMax;
    this.#kinds = kinds;
  }

  get size(): number {
    return this.#names.size;
  }

  /** What all names take, as their askers reckon. */
  get bytes(): number {
    return this.#bytes;
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

  /** Keeps an answer that takes `bytes`; for it the names used longest ago go, but never its own. */
  set(name: string, kind: number, answer: T, bytes: number): void {
    let known = this.#names.get(name);
    if (known === undefined) {
      known = new Known<T>(name, this.#kinds);
      this.#names.set(name, known);
      this.#bytes += NAME_BYTES + CHARACTER_BYTES * name.length;
    } else this.#unlink(known);
    this.#link(known);
    this.#bytes += bytes - known.sizes[kind]!;
    known.sizes[kind] = bytes;
    known.answers[kind] = answer;
    while (this.#names.size > this.#namesMax || this.#bytes > this.#bytesMax) {
      const oldest = this.#oldest;
      if (oldest === null || oldest === known) return;
      this.#drop(oldest);
    }
  }

  #drop(known: Known<T>): void {
    this.#names.delete(known.name);
    this.#unlink(known);
    this.#bytes -= NAME_BYTES + CHARACTER_BYTES * known.name.length;
    for (const size of known.sizes) this.#bytes -= size;
  }

  clear(): void {
    this.#names.clear();
    this.#bytes = 0;
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
