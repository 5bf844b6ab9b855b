/**
 * The kinds of modparam: integer, seconds, milliseconds, text, names, list, choice.
 *
 * A kind checks what an operator wrote and says in words what would have been allowed; the rows in params/
 * are made of these and of nothing else.  load.ts reads them, the type of Config is derived from them.
 */

/** What a parameter may be written as: text from flags and environment, more from a file. */
export type Written = string | number | boolean | readonly string[];

/** A good value, or the news that it is not one: `allowed` says why. */
export type Reading<T> = { readonly ok: true; readonly value: T } | { readonly ok: false };

/** One parameter: everything there is to know about it. */
export type Param<T> = {
  readonly kind: 'integer' | 'seconds' | 'milliseconds' | 'text' | 'names' | 'list' | 'choice';
  readonly default: T;
  /** What may be written, in words: `a power of two from 1 to 16777216`. */
  readonly allowed: string;
  /** Where it is described: a section of the module's manual, or of the RFC behind it. */
  readonly section: string;
  readonly doc: string;
  /** A second name that means the same, or null. */
  readonly alias: string | null;
  /** Its feature is not built yet: only the default is accepted. */
  readonly later: boolean;
  /** Its value is shown to nobody. */
  readonly secret: boolean;
  readonly read: (written: Written) => Reading<T>;
};

/** The values that a table of rows describes. */
export type Values<Rows> = {
  readonly [Name in keyof Rows]: Rows[Name] extends Param<infer T> ? T : never;
};

type Row = {
  readonly section: string;
  readonly doc: string;
  readonly alias?: string;
  readonly later?: boolean;
  readonly secret?: boolean;
};

type Bounds = {
  readonly min: number;
  readonly max: number;
  /** Values that are good although they lie outside the bounds. */
  readonly or?: readonly number[];
  readonly powerOfTwo?: boolean;
};

const REFUSED = { ok: false } as const;

/** A whole number within bounds; a default of null means that it may be left out. */
export function integer<D extends number | null>(row: Row & Bounds & { readonly default: D }) {
  return number('integer', '', row);
}

/** A duration in whole seconds. */
export function seconds<D extends number | null>(row: Row & Bounds & { readonly default: D }) {
  return number('seconds', ' seconds', row);
}

/** A duration in whole milliseconds. */
export function milliseconds<D extends number | null>(row: Row & Bounds & { readonly default: D }) {
  return number('milliseconds', ' milliseconds', row);
}

function number<D extends number | null>(
  kind: 'integer' | 'seconds' | 'milliseconds',
  unit: string,
  row: Row & Bounds & { readonly default: D },
): Param<number | D> {
  const or = row.or ?? [];
  const what = row.powerOfTwo === true ? 'a power of two' : 'a whole number';
  const range = `${what} from ${row.min} to ${row.max}${unit}`;
  return {
    ...common(row),
    kind,
    default: row.default,
    allowed: [...or.map(String), range].join(', or '),
    read(written) {
      const value = wholeNumber(written);
      if (value === null) return REFUSED;
      if (or.includes(value)) return { ok: true, value };
      if (value < row.min || value > row.max) return REFUSED;
      if (row.powerOfTwo === true && !Number.isInteger(Math.log2(value))) return REFUSED;
      return { ok: true, value };
    },
  };
}

/** Any text up to a length in bytes, of a given form where one is given; null as default: may be left out. */
export function text<D extends string | null>(
  row: Row & {
    readonly default: D;
    readonly minBytes?: number;
    readonly maxBytes: number;
    readonly form?: { readonly pattern: RegExp; readonly words: string };
    /** Puts right what people may write in more ways than one, before it is checked. */
    readonly normal?: (written: string) => string;
  },
): Param<string | D> {
  const min = row.minBytes ?? 0;
  const form = row.form === undefined ? 'text' : row.form.words;
  return {
    ...common(row),
    kind: 'text',
    default: row.default,
    allowed: `${form} of ${min} to ${row.maxBytes} bytes`,
    read(written) {
      if (typeof written !== 'string' && typeof written !== 'number') return REFUSED;
      const value = row.normal === undefined ? String(written) : row.normal(String(written));
      const bytes = Buffer.byteLength(value);
      if (bytes < min || bytes > row.maxBytes) return REFUSED;
      if (row.form !== undefined && !row.form.pattern.test(value)) return REFUSED;
      return { ok: true, value };
    },
  };
}

