/**
 * dlg_bridge(): a call between two addresses, made by a third party.
 *
 * INVITE to the first with media on hold; when it answers, REFER it to the second; when that has its final answer, BYE.
 * The call that this makes is not tracked.  What is to be done next is read from the requests that transactions keep,
 * but for where to refer to.  [manual 6.11; spec 4.6; RFC 3515]
 */
import type { Random } from '../random.js';
import type { Message } from '../sip/message.js';
import {
  W_CONTACT_URI_LEN,
  W_CONTACT_URI_OFF,
  W_RECORD_ROUTE_COUNT,
  W_RECORD_ROUTE_ITEM,
  W_TO_TAG_LEN,
  W_TO_TAG_OFF,
} from '../sip/words.js';
import { hasOneContact } from './leg.js';
import type { DialogLog, OwnRequest, Sender } from './ports.js';
import { PURPOSE } from './purposes.js';
import { type ReferParams, referHeaders } from './refer.js';
import {
  asBytes,
  type Call,
  isUri,
  requestWithin,
  splitRouteSet,
  TO_CALLEE,
  uriOfRoute,
} from './requests.js';

/** Bridges whose first side has not answered yet. */
export const BRIDGES_MAX = 1_000;
export const SDP_BYTES_MAX = 16_384;
/** Of a Call-ID and a tag. */
const TOKEN_BYTES = 12;
const CSEQ_INVITE = 10;
const CSEQ_REFER = 11;
const CSEQ_BYE = 12;

const HOLD = [
  'v=0',
  'o=holdfast-bridge 0 0 IN IP4 0.0.0.0',
  's=holdfast',
  'c=IN IP4 0.0.0.0',
  't=0 0',
  'm=audio 9 RTP/AVP 8 0',
  'a=rtpmap:8 PCMA/8000',
  'a=rtpmap:0 PCMU/8000',
  '',
].join('\r\n');

export class Bridge {
  private readonly sender: Sender;
  private readonly params: ReferParams;
  private readonly random: Random;
  private readonly log: DialogLog;
  /** Where to refer to, by Call-ID. */
  private readonly targets = new Map<string, string>();

  constructor(sender: Sender, params: ReferParams, random: Random, log: DialogLog) {
    this.sender = sender;
    this.params = params;
    this.random = random;
    this.log = log;
  }

  /**
   * Calls `from`, to refer it to `to` once it has answered.
   *
   * @param outbound where the INVITE goes; '': where `from` leads
   * @param sdp its body; null: media on hold
   * @returns false: no address, or the INVITE could not be sent
   */
  bridge(from: string, to: string, outbound: string, sdp: string | null): boolean {
    const body = sdp === null ? HOLD : asBytes(sdp);
    if (!isUri(from) || (outbound !== '' && !isUri(outbound)) || body.length > SDP_BYTES_MAX) return false;
    if (referHeaders(to, this.params) === null || this.targets.size >= BRIDGES_MAX) return false;
    const callId = `bridge-${this.token()}`;
    const lines = [
      `INVITE ${from} SIP/2.0`,
      `To: <${from}>`,
      `From: <${this.params.bridge_controller}>;tag=${this.token()}`,
      `CSeq: ${CSEQ_INVITE} INVITE`,
      `Call-ID: ${callId}`,
      'Max-Forwards: 70',
      `Contact: <${this.params.bridge_contact}>`,
      ...(body === '' ? [] : ['Content-Type: application/sdp']),
      `Content-Length: ${body.length}`,
    ];
    const text = `${lines.join('\r\n')}\r\n\r\n${body}`;
    const nextHop = outbound === '' ? from : outbound;
    this.targets.set(callId, to);
    if (this.sender.send(own('INVITE', text, nextHop, PURPOSE.bridgeInvite)) === 'sent') return true;
    this.targets.delete(callId);
    return false;
  }

