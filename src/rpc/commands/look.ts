/** Looking for dialogs by what they are.  [spec 13.3] */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { Type } from 'typebox';
import { EngineError } from '../../errors.js';
import { command, Fault, optional, Pages, text, u32 } from '../command.js';
import type { DialogView, EngineView, Wanted, WholeDialog } from '../ports.js';
import { withinMs } from '../time-limit.js';
import { everyDialog, PAGE_DIALOGS, withContext } from './list.js';

const ANSWERED = 4;
const BRIEF_DEFAULT = 'ftcFT';
/** So long one page may look for matches: a pattern that backtracks without end would keep the main thread for ever. */
const PAGE_MS_MAX = 100;
const TOO_LONG = `Pattern takes more than ${PAGE_MS_MAX} ms for a page of dialogs`;

export const isAlive = command({
  name: 'dlg.is_alive',
  section: 'beyond the manual',
  doc: 'Whether the dialog with this Call-ID and these tags is confirmed.',
  params: { callid: text, from_tag: text, to_tag: text },
  run({ view }, { callid, from_tag, to_tag }) {
    const found = view.find(callid, from_tag).filter((dialog) => hasTag(dialog, to_tag));
    if (found.length === 0) return new Fault(404, 'Dialog not found');
    const alive = found.some(({ state }) => state === ANSWERED);
    return alive ? 'Alive' : new Fault(500, 'Dialog not in confirmed state');
  },
});

const MATCH = {
  key: Type.Union([
    Type.Literal('ruri'),
    Type.Literal('furi'),
    Type.Literal('turi'),
    Type.Literal('callid'),
    Type.Literal('start_ts'),
  ]),
  op: Type.Union([
    Type.Literal('eq'),
    Type.Literal('re'),
    Type.Literal('sw'),
    Type.Literal('gt'),
    Type.Literal('lt'),
  ]),
  value: text,
  limit: optional(u32),
};

export const listMatch = command({
  name: 'dlg.list_match',
  section: 'beyond the manual',
  doc:
    'Dialogs whose ruri, furi, turi or callid equals (eq), begins with (sw) or matches (re) a value, ' +
    'or whose start_ts lies above (gt) or below (lt) it; at most so many. A pattern that takes too long is refused.',
  params: MATCH,
  async run({ view }, given) {
    const pages = await found(view, given);
    return pages instanceof Fault ? pages : new Pages(pages);
  },
});

export const listMatchCtx = command({
  name: 'dlg.list_match_ctx',
  section: 'beyond the manual',
  doc: 'The same, each with the fields that listeners add.',
  params: MATCH,
  async run({ view }, given) {
    const pages = await found(view, given);
    return pages instanceof Fault ? pages : new Pages(withContext(view, pages));
  },
});

type Match = { readonly key: string; readonly op: string; readonly value: string; readonly limit?: number };

/** Pages of what matches, the first of them not empty; or why there are none. */
async function found(
  view: EngineView,
  { key, op, value, limit }: Match,
): Promise<Iterable<readonly DialogView[]> | Fault> {
  const wanted = withinMs(PAGE_MS_MAX, () =>
    key === 'start_ts' ? byTime(op, value) : byText(key, op, value),
  );
  if (wanted === undefined) return new Fault(500, TOO_LONG);
  if (wanted === null) return new Fault(500, `Invalid parameters: ${key} ${op} ${value}`);
  const pages = matching(view, wanted, limit ?? 0);
  for (;;) {
    const { done, value: page } = pages.next();
    if (done === true) return new Fault(404, 'Not found');
    if (page === null) return new Fault(500, TOO_LONG);
    if (page.length > 0) return startingWith(page, pages);
    // Whoever looks at many for none lets others have their turn.
    await nextTurn();
  }
}

