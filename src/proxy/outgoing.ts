/**
 * One outgoing message as a list of pieces of the memory; the native side gathers them when the batch is sent.
 */
import type { Shard } from '../memory/addon.js';
import type { Scratch } from '../memory/shard-memory.js';
import {
  S_ADDRESS0,
  S_COUNT,
  S_FLOW,
  S_PIECES,
  S_PORT,
  S_TAG,
  T_ADDRESS0,
  T_FLOW,
  T_INDEX,
  T_PORT,
} from '../memory/words.js';
import type { Message } from '../sip/message.js';

/** Pieces one message may have; beyond this they are gathered into one in the scratch. */
const PIECES_MAX = 64;

export class Outgoing {
  private readonly native: Shard;
  private readonly x: Uint32Array;
  private readonly scratch: Scratch;

  constructor(native: Shard, x: Uint32Array, scratch: Scratch) {
    this.native = native;
    this.x = x;
    this.scratch = scratch;
  }

  /** Begins a message to where the responses of the transaction in hand go. */
  toUpstream(): void {
    const x = this.x;
    x[S_FLOW] = x[T_FLOW]!;
    x[S_PORT] = x[T_PORT]!;
    x[S_ADDRESS0] = x[T_ADDRESS0]!;
    x[S_ADDRESS0 + 1] = x[T_ADDRESS0 + 1]!;
    x[S_ADDRESS0 + 2] = x[T_ADDRESS0 + 2]!;
    x[S_ADDRESS0 + 3] = x[T_ADDRESS0 + 3]!;
    x[S_TAG] = x[T_INDEX]!;
    x[S_COUNT] = 0;
  }

  /** Begins a message to an address; no transaction hears of its failure. */
  to(flow: number, port: number, a0: number, a1: number, a2: number, a3: number): void {
    const x = this.x;
    x[S_FLOW] = flow;
    x[S_PORT] = port;
    x[S_ADDRESS0] = a0;
    x[S_ADDRESS0 + 1] = a1;
    x[S_ADDRESS0 + 2] = a2;
    x[S_ADDRESS0 + 3] = a3;
    x[S_TAG] = 0;
    x[S_COUNT] = 0;
  }

  /** Adds bytes that stay in place until the batch is sent; bytes that follow the last piece lengthen it. */
  piece(at: number, length: number): void {
    if (length === 0) return;
    const x = this.x;
    let count = x[S_COUNT]!;
    if (count > 0) {
      const last = S_PIECES + 2 * (count - 1);
      if (x[last]! + x[last + 1]! === at) {
        x[last + 1] = x[last + 1]! + length;
        return;
      }
    }
    if (count === PIECES_MAX) {
      this.gather();
      count = x[S_COUNT]!;
    }
    x[S_PIECES + 2 * count] = at;
    x[S_PIECES + 2 * count + 1] = length;
    x[S_COUNT] = count + 1;
  }

  /** Adds bytes of a message: as they stand if it is in a receive slot, else copied, for a parking place is used again. */
  message(message: Message, offset: number, length: number): void {
    if (message.slot >= 0) {
      this.piece(message.at + offset, length);
      return;
    }
    const at = this.scratch.at;
    this.scratch.copy(message.at + offset, length);
    this.piece(at, length);
  }

  /** Adds text. */
  text(text: string): void {
    const at = this.scratch.at;
    this.scratch.text(text);
    this.piece(at, this.scratch.at - at);
  }

  /** Adds bytes from elsewhere. */
  literal(bytes: Uint8Array): void {
    const at = this.scratch.at;
    this.scratch.literal(bytes);
    this.piece(at, this.scratch.at - at);
  }

  /** Queues it.  Status of the native call. */
  send(): number {
    return this.native.send();
  }

  /** Queues it, and the transaction in hand keeps it as its last reply. */
  sendKept(): number {
    return this.native.transactionSendKept();
  }

  private gather(): void {
    const x = this.x;
    const start = this.scratch.at;
    for (let n = 0; n < x[S_COUNT]!; n++) this.scratch.copy(x[S_PIECES + 2 * n]!, x[S_PIECES + 2 * n + 1]!);
    x[S_PIECES] = start;
    x[S_PIECES + 1] = this.scratch.at - start;
    x[S_COUNT] = 1;
  }
}
