/**
 * Dialogs whose time is over, as the wheels hand them out: the shard's own, or those of all shards in the timer worker.
 *
 * Answered calls are ended (ending.ts); what only their owner may do, it is told (Owners).  Whatever is not taken on stays
 * due and comes again with the next second, so nobody is lost.  [manual 5.50, spec 3.4]
 */
import type { Shard } from '../memory/addon.js';
import { D_DUE, D_ENTRY, D_STATE, X_LIST } from '../memory/words.js';
import type { Ending } from './ending.js';
import { DELETED, EARLY } from './machine.js';
import type { Owners, Sender } from './ports.js';
import { D_TIMEOUT_ROUTE, type Records } from './record.js';

/** Dialogs taken from the wheels with one tick: two words each. */
const DUE_PER_TICK_MAX = 256;
/** A tick that has lasted this long leaves the rest to the next: others want the processor too. */
const SLICE_MS = 2;
/** The clock is asked once for so many dialogs. */
const DIALOGS_PER_LOOK = 16;

export class DueDialogs {
  private readonly native: Shard;
  private readonly records: Records;
  private readonly ending: Ending;
  private readonly owners: Owners;
  private readonly sender: Sender;
  private readonly nowMs: () => number;
  private readonly due = new Uint32Array(2 * DUE_PER_TICK_MAX);
  /** Pairs of words in `due`, and how many of them are done with. */
  private count = 0;
  private done = 0;

  constructor(records: Records, ending: Ending, owners: Owners, sender: Sender, nowMs: () => number) {
    this.native = records.native;
    this.records = records;
    this.ending = ending;
    this.owners = owners;
    this.sender = sender;
    this.nowMs = nowMs;
  }

  /** Some were left for the next tick. */
  get isBehind(): boolean {
    return this.done < this.count;
  }

  /** Ends a bounded number of dialogs; none while as many BYEs as are good for the shards wait for their answers. */
  tick(): void {
    if (this.done === this.count) this.take();
    const until = this.nowMs() + SLICE_MS;
    while (this.done < this.count && !this.sender.isBusy?.()) {
      const at = 2 * this.done++;
      this.look(this.due[at]!, this.due[at + 1]!);
      if (this.done % DIALOGS_PER_LOOK === 0 && this.nowMs() >= until) return;
    }
  }

  private take(): void {
    const { due, native, records } = this;
    this.count = Math.min(native.dialogAdvance(), DUE_PER_TICK_MAX);
    this.done = 0;
    for (let n = 0; n < 2 * this.count; n++) due[n] = records.x[X_LIST + n]!;
  }

  private look(index: number, generation: number): void {
    const { native, owners, records } = this;
    const { x } = records;
    if (!records.load(index, generation)) return;
    const from = x[D_STATE]!;
    if (from === DELETED || !owners.hasRoom(x[D_ENTRY]!)) return;
    if (from <= EARLY) {
      if (x[D_DUE] !== 0 && x[D_DUE]! <= native.nowBootSeconds()) owners.endEarly(index, generation);
      return;
    }
    if (x[D_TIMEOUT_ROUTE] !== 0) owners.timeoutRoute(index, generation);
    else this.ending.expire(index, generation);
  }
}
