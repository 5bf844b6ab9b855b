/**
 * OPTIONS inside calls, to find those whose ends are gone.
 *
 * A confirmed call with the property ka-src or ka-dst has a place on the keep-alive wheel; when it is due, each such side
 * is asked.  An answer of whatever kind proves life.  408, 481 and silence count; at ka_failed_limit in a row the call
 * has ten seconds left, and an answer that comes after all gives it its lifetime back.  Properties are looked at with
 * each probe, so setting and clearing them counts at once.  [manual 5.47, 5.48, 6.16; spec 3.6]
 */
import { STATUS } from '../memory/addon.js';
import {
  D_DUE,
  D_KA_FAILURES,
  D_MARKS,
  D_PROPERTIES,
  D_SAVED_DUE,
  D_STATE,
  X_ARGS,
  X_LIST,
} from '../memory/words.js';
import type { Desk } from './desk.js';
import { CONFIRMED } from './machine.js';
import type { DialogLog, Sender } from './ports.js';
import { PURPOSE } from './purposes.js';
import * as record from './record.js';
import { type Call, cseqOfProbe, requestWithin, TO_CALLEE, TO_CALLER } from './requests.js';
import { COUNTERS } from './statistics.js';

/** What is left of a call whose end does not answer. */
export const GRACE_SECONDS = 10;
/** Calls taken from the wheel at a time: two words each. */
const DUE_PER_LOOK_MAX = 256;
/** Calls probed with one tick; the next comes soon. */
const PROBED_PER_TICK_MAX = 64;
/** "Request timeout", "call does not exist". */
const FAILURES: readonly number[] = [408, 481];

export type KeepAliveParams = {
  readonly ka_timer: number;
  readonly ka_interval: number;
  readonly ka_failed_limit: number;
  readonly lreq_callee_headers: string;
};

/** Whether probes are sent at all. */
export function isProbing(params: KeepAliveParams): boolean {
  return params.ka_timer > 0 && params.ka_interval > 0;
}

/** Whether one of these properties asks for probes. */
export function wantsProbes(properties: number): boolean {
  return (properties & (record.PROPERTY_KA_CALLER | record.PROPERTY_KA_CALLEE)) !== 0;
}

export class KeepAlive {
  private readonly desk: Desk;
  private readonly sender: Sender;
  private readonly params: KeepAliveParams;
  private readonly log: DialogLog;
  private readonly due = new Uint32Array(2 * DUE_PER_LOOK_MAX);
  /** Pairs of words in `due`, and how many of them are done with. */
  private count = 0;
  private done = 0;
  /** The wheel may have more that is due. */
  private isMore = false;
  private nextLook = 0;

  constructor(desk: Desk, sender: Sender, params: KeepAliveParams, log: DialogLog) {
    this.desk = desk;
    this.sender = sender;
    this.params = params;
    this.log = log;
  }

  /** Some that are due were left for the next tick. */
  get isBehind(): boolean {
    return this.isMore || this.done < this.count;
  }

  /** Every ka_timer seconds: probes what is due, a bounded number of calls with each tick. */
  tick(): void {
    if (!isProbing(this.params)) return;
    if (this.done === this.count && !this.take()) return;
    const { due } = this;
    const end = Math.min(this.count, this.done + PROBED_PER_TICK_MAX);
    while (this.done < end && !this.sender.isBusy?.()) {
      const at = 2 * this.done++;
      if (this.probe(due[at]!, due[at + 1]!)) continue;
      // They stay due: the next look finds them.
      this.done = this.count;
      this.isMore = false;
    }
  }

  /** False: it is not time to look. */
  private take(): boolean {
    const { native, x } = this.desk;
    const now = native.nowBootSeconds();
    if (!this.isMore && now < this.nextLook) return false;
    if (!this.isMore) this.nextLook = now + this.params.ka_timer;
    this.count = Math.min(native.dialogKeepAliveAdvance(), DUE_PER_LOOK_MAX);
    this.done = 0;
    this.isMore = this.count === DUE_PER_LOOK_MAX;
    const { due } = this;
    for (let n = 0; n < 2 * this.count; n++) due[n] = x[X_LIST + n]!;
    return true;
  }

