/**
 * What a route works with: one message's passage, under Kamailio's names.
 *
 * Functions are methods that return booleans; variables are `$name` properties (`$ru`, `$du`), or methods where they take
 * a name (`$hdr('Subject')`, `$avp('x', 1)`).  A context is reused for the next message, so a route must not keep it; a
 * route that waits keeps its own until it settles, and from then on every call returns false.
 */

import { hasOneContact } from '../dialog/leg.js';
import { LIFETIME_SECONDS_MAX } from '../dialog/lifetime.js';
import type { DialogTracker } from '../dialog/tracker.js';
import type { Log } from '../log.js';
import { B_CODE, T_BRANCH_COUNT, T_CODE } from '../memory/words.js';
import type { ProxyCore } from '../proxy/core.js';
import { branchAt } from '../proxy/downstream.js';
import { nextRoute, parseUriOf } from '../proxy/loose-route.js';
import type { AvpValue, Passage } from '../proxy/passage.js';
import { HEADERS_ADDED_BYTES_MAX, TARGETS_MAX } from '../proxy/passage.js';
import { readSender } from '../proxy/via.js';
import { COUNTERS } from '../proxy/workspace.js';
import { headerId, headerLines } from '../sip/headers.js';
import type { Message } from '../sip/message.js';
import { parseUri } from '../sip/uri.js';
import { fromBytes, printable, toBytes } from '../sip/utf8.js';
import {
  HDR_CONTENT_TYPE,
  HDR_OTHER,
  HDR_PROXY_REQUIRE,
  HDR_USER_AGENT,
  M_INVITE,
  M_UNKNOWN,
  METHOD_NAMES,
  NONE,
  U_HEADERS_LEN,
  U_SCHEME,
  U_SCHEME_LEN,
  U_STATUS,
  W_BODY_LEN,
  W_BODY_OFF,
  W_CSEQ_NUMBER,
  W_FROM_TAG_LEN,
  W_FROM_TAG_OFF,
  W_FROM_URI_LEN,
  W_FROM_URI_OFF,
  W_MAX_FORWARDS,
  W_REASON_LEN,
  W_REASON_OFF,
  W_RURI_LEN,
  W_RURI_OFF,
  W_TO_TAG_LEN,
  W_TO_TAG_OFF,
  W_TO_URI_LEN,
  W_TO_URI_OFF,
} from '../sip/words.js';
import { formatAddress } from '../transport/address.js';
import type { AvpBook } from './avps.js';
import { type AuthSettings, uac_auth } from './functions/auth.js';
import { dlg_set_state, dlg_update_contact, dlg_update_socket } from './functions/by-hand.js';
import { dlg_isflagset, dlg_resetflag, dlg_setflag } from './functions/flags.js';
import { dlg_get, dlg_get_var, dlg_set_var, is_known_dlg, targetOf } from './functions/lookup.js';
import { dlg_manage } from './functions/manage.js';
import {
  dlg_remote_profile,
  dlg_try_profile,
  get_profile_size,
  is_in_profile,
  set_dlg_profile,
  unset_dlg_profile,
} from './functions/profile.js';
import { dlg_reset_property, dlg_set_property } from './functions/property.js';
import {
  dlg_bridge,
  dlg_bye,
  dlg_refer,
  dlg_refer_cid,
  dlg_refer_did,
  dlg_req_within,
} from './functions/requests.js';
import type { OneSide, Sides } from './functions/sides.js';
import { dlg_set_timeout, dlg_set_timeout_by_profile } from './functions/timeout.js';
import type { RouteTable } from './routes.js';
import { replaceUriPart, uriPart } from './uri-parts.js';
import { type DlgAttribute, $dlg as readDlg } from './variables/dlg.js';
import { $DLG_count, $DLG_lifetime, $DLG_status } from './variables/dlg-count.js';
import { type DlgCtxAttribute, $dlg_ctx as readCtx, set_dlg_ctx } from './variables/dlg-ctx.js';
import { $dlg_var as readVar, set_dlg_var } from './variables/dlg-var.js';

/** What contexts lean on: one per shard. */
export type Surroundings = {
  readonly core: ProxyCore;
  readonly tracker: DialogTracker;
  readonly log: Log;
  readonly avps: AvpBook;
  readonly auth: AuthSettings;
  /** Name of the AVP with the lifetime of calls; null: none. */
  readonly timeoutAvp: string | null;
  /** Message flag that makes an INVITE create a dialog, as a mask; 0: none.  [manual 5.4] */
  readonly dialogFlag: number;
  /** The routes in force; a suspended route keeps those it began with. */
  table: RouteTable;
};

export type LogLevelName = 'L_ERR' | 'L_WARN' | 'L_NOTICE' | 'L_INFO' | 'L_DBG';

/** What every route can read of the message in hand. */
export class MessageContext {
  protected readonly s: Surroundings;
  protected message: Message;

  constructor(surroundings: Surroundings, message: Message) {
    this.s = surroundings;
    this.message = message;
  }

  // -- tests ---------------------------------------------------------------------------------------------------------

  /** Whether the method is one of these: `'INVITE|BYE'`; of a reply, the CSeq's. */
  is_method(methods: string): boolean {
    const method = this.message.method;
    if (methods.length < 12 && !methods.includes('|'))
      return METHOD_NUMBERS.get(methods) === method && method !== M_UNKNOWN;
    return methods.split('|').includes(this.message.methodName);
  }

