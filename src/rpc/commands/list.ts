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

export const listDialogsCtx = command({
  name: 'dlg.list_ctx',
  mi: 'dlg_list_ctx',
  section: '8.2, 9.2',
  doc: 'All dialogs, in all states, each with the fields that listeners of RPC_CONTEXT and MI_CONTEXT add.',
  params: {},
  run: ({ view }) => new Pages(withContext(view, everyDialog(view))),
});

export const listDialogCtx = command({
  name: 'dlg.dlg_list_ctx',
  section: '8.2, 9.4',
  doc: 'The dialog with this Call-ID, and this tag if it is given, as dlg.list_ctx shows it; a list when there are several.',
  params: { callid: text, from_tag: optional(text) },
  async run({ view }, { callid, from_tag }) {
    const found = view.find(callid, from_tag ?? null);
    if (found.length === 0) return new Fault(404, 'Dialog not found');
    const filled = await filledIn(view, found);
    return filled.length > 1 ? filled : filled[0]!;
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

/** Pages of dialogs with what listeners add to each. */
export async function* withContext(
  view: EngineView,
  pages: Iterable<readonly DialogView[]>,
): AsyncGenerator<readonly object[]> {
  for (const dialogs of pages) yield dialogs.length === 0 ? [] : await filledIn(view, dialogs);
}

/** A listener's field never stands in place of the dialog's own. */
async function filledIn(view: EngineView, dialogs: readonly DialogView[]): Promise<readonly object[]> {
  const fields = await view.contextFields(dialogs);
  return dialogs.map((dialog, n) => ({ ...dialog, ...fields[n], ...dialog }));
}
