/**
 * A tracker over a real segment in a temporary file, and the hands that a proxy would have: messages are parsed from
 * text, transactions are records of the segment.  The clock stands still until it is moved.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Config, defaultConfig } from '../../../dist/config/load.js';
import type { DialogHandle, DialogView } from '../../../dist/dialog/dialog.js';
import type { LogFields, OwnRequest, Sent } from '../../../dist/dialog/ports.js';
import { profileDefinitions } from '../../../dist/dialog/profile.js';
import { DialogReader } from '../../../dist/dialog/reader.js';
import { DialogTracker } from '../../../dist/dialog/tracker.js';
import { addon, type MemoryWire, type SegmentUsage, type Shard, STATUS } from '../../../dist/memory/addon.js';
import { ShardMemory } from '../../../dist/memory/shard-memory.js';
import * as words from '../../../dist/memory/words.js';
import { constant } from '../../../dist/memory/words.js';
import { Message } from '../../../dist/sip/message.js';
import { SipParser } from '../../../dist/sip/parse.js';

const LISTEN = [{ address: '127.0.0.1', port: 5060 }];
const SOCKETS = ['udp:127.0.0.1:5060', 'udp:127.0.0.2:5060'];
const PROFILES = ['dialog:profiles_with_value=caller;callee', 'dialog:profiles_no_value=all'];

/** What is written of a message; the rest is as in any call. */
export type Parts = {
  readonly method?: string;
  /** A response to `method`. */
  readonly code?: number;
  readonly callId?: string;
  readonly from?: string | null;
  readonly to?: string | null;
  readonly cseq?: number;
  readonly contact?: string | null;
  readonly requestUri?: string;
  readonly recordRoutes?: readonly string[];
  /** Parameters of the topmost Route, which is ours: ";lr;did=1.2". */
  readonly route?: string;
};

/** The text of a message. */
export function textOf(parts: Parts): string {
  const { method = 'INVITE', code, callId = 'call@h', from = 'a1', to = null, cseq = 7 } = parts;
  const { contact = '<sip:alice@192.0.2.10:5062>', recordRoutes = [], route } = parts;
  const lines = [
    code === undefined ? `${method} ${parts.requestUri ?? 'sip:bob@h'} SIP/2.0` : `SIP/2.0 ${code} Reason`,
    'Via: SIP/2.0/UDP 192.0.2.10:5062;branch=z9hG4bK1',
    ...(route === undefined ? [] : [`Route: <sip:127.0.0.1${route}>`]),
    ...recordRoutes.map((value) => `Record-Route: ${value}`),
    `From: "Alice" <sip:alice@example.com>${from === null ? '' : `;tag=${from}`}`,
    `To: <sip:bob@example.com>${to === null ? '' : `;tag=${to}`}`,
    `Call-ID: ${callId}`,
    `CSeq: ${cseq} ${method}`,
    ...(contact === null ? [] : [`Contact: ${contact}`]),
    'Max-Forwards: 70',
    'Content-Length: 0',
  ];
  return `${lines.join('\r\n')}\r\n\r\n`;
}

/** A request of our own as it leaves. */
function withVia(text: string): string {
  const at = text.indexOf('\r\n') + 2;
  return `${text.slice(0, at)}Via: SIP/2.0/UDP 127.0.0.1:5060;branch=z9hG4bKown\r\n${text.slice(at)}`;
}

/** A transaction of the segment. */
export type Transaction = { readonly index: number; readonly generation: number };

export class World {
  readonly segment: number;
  readonly wire: MemoryWire;
  readonly native: Shard;
  readonly memory = new ShardMemory();
  readonly tracker: DialogTracker;
  readonly engine: DialogReader;
  readonly config: Config;
  /** Event routes that ran, in order: "start 200", "end BYE", "failed -". */
  readonly events: string[] = [];
  /** What was logged. */
  readonly faults: string[] = [];
  /** The fields of the same lines. */
  readonly told: Readonly<Record<string, string | number>>[] = [];
  /** Requests of our own, in the order in which they were sent. */
  readonly sent: OwnRequest[] = [];
  /** Room for so many more of them. */
  sendRoom = 1000;
  /** Sides that cannot be reached. */
  readonly unreachable = new Set<number>();
  /** Sides whose requests find no memory though there seemed to be some. */
  readonly lacksMemory = new Set<number>();
  /** INVITEs ended by us: "code reason". */
  readonly endedInvites: string[] = [];
  private readonly ownTransactions: Transaction[] = [];
  /** Runs inside every event route. */
  inEvent: (name: string) => void = () => {};
  /** Where a message came from, if that is not what its Contact says. */
  sourceOf: (message: Message) => string = () => '';
  /** Timeout routes of the script, by name. */
  readonly timeoutRoutes = new Map<string, () => void>();
  readonly startMs = 1000;
  private readonly parser: SipParser;
  private readonly folder: string;
  private nowMs = this.startMs;
  private place = 0;

