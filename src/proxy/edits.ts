/**
 * The edits that make a forwarded copy of a request: sorted splices, and their text in one run.
 *
 * Text is written to the scratch as each edit is added; only if the order of the message differs from the order of
 * writing is it gathered once more.  A branch keeps at most EDITS_MAX edits: of more, the last become one, which carries the bytes of
 * the message between them.
 */
import type { Scratch } from '../memory/shard-memory.js';
import { constant, X_ARGS } from '../memory/words.js';
import type { Message } from '../sip/message.js';
import type { Outgoing } from './outgoing.js';

/** What a branch keeps at most: the core's bound. */
const EDITS_MAX = constant('EditsMax');
/** What one copy may ask for: each header field that the parser tells apart removed or changed, and what a proxy adds. */
const EDITS_ASKED_MAX = 1_024;

export class Edits {
  count = 0;
  /** After finish(): where the text of all edits stands. */
  textAt = 0;
  textLength = 0;

  private readonly offset = new Int32Array(EDITS_ASKED_MAX);
  private readonly drop = new Int32Array(EDITS_ASKED_MAX);
  private readonly at = new Int32Array(EDITS_ASKED_MAX);
  private readonly length = new Int32Array(EDITS_ASKED_MAX);
  private readonly scratch: Scratch;
  private open = 0;

  constructor(scratch: Scratch) {
    this.scratch = scratch;
  }

  reset(): void {
    this.count = 0;
    this.open = this.scratch.at;
  }

  /** Text written to the scratch from now on belongs to the next add(). */
  begin(): void {
    this.open = this.scratch.at;
  }

  /** Adds an edit with the text written since begin().  False: too many edits. */
  add(offset: number, drop: number): boolean {
    return this.addText(offset, drop, this.open, this.scratch.at - this.open);
  }

  /** Adds an edit whose text stands anywhere in the memory; equal offsets keep the order of adding. */
  addText(offset: number, drop: number, at: number, length: number): boolean {
    if (this.count === EDITS_ASKED_MAX) return false;
    let n = this.count++;
    while (n > 0 && this.offset[n - 1]! > offset) {
      this.offset[n] = this.offset[n - 1]!;
      this.drop[n] = this.drop[n - 1]!;
      this.at[n] = this.at[n - 1]!;
      this.length[n] = this.length[n - 1]!;
      n--;
    }
    this.offset[n] = offset;
    this.drop[n] = drop;
    this.at[n] = at;
    this.length[n] = length;
    this.open = this.scratch.at;
    return true;
  }

  /** Takes [offset, offset + drop) out for good: edits inside it go with it.  False: too many edits. */
  cut(offset: number, drop: number): boolean {
    const end = offset + drop;
    let kept = 0;
    for (let n = 0; n < this.count; n++) {
      const at = this.offset[n]!;
      // What is only put in at the cut's first byte stands before it.
      const isInside = at < end && (at > offset || (at === offset && this.drop[n] !== 0));
      if (isInside) continue;
      this.offset[kept] = at;
      this.drop[kept] = this.drop[n]!;
      this.at[kept] = this.at[n]!;
      this.length[kept] = this.length[n]!;
      kept++;
    }
    this.count = kept;
    return this.addText(offset, drop, 0, 0);
  }

  /** Writes the list to the arguments of transactionAddBranch; `message` is what the edits are of. */
  finish(x: Uint32Array, message: Message): void {
    if (this.count > EDITS_MAX) this.join(message);
    x[X_ARGS] = this.count;
    let arg = X_ARGS + 1;
    let inOrder = true;
    let end = -1;
    let total = 0;
    for (let n = 0; n < this.count; n++) {
      x[arg] = this.offset[n]!;
      x[arg + 1] = this.drop[n]!;
      x[arg + 2] = this.length[n]!;
      arg += 3;
      if (this.length[n] === 0) continue;
      if (end < 0) this.textAt = this.at[n]!;
      else if (end !== this.at[n]) inOrder = false;
      end = this.at[n]! + this.length[n]!;
      total += this.length[n]!;
    }
    this.textLength = total;
    if (inOrder) {
      if (total === 0) this.textAt = this.scratch.at;
      return;
    }
    const start = this.scratch.at;
    for (let n = 0; n < this.count; n++) this.scratch.copy(this.at[n]!, this.length[n]!);
    this.textAt = start;
  }

  /** The last edits become one: their text, and what stands between them in the message. */
  private join(message: Message): void {
    const first = EDITS_MAX - 1;
    const { scratch } = this;
    const start = scratch.at;
    const from = this.offset[first]!;
    let end = from;
    for (let n = first; n < this.count; n++) {
      scratch.copy(message.at + end, this.offset[n]! - end);
      scratch.copy(this.at[n]!, this.length[n]!);
      end = this.offset[n]! + this.drop[n]!;
    }
    this.drop[first] = end - from;
    this.at[first] = start;
    this.length[first] = scratch.at - start;
    this.count = EDITS_MAX;
  }

  /** The edits applied, as pieces of an outgoing message: for a copy that no transaction keeps. */
  apply(message: Message, out: Outgoing): void {
    if (this.count > EDITS_MAX) this.join(message);
    let from = 0;
    for (let n = 0; n < this.count; n++) {
      out.message(message, from, this.offset[n]! - from);
      out.piece(this.at[n]!, this.length[n]!);
      from = this.offset[n]! + this.drop[n]!;
    }
    out.message(message, from, message.length - from);
  }
}
