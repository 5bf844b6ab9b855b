/**
 * Profiles: what dialogs are counted by.  [manual 3, 6.1-6.4]
 *
 * A plain join before the dialog exists waits for it uncounted; one with a limit counts at once and is given back when
 * the script ends without a dialog.  Members leave natively, with the change to state 5.
 */
import { EngineError } from '../errors.js';
import { STATUS } from '../memory/addon.js';
import { X_ARGS } from '../memory/words.js';
import type { Message } from '../sip/message.js';
import { fromBytes, toBytes } from '../sip/utf8.js';
import type { DialogContext } from './context.js';
import { MEMBERS_HELD_MAX, PENDING_MAX } from './context.js';
import type { DialogLog } from './ports.js';
import type { Records } from './record.js';
import { faultOfCaller, refuse } from './refused.js';
import { COUNTERS } from './statistics.js';

/** What the segment is told of a profile. */
export type ProfileDefinition = { readonly name: string; readonly withValue: boolean };

/** The rows of the configuration that name profiles. */
export type ProfileParams = {
  readonly profiles_with_value: readonly string[];
  readonly profiles_no_value: readonly string[];
};

/** All profiles in the order of their numbers: the segment is made with this list. */
export function profileDefinitions(params: ProfileParams): readonly ProfileDefinition[] {
  return [
    ...params.profiles_with_value.map((name) => ({ name, withValue: true })),
    ...params.profiles_no_value.map((name) => ({ name, withValue: false })),
  ];
}

/** A longer value is refused, counted and logged, whoever gives it; management refuses it too. */
export const VALUE_BYTES_MAX = 1024;

/** A name of another system's item that is this long or longer is refused.  [spec 6.4] */
const REMOTE_UID_BYTES_END = 64;
/** After so many seconds every profile was looked at: within the 90 s of the original.  [spec 3.5] */
const REMOTE_PARTS = 64;
const UNIX_SECONDS_MAX = 0xffff_ffff;

/** No value, or any. */
const NO_VALUE = -1;
/** The value cannot be used: the function fails. */
const BAD_VALUE = -2;

/** Finds the message's dialog and puts it in hand: the tracker's. */
export type MessageDialog = (message: Message) => boolean;

export class ProfileBook {
  private readonly records: Records;
  private readonly messageDialog: MessageDialog;
  private readonly log: DialogLog;
  private readonly numbers = new Map<string, number>();
  private readonly definitions: readonly ProfileDefinition[];
  /** Memberships that no dialog owns, by the index of the live transaction that they count for. */
  private readonly ofTransactions = new Map<number, number[]>();
  private valueAt = 0;
  private expiredAt = 0;
  private part = 0;

  constructor(records: Records, params: ProfileParams, messageDialog: MessageDialog, log: DialogLog) {
    this.log = log;
    this.records = records;
    this.messageDialog = messageDialog;
    this.definitions = profileDefinitions(params);
    for (const [number, { name }] of this.definitions.entries()) this.numbers.set(name, number);
  }

  /** set_dlg_profile(): no limit, no check for a membership that is already there. */
  set(context: DialogContext, message: Message, name: string, value: string | null): boolean {
    const profile = this.numberOf(name);
    if (this.messageDialog(message)) return this.join(context, profile, value, 0);
    const { withValue } = this.definitions[profile]!;
    if (this.isUntracked(context, message)) return false;
    if (!context.mayCreate || context.joins.length >= PENDING_MAX || !this.isUsable(withValue, value))
      return false;
    context.joins.push({ profile, value: withValue ? value : null });
    return true;
  }

  /**
   * Joins while fewer than `limit` are members (0: no limit); counts at once, with a dialog or without.
   *
   * False too for an INVITE that no dialog is made of: nobody would count the call once it is up.
   */
  tryJoin(
    context: DialogContext,
    message: Message,
    name: string,
    value: string | null,
    limit: number,
  ): boolean {
    const profile = this.numberOf(name);
    if (!Number.isInteger(limit) || limit < 0) return false;
    if (this.messageDialog(message)) return this.join(context, profile, value, limit);
    if (this.isUntracked(context, message)) return false;
    return context.mayCreate && this.joinAhead(context, profile, value, limit);
  }

  /** No dialog was made of the message, or none can be. */
  private isUntracked(context: DialogContext, message: Message): boolean {
    const fault = context.refused ?? faultOfCaller(message);
    if (fault !== null) refuse(context, this.records.native, fault);
    return fault !== null;
  }

