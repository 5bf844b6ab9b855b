/**
 * One request's passage through the proxy: what the route decided about it so far.
 *
 * A flyweight like Message; it leaves circulation only while its route waits for something elsewhere.
 */
import type { Message } from '../sip/message.js';

/** Header lines that routes may add to one request, and to its replies: bytes of each. */
export const HEADERS_ADDED_BYTES_MAX = 16_384;
/** What an AVP holds. */
export type AvpValue = string | number;
/** Targets of one fork, the first included. */
export const TARGETS_MAX = 16;

/** A route that waits; retired, whatever it still does has no effect. */
export interface WaitingRoute {
  retire(): void;
}

export class Passage {
  message: Message;

  /** Key of the server transaction that would be made, two words. */
  readonly key = new Uint32Array(2);
  /** The transaction, once there is one. */
  transactionIndex = 0;
  transactionGeneration = 0;
  /** Of the request as received; known once it was looked for and is no copy.  [RFC 5393 4.2] */
  loopHash = 0;

  /** The Via gets `received`, or the answer goes to the source port.  [RFC 3261 18.2.1, RFC 3581] */
  needsReceived = false;
  rportWanted = false;
  /** Where answers go. */
  answerPort = 0;

  /** R-URI to send instead of the received one; null: as received. */
  requestUri: string | null = null;
  /** Next hop that overrides Route and R-URI ($du). */
  destination: string | null = null;
  readonly targets: string[] = [];
  /** Next hop of each of `targets`; null: as Route and its URI say. */
  readonly targetDestinations: (string | null)[] = [];

  /** Max-Forwards to send; 0: one less than received. */
  maxForwards = 0;
  recordRoute = false;
  recordRouteParams = '';
  /** Route values taken off the top, and whether the last one is taken off (strict router before us). */
  routesTaken = 0;
  lastRouteTaken = false;
  /** URI to append as last Route (strict router behind us), without brackets. */
  routeAppended: string | null = null;
  /** loose_route() was run. */
  looseRouted = false;

  readonly headersAppended: string[] = [];
  readonly headersRemoved: number[] = [];
  /** A header edit could not be done or was lost, so the request must not be forwarded half edited. */
  editRefused = false;
  /** Whole header lines for our own replies (append_to_reply). */
  replyLines = '';

  /** Header lines that answer a challenge, and the CSeq number to send (0: as received): for the next branches alone. */
  readonly credentials: string[] = [];
  cseq = 0;

  onReply = 0;
  onFailure = 0;
  onBranch = 0;
  /** Flags that routes set, one bit each (setflag). */
  flags = 0;

  /** A final or stateless answer was given, or the request was relayed. */
  answered = false;
  relayed = false;
  /** The message and this object are out of circulation: a route waits, or a name is looked up. */
  detached = false;
  routeWaits = false;
  waitsForName = false;
  /** Its place is one of those for routes that wait; else of those for names. */
  isKeptForRoute = false;
  /** Without a transaction: the tick at which nobody waits for it any more. */
  waitsUntil = 0;
  /** How often it came back from waiting: what goes on from a promise of before has nothing to do with it now. */
  lives = 0;
  /** The route that waits. */
  route: WaitingRoute | null = null;
  /** Names asked for so far. */
  namesAsked = 0;
  /** What the observer knows of it meanwhile. */
  parked: unknown = null;
  /** $avp; moved to the transaction when there is one. */
  avps: Map<string, AvpValue> | null = null;
  /** Made from a stored request, for a failure route. */
  isFailure = false;

  constructor(message: Message) {
    this.message = message;
  }

  /** Ready for another request. */
  reset(): void {
    this.transactionIndex = 0;
    this.transactionGeneration = 0;
    this.loopHash = 0;
    this.needsReceived = false;
    this.rportWanted = false;
    this.answerPort = 0;
    this.requestUri = null;
    this.destination = null;
    if (this.targets.length > 0) {
      this.targets.length = 0;
      this.targetDestinations.length = 0;
    }
    this.maxForwards = 0;
    this.recordRoute = false;
    this.recordRouteParams = '';
    this.routesTaken = 0;
    this.lastRouteTaken = false;
    this.routeAppended = null;
    this.looseRouted = false;
    if (this.headersAppended.length > 0) this.headersAppended.length = 0;
    if (this.headersRemoved.length > 0) this.headersRemoved.length = 0;
    this.editRefused = false;
    this.replyLines = '';
    if (this.credentials.length > 0) this.credentials.length = 0;
    this.cseq = 0;
    this.onReply = 0;
    this.onFailure = 0;
    this.onBranch = 0;
    this.flags = 0;
    this.answered = false;
    this.relayed = false;
    this.detached = false;
    this.routeWaits = false;
    this.waitsForName = false;
    this.namesAsked = 0;
    this.parked = null;
    if (this.avps !== null) this.avps = null;
    this.isFailure = false;
  }
}
