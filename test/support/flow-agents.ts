/**
 * User agents of a flow: they write what a flow tells them to and keep what a UA must (tags, CSeq, Route sets), nothing
 * more: no timers, no answers of their own.  [RFC 3261 8, 9, 12, 17.1.1.3]
 */
import { parameter, uriOf, WireMessage } from './wire-message.js';

/** One side's view of a dialog.  [12] */
type Dialog = {
  readonly localTag: string;
  readonly remoteTag: string;
  routeSet: string[];
  remoteTarget: string;
};

/** What an agent knows of one call. */
class AgentCall {
  readonly callId: string;
  readonly isCaller: boolean;
  readonly localTag: string;
  localUri = '';
  remoteUri = '';
  cseq = 0;
  readonly dialogs: Dialog[] = [];
  readonly sent: WireMessage[] = [];
  readonly received: WireMessage[] = [];

  constructor(callId: string, isCaller: boolean, localTag: string) {
    this.callId = callId;
    this.isCaller = isCaller;
    this.localTag = localTag;
  }

  dialog(localTag: string, remoteTag: string): Dialog {
    const found = this.dialogs.find((one) => one.localTag === localTag && one.remoteTag === remoteTag);
    if (found !== undefined) return found;
    const made = { localTag, remoteTag, routeSet: [], remoteTarget: '' };
    this.dialogs.push(made);
    return made;
  }
}

const SDP = [
  'v=0',
  'o=- 1 1 IN IP4 192.0.2.99',
  's=a body  with spaces\t',
  'c=IN IP4 192.0.2.99',
  't=0 0',
  'm=audio 4000 RTP/AVP 8',
  '',
].join('\r\n');

/** Headers the proxy knows nothing of, written as nobody would expect: they must pass untouched. */
const STRANGE = [
  'X-Strange:   kept \t as it is  ',
  'x-folded: first',
  '\t second;  "third, \\" fourth"',
  'Subject : quoted',
];

const REASONS: Record<number, string> = {
  100: 'Trying',
  180: 'Ringing',
  183: 'Session Progress',
  200: 'OK',
  302: 'Moved Temporarily',
  404: 'Not Found',
  408: 'Request Timeout',
  481: 'Call/Transaction Does Not Exist',
  486: 'Busy Here',
  487: 'Request Terminated',
  503: 'Service Unavailable',
  600: 'Busy Everywhere',
  603: 'Decline',
};

/** Where another agent is, by name. */
export type AddressBook = (name: string) => string | null;

export class Agent {
  readonly name: string;
  /** `192.0.2.10:5060`, IPv6 in brackets. */
  readonly address: string;
  readonly #calls = new Map<string, AgentCall>();
  readonly #callIds: (call: string) => string;
  readonly #book: AddressBook;
  #branches = 0;

  constructor(name: string, address: string, callIds: (call: string) => string, book: AddressBook) {
    this.name = name;
    this.address = address;
    this.#callIds = callIds;
    this.#book = book;
  }

  get contact(): string {
    return `sip:${this.name}@${this.address}`;
  }

  get isV6(): boolean {
    return this.address.startsWith('[');
  }

  sentIn(call: string): readonly WireMessage[] {
    return this.#call(call, true).sent;
  }

  receivedIn(call: string): readonly WireMessage[] {
    return this.#call(call, true).received;
  }

  /** A message as text, by a flow's words; noted as sent. */
  write(call: string, what: string, changes: readonly string[], raw: readonly string[]): string {
    const state = this.#call(call, what !== 'raw' && !/^\d/.test(what));
    const text = this.#text(state, what, changes, raw);
    state.sent.push(new WireMessage(text));
    return text;
  }

  /** Keeps what a UA must of a message that reached it. */
  hear(call: string, message: WireMessage): void {
    const state = this.#call(call, false);
    state.received.push(message);
    if (message.status === 0) this.#hearRequest(state, message);
    else this.#hearResponse(state, message);
  }

