/**
 * What a proxy does with each message of RFC 4475 and RFC 5118.
 *
 * Read by test/system/torture.test.ts, which sends every message to a running proxy with the default routes.
 * The verdicts are from the text of the two RFCs, told in our own words; the section is the message's own.
 */
import { readFileSync } from 'node:fs';

/** The message leaves for the next hop, as a proxy changes it and not otherwise. */
export const FORWARDED = 'forwarded';
/** Nothing leaves in any direction. */
export const DROPPED = 'dropped';

/** `forwarded`, `dropped`, or the status code of our own final answer. */
export type Outcome = typeof FORWARDED | typeof DROPPED | number;

export interface Expectation {
  /** File below this folder. */
  readonly file: string;
  /** RFC 4475 or RFC 5118, and the section that shows the message. */
  readonly section: string;
  /** What is odd about it. */
  readonly about: string;
  /** Everything that the RFC allows a proxy to do. */
  readonly permitted: readonly Outcome[];
  /** What Holdfast does: one of `permitted`. */
  readonly expect: Outcome;
  /** Why, in a sentence or two. */
  readonly because: string;
  /** Text that must not be in the forwarded message. */
  readonly absent?: readonly string[];
  /** Text that must be in the forwarded message, or in our answer. */
  readonly present?: readonly string[];
}

/** One row: file, section, about, permitted (the first is what we do), because. */
function row(
  file: string,
  section: string,
  about: string,
  permitted: readonly [Outcome, ...Outcome[]],
  because: string,
  extra: Pick<Expectation, 'absent' | 'present'> = {},
): Expectation {
  return { file, section, about, permitted, expect: permitted[0], because, ...extra };
}

const rfc4475 = (name: string, section: string, ...rest: Rest): Expectation =>
  row(`rfc4475/${name}.dat`, `RFC 4475 ${section}`, ...rest);
const rfc5118 = (name: string, section: string, ...rest: Rest): Expectation =>
  row(`rfc5118/${name}`, `RFC 5118 ${section}`, ...rest);
type Rest = [string, readonly [Outcome, ...Outcome[]], string, Pick<Expectation, 'absent' | 'present'>?];

