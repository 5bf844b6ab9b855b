/**
 * What final answers to our own requests mean, by the purpose that their transaction keeps.
 * [spec 3.6, 4.2, 4.5, 4.6]
 */
import { T_DIALOG_GENERATION, T_DIALOG_INDEX, T_DIRECTION, T_PURPOSE } from '../memory/words.js';
import type { Message } from '../sip/message.js';
import type { Bridge } from './bridge.js';
import type { Ending } from './ending.js';
import type { KeepAlive } from './keepalive.js';
import { PURPOSE } from './purposes.js';
import type { Refer } from './refer.js';

/** "Server internal error": among others, what a UA answers to a number that is too low.  [RFC 3261 12.2.2] */
const NUMBER_TOO_LOW = 500;
/** The Sender's word, where no answer came, for a request that did not leave for want of memory. */
const NO_MEMORY = 500;

export class OwnAnswers {
  private readonly x: Uint32Array;
  private readonly storedRequest: () => string;
  private readonly ending: Ending;
  private readonly keepAlive: KeepAlive;
  private readonly refer: Refer;
  private readonly bridge: Bridge;

  /** `storedRequest`: text of the request that the transaction in hand keeps. */
  constructor(
    x: Uint32Array,
    storedRequest: () => string,
    ending: Ending,
    keepAlive: KeepAlive,
    refer: Refer,
    bridge: Bridge,
  ) {
    this.x = x;
    this.storedRequest = storedRequest;
    this.ending = ending;
    this.keepAlive = keepAlive;
    this.refer = refer;
    this.bridge = bridge;
  }

  /** The transaction in hand has its final answer; `message` null: a time-out, or a failed send. */
  hear(message: Message | null, code: number): void {
    const { x } = this;
    const index = x[T_DIALOG_INDEX]!;
    const generation = x[T_DIALOG_GENERATION]!;
    const side = x[T_DIRECTION]! & 3;
    switch (x[T_PURPOSE]) {
      case PURPOSE.bye:
        if (code === NUMBER_TOO_LOW && message !== null) {
          if (this.ending.again(index, generation, side, addedHeaders(this.storedRequest()))) return;
        }
        if (this.isUnsent(message, code)) this.ending.owe(index, generation, side);
        else this.ending.answered(message, code, index, generation, side);
        return;
      case PURPOSE.byeAgain:
        if (this.isUnsent(message, code)) this.ending.owe(index, generation, side);
        else this.ending.answered(message, code, index, generation, side);
        return;
      case PURPOSE.probe:
        this.keepAlive.answered(message !== null, code, index, generation, side);
        return;
      case PURPOSE.refer:
        this.refer.answered(index, generation, side);
        return;
      case PURPOSE.bridgeInvite:
        this.bridge.inviteAnswered(message, code, this.storedRequest());
        return;
      case PURPOSE.bridgeRefer:
        this.bridge.referAnswered(this.storedRequest());
        return;
    }
  }

  /** It never left: there was no memory when its way was known. */
  private isUnsent(message: Message | null, code: number): boolean {
    return message === null && code === NO_MEMORY;
  }
}

/** What was added to a request of ours behind its own header fields. */
function addedHeaders(request: string): string {
  const own = 'Content-Length: 0\r\n';
  const at = request.indexOf(own);
  const end = request.indexOf('\r\n\r\n');
  return at < 0 || end < at ? '' : request.slice(at + own.length, end + 2);
}
