/** Forcing a state.  [spec 13.3] */
import { Type } from 'typebox';
import { command, Fault, optional, text } from '../command.js';
import type { StateOutcome } from '../ports.js';

const DELETED = 5;

export const setState = command({
  name: 'dlg.set_state',
  section: 'beyond the manual',
  doc:
    'Forces the state (1 to 5, 5 if left out) of the dialog with this Call-ID and these tags: no BYE, no route, no ' +
    'listener. What has ended stays ended.',
  params: {
    callid: text,
    from_tag: text,
    to_tag: text,
    state: optional(Type.Integer({ minimum: 1, maximum: 5 })),
  },
  async run({ view }, { callid, from_tag, to_tag, state }) {
    const found = view
      .find(callid, from_tag)
      .filter(({ caller, callee }) => caller.tag === to_tag || callee.tag === to_tag);
    let outcome: StateOutcome = 'gone';
    for (const { h_entry, h_id } of found) {
      outcome = await view.setState(h_entry, h_id, state ?? DELETED);
      if (outcome !== 'done') break;
    }
    return outcome === 'done' ? 'Done' : FAULTS[outcome];
  },
});

const FAULTS: Readonly<Record<Exclude<StateOutcome, 'done'>, Fault>> = {
  gone: new Fault(404, 'Dialog not found'),
  ended: new Fault(500, 'Dialog has ended'),
  not_now: new Fault(503, 'The worker of this dialog does not answer'),
};
