/**
 * Datagram in, table of offsets out: drives the WebAssembly parser.  Published as `holdfast/sip-parser-wasm`.
 *
 * The packet path uses SipParser: bytes already stand in WebAssembly memory, numbers go in, one number comes back,
 * nothing is allocated.  Everybody else uses parseMessage(): bytes in, a SipMessage out.  What the words mean is
 * said in native/sip-parser/sip_parser.h; words.ts has their numbers.
 */
import { readFileSync } from 'node:fs';
import { SipFault, SipMessage } from './sip-message.js';
import { F_OK, PADDING, PARSER_RESERVED_BYTES, URI_WORDS, WORDS } from './words.js';

export { headerId, headerName } from './headers.js';
export * from './sip-message.js';
export { formatUri, parseUri, type SipUri } from './uri.js';
export * from './words.js';

/** The memory of a parser: a WebAssembly.Memory made with `shared: true`. */
export interface ParserMemory {
  readonly buffer: ArrayBufferLike;
}

interface ParserExports {
  sip_parse(message: number, length: number, words: number): number;
  sip_answerable(words: number): number;
  sip_parse_uri(message: number, offset: number, length: number, words: number): number;
  sip_find_parameter(
    message: number,
    offset: number,
    length: number,
    name: number,
    nameLength: number,
    words: number,
  ): number;
}

/** findParameter() writes two words and the name that it looks for. */
export const FIND_PARAMETER_BYTES = 256;
const NAME_AT = 8;

/** Longest message that parseMessage() takes. */
export const MESSAGE_BYTES_MAX = 1 << 20;

const PAGE_BYTES = 65_536;

let compiled: WebAssembly.Module | undefined;

/** Compiled once per thread. */
function parserModule(): WebAssembly.Module {
  compiled ??= new WebAssembly.Module(readFileSync(new URL('./sip_parser.wasm', import.meta.url)));
  return compiled;
}

/**
 * The parser over one memory.  All offsets are bytes from the start of that memory, except those called `offset`,
 * which are relative to the message like every offset in the words.
 *
 * The first PARSER_RESERVED_BYTES of the memory are the parser's; it writes nothing else but the words that it is
 * given.  PADDING bytes after a message must be inside the memory.  One parser serves one thread.
 */
export class SipParser {
  private readonly bytes: Uint8Array;
  private readonly native: ParserExports;

  constructor(memory: ParserMemory) {
    this.bytes = new Uint8Array(memory.buffer);
    this.native = new WebAssembly.Instance(parserModule(), { env: { memory } })
      .exports as unknown as ParserExports;
  }

  /**
   * Parses the message at `messageOffset` into WORDS words at `wordsOffset` (a multiple of 4).
   *
   * @returns F_OK or another F_* code, as the word W_STATUS
   */
  parse(messageOffset: number, length: number, wordsOffset: number): number {
    return this.native.sip_parse(messageOffset, length, wordsOffset);
  }

  /** Whether a message that was refused can be answered: what a response copies is there. */
  answerable(wordsOffset: number): boolean {
    return this.native.sip_answerable(wordsOffset) === 1;
  }

  /**
   * Parses a URI of the message into URI_WORDS words.
   *
   * @returns 0 if it is a sip or sips URI that can be routed by, else 1
   */
  parseUri(messageOffset: number, offset: number, length: number, wordsOffset: number): number {
    return this.native.sip_parse_uri(messageOffset, offset, length, wordsOffset);
  }

  /**
   * Finds a parameter in `;name=value;…`: the two words at `wordsOffset` become offset and length of its value, 0 if
   * it has none.  FIND_PARAMETER_BYTES at `wordsOffset` are written.
   *
   * @param name ASCII, lower case, at most FIND_PARAMETER_BYTES - 8 characters
   * @returns whether the parameter is there
   */
  findParameter(
    messageOffset: number,
    offset: number,
    length: number,
    name: string,
    wordsOffset: number,
  ): boolean {
    const nameLength = name.length;
    if (nameLength > FIND_PARAMETER_BYTES - NAME_AT) return false;
    const nameAt = wordsOffset + NAME_AT;
    for (let i = 0; i < nameLength; i++) this.bytes[nameAt + i] = name.charCodeAt(i);
    return (
      this.native.sip_find_parameter(messageOffset, offset, length, nameAt, nameLength, wordsOffset) === 1
    );
  }
}

const WORDS_AT = PARSER_RESERVED_BYTES;
const URI_WORDS_AT = WORDS_AT + WORDS * 4;
const MESSAGE_AT = URI_WORDS_AT + URI_WORDS * 4;

/** What parseMessage() works in: one small memory per thread, made at the first call. */
let desk: { parser: SipParser; bytes: Uint8Array; words: Uint32Array } | undefined;

function openDesk(): NonNullable<typeof desk> {
  const pages = Math.ceil((MESSAGE_AT + MESSAGE_BYTES_MAX + PADDING) / PAGE_BYTES);
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
  return {
    parser: new SipParser(memory),
    bytes: new Uint8Array(memory.buffer),
    words: new Uint32Array(memory.buffer, WORDS_AT, WORDS),
  };
}

/**
 * Parses one message.
 *
 * The result reads from `bytes` when it is asked, so do not overwrite them while you use it.
 *
 * @param bytes the whole datagram, at most MESSAGE_BYTES_MAX
 * @returns the message; a SipFault, with what could be read all the same, if it breaks a rule
 */
export function parseMessage(bytes: Uint8Array): SipMessage | SipFault {
  if (bytes.length > MESSAGE_BYTES_MAX) {
    throw new RangeError(`message of ${bytes.length} bytes; at most ${MESSAGE_BYTES_MAX} can be parsed`);
  }
  desk ??= openDesk();
  desk.bytes.set(bytes, MESSAGE_AT);
  const status = desk.parser.parse(MESSAGE_AT, bytes.length, WORDS_AT);
  const message = new SipMessage(bytes, desk.words);
  return status === F_OK ? message : new SipFault(message, desk.parser.answerable(WORDS_AT));
}
