/**
 * The Reason of a CANCEL: the caller's own, or that another branch ended the fork.  [RFC 3326]
 *
 * A branch word keeps the cause; the caller's header fields, which few CANCELs have, stand here until the transaction is over.
 * Worker or process may die between two copies of a CANCEL: the later ones then lack the caller's text, and nothing else.
 */
import type { Message } from '../sip/message.js';
import { HDR_REASON } from '../sip/words.js';
import { reasonOf } from './answer.js';

/** Why a branch is cancelled: nothing to say, the caller's CANCEL, or the final response (its code) that ended the fork. */
export const CAUSE_NONE = 0;
export const CAUSE_CALLER = 1;
/** Reason lines of one CANCEL that are passed on; what is beyond stays behind. */
export const REASONS_BYTES_MAX = 1_024;

type Kept = { readonly generation: number; readonly lines: Uint8Array };

const NO_LINES = new Uint8Array(0);

export type CancelReasonParams = { readonly local_cancel_reason: number; readonly e2e_cancel_reason: number };

/** One per shard. */
export class CancelReasons {
  private readonly params: CancelReasonParams;
  private readonly kept = new Map<number, Kept>();

  constructor(params: CancelReasonParams) {
    this.params = params;
  }

  /** Transactions whose caller gave reasons. */
  get size(): number {
    return this.kept.size;
  }

  /** Keeps the Reason lines of a caller's CANCEL with the transaction that it cancels. */
  keep(cancel: Message, index: number, generation: number): void {
    if (this.params.e2e_cancel_reason === 0) return;
    let lines = '';
    for (let n = cancel.findHeader(HDR_REASON); n >= 0; n = cancel.findHeader(HDR_REASON, n + 1)) {
      const line = cancel.slice(cancel.headerLine(n), cancel.headerEnd(n) - cancel.headerLine(n));
      if (lines.length + line.length > REASONS_BYTES_MAX) break;
      lines += line;
    }
    if (lines !== '') this.kept.set(index, { generation, lines: Buffer.from(lines, 'latin1') });
  }

  /** Whole header lines for a CANCEL with this cause; empty for none. */
  linesFor(index: number, generation: number, cause: number): Uint8Array {
    if (cause === CAUSE_NONE) return NO_LINES;
    if (cause === CAUSE_CALLER) {
      const kept = this.kept.get(index);
      return kept?.generation === generation ? kept.lines : NO_LINES;
    }
    return this.params.local_cancel_reason === 0 ? NO_LINES : localReason(cause);
  }

  /** The transaction is over. */
  forget(index: number): void {
    if (this.kept.size > 0) this.kept.delete(index);
  }
}

function localReason(code: number): Uint8Array {
  const text = code < 300 ? 'Call completed elsewhere' : reasonOf(code);
  return Buffer.from(
    `Reason: SIP;cause=${code < 300 ? 200 : code}${text === '' ? '' : `;text="${text}"`}\r\n`,
    'latin1',
  );
}