  has_totag(): boolean {
    return this.message.hasToTag;
  }

  is_present_hf(name: string): boolean {
    return this.findHeader(name, 0) >= 0;
  }

  /** Value of the first header field with this name, null without one; `n` counts from 0 for further ones. */
  $hdr(name: string, n = 0): string | null {
    let header = this.findHeader(name, 0);
    for (let skip = n; skip > 0 && header >= 0; skip--) header = this.findHeader(name, header + 1);
    return header < 0 ? null : fromBytes(this.message.headerValue(header));
  }

  protected findHeader(name: string, from: number): number {
    const id = headerId(name);
    return id === HDR_OTHER ? this.message.findHeaderName(name, from) : this.message.findHeader(id, from);
  }

  // -- message variables ---------------------------------------------------------------------------------------------

  /** Method; of a reply, the CSeq's. */
  get $rm(): string {
    return this.message.methodName;
  }
  get $ci(): string {
    return fromBytes(this.message.callId);
  }
  /** CSeq number. */
  get $cs(): number {
    return this.message.word(W_CSEQ_NUMBER);
  }
  get $fu(): string {
    return fromBytes(this.message.text(W_FROM_URI_OFF, W_FROM_URI_LEN));
  }
  get $fU(): string {
    return uriPart(this.$fu, 'user');
  }
  get $fd(): string {
    return uriPart(this.$fu, 'host');
  }
  get $ft(): string {
    return fromBytes(this.message.text(W_FROM_TAG_OFF, W_FROM_TAG_LEN));
  }
  get $tu(): string {
    return fromBytes(this.message.text(W_TO_URI_OFF, W_TO_URI_LEN));
  }
  get $tU(): string {
    return uriPart(this.$tu, 'user');
  }
  get $td(): string {
    return uriPart(this.$tu, 'host');
  }
  get $tt(): string {
    return fromBytes(this.message.text(W_TO_TAG_OFF, W_TO_TAG_LEN));
  }
  /** User-Agent; null without one. */
  get $ua(): string | null {
    const header = this.message.findHeader(HDR_USER_AGENT);
    return header < 0 ? null : fromBytes(this.message.headerValue(header));
  }
  /** Content-Type; null without one. */
  get $cT(): string | null {
    const header = this.message.findHeader(HDR_CONTENT_TYPE);
    return header < 0 ? null : fromBytes(this.message.headerValue(header));
  }
  /** Body as text. */
  get $rb(): string {
    return fromBytes(this.message.text(W_BODY_OFF, W_BODY_LEN));
  }
  /** Status code of a reply, 0 of a request. */
  get $rs(): number {
    return this.message.code;
  }
  /** Reason phrase of a reply. */
  get $rr(): string {
    return fromBytes(this.message.text(W_REASON_OFF, W_REASON_LEN));
  }
  /** Source address and port. */
  get $si(): string {
    const m = this.message;
    return formatAddress(m.address0, m.address1, m.address2, m.address3);
  }
  get $sp(): number {
    return this.message.port;
  }
  /** Address and port it was received on. */
  get $Ri(): string {
    return this.s.core.w.sockets.of(this.message.flow).address;
  }
  get $Rp(): number {
    return this.s.core.w.sockets.of(this.message.flow).port;
  }

  // -- dialog variables ----------------------------------------------------------------------------------------------

  $dlg(name: DlgAttribute): string | number | null {
    return readDlg(this.s.tracker, this.message, name);
  }

  /** Reads a variable of the dialog; with a second argument sets it, null removes it. */
  $dlg_var(key: string): string | null;
  $dlg_var(key: string, value: string | null): boolean;
  $dlg_var(key: string, value?: string | null): string | null | boolean {
    if (value === undefined) return readVar(this.s.tracker, this.message, key);
    return set_dlg_var(this.s.tracker, this.message, key, value);
  }

  $dlg_ctx(name: DlgCtxAttribute): string | number | null;
  $dlg_ctx(name: DlgCtxAttribute, value: string | number | null): boolean;
  $dlg_ctx(name: DlgCtxAttribute, value?: string | number | null): string | number | null | boolean {
    if (value === undefined) return readCtx(this.s.tracker, name);
    return set_dlg_ctx(this.s.tracker, name, value);
  }

  get $DLG_count(): number {
    return $DLG_count(this.s.tracker);
  }
  get $DLG_status(): number | null {
    return $DLG_status(this.s.tracker);
  }
  get $DLG_lifetime(): number | null {
    return $DLG_lifetime(this.s.tracker);
  }

  // -- dialog functions ----------------------------------------------------------------------------------------------

  is_known_dlg(): boolean {
    return is_known_dlg(this.s.tracker, this.message);
  }

  dlg_get(callId: string, fromTag: string, toTag: string): boolean {
    return dlg_get(this.s.tracker, callId, fromTag, toTag);
  }

  set_dlg_profile(profile: string, value: string | null = null): boolean {
    return set_dlg_profile(this.s.tracker, this.message, profile, value);
  }

  /** Joins only while fewer than `limit` are members: N calls that come together cannot overshoot. */
  dlg_try_profile(profile: string, value: string | null, limit: number): boolean {
    return dlg_try_profile(this.s.tracker, this.message, profile, value, limit);
  }

