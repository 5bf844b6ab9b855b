/**
 * Takes our own Route off a request and finds where it goes next.  [RFC 3261 16.4, 16.6 step 6, RFC 5658]
 */
import type { Message } from '../sip/message.js';
import {
  HDR_ROUTE,
  U_HOST_LEN,
  U_HOST_OFF,
  U_LR,
  U_PARAMS_LEN,
  U_PARAMS_OFF,
  U_PORT,
  U_SCHEME,
  U_STATUS,
  U_USER_LEN,
  W_ROUTE_COUNT,
  W_ROUTE_ITEM,
  W_RURI_LEN,
  W_RURI_OFF,
} from '../sip/words.js';
import { Address, readAddress } from '../transport/address.js';
import type { Passage } from './passage.js';
import type { ProxyObserver } from './ports.js';
import type { Workspace } from './workspace.js';

const SCHEME_SIP = 1;
const SCHEME_SIPS = 2;
const probe = new Address();

/** Parses the URI at (offset, length) of the message into the URI words.  Index of those words. */
export function parseUriOf(w: Workspace, message: Message, offset: number, length: number): number {
  w.parser.parseUri(message.at, offset, length, w.memory.uriWords);
  return w.memory.uriWords >> 2;
}

/** Whether the URI in hand (words at `u`, of text in `message`) names one of our addresses. */
function isOurUri(w: Workspace, base: number, u: number): boolean {
  const words = w.memory.words;
  if (words[u + U_STATUS] !== 0) return false;
  const scheme = words[u + U_SCHEME]!;
  if (scheme !== SCHEME_SIP && scheme !== SCHEME_SIPS) return false;
  const host = base + words[u + U_HOST_OFF]!;
  if (!readAddress(w.memory.bytes, host, words[u + U_HOST_LEN]!, probe)) return false;
  return w.sockets.isOurs(probe, words[u + U_PORT]!);
}

/**
 * `loose_route()`: true if the request was routed by a Route (or R-URI) of ours.  All of ours that stand on top are off
 * now, so that one passage does for them; the observer hears of each.  [16.4]
 */
export function looseRoute(w: Workspace, passage: Passage, observer: ProxyObserver): boolean {
  const message = passage.message;
  const count = message.word(W_ROUTE_COUNT);
  if (passage.looseRouted) return passage.routesTaken > 0 || passage.lastRouteTaken;
  passage.looseRouted = true;
  if (count === 0) return false;
  const isStrict = strictRouterSent(w, passage, observer);
  const end = isStrict ? count - 1 : count;
  const words = w.memory.words;
  let item = message.word(W_ROUTE_ITEM);
  let taken = 0;
  for (; taken < end; taken++) {
    const u = parseUriOf(w, message, message.itemUriOffset(item), message.itemUriLength(item));
    if (!isOurUri(w, message.at, u)) break;
    observer.looseRouted(message, words[u + U_PARAMS_OFF]!, words[u + U_PARAMS_LEN]!);
    item = message.itemNext(item);
  }
  passage.routesTaken = taken;
  return isStrict || taken > 0;
}

/** A strict router before us put our Record-Route URI into the R-URI and the target at the end of Route. */
function strictRouterSent(w: Workspace, passage: Passage, observer: ProxyObserver): boolean {
  const message = passage.message;
  const words = w.memory.words;
  const u = parseUriOf(w, message, message.word(W_RURI_OFF), message.word(W_RURI_LEN));
  if (words[u + U_LR] !== 1 || words[u + U_USER_LEN] !== 0 || !isOurUri(w, message.at, u)) return false;
  const paramsOffset = words[u + U_PARAMS_OFF]!;
  const paramsLength = words[u + U_PARAMS_LEN]!;
  let last = message.word(W_ROUTE_ITEM);
  for (let next = message.itemNext(last); next !== 0; next = message.itemNext(next)) last = next;
  passage.requestUri = message.slice(message.itemUriOffset(last), message.itemUriLength(last));
  passage.lastRouteTaken = true;
  observer.looseRouted(message, paramsOffset, paramsLength);
  return true;
}

/** Item number of the first Route value that stays, -1 if none does. */
export function nextRoute(passage: Passage): number {
  const message = passage.message;
  const left = message.word(W_ROUTE_COUNT) - passage.routesTaken - (passage.lastRouteTaken ? 1 : 0);
  if (left <= 0) return -1;
  let item = message.word(W_ROUTE_ITEM);
  for (let n = 0; n < passage.routesTaken; n++) item = message.itemNext(item);
  return item;
}

/**
 * A strict router behind us wants its own URI as R-URI and the target as the last Route.
 * Done once, before the copies are made.
 */
export function yieldToStrictRouter(w: Workspace, passage: Passage): void {
  const message = passage.message;
  const item = nextRoute(passage);
  if (item < 0 || passage.routeAppended !== null) return;
  const u = parseUriOf(w, message, message.itemUriOffset(item), message.itemUriLength(item));
  if (w.memory.words[u + U_LR] === 1) return;
  passage.routeAppended = passage.requestUri ?? message.text(W_RURI_OFF, W_RURI_LEN);
  passage.requestUri = message.slice(message.itemUriOffset(item), message.itemUriLength(item));
  passage.destination ??= passage.requestUri;
  passage.routesTaken++;
}

/** The copy of the request has the R-URI and the Route that came. */
export function isRoutedAsItCame(passage: Passage): boolean {
  const { message, requestUri } = passage;
  if (passage.routesTaken !== 0 || passage.lastRouteTaken || passage.routeAppended !== null) return false;
  for (const n of passage.headersRemoved) if (message.headerId(n) === HDR_ROUTE) return false;
  for (const line of passage.headersAppended) if (/^route[ \t]*:/i.test(line)) return false;
  return requestUri === null || requestUri === message.text(W_RURI_OFF, W_RURI_LEN);
}
