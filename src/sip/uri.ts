/**
 * A URI as text and as parts, for cold paths: configuration, scripts, management.  [RFC 3261 section 19.1]
 *
 * Packets never pass here; the parser gives offsets instead (SipParser.parseUri).
 */

/** The parts of a sip or sips URI, as written: escapes are not undone. */
export interface SipUri {
  readonly scheme: 'sip' | 'sips';
  /** `null` when the URI names only a host. */
  readonly user: string | null;
  readonly password: string | null;
  /** An IPv6 reference with its brackets. */
  readonly host: string;
  /** `null` when the URI leaves it to RFC 3263. */
  readonly port: number | null;
  /** Names in lower case; the value is `null` for a parameter without one. */
  readonly parameters: ReadonlyMap<string, string | null>;
  /** What follows the '?', without it; '' if nothing does. */
  readonly headers: string;
}

const URI =
  /^(sips?):(?:([^:@]+)(?::([^@]*))?@|(?![^@]*@))(\[[0-9a-f:.]+\]|[\w.-]+)(?::(\d+))?((?:;[^;?]*)*)(?:\?(.*))?$/i;
/** What no URI contains. */
const FORBIDDEN = /[\x00-\x20\x7f"<>]/;
const PORT_MAX = 65_535;

/**
 * Splits a sip or sips URI.
 *
 * @returns `null` if the text is not one: another scheme, no host, white space or angle brackets inside
 */
export function parseUri(text: string): SipUri | null {
  if (FORBIDDEN.test(text)) return null;
  const match = URI.exec(text);
  if (match === null) return null;
  const port = match[5] === undefined ? null : Number(match[5]);
  if (port === 0 || (port !== null && port > PORT_MAX)) return null;
  return {
    scheme: match[1]!.toLowerCase() as 'sip' | 'sips',
    user: match[2] ?? null,
    password: match[3] ?? null,
    host: match[4]!,
    port,
    parameters: splitParameters(match[6]!),
    headers: match[7] ?? '',
  };
}

/** The first of two parameters with one name counts. */
function splitParameters(text: string): Map<string, string | null> {
  const parameters = new Map<string, string | null>();
  for (const piece of text.split(';')) {
    const equals = piece.indexOf('=');
    const name = (equals < 0 ? piece : piece.slice(0, equals)).toLowerCase();
    if (name !== '' && !parameters.has(name))
      parameters.set(name, equals < 0 ? null : piece.slice(equals + 1));
  }
  return parameters;
}

/** Writes a URI; parseUri() of the result gives the same parts. */
export function formatUri(uri: SipUri): string {
  const password = uri.password === null ? '' : `:${uri.password}`;
  const userinfo = uri.user === null ? '' : `${uri.user}${password}@`;
  const port = uri.port === null ? '' : `:${uri.port}`;
  const parameters = [...uri.parameters].map(([name, value]) =>
    value === null ? `;${name}` : `;${name}=${value}`,
  );
  const headers = uri.headers === '' ? '' : `?${uri.headers}`;
  return `${uri.scheme}:${userinfo}${uri.host}${port}${parameters.join('')}${headers}`;
}
