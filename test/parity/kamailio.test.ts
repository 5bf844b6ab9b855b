/**
 * The basic flows through Kamailio and through Holdfast, with the same policy, message by message.
 *
 * Both run in turn at the same address with the same Call-IDs, so what they forward and what they list can be compared
 * as it is.  Where they may differ, DIFFERENCES says how and which is right; anything else fails the test.
 */
import assert from 'node:assert/strict';
import { afterAll, beforeAll, describe, test } from 'vitest';
import { hasKamailio, Kamailio } from '../support/kamailio.js';
import { ProxyProcess, pause } from '../support/proxy.js';
import { type Received, type SipText, UserAgent } from '../support/ua.js';

const PROXY_PORT = 15_100;
const RPC_PORT = 15_101;
const CALLER_PORT = 15_102;
const CALLEE_PORT = 15_103;
const TEST_MS = 120_000;
/** Everything that both were asked to do alike. */
const SETTINGS = [
  'rr:enable_full_lr=1',
  'rr:append_fromtag=1',
  'dialog:profiles_with_value=caller',
  'dialog:dlg_match_mode=0',
];

/** What the two do differently, and what is right. Each is taken out of both before they are compared. */
const DIFFERENCES = [
  {
    what: 'the reason phrase of 100',
    right: 'any phrase is; RFC 3261 §7.2 has it for people',
    same: (seen: Seen) => ({ ...seen, startLine: seen.startLine.replace(/^(SIP\/2\.0 100) .*/, '$1') }),
  },
  {
    what: 'the reason phrase of 200 to CANCEL',
    right: 'any phrase is',
    same: (seen: Seen) =>
      seen.cseq.endsWith('CANCEL')
        ? { ...seen, startLine: seen.startLine.replace(/^(SIP\/2\.0 200) .*/, '$1') }
        : seen,
  },
  {
    what: 'Max-Forwards of requests that a proxy makes itself: CANCEL, and ACK for a negative answer',
    right:
      'they begin at this hop (RFC 3261 §8.1.1.6, §9.1, §17.1.1.3), so 70; the other copies what is left',
    same: (seen: Seen) =>
      /^(CANCEL|ACK) /.test(seen.startLine) && seen.vias.length === 1 ? { ...seen, maxForwards: '' } : seen,
  },
  {
    what: 'the To tag of answers that the proxy makes itself',
    right: 'any unique tag is (RFC 3261 §8.2.6.2); a 100 has none, or the one of the request',
    same: (seen: Seen) =>
      /^SIP\/2\.0 100|CANCEL$/.test(`${seen.startLine} ${seen.cseq}`) ? { ...seen, to: '' } : seen,
  },
] as const;

/** A message as it arrived, without what is different in every run. */
interface Seen {
  readonly at: 'caller' | 'callee';
  readonly startLine: string;
  readonly cseq: string;
  readonly from: string;
  readonly to: string;
  readonly maxForwards: string;
  readonly vias: readonly string[];
  readonly recordRoutes: readonly string[];
  readonly routes: readonly string[];
  readonly contact: string;
  readonly body: string;
}

/** A dialog of `dlg.list` without its times and identities. */
type Listed = Readonly<Record<string, unknown>>;

interface Trace {
  readonly messages: Seen[];
  readonly lists: { readonly when: string; readonly dialog: Listed | null }[];
  hEntry: number;
}

/** Branches and the second half of cookies differ by nature; parameters have no order (RFC 3261 §19.1.4). */
function plain(value: string): string {
  const [address = '', ...parameters] = value.replace(/[<>]/g, '').split(';');
  const masked = parameters.map((parameter) => {
    if (parameter.startsWith('branch='))
      return `branch=${/^branch=z9hG4bK.+/.test(parameter) ? 'unique' : parameter}`;
    if (parameter.startsWith('did=')) return parameter.replace(/^(did=[0-9a-f]+)\.[0-9a-f]+$/, '$1.id');
    return parameter;
  });
  return [address.trim(), ...masked.sort()].join(';');
}

function seen(at: Seen['at'], message: SipText): Seen {
  const raw: Seen = {
    at,
    startLine: message.startLine,
    cseq: message.header('cseq'),
    from: message.header('from'),
    to: message.header('to'),
    maxForwards: message.header('max-forwards'),
    vias: message.all('via').map(plain),
    recordRoutes: message.all('record-route').map(plain),
    routes: message.all('route').map(plain),
    contact: message.header('contact'),
    body: message.body,
  };
  return DIFFERENCES.reduce((message, difference) => difference.same(message), raw);
}

