/**
 * Our Via: its branch, which steers and authenticates the answers, and the mending of the sender's.
 *
 * The branch is `z9hG4bKh` + owner + handle + branch number + the request's loop hash (core/scan.h has the grammar for
 * the receiving side).  [RFC 3261 16.6 step 8, 18.2.1, RFC 3581, RFC 5393 4.2]
 */
import type { Scratch } from '../memory/shard-memory.js';
import { T_ADDRESS0, T_FLAGS, T_FLOW, T_GENERATION, T_INDEX, T_LOOP_HASH, T_PORT } from '../memory/words.js';
import type { Message } from '../sip/message.js';
import {
  W_VIA_HOST_LEN,
  W_VIA_HOST_OFF,
  W_VIA_PORT,
  W_VIA_RECEIVED_LEN,
  W_VIA_RECEIVED_OFF,
  W_VIA_RPORT,
  W_VIA_RPORT_OFF,
  W_VIA_SENT_BY_END,
} from '../sip/words.js';
import { T_FORCED_RPORT } from '../transaction/states.js';
import { Address, formatAddress, MAPPED, readAddress, readV4 } from '../transport/address.js';
import type { Socket } from '../transport/sockets.js';
import type { Edits } from './edits.js';
import type { Outgoing } from './outgoing.js';
import type { Passage } from './passage.js';
import type { Workspace } from './workspace.js';

const DEFAULT_PORT = 5060;

/** Writes our Via line for branch `branch` of the transaction in hand. */
export function writeVia(
  scratch: Scratch,
  x: Uint32Array,
  socket: Socket,
  owner: number,
  branch: number,
): void {
  scratch.literal(socket.viaStart);
  scratch.byte(BY_TRANSACTION);
  scratch.byte(HEX_DIGITS[owner >> 4]!);
  scratch.byte(HEX_DIGITS[owner & 15]!);
  scratch.byte(DOT);
  scratch.hex(x[T_INDEX]!);
  scratch.byte(DOT);
  scratch.hex(x[T_GENERATION]!);
  scratch.byte(DOT);
  scratch.hex(branch);
  scratch.byte(DOT);
  scratch.hex8(x[T_LOOP_HASH]!);
  scratch.text('\r\n');
}

/** Writes our Via line for a request that no transaction keeps: the same request always gets the same branch. */
export function writeStatelessVia(scratch: Scratch, socket: Socket, first: number, second: number): void {
  scratch.literal(socket.viaStart);
  scratch.byte(STATELESS);
  scratch.hex8(first);
  scratch.hex8(second);
  scratch.text('\r\n');
}

/** `h` and `s`, behind the magic cookie. */
const BY_TRANSACTION = 104;
const STATELESS = 115;
const DOT = 46;
const HEX_DIGITS = [48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 97, 98, 99, 100, 101, 102];

/** Whether a branch begins as those that name a transaction of ours do. */
export function isOurBranch(bytes: Uint8Array, at: number, length: number): boolean {
  if (length < PREFIX.length || bytes[at + PREFIX.length - 1] !== BY_TRANSACTION) return false;
  for (let i = 0; i < PREFIX.length; i++) if (bytes[at + i] !== PREFIX[i]) return false;
  return true;
}

/** What a branch of ours says; read from the topmost Via of a response, or any Via of a request. */
export class BranchName {
  owner = 0;
  index = 0;
  generation = 0;
  branch = 0;
  hash = 0;

  /** Reads a branch at [at, at + length).  False: not one of ours. */
  read(bytes: Uint8Array, at: number, length: number): boolean {
    if (length < 23 || length > 44) return false;
    for (let i = 0; i < PREFIX.length; i++) if (bytes[at + i] !== PREFIX[i]) return false;
    this.at = at + PREFIX.length;
    this.end = at + length;
    this.bytes = bytes;
    this.owner = this.number();
    this.index = this.number();
    this.generation = this.number();
    this.branch = this.number();
    this.hash = this.number();
    return this.hash >= 0 && this.branch >= 0 && this.generation >= 0 && this.index >= 0 && this.owner >= 0;
  }

  private at = 0;
  private end = 0;
  private bytes: Uint8Array = EMPTY;

  /** The next run of hex digits and the dot behind it; -1: none. */
  private number(): number {
    let value = 0;
    let digits = 0;
    while (this.at < this.end) {
      const c = this.bytes[this.at]!;
      let digit: number;
      if (c >= 48 && c <= 57) digit = c - 48;
      else if (c >= 97 && c <= 102) digit = c - 87;
      else break;
      value = value * 16 + digit;
      digits++;
      this.at++;
    }
    if (digits === 0 || digits > 8) return -1;
    if (this.at < this.end) {
      if (this.bytes[this.at] !== DOT) return -1;
      this.at++;
    }
    return value;
  }
}

const EMPTY = new Uint8Array(0);
const PREFIX = Uint8Array.from(Buffer.from('z9hG4bKh'));