  /** False: there is no room for probes; the call stays due. */
  private probe(index: number, generation: number): boolean {
    const { native, records, x } = this.desk;
    if (!records.load(index, generation)) return true;
    const properties = x[D_PROPERTIES]!;
    const isAlive = x[D_STATE] === CONFIRMED && wantsProbes(properties);
    if (isAlive && !this.sender.hasRoom(2)) return false;
    const call = isAlive ? this.desk.call() : null;
    records.beginChange(record.CHANGE_KA_DUE, 0);
    x[record.A_KA_DUE] = isAlive ? native.nowBootSeconds() + this.params.ka_interval : 0;
    if (records.change(index, generation) !== STATUS.ok || call === null) return true;
    if ((properties & record.PROPERTY_KA_CALLER) !== 0) this.ask(call, TO_CALLER);
    if ((properties & record.PROPERTY_KA_CALLEE) !== 0) this.ask(call, TO_CALLEE);
    return true;
  }

  private ask(call: Call, side: number): void {
    const { index, generation } = call;
    const last = this.desk.records.sentCSeq(index, generation, side);
    const request = requestWithin(call, side, 'OPTIONS', {
      cseq: cseqOfProbe(last),
      purpose: PURPOSE.probe,
      headers: side === TO_CALLEE ? this.params.lreq_callee_headers : '',
    });
    if (request !== null && this.sender.send(request) === 'sent')
      this.desk.native.count(COUNTERS.probesSent, 1);
    else this.log.warn('probe_not_sent', { record: index, side, call_id: call.callId });
  }

  /** A probe has its final answer; `came` false: none came, or it could not be sent. */
  answered(came: boolean, code: number, index: number, generation: number, side: number): void {
    const { native, records, x } = this.desk;
    if (!records.load(index, generation) || x[D_STATE] !== CONFIRMED) return;
    const failed = !came || FAILURES.includes(code);
    if (native.dialogProbeAnswered(index, generation, side, failed ? 1 : 0) !== STATUS.ok) return;
    const failures = x[X_ARGS]!;
    if (!records.load(index, generation)) return;
    if (failures >= this.params.ka_failed_limit) this.shorten(index, generation, side, code);
    else if ((x[D_MARKS]! & record.MARK_SHORTENED) !== 0 && !this.isOtherSilent(side))
      this.restore(index, generation);
  }

  /** The other side's failures keep the call short. */
  private isOtherSilent(side: number): boolean {
    const failures = this.desk.x[D_KA_FAILURES]!;
    const other = side === TO_CALLER ? failures >>> 16 : failures & 0xffff;
    return other >= this.params.ka_failed_limit;
  }

  private shorten(index: number, generation: number, side: number, code: number): void {
    const { native, records, x } = this.desk;
    const due = native.nowBootSeconds() + GRACE_SECONDS;
    const before = x[D_DUE]!;
    if (before <= due) return;
    records.beginChange(record.CHANGE_DUE | record.CHANGE_SAVED_DUE | record.CHANGE_MARKS, CONFIRMED);
    x[record.A_DUE] = due;
    x[record.A_SAVED_DUE] = before;
    x[record.A_MARKS_SET] = record.MARK_SHORTENED;
    if (records.change(index, generation) === STATUS.ok)
      this.log.warn('side_does_not_answer', { record: index, side, code });
  }

  private restore(index: number, generation: number): void {
    const { records, x } = this.desk;
    const due = Math.max(x[D_DUE]!, x[D_SAVED_DUE]!);
    records.beginChange(record.CHANGE_DUE | record.CHANGE_SAVED_DUE | record.CHANGE_MARKS, CONFIRMED);
    x[record.A_DUE] = due;
    x[record.A_SAVED_DUE] = 0;
    x[record.A_MARKS_CLEAR] = record.MARK_SHORTENED;
    records.change(index, generation);
  }
}
