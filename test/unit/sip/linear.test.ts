/**
 * Text from outside costs in proportion to its length, whatever it says: no parser reads parts of it again and again.
 *
 * Each is given 15 KB and 60 KB of an input that is bad for it.  Four times the text takes four times as long where the
 * work is linear, and sixteen times where it is quadratic.  The quickest of several runs count, and the comparison is made
 * again when it fails: what is not linear fails each time.  A parser so quick that nobody can measure it is quick enough.
 */
import assert from 'node:assert/strict';
import { afterAll, beforeAll, describe, test } from 'vitest';
import { CookieReader } from '../../../dist/dialog/cookie.js';
import { referHeaders } from '../../../dist/dialog/refer.js';
import { headerBlock, isUri, splitRouteSet, uriOfRoute } from '../../../dist/dialog/requests.js';
import { replaceUriPart, uriPart } from '../../../dist/script/uri-parts.js';
import { digestParameters, readChallenge } from '../../../dist/sip/digest.js';
import { parseMessage } from '../../../dist/sip/parse.js';
import { referenceParse } from '../../../dist/sip/reference-parser.js';
import { parseUri } from '../../../dist/sip/uri.js';
import { Address, readAddressText } from '../../../dist/transport/address.js';
import { World } from '../../support/flow.js';

const SHORT_BYTES = 15_000;
const LONG_BYTES = 60_000;
const QUICK_MS = 0.5;
const RUNS = 3;
const ATTEMPTS = 12;
/** Between the 4 of linear work and the 16 of quadratic work. */
const RATIO_MAX = 9;

/** Repeated, each of these makes something begin again and again, or never end. */
const PIECES = [
  ...['a', '1', '-', '.', ' ', '\t', ',', ';', '=', ':', '"', '<', '>', '@', '[', '\\', '%', '?', '/', '~'],
  ...[
    '\\"',
    '" ',
    '""',
    '"\\',
    'a ',
    ' a',
    'a=',
    'a,',
    ';a',
    ';a=',
    '<a',
    '<a>',
    '<sip:a>,',
    '"a"',
    '<">',
    ',a=b',
  ],
  ...[
    'a:',
    ':a',
    'a.',
    '[:',
    '1.',
    '@:',
    ';lr',
    ';alias=1',
    ';method=',
    '?a',
    '\r\n ',
    ' \r\n ',
    '\r\n',
    '\r',
    '\n',
  ],
  ...['did=1.', ';did=', 'sip:', 'z9hG4bK', '\xff'],
];

function filled(before: string, piece: string, after: string, bytes: number): string {
  return before + piece.repeat(Math.ceil(bytes / piece.length)).slice(0, bytes) + after;
}

function quickest(work: () => unknown): number {
  let best = Number.POSITIVE_INFINITY;
  for (let run = 0; run < RUNS && best >= QUICK_MS; run++) {
    const began = performance.now();
    work();
    best = Math.min(best, performance.now() - began);
  }
  return best;
}

/** Fails unless `work` on the long input is quick, or takes no more than RATIO_MAX times what the short one takes. */
function assertLinear(name: string, work: (bytes: number) => () => unknown): void {
  const short = work(SHORT_BYTES);
  const long = work(LONG_BYTES);
  let told = '';
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const longMs = quickest(long);
    if (longMs < QUICK_MS) return;
    const shortMs = quickest(short);
    if (longMs / shortMs < RATIO_MAX) return;
    told = `${shortMs.toFixed(2)} ms, then ${longMs.toFixed(2)} ms`;
  }
  assert.fail(`${name}: ${told}`);
}

/** What it takes, and what it takes to get into it. */
const TEXT_PARSERS: readonly [string, readonly string[], (text: string) => unknown][] = [
  ['digestParameters', ['Digest ', 'Digest a="', 'Digest a='], digestParameters],
  ['readChallenge', ['Digest realm="r",nonce="n",qop="'], readChallenge],
  ['parseUri', ['', 'sip:', 'sip:a', 'sip:a@h', 'sip:a@h;', 'sip:a@h?', 'sip:['], parseUri],
  ['uriPart', ['sip:', 'sip:a@'], (text) => [uriPart(text, 'user'), uriPart(text, 'host')]],
  ['replaceUriPart', ['sip:'], (text) => thrown(() => replaceUriPart(text, 'port', '5060'))],
  ['splitRouteSet', ['', '"'], splitRouteSet],
  ['uriOfRoute', ['', '<', '"'], uriOfRoute],
  ['headerBlock', ['', 'A: ', 'A'], headerBlock],
  ['isUri', ['', 'sip:'], isUri],
  [
    'referHeaders',
    ['', '"', 'a'],
    (text) => referHeaders(text, { bridge_controller: 'sip:c@h', bridge_contact: 'sip:c@h' }),
  ],
  ['readAddressText', ['', '1.', '[', '::'], (text) => readAddressText(text, new Address())],
  ['referenceParse', ['A: '], (text) => referenceParse(Buffer.from(datagram('Subject', text), 'latin1'))],
  [
    'CookieReader',
    ['', ';lr', ';did='],
    (text) => new CookieReader(Buffer.from(text, 'latin1'), 'did').find(0, text.length),
  ],
  [
    'parseMessage',
    [''],
    (text) => {
      const found = parseMessage(Buffer.from(datagram('Subject', text), 'latin1'));
      return [...('headers' in found ? found : found.message).headers()];
    },
  ],
];

