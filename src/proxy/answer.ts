/**
 * Answers we make ourselves: 100 Trying, refusals, and what a route sends.  [RFC 3261 8.2.6]
 *
 * The header fields that an answer repeats are taken from the request as they stand; only the status line, the mending
 * of the Via and the To tag are ours.
 */
import type { Message } from '../sip/message.js';
import {
  HDR_CALL_ID,
  HDR_CSEQ,
  HDR_FROM,
  HDR_TIMESTAMP,
  HDR_TO,
  HDR_VIA,
  W_CALL_ID_LEN,
  W_CALL_ID_OFF,
  W_FROM_TAG_LEN,
  W_FROM_TAG_OFF,
  W_TO_LEN,
  W_TO_OFF,
  W_TO_TAG_LEN,
  W_TO_TAG_OFF,
  W_VIA_LINE_OFF,
} from '../sip/words.js';
import type { Outgoing } from './outgoing.js';
import type { Passage } from './passage.js';
import { mendViaInAnswer } from './via.js';
import type { Workspace } from './workspace.js';

/** Reason phrases of the codes we send by ourselves, or in place of an answer that cannot go up.  [RFC 3261 21, RFC 5393] */
const REASONS: Readonly<Record<number, string>> = {
  200: 'OK',
  300: 'Multiple Choices',
  301: 'Moved Permanently',
  302: 'Moved Temporarily',
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  405: 'Method Not Allowed',
  407: 'Proxy Authentication Required',
  408: 'Request Timeout',
  410: 'Gone',
  416: 'Unsupported URI Scheme',
  420: 'Bad Extension',
  440: 'Max-Breadth Exceeded',
  478: 'Unresolvable Destination',
  480: 'Temporarily Unavailable',
  481: 'Call/Transaction Does Not Exist',
  482: 'Loop Detected',
  483: 'Too Many Hops',
  484: 'Address Incomplete',
  486: 'Busy Here',
  487: 'Request Terminated',
  488: 'Not Acceptable Here',
  500: 'Server Internal Error',
  503: 'Service Unavailable',
  504: 'Server Time-out',
  505: 'Version Not Supported',
  513: 'Message Too Large',
  600: 'Busy Everywhere',
  603: 'Decline',
  604: 'Does Not Exist Anywhere',
  606: 'Not Acceptable',
};

/** The reason phrase of a code, '' if we never send it by ourselves. */
export function reasonOf(code: number): string {
  // The one on every call's way.
  return code === 100 ? 'Trying' : (REASONS[code] ?? '');
}

/** Our To tag: the same for every answer to a request and its copies.  [RFC 3261 16.11, 8.2.7] */
const TAG_START = 'hf';

/**
 * Writes an answer as pieces of the outgoing message whose destination is set already.
 *
 * @param extra whole header lines, each with its line end, or ''
 */
export function writeAnswer(
  out: Outgoing,
  w: Workspace,
  passage: Passage,
  code: number,
  reason: string,
  extra: string,
): void {
  const scratch = w.scratch;
  const start = scratch.at;
  scratch.text('SIP/2.0 ');
  scratch.decimal(code);
  scratch.byte(32);
  scratch.text(reason);
  scratch.text('\r\n');
  out.piece(start, scratch.at - start);
  repeatFields(out, w, passage, code);
  const tail = scratch.at;
  if (extra !== '') scratch.text(extra);
  scratch.text('Content-Length: 0\r\n\r\n');
  out.piece(tail, scratch.at - tail);
}

/** The header fields that an answer has from its request.  [8.2.6.2] */
function repeatFields(out: Outgoing, w: Workspace, passage: Passage, code: number): void {
  const message = passage.message;
  const count = message.headerCount;
  const topVia = message.word(W_VIA_LINE_OFF);
  for (let n = 0; n < count; n++) {
    const id = message.headerId(n);
    if (id === HDR_VIA || id === HDR_FROM || id === HDR_CALL_ID || id === HDR_CSEQ) {
      const line = message.headerLine(n);
      const end = message.headerEnd(n);
      if (id === HDR_VIA && line === topVia) mendViaInAnswer(out, w, passage, line, end);
      else out.message(message, line, end - line);
    } else if (id === HDR_TO) {
      writeTo(out, w, message, n, code);
    } else if (id === HDR_TIMESTAMP && code === 100) {
      out.message(message, message.headerLine(n), message.headerEnd(n) - message.headerLine(n));
    }
  }
}

/** The answer to a new call that is not taken on: made ready, for it is wanted when nothing must cost much. */
const UNAVAILABLE = Buffer.from('SIP/2.0 503 Service Unavailable\r\n');
const LATER = Buffer.from('Retry-After: 5\r\nContent-Length: 0\r\n\r\n');

/** Writes 503 with Retry-After as pieces of the outgoing message whose destination is set already. */
export function writeUnavailable(out: Outgoing, w: Workspace, passage: Passage): void {
  const { scratch } = w;
  const start = scratch.at;
  scratch.literal(UNAVAILABLE);
  out.piece(start, scratch.at - start);
  repeatFields(out, w, passage, 503);
  const tail = scratch.at;
  scratch.literal(LATER);
  out.piece(tail, scratch.at - tail);
}

function writeTo(out: Outgoing, w: Workspace, message: Message, header: number, code: number): void {
  const line = message.headerLine(header);
  const end = message.headerEnd(header);
  if (code === 100 || message.word(W_TO_TAG_LEN) !== 0) {
    out.message(message, line, end - line);
    return;
  }
  const valueEnd = message.word(W_TO_OFF) + message.word(W_TO_LEN);
  out.message(message, line, valueEnd - line);
  const start = w.scratch.at;
  w.scratch.text(';tag=');
  writeOwnTag(w, message);
  out.piece(start, w.scratch.at - start);
  out.message(message, valueEnd, end - valueEnd);
}

/** Writes the To tag of our answers to this request. */
export function writeOwnTag(w: Workspace, message: Message): void {
  w.scratch.text(TAG_START);
  w.scratch.hex8(w.native.hash(message.at + message.word(W_CALL_ID_OFF), message.word(W_CALL_ID_LEN)));
  w.scratch.hex8(w.native.hash(message.at + message.word(W_FROM_TAG_OFF), message.word(W_FROM_TAG_LEN)));
}

/** Whether the request's To tag is one that we gave in a stateless answer: its ACK ends here. */
export function hasOwnTag(w: Workspace, message: Message): boolean {
  const length = TAG_START.length + 16;
  if (message.word(W_TO_TAG_LEN) !== length) return false;
  const at = message.at + message.word(W_TO_TAG_OFF);
  for (let i = 0; i < TAG_START.length; i++)
    if (message.bytes[at + i] !== TAG_START.charCodeAt(i)) return false;
  const own = w.scratch.at;
  writeOwnTag(w, message);
  w.scratch.at = own;
  for (let i = 0; i < length; i++) if (message.bytes[at + i] !== message.bytes[own + i]) return false;
  return true;
}
