/**
 * Requests whose Contact becomes their sender's target when they are accepted, kept until then.  [RFC 3261 12.2]
 *
 * A proxy's transactions keep them; here they are copied, for whoever embeds the engine may use its memory anew.
 */
import type { ShardMemory } from '../memory/shard-memory.js';
import { Message } from '../sip/message.js';
import type { SipParser } from '../sip/parse.js';
import { M_INVITE, M_NOTIFY, M_REFER, M_SUBSCRIBE, M_UPDATE, W_CONTACT_COUNT } from '../sip/words.js';

/** Requests that wait for their answer at one time; the oldest goes when another comes. */
const KEPT_MAX = 16_384;
/** As long as an INVITE within a call may ring.  [RFC 3261 16.6 step 11: timer C] */
const KEPT_SECONDS_MAX = 180;
const METHODS = [M_INVITE, M_UPDATE, M_SUBSCRIBE, M_NOTIFY, M_REFER];

type Kept = {
  readonly generation: number;
  readonly bytes: Uint8Array;
  readonly flow: number;
  readonly port: number;
  readonly address: readonly [number, number, number, number];
  readonly due: number;
};

export class KeptRequests {
  private readonly memory: ShardMemory;
  private readonly parser: SipParser;
  private readonly message: Message;
  private readonly rows = new Map<string, Kept>();
  private asked: Kept | null = null;

  constructor(memory: ShardMemory, parser: SipParser) {
    const place = memory.slots.shownRequest;
    this.memory = memory;
    this.parser = parser;
    this.message = new Message(memory.bytes, memory.words, memory.buffer);
    this.message.at = place.at;
    this.message.w = place.words >> 2;
    this.message.slot = -1;
  }

  /** Keeps a request within a dialog if it can move a target; `cseq` is the number that it goes on with. */
  keep(
    request: Message,
    index: number,
    generation: number,
    direction: number,
    cseq: number,
    now: number,
  ): void {
    if (!METHODS.includes(request.method) || request.word(W_CONTACT_COUNT) === 0) return;
    const { at, length, flow, port, address0, address1, address2, address3 } = request;
    if (this.rows.size >= KEPT_MAX)
      for (const oldest of this.rows.keys()) if (this.rows.delete(oldest)) break;
    this.rows.set(nameOf(index, direction, cseq), {
      generation,
      bytes: request.bytes.slice(at, at + length),
      flow,
      port,
      address: [address0, address1, address2, address3],
      due: now + KEPT_SECONDS_MAX,
    });
  }

  /** A reply to the request of this number is in hand; a final one lets it go. */
  ask(index: number, generation: number, direction: number, { cseq, code }: Message): void {
    const name = nameOf(index, direction, cseq);
    const kept = this.rows.size === 0 ? undefined : this.rows.get(name);
    this.asked = kept?.generation === generation ? kept : null;
    if (kept !== undefined && code >= 200) this.rows.delete(name);
  }

  /** Nothing is in hand. */
  clear(): void {
    this.asked = null;
  }

  /** The request that the reply in hand is about; null: it is not kept. */
  stored(): Message | null {
    if (this.asked === null) return null;
    const { bytes, flow, port, address } = this.asked;
    const { message } = this;
    this.memory.bytes.set(bytes, message.at);
    this.parser.parse(message.at, bytes.length, message.w << 2);
    message.length = bytes.length;
    message.flow = flow;
    message.port = port;
    [message.address0, message.address1, message.address2, message.address3] = address;
    return message;
  }

  tick(now: number): void {
    for (const [name, { due }] of this.rows) {
      if (due > now) return;
      this.rows.delete(name);
    }
  }
}

function nameOf(index: number, direction: number, cseq: number): string {
  return `${index}.${direction}.${cseq}`;
}
