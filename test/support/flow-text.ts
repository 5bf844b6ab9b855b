/**
 * The text of a flow: the wire left, the dialog right.  test/flow/README.md says how to read and write one.
 */

/** What the right-hand column demands, once everything of its line has happened. */
export type Expected = {
  /** As dlg.list prints it; 0: no record; null: not said. */
  readonly state: number | null;
  readonly counts: readonly { readonly name: string; readonly value: number }[];
  readonly events: readonly string[];
};

type Line = { readonly line: number; readonly text: string; readonly expected: Expected | null };

/** A message that an agent sends. */
export type Sends = Line & {
  readonly kind: 'sends';
  readonly agent: string;
  readonly call: string;
  /** A method, a status, or `raw`. */
  readonly what: string;
  readonly changes: readonly string[];
  /** Lines of a raw message. */
  readonly raw: readonly string[];
};

/** A message that leaves the proxy. */
export type Leaves = Line & {
  readonly kind: 'leaves';
  readonly agent: string;
  readonly call: string;
  readonly what: string;
  readonly times: number;
  readonly checks: readonly string[];
};

/** Something else that happens: time passes, the wire breaks, a look-up ends. */
export type Happens = Line & {
  readonly kind: 'happens';
  readonly verb: string;
  readonly words: readonly string[];
};

export type Step = Sends | Leaves | Happens;

export type FlowText = {
  readonly title: string;
  /** `routes`, `listen`, `set`, `ua`, `workers`, `seeds`, `quiet`, each line's words. */
  readonly settings: ReadonlyMap<string, readonly string[]>;
  readonly steps: readonly Step[];
};

const SETTINGS = new Set(['routes', 'listen', 'set', 'ua', 'workers', 'seeds', 'quiet', 'segment', 'name']);
const STATES = ['none', 'unconfirmed', 'early', 'confirmed, no ACK', 'confirmed', 'deleted'];
const HAPPENINGS = new Set(['wait', 'send', 'lookup', 'dns', 'own', 'end', 'bye', 'worker']);

/** Reads a flow. @throws Error that names the line */
export function readFlow(text: string): FlowText {
  const settings = new Map<string, string[]>();
  const steps: Step[] = [];
  let title = '';
  const lines = text.split('\n');
  for (let n = 0; n < lines.length; n++) {
    const whole = lines[n]!;
    if (whole.trim() === '') continue;
    if (whole.startsWith('#')) {
      if (title === '')
        title = whole
          .slice(1)
          .trim()
          .replace(/\s{2,}/g, ' · ');
      continue;
    }
    const line = n + 1;
    const { left, expected } = columns(whole, line);
    const leaves = /^\s+→ ([a-z]\w*)(?:\((\w+)\))? (.+)$/.exec(left);
    const sends = /^([a-z]\w*)(?:\((\w+)\))?\s+→ (.+)$/.exec(left);
    if (leaves) {
      const [first = '', ...checks] = commas(leaves[3]!);
      const said = messageOf(first, line);
      if (said.again) checks.unshift('again');
      const what = said.to === '' ? said.what : `${said.what} ${said.to}`;
      const [agent, call] = [leaves[1]!, leaves[2] ?? 'a'];
      steps.push({
        kind: 'leaves',
        line,
        text: whole,
        expected,
        agent,
        call,
        what,
        times: said.times,
        checks,
      });
    } else if (sends) {
      const [first = '', ...changes] = commas(sends[3]!);
      const said = messageOf(first, line);
      if (said.again) changes.unshift('again');
      if (said.to !== '') changes.unshift(`to ${said.to}`);
      const raw: string[] = [];
      while (/^\s*>/.test(lines[n + 1] ?? '')) raw.push(lines[++n]!.replace(/^\s*> ?/, ''));
      const [agent, call] = [sends[1]!, sends[2] ?? 'a'];
      steps.push({ kind: 'sends', line, text: whole, expected, agent, call, what: said.what, changes, raw });
    } else {
      const [verb = '', ...words] = left.trim().split(/\s+/);
      if (SETTINGS.has(verb)) settings.set(verb, [...(settings.get(verb) ?? []), words.join(' ')]);
      else if (HAPPENINGS.has(verb))
        steps.push({ kind: 'happens', line, text: whole, expected, verb, words });
      else throw new Error(`line ${line}: ${whole.trim()}?`);
    }
  }
  return { title, settings, steps };
}

/** `INVITE`, `INVITE again`, `200`, `200 to BYE again`, `INVITE again ×5`. */
function messageOf(text: string, line: number): { what: string; to: string; again: boolean; times: number } {
  const found = /^(\S+)(?: to (\S+))?( again)?(?: ×(\d+))?$/.exec(text);
  if (found === null) throw new Error(`line ${line}: "${text}" is no message`);
  return {
    what: found[1]!,
    to: found[2] ?? '',
    again: found[3] !== undefined,
    times: Number(found[4] ?? 1),
  };
}

/** Splits a line at its `|`. */
function columns(whole: string, line: number): { left: string; expected: Expected | null } {
  const bar = whole.indexOf(' | ');
  if (bar < 0) return { left: whole.trimEnd(), expected: null };
  const left = whole.slice(0, bar).trimEnd();
  const right = whole.slice(bar + 3).replace(/\(.*\)\s*$/, '');
  let state: number | null = null;
  const counts: { name: string; value: number }[] = [];
  const events: string[] = [];
  for (const part of right.split(/\s{2,}/).map((one) => one.trim())) {
    if (part === '') continue;
    const event = /^event (.+)$/.exec(part);
    const count = /^([\w:]+) (\d+)$/.exec(part);
    if (STATES.includes(part)) state = STATES.indexOf(part);
    else if (event) events.push(...event[1]!.split(/[, ]+/));
    else if (count) counts.push({ name: count[1]!, value: Number(count[2]) });
    else throw new Error(`line ${line}: "${part}" is no state, event or count`);
  }
  return { left, expected: { state, counts, events } };
}

/** The name of a state. */
export function stateName(state: number): string {
  return STATES[state] ?? String(state);
}

/** Splits at ", " outside quotes and brackets. */
function commas(text: string): string[] {
  const parts: string[] = [];
  let start = 0;
  let depth = 0;
  let quoted = false;
  for (let i = 0; i < text.length; i++) {
    const c = text[i];
    if (c === '"') quoted = !quoted;
    else if (c === '<') depth++;
    else if (c === '>') depth--;
    else if (c === ',' && text[i + 1] === ' ' && depth === 0 && !quoted) {
      parts.push(text.slice(start, i).trim());
      start = i + 1;
    }
  }
  parts.push(text.slice(start).trim());
  return parts;
}
