/** Changing dialogs by hand.  [spec 13.2] */
import { CONFIRMED, CONFIRMED_NO_ACK, DELETED, EARLY, UNCONFIRMED } from '../../dialog/machine.js';
import type { DialogTracker } from '../../dialog/tracker.js';
import type { Message } from '../../sip/message.js';

/** States by their first letters: `answered` has no ACK yet. */
const STATES: Readonly<Record<string, number>> = {
  u: UNCONFIRMED,
  e: EARLY,
  a: CONFIRMED_NO_ACK,
  c: CONFIRMED,
  d: DELETED,
};

/** Forces the state of the context's dialog: unconfirmed, early, answered, confirmed, deleted, or their first letter. */
export function dlg_set_state(tracker: DialogTracker, name: string): boolean {
  const state = STATES[name.charAt(0).toLowerCase()];
  if (state === undefined) throw new TypeError(`state ${JSON.stringify(name)}: u, e, a, c or d`);
  return tracker.contextDialog() && tracker.byHand.setState(state);
}

/** The sender of the message is reached at its Contact from now on. */
export function dlg_update_contact(tracker: DialogTracker, message: Message): boolean {
  const direction = senderOf(tracker);
  return direction !== 0 && tracker.byHand.updateContact(message, direction);
}

/** Requests of our own to the sender of the message leave from the socket that it came to. */
export function dlg_update_socket(tracker: DialogTracker, message: Message): boolean {
  const direction = senderOf(tracker);
  return direction !== 0 && tracker.byHand.updateSocket(message, direction);
}

/** The direction in which the side that sent the message in hand sends; its dialog is in hand. */
function senderOf(tracker: DialogTracker): number {
  return tracker.contextDialog() ? tracker.context.direction : 0;
}
