/** Script flags: 32 bits that live with the dialog, or wait in the context for one.  [manual 6.5-6.7] */

import { A_SCRIPT_FLAGS_CLEAR, A_SCRIPT_FLAGS_SET, CHANGE_SCRIPT_FLAGS } from '../../dialog/record.js';
import type { DialogTracker } from '../../dialog/tracker.js';
import { STATUS } from '../../memory/addon.js';
import { D_SCRIPT_FLAGS } from '../../memory/words.js';

/** Sets flag `n` (0..31) in the context, and in its dialog if there is one. */
export function dlg_setflag(tracker: DialogTracker, n: number): boolean {
  if (!isFlag(n)) return false;
  tracker.context.flags = (tracker.context.flags | bit(n)) >>> 0;
  return change(tracker, bit(n), 0);
}

/** Clears flag `n` (0..31) in the context, and in its dialog if there is one. */
export function dlg_resetflag(tracker: DialogTracker, n: number): boolean {
  if (!isFlag(n)) return false;
  tracker.context.flags = (tracker.context.flags & ~bit(n)) >>> 0;
  return change(tracker, 0, bit(n));
}

/** Whether flag `n` (0..31) is set in the context's dialog, or without one in the context. */
export function dlg_isflagset(tracker: DialogTracker, n: number): boolean {
  if (!isFlag(n)) return false;
  const flags = tracker.contextDialog() ? tracker.records.x[D_SCRIPT_FLAGS]! : tracker.context.flags;
  return (flags & bit(n)) !== 0;
}

/** No dialog to change is no fault: the context has the flag. */
function change(tracker: DialogTracker, set: number, clear: number): boolean {
  const { records } = tracker;
  if (!tracker.contextDialog()) return true;
  const { index, generation } = records;
  records.beginChange(CHANGE_SCRIPT_FLAGS, 0);
  records.x[A_SCRIPT_FLAGS_SET] = set;
  records.x[A_SCRIPT_FLAGS_CLEAR] = clear;
  return records.change(index, generation) === STATUS.ok;
}

function isFlag(n: number): boolean {
  return Number.isInteger(n) && n >= 0 && n <= 31;
}

function bit(n: number): number {
  return (1 << n) >>> 0;
}