export const briefing = command({
  name: 'dlg.briefing',
  section: 'beyond the manual',
  doc:
    'All dialogs, of each h_entry, h_id and these fields: f from_uri, t to_uri, c call-id, F from_tag, T to_tag, ' +
    'I init_ts, S start_ts, E end_ts, s state; without a list, ftcFT.',
  params: { fields: optional(Type.String({ pattern: '^[ftcFTISEs]{1,9}$' })) },
  run({ view }, { fields }) {
    const letters = [...new Set(fields ?? BRIEF_DEFAULT)];
    return new Pages(brief(view, letters));
  },
});

const FIELDS: Readonly<Record<string, (dialog: DialogView) => readonly [string, string | number | null]>> = {
  f: ({ from_uri }) => ['from_uri', from_uri],
  t: ({ to_uri }) => ['to_uri', to_uri],
  c: (dialog) => ['call-id', dialog['call-id']],
  F: ({ caller }) => ['from_tag', caller.tag],
  T: ({ callee }) => ['to_tag', callee.tag],
  I: ({ init_ts }) => ['init_ts', init_ts],
  S: ({ start_ts }) => ['start_ts', start_ts],
  E: ({ end_ts }) => ['end_ts', end_ts],
  s: ({ state }) => ['state', state],
};

function* brief(view: EngineView, letters: readonly string[]): Generator<readonly object[]> {
  for (const dialogs of everyDialog(view)) {
    yield dialogs.map((dialog) => ({
      h_entry: dialog.h_entry,
      h_id: dialog.h_id,
      ...Object.fromEntries(letters.map((letter) => FIELDS[letter]!(dialog))),
    }));
  }
}

function byTime(op: string, value: string): Wanted | null {
  if (!/^\d{1,10}$/.test(value)) return null;
  const time = Number(value);
  if (op === 'gt') return ({ start_ts }) => start_ts > time;
  return op === 'lt' ? ({ start_ts }) => start_ts < time : null;
}

const TEXTS: Readonly<Record<string, (dialog: WholeDialog) => string>> = {
  ruri: ({ request_uri }) => request_uri,
  furi: ({ from_uri }) => from_uri,
  turi: ({ to_uri }) => to_uri,
  callid: (dialog) => dialog['call-id'],
};

function byText(key: string, op: string, value: string): Wanted | null {
  const text = TEXTS[key]!;
  if (op === 'eq') return (dialog) => text(dialog) === value;
  if (op === 'sw') return (dialog) => text(dialog).startsWith(value);
  if (op !== 're') return null;
  try {
    const pattern = new RegExp(value);
    // What is too large to be compiled says so when it is first used.
    pattern.test('');
    return (dialog) => pattern.test(text(dialog));
  } catch {
    return null;
  }
}

/** Pages of what is wanted, some of them empty; `limit` 0: all.  A page that takes too long is null, and the last. */
function* matching(
  view: EngineView,
  wanted: Wanted,
  limit: number,
): Generator<readonly DialogView[] | null, undefined> {
  let left = limit === 0 ? Number.POSITIVE_INFINITY : limit;
  for (let cursor: number | null = 0; cursor !== null && left > 0; ) {
    const from: number = cursor;
    const page = withinMs(PAGE_MS_MAX, () => view.list(from, Math.min(left, PAGE_DIALOGS), wanted));
    if (page === undefined) {
      yield null;
      return;
    }
    left -= page.dialogs.length;
    yield page.dialogs;
    cursor = page.next;
  }
}

/** @throws EngineError when a page takes too long: the reply has begun, and ends in its middle */
function* startingWith(
  first: readonly DialogView[],
  rest: Iterable<readonly DialogView[] | null>,
): Generator<readonly DialogView[]> {
  yield first;
  for (const page of rest) {
    if (page === null) throw new EngineError('ERR_RPC_CALL', TOO_LONG);
    yield page;
  }
}

function hasTag({ caller, callee }: DialogView, tag: string): boolean {
  return caller.tag === tag || callee.tag === tag;
}
