/**
 * What management asks of a shard, as plain data: the words go to the worker and its answer comes back.
 */
import { type ContextFields, DLGCB } from '../dialog/callbacks.js';
import type { DialogAddress } from '../dialog/dialog.js';
import { BOTH_SIDES, type EndResult } from '../dialog/ending.js';
import { headerBlock } from '../dialog/requests.js';
import type { DialogTracker } from '../dialog/tracker.js';
import { STATUS } from '../memory/addon.js';

/** Ends one dialog, makes a call, forces a state, or asks what listeners add to listings. */
export type ShardCommand =
  | { readonly kind: 'end'; readonly entry: number; readonly id: number; readonly headers: string }
  | {
      readonly kind: 'bridge';
      readonly from: string;
      readonly to: string;
      readonly outbound: string;
      readonly sdp: string | null;
    }
  | { readonly kind: 'set_state'; readonly entry: number; readonly id: number; readonly state: number }
  | { readonly kind: 'context'; readonly dialogs: readonly DialogAddress[] };

/** How it came out. */
export type CommandResult = EndResult | 'bad_headers' | boolean | readonly ContextFields[];

/** Asks the worker of an owner number; rejected when there is none, or it does not answer. */
export type Ask = (owner: number, command: ShardCommand) => Promise<CommandResult>;

/** Does it, on the shard. */
export function obey(tracker: DialogTracker, command: ShardCommand): CommandResult {
  tracker.forgetMessage();
  switch (command.kind) {
    case 'end': {
      const headers = headerBlock(command.headers);
      if (headers === null) return 'bad_headers';
      const { records } = tracker;
      if (records.native.dialogFindById(command.entry, command.id) !== STATUS.ok) return 'gone';
      return tracker.ending.end(records.index, records.generation, BOTH_SIDES, headers);
    }
    case 'set_state': {
      const { records } = tracker;
      if (records.native.dialogFindById(command.entry, command.id) !== STATUS.ok) return 'gone';
      return tracker.byHand.setState(command.state);
    }
    case 'context':
      return command.dialogs.map(({ entry, id }) => fieldsOf(tracker, entry, id));
    case 'bridge':
      return tracker.bridge.bridge(command.from, command.to, command.outbound, command.sdp);
  }
}

/** There is one door to both listings: whoever registered for either adds to it. */
function fieldsOf(tracker: DialogTracker, entry: number, id: number): ContextFields {
  const { records } = tracker;
  if (records.native.dialogFindById(entry, id) !== STATUS.ok) return {};
  const { index, generation } = records;
  const fields = tracker.contextFields(index, generation, DLGCB.MI_CONTEXT);
  return { ...fields, ...tracker.contextFields(index, generation, DLGCB.RPC_CONTEXT) };
}