  #text(state: AgentCall, what: string, changes: readonly string[], raw: readonly string[]): string {
    const dialog = state.dialogs.at(-1);
    const edit = new Changes(
      changes.map((word) =>
        word
          .replaceAll('{call-id}', state.callId)
          .replaceAll('{rr}', uriOf(dialog?.routeSet[0] ?? ''))
          .replaceAll('{target}', dialog?.remoteTarget ?? '')
          .replaceAll('{branch}', word.includes('{branch}') ? this.#branch() : ''),
      ),
    );
    if (edit.has('again')) return this.#again(state, what, edit).raw;
    if (what === 'raw') return this.#raw(state, raw);
    if (what === 'pass') return this.#pass(state, edit);
    const lines = /^\d{3}$/.test(what)
      ? this.#response(state, Number(what), edit)
      : what === 'ACK'
        ? this.#ack(state, edit)
        : what === 'CANCEL'
          ? this.#cancel(state, edit)
          : this.#request(state, what, edit);
    return edit.finish(lines);
  }

  #again(state: AgentCall, what: string, edit: Changes): WireMessage {
    const to = edit.value('to');
    const found = state.sent.findLast((one) =>
      /^\d/.test(what)
        ? String(one.status) === what && (to === null || one.method === to)
        : one.label === what,
    );
    if (found === undefined) throw new Error(`${this.name} never sent ${what}`);
    return found;
  }

  #raw(state: AgentCall, raw: readonly string[]): string {
    const via = state.received.findLast((one) => one.status === 0);
    const filled = raw.map((line) =>
      line
        .replaceAll('{call-id}', state.callId)
        .replaceAll('{branch}', this.#branch())
        .replaceAll('{address}', this.address)
        .replaceAll('{vias}', via?.all('via').join(', ') ?? ''),
    );
    return `${filled.join('\r\n')}\r\n`;
  }

  /** As a proxy: the last message that came goes on, with our Via or without it. */
  #pass(state: AgentCall, edit: Changes): string {
    const message = state.received.at(-1);
    if (message === undefined) throw new Error(`${this.name} has nothing to pass on`);
    if (message.status > 0) return message.withoutTopVia();
    const uri = edit.value('uri') ?? message.uri;
    const hops = Number(message.header('max-forwards')) - 1;
    const [, ...lines] = message.raw.replace(/^Max-Forwards:.*$/im, `Max-Forwards: ${hops}`).split('\r\n');
    return [`${message.method} ${uri} SIP/2.0`, this.#via(edit), ...lines].join('\r\n');
  }

  #via(edit: Changes): string {
    const branch = edit.value('branch') ?? this.#branch();
    return `Via: SIP/2.0/UDP ${this.address};rport${branch === 'none' ? '' : `;branch=${branch}`}`;
  }

  #branch(): string {
    this.#branches += 1;
    return `z9hG4bK-${this.name}-${this.#branches}`;
  }

  /** A request, in a dialog when there is one.  [8.1.1, 12.2.1.1] */
  #request(state: AgentCall, method: string, edit: Changes): string[] {
    const dialog = edit.has('initial') ? undefined : this.#dialogFor(state, edit);
    const peer = edit.value('for') ?? 'callee';
    const target = dialog?.remoteTarget ?? `sip:${peer}@${this.#book(peer) ?? '192.0.2.99'}`;
    if (state.localUri === '') {
      state.localUri = `sip:${this.name}@example.com`;
      state.remoteUri = `sip:${peer}@example.com`;
    }
    const cseq = edit.value('cseq');
    if (cseq === null) state.cseq += 1;
    else state.cseq = Number(cseq);
    const route = routed(dialog?.routeSet ?? [], target);
    const body = edit.body ?? (method === 'INVITE' ? SDP : '');
    return [
      `${method} ${edit.value('uri') ?? route.uri} SIP/2.0`,
      this.#via(edit),
      'Max-Forwards: 70',
      ...route.routes.map((one) => `Route: ${one}`),
      ...this.#parties(state, dialog?.remoteTag ?? '', dialog?.localTag),
      `CSeq: ${state.cseq} ${method}`,
      ...(method === 'BYE' ? [] : [`Contact: <${this.contact}>`]),
      ...STRANGE,
      ...(body === '' ? [] : ['Content-Type: application/sdp']),
      `Content-Length: ${Buffer.byteLength(body, 'latin1')}`,
      '',
      body,
    ];
  }

  #parties(state: AgentCall, remoteTag: string, localTag = state.localTag): string[] {
    return [
      `From: "${this.name}, \\"quoted\\"" <${state.localUri}>;tag=${localTag}`,
      `To: <${state.remoteUri}>${remoteTag === '' ? '' : `;tag=${remoteTag}`}`,
      `Call-ID: ${state.callId}`,
    ];
  }

  /** For a 2xx a request of its own, end to end; for others part of the INVITE's transaction.  [13.2.2.4, 17.1.1.3] */
  #ack(state: AgentCall, edit: Changes): string[] {
    const final = this.#finalFor(state, edit);
    const invite = state.sent.findLast(
      (one) => one.method === 'INVITE' && one.status === 0 && one.cseq === final.cseq,
    )!;
    if (final.status >= 300) return this.#sameTransaction(invite, 'ACK', final.header('to'));
    const dialog = this.#dialogFor(state, edit);
    if (dialog === undefined) throw new Error(`${this.name} has no dialog to acknowledge`);
    const route = routed(dialog.routeSet, dialog.remoteTarget);
    return [
      `ACK ${edit.value('uri') ?? route.uri} SIP/2.0`,
      this.#via(edit),
      'Max-Forwards: 70',
      ...route.routes.map((one) => `Route: ${one}`),
      ...this.#parties(state, dialog.remoteTag, dialog.localTag),
      `CSeq: ${invite.cseq} ACK`,
      'X-Strange:  in an ACK\t',
      'Content-Length: 0',
      '',
      '',
    ];
  }

  #finalFor(state: AgentCall, edit: Changes): WireMessage {
    const tag = this.#tagFor(edit);
    const final = state.received.findLast(
      (one) => one.status >= 200 && one.method === 'INVITE' && (tag === null || one.tag('to') === tag),
    );
    if (final === undefined) throw new Error(`${this.name} has no final answer to acknowledge`);
    return final;
  }

  /** [9.1] */
  #cancel(state: AgentCall, _edit: Changes): string[] {
    const invite = state.sent.findLast((one) => one.method === 'INVITE' && one.status === 0);
    if (invite === undefined) throw new Error(`${this.name} has nothing to cancel`);
    return this.#sameTransaction(invite, 'CANCEL', invite.header('to'));
  }

  #sameTransaction(invite: WireMessage, method: string, to: string): string[] {
    return [
      `${method} ${invite.uri} SIP/2.0`,
      `Via: ${invite.header('via')}`,
      'Max-Forwards: 70',
      ...invite.all('route').map((one) => `Route: ${one}`),
      `From: ${invite.header('from')}`,
      `To: ${to}`,
      `Call-ID: ${invite.callId}`,
      `CSeq: ${invite.cseq} ${method}`,
      'Content-Length: 0',
      '',
      '',
    ];
  }

  /** To the last request that came, or the last of the method named.  [8.2.6] */
  #response(state: AgentCall, status: number, edit: Changes): string[] {
    const method = edit.value('to');
    const request = state.received.findLast(
      (one) => one.status === 0 && (method === null ? one.method !== 'ACK' : one.method === method),
    );
    if (request === undefined) throw new Error(`${this.name} has no request to answer`);
    const tag = edit.value('tag') ?? state.localTag;
    const asksTag = request.tag('to') === '' && status > 100;
    const makesDialog = request.method === 'INVITE' && status > 100 && status < 300;
    if (makesDialog) {
      const dialog = state.dialog(request.tag('to') || tag, request.tag('from'));
      if (request.tag('to') === '') dialog.routeSet = request.all('record-route');
      dialog.remoteTarget = uriOf(request.header('contact'));
    }
    const body = edit.body ?? (request.method === 'INVITE' && (status === 200 || status === 183) ? SDP : '');
    return [
      `SIP/2.0 ${status} ${REASONS[status] ?? 'Some Reason'}`,
      ...request
        .all('via')
        .slice(0, Number(edit.value('vias') ?? Number.POSITIVE_INFINITY))
        .map((via) => `Via: ${via}`),
      ...(makesDialog ? request.all('record-route').map((one) => `Record-Route: ${one}`) : []),
      `From: ${request.header('from')}`,
      `To: ${request.header('to')}${asksTag ? `;tag=${tag}` : ''}`,
      `Call-ID: ${request.callId}`,
      `CSeq: ${request.header('cseq')}`,
      ...(makesDialog || (status >= 300 && status < 400) ? [`Contact: <${this.contact}>`] : []),
      ...STRANGE,
      ...(body === '' ? [] : ['Content-Type: application/sdp']),
      `Content-Length: ${Buffer.byteLength(body, 'latin1')}`,
      '',
      body,
    ];
  }

  #hearRequest(state: AgentCall, request: WireMessage): void {
    if (state.localUri === '') {
      state.localUri = uriOf(request.header('to'));
      state.remoteUri = uriOf(request.header('from'));
    }
    if (request.tag('to') !== '' && request.method === 'INVITE') {
      const dialog = state.dialog(request.tag('to'), request.tag('from'));
      dialog.remoteTarget = uriOf(request.header('contact')) || dialog.remoteTarget;
    }
  }

  /** [12.1.2, 13.2.2.4]: an early dialog takes its Route set over; a 2xx computes it again. */
  #hearResponse(state: AgentCall, response: WireMessage): void {
    if (response.method !== 'INVITE' || response.status <= 100 || response.status >= 300) return;
    const invite = state.sent.find((one) => one.label === 'INVITE' && one.cseq === response.cseq);
    if (response.tag('to') === '') return;
    const dialog = state.dialog(response.tag('from'), response.tag('to'));
    const isFirst = invite !== undefined && invite.tag('to') === '';
    if (isFirst) dialog.routeSet = response.all('record-route').reverse();
    dialog.remoteTarget = uriOf(response.header('contact')) || dialog.remoteTarget;
    // The dialog heard of last is the one spoken in.
    state.dialogs.splice(state.dialogs.indexOf(dialog), 1);
    state.dialogs.push(dialog);
  }

  #dialogFor(state: AgentCall, edit: Changes): Dialog | undefined {
    const tag = this.#tagFor(edit);
    if (tag === null) return state.dialogs.at(-1);
    return state.dialogs.find((one) => one.remoteTag === tag);
  }

  /** `for callee2`: its tag; `for tag:x`: x; null: whoever spoke last. */
  #tagFor(edit: Changes): string | null {
    const peer = edit.value('for');
    if (peer === null) return null;
    return peer.startsWith('tag:') ? peer.slice(4) : `${peer}-tag`;
  }

  #call(call: string, isCaller: boolean): AgentCall {
    let state = this.#calls.get(call);
    if (state === undefined) {
      state = new AgentCall(this.#callIds(call), isCaller, `${this.name}-tag`);
      this.#calls.set(call, state);
    }
    return state;
  }
}