  static async open(...set: readonly string[]): Promise<World> {
    return new World(await defaultConfig(...PROFILES, ...set));
  }

  private constructor(config: Config) {
    this.config = config;
    this.folder = mkdtempSync(join(tmpdir(), 'holdfast-dialog-'));
    const params = config.params.dialog;
    this.segment = addon.createSegment({
      path: join(this.folder, 'segment'),
      bytes: 24 * 1024 * 1024,
      hashSize: params.hash_size,
      workers: 1,
      hIdStart: null,
      hIdStep: 1,
      profiles: profileDefinitions(params),
      sockets: SOCKETS,
      mailboxBytes: 1 << 20,
    });
    this.wire = addon.createMemoryWire(this.segment, LISTEN, 1);
    this.native = addon.openShard({
      segment: this.segment,
      owner: 0,
      memory: this.memory.bytes,
      exchange: this.memory.exchange,
      receiveWindowMs: 0,
      wire: this.wire,
    });
    this.wire.setTime(this.nowMs);
    this.native.receive();
    this.parser = new SipParser(this.memory.wasm);
    const run = (name: string) => (message: Message | null) => {
      const what = message === null ? '-' : message.isRequest ? message.methodName : String(message.code);
      this.events.push(`${name} ${what}`);
      this.inEvent(name);
    };
    this.tracker = new DialogTracker({
      native: this.native,
      memory: this.memory,
      params,
      events: {
        start: run('start'),
        end: run('end'),
        failed: run('failed'),
        timeout: (name) => {
          const route = this.timeoutRoutes.get(name);
          if (route === undefined) return false;
          this.events.push(`route ${name}`);
          route();
          return true;
        },
        routeNumber: (name) => [...this.timeoutRoutes.keys()].indexOf(name) + 1,
      },
      log: {
        error: (event, fields = {}) => this.tell(event, fields),
        warn: (event, fields = {}) => this.tell(event, fields),
      },
      observedSource: (message) => this.sourceOf(message),
      storedRequest: () => this.storedRequest(),
      activeDialogs: () => this.statistic('active_dialogs'),
      membersOf: (name, value, skip, out) => addon.profileMembers(this.segment, name, value, skip, out),
      sender: {
        send: (request) => this.sendOwn(request),
        hasRoom: (n) => this.sendRoom >= n,
        hasRoomFor: (first, second) =>
          this.sendRoom >= (second === 0 ? 1 : 2) && this.native.transactionHasRoom(first, second) !== 0,
        endInvite: (index, generation, code, reason) => this.endInvite({ index, generation }, code, reason),
      },
      walk: {
        owner: 0,
        next: (cursor) => addon.nextDialog(this.segment, cursor),
        nextEnded: (cursor) => addon.nextEndedDialog(this.segment, cursor),
      },
    });
    this.engine = new DialogReader(
      {
        snapshot: (index, out) => addon.snapshot(this.segment, index, out),
        next: (cursor) => addon.nextDialog(this.segment, cursor),
        findCall: (callId, nth) => addon.findCall(this.segment, callId, '', nth),
        profileCount: (name, value) => addon.profileCount(this.segment, name, value),
        profileMembers: (name, value, skip, out) =>
          addon.profileMembers(this.segment, name, value, skip, out),
        bootSeconds: () => this.native.nowBootSeconds(),
      },
      params,
      { monotonicMs: () => this.nowMs, unixSeconds: () => this.native.nowUnixSeconds() },
    );
  }

  close(): void {
    this.native.stop();
    addon.closeSegment(this.segment, true);
    rmSync(this.folder, { recursive: true, force: true });
  }

  private tell(event: string, fields: LogFields): void {
    this.faults.push(event);
    this.told.push(typeof fields === 'function' ? fields() : fields);
  }

  // ---- looking -----------------------------------------------------------------------------------------------------

  get x(): Uint32Array {
    return this.memory.exchange;
  }

  usage(): SegmentUsage {
    return addon.segmentUsage(this.segment);
  }

  statistic(name: string): number {
    return addon.statistics(this.segment)[`dialog:${name}`] ?? -1;
  }

