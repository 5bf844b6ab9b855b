/**
 * Puts a message that whoever embeds the engine has in hand into the engine's memory, parsed.
 */
import { EngineError } from '../errors.js';
import type { ShardMemory } from '../memory/shard-memory.js';
import { Message } from '../sip/message.js';
import type { SipParser } from '../sip/parse.js';
import { SipMessage } from '../sip/sip-message.js';
import { F_OK, W_STATUS } from '../sip/words.js';
import { Address, readAddressText } from '../transport/address.js';

/** A message: its bytes, text in UTF-8, or what parseMessage() made of it. */
export type SipInput = Uint8Array | string | SipMessage;

/** How a message came. */
export type Arrival = {
  /** Name of the socket it came on; left out: the first. */
  readonly socket?: string;
  /** `192.0.2.1:5060`, IPv6 in brackets: where it was seen to come from. */
  readonly source?: string;
};

export class Inbox {
  /** The message in hand: there is one place for it. */
  readonly message: Message;
  private readonly memory: ShardMemory;
  private readonly parser: SipParser;
  private readonly flows: ReadonlyMap<string, number>;
  private readonly address = new Address();

  constructor(memory: ShardMemory, parser: SipParser, sockets: readonly string[]) {
    const place = memory.slots.handedIn;
    this.memory = memory;
    this.parser = parser;
    this.flows = new Map(sockets.map((name, n) => [name, n + 1]));
    this.message = new Message(memory.bytes, memory.words, memory.buffer);
    this.message.at = place.at;
    this.message.w = place.words >> 2;
    this.message.slot = -1;
  }

  /**
   * Reads it; null if it is not SIP, or longer than a datagram.
   *
   * @throws EngineError ERR_ENGINE for a socket or a source that cannot be
   */
  read(input: SipInput, how: Arrival): Message | null {
    const { memory, message } = this;
    const { room, words } = memory.slots.handedIn;
    const bytes = bytesOf(input);
    if (bytes.length === 0 || bytes.length > room) return null;
    memory.bytes.set(bytes, message.at);
    message.length = bytes.length;
    message.flow = this.flowOf(how.socket);
    this.readSource(how.source);
    if (input instanceof SipMessage) {
      input.copyWords(memory.words, message.w);
      return input.word(W_STATUS) === F_OK ? message : null;
    }
    return this.parser.parse(message.at, bytes.length, words) === F_OK ? message : null;
  }

  private flowOf(socket: string | undefined): number {
    if (socket === undefined) return 1;
    const flow = this.flows.get(socket);
    if (flow !== undefined) return flow;
    throw new EngineError('ERR_ENGINE', `socket ${socket}: known are ${[...this.flows.keys()].join(', ')}`);
  }

  private readSource(source: string | undefined): void {
    const { address, message } = this;
    message.port = source === undefined ? 0 : readEndpoint(source, address);
    if (source === undefined) address.setV4(0);
    message.address0 = address.a0;
    message.address1 = address.a1;
    message.address2 = address.a2;
    message.address3 = address.a3;
  }
}

function bytesOf(input: SipInput): Uint8Array {
  if (typeof input === 'string') return Buffer.from(input, 'utf8');
  return input instanceof SipMessage ? input.bytes : input;
}

/** The port; the address goes to `out`. */
function readEndpoint(text: string, out: Address): number {
  const colon = text.lastIndexOf(':');
  const port = Number(text.slice(colon + 1));
  const isPort = colon > 0 && Number.isInteger(port) && port > 0 && port <= 65_535;
  if (isPort && readAddressText(text.slice(0, colon), out)) return port;
  throw new EngineError('ERR_ENGINE', `source ${text}: allowed is an address and a port, 192.0.2.1:5060`);
}
