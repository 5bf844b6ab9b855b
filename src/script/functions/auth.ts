/** uac_auth(): answers a challenge from downstream with credentials of ours.  [RFC 3261 22.3] */

import type { ProxyCore } from '../../proxy/core.js';
import type { Passage } from '../../proxy/passage.js';
import type { ProxyParams } from '../../proxy/workspace.js';
import type { Identity } from '../../sip/digest.js';
import { toBytes } from '../../sip/utf8.js';
import { type AvpBook, avpNameOf } from '../avps.js';

/** Credentials as the parameters give them. */
export type AuthSettings = {
  /** null: no AVP. */
  readonly realmAvp: string | null;
  readonly userAvp: string | null;
  readonly passwordAvp: string | null;
  readonly byRealm: ReadonlyMap<string, Identity>;
};

/** Reads `user:realm:password` lists and names of AVPs. */
export function authSettings(params: ProxyParams['uac']): AuthSettings {
  const byRealm = new Map<string, Identity>();
  for (const text of params.credential) {
    // On the wire, and so in the hash, it is UTF-8.  [RFC 7616 4]
    const wire = toBytes(text);
    const [, user = '', realm = '', password = ''] = /^([^:]*):([^:]*):(.*)$/s.exec(wire) ?? [];
    if (!byRealm.has(realm)) byRealm.set(realm, { user, password, isHashed: false });
  }
  return {
    realmAvp: avpNameOf(params.auth_realm_avp),
    userAvp: avpNameOf(params.auth_username_avp),
    passwordAvp: avpNameOf(params.auth_password_avp),
    byRealm,
  };
}

/** True: the next t_relay() carries credentials.  `mode` 1: a password in an AVP is H(user:realm:password) in hexadecimal. */
export function uac_auth(
  core: ProxyCore,
  settings: AuthSettings,
  avps: AvpBook,
  passage: Passage,
  mode: number,
): boolean {
  const avp = (name: string | null): string =>
    name === null ? '' : toBytes(String(avps.get(passage, name) ?? ''));
  const user = avp(settings.userAvp);
  const password = avp(settings.passwordAvp);
  const realm = avp(settings.realmAvp);
  const fromAvps = user === '' || /["\\\p{Cc}]/u.test(user) ? null : { user, password, isHashed: mode === 1 };
  return core.authenticate(passage, (asked) =>
    fromAvps !== null && (realm === '' || realm === asked) ? fromAvps : (settings.byRealm.get(asked) ?? null),
  );
}
