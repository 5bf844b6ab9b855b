/**
 * register_dlgcb, typed: how everyone else hears of a dialog.  [manual 10]
 *
 * The types keep the numbers of the documented interface.
 */
import type { Message } from '../sip/message.js';

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

const EVERY_TYPE = Object.values(DLGCB).reduce((all: number, type) => all | type, 0);
/** Types that concern every dialog, for none is there to register with: each stands alone. */
const BEFORE_ANY = DLGCB.LOADED | DLGCB.CREATED;
/** Types that are told while the transaction in hand is that of the request they are about. */
const ABOUT_STORED_REQUEST =
  DLGCB.CREATED |
  DLGCB.FAILED |
  DLGCB.CONFIRMED_NA |
  DLGCB.EARLY |
  DLGCB.RESPONSE_FWDED |
  DLGCB.RESPONSE_WITHIN |
  DLGCB.TERMINATED_CONFIRMED;

/** Listeners of one dialog, and of all dialogs. */
export const LISTENERS_MAX = 64;

/** Fields that listeners add to a listing of one dialog. */
export type ContextFields = Record<string, string | number>;

/** What a listener is told; valid during the call only. */
export type DialogNews = {
  /** One of DLGCB. */
  readonly type: number;
  /** Handle of the record, for set_dlg_var and the like. */
  readonly index: number;
  readonly generation: number;
  /** The request it is about: as it came, or as its transaction keeps it; null: there is none, or no more. */
  readonly request: Message | null;
  /** The answer it is about; null also for one of our own. */
  readonly reply: Message | null;
  /** 1 downstream, 2 upstream, 0 neither. */
  readonly direction: number;
  /** EXPIRED: whether the call had been confirmed by its ACK.  RPC_CONTEXT, MI_CONTEXT: the fields to fill.  Else null. */
  readonly data: boolean | ContextFields | null;
};
export type DialogListener = (news: DialogNews) => void;

type Registration = { readonly types: number; readonly listener: DialogListener };

/** The stored request of the transaction in hand if that is the dialog's; null: there is none. */
export type StoredRequest = (index: number) => Message | null;

/** News whose request is fetched when somebody asks for it. */
class News implements DialogNews {
  readonly type: number;
  readonly index: number;
  readonly generation: number;
  readonly reply: Message | null;
  readonly direction: number;
  readonly data: boolean | ContextFields | null;
  private given: Message | null;
  private stored: StoredRequest | null;

  constructor(
    type: number,
    index: number,
    generation: number,
    given: Message | null,
    reply: Message | null,
    direction: number,
    data: boolean | ContextFields | null,
    stored: StoredRequest,
  ) {
    this.type = type;
    this.index = index;
    this.generation = generation;
    this.given = given;
    this.reply = reply;
    this.direction = direction;
    this.data = data;
    this.stored = given === null && (type & ABOUT_STORED_REQUEST) !== 0 ? stored : null;
  }

  get request(): Message | null {
    if (this.stored !== null) {
      this.given = this.stored(this.index);
      this.stored = null;
    }
    return this.given;
  }
}

export class Callbacks {
  private everyDialog: Registration[] = [];
  private readonly byRecord = new Map<number, { generation: number; listeners: Registration[] }>();
  private readonly onFault: (error: unknown, index: number, generation: number) => void;
  private readonly stored: StoredRequest;
  private wantedByAll = 0;

  constructor(
    onFault: (error: unknown, index: number, generation: number) => void,
    stored: StoredRequest = () => null,
  ) {
    this.onFault = onFault;
    this.stored = stored;
  }

  /**
   * Hears of one dialog, or with null of all.  CREATED and LOADED concern all and stand alone; there is no way back.
   *
   * @returns false if there is no such type, the types cannot be combined, or too many listen already
   */
  register(
    dialog: { readonly index: number; readonly generation: number } | null,
    types: number,
    listener: DialogListener,
  ): boolean {
    if (types === 0 || (types & ~EVERY_TYPE) !== 0) return false;
    const alone = types & BEFORE_ANY;
    if (alone !== 0 && (dialog !== null || (types !== DLGCB.CREATED && types !== DLGCB.LOADED))) return false;
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
    data: boolean | ContextFields | null = null,
  ): void {
    if (!this.wants(type)) return;
    const news = new News(type, index, generation, request, reply, direction, data, this.stored);
    const own = this.byRecord.get(index);
    if (own !== undefined && own.generation === generation) this.tellAll(own.listeners, news);
    if ((this.wantedByAll & type) !== 0) this.tellAll(this.everyDialog, news);
  }

  /** The record is about to be freed: DESTROY, then nobody listens to it any more. */
  destroyed(index: number, generation: number): void {
    this.tell(DLGCB.DESTROY, index, generation, null, null, 0);
    this.forget(index, generation);
  }

  /** Nobody listens to the record any more. */
  forget(index: number, generation: number): void {
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
        this.onFault(error, news.index, news.generation);
      }
    }
  }
}