/** Fields whose value must agree; of times only whether they are set. */
const FIELDS = ['h_entry', 'call-id', 'from_uri', 'to_uri', 'state', 'lifetime', 'sflags', 'iflags'];
const TIMES = ['start_ts', 'init_ts', 'timeout'];
const SIDES = ['tag', 'contact', 'cseq', 'route_set'];

function listed(dialog: Record<string, unknown>): Listed {
  const side = (name: string): Listed => {
    const values = dialog[name] as Record<string, unknown>;
    // An empty Route set is null in one and an empty text in the other; both say that there is none.
    return {
      ...Object.fromEntries(SIDES.map((field) => [field, values[field] ?? ''])),
      socket: values['socket'],
    };
  };
  return {
    ...Object.fromEntries(FIELDS.map((field) => [field, dialog[field]])),
    ...Object.fromEntries(TIMES.map((field) => [field, Number(dialog[field]) > 0])),
    caller: side('caller'),
    callee: side('callee'),
    profiles: dialog['profiles'],
    variables: dialog['variables'],
  };
}

/** One call with its two user agents. */
class Call {
  readonly trace: Trace = { messages: [], lists: [], hEntry: -1 };
  readonly callId: string;
  private readonly caller: UserAgent;
  private readonly callee: UserAgent;
  private readonly rpc: (method: string, params?: readonly unknown[]) => Promise<unknown>;
  private readonly from: string;
  private remote = '';
  private routes: string[] = [];
  private invite: Received | null = null;

  constructor(name: string, caller: UserAgent, callee: UserAgent, rpc: Call['rpc']) {
    this.callId = `parity-${name}@127.0.0.1`;
    this.caller = caller;
    this.callee = callee;
    this.rpc = rpc;
    this.from = `"Caller" <sip:alice@127.0.0.1>;tag=from-${name}`;
  }

  /** The caller sends a request; outside the dialog before it is answered, inside after. */
  async callerSends(method: string, cseq: number, branch: string, body = ''): Promise<void> {
    const uri = `sip:bob@127.0.0.1:${CALLEE_PORT}`;
    const to = this.remote || `<sip:bob@127.0.0.1:${CALLEE_PORT}>`;
    const parts = {
      method,
      uri,
      callId: this.callId,
      cseq,
      from: this.from,
      to,
      branch: `z9hG4bK-${this.callId}-${branch}`,
    };
    await this.caller.send(this.caller.request({ ...parts, routes: this.routes, body }), PROXY_PORT);
  }

  /** The callee sends a request inside the dialog, by the Route set of the INVITE. */
  async calleeSends(method: string, cseq: number, branch: string, body = ''): Promise<void> {
    const invite = this.invite!.message;
    const parts = {
      method,
      cseq,
      callId: this.callId,
      uri: `sip:ua@127.0.0.1:${CALLER_PORT}`,
      from: this.remote,
    };
    const more = {
      to: this.from,
      branch: `z9hG4bK-${this.callId}-${branch}`,
      routes: invite.all('record-route'),
      body,
    };
    await this.callee.send(this.callee.request({ ...parts, ...more }), PROXY_PORT);
  }

  async atCallee(method: string): Promise<Received> {
    const received = await this.callee.nextRequest(method, this.callId);
    this.trace.messages.push(seen('callee', received.message));
    if (method === 'INVITE') this.invite ??= received;
    return received;
  }

  async calleeGets(method: string, status: number): Promise<Received> {
    const received = await this.callee.nextResponse(method, status, this.callId);
    this.trace.messages.push(seen('callee', received.message));
    return received;
  }

  async atCaller(method: string): Promise<Received> {
    const received = await this.caller.nextRequest(method, this.callId);
    this.trace.messages.push(seen('caller', received.message));
    return received;
  }

  async callerGets(method: string, status: number): Promise<Received> {
    const received = await this.caller.nextResponse(method, status, this.callId);
    this.trace.messages.push(seen('caller', received.message));
    if (method === 'INVITE' && status >= 200) {
      this.remote = received.message.header('to');
      if (status < 300 && this.routes.length === 0)
        this.routes = received.message.all('record-route').reverse();
    }
    return received;
  }