const probe = new Address();

/**
 * Compares the topmost Via with where the request came from: decides `received`, and where answers go.
 */
export function readSender(passage: Passage, forceRport: boolean): void {
  const message = passage.message;
  const hasRport = message.word(W_VIA_RPORT_OFF) !== 0;
  const sentByPort = message.word(W_VIA_PORT) || DEFAULT_PORT;
  passage.rportWanted = hasRport || forceRport;
  passage.needsReceived = passage.rportWanted || !sentByIsSource(message);
  passage.answerPort = passage.rportWanted ? message.port : sentByPort;
}

/** Gives a stored request the flow and answer address that its transaction keeps. */
export function bindUpstream(w: Workspace, passage: Passage): void {
  bindSource(w, passage.message);
  readSender(passage, (w.x[T_FLAGS]! & T_FORCED_RPORT) !== 0);
}

/** Gives a message the flow and address of the transaction in hand. */
export function bindSource(w: Workspace, message: Message): void {
  const x = w.x;
  message.flow = x[T_FLOW]!;
  message.port = x[T_PORT]!;
  message.address0 = x[T_ADDRESS0]!;
  message.address1 = x[T_ADDRESS0 + 1]!;
  message.address2 = x[T_ADDRESS0 + 2]!;
  message.address3 = x[T_ADDRESS0 + 3]!;
}

function sentByIsSource(message: Message): boolean {
  const at = message.at + message.word(W_VIA_HOST_OFF);
  const length = message.word(W_VIA_HOST_LEN);
  const v4 = readV4(message.bytes, at, length);
  if (v4 >= 0) return v4 === message.address3 && message.address2 === MAPPED;
  if (!readAddress(message.bytes, at, length, probe)) return false;
  return probe.equals(message.address0, message.address1, message.address2, message.address3);
}

/** Adds `received` and `rport` to the sender's Via as edits of a forwarded request. */
export function mendViaByEdits(edits: Edits, scratch: Scratch, passage: Passage): void {
  const message = passage.message;
  if (!passage.needsReceived) return;
  const received = message.word(W_VIA_RECEIVED_LEN);
  edits.begin();
  if (received !== 0) {
    writeSource(scratch, message);
    edits.add(message.word(W_VIA_RECEIVED_OFF), received);
  } else {
    scratch.text(';received=');
    writeSource(scratch, message);
    if (passage.rportWanted && message.word(W_VIA_RPORT_OFF) === 0) writeRport(scratch, message);
    edits.add(message.word(W_VIA_SENT_BY_END), 0);
  }
  if (message.word(W_VIA_RPORT_OFF) !== 0 && message.word(W_VIA_RPORT) === 0) {
    edits.begin();
    scratch.byte(EQUALS);
    scratch.decimal(message.port);
    edits.add(message.word(W_VIA_RPORT_OFF), 0);
  }
}

/** Adds [from, end) of the header, which holds the topmost Via, to an answer, with the same mending. */
export function mendViaInAnswer(
  out: Outgoing,
  w: Workspace,
  passage: Passage,
  from: number,
  end: number,
): void {
  const message = passage.message;
  const scratch = w.scratch;
  if (!passage.needsReceived) {
    out.message(message, from, end - from);
    return;
  }
  let done = from;
  const received = message.word(W_VIA_RECEIVED_LEN);
  const at = received !== 0 ? message.word(W_VIA_RECEIVED_OFF) : message.word(W_VIA_SENT_BY_END);
  out.message(message, done, at - done);
  const start = scratch.at;
  if (received === 0) scratch.text(';received=');
  writeSource(scratch, message);
  if (received === 0 && passage.rportWanted && message.word(W_VIA_RPORT_OFF) === 0)
    writeRport(scratch, message);
  out.piece(start, scratch.at - start);
  done = at + received;
  const rport = message.word(W_VIA_RPORT_OFF);
  if (rport >= done && message.word(W_VIA_RPORT) === 0) {
    out.message(message, done, rport - done);
    const portAt = scratch.at;
    scratch.byte(EQUALS);
    scratch.decimal(message.port);
    out.piece(portAt, scratch.at - portAt);
    done = rport;
  }
  out.message(message, done, end - done);
}

const EQUALS = 61;

function writeRport(scratch: Scratch, message: Message): void {
  scratch.text(';rport=');
  scratch.decimal(message.port);
}

function writeSource(scratch: Scratch, message: Message): void {
  if (message.address2 === MAPPED && message.address1 === 0 && message.address0 === 0) {
    const packed = message.address3;
    scratch.decimal(packed & 255);
    scratch.byte(DOT);
    scratch.decimal((packed >>> 8) & 255);
    scratch.byte(DOT);
    scratch.decimal((packed >>> 16) & 255);
    scratch.byte(DOT);
    scratch.decimal(packed >>> 24);
    return;
  }
  scratch.text(formatAddress(message.address0, message.address1, message.address2, message.address3));
}
