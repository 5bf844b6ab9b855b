/**
 * One target's copy of a request, as edits against the request as received.  [RFC 3261 16.6 steps 1 to 8]
 */
import type { Message } from '../sip/message.js';
import {
  HDR_RACK,
  HDR_ROUTE,
  M_PRACK,
  NONE,
  W_CSEQ_LEN,
  W_CSEQ_OFF,
  W_HEADERS_END,
  W_HEADERS_OFF,
  W_MAX_BREADTH,
  W_MAX_BREADTH_LEN,
  W_MAX_BREADTH_OFF,
  W_MAX_FORWARDS,
  W_MAX_FORWARDS_LEN,
  W_MAX_FORWARDS_OFF,
  W_ROUTE_COUNT,
  W_ROUTE_ITEM,
  W_RURI_LEN,
  W_RURI_OFF,
} from '../sip/words.js';
import type { Edits } from './edits.js';
import type { Passage } from './passage.js';
import type { ProxyObserver } from './ports.js';
import { writeRecordRoutes } from './record-route.js';
import { mendViaByEdits, writeStatelessVia, writeVia } from './via.js';
import type { Workspace } from './workspace.js';

/**
 * Fills `edits` with what makes the copy.
 *
 * @param branch      branch number in the transaction in hand; -1: a copy that no transaction keeps
 * @param requestUri  R-URI of this copy, null: as received
 * @param maxBreadth  Max-Breadth of this copy; 0: leave it alone  [RFC 5393 5]
 * @param cseq        CSeq number of this copy; 0: as received
 * @returns how many Record-Route values were put on; -1: more edits than one request may have
 */
export function editCopy(
  edits: Edits,
  w: Workspace,
  passage: Passage,
  observer: ProxyObserver,
  flow: number,
  branch: number,
  requestUri: string | null,
  maxBreadth: number,
  cseq: number,
): number {
  const message = passage.message;
  const scratch = w.scratch;
  edits.reset();
  if (requestUri !== null) {
    scratch.text(requestUri);
    edits.add(message.word(W_RURI_OFF), message.word(W_RURI_LEN));
  }
  edits.begin();
  const recordRoutes = passage.recordRoute ? writeRecordRoutes(w, passage, flow, observer) : 0;
  const socket = w.sockets.of(flow);
  if (branch >= 0) {
    writeVia(scratch, w.x, socket, w.owner, branch);
  } else {
    writeStatelessVia(scratch, socket, passage.key[0]!, passage.loopHash);
  }
  const maxForwards = message.word(W_MAX_FORWARDS);
  if (maxForwards === NONE) {
    scratch.text('Max-Forwards: ');
    scratch.decimal(passage.maxForwards || w.params.core.max_forwards);
    scratch.text('\r\n');
  }
  const breadth = message.word(W_MAX_BREADTH);
  if (breadth === NONE && maxBreadth !== 0) {
    scratch.text('Max-Breadth: ');
    scratch.decimal(maxBreadth);
    scratch.text('\r\n');
  }
  if (passage.routeAppended !== null && keptRoutes(passage) === 0) writeRouteLine(w, passage.routeAppended);
  edits.add(message.word(W_HEADERS_OFF), 0);
  mendViaByEdits(edits, scratch, passage);
  if (maxForwards !== NONE) {
    edits.begin();
    scratch.decimal(passage.maxForwards || maxForwards - 1);
    edits.add(message.word(W_MAX_FORWARDS_OFF), message.word(W_MAX_FORWARDS_LEN));
  }
  if (breadth !== NONE && maxBreadth !== 0 && breadth !== maxBreadth) {
    edits.begin();
    scratch.decimal(maxBreadth);
    edits.add(message.word(W_MAX_BREADTH_OFF), message.word(W_MAX_BREADTH_LEN));
  }
  if (cseq !== 0) renumber(edits, w, message, observer, cseq);
  if (passage.routesTaken !== 0 || passage.lastRouteTaken) takeRoutesOff(edits, passage);
  if (passage.routeAppended !== null && keptRoutes(passage) > 0) appendRoute(edits, w, passage);
  return editHeaders(edits, w, passage) ? recordRoutes : -1;
}

