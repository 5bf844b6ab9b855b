/**
 * Parts of a SIP URI for `$fU`, `$rd` and their like: text in, text out.  [RFC 3261 19.1]
 */
import { formatUri, parseUri } from '../sip/uri.js';

export type UriPart = 'user' | 'host' | 'port';

/** The part, '' when the URI has none or cannot be read. */
export function uriPart(uri: string, part: UriPart): string {
  // The common form is split by hand: routes ask for the caller's user on every call.
  if (part === 'user') {
    const at = uri.indexOf('@');
    const colon = uri.indexOf(':');
    if (at < 0 || colon < 0 || colon > at) return '';
    const user = uri.slice(colon + 1, at);
    const password = user.indexOf(':');
    return password < 0 ? user : user.slice(0, password);
  }
  const parsed = parseUri(uri);
  const value = parsed?.[part];
  return value === undefined || value === null ? '' : String(value);
}

/** The URI with another part. */
export function replaceUriPart(uri: string, part: UriPart, value: string): string {
  const parsed = parseUri(uri);
  if (parsed === null) throw new TypeError(`not a SIP URI: ${JSON.stringify(uri)}`);
  if (part === 'port') {
    const port = Number(value);
    if (!Number.isInteger(port) || port < 1 || port > 65_535)
      throw new RangeError(`port ${value}: 1 to 65535`);
    return formatUri({ ...parsed, port });
  }
  return formatUri({ ...parsed, [part]: value });
}
