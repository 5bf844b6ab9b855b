/**
 * Text as routes, programs and people see it, and the bytes that it stands for.
 *
 * Inside, what came from the wire is byte text: one character for each byte, so that it can be put back as it came.
 * Outside it is UTF-8.  A byte that is part of no UTF-8 becomes a lone surrogate, U+DC80 to U+DCFF, which well-formed text
 * never has: nothing is lost, and no two texts become one.  ASCII, nearly all there is, is itself in both.
 * [RFC 3261 7, RFC 3629]
 */

const NOT_ASCII = /[^\0-\x7f]/;
const LONE_SURROGATE = /\p{Surrogate}/u;
const REPLACEMENT = '\ufffd';
/** Added to a byte of 0x80 and more. */
const ESCAPE = 0xdc00;

/** Byte text as text. */
export function fromBytes(bytes: string): string {
  return NOT_ASCII.test(bytes) ? decode(bytes, (byte) => String.fromCharCode(ESCAPE + byte)) : bytes;
}

/** Text as byte text; toBytes(fromBytes(bytes)) is bytes. */
export function toBytes(text: string): string {
  if (!NOT_ASCII.test(text)) return text;
  if (!LONE_SURROGATE.test(text)) return encode(text);
  let bytes = '';
  for (const character of text) {
    const code = character.codePointAt(0)!;
    if (code >= ESCAPE + 0x80 && code <= ESCAPE + 0xff) bytes += String.fromCharCode(code - ESCAPE);
    else if (code < 0xd800 || code > 0xdfff) bytes += encode(character);
    // Half of a pair, which is no text: its three bytes, which are no UTF-8.
    else bytes += String.fromCharCode(0xe0 | (code >> 12), 0x80 | ((code >> 6) & 63), 0x80 | (code & 63));
  }
  return bytes;
}

/** Byte text for people: a byte that is part of no UTF-8 as `\\xNN`. */
export function printable(bytes: string): string {
  return NOT_ASCII.test(bytes) ? decode(bytes, (byte) => `\\x${byte.toString(16)}`) : bytes;
}

function encode(text: string): string {
  return Buffer.from(text, 'utf8').toString('latin1');
}

function decode(bytes: string, strange: (byte: number) => string): string {
  const whole = Buffer.from(bytes, 'latin1').toString('utf8');
  if (!whole.includes(REPLACEMENT)) return whole;
  let text = '';
  for (let at = 0; at < bytes.length; ) {
    const length = sequenceLength(bytes, at);
    if (length === 0) text += strange(bytes.charCodeAt(at));
    else text += Buffer.from(bytes.slice(at, at + length), 'latin1').toString('utf8');
    at += length || 1;
  }
  return text;
}

/** Bytes of the UTF-8 sequence at `at`; 0: there is none.  [RFC 3629 4] */
function sequenceLength(bytes: string, at: number): number {
  const first = bytes.charCodeAt(at);
  if (first < 0x80) return 1;
  const length = first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf5 ? 4 : 0;
  if (length === 0 || at + length > bytes.length) return 0;
  const second = bytes.charCodeAt(at + 1);
  const least = first === 0xe0 ? 0xa0 : first === 0xf0 ? 0x90 : 0x80;
  const most = first === 0xed ? 0x9f : first === 0xf4 ? 0x8f : 0xbf;
  if (second < least || second > most) return 0;
  for (let n = 2; n < length; n++) if ((bytes.charCodeAt(at + n) & 0xc0) !== 0x80) return 0;
  return length;
}
