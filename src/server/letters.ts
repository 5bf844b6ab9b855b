/**
 * What threads tell each other of a dialog: letters of a few words, through the bounded rings of core/mailbox.h.
 *
 * The timer worker finds out that a dialog's time is over; what operators' code sees of it runs on the shard that owns
 * the dialog.  A letter is never lost: for a full ring its sender keeps it and takes on nothing more of that owner
 * (hasRoom), one to a dead worker waits for the successor.  [architecture: Ending]
 */
import type { DialogLog, Owners } from '../dialog/ports.js';
import { type Shard, STATUS } from '../memory/addon.js';
import { D_ENTRY, X_ARGS } from '../memory/words.js';
import type { Message } from '../sip/message.js';

/** First word of a letter; the next two are the dialog's handle. */
export const LETTER = {
  /** Fourth word: the state it ended from; fifth: how. */
  ended: 1,
  timeoutRoute: 2,
  endEarly: 3,
  byeAnswered: 4,
  endUnanswered: 5,
} as const;

const LETTER_WORDS = 5;
/**
 * Letters that wait for room in their rings.  Who asks hasRoom() first needs one for each owner; answers to BYEs under way
 * (own-requests.ts, FRESH_MAX) come unasked.
 */
const KEPT_LETTERS_MAX = 2_048;

/** Owners that are told by letter. */
export class Letters implements Owners {
  private readonly native: Shard;
  private readonly x: Uint32Array;
  private readonly log: DialogLog;
  private readonly kept: { readonly owner: number; readonly words: readonly number[] }[] = [];

  constructor(native: Shard, x: Uint32Array, log: DialogLog) {
    this.native = native;
    this.x = x;
    this.log = log;
  }

  /** Letters that wait for room. */
  get keptLetters(): number {
    return this.kept.length;
  }

  hasRoom(entry: number): boolean {
    if (this.kept.length === 0) return true;
    const owner = this.native.ownerOf(entry);
    return !this.kept.some((letter) => letter.owner === owner);
  }

  ended(index: number, generation: number, from: number, how: number): void {
    this.send(LETTER.ended, index, generation, from, how);
  }

  /** The message stays here: it stands in this thread's memory. */
  byeAnswered(index: number, generation: number, _message: Message | null): void {
    this.send(LETTER.byeAnswered, index, generation, 0, 0);
  }

  timeoutRoute(index: number, generation: number): void {
    this.send(LETTER.timeoutRoute, index, generation, 0, 0);
  }

  endEarly(index: number, generation: number): void {
    this.send(LETTER.endEarly, index, generation, 0, 0);
  }

  endUnanswered(index: number, generation: number): void {
    this.send(LETTER.endUnanswered, index, generation, 0, 0);
  }

  /** Tries again with what is kept, oldest first. */
  flush(): void {
    const { kept } = this;
    if (kept.length === 0) return;
    const full = new Set<number>();
    let left = 0;
    for (const letter of kept) {
      if (!full.has(letter.owner) && this.post(letter.owner, letter.words)) continue;
      full.add(letter.owner);
      kept[left++] = letter;
    }
    kept.length = left;
  }

  private send(kind: number, index: number, generation: number, a: number, b: number): void {
    if (this.native.dialogLoad(index, generation) !== STATUS.ok) return;
    const entry = this.x[D_ENTRY]!;
    const owner = this.native.ownerOf(entry);
    const words = [kind, index, generation, a, b];
    if (this.hasRoom(entry) && this.post(owner, words)) return;
    if (this.kept.length < KEPT_LETTERS_MAX) this.kept.push({ owner, words });
    else this.log.error('letter_not_kept', { kind, record: index });
  }

  private post(owner: number, words: readonly number[]): boolean {
    for (let n = 0; n < LETTER_WORDS; n++) this.x[X_ARGS + n] = words[n]!;
    return this.native.post(owner, LETTER_WORDS) === STATUS.ok;
  }
}

/** Does what the letter in X_ARGS says.  False: it is none of these. */
export function deliver(x: Uint32Array, words: number, to: Owners): boolean {
  if (words !== LETTER_WORDS) return false;
  const index = x[X_ARGS + 1]!;
  const generation = x[X_ARGS + 2]!;
  switch (x[X_ARGS]) {
    case LETTER.ended:
      to.ended(index, generation, x[X_ARGS + 3]!, x[X_ARGS + 4]!);
      return true;
    case LETTER.timeoutRoute:
      to.timeoutRoute(index, generation);
      return true;
    case LETTER.endEarly:
      to.endEarly(index, generation);
      return true;
    case LETTER.endUnanswered:
      to.endUnanswered(index, generation);
      return true;
    case LETTER.byeAnswered:
      to.byeAnswered(index, generation, null);
      return true;
  }
  return false;
}
