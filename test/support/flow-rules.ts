/**
 * What the RFCs demand of every message a proxy sends, whatever the flow is about.
 *
 * Forwarded messages are what came but for the fields that belong to a proxy [RFC 3261 16.6, 16.7]; its own answers,
 * CANCELs and ACKs are built from the request they belong to [8.2.6, 9.1, 17.1.1.3].
 */
import assert from 'node:assert/strict';
import type { Agent } from './flow-agents.js';
import type { Leaves } from './flow-text.js';
import { parameter, uriOf, type WireMessage } from './wire-message.js';

export type Scene = {
  readonly step: Leaves;
  readonly message: WireMessage;
  /** What this agent got before in this call. */
  readonly received: readonly WireMessage[];
  /** What anybody sent in this call, in order for each agent. */
  readonly sent: readonly { readonly agent: Agent; readonly message: WireMessage }[];
  /** `host:port` of our listen addresses. */
  readonly ours: readonly string[];
  readonly socket: number;
  readonly to: Agent;
  /** Branches of ours so far, and the first line of the request each belongs to. */
  readonly branches: Map<string, string>;
  /** Where a message came from. */
  readonly sourceOf: (message: WireMessage) => string;
  /** Max-Forwards of a request that came without. */
  readonly maxForwards: number;
};

/** Fields that a proxy may change in a request it forwards. */
const PROXY_FIELDS = ['via', 'route', 'record-route', 'max-forwards', 'max-breadth'];

const CREDENTIALS = ['authorization', 'proxy-authorization'];

/** `cseq was 7`: the number it came with, if another than it left with. */
function numberBefore(step: Leaves): number | null {
  const found = step.checks
    .map((check) => /^cseq was (\d+)$/.exec(check)?.[1])
    .find((one) => one !== undefined);
  return found === undefined ? null : Number(found);
}

/** With the number it came with in CSeq, and in the RAck of a PRACK the same difference taken off. */
function renumbered(text: string, from: number, to: number): string {
  if (from === to) return text;
  return text
    .replace(/^(CSeq\s*:\s*)\d+/im, `$1${to}`)
    .replace(/^(RAck\s*:\s*\d+\s+)(\d+)/im, (_, start, invite) => `${start}${Number(invite) - from + to}`);
}

/** A response somebody sent: the same bytes without our Via.  False: nobody sent it, so it is our own. */
export function checkForwardedResponse(scene: Scene): boolean {
  const { message, sent, step } = scene;
  const number = numberBefore(step) ?? message.cseq;
  if (message.status === 100 || message.tag('to') === '') return false;
  const candidates = sent
    .map((one) => one.message)
    .filter(
      (one) =>
        one.status === message.status &&
        one.method === message.method &&
        one.cseq === number &&
        one.tag('to') === message.tag('to'),
    );
  if (candidates.length === 0) return false;
  if (step.checks.includes('edited')) return true;
  const raw = renumbered(message.raw, message.cseq, number);
  if (!candidates.some((one) => one.withoutTopVia() === raw)) {
    assert.equal(raw, candidates.at(-1)!.withoutTopVia(), 'not the response that came, less our Via');
  }
  return true;
}

/** A response of our own.  [RFC 3261 8.2.6, 18.2.1, RFC 3581] */
export function checkOwnResponse(scene: Scene): void {
  const { message, to, sent } = scene;
  const request = sent
    .map((one) => one.message)
    .findLast(
      (one) =>
        one.status === 0 && one.header('cseq') === message.header('cseq') && one.branch === message.branch,
    );
  assert.ok(request, `${to.name} sent no request that this answers:\n${message.raw}`);
  for (const name of ['from', 'call-id', 'cseq']) {
    assert.equal(message.header(name), request.header(name), `${name} of our answer`);
  }
  checkVias(scene, request, message.all('via'));
  if (request.tag('to') !== '') assert.equal(message.header('to'), request.header('to'), 'To of our answer');
  else {
    const [bare, tag] = [message.header('to').replace(/;tag=[^;>\s]*$/, ''), message.tag('to')];
    assert.equal(bare, request.header('to'), 'To of our answer but for its tag');
    if (message.status > 100) assert.notEqual(tag, '', 'an answer of our own has a To tag');
  }
  assert.equal(
    message.header('content-length'),
    String(Buffer.byteLength(message.body, 'latin1')),
    'Content-Length',
  );
}

