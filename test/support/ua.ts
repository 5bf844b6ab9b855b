/**
 * A SIP user agent that does what a test tells it, one message at a time.
 *
 * It has no transactions and no timers: what it receives waits in an inbox until the test asks for it, and nothing is
 * answered by itself.  Used by the system, torture and parity tests over real loopback sockets.
 */
import dgram from 'node:dgram';

/** A message as text, with the few questions that tests ask. */
export class SipText {
  readonly raw: string;
  readonly startLine: string;
  readonly body: string;
  /** Header fields in order, folded lines joined, names in lower case and full form. */
  readonly headers: readonly { readonly name: string; readonly value: string }[];

  constructor(raw: string) {
    this.raw = raw;
    const end = raw.indexOf('\r\n\r\n');
    const head = (end < 0 ? raw : raw.slice(0, end)).replace(/\r\n[ \t]+/g, ' ');
    const [first = '', ...lines] = head.split('\r\n');
    this.startLine = first;
    this.body = end < 0 ? '' : raw.slice(end + 4);
    this.headers = lines.map((line) => {
      const colon = line.indexOf(':');
      const name = line.slice(0, colon).trim().toLowerCase();
      return { name: LONG_FORM.get(name) ?? name, value: line.slice(colon + 1).trim() };
    });
  }

  /** The status code, or 0 for a request. */
  get status(): number {
    return Number(/^SIP\/2\.0 (\d{3})/.exec(this.startLine)?.[1] ?? 0);
  }

  /** The method of a request, or that of the CSeq of a response. */
  get method(): string {
    if (this.status === 0) return this.startLine.slice(0, this.startLine.indexOf(' '));
    return this.header('cseq').split(/\s+/)[1] ?? '';
  }

  /** The Request-URI, or an empty text. */
  get uri(): string {
    return this.status === 0 ? (this.startLine.split(' ')[1] ?? '') : '';
  }

  /** All values of a header, lists taken apart at commas outside quotes and angle brackets. */
  all(name: string): string[] {
    const values = this.headers.filter((header) => header.name === name).map((header) => header.value);
    return LIST_HEADERS.has(name) ? values.flatMap(splitList) : values;
  }

  /** The first value of a header, or an empty text. */
  header(name: string): string {
    return this.all(name)[0] ?? '';
  }

  /** The tag of From or To, or an empty text. */
  tag(name: 'from' | 'to'): string {
    return /;\s*tag\s*=\s*([^;\s>]+)/i.exec(this.header(name).replace(/<[^>]*>/, ''))?.[1] ?? '';
  }
}

const LONG_FORM = new Map([
  ['v', 'via'],
  ['f', 'from'],
  ['t', 'to'],
  ['i', 'call-id'],
  ['m', 'contact'],
  ['l', 'content-length'],
  ['c', 'content-type'],
  ['k', 'supported'],
]);
const LIST_HEADERS = new Set(['via', 'route', 'record-route', 'contact', 'unsupported']);

function splitList(value: string): string[] {
  const parts: string[] = [];
  let start = 0;
  let quoted = false;
  let depth = 0;
  for (let i = 0; i < value.length; i++) {
    const c = value[i];
    if (quoted) {
      if (c === '\\') i++;
      else if (c === '"') quoted = false;
    } else if (c === '"') quoted = true;
    else if (c === '<') depth++;
    else if (c === '>') depth--;
    else if (c === ',' && depth === 0) {
      parts.push(value.slice(start, i).trim());
      start = i + 1;
    }
  }
  parts.push(value.slice(start).trim());
  return parts;
}

/** What a test says about a request; the rest has defaults. */
export interface RequestParts {
  readonly method: string;
  readonly uri: string;
  readonly callId: string;
  readonly cseq: number;
  readonly from: string;
  readonly to: string;
  readonly branch: string;
  readonly routes?: readonly string[];
  readonly extra?: readonly string[];
  readonly body?: string;
}

/** A message with the address that it came from. */
export interface Received {
  readonly message: SipText;
  readonly address: string;
  readonly port: number;
}

/** How long a message may take in a test, unless the test says otherwise. */
const WAIT_MS = 3_000;
/** A test that leaves more than this unread has lost its way. */
const INBOX_MESSAGES_MAX = 10_000;

/** One UDP socket with an inbox. */
export class UserAgent {
  readonly host: string;
  readonly port: number;
  readonly inbox: Received[] = [];
  /** Everything that was ever received, in order. */
  readonly log: Received[] = [];
  private readonly socket: dgram.Socket;
  private wake: (() => void) | null = null;

  private constructor(socket: dgram.Socket) {
    this.socket = socket;
    this.host = socket.address().address;
    this.port = socket.address().port;
    socket.on('message', (bytes, from) => {
      if (this.inbox.length >= INBOX_MESSAGES_MAX) throw new Error('user agent: nobody reads the inbox');
      const received = {
        message: new SipText(bytes.toString('latin1')),
        address: from.address,
        port: from.port,
      };
      this.inbox.push(received);
      this.log.push(received);
      this.wake?.();
    });
  }