  /** All dialogs, in order of their records. */
  dialogs(): readonly DialogView[] {
    return this.engine.list(0, 1000).dialogs;
  }

  /** The only dialog there is. */
  dialog(): DialogView {
    const all = this.dialogs();
    assert.equal(all.length, 1, `${all.length} dialogs`);
    return all[0]!;
  }

  /** Its record. */
  handle(): DialogHandle {
    const index = addon.nextDialog(this.segment, 1);
    const { h_entry, h_id } = this.dialog();
    assert.equal(this.native.dialogFindById(h_entry, h_id), STATUS.ok);
    assert.equal(this.x[words.D_INDEX], index);
    return { index, generation: this.x[words.D_GENERATION]! };
  }

  states(): number[] {
    return this.dialogs().map(({ state }) => state);
  }

  // ---- messages ----------------------------------------------------------------------------------------------------

  /** Parses a message; it stands until the one after the next is parsed. */
  message(parts: Parts | string, flow = 1): Message {
    const text = typeof parts === 'string' ? parts : textOf(parts);
    this.place = 1 - this.place;
    const parked = this.memory.slots[this.place === 0 ? 'storedRequest' : 'shownRequest'];
    const length = this.memory.buffer.write(text, parked.at, 'latin1');
    assert.equal(length, text.length);
    const status = this.parser.parse(parked.at, length, parked.words);
    assert.equal(status, 0, `parser: ${status} in ${text}`);
    const message = new Message(this.memory.bytes, this.memory.words, this.memory.buffer);
    message.at = parked.at;
    message.length = length;
    message.w = parked.words >> 2;
    message.flow = flow;
    return message;
  }

  /** Takes our Route off, as loose routing does. */
  looseRoute(message: Message, parts: Parts): void {
    const { route } = parts;
    if (route === undefined) return;
    const offset = message.slice(0, message.length).indexOf(`127.0.0.1${route}`) + '127.0.0.1'.length;
    this.tracker.looseRouted(message, offset, route.length);
  }

  /** An initial request passes: begin, dlg_manage, relay. */
  initial(parts: Parts = {}, script: (message: Message) => void = () => {}): Transaction {
    const message = this.message(parts);
    this.tracker.begin(message);
    this.tracker.manage(message);
    script(message);
    const transaction = this.transaction(message);
    this.tracker.relayed(message);
    this.store();
    this.tracker.scriptEnded(message, true);
    return transaction;
  }

  /** A sequential request passes: begin, loose routing or dlg_manage, relay.  An ACK has no transaction. */
  sequential(parts: Parts, script: (message: Message) => void = () => {}): Transaction | null {
    const message = this.message({ to: 'b2', ...parts });
    this.tracker.begin(message);
    if (parts.route === undefined) this.tracker.manage(message);
    else this.looseRoute(message, parts);
    script(message);
    let transaction: Transaction | null = null;
    if (parts.method !== 'ACK') {
      transaction = this.transaction(message);
      this.tracker.relayed(message);
      this.store();
    }
    this.tracker.scriptEnded(message, transaction !== null);
    return transaction;
  }

  /** An answer from downstream passes upstream. */
  reply(transaction: Transaction, code: number, parts: Parts = {}, ownRecordRoutes = 0, flow = 2): void {
    const message = this.message({ code, to: 'b2', contact: '<sip:bob@203.0.113.9>', ...parts }, flow);
    this.load(transaction);
    this.tracker.begin(message);
    this.tracker.reply(message, code, ownRecordRoutes);
    this.store();
  }

  /** We answer ourselves. */
  ownReply(transaction: Transaction, code: number): void {
    this.load(transaction);
    const { scratch } = this.memory;
    const tagAt = scratch.at;
    if (code >= 200 && code < 300) scratch.text('own');
    this.tracker.reply(null, code, 0, tagAt, scratch.at - tagAt);
    this.store();
  }

  /** The request that the transaction in hand keeps. */
  private storedRequest(): Message | null {
    const at = this.memory.scratch.at;
    const length = this.native.transactionRequest(at, this.memory.scratch.end - at);
    if (length === 0) return null;
    const text = this.memory.buffer.toString('latin1', at, at + length);
    const { place } = this;
    const message = this.message(text);
    // What is in hand stays where it is.
    this.place = place;
    return message;
  }

  // ---- requests of our own -----------------------------------------------------------------------------------------