/** CANCEL and ACK that we make from an INVITE's branch.  False: it is none of them. */
export function checkOwnRequest(scene: Scene): boolean {
  const { message, received, sent, to } = scene;
  if (message.method !== 'CANCEL' && message.method !== 'ACK') return false;
  const invite = received.find((one) => one.label === 'INVITE' && one.branch === message.branch);
  if (invite === undefined) return false;
  assert.equal(message.uri, invite.uri, `Request-URI of our ${message.method}`);
  assert.deepEqual(message.all('via'), [invite.header('via')], 'one Via, the one of the INVITE');
  for (const name of ['from', 'call-id']) assert.equal(message.header(name), invite.header(name), name);
  assert.deepEqual(message.all('route'), invite.all('route'), 'Route');
  assert.equal(message.header('cseq'), `${invite.cseq} ${message.method}`, 'CSeq');
  assert.ok(message.has('max-forwards'), 'Max-Forwards is mandatory');
  assert.equal(message.body, '', 'no body');
  if (message.method === 'CANCEL') assert.equal(message.header('to'), invite.header('to'), 'To');
  else {
    const finals = sent.filter(
      (one) => one.agent === to && one.message.status >= 300 && one.message.cseq === invite.cseq,
    );
    const tos = finals.map((one) => one.message.header('to'));
    assert.ok(
      tos.includes(message.header('to')),
      `the To of the ACK is the one of the answer:\n${message.raw}`,
    );
  }
  return true;
}

/** A request that the proxy makes from nothing: BYE, OPTIONS, ACK for a 2xx of its own INVITE.  [8.1.1]  False: it is none. */
export function checkMadeRequest(scene: Scene): boolean {
  const { message } = scene;
  if (message.all('via').length !== 1) return false;
  assert.equal(message.lines[0]?.name, 'via', 'our Via comes first');
  checkOurVia(scene, message.header('via'));
  for (const name of ['from', 'to', 'call-id', 'cseq', 'max-forwards', 'content-length']) {
    assert.equal(message.lines.filter((line) => line.name === name).length, 1, `one ${name}`);
  }
  assert.notEqual(message.tag('from'), '', 'a From tag');
  if (message.method !== 'INVITE') assert.notEqual(message.tag('to'), '', 'a To tag');
  assert.match(message.header('cseq'), new RegExp(`^[0-9]+ ${message.method}$`), 'CSeq');
  assert.equal(message.header('max-forwards'), '70', 'Max-Forwards');
  assert.equal(message.header('content-length'), String(Buffer.byteLength(message.body, 'latin1')));
  return true;
}

/** A request somebody sent: the same bytes but for what a proxy owns.  [RFC 3261 16.6] */
export function checkForwardedRequest(scene: Scene): void {
  const { message, sent, step, ours } = scene;
  const before = parameter(message.all('via')[1] ?? '', 'branch') ?? '';
  const origin = sent
    .map((one) => one.message)
    .findLast(
      (one) =>
        one.status === 0 &&
        one.method === message.method &&
        one.cseq === (numberBefore(step) ?? message.cseq) &&
        one.tag('from') === message.tag('from') &&
        one.branch === before,
    );
  assert.ok(origin, `nobody sent this:\n${message.raw}`);
  const says = (name: string): boolean => step.checks.some((check) => check.startsWith(name));
  if (!says('edited')) {
    const fields = step.checks.includes('with credentials')
      ? [...PROXY_FIELDS, ...CREDENTIALS]
      : PROXY_FIELDS;
    const lines = message.linesWithout(...fields).join('');
    assert.equal(
      renumbered(lines, message.cseq, origin.cseq),
      origin.linesWithout(...fields).join(''),
      'headers that are not ours to change',
    );
  }
  assert.equal(message.body, origin.body, 'body');
  if (!says('uri')) {
    assert.equal(message.uri, origin.uri, 'Request-URI');
    assert.deepEqual(message.all('route'), withoutOurs(origin.all('route'), ours), 'Route without ours');
  }
  const had = Number(origin.header('max-forwards') || scene.maxForwards + 1);
  if (!says('Max-Forwards')) assert.equal(message.header('max-forwards'), String(had - 1), 'Max-Forwards');
  assert.ok(!message.header('max-forwards').includes(','), 'one Max-Forwards');
  checkRecordRoute(message, origin, ours);
  const [top = '', ...others] = message.all('via');
  checkVias(scene, origin, others);
  checkOurVia(scene, top);
}

