/**
 * Randomness, handed in.  The product draws from the kernel; a replay draws from a seed.
 */
import { randomBytes, randomInt } from 'node:crypto';

/** Where random numbers come from. */
export interface Random {
  /** A whole number from 0 up to, but not including, `bound` (at most 2^31). */
  below(bound: number): number;
  /** `count` bytes nobody can guess (from a seed: the same ones again). */
  bytes(count: number): Uint8Array;
}

/** The kernel's randomness. */
export const systemRandom: Random = {
  below: (bound) => randomInt(bound),
  bytes: (count) => randomBytes(count),
};

/** The same numbers for the same seed, for replays only: never for keys or tags that leave the machine. */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0;
  const next = (): number => {
    state = (state + 0x9e3779b9) >>> 0;
    let mixed = state;
    mixed = Math.imul(mixed ^ (mixed >>> 16), 0x21f0aaad);
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97);
    return (mixed ^ (mixed >>> 15)) >>> 0;
  };
  return {
    below: (bound) => Math.floor((next() / 0x1_0000_0000) * bound),
    bytes: (count) => Uint8Array.from({ length: count }, () => next() & 0xff),
  };
}
