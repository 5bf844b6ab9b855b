/**
 * dlg_refer(): one side of a call is sent elsewhere.
 *
 * REFER to that side, and when it has its final answer, whatever it is, a BYE to the same side.  The other side and the
 * tracked call are left as they are.  [manual 6.9; spec 4.5; RFC 3515, RFC 3892]
 */
import { D_STATE } from '../memory/words.js';
import type { Desk } from './desk.js';
import { CONFIRMED, CONFIRMED_NO_ACK } from './machine.js';
import type { Sender } from './ports.js';
import { PURPOSE } from './purposes.js';
import { asBytes, isUri, requestWithin } from './requests.js';

export type ReferParams = { readonly bridge_controller: string; readonly bridge_contact: string };

export class Refer {
  private readonly desk: Desk;
  private readonly sender: Sender;
  private readonly params: ReferParams;

  constructor(desk: Desk, sender: Sender, params: ReferParams) {
    this.desk = desk;
    this.sender = sender;
    this.params = params;
  }

  /** Sends the REFER; false: no answered call, no address, or no way to that side. */
  refer(index: number, generation: number, side: number, address: string): boolean {
    const headers = referHeaders(address, this.params);
    return headers !== null && this.send(index, generation, side, 'REFER', PURPOSE.refer, headers);
  }

  /** The REFER has its final answer. */
  answered(index: number, generation: number, side: number): void {
    this.send(index, generation, side, 'BYE', PURPOSE.none, '');
  }

  private send(
    index: number,
    generation: number,
    side: number,
    method: string,
    purpose: number,
    headers: string,
  ): boolean {
    const { records, x } = this.desk;
    if (!records.load(index, generation)) return false;
    if (x[D_STATE] !== CONFIRMED && x[D_STATE] !== CONFIRMED_NO_ACK) return false;
    const call = this.desk.call();
    if (call === null || !this.sender.hasRoom(1)) return false;
    const cseq = records.takeCSeq(index, generation, side);
    const request = cseq === 0 ? null : requestWithin(call, side, method, { cseq, purpose, headers });
    return request !== null && this.sender.send(request) === 'sent';
  }
}

/** Where somebody is referred to, by whom; null: that is no address. */
export function referHeaders(address: string, params: ReferParams): string | null {
  const value = addressValue(asBytes(address));
  if (value === null) return null;
  const by = addressValue(params.bridge_controller) ?? '';
  return `Referred-By: ${by}\r\nRefer-To: ${value}\r\nContact: <${params.bridge_contact}>\r\n`;
}

const NAME_ADDR =
  /^(?:"(?:[^"\\\0-\x1f\x7f]|\\[^\0-\x1f\x7f])*"[ \t]*|[^<>",;\0-\x08\x0a-\x1f\x7f]*)<([^<>]+)>$/;

/** A URI as it may stand in a header field: in brackets where its marks would be taken for the field's. */
function addressValue(text: string): string | null {
  if (isUri(text)) return /[,;?]/.test(text) ? `<${text}>` : text;
  const uri = NAME_ADDR.exec(text)?.[1];
  return uri !== undefined && isUri(uri) ? text : null;
}