export const EXPECTATIONS: readonly Expectation[] = [
  // RFC 4475 3.1.1: valid, however odd it looks.
  rfc4475(
    'wsinv',
    '3.1.1.1',
    'folding and white space wherever the grammar lets them be',
    [404, FORWARDED],
    'Valid, and read to the end: behind the folds there is a To tag, and the Route is not ours. The default routes answer 404 to a request of a dialog that does not come to us by Route; the answer has all three Via and no other fault is found.',
    { present: ['192.0.2.2', 'spindle.example.com', '192.168.255.111', '98asjd8', '1918181833n'] },
  ),
  rfc4475(
    'intmeth',
    '3.1.1.2',
    'unusual characters in method, URI, display name, tag, Call-ID and header name',
    [FORWARDED],
    'Valid. A method that we do not know is relayed like any other non-INVITE; escaped NUL, BEL and DEL in a quoted string are data.',
  ),
  rfc4475(
    'esc01',
    '3.1.1.3',
    'percent escapes in URIs',
    [FORWARDED],
    'Valid. The user part is opaque to a proxy that is not responsible for the domain; escapes are not undone.',
    {
      present: [
        'INVITE sip:sips%3Auser%40example.com@example.net SIP/2.0',
        '<sip:cal%6Cer@host5.example.net;%6C%72;n%61me=v%61lue%25%34%31>',
      ],
    },
  ),
  rfc4475('escnull', '3.1.1.4', 'escaped NUL in URIs', [FORWARDED], 'Valid. An escaped NUL ends no string.', {
    present: ['<sip:%00@host5.example.com>', '<sip:%00%00@host5.example.com>'],
  }),
  rfc4475(
    'esc02',
    '3.1.1.5',
    'percent signs that are no escapes',
    [FORWARDED],
    'Valid. Escapes exist in URIs only: the method is not REGISTER and one header is not Contact.',
    {
      present: [
        'RE%47IST%45R sip:registrar.example.com SIP/2.0',
        'C%6Fntact: <sip:alias2@host2.example.com>',
      ],
    },
  ),
  rfc4475(
    'lwsdisp',
    '3.1.1.6',
    'no space between display name and <',
    [FORWARDED],
    'Valid: the space is optional.',
  ),
  rfc4475(
    'longreq',
    '3.1.1.7',
    'long values, 34 Via headers, one of them without branch on top',
    [FORWARDED],
    'Valid. Lengths have no limit in SIP other than the transport; the top Via is matched by the rule for RFC 2543.',
    { present: ['Unknown-LongLongLongLong', 'v  : SIP/2.0/TCP sip19.example.com'] },
  ),
  rfc4475(
    'dblreq',
    '3.1.1.8',
    'a second request behind the first in one datagram',
    [FORWARDED],
    'Valid. The body ends at Content-Length; octets behind it are discarded and are neither forwarded nor read as a request (RFC 3261 §18.3).',
    { absent: ['INVITE'] },
  ),
  rfc4475(
    'semiuri',
    '3.1.1.9',
    'a semicolon in the user part',
    [FORWARDED],
    'Valid. Parameters begin behind the host.',
    { present: ['OPTIONS sip:user;par=u%40example.net@example.com SIP/2.0'] },
  ),
  rfc4475(
    'transports',
    '3.1.1.10',
    'known and unknown transports in Via',
    [FORWARDED],
    'Valid. Via headers below the top one are not ours to judge.',
    { present: ['SIP/2.0/UNKNOWN t4.example.com'] },
  ),
  rfc4475(
    'mpart01',
    '3.1.1.11',
    'a binary multipart body with NUL octets',
    [403, FORWARDED],
    'Valid, and read past the NUL octets of its body to the end. It brings a Route that leads past the next hop, which the default routes refuse.',
  ),
  rfc4475(
    'unreason',
    '3.1.1.12',
    'a reason phrase with UTF-8 and punctuation',
    [DROPPED],
    'Valid, but a response whose top Via is not ours is discarded (RFC 3261 §18.1.2).',
  ),
  rfc4475(
    'noreason',
    '3.1.1.13',
    'an empty reason phrase',
    [DROPPED],
    'Valid, but a response whose top Via is not ours is discarded (RFC 3261 §18.1.2).',
  ),

  // RFC 4475 3.1.2: invalid.
  rfc4475(
    'badinv01',
    '3.1.2.1',
    'stray separators in Via and Contact',
    [400, DROPPED],
    'Invalid: answer 400. Its Via cannot be read, so the answer can only go to where the datagram came from.',
  ),
  rfc4475(
    'clerr',
    '3.1.2.2',
    'Content-Length larger than the datagram',
    [400],
    'Invalid: the body is cut off, answer 400 (RFC 3261 §18.3).',
  ),
  rfc4475(
    'ncl',
    '3.1.2.3',
    'negative Content-Length',
    [400],
    'Invalid: a length is not negative, answer 400.',
  ),
  rfc4475(
    'scalar02',
    '3.1.2.4',
    'numbers larger than their range in a request',
    [400],
    'Invalid: CSeq is beyond 32 bits, answer 400; the other numbers alone could be passed over.',
  ),
  rfc4475(
    'scalarlg',
    '3.1.2.5',
    'numbers larger than their range in a response',
    [DROPPED],
    'Invalid: a response with a fault is discarded.',
  ),
  rfc4475(
    'quotbal',
    '3.1.2.6',
    'a quoted display name that does not end',
    [400, FORWARDED],
    'Invalid: answer 400. Guessing where the quote should end is allowed to those who dare.',
  ),
  rfc4475(
    'ltgtruri',
    '3.1.2.7',
    'Request-URI in angle brackets',
    [400, FORWARDED],
    'Invalid: answer 400. Who forwards it has to take the brackets off.',
    { absent: ['<sip:user@example.com>'] },
  ),
  rfc4475(
    'lwsruri',
    '3.1.2.8',
    'white space inside the Request-URI',
    [400, 404],
    'Invalid: answer 400. It also has a To tag and no Route of ours, so a proxy that reads on finds no such dialog.',
  ),
  rfc4475(
    'lwsstart',
    '3.1.2.9',
    'two spaces between the parts of the request line',
    [400, FORWARDED],
    'Invalid: answer 400. Who forwards it has to send single spaces.',
    { absent: ['INVITE  sip:'] },
  ),
  rfc4475(
    'trws',
    '3.1.2.10',
    'spaces at the end of the request line',
    [400, FORWARDED],
    'Invalid: answer 400. Who forwards it has to leave them out.',
    { absent: ['SIP/2.0  \r\n'] },
  ),
  rfc4475(
    'escruri',
    '3.1.2.11',
    'headers in the Request-URI',
    [400, FORWARDED],
    'Invalid: a Request-URI has no headers (RFC 3261 §19.1.1), answer 400. Who forwards it has to take them off and must never act on them.',
    { absent: ['?Route=', '\r\nRoute: <sip:example.com>'] },
  ),
  rfc4475(
    'baddate',
    '3.1.2.12',
    'a Date that is not in GMT',
    [FORWARDED, 400],
    'Invalid, but only for those who read Date; a proxy does not.',
    { present: ['Date: Fri, 01 Jan 2010 16:00:00 EST'] },
  ),
  rfc4475(
    'regbadct',
    '3.1.2.13',
    'a Contact URI with headers and without angle brackets',
    [FORWARDED, 400],
    'Invalid for the registrar, who reads that Contact; a proxy that is not the registrar has no need to.',
  ),
  rfc4475(
    'badaspec',
    '3.1.2.14',
    'spaces inside the angle brackets of To',
    [400, FORWARDED],
    'Invalid: answer 400; passing over the spaces is allowed.',
  ),
  rfc4475(
    'baddn',
    '3.1.2.15',
    'a comma in a display name that is not quoted',
    [400],
    'Invalid: answer 400. A proxy must not pass the fault on, so it may forward only what it has repaired.',
  ),
  rfc4475('badvers', '3.1.2.16', 'SIP/7.0', [505], 'A version that we do not speak: answer 505.'),
  rfc4475(
    'mismatch01',
    '3.1.2.17',
    'a method in CSeq that is not the one of the request line',
    [400],
    'Invalid: answer 400.',
  ),
  rfc4475(
    'mismatch02',
    '3.1.2.18',
    'the same with a method that we do not know',
    [400, 501],
    'Invalid: the fault that we name is the one that is there, whatever the method. 501 is what the RFC would rather see, for it serves later methods too; but a proxy relays methods that it does not know, so 501 would be untrue of us.',
  ),
  rfc4475(
    'bigcode',
    '3.1.2.19',
    'a status code beyond three digits',
    [DROPPED],
    'Invalid: a response with a fault is discarded.',
  ),

  // RFC 4475 3.2: transaction layer.
  rfc4475(
    'badbranch',
    '3.2.1',
    'a branch that is the magic cookie and nothing else',
    [FORWARDED, 400],
    'The branch identifies nothing. We match such a request by the rule for RFC 2543; refusing it is allowed.',
  ),

  // RFC 4475 3.3: application layer.
  rfc4475(
    'insuf',
    '3.3.1',
    'no Call-ID, From, To or Max-Forwards',
    [400, DROPPED],
    'Required headers are missing: must not break us, and wants 400.',
  ),
  rfc4475(
    'unkscm',
    '3.3.2',
    'a Request-URI of an unknown scheme',
    [416],
    'We cannot route it, and To is no routing information: answer 416 (RFC 3261 §16.3).',
  ),
  rfc4475(
    'novelsc',
    '3.3.3',
    'a Request-URI of a known scheme that is not for SIP',
    [416],
    'We will never route that scheme: as if it were unknown, answer 416.',
  ),
  rfc4475(
    'unksm2',
    '3.3.4',
    'unknown schemes in To, From and Contact',
    [FORWARDED],
    'Only the registrar minds; a proxy routes by the Request-URI and forwards.',
    { present: ['Contact: <name:John_Smith>'] },
  ),
  rfc4475(
    'bext01',
    '3.3.5',
    'Proxy-Require with extensions that nobody knows',
    [420],
    'Answer 420 and name in Unsupported what Proxy-Require asked for (RFC 3261 §16.3); Require is for the callee.',
    { present: ['noProxiesSupportThis', 'norDoAnyProxiesSupportThis'], absent: ['nothingSupportsThis,'] },
  ),
  rfc4475('invut', '3.3.6', 'an unknown body type', [FORWARDED], 'Bodies are not for proxies.'),
  rfc4475(
    'regaut01',
    '3.3.7',
    'an unknown authorization scheme',
    [FORWARDED],
    'Credentials for somebody else leave untouched.',
    { present: ['Authorization: NoOneKnowsThisScheme opaque-data=here'] },
  ),
  rfc4475(
    'multi01',
    '3.3.8',
    'two CSeq, Call-ID, To, From and Max-Forwards',
    [400],
    'Headers that are allowed once appear twice, two Call-IDs among them: answer 400.',
  ),
  rfc4475(
    'mcl01',
    '3.3.9',
    'two different Content-Length',
    [400],
    'Where the body ends is unknown: answer 400, and over UDP the rest of the datagram is discarded.',
  ),
  rfc4475(
    'bcast',
    '3.3.10',
    'a response that would be relayed to 255.255.255.255',
    [DROPPED],
    'The top Via is not ours, and a proxy never relays to a broadcast address.',
  ),
  rfc4475('zeromf', '3.3.11', 'Max-Forwards 0', [483], 'It goes no further: answer 483 (RFC 3261 §16.3).'),
  rfc4475(
    'cparam01',
    '3.3.12',
    'REGISTER with an unknown Contact parameter',
    [FORWARDED],
    'The registrar decides.',
    { present: ['Contact: sip:+19725552222@gw1.example.net;unknownparam'] },
  ),
  rfc4475(
    'cparam02',
    '3.3.13',
    'REGISTER with an unknown URI parameter in Contact',
    [FORWARDED],
    'The registrar decides.',
    { present: ['Contact: <sip:+19725552222@gw1.example.net;unknownparam>'] },
  ),
  rfc4475(
    'regescrt',
    '3.3.14',
    'REGISTER with a header in the Contact URI',
    [FORWARDED],
    'Legal in a Contact between angle brackets; the registrar decides.',
    { absent: ['\r\nRoute: '] },
  ),
  rfc4475(
    'sdp01',
    '3.3.15',
    'INVITE that accepts no body type that anyone knows',
    [FORWARDED],
    'The callee answers 406, not the proxy.',
  ),

  // RFC 4475 3.4: backward compatibility.
  rfc4475(
    'inv2543',
    '3.4.1',
    'INVITE of RFC 2543: no branch, From tag, Max-Forwards, Contact or Content-Length',
    [400, FORWARDED],
    'Legal for RFC 2543. RFC 3261 §8.1.1.8 asks for one Contact in an INVITE: without it and a From tag the call could be followed by no limit, so the default routes refuse it.',
  ),

  // RFC 5118 4: IPv6.
  rfc5118('ipv6-good', '4.1', 'IPv6 references between brackets', [FORWARDED], 'Valid.', {
    present: ['REGISTER sip:[2001:db8::10] SIP/2.0', '[2001:db8::9:1]'],
  }),
  rfc5118(
    'ipv6-bad',
    '4.2',
    'an IPv6 address in the Request-URI without brackets',
    [400],
    'Invalid: answer 400.',
  ),
  rfc5118(
    'port-ambiguous',
    '4.3',
    'what was meant as port is inside the brackets',
    [FORWARDED],
    "Valid: the number is part of the address, and that is the sender's problem.",
    { present: ['sip:[2001:db8::10:5070]'] },
  ),
  rfc5118('port-unambiguous', '4.4', 'the port behind the brackets', [FORWARDED], 'Valid.', {
    present: ['sip:[2001:db8::10]:5070'],
  }),
  rfc5118(
    'via-received-param-with-delim',
    '4.5',
    'received= with brackets',
    [404, 481, FORWARDED],
    'Must be parsed, although RFC 3261 has no brackets there. It is a BYE without Route: the default routes answer 404 to a request of a dialog that does not come to us by Route.',
  ),
  rfc5118('via-received-param-no-delim', '4.5', 'received= without brackets', [FORWARDED], 'Valid.'),
  rfc5118(
    'ipv6-in-sdp',
    '4.6',
    'IPv6 in a session description, where it has no brackets',
    [FORWARDED],
    'Valid; bodies are not for proxies.',
    { present: ['c=IN IP6 2001:db8::20'] },
  ),
  rfc5118(
    'mult-ip-in-header',
    '4.7',
    'IPv4 and IPv6 in Via headers',
    [404, 481, FORWARDED],
    'Valid. A BYE without Route, as above.',
  ),
  rfc5118(
    'mult-ip-in-sdp',
    '4.8',
    'IPv4 and IPv6 in one session description',
    [FORWARDED],
    'Valid; bodies are not for proxies.',
  ),
  rfc5118('ipv4-mapped-ipv6', '4.9', 'IPv4 addresses mapped into IPv6', [FORWARDED], 'Valid.', {
    present: ['[::ffff:192.0.2.2]'],
  }),
  rfc5118(
    'ipv6-bug-abnf-3-colons',
    '4.10',
    'three colons before an embedded IPv4 address',
    [FORWARDED],
    'The grammar of RFC 3261 has this by mistake; both forms must be tolerated. Writing it with two colons is allowed, not required.',
  ),
  rfc5118('ipv6-correct-abnf-2-colons', '4.10', 'the same with two colons', [FORWARDED], 'Valid.', {
    present: ['[2001:db8::192.0.2.1]'],
  }),
];

