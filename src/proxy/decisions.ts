/**
 * What a route decided about every copy of a request, kept with its transaction: a failure route's branches need it again.
 *
 * Flags and Max-Forwards stand in the transaction's record; text, which most requests have none of, is kept beside it
 * until the transaction is over.  Text dies with its worker, but the record tells that there was some: a successor's failure
 * route can still answer, and cannot relay what the route had edited as it came, past a trust boundary.  [RFC 3325 5]
 */
import { T_FLAGS, T_GENERATION, T_INDEX, T_MAX_FORWARDS } from '../memory/words.js';
import {
  T_EDITED,
  T_FORCED_RPORT,
  T_LAST_ROUTE_TAKEN,
  T_RECORD_ROUTE,
  T_ROUTES_TAKEN,
  T_ROUTES_TAKEN_SHIFT,
} from '../transaction/states.js';
import type { Passage } from './passage.js';

type Texts = {
  readonly generation: number;
  readonly requestUri: string | null;
  readonly flags: number;
  readonly routeAppended: string | null;
  readonly recordRouteParams: string;
  readonly headersAppended: readonly string[];
  readonly headersRemoved: readonly number[];
};

const ALL_FLAGS = T_FORCED_RPORT | T_RECORD_ROUTE | T_ROUTES_TAKEN | T_LAST_ROUTE_TAKEN | T_EDITED;

export class Decisions {
  private readonly x: Uint32Array;
  private readonly texts = new Map<number, Texts>();

  constructor(x: Uint32Array) {
    this.x = x;
  }

  /** Transactions that keep text. */
  get size(): number {
    return this.texts.size;
  }

  /** Keeps what the passage says with the transaction in hand. */
  keep(passage: Passage): void {
    const { x } = this;
    let flags = passage.routesTaken << T_ROUTES_TAKEN_SHIFT;
    if (passage.rportWanted) flags |= T_FORCED_RPORT;
    if (passage.recordRoute) flags |= T_RECORD_ROUTE;
    if (passage.lastRouteTaken) flags |= T_LAST_ROUTE_TAKEN;
    const isEdited = hasText(passage);
    if (isEdited) flags |= T_EDITED;
    x[T_FLAGS] = (x[T_FLAGS]! & ~ALL_FLAGS) | flags;
    x[T_MAX_FORWARDS] = passage.maxForwards;
    if (!isEdited) {
      this.forget(x[T_INDEX]!);
      return;
    }
    this.texts.set(x[T_INDEX]!, {
      generation: x[T_GENERATION]!,
      requestUri: passage.requestUri,
      flags: passage.flags,
      routeAppended: passage.routeAppended,
      recordRouteParams: passage.recordRouteParams,
      headersAppended: [...passage.headersAppended],
      headersRemoved: [...passage.headersRemoved],
    });
  }

  /** Gives them back to a passage made from the stored request; where text was lost, its relay is refused (500). */
  restore(passage: Passage): void {
    const { x } = this;
    const flags = x[T_FLAGS]!;
    passage.recordRoute = (flags & T_RECORD_ROUTE) !== 0;
    passage.routesTaken = (flags & T_ROUTES_TAKEN) >> T_ROUTES_TAKEN_SHIFT;
    passage.lastRouteTaken = (flags & T_LAST_ROUTE_TAKEN) !== 0;
    passage.maxForwards = x[T_MAX_FORWARDS]!;
    if ((flags & T_EDITED) === 0) return;
    const texts = this.texts.get(x[T_INDEX]!);
    if (texts === undefined || texts.generation !== x[T_GENERATION]) {
      passage.editRefused = true;
      return;
    }
    passage.requestUri = texts.requestUri;
    passage.flags = texts.flags;
    passage.routeAppended = texts.routeAppended;
    passage.recordRouteParams = texts.recordRouteParams;
    passage.headersAppended.push(...texts.headersAppended);
    passage.headersRemoved.push(...texts.headersRemoved);
  }

  /** The transaction is over. */
  forget(index: number): void {
    if (this.texts.size > 0) this.texts.delete(index);
  }
}

function hasText(passage: Passage): boolean {
  return (
    passage.requestUri !== null ||
    passage.flags !== 0 ||
    passage.routeAppended !== null ||
    passage.recordRouteParams !== '' ||
    passage.headersAppended.length > 0 ||
    passage.headersRemoved.length > 0
  );
}