  unset_dlg_profile(profile: string, value: string | null = null): boolean {
    return unset_dlg_profile(this.s.tracker, this.message, profile, value);
  }

  is_in_profile(profile: string, value: string | null = null): boolean {
    return is_in_profile(this.s.tracker, this.message, profile, value);
  }

  /** Members of one value, or without a value of all; -1: there is no such profile. */
  get_profile_size(profile: string, value: string | null = null): number {
    return get_profile_size(this.s.tracker, profile, value);
  }

  /** Counts a call of another system under a name of its own, until `rm` or `expires` (Unix time, 0: never). */
  dlg_remote_profile(
    command: 'add' | 'rm',
    profile: string,
    value: string | null,
    uid: string,
    expires: number,
  ): boolean {
    return dlg_remote_profile(this.s.tracker, command, profile, value, uid, expires);
  }

  dlg_setflag(flag: number): boolean {
    return dlg_setflag(this.s.tracker, flag);
  }

  dlg_resetflag(flag: number): boolean {
    return dlg_resetflag(this.s.tracker, flag);
  }

  dlg_isflagset(flag: number): boolean {
    return dlg_isflagset(this.s.tracker, flag);
  }

  /** Sets a property: `ka-src`, `ka-dst`, `timeout-noreset`; of the dialog, or of the one that is made. */
  dlg_set_property(name: string): boolean {
    return dlg_set_property(this.s.tracker, name);
  }

  dlg_reset_property(name: string): boolean {
    return dlg_reset_property(this.s.tracker, name);
  }

  dlg_set_timeout(seconds: number, entry?: number, id?: number): boolean {
    return dlg_set_timeout(this.s.tracker, this.message, seconds, entry, id);
  }

  /** Sets the lifetime of all dialogs of a profile, or with a value of that one. */
  dlg_set_timeout_by_profile(profile: string, value: string | null, seconds: number): boolean {
    return dlg_set_timeout_by_profile(this.s.tracker, profile, value, seconds);
  }

  /** Reads a variable of any dialog. */
  dlg_get_var(callId: string, fromTag: string, toTag: string, key: string): string | null {
    return dlg_get_var(this.s.tracker, callId, fromTag, toTag, key);
  }

  /** Sets a variable of any dialog; null removes it. */
  dlg_set_var(callId: string, fromTag: string, toTag: string, key: string, value: string | null): boolean {
    return dlg_set_var(this.s.tracker, callId, fromTag, toTag, key, value);
  }

  /** Ends the dialog: BYE to one side or to both. */
  dlg_bye(side: Sides): boolean {
    return dlg_bye(this.s.tracker, side);
  }

  /** Refers one side to an address: REFER, and when that is answered, BYE. */
  dlg_refer(side: OneSide, address: string): boolean {
    return dlg_refer(this.s.tracker, side, address);
  }

  /** dlg_refer() for the dialog with this address. */
  dlg_refer_did(entry: number, id: number, side: OneSide, address: string): boolean {
    return dlg_refer_did(this.s.tracker, entry, id, side, address);
  }

  /** dlg_refer() for the one answered dialog with this Call-ID. */
  dlg_refer_cid(callId: string, side: OneSide, address: string): boolean {
    return dlg_refer_cid(this.s.tracker, callId, side, address);
  }

  /** Forces the dialog's state: unconfirmed, early, answered (no ACK yet), confirmed, deleted; nothing follows from it. */
  dlg_set_state(state: string): boolean {
    return dlg_set_state(this.s.tracker, state);
  }

  /** The sender of the message is reached at its Contact from now on. */
  dlg_update_contact(): boolean {
    return dlg_update_contact(this.s.tracker, this.message);
  }

  /** Requests of our own to the message's sender leave from the socket that it came to. */
  dlg_update_socket(): boolean {
    return dlg_update_socket(this.s.tracker, this.message);
  }

  /** Calls `from`, by way of `op` unless that is '', and refers it to `to`. */
  dlg_bridge(from: string, to: string, op: string): boolean {
    return dlg_bridge(this.s.tracker, from, to, op);
  }

  /** Sends a request inside the dialog; `headers` is whole lines, a body needs its type. */
  dlg_req_within(side: Sides, method: string, headers = '', contentType = '', body = ''): boolean {
    return dlg_req_within(this.s.tracker, side, method, headers, contentType, body);
  }

  // -- the log -------------------------------------------------------------------------------------------------------

  /** Writes one line; the level may be left out (L_ERR, as Kamailio has it). */
  xlog(text: string): boolean;
  xlog(level: LogLevelName, text: string): boolean;
  xlog(first: string, second?: string): boolean {
    const level = second === undefined ? 'L_ERR' : first;
    const event = second ?? first;
    const fields = { call_id: printable(this.message.callId) };
    if (level === 'L_ERR') this.s.log.error(event, fields);
    else if (level === 'L_WARN') this.s.log.warn(event, fields);
    else if (level === 'L_DBG') this.s.log.debug(event, fields);
    else this.s.log.info(event, fields);
    return true;
  }
}

/** U_SCHEME */
const SCHEME_OTHER = 0;
const SCHEME_TEL = 3;

const METHOD_NUMBERS = new Map(METHOD_NAMES.map((name, number) => [name, number]));

/** `'408|5xx'` as a test. */
function statusPattern(pattern: string): RegExp {
  return new RegExp(`^(?:${pattern.toLowerCase().replaceAll('x', '[0-9]')})$`);
}