  /** Binds `host`:`port`; port 0 takes a free one. */
  static async open(host: string, port: number): Promise<UserAgent> {
    const socket = dgram.createSocket({
      type: host.includes(':') ? 'udp6' : 'udp4',
      recvBufferSize: 4 << 20,
    });
    await new Promise<void>((resolve, reject) => {
      socket.once('error', reject);
      socket.bind(port, host, () => {
        socket.off('error', reject);
        resolve();
      });
    });
    return new UserAgent(socket);
  }

  get hostPort(): string {
    return `${this.host}:${this.port}`;
  }

  /** Sends text or bytes as they are. */
  async send(what: string | Buffer, port: number, host = '127.0.0.1'): Promise<void> {
    const bytes = typeof what === 'string' ? Buffer.from(what, 'latin1') : what;
    await new Promise<void>((resolve, reject) =>
      this.socket.send(bytes, port, host, (error) => (error ? reject(error) : resolve())),
    );
  }

  /** Writes a request with our Via and Contact. */
  request(parts: RequestParts): string {
    const body = parts.body ?? '';
    return [
      `${parts.method} ${parts.uri} SIP/2.0`,
      `Via: SIP/2.0/UDP ${this.hostPort};rport;branch=${parts.branch}`,
      'Max-Forwards: 70',
      ...(parts.routes ?? []).map((route) => `Route: ${route}`),
      `From: ${parts.from}`,
      `To: ${parts.to}`,
      `Call-ID: ${parts.callId}`,
      `CSeq: ${parts.cseq} ${parts.method}`,
      `Contact: <sip:ua@${this.hostPort}>`,
      ...(parts.extra ?? []),
      ...(body ? ['Content-Type: application/sdp'] : []),
      `Content-Length: ${Buffer.byteLength(body, 'latin1')}`,
      '',
      body,
    ].join('\r\n');
  }

  /** Answers a request to where it came from. */
  async reply(to: Received, status: number, reason: string, toTag = '', body = ''): Promise<void> {
    const { message } = to;
    const target = message.header('to');
    const lines = [
      `SIP/2.0 ${status} ${reason}`,
      ...message.all('via').map((via) => `Via: ${via}`),
      ...(status > 100 && status < 300 ? message.all('record-route').map((rr) => `Record-Route: ${rr}`) : []),
      `From: ${message.header('from')}`,
      `To: ${toTag && !message.tag('to') ? `${target};tag=${toTag}` : target}`,
      `Call-ID: ${message.header('call-id')}`,
      `CSeq: ${message.header('cseq')}`,
      ...(message.method === 'INVITE' && status < 300 ? [`Contact: <sip:ua@${this.hostPort}>`] : []),
      ...(body ? ['Content-Type: application/sdp'] : []),
      `Content-Length: ${Buffer.byteLength(body, 'latin1')}`,
      '',
      body,
    ];
    await this.send(lines.join('\r\n'), to.port, to.address);
  }

  /** Takes the next message that `wanted` accepts out of the inbox; others stay where they are. */
  async next(what: string, wanted: (message: SipText) => boolean, waitMs = WAIT_MS): Promise<Received> {
    const deadline = Date.now() + waitMs;
    for (;;) {
      const at = this.inbox.findIndex((received) => wanted(received.message));
      if (at >= 0) return this.inbox.splice(at, 1)[0]!;
      const left = deadline - Date.now();
      if (left <= 0) {
        const seen = this.inbox.map((received) => received.message.startLine).join(' | ') || 'nothing';
        throw new Error(`${this.hostPort} waited ${waitMs} ms for ${what}, has ${seen}`);
      }
      await this.pause(left);
    }
  }

  /** The next request of this method. */
  nextRequest(method: string, callId: string, waitMs = WAIT_MS): Promise<Received> {
    const wanted = (m: SipText) => m.status === 0 && m.method === method && m.header('call-id') === callId;
    return this.next(`${method} ${callId}`, wanted, waitMs);
  }

  /** The next response with this status to a request of this method. */
  nextResponse(method: string, status: number, callId: string, waitMs = WAIT_MS): Promise<Received> {
    const wanted = (m: SipText) =>
      m.status === status && m.method === method && m.header('call-id') === callId;
    return this.next(`${status} to ${method} ${callId}`, wanted, waitMs);
  }

  /** Calls `answer` for everything that comes from now on, instead of keeping it. */
  onMessage(answer: (received: Received) => void): void {
    this.socket.removeAllListeners('message');
    this.socket.on('message', (bytes, from) => {
      answer({ message: new SipText(bytes.toString('latin1')), address: from.address, port: from.port });
    });
  }

  async close(): Promise<void> {
    await new Promise<void>((resolve) => this.socket.close(() => resolve()));
  }

  private async pause(maxMs: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, maxMs);
      this.wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.wake = null;
  }
}
