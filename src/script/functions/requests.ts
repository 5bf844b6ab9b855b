/** Requests that scripts have us send inside calls, and calls that we make.  [manual 6.8, 6.9, 6.11; spec 13.2] */
import type { DialogTracker } from '../../dialog/tracker.js';
import { STATUS } from '../../memory/addon.js';
import { type OneSide, oneSideOf, type Sides, sidesOf } from './sides.js';

/**
 * Ends the context's dialog: BYE to one side or to both; one that is not answered is cancelled as a whole.
 *
 * @returns false without a dialog, if it has ended, or if a side cannot be told (the call has ended all the same)
 */
export function dlg_bye(tracker: DialogTracker, side: Sides): boolean {
  const sides = sidesOf(side);
  const { index, generation } = tracker.context;
  return index !== 0 && tracker.ending.end(index, generation, sides, '') === 'ended';
}

/** REFER to one side of the context's dialog, and when that is answered, BYE. */
export function dlg_refer(tracker: DialogTracker, side: OneSide, address: string): boolean {
  const number = oneSideOf(side);
  const { index, generation } = tracker.context;
  return index !== 0 && tracker.refer.refer(index, generation, number, address);
}

/** The same for the dialog with this address. */
export function dlg_refer_did(
  tracker: DialogTracker,
  entry: number,
  id: number,
  side: OneSide,
  address: string,
): boolean {
  const { records, refer } = tracker;
  const number = oneSideOf(side);
  if (records.native.dialogFindById(entry, id) !== STATUS.ok) return false;
  return refer.refer(records.index, records.generation, number, address);
}

/** The same for the answered dialog with this Call-ID; false too if there are several. */
export function dlg_refer_cid(
  tracker: DialogTracker,
  callId: string,
  side: OneSide,
  address: string,
): boolean {
  const { records, refer } = tracker;
  const number = oneSideOf(side);
  return tracker.loadByCallId(callId) && refer.refer(records.index, records.generation, number, address);
}

/** Calls `from`, by way of `op` unless that is '', and refers it to `to`.  True: the INVITE is under way. */
export function dlg_bridge(tracker: DialogTracker, from: string, to: string, op: string): boolean {
  return tracker.bridge.bridge(from, to, op, null);
}

/** A request inside the context's dialog, to one side or to both. */
export function dlg_req_within(
  tracker: DialogTracker,
  side: Sides,
  method: string,
  headers: string,
  contentType: string,
  body: string,
): boolean {
  const sides = sidesOf(side);
  const { index, generation } = tracker.context;
  return index !== 0 && tracker.inquiry.send(index, generation, sides, method, headers, contentType, body);
}
