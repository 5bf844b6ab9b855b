/**
 * Requests that we make within a call: BYE, OPTIONS, REFER and what routes ask for, as text.
 *
 * Pure: a copy of both sides in, a request for the Sender out.  What is sent to a side is built as its peer would build
 * it: the peer's URI and tag in From, the side's in To, its Contact as target, its Route set on the way.  Whatever could
 * break a line is refused here, for texts of a call come from outside.  [RFC 3261 12.2.1.1; spec 4.1, 4.2]
 */

import { headerLines } from '../sip/headers.js';
import { toBytes } from '../sip/utf8.js';
import type { OwnRequest } from './ports.js';

/** What a request to one side needs to know of it; '' where nothing is known. */
export type Side = {
  /** From URI of the INVITE for the caller, To URI for the callee. */
  readonly uri: string;
  readonly tag: string;
  readonly contact: string;
  /** name-addr items joined with commas, nearest hop first. */
  readonly routeSet: string;
  /** `ip:port` that its messages come from, kept where the Contact is no address to send to. */
  readonly source: string;
  /** Flow number of the local socket. */
  readonly socket: number;
};

/** A call as requests see it. */
export type Call = {
  readonly index: number;
  readonly generation: number;
  readonly callId: string;
  readonly caller: Side;
  readonly callee: Side;
};

/** What is asked of a request besides its method. */
export type Wanted = {
  readonly cseq: number;
  readonly purpose: number;
  /** Whole header lines, as headerBlock() gives them. */
  readonly headers?: string;
  readonly contentType?: string;
  readonly body?: string;
};

/** Sides, as the Sender and the answers name them. */
export const TO_CALLER = 1;
export const TO_CALLEE = 2;

/** A request that is made here, without its Via. */
export const REQUEST_BYTES_MAX = 64_000;

