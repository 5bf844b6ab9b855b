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

export const VIA_IDS_MAX = 64;

/** Finds our own Vias in a request and tells a loop from a spiral. */
export class LoopCheck {
  private readonly name = new BranchName();
  /** The branch of whoever made the request that loops() looked at last, if it reads as one of ours; else null. */
  maker: BranchName | null = null;

  /**
   * True if this very request, with the fields that routing depends on unchanged, was forwarded here before.  The hash is
   * keyed, so that a branch with its value is one that we made.  The last Via is that of who made the request, which it
   * may well send by way of itself: only what was forwarded can loop.  [16.3 step 4]
   *
   * @param hash the request's loop hash
   */
  loops(message: Message, hash: number): boolean {
    const { name } = this;
    const vias = message.word(W_VIA_COUNT);
    const looked = Math.min(vias, VIA_IDS_MAX);
    let item = firstVia(message);
    this.maker = null;
    for (let n = 0; n < looked; n++) {
      const at = message.at + message.itemUriOffset(item);
      if (name.read(message.bytes, at, message.itemUriLength(item))) {
        if (n === vias - 1) this.maker = name;
        else if (name.hash === hash) return true;
      }
      item = message.itemNext(item);
      if (item === 0) break;
    }
    return false;
  }
}

/** The first item of the table is the topmost Via in nearly every message; else it is searched. */
export function firstVia(message: Message): number {
  const count = message.word(W_ITEM_COUNT);
  for (let n = 0; n < count; n++) {
    const id = message.word(ITEMS_AT + n * ITEM_WORDS + I_ID_HEADER) >>> 16;
    if (id === HDR_VIA) return n;
  }
  return 0;
}

/** How often the request came through here, as its Vias tell; only looked at when it is about to come again. */
export function passesOf(message: Message): number {
  const vias = Math.min(message.word(W_VIA_COUNT), VIA_IDS_MAX);
  let item = firstVia(message);
  let passes = 0;
  for (let n = 0; n < vias; n++) {
    if (counted.read(message.bytes, message.at + message.itemUriOffset(item), message.itemUriLength(item)))
      passes++;
    item = message.itemNext(item);
    if (item === 0) break;
  }
  return passes;
}

const counted = new BranchName();

/** Max-Forwards is used up.  [16.3 step 3] */
export function isExhausted(message: Message): boolean {
  return message.word(W_MAX_FORWARDS) === 0;
}

/** Max-Breadth of the request, or `initial` if it has none. */
export function breadthOf(message: Message, initial: number): number {
  const breadth = message.word(W_MAX_BREADTH);
  return breadth === NONE ? initial : breadth;
}