/** Texts of one form, one each time the parameter is given; a file may hold them all.  None twice. */
export function list(
  row: Row & {
    readonly default: readonly string[];
    readonly maxItems: number;
    readonly maxBytes: number;
    readonly form: { readonly pattern: RegExp; readonly words: string };
  },
): Param<readonly string[]> {
  return {
    ...common(row),
    kind: 'list',
    default: row.default,
    allowed: `${row.form.words} of at most ${row.maxBytes} bytes, at most ${row.maxItems} of them, none twice`,
    read(written) {
      const items = Array.isArray(written) ? written.map(String) : [written];
      const good = items.every(
        (item) =>
          typeof item === 'string' && Buffer.byteLength(item) <= row.maxBytes && row.form.pattern.test(item),
      );
      if (!good || new Set(items).size !== items.length || items.length > row.maxItems) return REFUSED;
      return { ok: true, value: items as readonly string[] };
    },
  };
}

/** Names of letters, digits and underscores, separated by `;`; none twice.  [manual 5.40, 5.41] */
export function names(
  row: Row & { readonly default: readonly string[]; readonly maxNames: number },
): Param<readonly string[]> {
  return {
    ...common(row),
    kind: 'names',
    default: row.default,
    allowed:
      `at most ${row.maxNames} names separated by ";", each of A-Z a-z 0-9 _ ` +
      'and at most 64 characters, none twice',
    read(written) {
      if (typeof written !== 'string' && !Array.isArray(written)) return REFUSED;
      const list = (typeof written === 'string' ? written.split(';') : written)
        .map((name) => String(name).trim())
        .filter((name) => name !== '');
      const good = list.every((name) => /^[A-Za-z0-9_]{1,64}$/.test(name));
      if (!good || new Set(list).size !== list.length || list.length > row.maxNames) return REFUSED;
      return { ok: true, value: list };
    },
  };
}

/** One of a few values, each with its meaning. */
export function choice<const Meanings extends { readonly [value: string | number]: string }>(
  row: Row & { readonly default: keyof Meanings; readonly values: Meanings },
): Param<keyof Meanings> {
  const keys = Object.keys(row.values);
  const isNumber = typeof row.default === 'number';
  return {
    ...common(row),
    kind: 'choice',
    default: row.default,
    allowed: keys.map((key) => `${key} (${row.values[key]})`).join(', '),
    read(written) {
      const key = typeof written === 'boolean' ? String(Number(written)) : String(written).trim();
      if (!keys.includes(key)) return REFUSED;
      return { ok: true, value: (isNumber ? Number(key) : key) as keyof Meanings };
    },
  };
}

/** Off or on, written 0 or 1 as everywhere in these modules. */
export function onOff(row: Row & { readonly default: 0 | 1 }): Param<0 | 1> {
  return choice({ ...row, values: { 0: 'off', 1: 'on' } });
}

function common(row: Row): Pick<Param<unknown>, 'section' | 'doc' | 'alias' | 'later' | 'secret'> {
  const { section, doc } = row;
  return { section, doc, alias: row.alias ?? null, later: row.later ?? false, secret: row.secret ?? false };
}

/** The whole number that was written, or null; digits only, so `1e3`, `0x10` and `5 s` are not numbers. */
function wholeNumber(written: Written): number | null {
  if (typeof written === 'number') return Number.isSafeInteger(written) ? written : null;
  if (typeof written !== 'string' || !/^\s*-?\d{1,15}\s*$/.test(written)) return null;
  return Number(written);
}
