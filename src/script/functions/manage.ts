/** Making and matching dialogs.  [manual 6.10] */
import type { DialogTracker } from '../../dialog/tracker.js';
import type { Message } from '../../sip/message.js';

/**
 * Makes the dialog of an initial INVITE, or finds that of a sequential request by Call-ID and tags.
 *
 * @param requestUriAt where the Request-URI as the route left it stands in memory; left out: as received
 * @returns false for other initial requests, a second call, or an INVITE that no dialog is made of: $dlg_ctx('refused')
 *   says why, and limits do not count it
 */
export function dlg_manage(
  tracker: DialogTracker,
  message: Message,
  requestUriAt?: number,
  requestUriLength?: number,
): boolean {
  return tracker.manage(message, requestUriAt, requestUriLength);
}
