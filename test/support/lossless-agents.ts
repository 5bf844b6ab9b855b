/**
 * User agents that keep to the RFC's timers: what is not answered is repeated, what is repeated to them is answered as
 * before.  They do what a scenario's moves say, and know whether each of them came out as it should.
 * [RFC 3261 13, 17.1, 17.2, RFC 6026]
 */
import type { Agent } from './flow-agents.js';
import { WireMessage } from './wire-message.js';

const T1_MS = 500;
const T2_MS = 4_000;
/** 64 * T1: whoever hears nothing for so long gives up. */
const PATIENCE_MS = 32_000;
/** From a provisional answer to the final one. */
const RINGS_MS_MAX = 60_000;

/** How an agent answers the first copy of a request: codes, each so long after the request. */
export type Answers = readonly { readonly code: number; readonly afterMs: number }[];

/** Somebody sends a request, `waitMs` after the moves before it came out; the final answer must be `expects`. */
export type Move = {
  readonly who: string;
  readonly sends: string;
  readonly expects: number;
  readonly waitMs?: number;
  /** CANCELs the INVITE so long after it was sent, once that is allowed. */
  readonly cancelsMs?: number;
};

type Repeated = { text: string; dueMs: number; intervalMs: number; intervalMsMax: number; endMs: number };

/** A request that came: what was answered last, and which answers are still to come. */
type Served = {
  readonly request: WireMessage;
  last: string | null;
  isFinal: boolean;
  readonly pending: { readonly code: number; readonly dueMs: number }[];
};

type Asked = {
  readonly move: Move | null;
  readonly request: WireMessage;
  isAnswered: boolean;
  hasGivenUp: boolean;
};

const CALL = 'a';

export class LosslessAgent {
  /** What went wrong, for the scenario's end. */
  readonly faults: string[] = [];
  /** Methods of requests that came, each once. */
  readonly heard: string[] = [];
  private readonly agent: Agent;
  private readonly put: (text: string) => void;
  private readonly answers: Readonly<Record<string, Answers>>;
  private readonly repeated = new Map<string, Repeated>();
  private readonly served = new Map<string, Served>();
  private readonly asked = new Map<string, Asked>();
  private readonly acks = new Map<string, string>();
  private cancelDueMs = 0;

  constructor(agent: Agent, answers: Readonly<Record<string, Answers>>, put: (text: string) => void) {
    this.agent = agent;
    this.answers = answers;
    this.put = put;
  }

  /** Nothing is repeated, nothing awaited. */
  get isQuiet(): boolean {
    return (
      this.repeated.size === 0 &&
      [...this.asked.values()].every((one) => one.isAnswered || one.hasGivenUp) &&
      [...this.served.values()].every((one) => one.isFinal)
    );
  }

  isDone(move: Move): boolean {
    return [...this.asked.values()].some((one) => one.move === move && (one.isAnswered || one.hasGivenUp));
  }

  begin(move: Move, nowMs: number): void {
    const text = this.agent.write(CALL, move.sends, [], []);
    this.ask(text, move, nowMs);
    if (move.cancelsMs !== undefined) this.cancelDueMs = nowMs + move.cancelsMs;
  }

  private ask(text: string, move: Move | null, nowMs: number): void {
    const request = new WireMessage(text);
    this.asked.set(keyOf(request), { move, request, isAnswered: false, hasGivenUp: false });
    const isInvite = request.method === 'INVITE';
    this.repeat(keyOf(request), text, nowMs, isInvite ? PATIENCE_MS : T2_MS);
  }

  /** Sends now, and again until stop(). */
  private repeat(key: string, text: string, nowMs: number, intervalMsMax: number): void {
    const endMs = nowMs + PATIENCE_MS;
    this.repeated.set(key, { text, dueMs: nowMs + T1_MS, intervalMs: T1_MS, intervalMsMax, endMs });
    this.put(text);
  }

  private hasProvisional = false;

  tick(nowMs: number): void {
    for (const [key, one] of this.repeated) {
      if (nowMs >= one.endMs) {
        this.repeated.delete(key);
        this.faults.push(`${this.agent.name} gave up: ${key}`);
        const asked = this.asked.get(key);
        if (asked !== undefined) asked.hasGivenUp = true;
      } else if (nowMs >= one.dueMs) {
        one.intervalMs = Math.min(one.intervalMs * 2, one.intervalMsMax);
        one.dueMs = nowMs + one.intervalMs;
        if (one.intervalMs < RINGS_MS_MAX) this.put(one.text);
      }
    }
    for (const served of this.served.values()) {
      while (served.pending.length > 0 && served.pending[0]!.dueMs <= nowMs)
        this.answer(served, served.pending.shift()!.code, nowMs);
    }
    if (this.cancelDueMs !== 0 && nowMs >= this.cancelDueMs && this.hasProvisional) {
      this.cancelDueMs = 0;
      this.ask(this.agent.write(CALL, 'CANCEL', [], []), null, nowMs);
    }
  }

