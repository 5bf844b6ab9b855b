/** What is asked of one dialog: probes of its sides, a lifetime that no request resets.  [manual 6.16] */
import { STATUS } from '../memory/addon.js';
import { D_KA_DUE, D_PROPERTIES, D_STATE } from '../memory/words.js';
import { isProbing, type KeepAliveParams, wantsProbes } from './keepalive.js';
import { CONFIRMED } from './machine.js';
import {
  A_KA_DUE,
  A_PROPERTIES_CLEAR,
  A_PROPERTIES_SET,
  CHANGE_KA_DUE,
  CHANGE_PROPERTIES,
  PROPERTY_KA_CALLEE,
  PROPERTY_KA_CALLER,
  PROPERTY_TIMEOUT_NORESET,
  type Records,
} from './record.js';

/** The bit of each property that has a name. */
export const PROPERTIES = {
  'ka-src': PROPERTY_KA_CALLER,
  'ka-dst': PROPERTY_KA_CALLEE,
  'timeout-noreset': PROPERTY_TIMEOUT_NORESET,
} as const;

export type PropertyName = keyof typeof PROPERTIES;

/** Sets and clears properties of the dialog in hand; a confirmed call is probed, or not, from now on.  False: it is gone. */
export function changeProperties(
  records: Records,
  params: KeepAliveParams,
  set: number,
  clear: number,
): boolean {
  const { index, generation, native, x } = records;
  // A confirmed call has its place on the keep-alive wheel as long as a side is to be probed.
  const isWanted = wantsProbes((x[D_PROPERTIES]! | set) & ~clear);
  const isArmed = x[D_KA_DUE] !== 0;
  const arms = x[D_STATE] === CONFIRMED && isProbing(params) && isWanted !== isArmed;
  records.beginChange(CHANGE_PROPERTIES | (arms ? CHANGE_KA_DUE : 0), 0);
  x[A_PROPERTIES_SET] = set;
  x[A_PROPERTIES_CLEAR] = clear;
  x[A_KA_DUE] = isWanted ? native.nowBootSeconds() + params.ka_interval : 0;
  return records.change(index, generation) === STATUS.ok;
}
