/**
 * All that the dialog room asks of those above it.
 */
import type { Message } from '../sip/message.js';

/**
 * The three event routes.  While one runs, the tracker's context names the dialog.  [manual 11]
 *
 * `message` is what made the change, and null when nothing came from outside: a final answer of our own, or a time that
 * is over.  What they throw is logged and harms no call.
 */
export interface DialogEvents {
  /** The first 2xx is about to go upstream; the callee's leg is known. */
  start(message: Message | null): void;
  /** An answered call has ended. */
  end(message: Message | null): void;
  /** A call ended without a 2xx. */
  failed(message: Message | null): void;
}

/** Where faults are told; a OnceAMinute or a Log. */
export interface DialogLog {
  error(event: string, fields?: Readonly<Record<string, string | number>>): void;
  warn(event: string, fields?: Readonly<Record<string, string | number>>): void;
}
