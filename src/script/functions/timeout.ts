/** How long a dialog lives.  [manual 6.14] */

import { LIFETIME_SECONDS_MAX } from '../../dialog/lifetime.js';
import type { DialogTracker } from '../../dialog/tracker.js';
import { STATUS } from '../../memory/addon.js';
import type { Message } from '../../sip/message.js';

/**
 * Sets the lifetime, counted from now, of the message's dialog, or of the one with this address.
 *
 * @param seconds 1..31,536,000; while the call is not answered, it counts from the answer
 */
export function dlg_set_timeout(
  tracker: DialogTracker,
  message: Message,
  seconds: number,
  entry?: number,
  id?: number,
): boolean {
  if (!Number.isInteger(seconds) || seconds < 1 || seconds > LIFETIME_SECONDS_MAX) return false;
  if (entry === undefined && id === undefined) {
    return tracker.messageDialog(message) && tracker.setTimeout(seconds);
  }
  if (!isAddressPart(entry) || !isAddressPart(id)) return false;
  return tracker.records.native.dialogFindById(entry, id) === STATUS.ok && tracker.setTimeout(seconds);
}

/**
 * The same for every dialog of a profile that rings or is up; without a value, of all values.  [manual 6.15]
 *
 * @param seconds 1..31,536,000
 */
export function dlg_set_timeout_by_profile(
  tracker: DialogTracker,
  profile: string,
  value: string | null,
  seconds: number,
): boolean {
  if (!Number.isInteger(seconds) || seconds < 1 || seconds > LIFETIME_SECONDS_MAX) return false;
  return tracker.setTimeoutOfMembers(profile, value, seconds);
}

function isAddressPart(value: number | undefined): value is number {
  return value !== undefined && Number.isInteger(value) && value >= 0 && value <= 0xffffffff;
}
