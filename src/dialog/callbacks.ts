/**
 * register_dlgcb, typed: how everyone else hears of a dialog.  [manual 10]
 *
 * The types keep the numbers of the documented interface.  Those that fire today are in FIRED; registering for another
 * one is refused, for it would wait for ever.
 */

export const DLGCB = {
  LOADED: 1,
  CREATED: 2,
  FAILED: 4,
  CONFIRMED_NA: 8,
  CONFIRMED: 16,
  REQ_WITHIN: 32,
  TERMINATED: 64,
  EXPIRED: 128,
  EARLY: 256,
  RESPONSE_FWDED: 512,
  RESPONSE_WITHIN: 1024,
  MI_CONTEXT: 2048,
  RPC_CONTEXT: 4096,
  DESTROY: 8192,
  SPIRALED: 16_384,
  TERMINATED_CONFIRMED: 32_768,
} as const;

/** Types without a source as yet: restoring dialogs, and listings with contributions. */
const NOT_FIRED = DLGCB.LOADED | DLGCB.MI_CONTEXT | DLGCB.RPC_CONTEXT;
const FIRED = Object.values(DLGCB).reduce((all: number, type) => all | type, 0) & ~NOT_FIRED;

/** Listeners of one dialog, and of all dialogs. */
export const LISTENERS_MAX = 64;

import type { Message } from '../sip/message.js';

/** What a listener is told; valid during the call only. */
export type DialogNews = {
  /** One of DLGCB. */
  readonly type: number;
  /** Handle of the record, for set_dlg_var and the like. */
  readonly index: number;
  readonly generation: number;
  readonly request: Message | null;
  readonly reply: Message | null;
  /** 1 downstream, 2 upstream, 0 neither. */
  readonly direction: number;
  /** EXPIRED: whether the call had been confirmed by its ACK; else null. */
  readonly data: boolean | null;
};
export type DialogListener = (news: DialogNews) => void;

type Registration = { readonly types: number; readonly listener: DialogListener };

export class Callbacks {
  private everyDialog: Registration[] = [];
  private readonly byRecord = new Map<number, { generation: number; listeners: Registration[] }>();
  private readonly onFault: (error: unknown, index: number) => void;
  private wantedByAll = 0;

  constructor(onFault: (error: unknown, index: number) => void) {
    this.onFault = onFault;
  }

  /**
   * Hears of one dialog, or with null of all.  CREATED concerns all and stands alone; there is no way back.
   *
   * @returns false if the types cannot be combined, never fire, or too many listen already
   */
  register(
    dialog: { readonly index: number; readonly generation: number } | null,
    types: number,
    listener: DialogListener,
  ): boolean {
    if (types === 0 || (types & ~FIRED) !== 0) return false;
    if ((types & DLGCB.CREATED) !== 0 && (types !== DLGCB.CREATED || dialog !== null)) return false;
    if (dialog === null) return this.add(this.everyDialog, types, listener);
    let own = this.byRecord.get(dialog.index);
    if (own === undefined || own.generation !== dialog.generation) {
      own = { generation: dialog.generation, listeners: [] };
      this.byRecord.set(dialog.index, own);
    }
    return this.add(own.listeners, types, listener);
  }

  /** Whether anybody may listen to the type: asked before anything is prepared for it. */
  wants(type: number): boolean {
    return (this.wantedByAll & type) !== 0 || this.byRecord.size > 0;
  }

  /** Tells the listeners of a type, the last registered first. */
  tell(
    type: number,
    index: number,
    generation: number,
    request: Message | null,
    reply: Message | null,
    direction: number,
    data: boolean | null = null,
  ): void {
    if (!this.wants(type)) return;
    const news: DialogNews = { type, index, generation, request, reply, direction, data };
    const own = this.byRecord.get(index);
    if (own !== undefined && own.generation === generation) this.tellAll(own.listeners, news);
    if ((this.wantedByAll & type) !== 0) this.tellAll(this.everyDialog, news);
  }

  /** The record is about to be freed: DESTROY, then nobody listens to it any more. */
  destroyed(index: number, generation: number): void {
    this.tell(DLGCB.DESTROY, index, generation, null, null, 0);
    if (this.byRecord.get(index)?.generation === generation) this.byRecord.delete(index);
  }

  private add(list: Registration[], types: number, listener: DialogListener): boolean {
    if (list.length >= LISTENERS_MAX) return false;
    list.push({ types, listener });
    if (list === this.everyDialog) this.wantedByAll |= types;
    return true;
  }

  private tellAll(list: readonly Registration[], news: DialogNews): void {
    for (let n = list.length - 1; n >= 0; n--) {
      const { types, listener } = list[n]!;
      if ((types & news.type) === 0) continue;
      try {
        listener(news);
      } catch (error) {
        this.onFault(error, news.index);
      }
    }
  }
}