/** Gives the copy another CSeq number; a PRACK speaks of its INVITE by the number that one was sent with.  [RFC 3262 7.2] */
function renumber(edits: Edits, w: Workspace, message: Message, observer: ProxyObserver, cseq: number): void {
  edits.begin();
  w.scratch.decimal(cseq);
  edits.add(message.word(W_CSEQ_OFF), message.word(W_CSEQ_LEN));
  const header = message.method === M_PRACK ? message.findHeader(HDR_RACK) : -1;
  if (header < 0) return;
  const value = message.headerValue(header);
  const found = RACK.exec(value);
  if (found === null) return;
  const invite = observer.mapCSeq(message, Number(found[2]));
  if (invite === 0) return;
  edits.begin();
  w.scratch.decimal(invite);
  edits.add(message.headerValueOffset(header) + found[1]!.length, found[2]!.length);
}

/** Response number and white space, CSeq number.  [RFC 3262 10] */
const RACK = /^(\d+\s+)(\d{1,10})\s/;

function keptRoutes(passage: Passage): number {
  return passage.message.word(W_ROUTE_COUNT) - passage.routesTaken - (passage.lastRouteTaken ? 1 : 0);
}

function writeRouteLine(w: Workspace, uri: string): void {
  w.scratch.text('Route: <');
  w.scratch.text(uri);
  w.scratch.text('>\r\n');
}

/** Drops the Route values that were taken; a line that loses all of them goes whole. */
function takeRoutesOff(edits: Edits, passage: Passage): void {
  const message = passage.message;
  const count = message.word(W_ROUTE_COUNT);
  const lastTaken = passage.lastRouteTaken ? count - 1 : count;
  let item = message.word(W_ROUTE_ITEM);
  for (let n = 0; n < count; ) {
    const header = message.itemHeader(item);
    const first = n;
    const firstItem = item;
    while (n < count && message.itemHeader(item) === header) {
      n++;
      item = message.itemNext(item);
    }
    dropFromLine(edits, message, header, firstItem, first, n, passage.routesTaken, lastTaken);
  }
}

/** Values [first, end) stand on this line; those below `taken` and from `lastTaken` on go. */
function dropFromLine(
  edits: Edits,
  message: Message,
  header: number,
  firstItem: number,
  first: number,
  end: number,
  taken: number,
  lastTaken: number,
): void {
  const keepFrom = Math.max(first, Math.min(taken, end));
  const keepTo = Math.max(keepFrom, Math.min(end, lastTaken));
  if (keepFrom === first && keepTo === end) return;
  if (keepFrom >= keepTo) {
    edits.addText(message.headerLine(header), message.headerEnd(header) - message.headerLine(header), 0, 0);
    return;
  }
  let item = firstItem;
  const start = message.itemOffset(item);
  for (let n = first; n < keepFrom; n++) item = message.itemNext(item);
  if (keepFrom > first) edits.addText(start, message.itemOffset(item) - start, 0, 0);
  if (keepTo < end) {
    for (let n = keepFrom; n + 1 < keepTo; n++) item = message.itemNext(item);
    const keptEnd = message.itemOffset(item) + message.itemLength(item);
    const valueEnd = message.headerValueOffset(header) + message.headerValueLength(header);
    edits.addText(keptEnd, valueEnd - keptEnd, 0, 0);
  }
}

/** Adds the target behind the last Route line.  [16.6 step 6] */
function appendRoute(edits: Edits, w: Workspace, passage: Passage): void {
  const message = passage.message;
  let last = -1;
  for (let n = message.findHeader(HDR_ROUTE); n >= 0; n = message.findHeader(HDR_ROUTE, n + 1)) last = n;
  edits.begin();
  writeRouteLine(w, passage.routeAppended!);
  edits.add(message.headerEnd(last), 0);
}

/** What the route added and removed. */
function editHeaders(edits: Edits, w: Workspace, passage: Passage): boolean {
  const message = passage.message;
  for (let n = 0; n < passage.headersRemoved.length; n++) {
    const header = passage.headersRemoved[n]!;
    const line = message.headerLine(header);
    if (!edits.cut(line, message.headerEnd(header) - line)) return false;
  }
  if (passage.headersAppended.length === 0 && passage.credentials.length === 0) return true;
  edits.begin();
  for (let n = 0; n < passage.credentials.length; n++) w.scratch.text(passage.credentials[n]!);
  for (let n = 0; n < passage.headersAppended.length; n++) w.scratch.text(passage.headersAppended[n]!);
  return edits.add(message.word(W_HEADERS_END), 0);
}
