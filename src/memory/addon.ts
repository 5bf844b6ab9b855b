/**
 * Loads the addon and states its types: the one importer of the .node file.
 *
 * Numbers and bytes cross this boundary, never JavaScript objects per message and never an address.  Texts are given as
 * (offset, length) in the shard's memory; records are read and written through registers, plain word arrays shared with
 * the native side.  Word numbers come from `layout()`, exported by C++.
 */
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { crossing } from './crossing.js';

/** Numbers of core/status.h; 0 is success. */
export const STATUS = {
  ok: 0,
  notFound: 1,
  conflict: 2,
  noMemory: 3,
  limit: 4,
  outOfRange: 5,
  badMessage: 6,
  notDue: 7,
  full: 8,
  refused: 9,
  system: 10,
} as const;

/** One listen address, as bound by the process. */
export type Listen = { readonly address: string; readonly port: number };

export type SegmentOptions = {
  readonly path: string;
  /** Whole size; null: 256 MiB, or half of the room if that is less. */
  readonly bytes: number | null;
  readonly hashSize: number;
  readonly workers: number;
  /** First h_id of every slot is random in [0, 3 * hashSize) unless given. */
  readonly hIdStart: number | null;
  readonly hIdStep: number;
  readonly profiles: readonly { readonly name: string; readonly withValue: boolean }[];
  /** Socket names in order; number 1 is the first: "udp:127.0.0.1:5060". */
  readonly sockets: readonly string[];
  readonly mailboxBytes: number;
  /** Over how many seconds keep-alives that became overdue are spread at attach; missing or 0: 30. */
  readonly keepAliveSeconds?: number;
  /** Somebody runs the transactions of owner number `workers`; missing: yes. */
  readonly timerWorker?: boolean;
};

export type SegmentUsage = {
  readonly totalBytes: number;
  /** Records, blocks with their waste, members, wheel nodes and index in use. */
  readonly usedBytes: number;
  readonly arenaTotalBytes: number;
  readonly arenaUsedBytes: number;
  readonly dialogs: number;
  readonly dialogsMax: number;
  readonly transactions: number;
  readonly transactionsMax: number;
  /** For how many typical calls the segment is enough. */
  readonly callsEnough: number;
};

/** Process-wide handle of the open segment; every thread of the process can use it by number. */
export type SegmentId = number;

export type Addon = {
  /** Every word number and constant that TypeScript needs, by its C++ name without the k (TState, BFlow, DIndex, ...). */
  layout(): Readonly<Record<string, number>>;

  /** Creates, reserves and locks the file; throws a coded Error (ERR_SEGMENT_*) with the room needed.  Main thread. */
  createSegment(options: SegmentOptions): SegmentId;
  /** Takes over the file that a dead process left, its dialogs and transactions with it; the same errors, and
   *  ERR_SEGMENT_NO_CALLS for one that was never finished or is of another boot of the machine.  Layout, hashSize and
   *  hIdStep must be the same; profiles and sockets that it does not know are added. */
  attachSegment(options: SegmentOptions): SegmentId;
  /** What was done with the file that a dead process left, one line for the log; null: there was none. */
  segmentWarning(segment: SegmentId): string | null;
  /** Names in the order of their numbers: profiles from 0, sockets from 1. */
  segmentNames(segment: SegmentId): {
    readonly profiles: SegmentOptions['profiles'];
    readonly sockets: readonly string[];
  };
  /** Unmaps; `remove` deletes the file (a clean stop). */
  closeSegment(segment: SegmentId, remove: boolean): void;
  /** Transactions without a final answer; the others only wait out their timers. */
  transactionsInWork(segment: SegmentId): number;
  segmentUsage(segment: SegmentId): SegmentUsage;

  /** Binds each address once without, then `workers` times with SO_REUSEPORT; throws ERR_LISTEN_* naming the address. */
  openSockets(
    segment: SegmentId,
    listen: readonly Listen[],
    workers: number,
    receiveBufferBytes: number,
  ): void;
  closeSockets(segment: SegmentId): void;
  /** Datagrams the kernel dropped, sockets' buffers full, since start. */
  kernelDrops(segment: SegmentId): number;
  /** Bytes of receive buffer that the kernel granted each socket. */
  receiveBuffer(segment: SegmentId): number;

  /** One shard over real sockets, or over a memory wire for tests (`wire` from createMemoryWire). */
  openShard(options: ShardOptions): Shard;
  /** The same network in memory: datagrams in by `put`, out by `take`; the clock is the caller's. */
  createMemoryWire(segment: SegmentId, listen: readonly Listen[], workers: number): MemoryWire;

  /** Management, any thread: copies one dialog into `out` (see Table::snapshot); bytes written, 0 if it is gone. */
  snapshot(segment: SegmentId, index: number, out: Uint8Array): number;
  /** Next record index in use from `cursor` on, 0: none.  After many free ones it is a free one, which has no snapshot:
   *  go on behind it. */
  nextDialog(segment: SegmentId, cursor: number): number;
  /** The same for those that have ended and are still kept; much faster where few have. */
  nextEndedDialog(segment: SegmentId, cursor: number): number;
  findCall(segment: SegmentId, callId: string, fromTag: string, nth: number): number;
  profileCount(segment: SegmentId, name: string, value: string | null): number;
  profileMembers(
    segment: SegmentId,
    name: string,
    value: string | null,
    skip: number,
    out: Uint32Array,
  ): number;
  /** Gives back what the worker of `owner` joined without a dialog before it died; how many that were. */
  profilesGiveBack(segment: SegmentId, owner: number): number;
  /** Sums over shards, by name: "dialog:active_dialogs", "tm:UAS_transactions", "core:rcv_requests", ... */
  statistics(segment: SegmentId): Record<string, number>;
  statisticsReset(segment: SegmentId, name: string): boolean;
  /** Recounts dialogs and profile members; the sum of absolute differences to the kept counts, which must be 0. */
  audit(segment: SegmentId): number;
  /**
   * Compares the next few counts with what they count, each under its lock, beside whatever traffic; the sum of absolute
   * differences found.  Word 0 of `cursor` says where to go on and is moved; 0 again: the round is over.  [native/core/audit.h]
   */
  auditSlice(segment: SegmentId, cursor: Uint32Array): number;
  /** CLOCK_BOOTTIME seconds and ticks of the segment. */
  bootSeconds(): number;
};

