/**
 * What the proxy asks of the rooms above it.
 */
import type { Scratch } from '../memory/shard-memory.js';
import type { Message } from '../sip/message.js';
import type { Answer } from '../transport/resolve.js';
import type { Passage } from './passage.js';

/** Asks what to do: the operator's routes.  None may throw; the runner answers for them. */
export interface RouteScript {
  /** The request route.  False: it failed, and the request is to be answered 500 if nothing was. */
  request(passage: Passage): boolean;
  /** The failure route `route`; `code` is the best answer, `reply` its message if it came from outside. */
  failure(route: number, passage: Passage, code: number): boolean;
  /** A reply route; false drops the answer (provisional ones only). */
  reply(route: number, message: Message): boolean;
  /** The branch route, before branch `branch` of the request goes out; it may set passage.requestUri and destination. */
  branch(route: number, passage: Passage, branch: number): void;
  /** Whether localRequest() does anything. */
  readonly hasLocalRequest: boolean;
  /**
   * A request of our own, in the dialog named, is about to be made: the route may change it by the passage, and the socket
   * by its message's flow.  False: it is not to be sent.
   */
  localRequest(passage: Passage, index: number, generation: number, side: number): boolean;
  /** Transaction `index` is about to be freed. */
  transactionEnded(index: number): void;
  /** Whether a reply route runs for every answer, without t_on_reply. */
  readonly hasReplyForAll: boolean;
}

/** Is told what happened: the dialog tracker.  The transaction's registers are loaded where one is spoken of. */
export interface ProxyObserver {
  /**
   * A request route, or another route on the transaction in hand, is about to run.
   *
   * @param answersUs the message answers a request of our own
   */
  begin(message: Message, answersUs?: boolean): void;
  /** The request that begin() told of is one of our own, made in this dialog (index 0: in none): we pass it on as well. */
  comesFromUs(index: number, generation: number): void;
  /** Whether a request belongs, by its Call-ID and tags, to a dialog that is there.  Before begin(). */
  isOfDialog(message: Message): boolean;
  /** The route sees the dialog of the transaction in hand, whose request it runs for. */
  adopt(): void;
  /**
   * A Route of our own was taken off the top, from the first on; its URI's parameters stand at [offset, offset + length) of
   * the message.
   */
  looseRouted(message: Message, paramsOffset: number, paramsLength: number): void;
  /** The message in hand belongs to a dialog, or makes one. */
  readonly hasDialog: boolean;
  /** Whether the request in hand was matched to a dialog, or would be by its Call-ID and tags. */
  isWithinDialog(message: Message): boolean;
  /** Appends parameters to the Record-Route that is being written. */
  writeRecordRouteParameters(scratch: Scratch): void;
  /** The request goes out in the transaction in hand. */
  relayed(message: Message): void;
  /** A route waits: its context goes out of circulation, and comes back. */
  park(): unknown;
  resume(parked: unknown): void;
  /** The request route is over. */
  scriptEnded(message: Message, hasTransaction: boolean): void;
  /**
   * An answer to the transaction in hand is about to go upstream: `message`, or one made here (null).
   *
   * @param tagAt the To tag that we give in a 2xx of our own, in memory; `tagLength` 0: none
   */
  reply(
    message: Message | null,
    code: number,
    ownRecordRoutes: number,
    tagAt?: number,
    tagLength?: number,
  ): void;
  /**
   * A request of our own, the transaction in hand, has its final answer: `message`; null: 408 (nobody answered) or 503 (it
   * could not be sent).  T_PURPOSE, T_DIRECTION (the side) and the dialog's words say which it was.
   */
  ownAnswer(message: Message | null, code: number): void;
  /**
   * The CSeq number under which a request within a dialog goes on, for the number `received`: the message's own, or one it
   * speaks of.  0: as received.
   */
  mapCSeq(message: Message, received: number): number;
  /**
   * The CSeq number for a request that is sent once more, with credentials, after `sent` was challenged.  0: nobody would
   * know of another number afterwards, so it keeps the one it has.
   */
  nextCSeq(message: Message, sent: number): number;
  /**
   * An answer to the INVITE that made a dialog goes upstream from a branch that was sent as number `sent`, not `received`:
   * what follows in that dialog is counted from there.
   */
  renumbered(answer: Message, received: number, sent: number): void;
  /** The ACK for an answer of our own, of no transaction and no route; where that was a 2xx we are the other end. */
  acknowledged(ack: Message): void;
  /** The transaction in hand is about to be freed. */
  transactionEnded(): void;
  /**
   * The transaction in hand begins anew in place of a dead worker: the dialog that it made goes as if it had not been; one
   * that was there before stays its own.
   */
  beginsAnew(): void;
  /** What a dead worker left has been looked at, before anything is received: an unanswered dialog that no transaction names
   *  goes as if it had not been. */
  takenOver(): void;
  /** Dialogs that are due. */
  tick(): void;
}

/** Where names lead: transport/resolve.ts. */
export interface NameResolver {
  /** What is known already; null: ask. */
  lookup(host: string, port: number, transport: string): Answer | null;
  /** Finds it out; afterwards lookup() answers. */
  resolve(host: string, port: number, transport: string): Answer | Promise<Answer>;
  /** A destination did not take a message: for a while others go first. */
  failed(a0: number, a1: number, a2: number, a3: number, port: number): void;
}
