/**
 * Why dlg_manage() made no dialog of an initial INVITE: one row for each reason, with its counter.
 *
 * A route reads the reason as $dlg_ctx('refused').  What has no dialog is counted by no profile, so whoever sets limits
 * answers such an INVITE instead of relaying it.
 */
import type { Shard } from '../memory/addon.js';
import { constant } from '../memory/words.js';
import type { Message } from '../sip/message.js';
import { M_INVITE, W_FROM_TAG_LEN } from '../sip/words.js';
import type { DialogContext } from './context.js';
import { hasOneContact } from './leg.js';

export const REASONS = {
  /** It has no From tag: nobody could tell its requests from others'.  [RFC 3261 8.1.1.3] */
  from_tag: constant('CounterRefusedFromTag'),
  /** It has no Contact, several, `*`, or one without URI.  [RFC 3261 8.1.1.8] */
  contact: constant('CounterRefusedContact'),
  /** Its Record-Routes are longer than ROUTE_SET_BYTES_MAX. */
  route_set: constant('CounterRefusedRouteSet'),
  /** Its Call-ID, a tag or a URI is longer than a dialog keeps. */
  text: constant('CounterRefusedText'),
  /** Its Call-ID has as many dialogs as one may have. */
  call_id: constant('CounterRefusedCallId'),
  /** It came by another way before, and refuse_merged wants it once.  [RFC 3261 8.2.2.2] */
  merged: constant('CounterRefusedMerged'),
  /** There is no room for it. */
  memory: constant('CounterDialogNoMemory'),
} as const;

export type Refusal = keyof typeof REASONS;

/** The message makes no dialog; counted once for each message.  False, for whoever returns it. */
export function refuse(context: DialogContext, native: Shard, reason: Refusal): false {
  if (context.refused === null) {
    context.refused = reason;
    native.count(REASONS[reason], 1);
  }
  return false;
}

/** What of its sender keeps an initial INVITE from making a dialog; null: nothing, or it is another request. */
export function faultOfCaller(message: Message): Refusal | null {
  if (message.method !== M_INVITE || message.hasToTag || !message.isRequest) return null;
  if (message.word(W_FROM_TAG_LEN) === 0) return 'from_tag';
  return hasOneContact(message) ? null : 'contact';
}
