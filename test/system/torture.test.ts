/**
 * Every message of RFC 4475 and RFC 5118 sent to a running proxy with the default routes.
 *
 * Checked for each: what leaves (at a sink that is the next hop) or what is answered, as test/torture/expectations.ts
 * says; for each group: the proxy is alive and remembers nothing afterwards.
 */
import assert from 'node:assert/strict';
import { afterAll, beforeAll, describe, test } from 'vitest';
import { ProxyProcess, pause } from '../support/proxy.js';
import { type Received, SipText, UserAgent } from '../support/ua.js';
import { collisionFreeGroups, DROPPED, type Expectation, FORWARDED, wire } from '../torture/expectations.js';

const PROXY_PORT = 15_010;
const RPC_PORT = 15_011;
const SINK_PORT = 15_012;
/** Where the messages come from. Answers go to `received` and the port of the Via, so every such port is open here. */
const SENDER = '127.0.0.75';
const SENDER_PORT = 5060;
const VIA_PORTS = [5050, 5061, 6050, 19_823];
/** After this long without a sign a message counts as dropped; only ever makes a test fail late, not pass. */
const SILENCE_MS = 700;
/** And after the final answer this long, in case more follows. */
const SETTLED_MS = 100;
const FORGET_MS = 45_000;
const TEST_MS = 60_000;

let sender: UserAgent;
let sink: UserAgent;
const others: UserAgent[] = [];

beforeAll(async () => {
  sender = await UserAgent.open(SENDER, SENDER_PORT);
  for (const port of VIA_PORTS) others.push(await UserAgent.open(SENDER, port));
  sink = await UserAgent.open('127.0.0.1', SINK_PORT);
});

afterAll(async () => {
  for (const agent of [sender, sink, ...others]) await agent?.close();
});

for (const [index, group] of collisionFreeGroups().entries()) {
  describe(`torture messages, group ${index + 1} [RFC 4475, RFC 5118]`, () => {
    let proxy: ProxyProcess;

    beforeAll(async () => {
      proxy = await ProxyProcess.start({
        port: PROXY_PORT,
        rpcPort: RPC_PORT,
        nextHop: `127.0.0.1:${SINK_PORT}`,
      });
    }, TEST_MS);

    afterAll(async () => {
      await proxy?.stop();
    }, TEST_MS);

    for (const expectation of group) {
      test(
        `${expectation.section} ${expectation.file}: ${expectation.about} → ${expectation.expect}`,
        async () => {
          const seen = await exchange(expectation);
          assert.ok(proxy.isUp, `the proxy is gone: ${proxy.output}`);
          check(expectation, seen);
        },
        TEST_MS,
      );
    }

    test(
      'the proxy is alive and remembers nothing',
      async () => {
        assert.ok(await proxy.isReady());
        await proxy.forgetsEverything(FORGET_MS);
      },
      TEST_MS,
    );
  });
}

/** What one message caused. */
interface Seen {
  readonly forwarded: Received | null;
  readonly answer: SipText | null;
}

/**
 * Sends the message, answers at the sink what arrives there, acknowledges, and waits until all is quiet.
 * What belongs to an earlier message (another Call-ID) is answered too, but does not count.
 */
async function exchange(expectation: Expectation): Promise<Seen> {
  const bytes = wire(expectation);
  const original = new SipText(bytes.toString('latin1'));
  const callIds = original.all('call-id');
  const isOfThis = (message: SipText): boolean =>
    (callIds.length === 0 ? [''] : callIds).includes(message.header('call-id'));
  await sender.send(bytes, PROXY_PORT);
  let forwarded: Received | null = null;
  let answer: SipText | null = null;
  let quietSince = Date.now();
  while (Date.now() - quietSince < (answer ? SETTLED_MS : SILENCE_MS)) {
    const atSink = sink.inbox.shift();
    if (atSink && atSink.message.status === 0 && atSink.message.method !== 'ACK') {
      const isInvite = atSink.message.method === 'INVITE';
      await sink.reply(atSink, isInvite ? 486 : 200, isInvite ? 'Busy Here' : 'OK', 'sink');
      if (isOfThis(atSink.message)) {
        forwarded ??= atSink;
        quietSince = Date.now();
      }
    }
    const back = [sender, ...others]
      .map((agent) => agent.inbox.shift())
      .find((received) => received)?.message;
    if (back && back.status >= 200) {
      if (back.method === 'INVITE') await sender.send(acknowledge(original.raw, back), PROXY_PORT);
      if (isOfThis(back)) {
        answer ??= back;
        quietSince = Date.now();
      }
    }
    await pause(5);
  }
  return { forwarded, answer };
}