  calleeAnswers(to: Received, status: number, reason: string, body = ''): Promise<void> {
    return this.callee.reply(to, status, reason, `to-${this.callId}`, body);
  }

  callerAnswers(to: Received, status: number, reason: string): Promise<void> {
    return this.caller.reply(to, status, reason);
  }

  /** The hop-by-hop ACK of a negative answer. */
  callerAcknowledges(branch: string): Promise<void> {
    this.routes = [];
    return this.callerSends('ACK', 1, branch);
  }

  /** Notes how the dialog is listed now. */
  async list(when: string): Promise<void> {
    await pause(50);
    const dialogs = (await this.rpc('dlg.list')) as Record<string, unknown>[];
    const mine = dialogs.filter((dialog) => dialog['call-id'] === this.callId);
    assert.ok(mine.length <= 1, `${mine.length} dialogs of ${this.callId}`);
    if (mine[0]) this.trace.hEntry = Number(mine[0]['h_entry']);
    this.trace.lists.push({ when, dialog: mine[0] ? listed(mine[0]) : null });
    if (mine[0] && this.invite) this.checkCookie(mine[0]);
  }

  /** The cookie in our Record-Route names the dialog that is listed. [manual 5.3] */
  private checkCookie(dialog: Record<string, unknown>): void {
    const cookie = /;did=([0-9a-f]+)\.([0-9a-f]+)/.exec(this.invite!.message.header('record-route'));
    assert.ok(cookie, `a cookie in ${this.invite!.message.header('record-route')}`);
    const number = (digits: string): number => Number.parseInt([...digits].reverse().join(''), 16);
    assert.equal(number(cookie[1]!), dialog['h_entry']);
    assert.equal(number(cookie[2]!), dialog['h_id']);
  }

  /** INVITE, 180, 200, ACK. */
  async isAnswered(): Promise<void> {
    await this.callerSends('INVITE', 1, 'invite', SDP);
    const invite = await this.atCallee('INVITE');
    await this.callerGets('INVITE', 100);
    await this.calleeAnswers(invite, 180, 'Ringing');
    await this.callerGets('INVITE', 180);
    await this.list('early');
    await this.calleeAnswers(invite, 200, 'OK', SDP);
    await this.callerGets('INVITE', 200);
    await this.list('confirmed, no ACK');
    await this.callerSends('ACK', 1, 'ack');
    await this.atCallee('ACK');
    await this.list('confirmed');
  }
}

const SDP =
  'v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 49170 RTP/AVP 0\r\n';

const FLOWS: Readonly<Record<string, (call: Call) => Promise<void>>> = {
  'caller-ends': async (call) => {
    await call.isAnswered();
    await call.callerSends('BYE', 2, 'bye');
    await call.calleeAnswers(await call.atCallee('BYE'), 200, 'OK');
    await call.callerGets('BYE', 200);
  },
  'callee-ends': async (call) => {
    await call.isAnswered();
    await call.calleeSends('BYE', 1, 'bye');
    await call.callerAnswers(await call.atCaller('BYE'), 200, 'OK');
    await call.calleeGets('BYE', 200);
  },
  cancel: async (call) => {
    await call.callerSends('INVITE', 1, 'invite', SDP);
    const invite = await call.atCallee('INVITE');
    await call.callerGets('INVITE', 100);
    await call.calleeAnswers(invite, 180, 'Ringing');
    await call.callerGets('INVITE', 180);
    await call.list('early');
    await call.callerSends('CANCEL', 1, 'invite');
    await call.callerGets('CANCEL', 200);
    await call.calleeAnswers(await call.atCallee('CANCEL'), 200, 'OK');
    await call.calleeAnswers(invite, 487, 'Request Terminated');
    await call.atCallee('ACK');
    await call.callerGets('INVITE', 487);
    await call.callerAcknowledges('invite');
  },
  busy: async (call) => {
    await call.callerSends('INVITE', 1, 'invite', SDP);
    const invite = await call.atCallee('INVITE');
    await call.callerGets('INVITE', 100);
    await call.list('unconfirmed');
    await call.calleeAnswers(invite, 486, 'Busy Here');
    await call.atCallee('ACK');
    await call.callerGets('INVITE', 486);
    await call.callerAcknowledges('invite');
  },
  'caller-reinvites': async (call) => {
    await call.isAnswered();
    await call.callerSends('INVITE', 2, 'again', SDP);
    const again = await call.atCallee('INVITE');
    await call.callerGets('INVITE', 100);
    await call.calleeAnswers(again, 200, 'OK', SDP);
    await call.callerGets('INVITE', 200);
    await call.callerSends('ACK', 2, 'ack2');
    await call.atCallee('ACK');
    await call.list('after the re-INVITE');
    await call.callerSends('BYE', 3, 'bye');
    await call.calleeAnswers(await call.atCallee('BYE'), 200, 'OK');
    await call.callerGets('BYE', 200);
  },
  'callee-reinvites': async (call) => {
    await call.isAnswered();
    await call.calleeSends('INVITE', 7, 'again', SDP);
    const again = await call.atCaller('INVITE');
    await call.calleeGets('INVITE', 100);
    await call.callerAnswers(again, 200, 'OK');
    await call.calleeGets('INVITE', 200);
    await call.calleeSends('ACK', 7, 'ack2');
    await call.atCaller('ACK');
    await call.list('after the re-INVITE');
    await call.callerSends('BYE', 2, 'bye');
    await call.calleeAnswers(await call.atCallee('BYE'), 200, 'OK');
    await call.callerGets('BYE', 200);
  },
};

