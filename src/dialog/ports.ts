/**
 * All that the dialog room asks of those above it.
 */
import type { Message } from '../sip/message.js';

/**
 * The three event routes, and those that are named for an expiry.  While one runs, the tracker's context names the dialog.  [manual 11]
 *
 * `message` is what made the change, and null when nothing came from outside: a final answer of our own, or a time that
 * is over.  What they throw is logged and harms no call.
 */
export interface DialogEvents {
  /** The first 2xx is about to go upstream; the callee's leg is known. */
  start(message: Message | null): void;
  /** An answered call has ended. */
  end(message: Message | null): void;
  /** A call ended without a 2xx. */
  failed(message: Message | null): void;
  /** Runs the route that an expiring call named; false: there is none of that name.  It may give the call more time. */
  timeout(route: string): boolean;
  /** Number of that route, counted from 1; 0: there is none of that name. */
  routeNumber(route: string): number;
}

/** Where faults are told; a OnceAMinute or a Log. */
export interface DialogLog {
  error(event: string, fields?: LogFields): void;
  warn(event: string, fields?: LogFields): void;
}
type LogRecord = Readonly<Record<string, string | number>>;
/** What is told with an event, or what makes it if the event is really told. */
export type LogFields = LogRecord | (() => LogRecord);

/** A request that we make ourselves. */
export type OwnRequest = {
  readonly method: string;
  /** Latin-1: request line, header fields, empty line, body; without Via, which the sender puts after the request line. */
  readonly text: string;
  /** URI that says where to: the first Route, an alias, or the Request-URI. */
  readonly nextHop: string;
  /** Flow number to send from; 0: whichever fits. */
  readonly socket: number;
  /** Dialog that the transaction holds while it lives; 0: none. */
  readonly index: number;
  readonly generation: number;
  /** 1 to the caller, 2 to the callee, 0 neither. */
  readonly side: number;
  /** What its answer means, a row of purposes.ts; kept in the transaction. */
  readonly purpose: number;
};

/**
 * Who owns a dialog: the shard where what operators' code sees of it runs.
 *
 * Called by whoever ends a call, hears the answers to its BYEs or keeps the time: directly on the owner, by letter from
 * the timer worker (server/letters.ts).  A letter may come late: what no longer applies is not done.
 */
export interface Owners {
  /** Whether the owner of a hash entry can be told of one more dialog; asked before anything is begun. */
  hasRoom(entry: number): boolean;
  /**
   * An answered call was ended by dialogClaimEnd: its effects are due, then the table lets go of it.
   *
   * @param how ENDED_BY_BYE, EXPIRED, EXPIRED_WITH_BYE of effects.ts
   */
  ended(index: number, generation: number, from: number, how: number): void;
  /** A BYE of ours has its final answer, the first of them; `message` null: none came, or another thread heard it. */
  byeAnswered(index: number, generation: number, message: Message | null): void;
  /** An answered call's time is over, and its timeout route has not been asked. */
  timeoutRoute(index: number, generation: number): void;
  /** An unanswered call's time is over. */
  endEarly(index: number, generation: number): void;
  /** Somebody ends a call that was not answered yet when they looked: its INVITE's transaction is its owner's alone. */
  endUnanswered(index: number, generation: number): void;
}

/** Dialogs of other shards, which scripts may end but only their owners may speak of. */
export type Elsewhere = { readonly owner: number; readonly owners: Owners };

/**
 * What became of a request of our own: it is on its way; there is no memory or no place for it now, later there may be;
 * or it cannot be sent at all, for want of a way or because its text is none.
 */
export type Sent = 'sent' | 'no_room' | 'no_way';

/** Sends requests of our own; the proxy core. */
export interface Sender {
  /** Makes a client transaction and sends; else nothing is left behind.  Outside of a batch or tick the shard has to flush. */
  send(request: OwnRequest): Sent;
  /** Whether there is room for `n` more client transactions. */
  hasRoom(n: number): boolean;
  /** Whether a request of so many bytes finds a transaction and memory, and a second one beside it unless that has none. */
  hasRoomFor(firstBytes: number, secondBytes: number): boolean;
  /** So many fresh requests wait for their answers that ends which can wait had better do so; left out: never. */
  isBusy?(): boolean;
  /** Ends an unanswered INVITE: CANCEL to its branches, `code reason` upstream.  False: it is gone, or answered. */
  endInvite(transactionIndex: number, transactionGeneration: number, code: number, reason: string): boolean;
}
