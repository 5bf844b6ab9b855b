/** Credentials that leave, checked with what their challenge demands; written once more from RFC 7616 3.4. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import type { WireMessage } from './wire-message.js';

const HASHES = new Map([
  ['MD5', 'md5'],
  ['SHA-256', 'sha256'],
  ['SHA-512-256', 'sha512-256'],
]);

/** Each Authorization and Proxy-Authorization that names a realm of `credentials` answers one of the challenges. */
export function checkCredentials(
  message: WireMessage,
  challenges: readonly WireMessage[],
  credentials: readonly string[],
): void {
  const lines = [...message.all('authorization'), ...message.all('proxy-authorization')];
  assert.ok(lines.length > 0, `no credentials:\n${message.raw}`);
  const asked = challenges.flatMap((one) => [
    ...one.all('www-authenticate'),
    ...one.all('proxy-authenticate'),
  ]);
  for (const line of lines) {
    const said = (name: string, text = line): string =>
      new RegExp(`[ ,]${name}=(?:"([^"]*)"|([^,\\s]+))`)
        .exec(text)
        ?.slice(1)
        .find((one) => one !== undefined) ?? '';
    const same = ['realm', 'nonce', 'opaque', 'algorithm'];
    const challenge = asked.find((one) => same.every((name) => said(name, one) === said(name)));
    assert.ok(challenge, `nobody asked for this: ${line}`);
    const mine = credentials.map((one) => one.split(':')).find(([user]) => user === said('username'));
    if (mine === undefined) continue;
    const [user, realm, password] = mine;
    const [name = '', session] = (said('algorithm') || 'MD5').split(/-(?=sess$)/);
    const h = (text: string): string => createHash(HASHES.get(name)!).update(text).digest('hex');
    assert.equal(said('realm'), realm);
    assert.equal(said('uri'), message.uri, 'digest-uri');
    const a1 = h(`${user}:${realm}:${password}`);
    const key = session === undefined ? a1 : h(`${a1}:${said('nonce')}:${said('cnonce')}`);
    const body = said('qop') === 'auth-int' ? `:${h(message.body)}` : '';
    const a2 = h(`${message.method}:${message.uri}${body}`);
    const middle = said('qop') === '' ? '' : `${said('nc')}:${said('cnonce')}:${said('qop')}:`;
    assert.equal(said('response'), h(`${key}:${said('nonce')}:${middle}${a2}`), `response of ${line}`);
  }
}
