/**
 * A shard's native calls: numbers go through the words of X, in both directions.
 *
 * By Node-API each argument and each result costs about as much as the crossing itself; a word of X costs next to
 * nothing.  Every call gets a function of its own, made from source: functions made by one closure share what V8 learns
 * about them, and none of their native calls would be compiled in.  [native/binding/call.h]
 */
import type { Shard } from './addon.js';

/** What the native side makes: functions without arguments, and for each of them how many it takes and whether it returns. */
type Native = { readonly calls: Readonly<Record<string, number>> } & Readonly<Record<string, unknown>>;

/** What stands for an argument in the source. */
const ARGUMENT_NAMES = 'abcdefgh';

/**
 * @param exchange X of the shard
 * @param argumentsAt word of X where arguments begin
 * @param resultAt    word of X where results stand
 * @returns the shard as TypeScript sees it; once it has let go of its segment, calls do nothing and return undefined
 */
export function crossing(
  native: Native,
  exchange: Uint32Array,
  argumentsAt: number,
  resultAt: number,
): Shard {
  const { calls, ...rest } = native;
  const functions = Object.entries(calls).map(([name, shape]) => {
    const names = [...ARGUMENT_NAMES].slice(0, shape >> 1);
    const given = names.map((argument, n) => `x[${argumentsAt + n}] = ${argument};`).join(' ');
    const call =
      shape & 1 ? `return native_${name}() === false ? undefined : x[${resultAt}];` : `native_${name}();`;
    return `${name}(${names.join(', ')}) { ${given} ${call} }`;
  });
  const locals = Object.keys(calls).map((name) => `const native_${name} = native.${name};`);
  const source = `'use strict'; ${locals.join(' ')} return { ${functions.join(', ')} };`;
  return { ...rest, ...new Function('native', 'x', source)(native, exchange) } as Shard;
}
