/**
 * A request that comes back after it was sent on from here, and is no loop.  [RFC 3261 16.3 step 4]
 */
import { type Shard, STATUS } from '../memory/addon.js';
import type { Message } from '../sip/message.js';
import { W_VIA_COUNT } from '../sip/words.js';
import { firstVia, VIA_IDS_MAX } from './validate.js';
import { isOurBranch } from './via.js';

/**
 * Whether one of the message's Vias names a live transaction of ours that has a dialog: its index and generation are then
 * in X_ARGS.  Hash and all must be what we wrote, so that nobody can make one up.
 */
export function findDialogOfVia(native: Shard, message: Message): boolean {
  const vias = Math.min(message.word(W_VIA_COUNT), VIA_IDS_MAX);
  let item = firstVia(message);
  for (let n = 0; n < vias; n++) {
    const at = message.at + message.itemUriOffset(item);
    const length = message.itemUriLength(item);
    if (isOurBranch(message.bytes, at, length) && native.transactionDialog(at, length) === STATUS.ok)
      return true;
    item = message.itemNext(item);
    if (item === 0) break;
  }
  return false;
}