/** The octets of a message as they go into a datagram. */
export function wire(expectation: Expectation): Buffer {
  const bytes = readFileSync(new URL(expectation.file, import.meta.url));
  if (!expectation.file.startsWith('rfc5118/')) return bytes;
  const text = bytes.toString('latin1').replace(/\r?\n/g, '\r\n');
  return Buffer.from(text.includes('\r\n\r\n') ? text : `${text}\r\n`, 'latin1');
}

/** Sorts the messages so that no two of a group are one transaction (RFC 3261 §17.2.3). */
export function collisionFreeGroups(): Expectation[][] {
  const groups: { keys: Set<string>; members: Expectation[] }[] = [];
  for (const expectation of EXPECTATIONS) {
    const key = transactionKey(wire(expectation).toString('latin1'));
    const group = groups.find((candidate) => !candidate.keys.has(key));
    if (group) {
      group.keys.add(key);
      group.members.push(expectation);
    } else groups.push({ keys: new Set([key]), members: [expectation] });
  }
  return groups.map((group) => group.members);
}

function transactionKey(text: string): string {
  const method = text.slice(0, text.indexOf(' '));
  const via = /^v(?:ia)?[ \t]*:[ \t]*([^\r]*)/im.exec(text)?.[1] ?? '';
  return `${method} ${via}`;
}