/** R-URI and Route headers of a Route set; a strict router goes into the R-URI.  [12.2.1.1] */
function routed(routeSet: readonly string[], target: string): { uri: string; routes: string[] } {
  const [first, ...rest] = routeSet;
  if (first === undefined || parameter(uriOf(first), 'lr') !== null)
    return { uri: target, routes: [...routeSet] };
  return { uri: uriOf(first), routes: [...rest, `<${target}>`] };
}

/** A flow's words about one message: `again`, `for callee2`, `without Contact`, `Route: <…>`. */
class Changes {
  readonly #words: readonly string[];

  constructor(words: readonly string[]) {
    this.#words = words;
    for (const word of words) {
      if (
        !/^(again|initial|(to|for|uri|branch|cseq|tag|body|without|from|vias) \S+|[A-Za-z-]+: .+)$/.test(word)
      ) {
        throw new Error(`"${word}" is nothing an agent can do`);
      }
    }
  }

  has(word: string): boolean {
    return this.#words.includes(word);
  }

  /** The word after `name`. */
  value(name: string): string | null {
    const found = this.#words.find((word) => word.startsWith(`${name} `));
    return found === undefined ? null : found.slice(name.length + 1);
  }

  /** A body of so many bytes. */
  get body(): string | null {
    const bytes = this.value('body');
    return bytes === null ? null : 'b'.repeat(Number(bytes));
  }

  /** Replaces and adds headers. */
  finish(lines: readonly string[]): string {
    const end = lines.indexOf('');
    const head = lines.slice(0, end);
    const replaced = new Set<string>();
    for (const word of this.#words) {
      const without = /^without (.+)$/.exec(word)?.[1];
      const header = /^([A-Za-z-]+): /.exec(word)?.[1];
      const name = (without ?? header)?.toLowerCase();
      if (name === undefined) continue;
      const at = head.findIndex((line) => line.toLowerCase().startsWith(`${name}:`));
      if (!replaced.has(name)) {
        for (let n = head.length - 1; n > 0; n--) {
          if (head[n]!.toLowerCase().startsWith(`${name}:`)) head.splice(n, 1);
        }
      }
      replaced.add(name);
      if (header === undefined) continue;
      const last = head.findLastIndex((line) => line.toLowerCase().startsWith(`${name}:`));
      head.splice(last >= 0 ? last + 1 : at >= 0 ? at : head.length, 0, word);
    }
    return [...head, ...lines.slice(end)].join('\r\n');
  }
}
