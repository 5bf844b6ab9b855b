/**
 * Where a message came from, told apart from where its Contact says its sender is.
 *
 * Behind a NAT the two differ, and only the first can be sent to.  Asked of a sender that is next to us; beyond another
 * proxy the source is that proxy's.  [RFC 5626 1, RFC 3581]
 */
import type { Message } from '../sip/message.js';
import {
  U_HOST_LEN,
  U_HOST_OFF,
  U_STATUS,
  W_CONTACT_URI_LEN,
  W_CONTACT_URI_OFF,
  W_RECORD_ROUTE_COUNT,
  W_VIA_COUNT,
} from '../sip/words.js';
import { isWritableUri } from '../sip/writable.js';
import { Address, formatAddress, hostText, MAPPED, readAddress } from '../transport/address.js';
import { parseUriOf } from './loose-route.js';
import type { Workspace } from './workspace.js';

/** Hosts that are names for "no address", as browsers write them.  [RFC 7118] */
const NO_HOST = /\.invalid\.?$/i;
const probe = new Address();

/**
 * `address:port` that the message came from, when its Contact cannot be meant from here: an address of a private network
 * that the sender is not seen in, no address at all, or nothing that a request line can have.
 *
 * @returns '' when the Contact can be meant, or another proxy stands between
 */
export function observedSource(w: Workspace, message: Message): string {
  const length = message.word(W_CONTACT_URI_LEN);
  if (length === 0) return '';
  if (message.isRequest && (message.word(W_VIA_COUNT) !== 1 || message.word(W_RECORD_ROUTE_COUNT) !== 0))
    return '';
  if (!isWritableUri(message.bytes, message.at + message.word(W_CONTACT_URI_OFF), length))
    return sourceOf(message);
  const u = parseUriOf(w, message, message.word(W_CONTACT_URI_OFF), length);
  const { words } = w.memory;
  if (words[u + U_STATUS] !== 0) return '';
  const offset = words[u + U_HOST_OFF]!;
  const hostLength = words[u + U_HOST_LEN]!;
  if (readAddress(w.memory.bytes, message.at + offset, hostLength, probe)) {
    const network = privateNetwork(probe.a0, probe.a1, probe.a2, probe.a3);
    const { address0, address1, address2, address3 } = message;
    if (network === 0 || network === privateNetwork(address0, address1, address2, address3)) return '';
  } else if (!NO_HOST.test(message.slice(offset, hostLength))) return '';
  return sourceOf(message);
}

function sourceOf({ address0, address1, address2, address3, port }: Message): string {
  return `${hostText(formatAddress(address0, address1, address2, address3))}:${port}`;
}

/** Which of the private networks an address is of, 0: it is public.  [RFC 1918, RFC 6598, RFC 3927, RFC 4193, RFC 4291] */
function privateNetwork(a0: number, a1: number, a2: number, a3: number): number {
  if (a0 === 0 && a1 === 0 && a2 === MAPPED) {
    const first = a3 & 255;
    const second = (a3 >>> 8) & 255;
    if (first === 10) return 1;
    if (first === 172 && second >= 16 && second <= 31) return 2;
    if (first === 192 && second === 168) return 3;
    if (first === 100 && second >= 64 && second <= 127) return 4;
    if (first === 169 && second === 254) return 5;
    return first === 127 ? 6 : 0;
  }
  const first = a0 & 255;
  if ((first & 0xfe) === 0xfc) return 7;
  if (first === 0xfe && ((a0 >>> 8) & 0xc0) === 0x80) return 8;
  return a0 === 0 && a1 === 0 && a2 === 0 && a3 >>> 0 === 0x01000000 ? 6 : 0;
}
