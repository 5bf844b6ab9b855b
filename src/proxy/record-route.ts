/**
 * Our Record-Route: one value, or two when the call changes interface.  [RFC 3261 16.6 step 4, RFC 5658]
 */
import type { Message } from '../sip/message.js';
import { W_FROM_TAG_LEN, W_FROM_TAG_OFF } from '../sip/words.js';
import type { Passage } from './passage.js';
import type { ProxyObserver } from './ports.js';
import type { Workspace } from './workspace.js';

/** Values of `enable_double_rr`. */
const DOUBLE_WHEN_CHANGED = 1;
const DOUBLE_ALWAYS = 2;

/** Writes the header lines for a copy that leaves on `outFlow`; how many values were written. */
export function writeRecordRoutes(
  w: Workspace,
  passage: Passage,
  outFlow: number,
  observer: ProxyObserver,
): number {
  const setting = w.params.rr.enable_double_rr;
  const inFlow = passage.message.flow;
  const isDouble = setting === DOUBLE_ALWAYS || (setting === DOUBLE_WHEN_CHANGED && inFlow !== outFlow);
  writeRecordRoute(w, passage, outFlow, isDouble, observer);
  if (!isDouble) return 1;
  writeRecordRoute(w, passage, inFlow, true, observer);
  return 2;
}

function writeRecordRoute(
  w: Workspace,
  passage: Passage,
  flow: number,
  isDouble: boolean,
  observer: ProxyObserver,
): void {
  const scratch = w.scratch;
  scratch.literal(w.sockets.of(flow).recordRouteStart);
  if (isDouble) scratch.text(';r2=on');
  scratch.text(w.params.rr.enable_full_lr ? ';lr=on' : ';lr');
  if (w.params.rr.append_fromtag) writeFromTag(w, passage.message);
  if (passage.recordRouteParams !== '') scratch.text(passage.recordRouteParams);
  observer.writeRecordRouteParameters(scratch);
  scratch.text('>\r\n');
}

/** `;ftag=`, unless the tag holds a character that a URI parameter cannot. */
function writeFromTag(w: Workspace, message: Message): void {
  const length = message.word(W_FROM_TAG_LEN);
  if (length === 0) return;
  const scratch = w.scratch;
  const start = scratch.at;
  scratch.text(';ftag=');
  const bytes = message.bytes;
  const at = message.at + message.word(W_FROM_TAG_OFF);
  for (let i = 0; i < length; i++) {
    const c = bytes[at + i]!;
    if (IS_PARAMETER_CHARACTER[c] === 0) {
      scratch.at = start;
      return;
    }
    scratch.byte(c);
  }
}

/** paramchar without escapes.  [RFC 3261 25.1] */
const IS_PARAMETER_CHARACTER = new Uint8Array(256);
for (const c of "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.!~*'()[]/:&+$") {
  IS_PARAMETER_CHARACTER[c.charCodeAt(0)] = 1;
}