const PATTERNS_MAX = 1_000;
const statusPatterns = new Map<string, RegExp>();

function matchesStatus(code: number, pattern: string): boolean {
  let test = statusPatterns.get(pattern);
  if (test === undefined) {
    test = statusPattern(pattern);
    if (statusPatterns.size < PATTERNS_MAX) statusPatterns.set(pattern, test);
  }
  return test.test(String(code));
}

/** The request route's context. */
export class RequestContext extends MessageContext {
  /** A request is being routed by it; false once its route has settled. */
  alive = false;
  /** Its route waits for something. */
  waiting = false;
  protected passage: Passage;
  protected table: RouteTable;

  constructor(surroundings: Surroundings, passage: Passage) {
    super(surroundings, passage.message);
    this.passage = passage;
    this.table = surroundings.table;
  }

  /** For the runner: the next request. */
  bind(passage: Passage): void {
    this.passage = passage;
    this.message = passage.message;
    this.table = this.s.table;
    this.alive = true;
    this.waiting = false;
  }

  /** For the runner: its route has settled; what it does from now on touches no other request. */
  retire(nobody: Passage): void {
    this.passage = nobody;
    this.message = nobody.message;
    this.alive = false;
    this.waiting = true;
  }

  /** Runs one step of a route that waited: its transaction and dialog are brought back for it; `over`: they are gone. */
  private late<T>(step: () => T, over: T): T {
    const { core } = this.s;
    if (!this.alive || !core.enter(this.passage)) return over;
    this.waiting = false;
    try {
      return step();
    } finally {
      this.waiting = true;
      core.leave(this.passage);
    }
  }

  // -- checks --------------------------------------------------------------------------------------------------------

  /**
   * Refuses what a proxy must not forward: a demand for extensions (420), an unknown URI scheme (416), a Request-URI that
   * is none or carries header fields (400), an INVITE to a new call without exactly one Contact (400).  What breaks the
   * grammar elsewhere never gets here.  [RFC 3261 16.3, 8.1.1.8]
   */
  sanity_check(): boolean {
    const message = this.message;
    if (message.method === M_INVITE && !message.hasToTag && !hasOneContact(message)) {
      this.send_reply(400, 'One Contact Needed');
      return false;
    }
    let unsupported = '';
    for (
      let n = message.findHeader(HDR_PROXY_REQUIRE);
      n >= 0;
      n = message.findHeader(HDR_PROXY_REQUIRE, n + 1)
    ) {
      unsupported += `Unsupported: ${fromBytes(message.headerValue(n))}\r\n`;
    }
    if (unsupported !== '') {
      this.send_reply(420, 'Bad Extension', unsupported);
      return false;
    }
    const { w } = this.s.core;
    const words = w.memory.words;
    const u = parseUriOf(w, message, message.word(W_RURI_OFF), message.word(W_RURI_LEN));
    const scheme = words[u + U_SCHEME]!;
    if (words[u + U_STATUS] === 0) {
      if (words[u + U_HEADERS_LEN] === 0) return true;
    } else if (scheme === SCHEME_TEL) {
      return true;
    }
    w.count(COUNTERS.badUris);
    if (words[u + U_STATUS] !== 0 && words[u + U_SCHEME_LEN] !== 0 && scheme === SCHEME_OTHER) {
      this.send_reply(416, 'Unsupported URI Scheme');
      return false;
    }
    this.send_reply(400, 'Bad Request-URI');
    return false;
  }

  /** False when Max-Forwards is 0; more than `max` is cut to it, without one the request gets one. */
  mf_process_maxfwd_header(max: number): boolean {
    const value = this.message.word(W_MAX_FORWARDS);
    if (value === 0) return false;
    this.passage.maxForwards = value === NONE || value > max ? max : 0;
    return true;
  }

  /** Whether a URI, `sip:host:port` or bare `host`, names one of our addresses; without one, the R-URI. */
  is_myself(uri: string = this.$ru): boolean {
    const parsed = parseUri(/^[a-z]+:/i.test(uri) && !/^[^:]*:\d+$/.test(uri) ? uri : `sip:${uri}`);
    return parsed !== null && this.s.core.w.sockets.isOursText(parsed.host, parsed.port ?? 0);
  }

  // -- URIs ----------------------------------------------------------------------------------------------------------

  /** R-URI as it will be sent. */
  get $ru(): string {
    return fromBytes(this.passage.requestUri ?? this.message.text(W_RURI_OFF, W_RURI_LEN));
  }
  set $ru(uri: string) {
    this.passage.requestUri = checkUri(uri);
  }
  get $rU(): string {
    return uriPart(this.$ru, 'user');
  }
  set $rU(user: string) {
    this.$ru = replaceUriPart(this.$ru, 'user', user);
  }
  get $rd(): string {
    return uriPart(this.$ru, 'host');
  }
  set $rd(host: string) {
    this.$ru = replaceUriPart(this.$ru, 'host', host);
  }
  get $rp(): number {
    return Number(uriPart(this.$ru, 'port') || 5060);
  }
  set $rp(port: number) {
    this.$ru = replaceUriPart(this.$ru, 'port', String(port));
  }
  /** R-URI as received. */
  get $ou(): string {
    return fromBytes(this.message.text(W_RURI_OFF, W_RURI_LEN));
  }
  /** Next hop that overrides Route and R-URI; null: they decide. */
  get $du(): string | null {
    const { destination } = this.passage;
    return destination === null ? null : fromBytes(destination);
  }
  set $du(uri: string | null) {
    this.passage.destination = uri === null ? null : checkUri(uri);
  }

