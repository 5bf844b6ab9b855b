/**
 * A caller and its callees for the soak: each call does what its user part says, and must end as that says.
 *
 * Small on purpose: three sockets, text cut at line ends, retransmissions of what is not answered.
 */
import dgram from 'node:dgram';

const T1_MS = 500;
const T2_MS = 4_000;
/** RFC 3261's 64 * T1, and some: a transaction that is not over by then has failed. */
const GIVE_UP_MS = 36_000;
const OPEN_CALLS_MAX = 20_000;
const FAILURES_KEPT_MAX = 20;

export const FLOWS = {
  /** 200, ACK, some talk, BYE from either side. */
  answer: { weight: 40, final: 200 },
  /** The same with re-INVITEs meanwhile. */
  refresh: { weight: 15, final: 200 },
  reject: { weight: 15, final: 486 },
  /** Rings until the caller gives up. */
  cancel: { weight: 12, final: 487 },
  /** Two callees ring, one answers. */
  fork: { weight: 12, final: 200 },
  /** Nobody answers at all: timer B of the proxy. */
  silent: { weight: 2, final: 408 },
  /** Answered, and nobody hangs up: its lifetime ends it. */
  expire: { weight: 4, final: 200 },
};
const TALK_MS_MAX = 4_000;
const RING_MS_MAX = 800;
const REFRESHES_MAX = 3;
/** What `expire` waits before it forgets a call: its lifetime and time for a BYE that is sent again. */
const EXPIRED_MS = 12_000;

/** Starts anew with each seed, so that a run can be repeated. */
export function seeded(seed) {
  let state = seed >>> 0 || 1;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}

function parse(text) {
  const end = text.indexOf('\r\n\r\n');
  const [first = '', ...lines] = text.slice(0, end < 0 ? undefined : end).split('\r\n');
  const all = (name) =>
    lines
      .filter((line) => line.slice(0, name.length + 1).toLowerCase() === `${name}:`)
      .map((line) => line.slice(name.length + 1).trim());
  const [number = '', method = ''] = (all('cseq')[0] ?? '').split(' ');
  const code = first.startsWith('SIP/2.0 ') ? Number(first.slice(8, 11)) : 0;
  return {
    code,
    method: code > 0 ? method : first.slice(0, first.indexOf(' ')),
    uri: first.split(' ')[1] ?? '',
    cseq: Number(number),
    callId: all('call-id')[0] ?? '',
    vias: all('via'),
    from: all('from')[0] ?? '',
    to: all('to')[0] ?? '',
    routes: all('record-route').flatMap((value) => value.split(/,\s*/)),
    contact: /<([^>]+)>/.exec(all('contact')[0] ?? '')?.[1] ?? '',
  };
}

const join = (lines) => `${lines.join('\r\n')}\r\nContent-Length: 0\r\n\r\n`;

/** One socket and what it waits for. */
class Agent {
  constructor(soak, port) {
    this.soak = soak;
    this.port = port;
    this.address = `127.0.0.1:${port}`;
    /** Requests without a final answer, and 2xx without an ACK. */
    this.pending = new Map();
    this.socket = dgram.createSocket({ type: 'udp4', recvBufferSize: 4 << 20 });
    this.socket.on('message', (bytes) => {
      const message = parse(bytes.toString('latin1'));
      try {
        this.receive(message);
      } catch (error) {
        soak.fail(`${this.address}: ${error.stack}`);
      }
    });
  }

  open() {
    return new Promise((resolve) => this.socket.bind(this.port, '127.0.0.1', resolve));
  }

  put(text) {
    this.socket.send(text, this.soak.proxyPort, '127.0.0.1');
  }

  /** Sends until `done(key)`. */
  repeat(key, text, what) {
    const begun = Date.now();
    let interval = T1_MS;
    const again = () => {
      if (Date.now() - begun > GIVE_UP_MS) {
        this.pending.delete(key);
        this.soak.fail(`${what} had no answer`);
        return;
      }
      this.soak.counts.sentAgain++;
      this.put(text);
      interval = Math.min(interval * 2, T2_MS);
      this.pending.set(key, setTimeout(again, interval));
    };
    this.pending.set(key, setTimeout(again, interval));
    this.put(text);
  }

  done(key) {
    const timer = this.pending.get(key);
    if (timer === undefined) return false;
    clearTimeout(timer);
    this.pending.delete(key);
    return true;
  }

  request(method, call, leg, cseq) {
    const lines = [
      `${method} ${leg.target} SIP/2.0`,
      `Via: SIP/2.0/UDP ${this.address};rport;branch=z9hG4bK${this.port}-${call.id}-${cseq}-${method === 'CANCEL' ? 'INVITE' : method}`,
      ...(method === 'CANCEL' ? [] : leg.routes.map((route) => `Route: ${route}`)),
      'Max-Forwards: 70',
      `From: ${leg.from}`,
      `To: ${leg.to}`,
      `Call-ID: ${call.id}`,
      `CSeq: ${cseq} ${method}`,
    ];
    if (method === 'INVITE') lines.push(`Contact: <sip:${call.flow}@${this.address}>`);
    return join(lines);
  }