  hear(message: WireMessage, nowMs: number): void {
    if (message.status > 0) this.hearAnswer(message, nowMs);
    else if (message.method === 'ACK') this.hearAck(message);
    else if (message.method === 'CANCEL') this.hearCancel(message, nowMs);
    else this.hearRequest(message, nowMs);
  }

  // -- as client -----------------------------------------------------------------------------------------------------

  private hearAnswer(message: WireMessage, nowMs: number): void {
    const key = `${message.branch} ${message.method}`;
    const asked = this.asked.get(key);
    if (asked === undefined) {
      this.faults.push(`${this.agent.name} got an answer to nothing: ${message.startLine}`);
      return;
    }
    const isInvite = message.method === 'INVITE';
    if (message.status < 200) {
      const one = this.repeated.get(key);
      this.agent.hear(CALL, message);
      if (!isInvite || one === undefined) return;
      this.hasProvisional = true;
      // It is no longer repeated, but somebody must answer some day.
      one.dueMs = Number.POSITIVE_INFINITY;
      one.endMs = nowMs + RINGS_MS_MAX;
      return;
    }
    this.repeated.delete(key);
    if (!asked.isAnswered) {
      asked.isAnswered = true;
      this.agent.hear(CALL, message);
      const expected = asked.move === null ? [200, 481] : [asked.move.expects];
      if (!expected.includes(message.status))
        this.faults.push(`${this.agent.name} got ${message.status} to ${message.method}`);
    }
    if (!isInvite) return;
    const ackKey = `${message.cseq} ${message.tag('to')} ${message.status >= 300}`;
    let ack = this.acks.get(ackKey);
    if (ack === undefined) {
      ack = this.agent.write(CALL, 'ACK', [], []);
      this.acks.set(ackKey, ack);
    }
    this.put(ack);
  }

  // -- as server -----------------------------------------------------------------------------------------------------

  private hearRequest(request: WireMessage, nowMs: number): void {
    const key = keyOf(request);
    const known = this.served.get(key);
    if (known !== undefined) {
      if (known.last !== null) this.put(known.last);
      return;
    }
    const isMerged = [...this.served.values()].some(
      (one) => one.request.header('cseq') === request.header('cseq') && one.request.tag('to') === '',
    );
    this.agent.hear(CALL, request);
    const answers = isMerged
      ? [{ code: 482, afterMs: 0 }]
      : (this.answers[request.method] ?? [{ code: 200, afterMs: 20 }]);
    if (!isMerged) this.heard.push(request.method);
    const pending = answers.map(({ code, afterMs }) => ({ code, dueMs: nowMs + afterMs }));
    this.served.set(key, { request, last: null, isFinal: false, pending });
  }

  private hearCancel(request: WireMessage, nowMs: number): void {
    const invite = this.served.get(`${request.branch} INVITE`);
    this.agent.hear(CALL, request);
    this.put(this.agent.write(CALL, invite === undefined ? '481' : '200', ['to CANCEL'], []));
    if (invite === undefined || invite.isFinal) return;
    invite.pending.length = 0;
    this.answer(invite, 487, nowMs);
  }

  private hearAck(request: WireMessage): void {
    if (!this.heard.includes(`ACK ${request.cseq}`)) this.heard.push(`ACK ${request.cseq}`);
    for (const key of this.repeated.keys())
      if (key === `answer ${request.cseq} ${request.header('call-id')}`) this.repeated.delete(key);
  }

  private answer(served: Served, code: number, nowMs: number): void {
    const { request } = served;
    const text = this.agent.write(CALL, String(code), [`to ${request.method}`], []);
    served.last = text;
    if (code < 200) {
      this.put(text);
      return;
    }
    served.isFinal = true;
    if (request.method === 'INVITE')
      this.repeat(`answer ${request.cseq} ${request.header('call-id')}`, text, nowMs, T2_MS);
    else this.put(text);
  }
}

function keyOf(request: WireMessage): string {
  return `${request.branch} ${request.method}`;
}
