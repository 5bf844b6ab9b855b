/** Ending and making calls.  [manual 8.3, 8.4, 8.7, 9.5, 9.8; spec 10.4, 13.3] */
import { Type } from 'typebox';
import { command, Fault, optional, text, u32 } from '../command.js';
import type { EndOutcome } from '../ports.js';

/** What Kamailio's commands write for "none", and for an empty body. */
const NONE = '.';
const EMPTY = '_';

export const endDialog = command({
  name: 'dlg.end_dlg',
  mi: 'dlg_end_dlg',
  section: '8.3, 9.5',
  doc: 'Ends one dialog: BYE to both sides, with these header lines; one that is not answered is cancelled.',
  params: { h_entry: u32, h_id: u32, extra_hdrs: optional(Type.String({ maxLength: 8_192 })) },
  run: async ({ view }, { h_entry, h_id, extra_hdrs }) =>
    told(await view.end(h_entry, h_id, extra_hdrs ?? '')),
});

export const terminateDialog = command({
  name: 'dlg.terminate_dlg',
  mi: 'dlg_terminate_dlg',
  section: '8.4',
  doc: 'Ends the dialogs with this Call-ID, and with these tags where they are given.',
  params: { callid: text, from_tag: optional(text), to_tag: optional(text) },
  run: async ({ view }, { callid, from_tag, to_tag }) =>
    told(await view.terminate(callid, from_tag ?? null, to_tag ?? null)),
});

export const bridgeDialog = command({
  name: 'dlg.bridge_dlg',
  mi: 'dlg_bridge',
  section: '8.7, 9.8',
  doc:
    'Calls the first address, by way of an outbound proxy if one is given, and refers it to the second. ' +
    'The body is on hold unless it is given; "_" sends none, "." stands for what is left out.',
  params: {
    from: text,
    to: text,
    op: optional(Type.String({ maxLength: 1_024 })),
    sdp: optional(Type.String({ maxLength: 16_384 })),
  },
  async run({ view }, { from, to, op, sdp }) {
    const outbound = op === undefined || op === NONE ? '' : op;
    const body = sdp === undefined || sdp === NONE ? null : sdp === EMPTY ? '' : sdp;
    const sent = await view.bridge(from, to, outbound, body);
    return sent ? undefined : new Fault(500, 'INVITE not sent: no usable address, no way, or no room');
  },
});

const FAULTS: Readonly<Record<Exclude<EndOutcome, 'ended'>, Fault>> = {
  unreachable: new Fault(500, 'Dialog ended, but not every side could be sent a BYE'),
  gone: new Fault(404, 'Dialog not found'),
  too_early: new Fault(500, 'Dialog not answered, and its INVITE cannot be ended'),
  no_room: new Fault(503, 'No room for the BYEs, nothing happened: try again'),
  bad_headers: new Fault(
    400,
    'Invalid parameters: extra_hdrs must be whole header lines, none of the dialog itself',
  ),
  not_now: new Fault(503, 'The worker of this dialog does not answer'),
};

function told(result: EndOutcome): Fault | undefined {
  return result === 'ended' ? undefined : FAULTS[result];
}
