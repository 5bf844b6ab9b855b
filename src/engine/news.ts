/**
 * What listeners are told, and what became of a message.
 */
import type { ContextFields } from '../dialog/callbacks.js';
import type { DialogAddress } from '../dialog/dialog.js';
import type { Message } from '../sip/message.js';
import { SipMessage } from '../sip/sip-message.js';
import { WORDS } from '../sip/words.js';

/** What one message did. */
export type Step = {
  /** The dialog that it belongs to; null: none. */
  readonly dialog: DialogAddress | null;
  /** 1 towards the callee, 2 towards the caller, 0: it belongs to no dialog. */
  readonly direction: number;
  /** State before it: 1 unconfirmed, 2 early, 3 confirmed without ACK, 4 confirmed, 5 deleted; 0: there was no dialog. */
  readonly from: number;
  /** State after it; 0: there is no dialog. */
  readonly to: number;
  /** `did=3a1.4321`: goes into your Record-Route URI of this request as a parameter; null: nothing does. */
  readonly recordRoute: string | null;
  /**
   * The CSeq number under which the request has to go on, for a request of the engine's own has taken a number in its
   * direction; null: as it came.  Its replies get the number back that it came with, by you.
   */
  readonly cseq: number | null;
  /**
   * Why there is no dialog: it is not SIP; an INVITE for which the segment has no room; an INVITE without exactly one
   * Contact, without tag or with a Route set that is too long.
   */
  readonly refused: 'malformed' | 'no-room' | 'unusable' | null;
};

/** The message belongs to no dialog. */
export const NOTHING: Step = {
  dialog: null,
  direction: 0,
  from: 0,
  to: 0,
  recordRoute: null,
  cseq: null,
  refused: null,
};

/** What a listener of registerDlgcb is told; valid during the call only. */
export type EngineNews = {
  /** One of DLGCB. */
  readonly type: number;
  readonly dialog: DialogAddress;
  /** The request or the reply that it is about; null: none. */
  readonly request: SipMessage | null;
  readonly reply: SipMessage | null;
  /** 1 downstream, 2 upstream, 0 neither. */
  readonly direction: number;
  /** EXPIRED: whether the call had been confirmed by its ACK.  RPC_CONTEXT, MI_CONTEXT: the fields to fill.  Else null. */
  readonly data: boolean | ContextFields | null;
};

/** What a listener of on() is told; valid during the call only. */
export type CallEvent = {
  readonly dialog: DialogAddress;
  /** What made the change; null: nothing that came in. */
  readonly message: SipMessage | null;
  /** Of `timeout` the route that the dialog names. */
  readonly route: string | null;
};

/** A copy that may be kept. */
export function copyOf(message: Message): SipMessage {
  const { at, length, w } = message;
  return new SipMessage(message.bytes.slice(at, at + length), message.words.subarray(w, w + WORDS));
}