const isRunnable = hasKamailio();
if (!isRunnable)
  console.log('kamailio is not installed: the parity tests are skipped (Debian: apt-get install kamailio)');

describe.skipIf(!isRunnable)('parity with Kamailio', () => {
  const theirs = new Map<string, Trace>();
  const ours = new Map<string, Trace | Error>();

  async function run(rpc: Call['rpc'], name: string): Promise<Trace> {
    const caller = await UserAgent.open('127.0.0.1', CALLER_PORT);
    const callee = await UserAgent.open('127.0.0.1', CALLEE_PORT);
    try {
      const call = new Call(name, caller, callee, rpc);
      await FLOWS[name]!(call);
      await pause(100);
      for (const agent of [caller, callee]) {
        assert.deepEqual(
          agent.inbox.map((received) => received.message.startLine),
          [],
          'nothing more was received',
        );
      }
      return call.trace;
    } finally {
      await caller.close();
      await callee.close();
    }
  }

  beforeAll(async () => {
    const kamailio = await Kamailio.start(PROXY_PORT, RPC_PORT, `127.0.0.1:${CALLEE_PORT}`);
    try {
      for (const name of Object.keys(FLOWS)) theirs.set(name, await run((m, p) => kamailio.rpc(m, p), name));
    } finally {
      await kamailio.stop();
    }
    const extra = SETTINGS.flatMap((setting) => ['--set', setting]);
    const nextHop = `127.0.0.1:${CALLEE_PORT}`;
    const holdfast = await ProxyProcess.start({ port: PROXY_PORT, rpcPort: RPC_PORT, nextHop, extra });
    try {
      for (const name of Object.keys(FLOWS)) {
        const trace = await run((m, p) => holdfast.rpc(m, p), name).catch((error: Error) => error);
        ours.set(name, trace);
      }
    } finally {
      await holdfast.stop();
    }
  }, TEST_MS);

  afterAll(() => {
    for (const { what, right } of DIFFERENCES) console.log(`allowed to differ: ${what} (right: ${right})`);
  });

  for (const name of Object.keys(FLOWS)) {
    const ourTrace = (): Trace => {
      const trace = ours.get(name)!;
      if (trace instanceof Error) throw trace;
      return trace;
    };
    const theirTrace = (): Trace => theirs.get(name)!;

    describe(name, () => {
      for (const at of ['callee', 'caller'] as const) {
        test(`every message at the ${at} is the same`, () => {
          const side = (trace: Trace): Seen[] => trace.messages.filter((message) => message.at === at);
          assert.deepEqual(side(ourTrace()), side(theirTrace()));
        });
      }
      test('the dialog has the same h_entry', () => {
        assert.equal(ourTrace().hEntry, theirTrace().hEntry);
      });
      test('the dialog is listed the same at every step', () => {
        assert.deepEqual(ourTrace().lists, theirTrace().lists);
      });
    });
  }
});
