/**
 * Digest access authentication, the client's side: what a challenge says, and what answers it.
 * [RFC 7616 3.3 to 3.6, RFC 8760, RFC 3261 22]
 */
import { createHash } from 'node:crypto';

/** A challenge that can be answered; texts between quotes are kept as they stand. */
export type Challenge = {
  readonly realm: string;
  readonly nonce: string;
  /** null: none was given. */
  readonly opaque: string | null;
  /** As written; '' when none was given, which means MD5. */
  readonly algorithm: string;
  /** '' is the way of RFC 2069, without cnonce and count. */
  readonly qop: '' | 'auth' | 'auth-int';
  /** The nonce was too old; the credentials were good. */
  readonly stale: boolean;
};

/** Who we are to a realm. */
export type Identity = {
  readonly user: string;
  readonly password: string;
  /** The password is H(user:realm:password) in hexadecimal. */
  readonly isHashed: boolean;
};

/** What of a request goes into its credentials. */
export type DigestRequest = { readonly method: string; readonly uri: string; readonly body: string };

type Algorithm = { readonly hash: string; readonly isSession: boolean; readonly strength: number };

/** By name in lower case.  [RFC 7616 6.1] */
const ALGORITHMS: ReadonlyMap<string, Algorithm> = new Map([
  ['md5', { hash: 'md5', isSession: false, strength: 1 }],
  ['md5-sess', { hash: 'md5', isSession: true, strength: 1 }],
  ['sha-256', { hash: 'sha256', isSession: false, strength: 2 }],
  ['sha-256-sess', { hash: 'sha256', isSession: true, strength: 2 }],
  ['sha-512-256', { hash: 'sha512-256', isSession: false, strength: 3 }],
  ['sha-512-256-sess', { hash: 'sha512-256', isSession: true, strength: 3 }],
]);

/** A longer value is refused: no challenge and no credentials in use come near it. */
export const DIGEST_VALUE_BYTES_MAX = 4_096;

const SCHEME = /digest[ \t\r\n]+/iy;
const NAME = /[\w-]+/y;
const EQUALS = /[ \t\r\n]*=[ \t\r\n]*/y;
const QUOTED = /"((?:[^"\\]|\\.)*)"/sy;
const BARE = /[^\s,"]+/y;
const NO_NAME = /[^\w-]+/y;

/**
 * auth-param list of `Digest a=b, c="d"`, names in lower case; null: another scheme, or more than
 * DIGEST_VALUE_BYTES_MAX.
 *
 * One pass: each expression is tried where the one before ended.  A quote that is never closed ends the list.
 */
export function digestParameters(value: string): ReadonlyMap<string, string> | null {
  if (value.length > DIGEST_VALUE_BYTES_MAX) return null;
  let at = 0;
  const take = (pattern: RegExp): RegExpExecArray | null => {
    pattern.lastIndex = at;
    const taken = pattern.exec(value);
    if (taken !== null) at = pattern.lastIndex;
    return taken;
  };
  if (take(SCHEME) === null) return null;
  const found = new Map<string, string>();
  while (at < value.length) {
    const name = take(NAME)?.[0].toLowerCase();
    if (name === undefined) {
      take(NO_NAME);
      continue;
    }
    if (take(EQUALS) === null) continue;
    const isQuoted = value[at] === '"';
    const text = isQuoted ? take(QUOTED)?.[1] : take(BARE)?.[0];
    if (isQuoted && text === undefined) break;
    if (text !== undefined && !found.has(name)) found.set(name, text);
  }
  return found;
}

/** Reads a WWW-Authenticate or Proxy-Authenticate value; null: nothing that can be answered. */
export function readChallenge(value: string): Challenge | null {
  const parameters = digestParameters(value);
  const realm = parameters?.get('realm');
  const nonce = parameters?.get('nonce');
  if (parameters === null || realm === undefined || nonce === undefined) return null;
  const algorithm = parameters.get('algorithm') ?? '';
  if (algorithm !== '' && !ALGORITHMS.has(algorithm.toLowerCase())) return null;
  const offered = parameters
    .get('qop')
    ?.toLowerCase()
    .split(/[\s,]+/);
  const qop =
    offered === undefined ? '' : (['auth', 'auth-int'] as const).find((one) => offered.includes(one));
  if (qop === undefined) return null;
  const opaque = parameters.get('opaque') ?? null;
  return { realm, nonce, opaque, algorithm, qop, stale: parameters.get('stale')?.toLowerCase() === 'true' };
}

/** Higher is stronger. */
export function strengthOf(challenge: Challenge): number {
  return algorithmOf(challenge.algorithm).strength;
}

/**
 * The value of the Authorization or Proxy-Authorization that answers a challenge.
 *
 * @param nonceCount how many requests, this one included, were sent with the nonce
 */
export function credentialsFor(
  challenge: Challenge,
  identity: Identity,
  request: DigestRequest,
  cnonce: string,
  nonceCount: number,
): string {
  const { realm, nonce, opaque, algorithm, qop } = challenge;
  const { hash, isSession } = algorithmOf(algorithm);
  const h = (text: string): string => createHash(hash).update(text, 'latin1').digest('hex');
  const user = quotable(identity.user);
  const secret = identity.isHashed
    ? identity.password.toLowerCase()
    : h(`${identity.user}:${realm}:${identity.password}`);
  const a1 = isSession ? h(`${secret}:${nonce}:${cnonce}`) : secret;
  const a2 = h(
    qop === 'auth-int'
      ? `${request.method}:${request.uri}:${h(request.body)}`
      : `${request.method}:${request.uri}`,
  );
  const count = nonceCount.toString(16).padStart(8, '0');
  const response = h(qop === '' ? `${a1}:${nonce}:${a2}` : `${a1}:${nonce}:${count}:${cnonce}:${qop}:${a2}`);
  return [
    `Digest username="${user}"`,
    `realm="${realm}"`,
    `nonce="${nonce}"`,
    `uri="${request.uri}"`,
    `response="${response}"`,
    ...(algorithm === '' ? [] : [`algorithm=${algorithm}`]),
    ...(qop === '' && !isSession ? [] : [`cnonce="${cnonce}"`]),
    ...(qop === '' ? [] : [`qop=${qop}`, `nc=${count}`]),
    ...(opaque === null ? [] : [`opaque="${opaque}"`]),
  ].join(', ');
}

function algorithmOf(name: string): Algorithm {
  return ALGORITHMS.get(name === '' ? 'md5' : name.toLowerCase())!;
}

function quotable(text: string): string {
  return text.replace(/["\\]/g, '\\$&');
}