function thrown(work: () => unknown): unknown {
  try {
    return work();
  } catch (error) {
    return error;
  }
}

describe('a parser of text', () => {
  for (const [name, openings, parse] of TEXT_PARSERS) {
    test(`${name} reads each byte a bounded number of times`, () => {
      for (const opening of openings) {
        for (const piece of PIECES) {
          for (const after of ['', 'x', '\r\nx']) {
            assertLinear(`${name} ${JSON.stringify(opening + piece)}…${JSON.stringify(after)}`, (bytes) => {
              const text = filled(opening, piece, after, bytes);
              return () => parse(text);
            });
          }
        }
      }
    });
  }
});

/** A request with `value` in one field, or a challenge with it when the field is one of an answer. */
function datagram(field: string, value: string, n = 0): string {
  const fields: Record<string, string> = {
    Via: `SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bK-${n}`,
    From: `<sip:alice@example.com>;tag=a${n}`,
    To: '<sip:bob@example.com>',
    'Call-ID': `line-${n}`,
    CSeq: '1 INVITE',
    'Max-Forwards': '70',
    Contact: '<sip:alice@192.0.2.10:5060>',
  };
  const isMore = field in fields && field !== 'Max-Forwards' && field !== 'CSeq';
  const lines = Object.entries(fields).map(([name, text]) =>
    name === field ? `${name}: ${isMore ? text + value : value}` : `${name}: ${text}`,
  );
  if (!(field in fields) && field !== 'R-URI') lines.push(`${field}: ${value}`);
  const uri = field === 'R-URI' ? `sip:bob@192.0.2.20${value}` : 'sip:bob@192.0.2.20';
  return `INVITE ${uri} SIP/2.0\r\n${lines.join('\r\n')}\r\nContent-Length: 0\r\n\r\n`;
}

describe('the proxy, its dialogs and routes', () => {
  let world: World;
  beforeAll(async () => {
    const settings = new Map([
      ['routes', ['auth']],
      ['set', ['uac:credential=alice:example.com:secret']],
      ['segment', [String(64 * 1_048_576)]],
    ]);
    world = await World.open({ settings, workers: 1, seed: 1, timerWorker: false });
  });
  afterAll(() => world.close());

  let sent = 0;
  const taken = (agent: string, text: string): void => {
    world.put(agent, text);
    for (const shard of world.shards) while (shard.receive() > 0);
  };

  for (const field of ['R-URI', 'Via', 'From', 'To', 'Contact', 'Route', 'Record-Route', 'Subject', 'CSeq']) {
    test(`${field} of an INVITE`, () => {
      for (const piece of PIECES) {
        assertLinear(`${field} ${JSON.stringify(piece)}`, (bytes) => () => {
          taken(
            'caller',
            datagram(field, filled(field.endsWith('oute') ? '<sip:a;lr>,' : '', piece, '', bytes), ++sent),
          );
          while (world.wire.take() !== null);
        });
      }
    });
  }

  for (const field of ['Proxy-Authenticate', 'Contact', 'Record-Route', 'Reason']) {
    for (const code of [407, 200]) {
      test(`${field} of a ${code}`, () => {
        for (const piece of PIECES) {
          assertLinear(`${field} ${JSON.stringify(piece)}`, (bytes) => () => {
            taken('caller', datagram('Subject', 'x', ++sent));
            for (let out = world.wire.take(); out !== null; out = world.wire.take()) {
              const text = Buffer.from(out.bytes).toString('latin1');
              if (!text.startsWith('INVITE')) continue;
              const kept = text.split('\r\n').filter((line) => /^(Via|From|Call-ID|CSeq):/i.test(line));
              const opening =
                field === 'Proxy-Authenticate' ? 'Digest ' : field === 'Reason' ? '' : '<sip:b@h>,';
              const value = filled(opening, piece, '', bytes);
              taken(
                'callee',
                `SIP/2.0 ${code} Such\r\n${kept.join('\r\n')}\r\nTo: <sip:bob@example.com>;tag=b\r\n` +
                  `${field}: ${value}\r\nContent-Length: 0\r\n\r\n`,
              );
            }
          });
        }
      });
    }
  }
});
