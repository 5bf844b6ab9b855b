/**
 * What parsing one message costs, in nanoseconds: the packet path's parser (numbers only), the friendly
 * parseMessage() with five values read, and the reference parser for scale.
 *
 * setup: messages stand in the parser's memory, as datagrams do; run: one parse; check: the words are those of the
 * reference parser.
 */
import assert from 'node:assert/strict';
import { Bench } from 'tinybench';
import { parseMessage, SipParser } from '../../dist/sip/parse.js';
import { referenceParse } from '../../dist/sip/reference-parser.js';
import { FIXED_WORDS, PADDING, PARSER_RESERVED_BYTES, W_FIXED_END, WORDS } from '../../dist/sip/words.js';
import { CALLS, rowsOf } from './world.mjs';

const SDP = [
  'v=0',
  'o=alice 53655765 2353687637 IN IP4 192.0.2.10',
  's=-',
  'c=IN IP4 192.0.2.10',
  't=0 0',
  'm=audio 49170 RTP/AVP 0 8 101',
  'a=rtpmap:0 PCMU/8000',
  'a=rtpmap:8 PCMA/8000',
  'a=rtpmap:101 telephone-event/8000',
  'a=fmtp:101 0-16',
  '',
].join('\r\n');

const INVITE = [
  'INVITE sip:+12155550133@192.0.2.4:5060 SIP/2.0',
  'Via: SIP/2.0/UDP 192.0.2.10:5060;rport;branch=z9hG4bK-524287-1---8f3a0b6c',
  'Max-Forwards: 70',
  'From: "Alice Example" <sip:+12155550121@192.0.2.10:5060>;tag=a48s8fj2k3',
  'To: <sip:+12155550133@192.0.2.4:5060>',
  'Call-ID: 843817637684230-998sdasdh09@192.0.2.10',
  'CSeq: 1 INVITE',
  'Contact: <sip:+12155550121@192.0.2.10:5060;transport=udp>',
  'User-Agent: Example/3.2.1',
  'Supported: replaces, timer, 100rel',
  'P-Asserted-Identity: <sip:+12155550121@192.0.2.10>',
  'Allow: INVITE, ACK, BYE, CANCEL, OPTIONS, PRACK',
  'Content-Type: application/sdp',
  `Content-Length: ${SDP.length}`,
  '',
  SDP,
].join('\r\n');

const BYE = [
  'BYE sip:+12155550133@192.0.2.4:5060;transport=udp SIP/2.0',
  'Via: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bK-524287-1---77ee01c2',
  'Route: <sip:192.0.2.1;lr;ftag=a48s8fj2k3;did=a3f.9c21e7>',
  'Max-Forwards: 70',
  'From: "Alice Example" <sip:+12155550121@192.0.2.10:5060>;tag=a48s8fj2k3',
  'To: <sip:+12155550133@192.0.2.4:5060>;tag=314159',
  'Call-ID: 843817637684230-998sdasdh09@192.0.2.10',
  'CSeq: 2 BYE',
  'Content-Length: 0',
  '',
  '',
].join('\r\n');

const OK = [
  'SIP/2.0 200 OK',
  'Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKf0a1.22e7.0',
  'Via: SIP/2.0/UDP 192.0.2.10:5060;received=192.0.2.10;rport=5060;branch=z9hG4bK-524287-1---8f3a0b6c',
  'Record-Route: <sip:192.0.2.1;lr;ftag=a48s8fj2k3;did=a3f.9c21e7>',
  'From: "Alice Example" <sip:+12155550121@192.0.2.10:5060>;tag=a48s8fj2k3',
  'To: <sip:+12155550133@192.0.2.4:5060>;tag=314159',
  'Call-ID: 843817637684230-998sdasdh09@192.0.2.10',
  'CSeq: 1 INVITE',
  'Contact: <sip:+12155550133@192.0.2.4:5060;transport=udp>',
  'Content-Length: 0',
  '',
  '',
].join('\r\n');

const MESSAGES = { INVITE, BYE, 200: OK };
const WORDS_AT = PARSER_RESERVED_BYTES;
const ROOM_BYTES = 4_096;
const FIRST_AT = 2 * 65_536;
const PAGES = 4;

/** Keeps the optimiser from dropping what is read. */
let seen = 0;

export async function run({ timeMs }) {
  const memory = new WebAssembly.Memory({ initial: PAGES, maximum: PAGES, shared: true });
  const parser = new SipParser(memory);
  const bytes = new Uint8Array(memory.buffer);
  const words = new Uint32Array(memory.buffer, WORDS_AT, WORDS);
  const bench = new Bench({ time: timeMs });

  for (const [index, [name, text]] of Object.entries(MESSAGES).entries()) {
    const message = Buffer.from(text, 'latin1');
    const at = FIRST_AT + index * ROOM_BYTES;
    bytes.set(message, at);
    bytes.fill(0, at + message.length, at + message.length + PADDING);
    const label = `${name}, ${message.length} bytes`;
    // A single call is too short for the clock: a hundred in one go, the table below divides.
    bench.add(`${label}: SipParser`, () => {
      for (let call = 0; call < CALLS; call++) parser.parse(at, message.length, WORDS_AT);
    });
    bench.add(`${label}: parseMessage and five values`, () => {
      for (let call = 0; call < CALLS; call++) {
        const parsed = parseMessage(message);
        seen += parsed.callId.length + parsed.from.uri.length + parsed.to.uri.length + parsed.method.length;
        seen += parsed.cseq.number;
      }
    });
    bench.add(`${label}: reference parser`, () => {
      for (let call = 0; call < CALLS; call++) seen += referenceParse(message)[0];
    });
  }

  await bench.run();

  for (const [index, text] of Object.values(MESSAGES).entries()) {
    const message = Buffer.from(text, 'latin1');
    assert.equal(parser.parse(FIRST_AT + index * ROOM_BYTES, message.length, WORDS_AT), 0);
    assert.deepEqual(words.slice(0, W_FIXED_END), referenceParse(message).slice(0, W_FIXED_END));
  }
  assert.ok(W_FIXED_END <= FIXED_WORDS && seen > 0);
  return rowsOf(bench, 0);
}