  reply(message, code, reason, tag, extra = []) {
    this.put(
      join([
        `SIP/2.0 ${code} ${reason}`,
        ...message.vias.map((via) => `Via: ${via}`),
        ...extra,
        `From: ${message.from}`,
        `To: ${message.to}${tag && !message.to.includes(';tag=') ? `;tag=${tag}` : ''}`,
        `Call-ID: ${message.callId}`,
        `CSeq: ${message.cseq} ${message.method}`,
      ]),
    );
  }

  close() {
    for (const timer of this.pending.values()) clearTimeout(timer);
    this.socket.close();
  }
}

class Caller extends Agent {
  calls = new Map();

  start(flow) {
    const { soak } = this;
    const id = `soak-${soak.seed}-${++soak.counts.started}@127.0.0.1`;
    const leg = {
      target: `sip:${flow}@${soak.callees[0].address}`,
      routes: [],
      from: `<sip:u${soak.random(100)}@127.0.0.1>;tag=c${soak.counts.started}`,
      to: `<sip:${flow}@127.0.0.1>`,
    };
    const call = {
      id,
      flow,
      leg,
      cseq: 1,
      answeredCSeq: 0,
      refreshes: flow === 'refresh' ? 1 + soak.random(REFRESHES_MAX) : 0,
    };
    this.calls.set(id, call);
    this.#invite(call);
    if (flow === 'cancel') setTimeout(() => this.#cancel(call), 100 + soak.random(RING_MS_MAX));
  }

  #invite(call) {
    this.repeat(
      `${call.id} ${call.cseq} INVITE`,
      this.request('INVITE', call, call.leg, call.cseq),
      'INVITE',
    );
  }

  #cancel(call) {
    if (!this.calls.has(call.id) || call.answeredCSeq > 0) return;
    this.repeat(`${call.id} 1 CANCEL`, this.request('CANCEL', call, call.leg, 1), 'CANCEL');
  }

  #bye(call) {
    if (!this.calls.has(call.id)) return;
    call.cseq++;
    this.repeat(`${call.id} ${call.cseq} BYE`, this.request('BYE', call, call.leg, call.cseq), 'BYE');
  }

  #over(call) {
    if (this.calls.delete(call.id)) this.soak.counts.ended[call.flow]++;
  }

  receive(message) {
    const { soak } = this;
    const call = this.calls.get(message.callId);
    if (message.code === 0) {
      // A BYE: from the callee, or from the proxy when the lifetime is over.
      this.reply(message, 200, 'OK');
      if (message.method === 'BYE' && call) this.#over(call);
      return;
    }
    if (!call) return;
    const key = `${message.callId} ${message.cseq} ${message.method}`;
    if (message.code < 200) {
      // It has arrived: the proxy sees to the rest.
      if (message.method === 'INVITE') this.done(key);
      return;
    }
    const wasPending = this.done(key);
    if (message.method === 'INVITE') {
      if (message.code < 300) {
        const leg = { ...call.leg, to: message.to, target: message.contact };
        if (message.routes.length > 0) leg.routes = [...message.routes].reverse();
        call.leg = leg;
        this.put(this.request('ACK', call, leg, message.cseq));
      } else {
        const ack = { ...call.leg, to: message.to };
        this.put(this.request('ACK', call, ack, message.cseq).replace(/-ACK\r\n/, '-INVITE\r\n'));
      }
      // A copy of an answer gets its ACK and nothing else.
      if (message.cseq <= call.answeredCSeq) return;
      call.answeredCSeq = message.cseq;
      this.#answered(call, message);
    } else if (message.method === 'BYE' && wasPending) {
      if (message.code >= 300) soak.fail(`${call.flow}: BYE was answered with ${message.code}`);
      this.#over(call);
    }
  }

  #answered(call, message) {
    const { soak } = this;
    const wanted = message.cseq === 1 ? FLOWS[call.flow].final : 200;
    if (message.code !== wanted) {
      soak.fail(`${call.flow}: ${message.code} instead of ${wanted} to INVITE ${message.cseq}`);
    }
    if (message.code >= 300) {
      this.#over(call);
      return;
    }
    if (call.flow === 'expire') {
      setTimeout(() => {
        if (soak.sendsByes && this.calls.has(call.id)) soak.fail('expire: no BYE came to the caller');
        this.#over(call);
      }, EXPIRED_MS);
      return;
    }
    const talkMs = 50 + soak.random(TALK_MS_MAX);
    if (call.refreshes > 0) {
      call.refreshes--;
      setTimeout(() => {
        call.cseq++;
        this.#invite(call);
      }, talkMs);
      return;
    }
    if (soak.random(2) === 0) setTimeout(() => this.#bye(call), talkMs);
    else setTimeout(() => soak.callees.some((callee) => callee.hangUp(call.id)), talkMs);
  }
}

class Callee extends Agent {
  /** Answered calls, and INVITEs that ring. */
  calls = new Map();
  ringing = new Map();