  /** The INVITE, whose text this is, has its final answer. */
  inviteAnswered(message: Message | null, code: number, invite: string): void {
    const callId = headerOf(invite, 'Call-ID');
    const target = this.targets.get(callId);
    this.targets.delete(callId);
    if (message === null || code >= 300) {
      this.log.warn('bridge_not_answered', { code, call_id: callId });
      return;
    }
    const call = callOf(message, invite, callId);
    // Who knows no more where to refer to hangs up.
    const [method, purpose] = target === undefined ? ['BYE', PURPOSE.none] : ['REFER', PURPOSE.bridgeRefer];
    const headers = target === undefined ? '' : (referHeaders(target, this.params) ?? '');
    const request = requestWithin(call, TO_CALLEE, method, { cseq: CSEQ_REFER, purpose, headers });
    if (request === null || this.sender.send(request) !== 'sent')
      this.log.warn('bridge_not_referred', { call_id: callId });
  }

  /** The REFER, whose text this is, has its final answer: we leave the call. */
  referAnswered(refer: string): void {
    const bye = byeAfter(refer);
    if (this.sender.send(bye) !== 'sent')
      this.log.warn('bridge_not_left', { call_id: headerOf(refer, 'Call-ID') });
  }

  private token(): string {
    return Buffer.from(this.random.bytes(TOKEN_BYTES)).toString('hex');
  }
}

function own(method: string, text: string, nextHop: string, purpose: number): OwnRequest {
  return { method, text, nextHop, socket: 0, index: 0, generation: 0, side: 0, purpose };
}

/** The call that an answer to our INVITE made, seen as its caller. */
function callOf(answer: Message, invite: string, callId: string): Call {
  const from = /^From: <([^>]*)>;tag=(.*)$/m.exec(invite.replaceAll('\r', ''));
  const to = /^INVITE (\S+) /.exec(invite);
  return {
    index: 0,
    generation: 0,
    callId,
    caller: { uri: from?.[1] ?? '', tag: from?.[2] ?? '', contact: '', routeSet: '', source: '', socket: 0 },
    callee: {
      uri: to?.[1] ?? '',
      tag: answer.text(W_TO_TAG_OFF, W_TO_TAG_LEN),
      contact: hasOneContact(answer) ? answer.text(W_CONTACT_URI_OFF, W_CONTACT_URI_LEN) : '',
      routeSet: routeSetOf(answer),
      source: '',
      socket: answer.flow,
    },
  };
}

/** Record-Route of an answer, nearest hop first.  [RFC 3261 12.1.2] */
function routeSetOf(answer: Message): string {
  const items: string[] = [];
  let item = answer.word(W_RECORD_ROUTE_ITEM);
  for (let n = answer.word(W_RECORD_ROUTE_COUNT); n > 0; n--) {
    items.unshift(answer.slice(answer.itemOffset(item), answer.itemLength(item)));
    item = answer.itemNext(item);
  }
  return items.join(',');
}

/** The BYE that goes the way that the REFER went. */
function byeAfter(refer: string): OwnRequest {
  const uri = /^\S+ (\S+) /.exec(refer)?.[1] ?? '';
  const route = headerOf(refer, 'Route');
  const lines = [
    `BYE ${uri} SIP/2.0`,
    `To: ${headerOf(refer, 'To')}`,
    `From: ${headerOf(refer, 'From')}`,
    `CSeq: ${CSEQ_BYE} BYE`,
    `Call-ID: ${headerOf(refer, 'Call-ID')}`,
    ...(route === '' ? [] : [`Route: ${route}`]),
    'Max-Forwards: 70',
    'Content-Length: 0',
  ];
  const first = splitRouteSet(route)[0];
  const firstUri = first === undefined ? '' : uriOfRoute(first);
  const isLoose = /;lr(?=[;=]|$)/i.test(firstUri);
  const text = `${lines.join('\r\n')}\r\n\r\n`;
  return own('BYE', text, isLoose ? firstUri : uri, PURPOSE.none);
}

/** Value of a header field in a request of ours, which has each of them once and whole. */
function headerOf(request: string, name: string): string {
  const start = request.indexOf(`\r\n${name}: `);
  if (start < 0) return '';
  const from = start + name.length + 4;
  return request.slice(from, request.indexOf('\r\n', from));
}
