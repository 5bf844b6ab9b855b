/**
 * Which dialog a sequential request belongs to.
 *
 * Call-ID and tags decide, in one look-up; the cookie of our Route then says whether the found dialog is the one that
 * record-routed.  Only when it is not, the dialog that the cookie names is looked at by itself: of two dialogs with equal
 * tags the cookie's wins.  What a call forks into shares a cookie, so comparing cookie_id finds each of them.
 * Direction never comes from the Route, only from the tags.  [manual 5.8]
 */
import { STATUS } from '../memory/addon.js';
import { D_COOKIE_ID, D_ENTRY } from '../memory/words.js';
import type { Message } from '../sip/message.js';
import { COOKIE_MALFORMED, COOKIE_READ, type CookieReader } from './cookie.js';
import type { Records } from './record.js';

/** Values of dlg_match_mode. */
export const DID_ONLY = 0;
export const DID_FALLBACK = 1;
export const DID_NONE = 2;

/** How a match ended; the dialog found is in hand. */
export const BY_COOKIE = 1;
export const BY_TAGS = 2;
/** The cookie is not one of ours. */
export const BAD_COOKIE = 3;
/** The cookie names a dialog that is gone. */
export const NO_SUCH_DIALOG = 4;
/** The cookie names a dialog of other ends. */
export const WRONG_ENDS = 5;
/** The Route has no cookie, and only cookies count. */
export const NO_COOKIE = 6;
export const NO_MATCH = 7;

export class Matcher {
  /** What was wrong with the cookie when it was not believed, for a warning: 0, BAD_COOKIE, NO_SUCH_DIALOG, WRONG_ENDS. */
  complaint = 0;
  readonly cookie: CookieReader;
  private readonly records: Records;
  private readonly mode: number;

  constructor(records: Records, cookie: CookieReader, mode: number) {
    this.records = records;
    this.cookie = cookie;
    this.mode = mode;
  }

  /** Matches a request whose topmost Route was ours, with these URI parameters (absolute offset). */
  byRoute(message: Message, paramsAt: number, paramsLength: number): number {
    this.complaint = 0;
    if (this.mode === DID_NONE) return this.byTags(message);
    const found = this.cookie.find(paramsAt, paramsLength);
    if (found === COOKIE_READ) return this.byCookie(message);
    if (found === COOKIE_MALFORMED) this.complaint = BAD_COOKIE;
    if (this.mode === DID_FALLBACK) return this.byTags(message);
    return found === COOKIE_MALFORMED ? BAD_COOKIE : NO_COOKIE;
  }

  /**
   * Matches what a further Route of ours names, if that is another dialog than the Route before it named: a call that came
   * by twice made two.  Nothing is complained of.  True: it is in hand.
   */
  byFurtherRoute(message: Message, paramsAt: number, paramsLength: number): boolean {
    const { cookie, records } = this;
    if (this.mode === DID_NONE) return false;
    const { entry, id } = cookie;
    if (cookie.find(paramsAt, paramsLength) !== COOKIE_READ) return false;
    if (cookie.entry === entry && cookie.id === id) return false;
    if (records.entryOf(message) !== cookie.entry) return false;
    return records.findByAddress(message, cookie.entry, cookie.id) === STATUS.ok;
  }

  /** Matches by Call-ID and tags alone. */
  byTags(message: Message): number {
    return this.records.findByTags(message) ? BY_TAGS : NO_MATCH;
  }

  private byCookie(message: Message): number {
    const { records, cookie } = this;
    const { x } = records;
    if (records.findByTags(message) && x[D_COOKIE_ID] === cookie.id && x[D_ENTRY] === cookie.entry) {
      return BY_COOKIE;
    }
    // Another entry than the Call-ID's cannot hold this call, and belongs to another shard.
    const named =
      records.entryOf(message) === cookie.entry
        ? records.findByAddress(message, cookie.entry, cookie.id)
        : STATUS.notFound;
    if (named === STATUS.ok) return BY_COOKIE;
    this.complaint = named === STATUS.conflict ? WRONG_ENDS : NO_SUCH_DIALOG;
    return this.mode === DID_FALLBACK ? this.byTags(message) : this.complaint;
  }
}
