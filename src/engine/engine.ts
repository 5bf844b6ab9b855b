/**
 * DialogEngine: the dialogs alone, inside a program that has its own SIP stack.
 *
 * It is fed each request and each reply once, as your transactions let them through, and says which dialog they belong
 * to and what they changed; it raises the callbacks, keeps the time and hands over the requests that a dialog wants
 * sent.  It opens no socket and proxies nothing.  One engine serves one segment and is called by one thread; a process may have several.
 *
 * Transactions.  An INVITE that made a dialog is named by what is in it, Call-ID, From tag and CSeq number, so its
 * replies need no key.  The engine remembers it until 32 s after its final answer (a fork may answer again), or until
 * inviteEnded() says that your transaction is over.  An INVITE without a final answer ends its dialog after
 * `early_timeout` at the latest.
 */
import { type Clock, systemClock } from '../clock.js';
import type { Params } from '../config/load.js';
import { type DialogNews, DLGCB } from '../dialog/callbacks.js';
import { CookieReader } from '../dialog/cookie.js';
import type { DialogAddress, DialogHandle, DialogView } from '../dialog/dialog.js';
import { BOTH_SIDES, type EndResult } from '../dialog/ending.js';
import { DELETED } from '../dialog/machine.js';
import { changeProperties, PROPERTIES, type PropertyName } from '../dialog/properties.js';
import { type DialogPage, DialogReader } from '../dialog/reader.js';
import { headerBlock } from '../dialog/requests.js';
import { DialogTracker } from '../dialog/tracker.js';
import { EngineError } from '../errors.js';
import { OnceAMinute, silentLog } from '../log.js';
import {
  addon,
  type MemoryWire,
  type SegmentId,
  type SegmentUsage,
  type Shard,
  STATUS,
} from '../memory/addon.js';
import { ShardMemory } from '../memory/shard-memory.js';
import { D_ENTRY, D_ID, D_STATE } from '../memory/words.js';
import type { Message } from '../sip/message.js';
import { SipParser } from '../sip/parse.js';
import { type Arrival, Inbox, type SipInput } from './inbox.js';
import { KeptRequests } from './kept-requests.js';
import { type CallEvent, copyOf, type EngineNews, NOTHING, type Step } from './news.js';
import { type EngineOptions, openSegment, readParams, socketNames, TICK_MS } from './options.js';
import { Outbox } from './outbox.js';
import { type Beginning, Passage } from './passage.js';

/** What on() tells of: a call was answered, is over, was never answered, is about to end because its time is over. */
export type CallEventName = 'start' | 'end' | 'failed' | 'timeout';

/** Listeners of each event of on(). */
const EVENT_LISTENERS_MAX = 16;
/** Dialogs that LOADED is told of before the next are looked up. */
const LOADED_AT_A_TIME = 100;
/** With the caller's clock: the wire that carries nothing wants an address. */
const NO_ADDRESS = [{ address: '127.0.0.1', port: 5060 }];
const MALFORMED: Step = { ...NOTHING, refused: 'malformed' };

export class DialogEngine {
  private readonly segment: SegmentId;
  private readonly native: Shard;
  private readonly wire: MemoryWire | null;
  private readonly inbox: Inbox;
  private readonly tracker: DialogTracker;
  private readonly passage: Passage;
  private readonly outbox: Outbox;
  private readonly reader: DialogReader;
  private readonly ownRecordRoutes: number;
  private readonly ticking: NodeJS.Timeout | null;
  private readonly listeners: Readonly<Record<CallEventName, ((event: CallEvent) => void)[]>> = {
    start: [],
    end: [],
    failed: [],
    timeout: [],
  };
  private isBusy = false;
  private isClosed = false;

  /**
   * Opens an engine on its segment: the calls in the file are taken over if there are any.
   *
   * @throws EngineError ERR_CONFIG, ERR_SEGMENT, ERR_SEGMENT_IN_USE, ERR_SEGMENT_ROOM, ERR_PERMISSION
   */
  static async open(options: EngineOptions): Promise<DialogEngine> {
    const params = readParams(options);
    const { segment, attached, warning } = openSegment(options, params);
    try {
      // Joins of a process before this one whose calls never became dialogs.
      if (attached) addon.profilesGiveBack(segment, 0);
      return new DialogEngine(options, params, segment, attached, warning);
    } catch (error) {
      addon.closeSegment(segment, false);
      throw error;
    }
  }

