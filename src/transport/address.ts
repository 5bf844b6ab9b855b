/**
 * IP addresses as four words: IPv6, or IPv4 mapped into it (::ffff:a.b.c.d), bytes in network order.
 *
 * The form in which sockets' addresses cross the native boundary, and the only one in which addresses are compared:
 * two spellings of one IPv6 address are one address.  [RFC 5954, RFC 5118 4.1]
 */
import ipaddr from 'ipaddr.js';

/** Word 2 of an IPv4-mapped address: bytes 00 00 ff ff. */
export const MAPPED = 0xffff0000;

/** An address that text was read into; reused, so that reading allocates nothing. */
export class Address {
  a0 = 0;
  a1 = 0;
  a2 = 0;
  a3 = 0;

  set(other: { readonly a0: number; readonly a1: number; readonly a2: number; readonly a3: number }): void {
    this.a0 = other.a0;
    this.a1 = other.a1;
    this.a2 = other.a2;
    this.a3 = other.a3;
  }

  /** Sets it to an IPv4 address whose four bytes are packed first byte lowest. */
  setV4(packed: number): void {
    this.a0 = 0;
    this.a1 = 0;
    this.a2 = MAPPED;
    this.a3 = packed >>> 0;
  }

  equals(a0: number, a1: number, a2: number, a3: number): boolean {
    return this.a3 === a3 && this.a2 === a2 && this.a1 === a1 && this.a0 === a0;
  }

  get isV4(): boolean {
    return this.a2 === MAPPED && this.a1 === 0 && this.a0 === 0;
  }
}

/**
 * Reads dotted-quad text at [at, at + length) of `bytes`.
 *
 * @returns the four bytes packed first byte lowest, or -1 when the text is not an IPv4 address
 */
export function readV4(bytes: Uint8Array, at: number, length: number): number {
  if (length < 7 || length > 15) return -1;
  let packed = 0;
  let scale = 1;
  let octet = 0;
  let digits = 0;
  let dots = 0;
  for (let i = at, end = at + length; i < end; i++) {
    const c = bytes[i]!;
    if (c === 46) {
      if (digits === 0 || dots === 3) return -1;
      packed += octet * scale;
      scale *= 256;
      dots++;
      octet = 0;
      digits = 0;
      continue;
    }
    const digit = c - 48;
    if (digit < 0 || digit > 9 || digits === 3) return -1;
    octet = octet * 10 + digit;
    digits++;
    if (octet > 255) return -1;
  }
  if (dots !== 3 || digits === 0) return -1;
  return packed + octet * scale;
}

/** Reads a host as it stands in a URI or Via: IPv4, or IPv6 with or without brackets.  False: a name. */
export function readAddress(bytes: Uint8Array, at: number, length: number, out: Address): boolean {
  const v4 = readV4(bytes, at, length);
  if (v4 >= 0) {
    out.setV4(v4);
    return true;
  }
  if (length < 2 || length > 64) return false;
  let text = '';
  for (let i = 0; i < length; i++) text += String.fromCharCode(bytes[at + i]!);
  return readAddressText(text, out);
}

/** The same from a string. */
export function readAddressText(text: string, out: Address): boolean {
  const bare = text.startsWith('[') && text.endsWith(']') ? text.slice(1, -1) : text;
  if (bare.includes(':') ? !ipaddr.IPv6.isValid(bare) : !ipaddr.IPv4.isValidFourPartDecimal(bare))
    return false;
  const parsed = ipaddr.parse(bare);
  const v6 =
    parsed.kind() === 'ipv4' ? (parsed as ipaddr.IPv4).toIPv4MappedAddress() : (parsed as ipaddr.IPv6);
  const octets = v6.toByteArray();
  const word = (n: number): number =>
    (octets[n]! | (octets[n + 1]! << 8) | (octets[n + 2]! << 16) | (octets[n + 3]! << 24)) >>> 0;
  out.a0 = word(0);
  out.a1 = word(4);
  out.a2 = word(8);
  out.a3 = word(12);
  return true;
}

/** Text of an address: dotted quad, or RFC 5952 without brackets. */
export function formatAddress(a0: number, a1: number, a2: number, a3: number): string {
  if (a2 === MAPPED && a1 === 0 && a0 === 0)
    return `${a3 & 255}.${(a3 >>> 8) & 255}.${(a3 >>> 16) & 255}.${a3 >>> 24}`;
  const octets: number[] = [];
  for (const word of [a0, a1, a2, a3])
    octets.push(word & 255, (word >>> 8) & 255, (word >>> 16) & 255, word >>> 24);
  return new ipaddr.IPv6(octets).toRFC5952String();
}

/** Host text as it stands in a URI: IPv6 in brackets. */
export function hostText(address: string): string {
  return address.includes(':') && !address.startsWith('[') ? `[${address}]` : address;
}
