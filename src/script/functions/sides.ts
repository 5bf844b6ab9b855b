/** Sides of a call by their names in scripts.  [manual 6.8, 6.9] */
import { BOTH_SIDES } from '../../dialog/ending.js';
import { TO_CALLEE, TO_CALLER } from '../../dialog/requests.js';

export type OneSide = 'caller' | 'callee';
/** `both` is the manual's word for `all`. */
export type Sides = OneSide | 'all' | 'both';

const NUMBERS: ReadonlyMap<string, number> = new Map([
  ['caller', TO_CALLER],
  ['callee', TO_CALLEE],
  ['all', BOTH_SIDES],
  ['both', BOTH_SIDES],
]);

/** Bits of the named sides, in whatever case. @throws TypeError for any other word: the script is wrong */
export function sidesOf(name: Sides): number {
  const number = NUMBERS.get(name.toLowerCase());
  if (number === undefined) throw new TypeError(`side ${JSON.stringify(name)}: caller, callee or all`);
  return number;
}

/** The same where only one can be meant. */
export function oneSideOf(name: OneSide): number {
  const number = sidesOf(name);
  if (number === BOTH_SIDES) throw new TypeError(`side ${JSON.stringify(name)}: caller or callee`);
  return number;
}