  private constructor(
    options: EngineOptions,
    params: Params['dialog'],
    segment: SegmentId,
    attached: boolean,
    warning: string | null,
  ) {
    const memory = new ShardMemory();
    const isCallersClock = options.clock === 'caller';
    this.segment = segment;
    this.wire = isCallersClock ? addon.createMemoryWire(segment, NO_ADDRESS, 1) : null;
    this.native = addon.openShard({
      segment,
      owner: 0,
      memory: memory.bytes,
      exchange: memory.exchange,
      receiveWindowMs: 0,
      wire: this.wire,
    });
    this.native.receive();
    const { native } = this;
    const clock: Clock = {
      monotonicMs: () => systemClock.monotonicMs(),
      unixSeconds: () => native.nowUnixSeconds(),
    };
    const log = new OnceAMinute(options.log ?? silentLog, clock);
    if (warning !== null) log.warn('segment_found', { warning });

    const parser = new SipParser(memory.wasm);
    const kept = new KeptRequests(memory, parser);
    this.inbox = new Inbox(memory, parser, socketNames(options));
    this.ownRecordRoutes = options.recordRoutes ?? 1;
    this.tracker = new DialogTracker({
      native,
      memory,
      params,
      events: {
        start: (message) => this.tell('start', message),
        end: (message) => this.tell('end', message),
        failed: (message) => this.tell('failed', message),
        timeout: (route) => this.tell('timeout', null, route),
        routeNumber: (route) => (route === '' ? 0 : 1),
      },
      log,
      activeDialogs: () => addon.statistics(segment)['dialog:active_dialogs'] ?? 0,
      // The outbox is made for the tracker, and sends for it.
      sender: {
        send: (request) => this.outbox.send(request),
        hasRoom: (n) => this.outbox.hasRoom(n),
        hasRoomFor: (first, second) => this.outbox.hasRoomFor(first, second),
        endInvite: (index, generation, code, reason) =>
          this.outbox.endInvite(index, generation, code, reason),
      },
      storedRequest: () => kept.stored(),
      answeredText: () => this.outbox.answeredText,
      nowMs: () => systemClock.monotonicMs(),
      walk: {
        owner: 0,
        next: (cursor) => addon.nextDialog(segment, cursor),
        nextEnded: (cursor) => addon.nextEndedDialog(segment, cursor),
      },
    });
    const cookie = new CookieReader(memory.bytes, params.rr_param);
    const { tracker } = this;
    this.passage = new Passage({ native, memory, parser, tracker, cookie, kept, params, adopts: attached });
    this.outbox = new Outbox({
      native,
      tracker,
      sockets: socketNames(options),
      hands: options,
      isRinging: (index, generation) => this.passage.isRinging(index, generation),
      onFault: (error) => log.error('hand_over_threw', { reason: String(error) }),
    });
    this.reader = new DialogReader(
      {
        snapshot: (index, out) => addon.snapshot(segment, index, out),
        next: (cursor) => addon.nextDialog(segment, cursor),
        findCall: (callId, nth) => addon.findCall(segment, callId, '', nth),
        profileCount: (name, value) => addon.profileCount(segment, name, value),
        profileMembers: (name, value, skip, out) => addon.profileMembers(segment, name, value, skip, out),
        bootSeconds: () => native.nowBootSeconds(),
      },
      params,
      clock,
    );
    this.ticking = startTicking(isCallersClock ? 0 : (options.tickMs ?? TICK_MS), () => this.tick());
  }

  // ---- messages ----------------------------------------------------------------------------------------------------

  /**
   * A request passes: an initial INVITE makes a dialog, one within a dialog finds it.
   *
   * Feed it as it came, with your own Route still on it: a topmost Route with our cookie is matched as `dlg_match_mode`
   * says, everything else by Call-ID and tags.
   */
  request(input: SipInput, how: Arrival & Beginning = {}): Step {
    return this.inTurn(() => {
      const message = this.inbox.read(input, how);
      return message?.isRequest ? this.passage.request(message, how) : MALFORMED;
    });
  }

  /**
   * A reply passes, as it came from downstream or as you made it yourself.
   *
   * @param how.recordRoutes how many of its Record-Route values are your own; left out: the option of that name
   */
  reply(input: SipInput, how: Arrival & { readonly recordRoutes?: number } = {}): Step {
    return this.inTurn(() => {
      const message = this.inbox.read(input, how);
      if (message === null || message.isRequest) return MALFORMED;
      return this.passage.reply(message, how.recordRoutes ?? this.ownRecordRoutes);
    });
  }

