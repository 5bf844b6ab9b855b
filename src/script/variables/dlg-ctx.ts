/**
 * $dlg_ctx(name): the context of the message in hand.  What is set before the dialog is made goes into it.  [manual 8.2]
 */
import type { DialogContext } from '../../dialog/context.js';
import type { DialogTracker } from '../../dialog/tracker.js';

type Value = string | number | null;
type Attribute = {
  readonly get: (context: DialogContext, tracker: DialogTracker) => Value;
  /** Left out: read only. */
  readonly set?: (context: DialogContext, value: Value) => void;
};

/** Longest name of a timeout route. */
export const TIMEOUT_ROUTE_CHARACTERS_MAX = 31;

const ATTRIBUTES = {
  on: { get: (c) => c.on, set: (c, value) => (c.on = integer(value)) },
  /** Script flags as a bit mask. */
  flags: { get: (c) => c.flags, set: (c, value) => (c.flags = integer(value) >>> 0) },
  /** Lifetime in seconds that the dialog begins with; 0: the default. */
  timeout: {
    get: (c) => c.timeoutSeconds,
    set: (c, value) => (c.timeoutSeconds = Math.max(integer(value), 0)),
  },
  timeout_bye: { get: (c) => c.timeoutBye, set: (c, value) => (c.timeoutBye = integer(value)) },
  timeout_route: {
    get: (c) => c.timeoutRoute || null,
    set: (c, value) => (c.timeoutRoute = routeName(value)),
  },
  /** Its number in the script, 0: there is none of that name. */
  timeout_route_id: { get: (c, tracker) => tracker.events.routeNumber(c.timeoutRoute) },
  /** Why dlg_manage() made no dialog of this INVITE (dialog/refused.ts has the reasons); null: it refused none. */
  refused: { get: (c) => c.refused },
  set: { get: (c) => (c.index === 0 ? 0 : 1) },
  dir: { get: (c) => c.dir },
} as const satisfies Record<string, Attribute>;

export type DlgCtxAttribute = keyof typeof ATTRIBUTES;
export const DLG_CTX_ATTRIBUTES = Object.keys(ATTRIBUTES) as DlgCtxAttribute[];

export function $dlg_ctx(tracker: DialogTracker, name: DlgCtxAttribute): Value {
  const attribute: Attribute = ATTRIBUTES[name];
  return attribute.get(tracker.context, tracker);
}

/** What is no integer counts as 0; false for what can only be read. */
export function set_dlg_ctx(tracker: DialogTracker, name: DlgCtxAttribute, value: Value): boolean {
  const attribute: Attribute = ATTRIBUTES[name];
  attribute.set?.(tracker.context, value);
  return attribute.set !== undefined;
}

function integer(value: Value): number {
  return typeof value === 'number' && Number.isInteger(value) ? value : 0;
}

function routeName(value: Value): string {
  if (value === null || value === 0) return '';
  const name = String(value);
  return name.length <= TIMEOUT_ROUTE_CHARACTERS_MAX ? name : '';
}
