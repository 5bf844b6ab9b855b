/** Properties of a dialog, by name.  [manual 6.16] */

import {
  A_PROPERTIES_CLEAR,
  A_PROPERTIES_SET,
  CHANGE_PROPERTIES,
  PROPERTY_KA_CALLEE,
  PROPERTY_KA_CALLER,
  PROPERTY_TIMEOUT_NORESET,
} from '../../dialog/record.js';
import type { DialogTracker } from '../../dialog/tracker.js';
import { STATUS } from '../../memory/addon.js';

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
  const { records } = tracker;
  if (!tracker.contextDialog()) return true;
  const { index, generation } = records;
  records.beginChange(CHANGE_PROPERTIES, 0);
  records.x[A_PROPERTIES_SET] = set;
  records.x[A_PROPERTIES_CLEAR] = clear;
  return records.change(index, generation) === STATUS.ok;
}
