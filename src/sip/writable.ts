/**
 * Whether requests of our own can be written for a call: what we accept in a message we must be able to write in one.
 *
 * The parser takes more in a header field than a request line or a later number allows.  Whoever begins a call with such a
 * thing could not be told of its end, and so is refused; what an answer brings is left out instead.
 */
import type { Message } from './message.js';
import {
  M_ACK,
  M_INVITE,
  W_CONTACT_COUNT,
  W_CONTACT_STAR,
  W_CONTACT_URI_LEN,
  W_CONTACT_URI_OFF,
  W_FROM_TAG_LEN,
  W_FROM_TAG_OFF,
  W_FROM_URI_LEN,
  W_FROM_URI_OFF,
  W_RECORD_ROUTE_COUNT,
  W_RECORD_ROUTE_ITEM,
  W_TO_URI_LEN,
  W_TO_URI_OFF,
} from './words.js';

/** Highest CSeq number of a request that is tracked: above it our own requests have room below 2^31.  [RFC 3261 8.1.1.5] */
export const CSEQ_MAX = 0x7fff_ffff - 0xffff;

const TAB = 9;
const LF = 10;
const CR = 13;
const SPACE = 32;
const QUOTE = 34;
const COLON = 58;
const LESS = 60;
const GREATER = 62;
const DELETE = 127;

/** Whether the URI may stand in a request line, in angle brackets and in a Route.  [RFC 3261 25.1] */
export function isWritableUri(bytes: Uint8Array, at: number, length: number): boolean {
  let colon = -1;
  for (let n = 0; n < length; n++) {
    const c = bytes[at + n]!;
    if (c <= SPACE || c === DELETE || c === QUOTE || c === LESS || c === GREATER) return false;
    if (colon >= 0) continue;
    if (c === COLON) colon = n;
    else if (!(isLetter(c) || (n > 0 && isInScheme(c)))) return false;
  }
  return colon > 0 && colon + 1 < length;
}

/** Whether a request that may begin or continue a call can be continued by us; other requests always. */
export function isContinuable(request: Message): boolean {
  const isInitial = request.method === M_INVITE && !request.hasToTag;
  if (!isInitial && (!request.hasToTag || request.method === M_ACK)) return true;
  if (request.cseq > CSEQ_MAX) return false;
  return !isInitial || isWritableCaller(request);
}

/** Whether every Record-Route may stand in a Route. */
export function hasWritableRoutes(message: Message): boolean {
  let item = message.word(W_RECORD_ROUTE_ITEM);
  for (let n = message.word(W_RECORD_ROUTE_COUNT); n > 0; n--) {
    const { at, bytes } = message;
    if (!isWritableUri(bytes, at + message.itemUriOffset(item), message.itemUriLength(item))) return false;
    if (!isWritableText(message, message.itemOffset(item), message.itemLength(item))) return false;
    item = message.itemNext(item);
  }
  return true;
}

function isWritableCaller(invite: Message): boolean {
  const { at, bytes } = invite;
  const hasContact = invite.word(W_CONTACT_COUNT) === 1 && invite.word(W_CONTACT_STAR) === 0;
  const contact = invite.word(W_CONTACT_URI_LEN);
  if (hasContact && contact > 0 && !isWritableUri(bytes, at + invite.word(W_CONTACT_URI_OFF), contact))
    return false;
  return (
    isWritableText(invite, invite.word(W_FROM_TAG_OFF), invite.word(W_FROM_TAG_LEN)) &&
    isWritableText(invite, invite.word(W_FROM_URI_OFF), invite.word(W_FROM_URI_LEN)) &&
    isWritableText(invite, invite.word(W_TO_URI_OFF), invite.word(W_TO_URI_LEN)) &&
    hasWritableRoutes(invite)
  );
}

/** With line ends only where a line is folded. */
function isWritableText(message: Message, offset: number, length: number): boolean {
  const { at, bytes } = message;
  const end = at + offset + length;
  for (let n = at + offset; n < end; n++) {
    const c = bytes[n]!;
    if (c === LF) return false;
    if (c !== CR) continue;
    const after = bytes[n + 2];
    if (n + 2 >= end || bytes[n + 1] !== LF || (after !== SPACE && after !== TAB)) return false;
    n += 2;
  }
  return true;
}

function isLetter(c: number): boolean {
  return (c | 32) >= 97 && (c | 32) <= 122;
}

function isInScheme(c: number): boolean {
  return (c >= 48 && c <= 57) || c === 43 || c === 45 || c === 46;
}
