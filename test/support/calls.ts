/**
 * Whole calls for tests that are about something else: made, acknowledged and ended in one line each.
 */
import type { SipText, UserAgent } from './ua.js';

const ANSWER_WAIT_MS = 8_000;

/** Makes `callee` answer every INVITE with 180 and 200, and every other request with 200; `hear` sees them all. */
export function answer(callee: UserAgent, hear: (message: SipText) => void = () => {}): UserAgent {
  callee.onMessage((received) => {
    const { message } = received;
    hear(message);
    if (message.status !== 0 || message.method === 'ACK') return;
    void (async () => {
      if (message.method === 'INVITE') await callee.reply(received, 180, 'Ringing', 'callee');
      await callee.reply(received, 200, 'OK', 'callee');
    })();
  });
  return callee;
}

/** An INVITE, not sent. */
export function invitation(
  caller: UserAgent,
  calleePort: number,
  callId: string,
  extra: string[] = [],
): string {
  const uri = `sip:bob@127.0.0.1:${calleePort}`;
  const from = `<sip:alice@${caller.hostPort}>;tag=${callId}`;
  const parts = { method: 'INVITE', uri, callId, cseq: 1, from, to: `<${uri}>`, extra };
  return caller.request({ ...parts, branch: `z9hG4bK-${callId}-i` });
}

/** Makes a call and acknowledges it; returns the 200. */
export async function call(
  caller: UserAgent,
  proxyPort: number,
  calleePort: number,
  callId: string,
): Promise<SipText> {
  await caller.send(invitation(caller, calleePort, callId), proxyPort);
  const { message } = await caller.nextResponse('INVITE', 200, callId, ANSWER_WAIT_MS);
  await inDialog(caller, proxyPort, calleePort, message, 'ACK', 1);
  return message;
}

/** The caller's BYE, by the Route set of the 200, and its answer. */
export async function end(
  caller: UserAgent,
  proxyPort: number,
  calleePort: number,
  callId: string,
  ok: SipText,
): Promise<void> {
  await inDialog(caller, proxyPort, calleePort, ok, 'BYE', 2);
  await caller.nextResponse('BYE', 200, callId, ANSWER_WAIT_MS);
}

/** Sends a request inside the dialog that `ok` answered. */
async function inDialog(
  caller: UserAgent,
  proxyPort: number,
  calleePort: number,
  ok: SipText,
  method: string,
  cseq: number,
): Promise<void> {
  const callId = ok.header('call-id');
  const parts = { method, uri: `sip:ua@127.0.0.1:${calleePort}`, callId, cseq, to: ok.header('to') };
  const from = ok.header('from');
  const routes = ok.all('record-route').reverse();
  await caller.send(
    caller.request({ ...parts, from, routes, branch: `z9hG4bK-${callId}-${method}` }),
    proxyPort,
  );
}