  receive(message) {
    if (message.code > 0) {
      this.done(`${message.callId} ${message.cseq} ${message.method}`);
      if (message.method === 'BYE' && message.code >= 300)
        this.soak.fail(`the callee's BYE was answered with ${message.code}`);
      return;
    }
    const flow = /^sip:([a-z]+)@/.exec(message.uri)?.[1] ?? '';
    const call = this.calls.get(message.callId);
    if (message.method === 'INVITE') this.#invited(message, flow, call);
    else if (message.method === 'ACK') this.done(`${message.callId} ${message.cseq} ACK`);
    else if (message.method === 'CANCEL') {
      this.reply(message, 200, 'OK');
      const ring = this.ringing.get(message.callId);
      if (ring) {
        clearTimeout(ring.timer);
        this.ringing.delete(message.callId);
        this.reply(ring.message, 487, 'Request Terminated', ring.tag);
      }
    } else {
      this.reply(message, 200, 'OK');
      if (message.method === 'BYE') this.calls.delete(message.callId);
    }
  }

  #invited(message, flow, call) {
    const { soak } = this;
    const tag = `s${this.port}`;
    if (call) {
      // A re-INVITE, or a copy of one.
      if (message.cseq > call.inviteCSeq) {
        call.inviteCSeq = message.cseq;
        this.#accept(message, flow, tag);
      }
      return;
    }
    if (flow === 'silent' || this.ringing.has(message.callId)) return;
    if (flow === 'reject') {
      this.reply(message, 486, 'Busy Here', tag);
      return;
    }
    const accept = () => {
      this.ringing.delete(message.callId);
      const leg = {
        target: message.contact,
        routes: message.routes,
        from: message.to.includes(';tag=') ? message.to : `${message.to};tag=${tag}`,
        to: message.from,
      };
      this.calls.set(message.callId, { id: message.callId, flow, leg, cseq: 0, inviteCSeq: message.cseq });
      if (flow === 'expire') {
        setTimeout(() => {
          if (this.calls.delete(message.callId) && soak.sendsByes)
            soak.fail('expire: no BYE came to the callee');
        }, EXPIRED_MS);
      }
      this.#accept(message, flow, tag);
    };
    if (flow === 'answer' || flow === 'refresh' || flow === 'expire') {
      accept();
      return;
    }
    // Rings: until a CANCEL comes, or this one of two callees answers.
    const ring = { message, tag, timer: null };
    this.ringing.set(message.callId, ring);
    this.reply(message, 180, 'Ringing', tag);
    const answers =
      flow === 'fork' &&
      this === soak.callees[message.callId.charCodeAt(message.callId.indexOf('@') - 1) & 1];
    if (answers) ring.timer = setTimeout(accept, 50 + soak.random(RING_MS_MAX));
  }

  #accept(message, flow, tag) {
    const text = join([
      'SIP/2.0 200 OK',
      ...message.vias.map((via) => `Via: ${via}`),
      ...message.routes.map((route) => `Record-Route: ${route}`),
      `From: ${message.from}`,
      `To: ${message.to}${message.to.includes(';tag=') ? '' : `;tag=${tag}`}`,
      `Call-ID: ${message.callId}`,
      `CSeq: ${message.cseq} INVITE`,
      `Contact: <sip:${flow}@${this.address}>`,
    ]);
    this.repeat(`${message.callId} ${message.cseq} ACK`, text, '200');
  }

  /** Ends a call from this side; false: it is not here. */
  hangUp(callId) {
    const call = this.calls.get(callId);
    if (!call) return false;
    this.calls.delete(callId);
    call.cseq++;
    this.repeat(
      `${callId} ${call.cseq} BYE`,
      this.request('BYE', call, call.leg, call.cseq),
      "the callee's BYE",
    );
    return true;
  }
}

export class Soak {
  counts = {
    started: 0,
    sentAgain: 0,
    skipped: 0,
    failed: 0,
    ended: Object.fromEntries(Object.keys(FLOWS).map((name) => [name, 0])),
  };
  failures = [];

  constructor({ proxyPort, callerPort, calleePorts, seed, sendsByes }) {
    this.proxyPort = proxyPort;
    /** The proxy ends a call whose lifetime is over by BYEs of its own. */
    this.sendsByes = sendsByes;
    this.seed = seed;
    this.random = seeded(seed);
    this.caller = new Caller(this, callerPort);
    this.callees = calleePorts.map((port) => new Callee(this, port));
    this.dice = Object.entries(FLOWS).flatMap(([name, { weight }]) => Array(weight).fill(name));
  }

  async open() {
    await Promise.all([this.caller, ...this.callees].map((agent) => agent.open()));
  }

  get openCalls() {
    return this.caller.calls.size;
  }

  /** Starts one call; which one, the seed decides. */
  call() {
    if (this.openCalls >= OPEN_CALLS_MAX) this.counts.skipped++;
    else this.caller.start(this.dice[this.random(this.dice.length)]);
  }

  fail(what) {
    this.counts.failed++;
    if (this.failures.length < FAILURES_KEPT_MAX) this.failures.push(what);
  }

  close() {
    for (const agent of [this.caller, ...this.callees]) agent.close();
  }
}
