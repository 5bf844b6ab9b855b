/**
 * Answers the challenge that a branch brought, so that its request can be sent once more with credentials: uac_auth().
 *
 * What was decided stands in the passage of the failure route and makes its next branch; nothing of it is kept with the
 * transaction, so a branch to somebody else does not carry our credentials.  [RFC 3261 22.2, 22.3]
 */
import { randomBytes } from 'node:crypto';
import { B_ADDRESS0, B_CODE, B_PORT } from '../memory/words.js';
import {
  type Challenge,
  credentialsFor,
  type DigestRequest,
  digestParameters,
  type Identity,
  readChallenge,
  strengthOf,
} from '../sip/digest.js';
import type { Message } from '../sip/message.js';
import {
  HDR_AUTHORIZATION,
  HDR_PROXY_AUTHENTICATE,
  HDR_PROXY_AUTHORIZATION,
  HDR_WWW_AUTHENTICATE,
  W_BODY_LEN,
  W_BODY_OFF,
  W_RURI_LEN,
  W_RURI_OFF,
} from '../sip/words.js';
import { formatAddress, hostText } from '../transport/address.js';
import { branchAt } from './downstream.js';
import type { Passage } from './passage.js';
import type { ProxyObserver } from './ports.js';
import type { Workspace } from './workspace.js';

/** Who we are to a realm; null: nobody. */
export type IdentityOf = (realm: string) => Identity | null;

/** Challenges of one answer that are looked at. */
const CHALLENGES_MAX = 16;
/** Nonces whose use is counted; the oldest is forgotten first. */
const NONCES_MAX = 1_000;
const CNONCE_BYTES = 16;

/** For a server (401) or a proxy (407), to one realm. */
type Asked = { readonly field: number; readonly challenge: Challenge };

export class Authenticator {
  private readonly w: Workspace;
  private readonly observer: ProxyObserver;
  private readonly parked: Message;
  private readonly uses = new Map<string, number>();

  constructor(w: Workspace, observer: ProxyObserver) {
    this.w = w;
    this.observer = observer;
    this.parked = w.newMessage();
  }

  /**
   * Prepares the next branch of the passage to answer branch `branch` of the transaction in hand.  False: it brought no
   * challenge that we can answer, or our credentials were refused.
   */
  answer(passage: Passage, branch: number, identityOf: IdentityOf): boolean {
    const { parked, w } = this;
    const x = w.x;
    const b = branchAt(branch);
    const code = x[b + B_CODE]!;
    if ((code !== 401 && code !== 407) || !w.parkBranchReply('challenge', parked, branch)) return false;
    const asked = strongest(challengesIn(parked), identityOf);
    if (asked.size === 0 || !w.parkBranchRequest('challenge', parked, branch)) return false;
    const before = credentialsIn(parked, passage.message);
    for (const [key, { challenge }] of asked) if (before.has(key) && !challenge.stale) return false;

    const request = {
      method: parked.methodName,
      uri: parked.text(W_RURI_OFF, W_RURI_LEN),
      body: parked.text(W_BODY_OFF, W_BODY_LEN),
    };
    const sentCSeq = parked.cseq;
    // What was asked for on the way before is asked for again.
    for (const [key, one] of before) if (!asked.has(key)) asked.set(key, one);
    passage.credentials.length = 0;
    for (const { field, challenge } of asked.values()) {
      const identity = identityOf(challenge.realm);
      if (identity === null) return false;
      const value = this.credentials(challenge, identity, request);
      passage.credentials.push(`${field === HDR_AUTHORIZATION ? '' : 'Proxy-'}Authorization: ${value}\r\n`);
    }
    removeCredentials(passage, asked);
    passage.requestUri = request.uri;
    passage.destination ??= this.addressOf(b);
    passage.cseq = this.observer.nextCSeq(passage.message, sentCSeq);
    return true;
  }

  private credentials(challenge: Challenge, identity: Identity, request: DigestRequest): string {
    const { uses } = this;
    const key = `${challenge.realm}\n${challenge.nonce}`;
    const count = (uses.get(key) ?? 0) + 1;
    uses.delete(key);
    uses.set(key, count);
    if (uses.size > NONCES_MAX) uses.delete(uses.keys().next().value!);
    return credentialsFor(challenge, identity, request, randomBytes(CNONCE_BYTES).toString('hex'), count);
  }

  /** Who challenged gets the answer, whatever chose it the first time. */
  private addressOf(b: number): string {
    const x = this.w.x;
    const at = b + B_ADDRESS0;
    const host = hostText(formatAddress(x[at]!, x[at + 1]!, x[at + 2]!, x[at + 3]!));
    return `sip:${host}:${x[b + B_PORT]!}`;
  }
}

function keyOf(field: number, realm: string): string {
  return `${field} ${realm}`;
}

function challengesIn(answer: Message): Asked[] {
  const found: Asked[] = [];
  for (let n = 0; n < answer.headerCount && found.length < CHALLENGES_MAX; n++) {
    const id = answer.headerId(n);
    if (id !== HDR_WWW_AUTHENTICATE && id !== HDR_PROXY_AUTHENTICATE) continue;
    const challenge = readChallenge(answer.headerValue(n));
    const field = id === HDR_WWW_AUTHENTICATE ? HDR_AUTHORIZATION : HDR_PROXY_AUTHORIZATION;
    if (challenge !== null) found.push({ field, challenge });
  }
  return found;
}

/** For each realm that knows us the strongest challenge, of equals the first.  [RFC 8760 2.4] */
function strongest(asked: readonly Asked[], identityOf: IdentityOf): Map<string, Asked> {
  const chosen = new Map<string, Asked>();
  for (const one of asked) {
    const { challenge, field } = one;
    if (identityOf(challenge.realm) === null) continue;
    const key = keyOf(field, challenge.realm);
    const other = chosen.get(key);
    if (other === undefined || strengthOf(challenge) > strengthOf(other.challenge)) chosen.set(key, one);
  }
  return chosen;
}

/** The credentials on a copy that the request did not come with: ours, with the challenge that each answers. */
function credentialsIn(copy: Message, received: Message): Map<string, Asked> {
  const found = new Map<string, Asked>();
  const theirs = new Set<string>();
  for (let n = 0; n < received.headerCount; n++) {
    if (isCredentials(received.headerId(n))) theirs.add(received.headerValue(n));
  }
  for (let n = 0; n < copy.headerCount; n++) {
    const field = copy.headerId(n);
    const value = isCredentials(field) ? copy.headerValue(n) : '';
    const challenge = value === '' || theirs.has(value) ? null : readChallenge(value);
    if (challenge !== null) found.set(keyOf(field, challenge.realm), { field, challenge });
  }
  return found;
}

/** The caller's own credentials for a realm that ours are for go. */
function removeCredentials(passage: Passage, asked: ReadonlyMap<string, Asked>): void {
  const { headersRemoved, message } = passage;
  for (let n = 0; n < message.headerCount; n++) {
    const field = message.headerId(n);
    if (!isCredentials(field) || headersRemoved.includes(n)) continue;
    const realm = digestParameters(message.headerValue(n))?.get('realm');
    if (realm === undefined || !asked.has(keyOf(field, realm))) continue;
    headersRemoved.push(n);
  }
}

function isCredentials(id: number): boolean {
  return id === HDR_AUTHORIZATION || id === HDR_PROXY_AUTHORIZATION;
}
