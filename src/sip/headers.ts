/**
 * Header field names: canonical spelling and compact form of those that the parser knows.  [RFC 3261 section 7.3.3]
 *
 * The parser (native/sip-parser) has the same table in C; a test compares them name by name.
 */
import * as words from './words.js';

/** HDR_* → canonical name, compact form. */
const NAMES: readonly (readonly [id: number, name: string, compact?: string])[] = [
  [words.HDR_VIA, 'Via', 'v'],
  [words.HDR_FROM, 'From', 'f'],
  [words.HDR_TO, 'To', 't'],
  [words.HDR_CALL_ID, 'Call-ID', 'i'],
  [words.HDR_CSEQ, 'CSeq'],
  [words.HDR_MAX_FORWARDS, 'Max-Forwards'],
  [words.HDR_CONTACT, 'Contact', 'm'],
  [words.HDR_ROUTE, 'Route'],
  [words.HDR_RECORD_ROUTE, 'Record-Route'],
  [words.HDR_CONTENT_LENGTH, 'Content-Length', 'l'],
  [words.HDR_CONTENT_TYPE, 'Content-Type', 'c'],
  [words.HDR_REQUIRE, 'Require'],
  [words.HDR_PROXY_REQUIRE, 'Proxy-Require'],
  [words.HDR_SUPPORTED, 'Supported', 'k'],
  [words.HDR_UNSUPPORTED, 'Unsupported'],
  [words.HDR_ALLOW, 'Allow'],
  [words.HDR_AUTHORIZATION, 'Authorization'],
  [words.HDR_PROXY_AUTHORIZATION, 'Proxy-Authorization'],
  [words.HDR_WWW_AUTHENTICATE, 'WWW-Authenticate'],
  [words.HDR_PROXY_AUTHENTICATE, 'Proxy-Authenticate'],
  [words.HDR_EXPIRES, 'Expires'],
  [words.HDR_RACK, 'RAck'],
  [words.HDR_RSEQ, 'RSeq'],
  [words.HDR_REFER_TO, 'Refer-To', 'r'],
  [words.HDR_REFERRED_BY, 'Referred-By', 'b'],
  [words.HDR_REPLACES, 'Replaces'],
  [words.HDR_EVENT, 'Event', 'o'],
  [words.HDR_SUBSCRIPTION_STATE, 'Subscription-State'],
  [words.HDR_SUBJECT, 'Subject', 's'],
  [words.HDR_USER_AGENT, 'User-Agent'],
  [words.HDR_SERVER, 'Server'],
  [words.HDR_TIMESTAMP, 'Timestamp'],
  [words.HDR_DATE, 'Date'],
  [words.HDR_WARNING, 'Warning'],
  [words.HDR_RETRY_AFTER, 'Retry-After'],
  [words.HDR_SESSION_EXPIRES, 'Session-Expires', 'x'],
  [words.HDR_MIN_SE, 'Min-SE'],
  [words.HDR_MAX_BREADTH, 'Max-Breadth'],
  [words.HDR_REASON, 'Reason'],
  [words.HDR_P_ASSERTED_IDENTITY, 'P-Asserted-Identity'],
  [words.HDR_PATH, 'Path'],
  [words.HDR_SERVICE_ROUTE, 'Service-Route'],
  [words.HDR_CONTENT_ENCODING, 'Content-Encoding', 'e'],
];

const NAME_BY_ID: readonly string[] = Array.from(
  { length: words.HDR_COUNT },
  (_, id) => NAMES.find((row) => row[0] === id)?.[1] ?? '',
);

const ID_BY_NAME: ReadonlyMap<string, number> = new Map(
  NAMES.flatMap(([id, name, compact]) =>
    [name, ...(compact ? [compact] : [])].map((n) => [n.toLowerCase(), id]),
  ),
);

/** Header lines that somebody adds to one message: bytes. */
export const HEADER_LINES_BYTES_MAX = 8_192;
const HEADER_LINES = /^(?:[A-Za-z0-9\-.!%*_+`'~]+[ \t]*:[^\r\n\0]*\r\n)*$/;

/**
 * Header lines as people write them, with the last line end put right.
 *
 * @returns null for what is no whole header lines, or longer than HEADER_LINES_BYTES_MAX
 */
export function headerLines(text: string): string | null {
  const whole = text === '' || text.endsWith('\r\n') ? text : `${text}\r\n`;
  return whole.length <= HEADER_LINES_BYTES_MAX && HEADER_LINES.test(whole) ? whole : null;
}

/** The id (HDR_*) of a header field's name, long or compact, in any case; HDR_OTHER if the parser knows no such name. */
export function headerId(name: string): number {
  return ID_BY_NAME.get(name.toLowerCase()) ?? words.HDR_OTHER;
}

/** The canonical name of an id; '' for HDR_OTHER. */
export function headerName(id: number): string {
  return NAME_BY_ID[id] ?? '';
}
