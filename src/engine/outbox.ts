/**
 * Requests that dialogs want sent, handed over to whoever embeds the engine, and the final answers that come back.
 *
 * They leave when the engine has done with what is in hand, so that an answer may be given at once.  A request holds its
 * dialog until it is answered; without an answer it counts as timed out.
 */
import type { OwnRequest, Sender, Sent } from '../dialog/ports.js';
import type { DialogTracker } from '../dialog/tracker.js';
import { type Shard, STATUS } from '../memory/addon.js';
import {
  D_ENTRY,
  D_ID,
  T_DIALOG_GENERATION,
  T_DIALOG_INDEX,
  T_DIRECTION,
  T_PURPOSE,
} from '../memory/words.js';
import type { Message } from '../sip/message.js';

/** A request within a dialog, ready but for your Via. */
export type RequestToSend = {
  /** Names it in answered(). */
  readonly id: number;
  readonly method: string;
  /**
   * Request line, headers, empty line and body, one character for each byte (latin1).  It has no Via: put yours behind
   * the request line.
   */
  readonly text: string;
  /** URI of the first hop: the topmost Route, or else the Request-URI. */
  readonly nextHop: string;
  /** Name of the socket that this side of the call is spoken to by; null: whichever fits. */
  readonly socket: string | null;
  /** The dialog; null: none. */
  readonly dialog: { readonly entry: number; readonly id: number } | null;
  /** 1 to the caller, 2 to the callee, 0 neither. */
  readonly side: number;
};

/** An unanswered INVITE that is to end: CANCEL its branches, and answer it upstream. */
export type InviteToEnd = {
  readonly dialog: { readonly entry: number; readonly id: number };
  readonly code: number;
  readonly reason: string;
};

/** Where the two go; both left out: nothing can be sent. */
export type Hands = {
  readonly send?: (request: RequestToSend) => void;
  readonly endInvite?: (invite: InviteToEnd) => void;
};

/** Requests that wait for their answer. */
const REQUESTS_MAX = 65_536;
/** Later than timer F, which is yours.  [RFC 3261 17.1.2.2] */
const ANSWER_SECONDS_MAX = 60;
const REQUEST_TIMEOUT = 408;
const ID_MAX = 0xffffffff;

type Waiting = {
  readonly index: number;
  readonly generation: number;
  readonly side: number;
  readonly purpose: number;
  readonly due: number;
  readonly text: string;
};

export type OutboxParts = {
  readonly native: Shard;
  readonly tracker: DialogTracker;
  readonly sockets: readonly string[];
  readonly hands: Hands;
  /** Whether the INVITE of this dialog waits for its final answer. */
  readonly isRinging: (index: number, generation: number) => boolean;
  /** What one of the hands threw. */
  readonly onFault: (error: unknown) => void;
};

export class Outbox implements Sender {
  private readonly native: Shard;
  private readonly tracker: DialogTracker;
  private readonly sockets: readonly string[];
  private readonly hands: Hands;
  private readonly isRinging: OutboxParts['isRinging'];
  private readonly onFault: (error: unknown) => void;
  /** By id, oldest first. */
  private readonly waiting = new Map<number, Waiting>();
  private readonly leaving: (() => void)[] = [];
  private lastId = 0;
  private answering = '';

  constructor(parts: OutboxParts) {
    this.native = parts.native;
    this.tracker = parts.tracker;
    this.sockets = parts.sockets;
    this.hands = parts.hands;
    this.isRinging = parts.isRinging;
    this.onFault = parts.onFault;
  }

  // ---- what the dialogs ask for ------------------------------------------------------------------------------------

  hasRoom(n: number): boolean {
    return this.hands.send !== undefined && this.waiting.size + n <= REQUESTS_MAX;
  }

  hasRoomFor(_firstBytes: number, secondBytes: number): boolean {
    return this.hasRoom(secondBytes === 0 ? 1 : 2);
  }

  send({ method, text, nextHop, socket, index, generation, side, purpose }: OwnRequest): Sent {
    const { send } = this.hands;
    if (send === undefined) return 'no_way';
    if (!this.hasRoom(1)) return 'no_room';
    if (index !== 0 && this.native.dialogHold(index, generation) !== STATUS.ok) return 'no_way';
    const id = this.nextId();
    const due = this.native.nowBootSeconds() + ANSWER_SECONDS_MAX;
    this.waiting.set(id, { index, generation, side, purpose, due, text });
    const name = this.sockets[socket - 1] ?? null;
    // Whose dialog it is, is looked up later: what is in hand stays in hand.
    this.leaving.push(() => {
      const dialog = this.addressOf(index, generation);
      send({ id, method, text, nextHop, socket: name, dialog, side });
    });
    return 'sent';
  }

  /** The engine's INVITEs are named by their dialogs. */
  endInvite(index: number, generation: number, code: number, reason: string): boolean {
    const { endInvite } = this.hands;
    if (endInvite === undefined || !this.isRinging(index, generation)) return false;
    this.leaving.push(() => {
      const dialog = this.addressOf(index, generation);
      if (dialog !== null) endInvite({ dialog, code, reason });
    });
    return true;
  }

  // ---- what whoever embeds the engine says -------------------------------------------------------------------------

  /** The final answer to a request; `message` null: none came.  False: nobody waits for it. */
  answered(id: number, message: Message | null, code: number): boolean {
    const request = this.waiting.get(id);
    if (request === undefined) return false;
    const { index, generation, side, purpose, text } = request;
    const { x } = this.tracker.records;
    this.waiting.delete(id);
    this.answering = text;
    x[T_DIALOG_INDEX] = index;
    x[T_DIALOG_GENERATION] = generation;
    x[T_DIRECTION] = side;
    x[T_PURPOSE] = purpose;
    this.tracker.ownAnswer(message, code);
    if (index !== 0) this.native.dialogDrop(index, generation);
    return true;
  }

  /** Text of the request whose answer is in hand. */
  get answeredText(): string {
    return this.answering;
  }

  /** Ends requests that nobody answered, a bounded number of them. */
  tick(): void {
    const now = this.native.nowBootSeconds();
    for (let n = 0; n < DUE_PER_TICK_MAX; n++) {
      const oldest = this.waiting.entries().next().value;
      if (oldest === undefined || oldest[1].due > now) return;
      this.answered(oldest[0], null, REQUEST_TIMEOUT);
    }
  }

  /** Hands over what the engine's last work wanted sent.  Nothing is in hand: who receives it may call the engine. */
  flush(): void {
    while (this.leaving.length > 0) {
      const all = this.leaving.splice(0);
      for (const hand of all) {
        try {
          hand();
        } catch (error) {
          this.onFault(error);
        }
      }
    }
  }

  private nextId(): number {
    do this.lastId = this.lastId === ID_MAX ? 1 : this.lastId + 1;
    while (this.waiting.has(this.lastId));
    return this.lastId;
  }

  private addressOf(index: number, generation: number): { entry: number; id: number } | null {
    const { records } = this.tracker;
    if (!records.load(index, generation)) return null;
    return { entry: records.x[D_ENTRY]!, id: records.x[D_ID]! };
  }
}

/** Requests given up in one tick. */
const DUE_PER_TICK_MAX = 256;