  /** Reads an AVP of the transaction; with a second argument sets it, null removes it. */
  $avp(name: string): AvpValue | null;
  $avp(name: string, value: AvpValue | null): boolean;
  $avp(name: string, value?: AvpValue | null): AvpValue | null | boolean {
    const { avps } = this.s;
    if (value === undefined) return avps.get(this.passage, name);
    // What came after the transaction's end would stay for ever.
    if (this.waiting) return this.late(() => avps.set(this.passage, name, value), false);
    return avps.set(this.passage, name, value);
  }

  // -- flags ---------------------------------------------------------------------------------------------------------

  /** Sets flag `n` (0..31) of the message; it stays with the transaction. */
  setflag(n: number): boolean {
    if (!isFlag(n)) return false;
    this.passage.flags = (this.passage.flags | (1 << n)) >>> 0;
    return true;
  }

  resetflag(n: number): boolean {
    if (!isFlag(n)) return false;
    this.passage.flags = (this.passage.flags & ~(1 << n)) >>> 0;
    return true;
  }

  isflagset(n: number): boolean {
    return isFlag(n) && (this.passage.flags & (1 << n)) !== 0;
  }

  // -- header edits --------------------------------------------------------------------------------------------------

  /**
   * Adds header lines to the copies that go out; the last line end may be left out.  False: they are too many, and the request is not
   * forwarded without them (500).
   */
  append_hf(line: string): boolean {
    const { passage } = this;
    const { headersAppended } = passage;
    const whole = checkHeaderLines(line);
    const bytes = headersAppended.reduce((sum, one) => sum + one.length, whole.length);
    if (bytes > HEADERS_ADDED_BYTES_MAX) {
      passage.editRefused = true;
      return false;
    }
    headersAppended.push(whole);
    return true;
  }

  /** Takes every header field with this name out of the copies, however many, those that a route added too.  False: there is none. */
  remove_hf(name: string): boolean {
    const { headersAppended, headersRemoved } = this.passage;
    let found = false;
    for (let n = headersAppended.length - 1; n >= 0; n--) {
      const rest = withoutField(headersAppended[n]!, name);
      if (rest === headersAppended[n]) continue;
      found = true;
      if (rest === '') headersAppended.splice(n, 1);
      else headersAppended[n] = rest;
    }
    const before = headersRemoved.length;
    for (let n = this.findHeader(name, 0); n >= 0; n = this.findHeader(name, n + 1)) {
      if (!headersRemoved.includes(n)) headersRemoved.push(n);
    }
    return found || headersRemoved.length > before;
  }

  // -- routing -------------------------------------------------------------------------------------------------------

  loose_route(): boolean {
    if (this.waiting) return this.late(() => this.loose_route(), false);
    if (this.s.timeoutAvp !== null) this.readTimeoutAvp(this.s.timeoutAvp);
    return this.s.core.looseRoute(this.passage);
  }

  /** Whether a Route is left that is not ours: t_relay() follows it unless $du is set, and the next hop will. */
  has_route(): boolean {
    return nextRoute(this.passage) >= 0;
  }

  /** Asks for a Record-Route on the copies; `params` are URI parameters of our own (`;x=1`). */
  record_route(params = ''): boolean {
    this.passage.recordRoute = true;
    this.passage.recordRouteParams = toBytes(params);
    return true;
  }

  /** Answers go to the port the request came from, as if its Via had asked with `rport`. */
  force_rport(): boolean {
    readSender(this.passage, true);
    return true;
  }

  /**
   * Adds a target to the fork; without a URI, the R-URI as it is now with the next hop as it is now ($du).
   *
   * @param nextHop next hop of this target, null: as Route and its URI say
   */
  append_branch(uri?: string, nextHop: string | null = uri === undefined ? this.$du : null): boolean {
    const { targets, targetDestinations } = this.passage;
    if (targets.length >= TARGETS_MAX - 1) return false;
    targets.push(checkUri(uri ?? this.$ru));
    targetDestinations.push(nextHop === null ? null : checkUri(nextHop));
    return true;
  }

  t_newtran(): boolean {
    if (this.waiting) return this.alive;
    if (this.s.dialogFlag !== 0) this.makeFlaggedDialog();
    const made = this.s.core.newTransaction(this.passage);
    this.s.avps.move(this.passage);
    return made;
  }

  t_relay(): boolean {
    if (this.waiting) return this.late(() => this.t_relay(), false);
    if (this.s.dialogFlag !== 0) this.makeFlaggedDialog();
    const relayed = this.s.core.relay(this.passage);
    this.s.avps.move(this.passage);
    return relayed;
  }

  t_cancel_branches(): boolean {
    if (this.waiting) return this.late(() => this.t_cancel_branches(), false);
    return this.s.core.cancelBranches(this.passage);
  }

  t_on_reply(name: string): boolean {
    this.passage.onReply = numbered(this.table.reply.numberOf(name), 'reply', name);
    return true;
  }

  t_on_failure(name: string): boolean {
    this.passage.onFailure = numbered(this.table.failure.numberOf(name), 'failure', name);
    return true;
  }

