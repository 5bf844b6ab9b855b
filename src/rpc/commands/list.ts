/** Looking at dialogs.  [manual 8.1, 9.1, 9.3] */
import { Type } from 'typebox';
import { command, Fault, optional, Pages, text, u32 } from '../command.js';
import type { DialogView, EngineView } from '../ports.js';

/** Dialogs per page of a streamed list: a snapshot of this many is taken at a time. */
export const PAGE_DIALOGS = 100;
/** Most dialogs that one paged call gives. */
const LIMIT_MAX = 1_000;

export const listDialogs = command({
  name: 'dlg.list',
  mi: 'dlg_list',
  section: '8.1, 9.1',
  doc:
    'All dialogs, in all states. With cursor (0 at first) and limit: that many, and where to go on, as ' +
    '{"dialogs":[…],"next":N}; next is null at the end.',
  params: {
    cursor: optional(u32),
    limit: optional(Type.Integer({ minimum: 1, maximum: LIMIT_MAX })),
  },
  run({ view }, { cursor, limit }) {
    if (cursor === undefined && limit === undefined) return new Pages(everyDialog(view));
    const { dialogs, next } = view.list(cursor ?? 0, limit ?? PAGE_DIALOGS);
    return { dialogs, next };
  },
});

export const listDialog = command({
  name: 'dlg.dlg_list',
  section: '8.1, 9.3',
  doc: 'The dialog with this Call-ID, and this tag if it is given; a list when there are several.',
  params: { callid: text, from_tag: optional(text) },
  run({ view }, { callid, from_tag }) {
    const found = view.find(callid, from_tag ?? null);
    if (found.length > 1) return found;
    return found[0] ?? new Fault(404, 'Dialog not found');
  },
});

export const statsActive = command({
  name: 'dlg.stats_active',
  section: 'beyond the manual',
  doc: 'Dialogs by state: starting, connecting, answering, ongoing, and all of these.',
  params: {},
  run({ view }) {
    const [starting, connecting, answering, ongoing] = view.activeByState();
    return { starting, connecting, answering, ongoing, all: starting + connecting + answering + ongoing };
  },
});

/** All dialogs, page after page. */
export function* everyDialog(view: EngineView): Generator<readonly DialogView[]> {
  for (let cursor: number | null = 0; cursor !== null; ) {
    const page = view.list(cursor, PAGE_DIALOGS);
    yield page.dialogs;
    cursor = page.next;
  }
}