  private sendOwn(request: OwnRequest): Sent {
    if (this.unreachable.has(request.side)) return 'no_way';
    if (this.sendRoom === 0 || this.lacksMemory.has(request.side)) return 'no_room';
    const { index, generation } = request;
    if (index !== 0 && this.native.dialogHold(index, generation) !== STATUS.ok) return 'no_way';
    const kept = this.x.slice(words.T_INDEX, words.T_INDEX + constant('HeadWords'));
    const transaction = this.transaction(this.message(withVia(request.text)));
    this.x[words.T_DIALOG_INDEX] = index;
    this.x[words.T_DIALOG_GENERATION] = generation;
    this.x[words.T_DIRECTION] = request.side;
    this.x[words.T_PURPOSE] = request.purpose;
    this.store();
    this.x.set(kept, words.T_INDEX);
    this.sendRoom -= 1;
    this.sent.push(request);
    this.ownTransactions.push(transaction);
    return 'sent';
  }

  private endInvite(transaction: Transaction, code: number, reason: string): boolean {
    if (this.native.transactionLoad(transaction.index, transaction.generation) !== STATUS.ok) return false;
    this.endedInvites.push(`${code} ${reason}`);
    this.tracker.reply(null, code, 0);
    this.store();
    return true;
  }

  /** The nth request of our own has its final answer, and its transaction goes; code 0: nobody answered. */
  answerOwn(n: number, code: number, parts: Parts = {}): void {
    const method = this.sent[n]!.method;
    const transaction = this.ownTransactions[n]!;
    this.load(transaction);
    if (code === 0) this.tracker.ownAnswer(null, 408);
    else this.tracker.ownAnswer(this.message({ to: 'b2', method, code, ...parts }), code);
    this.end(transaction);
  }

  /** The nth request of our own never left: there was no memory when its way was known. */
  lostForMemory(n: number): void {
    const transaction = this.ownTransactions[n]!;
    this.load(transaction);
    this.tracker.ownAnswer(null, 500);
    this.end(transaction);
  }

  // ---- transactions ------------------------------------------------------------------------------------------------

  transaction(message: Message): Transaction {
    this.x[words.X_ARGS] = 0;
    this.x[words.X_ARGS + 1] = 0;
    this.x.fill(0, words.T_INDEX, words.T_INDEX + constant('HeadWords'));
    assert.equal(this.native.transactionCreate(message.at, message.length, 1), STATUS.ok);
    return { index: this.x[words.T_INDEX]!, generation: this.x[words.T_GENERATION]! };
  }

  load(transaction: Transaction): void {
    assert.equal(this.native.transactionLoad(transaction.index, transaction.generation), STATUS.ok);
  }

  store(): void {
    assert.equal(this.native.transactionStore(), STATUS.ok);
  }

  /** The transaction's last timer fires. */
  end(transaction: Transaction): void {
    this.load(transaction);
    this.tracker.transactionEnded();
    this.native.transactionFree(transaction.index);
  }

  // ---- time --------------------------------------------------------------------------------------------------------

  /** Lets seconds pass, one tick of the dialogs' clock after each. */
  wait(seconds: number, ticks = 1): void {
    this.nowMs += seconds * 1000;
    this.wire.setTime(this.nowMs);
    this.native.receive();
    for (let n = 0; n < ticks; n++) this.tracker.tick();
    this.memory.scratch.reset();
  }

  // ---- whole calls -------------------------------------------------------------------------------------------------

  /** A call that is answered and confirmed; its INVITE transaction still lives. */
  answered(parts: Parts = {}, script?: (message: Message) => void): Transaction {
    const transaction = this.initial(parts, script);
    this.reply(transaction, 180, parts);
    this.reply(transaction, 200, { to: 'b2', ...parts, contact: '<sip:bob@203.0.113.9>' });
    this.sequential({ to: 'b2', ...parts, method: 'ACK' });
    return transaction;
  }
}

/** Opens a world for one test, and closes it whatever happens; nothing may be left in the segment but what `left` allows. */
export async function inWorld(
  set: readonly string[],
  run: (world: World) => void | Promise<void>,
): Promise<void> {
  const world = await World.open(...set);
  try {
    await run(world);
  } finally {
    world.close();
  }
}

/** Every record, text and membership is gone, and what is counted agrees with what is there. */
export function assertNothingLeft(world: World, before: SegmentUsage): void {
  world.native.flush();
  const after = world.usage();
  assert.equal(after.dialogs, 0, 'dialogs');
  assert.equal(after.transactions, 0, 'transactions');
  assert.equal(after.usedBytes, before.usedBytes, 'used bytes');
  assert.equal(addon.audit(world.segment), 0, 'audit');
}
