/**
 * dlg_req_within(): any request inside a call, when a route asks for it.
 *
 * Each takes a number of its own in its direction, which is remembered.  What the answer is, nobody hears.  [spec 13.2]
 */
import { D_STATE } from '../memory/words.js';
import type { Desk } from './desk.js';
import { CONFIRMED, CONFIRMED_NO_ACK } from './machine.js';
import type { Sender } from './ports.js';
import { PURPOSE } from './purposes.js';
import { asBytes, headerBlock, requestWithin, TO_CALLEE, TO_CALLER } from './requests.js';

/** Methods that are no requests of their own, or end what only ending.ts may end. */
const REFUSED: readonly string[] = ['ACK', 'CANCEL', 'PRACK', 'BYE'];
const BODY_BYTES_MAX = 32_768;

export class Inquiry {
  private readonly desk: Desk;
  private readonly sender: Sender;
  private readonly calleeHeaders: string;

  constructor(desk: Desk, sender: Sender, params: { readonly lreq_callee_headers: string }) {
    this.desk = desk;
    this.sender = sender;
    this.calleeHeaders = params.lreq_callee_headers;
  }

  /** Sends one to each of `sides`; false: no answered call, nothing that can be sent, or a side that cannot be reached. */
  send(
    index: number,
    generation: number,
    sides: number,
    method: string,
    headers: string,
    contentType: string,
    body: string,
  ): boolean {
    const { records, x } = this.desk;
    const lines = headerBlock(headers);
    if (lines === null || REFUSED.includes(method) || (body !== '' && contentType === '')) return false;
    const bytes = asBytes(body);
    if (bytes.length > BODY_BYTES_MAX || !records.load(index, generation)) return false;
    if (x[D_STATE] !== CONFIRMED && x[D_STATE] !== CONFIRMED_NO_ACK) return false;
    const call = this.desk.call();
    if (call === null || !this.sender.hasRoom(2)) return false;
    let reached = true;
    for (const side of [TO_CALLER, TO_CALLEE]) {
      if ((sides & side) === 0) continue;
      const cseq = records.takeCSeq(index, generation, side);
      if (cseq === 0) return false;
      const request = requestWithin(call, side, method, {
        cseq,
        purpose: PURPOSE.none,
        headers: lines + (side === TO_CALLEE ? this.calleeHeaders : ''),
        contentType,
        body: bytes,
      });
      reached = request !== null && this.sender.send(request) === 'sent' && reached;
    }
    return reached;
  }
}