  t_on_branch(name: string): boolean {
    this.passage.onBranch = numbered(this.table.branch.numberOf(name), 'branch', name);
    return true;
  }

  // -- answers -------------------------------------------------------------------------------------------------------

  /** Replies; in the transaction if there is one.  `extra` is header lines, the last line end may be left out. */
  send_reply(code: number, reason: string, extra = ''): boolean {
    if (this.waiting) return this.late(() => this.send_reply(code, reason, extra), false);
    checkReply(code, reason);
    const lines = this.passage.replyLines + checkReplyLines(extra);
    return this.s.core.reply(this.passage, code, toBytes(reason), lines);
  }

  /** Whether this request has its final answer, by us. */
  get answered(): boolean {
    return this.passage.answered;
  }

  /** Adds header lines to each reply of ours to this request.  [Kamailio's textops] */
  append_to_reply(lines: string): boolean {
    const { passage } = this;
    const whole = checkReplyLines(lines);
    if (passage.replyLines.length + whole.length > HEADERS_ADDED_BYTES_MAX) return false;
    passage.replyLines += whole;
    return true;
  }

  /** Replies without making a transaction. */
  sl_send_reply(code: number, reason: string, extra = ''): boolean {
    return this.send_reply(code, reason, extra);
  }

  /** Answers in the transaction, which is made if there is none. */
  t_reply(code: number, reason: string, extra = ''): boolean {
    if (this.waiting) return this.late(() => this.t_reply(code, reason, extra), false);
    return this.s.core.newTransaction(this.passage) && this.send_reply(code, reason, extra);
  }

  // -- dialogs -------------------------------------------------------------------------------------------------------

  dlg_manage(): boolean {
    if (this.waiting) return this.late(() => this.dlg_manage(), false);
    if (this.s.timeoutAvp !== null) this.readTimeoutAvp(this.s.timeoutAvp);
    const { core, tracker } = this.s;
    const uri = this.passage.requestUri;
    if (uri === null) return this.managed(dlg_manage(tracker, this.message));
    const { scratch } = core.w;
    const at = scratch.at;
    scratch.text(uri);
    const floor = scratch.hold();
    let done = false;
    try {
      done = dlg_manage(tracker, this.message, at, scratch.at - at);
    } finally {
      scratch.letGo(floor);
    }
    scratch.at = at;
    return this.managed(done);
  }

  /** The dialog's lifetime may stand in an AVP: whole seconds.  [manual 5.5, spec 3.1] */
  private readTimeoutAvp(name: string): void {
    const value = this.s.avps.get(this.passage, name);
    const isLifetime = typeof value === 'number' && Number.isInteger(value) && value > 0;
    this.s.tracker.context.avpSeconds = isLifetime ? Math.min(value, LIFETIME_SECONDS_MAX) : 0;
  }

  /** An initial INVITE with the flag of dlg_flag has a dialog when its transaction is made.  [manual 5.4] */
  private makeFlaggedDialog(): void {
    const { message, passage } = this;
    if ((passage.flags & this.s.dialogFlag) === 0 || passage.isFailure) return;
    if (message.method === M_INVITE && !message.hasToTag && this.s.tracker.context.ownIndex === 0)
      this.dlg_manage();
  }

  /** What there is no room for is answered 503, what refuse_merged refuses 482; the route learns it from the false. */
  private managed(done: boolean): boolean {
    if (done) return true;
    const { core, tracker } = this.s;
    if (tracker.context.refusedForMemory) core.refuseForMemory(this.passage);
    else if (tracker.context.refused === 'merged') core.reply(this.passage, 482);
    return false;
  }

  // What follows reads or writes the dialog of the message in hand: a route that waits brings its own back first.

  override $dlg(name: DlgAttribute): string | number | null {
    if (this.waiting) return this.late(() => super.$dlg(name), null);
    return super.$dlg(name);
  }

  override $dlg_var(key: string): string | null;
  override $dlg_var(key: string, value: string | null): boolean;
  override $dlg_var(key: string, value?: string | null): string | null | boolean {
    if (value === undefined) {
      if (this.waiting) return this.late(() => super.$dlg_var(key), null);
      return super.$dlg_var(key);
    }
    if (this.waiting) return this.late(() => super.$dlg_var(key, value), false);
    return super.$dlg_var(key, value);
  }

  override $dlg_ctx(name: DlgCtxAttribute): string | number | null;
  override $dlg_ctx(name: DlgCtxAttribute, value: string | number | null): boolean;
  override $dlg_ctx(name: DlgCtxAttribute, value?: string | number | null): string | number | null | boolean {
    if (value === undefined) {
      if (this.waiting) return this.late(() => super.$dlg_ctx(name), null);
      return super.$dlg_ctx(name);
    }
    if (this.waiting) return this.late(() => super.$dlg_ctx(name, value), false);
    return super.$dlg_ctx(name, value);
  }

  override get $DLG_status(): number | null {
    if (this.waiting) return this.late(() => super.$DLG_status, null);
    return super.$DLG_status;
  }

  override get $DLG_lifetime(): number | null {
    if (this.waiting) return this.late(() => super.$DLG_lifetime, null);
    return super.$DLG_lifetime;
  }

  override is_known_dlg(): boolean {
    if (this.waiting) return this.late(() => super.is_known_dlg(), false);
    return super.is_known_dlg();
  }

