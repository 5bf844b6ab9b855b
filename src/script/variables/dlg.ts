/** $dlg(name): what is known of the message's dialog, to read.  [manual 8.1] */
import * as texts from '../../dialog/dialog.js';
import { D_TIMEOUT_ROUTE, NO_CSEQ } from '../../dialog/record.js';
import type { DialogTracker } from '../../dialog/tracker.js';
import {
  D_CALLEE_CSEQ,
  D_CALLER_CSEQ,
  D_DUE,
  D_ENTRY,
  D_FLAGS,
  D_HOLDS,
  D_ID,
  D_LIFETIME,
  D_SCRIPT_FLAGS,
  D_START_TS,
  D_STATE,
} from '../../memory/words.js';
import type { Message } from '../../sip/message.js';
import { fromBytes } from '../../sip/utf8.js';

type Value = string | number | null;
type Read = (x: Uint32Array, tracker: DialogTracker) => Value;

/** The script has no route of the name that the dialog keeps. */
const NO_SUCH_ROUTE = -1;

const ATTRIBUTES = {
  h_id: (x) => x[D_ID]!,
  h_entry: (x) => x[D_ENTRY]!,
  /** With the timer's and the reader's own. */
  ref: (x) => x[D_HOLDS]! + (x[D_DUE] === 0 ? 0 : 1) + 1,
  state: (x) => x[D_STATE]!,
  lifetime: (x) => x[D_LIFETIME]!,
  start_ts: (x) => x[D_START_TS]!,
  dflags: (x) => x[D_FLAGS]!,
  sflags: (x) => x[D_SCRIPT_FLAGS]!,
  toroute: (x, tracker) => (x[D_TIMEOUT_ROUTE] === 0 ? 0 : timeoutRouteNumber(tracker)),
  callid: text(texts.TEXT_CALL_ID),
  from_uri: text(texts.TEXT_FROM_URI),
  to_uri: text(texts.TEXT_TO_URI),
  from_tag: text(texts.TEXT_CALLER_TAG),
  to_tag: text(texts.TEXT_CALLEE_TAG),
  from_cseq: (x) => cseq(x[D_CALLER_CSEQ]!, 1),
  to_cseq: (x) => cseq(x[D_CALLEE_CSEQ]!, x[D_START_TS]!),
  from_rs: text(texts.TEXT_CALLER_ROUTE_SET),
  to_rs: text(texts.TEXT_CALLEE_ROUTE_SET),
  from_contact: text(texts.TEXT_CALLER_CONTACT),
  to_contact: text(texts.TEXT_CALLEE_CONTACT),
  from_bindaddr: text(texts.TEXT_CALLER_SOCKET),
  to_bindaddr: text(texts.TEXT_CALLEE_SOCKET),
} as const satisfies Record<string, Read>;

export type DlgAttribute = keyof typeof ATTRIBUTES;
export const DLG_ATTRIBUTES = Object.keys(ATTRIBUTES) as DlgAttribute[];

/** null without a dialog, when the context's dialog is gone, or when the value is not known. */
export function $dlg(tracker: DialogTracker, message: Message | null, name: DlgAttribute): Value {
  const found =
    tracker.context.index !== 0
      ? tracker.contextDialog()
      : message !== null && tracker.messageDialog(message);
  return found ? ATTRIBUTES[name](tracker.records.x, tracker) : null;
}

function timeoutRouteNumber(tracker: DialogTracker): number {
  const name = tracker.snapshotText(texts.TEXT_TIMEOUT_ROUTE) ?? '';
  return tracker.events.routeNumber(name) || NO_SUCH_ROUTE;
}

function text(number: number): Read {
  return (_x, tracker) => fromBytes(tracker.snapshotText(number) ?? '') || null;
}

/** The callee's is 0 from the answer on, until it sends a request. */
function cseq(number: number, known: number): string | null {
  if (number !== NO_CSEQ) return String(number);
  return known === 0 ? null : '0';
}