  /** Your transaction of a dialog's INVITE is over; if it had no final answer, the dialog has failed. */
  inviteEnded(dialog: DialogAddress): void {
    this.inTurn(() => this.passage.inviteEnded(this.handleOf(dialog)));
  }

  /**
   * The final answer to a request that was handed over; a number where there is no message: 408 when none came.
   *
   * @returns false: nobody waits for it, or it is not final
   */
  answered(id: number, answer: SipInput | number): boolean {
    return this.inTurn(() => {
      if (typeof answer === 'number') return answer >= 200 && this.outbox.answered(id, null, answer);
      const message = this.inbox.read(answer, {});
      if (message === null || message.isRequest || message.code < 200) return false;
      return this.outbox.answered(id, message, message.code);
    });
  }

  // ---- listeners ---------------------------------------------------------------------------------------------------

  /**
   * Hears that a call was answered, is over, or failed: once for each dialog; or that the time of one with a timeout
   * route is over, which setLifetime() may still give more.  What a listener throws is logged.
   */
  on(event: CallEventName, listener: (event: CallEvent) => void): this {
    this.assertOpen();
    const listeners = this.listeners[event];
    if (listeners === undefined) throw new EngineError('ERR_ENGINE', `on: no event is called ${event}`);
    if (listeners.length >= EVENT_LISTENERS_MAX) {
      throw new EngineError('ERR_ENGINE', `on ${event}: at most ${EVENT_LISTENERS_MAX} listeners`);
    }
    listeners.push(listener);
    return this;
  }

  /**
   * register_dlgcb: hears of one dialog, or with null of all; LOADED is told at once for each dialog there is.
   * [manual 10]
   *
   * @param types sum of DLGCB
   * @throws EngineError ERR_ENGINE when the types cannot be combined, never fire, or too many listen already
   */
  registerDlgcb(dialog: DialogAddress | null, types: number, listener: (news: EngineNews) => void): void {
    this.assertOpen();
    const handle = dialog === null ? null : this.handleOf(dialog);
    const registered = this.tracker.callbacks.register(handle, types, (news) => listener(this.newsOf(news)));
    if (!registered) throw new EngineError('ERR_ENGINE', `registerDlgcb: types ${types} cannot be had`);
    if (types === DLGCB.LOADED) this.tellLoaded(listener);
  }

  // ---- one dialog --------------------------------------------------------------------------------------------------

  /** The dialog of an address; null if it is gone. */
  get(dialog: DialogAddress): DialogView | null {
    this.assertOpen();
    if (this.native.dialogFindById(dialog.entry, dialog.id) !== STATUS.ok) return null;
    const { index, generation } = this.tracker.records;
    return this.reader.get({ index, generation });
  }

  /** $dlg_var: null when it is not set. */
  variable(dialog: DialogAddress, key: string): string | null {
    const { index, generation } = this.handleOf(dialog);
    return this.tracker.variables.read(index, generation, key);
  }

  /** Sets a text that lives with the dialog; null removes it.  False: no room, or too long. */
  setVariable(dialog: DialogAddress, key: string, value: string | null): boolean {
    const { index, generation } = this.handleOf(dialog);
    return this.tracker.variables.write(index, generation, key, value);
  }

  /** The lifetime begins anew with these seconds; before the answer it counts from there.  False: it has ended. */
  setLifetime(dialog: DialogAddress, seconds: number): boolean {
    this.handleOf(dialog);
    return this.tracker.setTimeout(seconds);
  }

  /**
   * dlg_set_property, dlg_reset_property: `ka-src` and `ka-dst` have caller and callee probed with OPTIONS, every
   * `ka_interval` seconds if `ka_timer` is set too; `timeout-noreset` leaves the lifetime as it is, whatever passes.
   *
   * @returns false: the dialog has ended
   * @throws EngineError ERR_NO_SUCH_DIALOG, and ERR_ENGINE for another name
   */
  setProperty(dialog: DialogAddress, name: PropertyName, isSet = true): boolean {
    if (!Object.hasOwn(PROPERTIES, name)) throw new EngineError('ERR_ENGINE', `setProperty: no ${name}`);
    this.handleOf(dialog);
    const { params, records } = this.tracker;
    if (records.x[D_STATE] === DELETED) return false;
    const bit = PROPERTIES[name];
    return changeProperties(records, params, isSet ? bit : 0, isSet ? 0 : bit);
  }

