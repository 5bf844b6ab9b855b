/** Who we are to those behind us that want credentials: uac_auth().  [RFC 3261 22.3] */
import { list, text } from '../param.js';

const AVP = { pattern: /^\$avp\(([is]:)?[A-Za-z0-9_]+\)$/, words: 'an AVP such as $avp(user)' };

export const uacParams = {
  credential: list({
    default: [],
    maxItems: 1_000,
    maxBytes: 512,
    form: { pattern: /^[^:\p{Cc}]+:[^:"\\\p{Cc}]*:[^\p{Cc}]*$/u, words: 'user:realm:password' },
    secret: true,
    section: 'RFC 3261 22',
    doc: 'Credentials that uac_auth() has for a realm; may be given again.',
  }),
  auth_realm_avp: text({
    default: null,
    minBytes: 1,
    maxBytes: 256,
    form: AVP,
    section: 'RFC 3261 22',
    doc: 'AVP that holds the realm of the user and password in AVPs; empty or none: any realm.',
  }),
  auth_username_avp: text({
    default: null,
    minBytes: 1,
    maxBytes: 256,
    form: AVP,
    section: 'RFC 3261 22',
    doc: 'AVP that holds the user uac_auth() is.',
  }),
  auth_password_avp: text({
    default: null,
    minBytes: 1,
    maxBytes: 256,
    form: AVP,
    section: 'RFC 3261 22',
    doc: 'AVP that holds the password of that user.',
  }),
} as const;