  /** unset_dlg_profile(): the newest matching membership goes. */
  unset(context: DialogContext, message: Message, name: string, value: string | null): boolean {
    const profile = this.numberOf(name);
    const length = this.writeValue(profile, value);
    if (length === BAD_VALUE) return false;
    if (!this.messageDialog(message)) return this.forget(context, profile, value);
    const { records } = this;
    const { index, generation } = records;
    return records.native.profileLeave(index, generation, profile, this.valueAt, length) === STATUS.ok;
  }

  /** is_in_profile(): without a value any value matches. */
  isIn(message: Message, name: string, value: string | null): boolean {
    const profile = this.numberOf(name);
    const length = this.writeAnyValue(profile, value);
    if (length === BAD_VALUE || !this.messageDialog(message)) return false;
    const { records } = this;
    const { index, generation } = records;
    return records.native.profileIsMember(index, generation, profile, this.valueAt, length) === STATUS.ok;
  }

  /** Members of one value, or of all; -1 if the value is empty. */
  size(name: string, value: string | null): number {
    const profile = this.numberOf(name);
    const length = this.writeAnyValue(profile, value);
    return length === BAD_VALUE ? -1 : this.records.native.profileSize(profile, this.valueAt, length);
  }

  /**
   * dlg_remote_profile(): counts an item of another system (`add`) until `rm` names it or it expires.
   *
   * @param expires Unix seconds, 0: never
   * @returns for `rm` true whether or not there was one
   */
  remote(command: 'add' | 'rm', name: string, value: string | null, uid: string, expires: number): boolean {
    const profile = this.numbers.get(name);
    if (profile === undefined || (command !== 'add' && command !== 'rm')) return false;
    const item = toBytes(uid);
    if (item === '' || item.length >= REMOTE_UID_BYTES_END) return false;
    if (!Number.isInteger(expires) || expires < 0 || expires > UNIX_SECONDS_MAX) return false;
    const { native, memory } = this.records;
    const { scratch } = memory;
    const length = this.writeValue(profile, value);
    if (length === BAD_VALUE) return false;
    const mark = scratch.at;
    scratch.at = mark + Math.max(length, 0);
    const uidAt = scratch.at;
    const written = this.records.write(item);
    scratch.at = mark;
    if (!written) return false;
    if (command === 'add')
      return (
        native.profileAddRemote(profile, this.valueAt, length, uidAt, item.length, expires) === STATUS.ok
      );
    native.profileRemoveRemote(profile, this.valueAt, length, uidAt, item.length);
    return true;
  }

  /** Removes expired items of other systems, a part of all profiles with each second. */
  expireRemotes(): void {
    const { native } = this.records;
    const now = native.nowUnixSeconds();
    if (now === this.expiredAt) return;
    this.expiredAt = now;
    native.profileExpireRemotes(now, this.part);
    this.part = (this.part + 1) % REMOTE_PARTS;
  }

  /** The dialog in hand is the message's: what waited for it joins now. */
  attach(context: DialogContext, index: number, generation: number): void {
    const { native } = this.records;
    for (let n = 0; n < context.heldMembers; n++) {
      const member = context.members[n]!;
      if (native.profileAttach(member, index, generation) !== STATUS.ok) native.profileGiveBack(member);
    }
    context.heldMembers = 0;
    if (context.joins.length === 0) return;
    for (const { profile, value } of context.joins)
      this.joinRecord(context, index, generation, profile, value, 0);
    context.joins.length = 0;
  }

  /** No dialog came: what was counted is given back, what waited is forgotten. */
  giveBack(context: DialogContext): void {
    for (let n = 0; n < context.heldMembers; n++) this.records.native.profileGiveBack(context.members[n]!);
    context.heldMembers = 0;
  }

  /** The message relayed has a transaction and no dialog: what it joined counts as long as the transaction lives. */
  keepFor(context: DialogContext, transaction: number): void {
    const held = this.ofTransactions.get(transaction) ?? [];
    for (let n = 0; n < context.heldMembers; n++) held.push(context.members[n]!);
    this.ofTransactions.set(transaction, held);
    context.heldMembers = 0;
  }