  override dlg_get(callId: string, fromTag: string, toTag: string): boolean {
    if (this.waiting) return this.late(() => super.dlg_get(callId, fromTag, toTag), false);
    return super.dlg_get(callId, fromTag, toTag);
  }

  override set_dlg_profile(profile: string, value: string | null = null): boolean {
    if (this.waiting) return this.late(() => super.set_dlg_profile(profile, value), false);
    return super.set_dlg_profile(profile, value);
  }

  override dlg_try_profile(profile: string, value: string | null, limit: number): boolean {
    if (this.waiting) return this.late(() => super.dlg_try_profile(profile, value, limit), false);
    return super.dlg_try_profile(profile, value, limit);
  }

  override unset_dlg_profile(profile: string, value: string | null = null): boolean {
    if (this.waiting) return this.late(() => super.unset_dlg_profile(profile, value), false);
    return super.unset_dlg_profile(profile, value);
  }

  override is_in_profile(profile: string, value: string | null = null): boolean {
    if (this.waiting) return this.late(() => super.is_in_profile(profile, value), false);
    return super.is_in_profile(profile, value);
  }

  override dlg_remote_profile(
    command: 'add' | 'rm',
    profile: string,
    value: string | null,
    uid: string,
    expires: number,
  ): boolean {
    if (this.waiting)
      return this.late(() => super.dlg_remote_profile(command, profile, value, uid, expires), false);
    return super.dlg_remote_profile(command, profile, value, uid, expires);
  }

  override dlg_setflag(flag: number): boolean {
    if (this.waiting) return this.late(() => super.dlg_setflag(flag), false);
    return super.dlg_setflag(flag);
  }

  override dlg_resetflag(flag: number): boolean {
    if (this.waiting) return this.late(() => super.dlg_resetflag(flag), false);
    return super.dlg_resetflag(flag);
  }

  override dlg_isflagset(flag: number): boolean {
    if (this.waiting) return this.late(() => super.dlg_isflagset(flag), false);
    return super.dlg_isflagset(flag);
  }

  override dlg_set_property(name: string): boolean {
    if (this.waiting) return this.late(() => super.dlg_set_property(name), false);
    return super.dlg_set_property(name);
  }

  override dlg_reset_property(name: string): boolean {
    if (this.waiting) return this.late(() => super.dlg_reset_property(name), false);
    return super.dlg_reset_property(name);
  }

  override dlg_set_timeout(seconds: number, entry?: number, id?: number): boolean {
    if (this.waiting) return this.late(() => super.dlg_set_timeout(seconds, entry, id), false);
    return super.dlg_set_timeout(seconds, entry, id);
  }

  /** The R-URI becomes the Contact of the side that the request goes to. */
  dlg_set_ruri(): boolean {
    if (this.waiting) return this.late(() => this.dlg_set_ruri(), false);
    const target = targetOf(this.s.tracker);
    if (target === null) return false;
    this.$ru = target;
    return true;
  }

  override dlg_bye(side: Sides): boolean {
    if (this.waiting) return this.late(() => super.dlg_bye(side), false);
    return super.dlg_bye(side);
  }

  override dlg_refer(side: OneSide, address: string): boolean {
    if (this.waiting) return this.late(() => super.dlg_refer(side, address), false);
    return super.dlg_refer(side, address);
  }

  override dlg_refer_did(entry: number, id: number, side: OneSide, address: string): boolean {
    if (this.waiting) return this.late(() => super.dlg_refer_did(entry, id, side, address), false);
    return super.dlg_refer_did(entry, id, side, address);
  }

  override dlg_refer_cid(callId: string, side: OneSide, address: string): boolean {
    if (this.waiting) return this.late(() => super.dlg_refer_cid(callId, side, address), false);
    return super.dlg_refer_cid(callId, side, address);
  }

  override dlg_set_state(state: string): boolean {
    if (this.waiting) return this.late(() => super.dlg_set_state(state), false);
    return super.dlg_set_state(state);
  }

  override dlg_update_contact(): boolean {
    if (this.waiting) return this.late(() => super.dlg_update_contact(), false);
    return super.dlg_update_contact();
  }

  override dlg_update_socket(): boolean {
    if (this.waiting) return this.late(() => super.dlg_update_socket(), false);
    return super.dlg_update_socket();
  }

  override dlg_bridge(from: string, to: string, op: string): boolean {
    if (this.waiting) return this.late(() => super.dlg_bridge(from, to, op), false);
    return super.dlg_bridge(from, to, op);
  }

  override dlg_req_within(side: Sides, method: string, headers = '', contentType = '', body = ''): boolean {
    if (this.waiting)
      return this.late(() => super.dlg_req_within(side, method, headers, contentType, body), false);
    return super.dlg_req_within(side, method, headers, contentType, body);
  }
}

/** The failure route's context: the request as it came, and the best answer so far. */
export class FailureContext extends RequestContext {
  private code = 0;

  /** For the runner. */
  failed(passage: Passage, code: number): void {
    this.bind(passage);
    this.code = code;
  }

  /** Whether the best answer's code is one of these: `'408|5xx'`. */
  t_check_status(pattern: string): boolean {
    return matchesStatus(this.code, pattern);
  }

  /** Whether any branch got an answer with this code. */
  t_branch_replied(pattern: string): boolean {
    const x = this.s.core.w.x;
    for (let n = 0; n < x[T_BRANCH_COUNT]!; n++)
      if (matchesStatus(x[branchAt(n) + B_CODE]!, pattern)) return true;
    return false;
  }

