/** Asking for dialogs.  [manual 6.12, 6.13] */
import type { DialogTracker } from '../../dialog/tracker.js';
import type { Message } from '../../sip/message.js';

/** Whether the message belongs to a dialog whose record is still there, in whatever state. */
export function is_known_dlg(tracker: DialogTracker, message: Message): boolean {
  return tracker.messageDialog(message);
}

/** Makes the dialog with these texts the context's; the tags may be given either way round. */
export function dlg_get(tracker: DialogTracker, callId: string, fromTag: string, toTag: string): boolean {
  return tracker.find(callId, fromTag, toTag);
}