export type ShardOptions = {
  readonly segment: SegmentId;
  readonly owner: number;
  /** The parser's memory (shared); slots, words, overflow and scratch lie in it from `layout().ParserReservedBytes` on. */
  readonly memory: Uint8Array;
  /** Registers and exchange words, see the Shard calls; at least `layout().ExchangeWords` words. */
  readonly exchange: Uint32Array;
  readonly receiveWindowMs: number;
  /** A timer worker runs, under the owner number after the last shard's: it advances all dialog wheels, and its replies
   *  are steered to its mailbox.  Left out: each shard advances its own. */
  readonly timerWorker?: boolean;
  /** Left out: the process's sockets.  null: no network at all, with the machine's clock. */
  readonly wire?: MemoryWire | null;
};

/**
 * What one worker calls.  All numbers; every call takes what it needs from the exchange words X and the memory M.
 *
 * X regions (word numbers from layout()): XTransaction (registers of the transaction in hand, head + branches),
 * XDialog (DialogWord words of the dialog in hand), XBatch (BATCH_WORDS per received datagram), XSend (one outgoing
 * message), XArgs (arguments of the call), XList (lists of results).
 */
export type Shard = {
  // -- the loop ------------------------------------------------------------------------------------------------------
  /**
   * Starts polling: `onBatch(n)` for n datagrams described in XBatch, after which the native side flushes what was sent
   * and takes the slots back (unless kept); `onTick()` when a timer may be due, every 10 ms at most and once a second at
   * least, and at once after the event loop's turn if it returns true; `onLetters(n)` for n waiting control letters; `onSendFailed(n)` for n failed sends, FailureWords words each in
   * XList: tag, branch (NoBranch unless transactionSendBranch queued it), errno.  What a callback queued is sent when it
   * returns; a continuation that runs outside of them calls flush() itself.  An exception out of a callback ends the worker.
   */
  start(
    onBatch: (count: number) => void,
    onTick: () => unknown,
    onLetters: (count: number) => void,
    onSendFailed?: (count: number) => void,
  ): void;
  stop(): void;
  /** After stop(), and not from a callback: lets go of segment and memory.  Every later call does nothing. */
  release(): void;
  /** Without start(): receive once (a memory wire, a test).  Returns how many datagrams XBatch now describes. */
  receive(): number;
  /** Ends a batch: sends what is queued, takes slots back.  Returns how many sends failed (described in XList, see start). */
  flush(): number;
  /** Sends what is queued without ending the batch: what the queued messages were made of is needed no more. */
  sendQueued(): void;
  /** Keeps slot `slot` of the batch in hand out of circulation until releaseSlot: its message belongs to a suspended
   *  route.  Status full: KeptSlotsMax are kept already. */
  keepSlot(slot: number): number;
  releaseSlot(slot: number): void;
  /** A datagram that another shard owns goes to its mailbox; status full: dropped and counted; limit: it has been handed
   *  on twice already (by a scan and by a parser), dropped and counted.  XBatch's word NSteered says how often. */
  forward(batchIndex: number, owner: number): number;

  // -- sending -------------------------------------------------------------------------------------------------------
  /**
   * Queues one message: XSend holds flow, port, address[4], tag (transaction index, reported when the send fails),
   * number of pieces and the pieces (offset, length) in M.  The pieces must stay as they are until flush().  Status
   * outOfRange: no such flow or port, no bytes, or a piece that does not lie in M.
   */
  send(): number;
  /** Writes the Via branch that XArgs[0..4] (owner, index, generation, branch, hash) name to `offset` of M; its length. */
  writeBranch(offset: number): number;
  /** Reads a Via branch of ours into XArgs[0..4]; status notFound: it is not one. */
  readBranch(offset: number, length: number): number;

  // -- time ----------------------------------------------------------------------------------------------------------
  /** Ticks of 10 ms since the segment was made, as of the last receive or tick; a memory wire's clock in tests. */
  nowTick(): number;
  nowBootSeconds(): number;
  nowUnixSeconds(): number;

  // -- transactions (core/transactions.h); registers in XTransaction -------------------------------------------------
  /** Key of RFC 3261 17.2.3 from parsed words at `words` of the message at `message`, with ACK and CANCEL taken as INVITE
   *  when `asInvite`; it is left in XArgs[0..1].  Loads the record if there is one: status ok or notFound, and then
   *  loopHash() of the message is in XArgs[2]. */
  transactionMatch(message: number, words: number, asInvite: number): number;
  /** A record with the key in XArgs[0..1] (0,0: none), a copy of the request at [message, length) and the head words that
   *  the caller has filled in: from its first instant it says all of them. `upCall`: last tenth. */
  transactionCreate(message: number, length: number, upCall: number): number;
  /** Loads the first of this shard's records from number `cursor` on; status notFound: there is none. */
  transactionNext(cursor: number): number;
  /** The stored request arrives once more, from where it came; status full: the mailbox is. */
  transactionRepeatRequest(): number;
  transactionLoad(index: number, generation: number): number;
  /** XArgs[0..1] = index and generation of the dialog of our live transaction whose Via branch, hash and all, stands at
   *  [offset, length) of M.  Status notFound: no such transaction, or it has no dialog. */
  transactionDialog(offset: number, length: number): number;
  /** `sheds` 1: and gives back what a finished transaction no longer needs, its request and all edits; left out: 0. */
  transactionStore(sheds?: number): number;
  transactionFree(index: number): void;
  /** XArgs[0] = number of edits, then (offset, drop, insert) each; their text lies at [text, textLength) of M. */
  transactionAddBranch(text: number, textLength: number, upCall: number): number;
  /** Queues branch `branch`'s copy of the request (stored request + edits) to its destination. */
  transactionSendBranch(branch: number): number;
  /** The same two for the next branch, whose words are filled in already, with transactionStore() between them. */
  transactionForward(text: number, textLength: number, upCall: number): number;
  /** Stores the message described in XSend (its pieces) as the last reply. */
  transactionSetReply(): number;
  /** The same, and queues it like send(), whether there was room to keep it or not. */
  transactionSendKept(): number;
  transactionSetBranchReply(branch: number): number;
  /** Queues the stored reply to the record's upstream destination. */
  transactionSendReply(): number;
  /** How many more requests of our own have a record; the last fifth is left to those from outside. */
  transactionRoom(): number;
  /** 1: a request of our own of this length finds room, and one of the second length beside it unless that is 0. */
  transactionHasRoom(firstBytes: number, secondBytes: number): number;
  /** Copies the stored request (or branch n's stored reply, or the branch's whole outgoing copy) into M at `offset`
   *  (at most `room` bytes); its length, or 0. */
  transactionRequest(offset: number, room: number): number;
  transactionReply(offset: number, room: number): number;
  transactionBranchReply(branch: number, offset: number, room: number): number;
  transactionBranchRequest(branch: number, offset: number, room: number): number;
  /** Due records; their indexes are in XList. */
  transactionAdvance(): number;
  /** Loads by index alone (after transactionAdvance). */
  transactionLoadIndex(index: number): number;
  /** RFC 5393 4.2 loop hash of the parsed message: 32 bits, never 0, keyed over To tag, From tag, Call-ID, Request-URI,
   *  CSeq number, Proxy-Require, Proxy-Authorization and Route.  Not the top Via: a request that loops comes back with
   *  another one, and would never be known again. */
  loopHash(message: number, words: number): number;
  /** 32-bit keyed hash of bytes of M, never 0: To tags and the like. */
  hash(offset: number, length: number): number;

  // -- dialogs (core/table.h); words of the dialog in hand in XDialog ------------------------------------------------
  entryOf(offset: number, length: number): number;
  /** 0..workers-1: the owner of a hash entry. */
  ownerOf(entry: number): number;
  /** XArgs: NewDialog in order: 8 texts as (offset, length), then caller_cseq lifetime script_flags properties init_ts
   *  caller_socket record_routes, then the text caller_source. */
  dialogCreate(): number;
  dialogFindById(entry: number, id: number): number;
  dialogLoad(index: number, generation: number): number;
  /** Loads the first of this shard's unanswered dialogs from number `cursor` on; status notFound: there is none. */
  dialogNextUnanswered(cursor: number): number;
  /** XArgs: Call-ID, From tag, To tag as (offset, length) each, then the wanted direction. */
  dialogMatch(index: number, generation: number): number;
  dialogFindByCallId(): number;
  dialogFindCall(nth: number): number;
  /** XArgs: Change in order: fields expected_state state due lifetime start_ts end_ts flags_set flags_clear
   *  script_flags_set script_flags_clear properties_set properties_clear caller_cseq callee_cseq caller_socket
   *  callee_socket transaction_index transaction_generation marks_set marks_clear saved_due ka_due, then 8 texts
   *  (offset, length): callee_tag callee_contact callee_route_set caller_contact timeout_route caller_source
   *  callee_source caller_route_set. */
  dialogChange(index: number, generation: number): number;
  /**
   * A further 2xx of the INVITE: makes the dialog's sibling, which X[D_*] then shows, in state 3.  XArgs as for dialogChange,
   * of which it reads due, start_ts and what CHANGE_CALLEE_LEG reads.  The INVITE, whose number is `from`, went to this
   * callee with `by` more.  Status conflict: one of the family has that tag, and is shown; refused: the dialog has had no
   * 2xx.  Owner only.
   */
  dialogFork(index: number, generation: number, from: number, by: number): number;
  /** XArgs: tag, contact, Route set as (offset, length) each: adds or replaces the early leg of that To tag.  Status limit: EarlyLegsMax others are kept; conflict: the dialog is answered.  Owner only. */
  dialogEarlyLeg(index: number, generation: number): number;
  /** XArgs: tag. */
  dialogEndEarlyLeg(index: number, generation: number): number;
  dialogClaimEnd(index: number, generation: number, reason: number, byeSides: number, endTs: number): number;
  /**
   * XArgs[0] = CSeq number of a request of our own in `direction`: one more than the highest sent, and remembered; what is
   * received with a number not yet seen is moved by one more from now on.  `again`, not 0: the received number of a
   * request that is sent anew under the number taken and keeps it (an INVITE with credentials: its ACK follows).
   */
  dialogTakeCSeq(index: number, generation: number, direction: number, again?: number): number;
  /** What was received in `direction` from number `from` on was sent, and is sent, with `by` more: the dialog began with a
   *  request that went out under another number. */
  dialogShiftCSeq(index: number, generation: number, direction: number, from: number, by: number): number;
  /** XArgs[0] = the number under which a request received with `received` is sent on.  While the direction's bit of
   *  X[D_STEPS] is 0 that is `received` itself: no call is needed. */
  dialogMapCSeq(index: number, generation: number, direction: number, received: number): number;
  /** XArgs[0] = the highest number sent in `direction`, 0: none. */
  dialogSentCSeq(index: number, generation: number, direction: number): number;
  /** The BYEs to `sides` (bit 0 caller, bit 1 callee) have their final answer, or none will come. */
  dialogByeAnswered(index: number, generation: number, sides: number): number;
  dialogHold(index: number, generation: number): number;
  /** The transaction in hand is that of the INVITE that made the dialog: it holds it, unless it `hasHold` already, and
   *  is named by it until the first 2xx.  Status noMemory: held, but not named. */
  dialogLink(index: number, generation: number, hasHold: number): number;
  dialogDrop(index: number, generation: number): void;
  /** XArgs: key (offset, length), value (offset, length). */
  dialogSetVariable(index: number, generation: number): number;
  dialogRemoveVariable(index: number, generation: number): number;
  /** Copies the value to M at `offset`; XArgs[0] = its length. */
  dialogGetVariable(index: number, generation: number, offset: number, room: number): number;
  dialogSnapshot(index: number, offset: number, room: number): number;
  /** Due dialogs as (index, generation) pairs in XList, at most AdvanceNodesMax: a shard's own, or those of all shards for
   *  the timer worker (owner number = workers).  One stays due, and comes again with the next second, until it is ended or
   *  its deadline is moved. */
  dialogAdvance(): number;
  /** The same for keep-alives, until CHANGE_KA_DUE sets the next. */
  dialogKeepAliveAdvance(): number;
  /** A keep-alive to `side` (1 caller, 2 callee) has its final answer, or (`failed` 1) none that counts as life; XArgs[0] =
   *  failures of that side in a row.  Status conflict: the dialog has ended. */
  dialogProbeAnswered(index: number, generation: number, side: number, failed: number): number;
  /** Brings in the cache lines that the batch's messages will touch: XList holds `count` (message, words) pairs, BatchMax at
   *  most. */
  prefetch(count: number): void;

  // -- profiles (core/profiles.h); value is text of M, length -1: any or no value -------------------------------------
  profileJoin(
    index: number,
    generation: number,
    profile: number,
    value: number,
    length: number,
    limit: number,
  ): number;
  /** The member joined without a dialog by the last profileJoin is in XArgs[0]. */
  profileAttach(member: number, index: number, generation: number): number;
  profileGiveBack(member: number): void;
  profileLeave(index: number, generation: number, profile: number, value: number, length: number): number;
  profileIsMember(index: number, generation: number, profile: number, value: number, length: number): number;
  profileSize(profile: number, value: number, length: number): number;
  /** Items of other systems; `expires` in Unix seconds, 0: never. */
  profileAddRemote(
    profile: number,
    value: number,
    length: number,
    uid: number,
    uidLength: number,
    expires: number,
  ): number;
  profileRemoveRemote(profile: number, value: number, length: number, uid: number, uidLength: number): number;
  /** Removes what expires up to `now` in the part'th 64th of the profiles; how many. */
  profileExpireRemotes(now: number, part: number): number;

  // -- counters and letters ------------------------------------------------------------------------------------------
  /** Adds to this shard's counter `counter` (numbers from layout(): Counter<Name>); a negative amount takes back. */
  count(counter: number, amount: number): void;
  /** The same for (counter, amount) pairs in XList. */
  countMany(pairs: number): void;
  /** Posts a control letter [kind, words...] of XArgs[0..n) to another owner; status full: keep it and try again. */
  post(owner: number, words: number): number;
  /** The next letter into XArgs; number of words, 0: none. */
  take(): number;
};

export type MemoryWire = {
  /** Datagram `bytes` arrives at listen address `socket` (0-based) from `source` ("127.0.0.1:5080", "[::1]:5080") for the
   *  socket of worker `worker`. */
  put(worker: number, socket: number, source: string, bytes: Uint8Array): void;
  /** Next datagram that left, oldest first. */
  take(): { readonly socket: number; readonly destination: string; readonly bytes: Uint8Array } | null;
  /** Sets the clock: milliseconds since the segment was made. */
  setTime(milliseconds: number): void;
  /** From now on sends to `destination` fail with this errno (0: work again). */
  failSends(destination: string, errno: number): void;
};

const require = createRequire(import.meta.url);

function load(): Addon {
  const root = fileURLToPath(new URL('../..', import.meta.url));
  const native = require('node-gyp-build')(root) as Addon;
  const { XCall, XResult } = native.layout();
  return {
    ...native,
    openShard: (options) =>
      crossing(native.openShard(options) as never, options.exchange, XCall as number, XResult as number),
  };
}

/** The addon of this process. */
export const addon: Addon = load();