  /** The transaction goes, or its request was refused. */
  transactionEnded(transaction: number): void {
    const held = this.ofTransactions.get(transaction);
    if (held === undefined) return;
    this.ofTransactions.delete(transaction);
    for (const member of held) this.records.native.profileGiveBack(member);
  }

  /** Transactions without dialog that count somewhere. */
  get remembered(): number {
    return this.ofTransactions.size;
  }

  /** Joins by the names that a snapshot shows, for a dialog that is revived. */
  rejoin(
    context: DialogContext,
    index: number,
    generation: number,
    name: string,
    value: string | null,
  ): void {
    const profile = this.numbers.get(name);
    // Snapshots for routes are byte text.
    const text = value === null ? null : fromBytes(value);
    if (profile !== undefined) this.joinRecord(context, index, generation, profile, text, 0);
  }

  private join(context: DialogContext, profile: number, value: string | null, limit: number): boolean {
    const { index, generation } = this.records;
    return this.joinRecord(context, index, generation, profile, value, limit);
  }

  private joinRecord(
    context: DialogContext,
    index: number,
    generation: number,
    profile: number,
    value: string | null,
    limit: number,
  ): boolean {
    const length = this.writeValue(profile, value);
    if (length === BAD_VALUE) return false;
    const status = this.records.native.profileJoin(index, generation, profile, this.valueAt, length, limit);
    if (status === STATUS.noMemory) context.refusedForMemory = true;
    if (status === STATUS.limit) this.records.native.count(COUNTERS.limits, 1);
    return status === STATUS.ok;
  }

  private joinAhead(context: DialogContext, profile: number, value: string | null, limit: number): boolean {
    if (context.heldMembers >= MEMBERS_HELD_MAX) return false;
    if (!this.joinRecord(context, 0, 0, profile, value, limit)) return false;
    context.members[context.heldMembers] = this.records.x[X_ARGS]!;
    context.memberProfiles[context.heldMembers] = profile;
    context.memberValues[context.heldMembers] = value;
    context.heldMembers += 1;
    return true;
  }

  /** Takes back the newest join that waits for a dialog. */
  private forget(context: DialogContext, profile: number, value: string | null): boolean {
    const wanted = this.definitions[profile]!.withValue ? value : null;
    for (let n = context.joins.length - 1; n >= 0; n--) {
      const join = context.joins[n]!;
      if (join.profile !== profile || join.value !== wanted) continue;
      context.joins.splice(n, 1);
      return true;
    }
    for (let n = context.heldMembers - 1; n >= 0; n--) {
      if (context.memberProfiles[n] !== profile || (wanted !== null && context.memberValues[n] !== wanted))
        continue;
      this.records.native.profileGiveBack(context.members[n]!);
      context.members.copyWithin(n, n + 1, context.heldMembers);
      context.memberProfiles.copyWithin(n, n + 1, context.heldMembers);
      context.memberValues.copyWithin(n, n + 1, context.heldMembers);
      context.heldMembers -= 1;
      return true;
    }
    return false;
  }

  private numberOf(name: string): number {
    const number = this.numbers.get(name);
    if (number === undefined) throw new EngineError('ERR_NO_SUCH_PROFILE', name);
    return number;
  }

  /** Length of the value written at valueAt; NO_VALUE for a profile without values, whatever is given. */
  private writeValue(profile: number, value: string | null): number {
    const { withValue } = this.definitions[profile]!;
    if (!this.isUsable(withValue, value)) return BAD_VALUE;
    return withValue ? this.write(value!) : NO_VALUE;
  }

  /** The same where no value means any. */
  private writeAnyValue(profile: number, value: string | null): number {
    if (value === null) return NO_VALUE;
    return this.writeValue(profile, value);
  }

  private write(value: string): number {
    const { scratch } = this.records.memory;
    this.valueAt = scratch.at;
    const bytes = toBytes(value);
    if (!this.records.write(bytes)) return BAD_VALUE;
    scratch.at = this.valueAt;
    return bytes.length;
  }

  private isUsable(withValue: boolean, value: string | null): boolean {
    if (!withValue) return true;
    if (value === null || value === '') return false;
    const bytes = toBytes(value).length;
    if (bytes <= VALUE_BYTES_MAX) return true;
    this.records.native.count(COUNTERS.refusedValue, 1);
    this.log.warn('profile_value_too_long', { bytes, bytes_max: VALUE_BYTES_MAX });
    return false;
  }
}
