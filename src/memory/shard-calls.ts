/**
 * A shard's native calls as the packet path makes them: those that need not cross the boundary do not.
 *
 * A crossing costs some 30 ns and a call has dozens of them, so the clock is read from the words that each batch and tick
 * leave in X, and counts are gathered until the batch is over.
 */
import type { Shard } from './addon.js';
import type { Tally } from './tally.js';
import { X_BOOT_SECONDS, X_TICK, X_UNIX_SECONDS } from './words.js';

/**
 * The calls of `native`, with the clock of X and counts into `tally`, which is posted at the end of each batch.
 *
 * The object that C++ fills property by property is a dictionary to V8, where each look-up of a method is a search; a
 * copy by spreading is not.
 */
export function packetCalls(native: Shard, x: Uint32Array, tally: Tally): Shard {
  return {
    ...native,
    nowTick: () => x[X_TICK]!,
    nowBootSeconds: () => x[X_BOOT_SECONDS]!,
    nowUnixSeconds: () => x[X_UNIX_SECONDS]!,
    count: (counter, amount) => tally.add(counter, amount),
  };
}