/** What we put on top is an address of ours that routes loosely; what stood there before is as it was.  [16.6 step 4] */
function checkRecordRoute(message: WireMessage, origin: WireMessage, ours: readonly string[]): void {
  const before = origin.all('record-route');
  const after = message.all('record-route');
  const added = after.slice(0, after.length - before.length);
  assert.deepEqual(after.slice(added.length), before, 'Record-Route of others');
  for (const value of added) {
    const uri = uriOf(value);
    assert.ok(ours.includes(hostPortOf(uri)), `a Record-Route of ours that is not us: ${value}`);
    assert.notEqual(parameter(uri, 'lr'), null, `without lr: ${value}`);
  }
}

function checkOurVia(scene: Scene, top: string): void {
  const { ours, socket, message } = scene;
  assert.match(top, /^SIP\/2\.0\/UDP /, 'transport of our Via');
  assert.equal(
    top.replace(/^SIP\/2\.0\/UDP ([^;]+).*$/, '$1'),
    ours[socket],
    'our Via names the socket it left by',
  );
  const branch = parameter(top, 'branch') ?? '';
  assert.match(branch, /^z9hG4bK.+/, 'the magic cookie');
  const what = `${message.callId} ${message.startLine} ${message.header('cseq')}`;
  const before = scene.branches.get(branch);
  assert.ok(before === undefined || before === what, `a branch that was used for ${before}`);
  scene.branches.set(branch, what);
}

/** The sender's Via, completed as RFC 3261 18.2.1 and RFC 3581 say, then the others as they were. */
function checkVias(scene: Scene, origin: WireMessage, got: readonly string[]): void {
  const [sentTop = '', ...sentRest] = origin.all('via');
  const [top = '', ...rest] = got;
  assert.deepEqual(rest, sentRest, 'Vias below the topmost that came');
  const source = /^(.*):(\d+)$/.exec(scene.sourceOf(origin))!;
  const host = source[1]!.replace(/[[\]]/g, '');
  const sentBy = /^SIP\s*\/\s*2\.0\s*\/\s*UDP\s+(\[[^\]]+\]|[^\s;:]+)/i
    .exec(sentTop)?.[1]
    ?.replace(/[[\]]/g, '');
  const asked = parameter(sentTop, 'rport') !== null;
  if (asked) assert.equal(parameter(top, 'rport'), source[2], `rport: ${top}`);
  if (asked || sentBy !== host) {
    assert.equal(parameter(top, 'received')?.replace(/[[\]]/g, ''), host, `received: ${top}`);
  }
  const stripped = top.replace(/;received=[^;,\s]+/, '').replace(/;rport=\d+/, ';rport');
  assert.equal(
    stripped,
    sentTop.replace(/;received=[^;,\s]+/, '').replace(/;rport=\d+/, ';rport'),
    'the Via that came',
  );
}

function withoutOurs(routes: readonly string[], ours: readonly string[]): string[] {
  const first = routes.findIndex((route) => !ours.includes(hostPortOf(uriOf(route))));
  return first < 0 ? [] : routes.slice(first);
}

/** `host:port` of a SIP URI, 5060 where it has none. */
export function hostPortOf(uri: string): string {
  const found = /^sips?:(?:[^@]*@)?(\[[^\]]+\]|[^;:?>]+)(?::(\d+))?/i.exec(uri);
  return found === null ? '' : `${found[1]}:${found[2] ?? 5060}`;
}
