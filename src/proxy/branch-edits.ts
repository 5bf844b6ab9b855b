/**
 * What a branch route changes is its branch's alone: R-URI, next hop and header edits of the request come back behind it.
 * [RFC 3261 16.6 step 2]
 */
import type { Passage } from './passage.js';

/** R-URI of target `n` of a fork, 0 is the request's own; null: as received. */
export function targetOf(passage: Passage, n: number): string | null {
  return n === 0 ? passage.requestUri : passage.targets[n - 1]!;
}

/** One per shard: branches are made one after the other. */
export class BranchEdits {
  private isOpen = false;
  private requestUri: string | null = null;
  private destination: string | null = null;
  private readonly appended: string[] = [];
  private readonly removed: number[] = [];

  /** The passage speaks for target `n` from now on. */
  begin(passage: Passage, n: number): void {
    this.isOpen = true;
    this.requestUri = passage.requestUri;
    this.destination = passage.destination;
    copyInto(this.appended, passage.headersAppended);
    copyInto(this.removed, passage.headersRemoved);
    passage.requestUri = targetOf(passage, n);
    if (n > 0) passage.destination = passage.targetDestinations[n - 1]!;
  }

  /** The passage speaks for the whole request again. */
  end(passage: Passage): void {
    if (!this.isOpen) return;
    this.isOpen = false;
    passage.requestUri = this.requestUri;
    passage.destination = this.destination;
    copyInto(passage.headersAppended, this.appended);
    copyInto(passage.headersRemoved, this.removed);
  }
}

function copyInto<T>(target: T[], source: readonly T[]): void {
  target.length = 0;
  for (let n = 0; n < source.length; n++) target.push(source[n]!);
}