  /**
   * Ends the call: BYE to one side or both.
   *
   * @param how.side 1 caller, 2 callee; left out: both
   * @param how.headers whole header lines for the BYEs, each with its CRLF
   * @returns `ended`; `unreachable`: it has ended, but a side could not be told; `gone`: it had ended; `too_early`: it is
   *          not answered; `no_room`: too many requests wait for answers, or nobody sends
   * @throws EngineError ERR_NO_SUCH_DIALOG, and ERR_ENGINE for headers that are none
   */
  end(
    dialog: DialogAddress,
    { side = 0, headers = '' }: { readonly side?: 0 | 1 | 2; readonly headers?: string } = {},
  ): EndResult {
    const lines = headerBlock(headers);
    if (lines === null) throw new EngineError('ERR_ENGINE', 'end: the headers cannot stand in a request');
    const work = (): EndResult => {
      const { index, generation } = this.handleOf(dialog);
      return this.tracker.ending.end(index, generation, side === 0 ? BOTH_SIDES : side, lines);
    };
    return this.isBusy ? work() : this.inTurn(work);
  }

  /** dlg_refer: one side is asked to call `address`, and gets a BYE when it has answered.  False: it cannot be asked. */
  refer(dialog: DialogAddress, side: 1 | 2, address: string): boolean {
    const work = (): boolean => {
      const { index, generation } = this.handleOf(dialog);
      return this.tracker.refer.refer(index, generation, side, address);
    };
    return this.isBusy ? work() : this.inTurn(work);
  }

  /**
   * dlg_bridge: calls `from` on hold, asks it to call `to`, and leaves.  The 2xx to the INVITE that is handed over is
   * yours to acknowledge.
   *
   * @param outbound URI of the first hop; '': `from` itself
   * @param sdp body of the INVITE; null: a hold
   */
  bridge(from: string, to: string, outbound = '', sdp: string | null = null): boolean {
    const work = (): boolean => this.tracker.bridge.bridge(from, to, outbound, sdp);
    return this.isBusy ? work() : this.inTurn(work);
  }

  /**
   * The dialog is counted in a profile from now until it ends; `value` null for a profile without values.
   *
   * @param limit at most so many members of that value; 0: no limit
   * @returns false when it is full, or the value cannot be used
   * @throws EngineError ERR_NO_SUCH_PROFILE, ERR_NO_SUCH_DIALOG
   */
  joinProfile(dialog: DialogAddress, profile: string, value: string | null, limit = 0): boolean {
    const { context, profiles } = this.tracker;
    return this.at(dialog, (message) => profiles.tryJoin(context, message, profile, value, limit));
  }

  /** The newest matching membership goes; false if there is none. */
  leaveProfile(dialog: DialogAddress, profile: string, value: string | null): boolean {
    const { context, profiles } = this.tracker;
    return this.at(dialog, (message) => profiles.unset(context, message, profile, value));
  }

  /** Without a value any value counts. */
  isInProfile(dialog: DialogAddress, profile: string, value: string | null = null): boolean {
    return this.at(dialog, (message) => this.tracker.profiles.isIn(message, profile, value));
  }

  // ---- all dialogs -------------------------------------------------------------------------------------------------

  /**
   * Dialogs in all states, a page at a time.
   *
   * @param cursor 0 at first, then the `next` of the page before
   */
  list(cursor = 0, limit = 100): DialogPage {
    this.assertOpen();
    return this.reader.list(cursor, limit);
  }

  /** Dialogs with this Call-ID, and unless it is null with this tag on either side. */
  findCall(callId: string, tag: string | null = null): readonly DialogView[] {
    this.assertOpen();
    return this.reader.find(callId, tag);
  }

  /** Members of a profile, of one value unless that is null; null: no such profile. */
  profileSize(profile: string, value: string | null = null): number | null {
    this.assertOpen();
    return this.reader.profileSize(profile, value);
  }

  /** A dialog for each membership; null: no such profile. */
  profileMembers(profile: string, value: string | null = null): Iterable<DialogView> | null {
    this.assertOpen();
    return this.reader.profileMembers(profile, value);
  }

  /** Statistics by name: `dialog:active_dialogs` and the like. */
  statistics(): Readonly<Record<string, number>> {
    this.assertOpen();
    return addon.statistics(this.segment);
  }

  /** How full the segment is. */
  usage(): SegmentUsage {
    this.assertOpen();
    return addon.segmentUsage(this.segment);
  }