  /**
   * Answers the challenge of the best answer, 401 or 407, with our credentials for its realm: the next t_relay() sends the
   * request once more to who asked.  `mode` 1: a password in an AVP is H(user:realm:password).  False: no challenge that
   * can be answered, or credentials that were refused.
   */
  uac_auth(mode: 0 | 1 = 0): boolean {
    const { auth, avps, core } = this.s;
    return uac_auth(core, auth, avps, this.passage, mode);
  }

  /** Code of the best answer ($T_reply_code). */
  get $T_reply_code(): number {
    return this.code;
  }
}

/** The reply route's context. */
export class ReplyContext extends MessageContext {
  dropped = false;

  bind(message: Message): void {
    this.message = message;
    this.dropped = false;
  }

  /** Whether the answer's code is one of these: `'18x'`. */
  t_check_status(pattern: string): boolean {
    return matchesStatus(this.message.code, pattern);
  }

  /** Takes a provisional answer out; a final one cannot be dropped. */
  drop(): boolean {
    this.dropped = true;
    return this.message.code < 200;
  }

  /** Code of the last answer sent upstream. */
  get $T_reply_last(): number {
    return this.s.core.w.x[T_CODE]!;
  }
}

/** The branch route's context: $ru and $du are this branch's. */
export class BranchContext extends RequestContext {
  /** Number of the branch, from 0. */
  $T_branch_idx = 0;

  override t_relay(): boolean {
    return false;
  }
}

/** The context of `tm:local-request`: a request of our own, before it goes out; nothing answers or relays it. */
export class LocalRequestContext extends RequestContext {
  dropped = false;

  override bind(passage: Passage): void {
    super.bind(passage);
    this.dropped = false;
  }

  /** The request is not sent. */
  drop(): boolean {
    this.dropped = true;
    return true;
  }

  /** The socket it leaves by, `udp:192.0.2.1:5060`; '' while the destination decides. */
  get $fs(): string {
    const { flow } = this.message;
    return flow === 0 ? '' : this.s.core.w.sockets.of(flow).name;
  }
  set $fs(name: string) {
    const socket = this.s.core.w.sockets.all.find((one) => one.name === name);
    if (socket === undefined) throw new TypeError(`not a socket of ours: ${JSON.stringify(name)}`);
    this.message.flow = socket.flow;
  }

  override t_relay(): boolean {
    return false;
  }
  override t_newtran(): boolean {
    return false;
  }
  override t_reply(): boolean {
    return false;
  }
  override send_reply(): boolean {
    return false;
  }
  override loose_route(): boolean {
    return false;
  }
  override dlg_manage(): boolean {
    return false;
  }
}

/** An event route's context. */
export class EventContext extends MessageContext {
  private readonly none: Message;

  constructor(surroundings: Surroundings, none: Message) {
    super(surroundings, none);
    this.none = none;
  }

  bind(message: Message | null): void {
    this.message = message ?? this.none;
  }

  /** The message that it is about, null: none. */
  get bound(): Message | null {
    return this.hasMessage ? this.message : null;
  }

  /** Whether a message made the event; the message variables are empty without one. */
  get hasMessage(): boolean {
    return this.message !== this.none;
  }
}

function numbered(number: number, kind: string, name: string): number {
  if (number === 0) throw new TypeError(`there is no ${kind} route called ${name}`);
  return number;
}

function isFlag(n: number): boolean {
  return Number.isInteger(n) && n >= 0 && n <= 31;
}

function checkUri(uri: string): string {
  if (typeof uri !== 'string' || uri === '' || /[\s<>"\u0000-\u001f\u007f]/.test(uri)) {
    throw new TypeError(`not a URI: ${JSON.stringify(uri)}`);
  }
  return toBytes(uri);
}

/** Header lines without those of one field, whichever way its name is written. */
function withoutField(lines: string, name: string): string {
  const id = headerId(name);
  const isField = (line: string): boolean => {
    const written = line.slice(0, line.indexOf(':')).trim();
    return id === HDR_OTHER ? written.toLowerCase() === name.toLowerCase() : headerId(written) === id;
  };
  return lines
    .split(/(?<=\r\n)/)
    .filter((line) => !isField(line))
    .join('');
}

/** Whole header lines, a character for each byte. */
function checkHeaderLines(text: string): string {
  const whole = headerLines(toBytes(text));
  if (whole === null || whole === '') throw new TypeError(`not header lines: ${JSON.stringify(text)}`);
  return whole;
}

/** Fields that a reply repeats from its request, or that end it. */
const OWNED_BY_REPLY = /^(?:via|v|from|f|to|t|call-id|i|cseq|content-length|l)[ \t]*:/im;

function checkReplyLines(text: string): string {
  if (text === '') return '';
  const whole = checkHeaderLines(text);
  if (OWNED_BY_REPLY.test(whole))
    throw new TypeError(`a reply has these from its request: ${JSON.stringify(text)}`);
  return whole;
}

function checkReply(code: number, reason: string): void {
  if (!Number.isInteger(code) || code < 100 || code > 699)
    throw new RangeError(`status code ${code}: 100 to 699`);
  if (/[\r\n]/.test(reason)) throw new TypeError('a reason phrase has no line end');
}