/** The hop-by-hop ACK of a negative answer, from the lines of the INVITE. [RFC 3261 §17.1.1.3] */
function acknowledge(invite: string, answer: SipText): string {
  const head = invite.slice(0, invite.indexOf('\r\n\r\n')).replace(/\r\n[ \t]+/g, ' ');
  const lines = head.split('\r\n');
  const line = (name: RegExp): string => lines.find((candidate) => name.test(candidate)) ?? '';
  const requestLine = (lines[0] ?? '').trim().split(/ +/);
  const via = line(/^v(ia)?\s*:/i).split(/,(?=\s*SIP)/)[0] ?? '';
  return [
    `ACK ${requestLine.slice(1, -1).join(' ')} SIP/2.0`,
    via,
    line(/^f(rom)?\s*:/i),
    `To: ${answer.header('to')}`,
    line(/^(i|call-id)\s*:/i),
    line(/^cseq\s*:/i).replace(/INVITE/, 'ACK'),
    'Max-Forwards: 70',
    'Content-Length: 0',
    '',
    '',
  ].join('\r\n');
}

function check(expectation: Expectation, { forwarded, answer }: Seen): void {
  const { expect: wanted, because } = expectation;
  const said = `saw ${forwarded ? `"${forwarded.message.startLine}" at the sink` : 'nothing at the sink'} and ${
    answer ? `"${answer.startLine}"` : 'no answer'
  }; ${because}`;
  if (wanted === DROPPED) {
    assert.ok(!forwarded && !answer, said);
    return;
  }
  if (wanted === FORWARDED) {
    assert.ok(forwarded, said);
    checkForwarded(expectation, forwarded.message);
    assert.ok(answer, `the answer of the sink did not come back; ${because}`);
    return;
  }
  assert.ok(!forwarded, said);
  assert.equal(answer?.status, wanted, said);
  checkText(expectation, answer!.raw);
}

/** What a proxy changes, and nothing else. [RFC 3261 §16.6] */
function checkForwarded(expectation: Expectation, message: SipText): void {
  const original = wire(expectation).toString('latin1');
  const asSent = new SipText(original);
  const length = asSent.header('content-length');
  const body = length === '' ? asSent.body : asSent.body.slice(0, Number(length));
  assert.equal(message.body, body, 'the body is forwarded octet for octet');
  assert.equal(message.method, asSent.method);
  assert.equal(message.header('call-id'), asSent.header('call-id'));
  assert.equal(message.all('via').length, asSent.all('via').length + 1, 'one Via more');
  assert.match(message.all('via')[0] ?? '', /;branch=z9hG4bK[^;]+/, 'a branch with the magic cookie');
  const hops = asSent.header('max-forwards');
  // Added where there was none, with a value of our choice; never higher than 70, should the caller ask for more.
  const left = Number(message.header('max-forwards'));
  if (hops === '') assert.ok(left >= 1 && left <= 70, `Max-Forwards ${left} was added`);
  else
    assert.ok(
      left === Number(hops) - 1 || (Number(hops) > 70 && left === 70),
      `Max-Forwards ${hops} → ${left}`,
    );
  for (const name of ['from', 'to', 'cseq', 'contact', 'unknownheaderwithunusualvalue']) {
    assert.deepEqual(message.all(name), asSent.all(name), `${name} is not touched`);
  }
  checkText(expectation, message.raw);
}

function checkText({ present = [], absent = [] }: Expectation, raw: string): void {
  for (const text of present) assert.ok(raw.includes(text), `has ${JSON.stringify(text)} in ${raw}`);
  for (const text of absent) assert.ok(!raw.includes(text), `has no ${JSON.stringify(text)} in ${raw}`);
}