  // ---- time --------------------------------------------------------------------------------------------------------

  /**
   * Looks what is due: lifetimes, INVITEs without an answer.  A bounded piece of work.
   *
   * @param milliseconds with `clock: 'caller'` the time since the segment was made; else nothing
   */
  tick(milliseconds?: number): void {
    this.inTurn(() => {
      if (milliseconds !== undefined) this.setTime(milliseconds);
      this.native.receive();
      this.tracker.tick();
      this.passage.tick();
      this.outbox.tick();
    });
  }

  /**
   * Lets go of the segment; every later call throws ERR_ENGINE.
   *
   * @param how.remove true: the file goes too, and with it all calls; else the next open() finds them
   */
  close({ remove = false }: { readonly remove?: boolean } = {}): void {
    if (this.isClosed) return;
    if (this.isBusy) throw new EngineError('ERR_ENGINE', 'close: not from within a callback');
    this.isClosed = true;
    if (this.ticking !== null) clearInterval(this.ticking);
    this.native.stop();
    this.native.release();
    addon.closeSegment(this.segment, remove);
  }

  // ---- what the calls have in common -------------------------------------------------------------------------------

  /** One thing at a time: there is one message in hand. */
  private inTurn<T>(work: () => T): T {
    this.assertOpen();
    if (this.isBusy) throw new EngineError('ERR_ENGINE', 'not from within a callback');
    this.isBusy = true;
    this.passage.begin();
    let result: T;
    try {
      result = work();
    } finally {
      this.isBusy = false;
    }
    this.outbox.flush();
    return result;
  }

  private assertOpen(): void {
    if (this.isClosed) throw new EngineError('ERR_ENGINE', 'it is closed');
  }

  private setTime(milliseconds: number): void {
    if (this.wire === null) {
      throw new EngineError('ERR_ENGINE', "tick: the time is given with clock: 'caller' only");
    }
    this.wire.setTime(milliseconds);
  }

  private tell(event: CallEventName, message: Message | null, route: string | null = null): boolean {
    const listeners = this.listeners[event];
    if (listeners.length === 0) return false;
    const { index, generation } = this.tracker.context;
    const told: CallEvent = {
      dialog: this.addressOf(index, generation),
      message: message === null ? null : copyOf(message),
      route,
    };
    for (const listener of listeners) listener(told);
    return true;
  }

  private newsOf({ type, index, generation, request, reply, direction, data }: DialogNews): EngineNews {
    return {
      type,
      dialog: this.addressOf(index, generation),
      request: request === null ? null : copyOf(request),
      reply: reply === null ? null : copyOf(reply),
      direction,
      data,
    };
  }

  private tellLoaded(listener: (news: EngineNews) => void): void {
    for (let cursor: number | null = 0; cursor !== null; ) {
      const page: DialogPage = this.reader.list(cursor, LOADED_AT_A_TIME);
      for (const { h_entry, h_id } of page.dialogs) {
        const dialog = { entry: h_entry, id: h_id };
        listener({ type: DLGCB.LOADED, dialog, request: null, reply: null, direction: 0, data: null });
      }
      cursor = page.next;
    }
  }

  private addressOf(index: number, generation: number): DialogAddress {
    const { records } = this.tracker;
    if (!records.load(index, generation)) return { entry: 0, id: 0 };
    return { entry: records.x[D_ENTRY]!, id: records.x[D_ID]! };
  }

  /** The dialog's record, which is in hand then. */
  private handleOf(dialog: DialogAddress): DialogHandle {
    this.assertOpen();
    if (this.native.dialogFindById(dialog.entry, dialog.id) !== STATUS.ok) {
      throw new EngineError('ERR_NO_SUCH_DIALOG', `${dialog.entry}:${dialog.id}`);
    }
    const { index, generation } = this.tracker.records;
    return { index, generation };
  }

  /** Does something as a route does that runs on a message of this dialog. */
  private at<T>(dialog: DialogAddress, work: (message: Message) => T): T {
    const { index, generation } = this.handleOf(dialog);
    const { context } = this.tracker;
    const before = { index: context.index, generation: context.generation, direction: context.direction };
    context.point(index, generation, 0);
    try {
      return work(this.inbox.message);
    } finally {
      context.point(before.index, before.generation, before.direction);
    }
  }
}

/** Keeps no process alive. */
function startTicking(everyMs: number, tick: () => void): NodeJS.Timeout | null {
  return everyMs === 0 ? null : setInterval(tick, everyMs).unref();
}
