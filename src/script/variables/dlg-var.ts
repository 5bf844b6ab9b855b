/** $dlg_var(key): texts that live with the dialog.  [manual 8.3] */
import type { DialogTracker } from '../../dialog/tracker.js';
import type { Message } from '../../sip/message.js';

/** null when it is not set. */
export function $dlg_var(tracker: DialogTracker, message: Message, key: string): string | null {
  return tracker.variables.get(tracker.context, message, key);
}

/** null removes it.  Before the dialog is made the text waits for it. */
export function set_dlg_var(
  tracker: DialogTracker,
  message: Message,
  key: string,
  value: string | null,
): boolean {
  return tracker.variables.set(tracker.context, message, key, value);
}
