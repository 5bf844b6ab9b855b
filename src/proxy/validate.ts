/**
 * What every request must pass before it is routed.  [RFC 3261 16.3, RFC 5393]
 */
import type { Message } from '../sip/message.js';
import {
  HDR_VIA,
  I_ID_HEADER,
  ITEM_WORDS,
  ITEMS_AT,
  NONE,
  W_ITEM_COUNT,
  W_MAX_BREADTH,
  W_MAX_FORWARDS,
  W_VIA_COUNT,
} from '../sip/words.js';
import { BranchName } from './via.js';

const VIA_IDS_MAX = 64;

/** Finds our own Vias in a request and tells a loop from a spiral. */
export class LoopCheck {
  private readonly name = new BranchName();

  /**
   * True if this very request, with the fields that routing depends on unchanged, came through here before.  The hash is
   * keyed, so that a branch with its value is one that we made.
   *
   * @param hash the request's loop hash
   */
  loops(message: Message, hash: number): boolean {
    const vias = Math.min(message.word(W_VIA_COUNT), VIA_IDS_MAX);
    let item = this.firstVia(message);
    for (let n = 0; n < vias; n++) {
      const found = this.name.read(
        message.bytes,
        message.at + message.itemUriOffset(item),
        message.itemUriLength(item),
      );
      if (found && this.name.hash === hash) return true;
      item = message.itemNext(item);
      if (item === 0) break;
    }
    return false;
  }

  /** The first item of the table is the topmost Via in nearly every message; else it is searched. */
  private firstVia(message: Message): number {
    const count = message.word(W_ITEM_COUNT);
    for (let n = 0; n < count; n++) {
      const id = message.word(ITEMS_AT + n * ITEM_WORDS + I_ID_HEADER) >>> 16;
      if (id === HDR_VIA) return n;
    }
    return 0;
  }
}

/** Max-Forwards is used up.  [16.3 step 3] */
export function isExhausted(message: Message): boolean {
  return message.word(W_MAX_FORWARDS) === 0;
}

/** Max-Breadth of the request, or `initial` if it has none. */
export function breadthOf(message: Message, initial: number): number {
  const breadth = message.word(W_MAX_BREADTH);
  return breadth === NONE ? initial : breadth;
}
