/** Properties of a dialog, by name.  [manual 6.16] */

import { isProbing, wantsProbes } from '../../dialog/keepalive.js';
import { CONFIRMED } from '../../dialog/machine.js';
import {
  A_KA_DUE,
  A_PROPERTIES_CLEAR,
  A_PROPERTIES_SET,
  CHANGE_KA_DUE,
  CHANGE_PROPERTIES,
  PROPERTY_KA_CALLEE,
  PROPERTY_KA_CALLER,
  PROPERTY_TIMEOUT_NORESET,
} from '../../dialog/record.js';
import type { DialogTracker } from '../../dialog/tracker.js';
import { STATUS } from '../../memory/addon.js';
import { D_KA_DUE, D_PROPERTIES, D_STATE } from '../../memory/words.js';

const BITS: ReadonlyMap<string, number> = new Map([
  ['ka-src', PROPERTY_KA_CALLER],
  ['ka-dst', PROPERTY_KA_CALLEE],
  ['timeout-noreset', PROPERTY_TIMEOUT_NORESET],
]);

/** Sets a property in the context, and in its dialog if there is one; false: there is none of that name. */
export function dlg_set_property(tracker: DialogTracker, name: string): boolean {
  const bit = BITS.get(name);
  if (bit === undefined) return false;
  tracker.context.properties |= bit;
  return change(tracker, bit, 0);
}

/** Takes a property back, from the context and from its dialog. */
export function dlg_reset_property(tracker: DialogTracker, name: string): boolean {
  const bit = BITS.get(name);
  if (bit === undefined) return false;
  tracker.context.properties &= ~bit;
  return change(tracker, 0, bit);
}

function change(tracker: DialogTracker, set: number, clear: number): boolean {
  const { params, records } = tracker;
  const { x } = records;
  if (!tracker.contextDialog()) return true;
  const { index, generation } = records;
  // A confirmed call has its place on the keep-alive wheel as long as a side is to be probed.
  const isWanted = wantsProbes((x[D_PROPERTIES]! | set) & ~clear);
  const isArmed = x[D_KA_DUE] !== 0;
  const arms = x[D_STATE] === CONFIRMED && isProbing(params) && isWanted !== isArmed;
  records.beginChange(CHANGE_PROPERTIES | (arms ? CHANGE_KA_DUE : 0), 0);
  x[A_PROPERTIES_SET] = set;
  x[A_PROPERTIES_CLEAR] = clear;
  x[A_KA_DUE] = isWanted ? records.native.nowBootSeconds() + params.ka_interval : 0;
  return records.change(index, generation) === STATUS.ok;
}