const METHOD = /^[A-Za-z0-9\-.!%*_+`'~]{1,32}$/;
/** Fields that make the request part of its dialog, with their compact forms: nobody else writes them. */
const OWNED =
  /^(?:via|v|from|f|to|t|call-id|i|cseq|route|record-route|content-length|l|content-type|c)[ \t]*:/im;
const MAX_FORWARDS = /^max-forwards[ \t]*:/im;
// Texts leave one byte for each character: of one beyond Latin-1 the low byte would be left, which may end a line.
const REQUEST_URI = /^[A-Za-z][A-Za-z0-9+.-]*:[^<>"\0-\x20\x7f\u0100-\uffff]+$/;
/** What no header value of ours contains once it is unfolded; whatever else a peer wrote, it is written back. */
const BREAKS_LINE = /[\r\n\u0100-\uffff]/;
/** From the start and no choice on the way, so that what is none is read once. */
const BRACKETED = /^(?:[^"<]|"(?:[^"\\]|\\.)*")*<([^>]*)>/s;
const ALIAS = /;alias=([0-9A-Fa-f:.[\]]+)~(\d{1,5})~(\d)(?=[;?]|$)/i;
/** Transports as aliases number them; 1 is UDP and needs no word. */
const ALIAS_TRANSPORTS = [
  '',
  '',
  ';transport=tcp',
  ';transport=tls',
  ';transport=sctp',
  ';transport=ws',
  ';transport=ws',
];

/**
 * A request to one side.
 *
 * @returns null when it cannot be made: the side has no usable Contact or tag, or a text would break a line
 */
export function requestWithin(call: Call, side: number, method: string, wanted: Wanted): OwnRequest | null {
  const to = side === TO_CALLER ? call.caller : call.callee;
  const from = side === TO_CALLER ? call.callee : call.caller;
  const way = wayTo(to);
  if (way === null || to.tag === '' || from.tag === '' || !METHOD.test(method)) return null;
  const headers = wanted.headers ?? '';
  const body = wanted.body ?? '';
  const lines = [
    `${method} ${way.requestUri} SIP/2.0`,
    `To: <${unfolded(to.uri)}>;tag=${unfolded(to.tag)}`,
    `From: <${unfolded(from.uri)}>;tag=${unfolded(from.tag)}`,
    `CSeq: ${wanted.cseq} ${method}`,
    `Call-ID: ${call.callId}`,
  ];
  if (way.routes.length > 0) lines.push(`Route: ${way.routes.join(', ')}`);
  if (!MAX_FORWARDS.test(headers)) lines.push('Max-Forwards: 70');
  if (body !== '') lines.push(`Content-Type: ${wanted.contentType ?? 'application/octet-stream'}`);
  lines.push(`Content-Length: ${body.length}`);
  if (BREAKS_LINE.test(lines.join(''))) return null;
  const text = `${lines.join('\r\n')}\r\n${headers}\r\n${body}`;
  if (text.length > REQUEST_BYTES_MAX) return null;
  const { index, generation } = call;
  const { purpose } = wanted;
  return { method, text, nextHop: way.nextHop, socket: to.socket, index, generation, side, purpose };
}

/** Number of a request that must not advance the other side's numbering: below the last one that went its way. */
export function cseqOfProbe(lastSent: number): number {
  return Math.max(lastSent - 1, 0);
}

/**
 * Header lines as an operator gives them, with the last line end put right.
 *
 * @returns null for what is no whole header lines, is too long, or names a field that belongs to the dialog
 */
export function headerBlock(text: string): string | null {
  const whole = headerLines(asBytes(text));
  return whole === null || OWNED.test(whole) ? null : whole;
}

/** Text as bytes, one character each. */
export const asBytes = toBytes;

/** A URI that may stand in a request line, or in angle brackets. */
export function isUri(text: string): boolean {
  return REQUEST_URI.test(text);
}

type Way = { readonly requestUri: string; readonly routes: readonly string[]; readonly nextHop: string };

/** Where a request to a side goes: loose routing, strict routing, or straight.  [RFC 3261 12.2.1.1] */
function wayTo(side: Side): Way | null {
  if (!isUri(side.contact)) return null;
  const routes = splitRouteSet(side.routeSet);
  const [first] = routes;
  if (first === undefined) return straight(side);
  const firstUri = uriOfRoute(first);
  if (!isUri(firstUri)) return null;
  if (hasLr(firstUri)) {
    return { requestUri: asRequestUri(side.contact), routes, nextHop: firstUri };
  }
  const requestUri = asRequestUri(firstUri);
  return { requestUri, routes: [...routes.slice(1), `<${side.contact}>`], nextHop: requestUri };
}

/** An alias of the Contact, or where its messages come from, leads past a NAT.  [spec 4.1; RFC 3581 in spirit] */
function straight(side: Side): Way {
  const { contact, source } = side;
  const at = contact.lastIndexOf('@') + 1;
  const parameters = contact.slice(at);
  const alias = ALIAS.exec(parameters);
  const hop = alias === null ? null : aliasHop(alias);
  if (alias !== null && hop !== null) {
    const rest = parameters.slice(0, alias.index) + parameters.slice(alias.index + alias[0].length);
    return { requestUri: asRequestUri(contact.slice(0, at) + rest), routes: [], nextHop: hop };
  }
  const requestUri = asRequestUri(contact);
  return { requestUri, routes: [], nextHop: source === '' ? requestUri : `sip:${source}` };
}

function aliasHop(alias: RegExpExecArray): string | null {
  const [, host = '', port = '', transport = ''] = alias;
  const word = ALIAS_TRANSPORTS[Number(transport)];
  if (word === undefined || transport === '0' || Number(port) === 0 || Number(port) > 65_535) return null;
  const written = host.includes(':') && !host.startsWith('[') ? `[${host}]` : host;
  return `sip:${written}:${port}${word}`;
}

/** Without what a request line must not have: header fields and `method`.  [RFC 3261 19.1.1] */
function asRequestUri(uri: string): string {
  const at = uri.lastIndexOf('@') + 1;
  const headers = uri.indexOf('?', at);
  const bare = headers < 0 ? uri : uri.slice(0, headers);
  return bare.slice(0, at) + bare.slice(at).replace(/;method=[^;]*/gi, '');
}

/** The items of a Route set; commas within quotes and brackets do not part them. */
export function splitRouteSet(text: string): string[] {
  const items: string[] = [];
  let from = 0;
  let quoted = false;
  let bracketed = false;
  for (let at = 0; at <= text.length; at++) {
    const c = text[at];
    if (quoted) {
      if (c === '\\') at++;
      else if (c === '"') quoted = false;
    } else if (bracketed) {
      if (c === '>') bracketed = false;
    } else if (c === '"') quoted = true;
    else if (c === '<') bracketed = true;
    if (at < text.length && (c !== ',' || quoted || bracketed)) continue;
    const item = unfolded(text.slice(from, at)).trim();
    if (item !== '') items.push(item);
    from = at + 1;
  }
  return items;
}

/** The URI of a Route value: what stands in angle brackets, or else up to the first parameter. */
export function uriOfRoute(item: string): string {
  return (BRACKETED.exec(item)?.[1] ?? item.split(';')[0]!).trim();
}

/** A value that went over several lines in one; a return that ends no line is a space.  [RFC 3261 7.3.1] */
function unfolded(text: string): string {
  return /[\r\n]/.test(text) ? text.replace(/\r?\n[ \t]+|\r(?!\n)/g, ' ') : text;
}

function hasLr(uri: string): boolean {
  return /;lr(?=[;=?]|$)/i.test(uri.slice(uri.lastIndexOf('@') + 1));
}
