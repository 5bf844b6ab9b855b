/** Asking for dialogs.  [manual 6.12, 6.13] */
import { TEXT_CALLEE_CONTACT, TEXT_CALLER_CONTACT } from '../../dialog/dialog.js';
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

/** A variable of any dialog, null without one; an empty To tag means one that is not answered.  [spec 13.2] */
export function dlg_get_var(
  tracker: DialogTracker,
  callId: string,
  fromTag: string,
  toTag: string,
  key: string,
): string | null {
  const { records, variables } = tracker;
  if (!tracker.loadByTags(callId, fromTag, toTag)) return null;
  return variables.read(records.index, records.generation, key);
}

/** Sets a variable of any dialog; null removes it. */
export function dlg_set_var(
  tracker: DialogTracker,
  callId: string,
  fromTag: string,
  toTag: string,
  key: string,
  value: string | null,
): boolean {
  const { records, variables } = tracker;
  if (value !== null && typeof value !== 'string') return false;
  if (!tracker.loadByTags(callId, fromTag, toTag)) return false;
  return variables.write(records.index, records.generation, key, value);
}

/** Contact of the side that the message goes to, null when it is not known. */
export function targetOf(tracker: DialogTracker): string | null {
  const { direction } = tracker.context;
  if (direction === 0 || !tracker.contextDialog()) return null;
  return tracker.snapshotText(direction === 1 ? TEXT_CALLEE_CONTACT : TEXT_CALLER_CONTACT) || null;
}
