/**
 * One side of a call: what the INVITE says of the caller and its first 2xx of the callee.
 *
 * Tag, Contact, Route set and socket; a Route set is stored as name-addr items joined with ','.  Texts are written to
 * the scratch region, from where the native call copies them.  [RFC 3261 12.1.1, 12.1.2, 16.6]
 */
import type { Scratch } from '../memory/shard-memory.js';
import type { Message } from '../sip/message.js';
import {
  W_CONTACT_COUNT,
  W_CONTACT_STAR,
  W_CONTACT_URI_LEN,
  W_CONTACT_URI_OFF,
  W_RECORD_ROUTE_COUNT,
  W_RECORD_ROUTE_ITEM,
} from '../sip/words.js';
import { hasWritableRoutes, isWritableUri } from '../sip/writable.js';

/** A Route set that cannot be kept: it is too long. */
export const ROUTE_SET_UNUSABLE = -1;
/** Bytes of a stored Route set. */
export const ROUTE_SET_BYTES_MAX = 16_384;

const COMMA = 44;

/** Exactly one Contact, with a URI that requests can be sent to. */
export function hasOneContact(message: Message): boolean {
  return (
    message.word(W_CONTACT_COUNT) === 1 &&
    message.word(W_CONTACT_STAR) === 0 &&
    isWritableUri(
      message.bytes,
      message.at + message.word(W_CONTACT_URI_OFF),
      message.word(W_CONTACT_URI_LEN),
    )
  );
}

/**
 * Writes the caller's Route set: every Record-Route value of the INVITE as received, in order.
 *
 * @returns its length, just before scratch.at; ROUTE_SET_UNUSABLE
 */
export function writeCallerRouteSet(invite: Message, scratch: Scratch): number {
  const count = invite.word(W_RECORD_ROUTE_COUNT);
  if (count === 0) return 0;
  if (!hasWritableRoutes(invite)) return ROUTE_SET_UNUSABLE;
  const length = routeSetLength(invite, count);
  if (length > ROUTE_SET_BYTES_MAX || !scratch.hasRoom(length)) {
    return ROUTE_SET_UNUSABLE;
  }
  let item = invite.word(W_RECORD_ROUTE_ITEM);
  for (let n = 0; n < count; n++) {
    if (n > 0) scratch.byte(COMMA);
    scratch.copy(invite.at + invite.itemOffset(item), invite.itemLength(item));
    item = invite.itemNext(item);
  }
  return length;
}

/**
 * Writes the callee's Route set: of the n values in the 2xx (top to bottom), the k that the INVITE brought and the o
 * that we added ourselves stand at the end; the n - k - o before them, reversed, lead from us to the callee.
 *
 * @returns its length, just before scratch.at; ROUTE_SET_UNUSABLE
 */
export function writeCalleeRouteSet(
  answer: Message,
  inviteRecordRoutes: number,
  ownRecordRoutes: number,
  scratch: Scratch,
): number {
  const count = answer.word(W_RECORD_ROUTE_COUNT) - inviteRecordRoutes - ownRecordRoutes;
  if (count <= 0) return 0;
  if (!hasWritableRoutes(answer)) return ROUTE_SET_UNUSABLE;
  const length = routeSetLength(answer, count);
  if (length > ROUTE_SET_BYTES_MAX || !scratch.hasRoom(length)) return ROUTE_SET_UNUSABLE;
  const end = scratch.at + length;
  let item = answer.word(W_RECORD_ROUTE_ITEM);
  let from = end;
  for (let n = 0; n < count; n++) {
    from -= answer.itemLength(item);
    scratch.at = from;
    scratch.copy(answer.at + answer.itemOffset(item), answer.itemLength(item));
    if (n + 1 < count) {
      from -= 1;
      scratch.at = from;
      scratch.byte(COMMA);
    }
    item = answer.itemNext(item);
  }
  scratch.at = end;
  return length;
}

/**
 * Writes the caller's Route set with our own values before it, as keep_proxy_rr wants it: requests made here pass this
 * proxy again.  Ours are the last o of the 2xx before the k that the INVITE brought.
 *
 * @returns its length, just before scratch.at; 0: there are none of ours; ROUTE_SET_UNUSABLE
 */
export function writeCallerRouteSetByUs(
  answer: Message,
  inviteRecordRoutes: number,
  ownRecordRoutes: number,
  routeSet: string,
  scratch: Scratch,
): number {
  const skipped = answer.word(W_RECORD_ROUTE_COUNT) - inviteRecordRoutes - ownRecordRoutes;
  if (ownRecordRoutes === 0 || skipped < 0) return 0;
  let item = answer.word(W_RECORD_ROUTE_ITEM);
  for (let n = 0; n < skipped; n++) item = answer.itemNext(item);
  const start = scratch.at;
  for (let n = 0; n < ownRecordRoutes; n++) {
    const length = answer.itemLength(item);
    if (!scratch.hasRoom(length + 1 + routeSet.length)) return ROUTE_SET_UNUSABLE;
    if (n > 0) scratch.byte(COMMA);
    scratch.copy(answer.at + answer.itemOffset(item), length);
    item = answer.itemNext(item);
  }
  if (routeSet !== '') {
    scratch.byte(COMMA);
    scratch.text(routeSet);
  }
  const length = scratch.at - start;
  return length <= ROUTE_SET_BYTES_MAX ? length : ROUTE_SET_UNUSABLE;
}

/** Bytes of the first `count` Record-Route values joined with commas. */
function routeSetLength(message: Message, count: number): number {
  let length = count - 1;
  let item = message.word(W_RECORD_ROUTE_ITEM);
  for (let n = 0; n < count; n++) {
    length += message.itemLength(item);
    item = message.itemNext(item);
  }
  return length;
}
