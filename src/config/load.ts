/**
 * What the operator wrote → a frozen Config.
 *
 * Four places, the first that speaks wins: flag, environment, configuration file, default.  Everything that
 * is wrong is said at once, each with its name, its value and what is allowed; an unknown name is wrong, and
 * so is a parameter whose feature is not built yet.
 */
import { existsSync, lstatSync, readFileSync, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { EngineError } from '../errors.js';
import {
  camelCaseOf,
  defaultWorkers,
  type Endpoint,
  type ListenAddress,
  type LogFormat,
  type LogLevel,
  listenText,
  OPTION_NAMES,
  OPTIONS,
  type OptionName,
  variableOf,
} from './options.js';
import type { Written } from './param.js';
import { everyParam, findParam, type Group, type Named, PARAMS, type Params } from './params/index.js';
import { mistakesBetween, warningsBetween } from './rules.js';

export type { Endpoint, ListenAddress, LogFormat, LogLevel } from './options.js';
export type { Params } from './params/index.js';

/** Everything the product is told at start.  Plain data, so that it can be handed to workers. */
export type Config = {
  readonly listen: readonly ListenAddress[];
  readonly rpc: Endpoint;
  /** SIP URI of the next hop of the default routes; null: the R-URI decides. */
  readonly nextHop: string | null;
  /** Absolute path; null: the routes that come with the product. */
  readonly routesFile: string | null;
  readonly workers: number;
  readonly segmentPath: string;
  /** null: 256 MiB, or half of the room if that is less. */
  readonly segmentBytes: number | null;
  /** Calls that a process before left in the file are not wanted. */
  readonly segmentFresh: boolean;
  readonly logLevel: LogLevel;
  readonly logFormat: LogFormat;
  readonly params: Params;
};

/** What was written, and where; keys of `flags` are option names, `set` and `config`. */
export type Given = {
  readonly flags: { readonly [name: string]: string | readonly string[] | undefined };
  readonly env: { readonly [name: string]: string | undefined };
  readonly folder: string;
  /** Whether a configuration file that lies in `folder` counts though nobody named it. */
  readonly looksInFolder: boolean;
};

/** A Config, where each value that is not a default came from, and what deserves a word. */
export type Loaded = {
  readonly config: Config;
  /** `listen` or `dialog:hash_size` → `--listen`, `HOLDFAST_SET`, `/etc/holdfast.config.json`. */
  readonly origins: ReadonlyMap<string, string>;
  readonly warnings: readonly string[];
};

/** Names looked for in the current folder when no file is named. */
export const CONFIG_FILES = [
  'holdfast.config.ts',
  'holdfast.config.mjs',
  'holdfast.config.js',
  'holdfast.config.json',
];

/** The one profile that the default routes join. */
const DEFAULT_ROUTES_PROFILE = 'caller';

/** An option as it was written: the place, and the words that name it in a complaint. */
type WrittenOption = { readonly written: readonly string[]; readonly from: string; readonly name: string };

/** Written values of one place. */
type Source = {
  readonly folder: string;
  readonly options: Map<OptionName, WrittenOption>;
  readonly params: { readonly name: string; readonly written: Written; readonly from: string }[];
};

/**
 * Reads flags, environment and configuration file.
 *
 * @throws EngineError ERR_CONFIG with one line per mistake, ERR_CONFIG_FILE when the file cannot be read,
 *   ERR_CONFIG_FILE_OWNER when one that nobody named may be another user's work
 */
export async function loadConfig(given: Given): Promise<Loaded> {
  const mistakes: string[] = [];
  const warnings: string[] = [];
  const sources = [
    fromFlags(given, mistakes),
    fromEnvironment(given, mistakes, warnings),
    await fromFile(given, mistakes),
  ];
  const origins = new Map<string, string>();
  const options = readOptions(sources, origins, mistakes);
  const params = readParams(sources, origins, mistakes);

  if (options.routes === undefined) addDefaultProfile(params, origins);
  const listen = options.listen ?? [{ proto: 'udp', address: '127.0.0.1', port: 5060 }];
  const config: Config = deepFreeze({
    listen,
    rpc: options.rpc ?? { address: '127.0.0.1', port: 8060 },
    nextHop: options['next-hop'] ?? null,
    routesFile: options.routes ?? null,
    workers: options.workers ?? defaultWorkers(),
    segmentPath: options.segment ?? `/dev/shm/holdfast-${listen[0]?.port ?? 5060}`,
    segmentBytes: options['segment-size'] ?? null,
    segmentFresh: options['segment-fresh'] ?? false,
    logLevel: options['log-level'] ?? 'info',
    logFormat: options['log-format'] ?? 'text',
    params: params as Params,
  });
  if (mistakes.length === 0) mistakes.push(...mistakesBetween(config));
  if (mistakes.length > 0) throw new EngineError('ERR_CONFIG', mistakes.join('\n'));
  return { config, origins, warnings: [...warnings, ...warningsBetween(config)] };
}

/** The configuration of a product that was told nothing: for tests and tools. */
export async function defaultConfig(...set: readonly string[]): Promise<Config> {
  return (await loadConfig({ flags: { set }, env: {}, folder: '/', looksInFolder: false })).config;
}

/**
 * The parameters of the group `dialog` alone, for who embeds the dialogs without a proxy.
 *
 * @param written by name, without the group
 * @throws EngineError ERR_CONFIG with one line per mistake
 */
export function dialogParams(written: { readonly [name: string]: Written }): Params['dialog'] {
  const source = emptySource('/');
  for (const [name, value] of Object.entries(written)) {
    source.params.push({ name: `dialog:${name}`, written: value, from: 'params' });
  }
  const mistakes: string[] = [];
  const params = readParams([source], new Map(), mistakes) as Params;
  if (mistakes.length === 0) mistakes.push(...mistakesBetween({ params }));
  if (mistakes.length > 0) throw new EngineError('ERR_CONFIG', mistakes.join('\n'));
  return deepFreeze(params.dialog);
}

// ---- the places ----------------------------------------------------------------------------------

function fromFlags(given: Given, mistakes: string[]): Source {
  const source = emptySource(given.folder);
  for (const name of OPTION_NAMES) {
    const flag = given.flags[name];
    if (flag !== undefined)
      source.options.set(name, { written: asList(flag), from: `--${name}`, name: `--${name}` });
  }
  for (const item of asList(given.flags.set ?? [])) addAssignment(source, item, '--set', mistakes);
  return source;
}

function fromEnvironment(given: Given, mistakes: string[], warnings: string[]): Source {
  const source = emptySource(given.folder);
  const known = new Set(['HOLDFAST_SET', 'HOLDFAST_CONFIG']);
  for (const name of OPTION_NAMES) {
    const variable = variableOf(name);
    known.add(variable);
    const written = given.env[variable];
    if (written === undefined || written === '') continue;
    const repeatable = 'repeatable' in OPTIONS[name];
    source.options.set(name, {
      written: repeatable ? written.split(/[\s,]+/).filter((part) => part !== '') : [written],
      from: variable,
      name: variable,
    });
  }
  for (const item of assignments(given.env.HOLDFAST_SET ?? '')) {
    addAssignment(source, item, 'HOLDFAST_SET', mistakes);
  }
  for (const name of Object.keys(given.env)) {
    // Schedulers of containers set the second kind by themselves; the third belongs to the tests.
    if (!name.startsWith('HOLDFAST_') || known.has(name)) continue;
    if (/^HOLDFAST_(SERVICE_|PORT|REQUIRE_|TEST_|BENCH_)/.test(name)) continue;
    warnings.push(`environment variable ${name} means nothing here; known are ${[...known].join(', ')}`);
  }
  return source;
}

async function fromFile(given: Given, mistakes: string[]): Promise<Source> {
  const named = asList(given.flags.config ?? given.env.HOLDFAST_CONFIG ?? [])[0];
  if (named !== undefined && named !== '') {
    const path = resolve(given.folder, named);
    if (!existsSync(path)) throw new EngineError('ERR_CONFIG_FILE', `there is no file ${named}`);
    return readFile(path, await contentsOf(path), mistakes);
  }
  const candidates = given.looksInFolder ? CONFIG_FILES : [];
  const path = candidates.map((name) => resolve(given.folder, name)).find((name) => existsSync(name));
  if (path === undefined) return emptySource(given.folder);
  refuseForeignFile(path);
  return readFile(path, await contentsOf(path), mistakes);
}

/** It may be a program: in a folder such as /tmp, whoever left it there would run it as the one who starts. */
function refuseForeignFile(path: string): void {
  const { uid, mode } = statSync(path);
  const trusted = [0, process.getuid?.()];
  const isOurs = trusted.includes(uid) && trusted.includes(lstatSync(path).uid);
  if (isOurs && (mode & 0o022) === 0) return;
  throw new EngineError(
    'ERR_CONFIG_FILE_OWNER',
    `${path} ${isOurs ? 'may be written by its group or by others' : 'belongs to another user'}; ` +
      `chown it to the user who starts, chmod go-w it, or name it with --config ${path}`,
  );
}

/** Splits `a:b=1,c:d=x;y c:e=z` before each `group:name=`, for values may hold `;`, `,` and blanks themselves. */
function assignments(text: string): string[] {
  return text
    .split(/[\s,;]+(?=[a-z]+:[A-Za-z0-9_]+=)/)
    .map((item) => item.trim())
    .filter((item) => item !== '');
}

async function contentsOf(path: string): Promise<unknown> {
  try {
    if (path.endsWith('.json')) return JSON.parse(readFileSync(path, 'utf8'));
    const { createJiti } = await import('jiti');
    const jiti = createJiti(import.meta.url, { moduleCache: false, fsCache: false });
    return await jiti.import(path, { default: true });
  } catch (error) {
    const reason = error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error);
    throw new EngineError('ERR_CONFIG_FILE', `${path}: ${reason}`, { cause: error });
  }
}

function readFile(path: string, contents: unknown, mistakes: string[]): Source {
  const source = emptySource(dirname(path));
  if (typeof contents !== 'object' || contents === null || Array.isArray(contents)) {
    throw new EngineError('ERR_CONFIG_FILE', `${path}: it must hold one object`);
  }
  for (const [key, value] of Object.entries(contents)) {
    const name = OPTION_NAMES.find((option) => option === key || camelCaseOf(option) === key);
    if (key === 'set' && typeof value === 'object' && value !== null && !Array.isArray(value)) {
      for (const [param, written] of Object.entries(value as Record<string, Written>)) {
        source.params.push({ name: param, written, from: path });
      }
    } else if (name === undefined) {
      const known = [...OPTION_NAMES, 'set'].join(', ');
      mistakes.push(`${path}: ${key} is not a name known here; allowed are ${known}`);
    } else {
      source.options.set(name, { written: asList(value).map(String), from: path, name: `${path}: ${key}` });
    }
  }
  return source;
}

function addAssignment(source: Source, item: string, from: string, mistakes: string[]): void {
  const equals = item.indexOf('=');
  if (equals < 1)
    mistakes.push(`${from} ${item}: allowed is group:name=value, such as dialog:hash_size=4096`);
  else source.params.push({ name: item.slice(0, equals).trim(), written: item.slice(equals + 1), from });
}

// ---- reading -------------------------------------------------------------------------------------

type OptionValues = {
  listen?: ListenAddress[];
  rpc?: Endpoint;
  'next-hop'?: string;
  routes?: string;
  workers?: number;
  segment?: string;
  'segment-size'?: number;
  'segment-fresh'?: boolean;
  'log-level'?: LogLevel;
  'log-format'?: LogFormat;
};

function readOptions(
  sources: readonly Source[],
  origins: Map<string, string>,
  mistakes: string[],
): OptionValues {
  const values: Record<string, unknown> = {};
  for (const name of OPTION_NAMES) {
    const source = sources.find((candidate) => candidate.options.has(name));
    const given = source?.options.get(name);
    if (source === undefined || given === undefined) continue;
    const repeatable = 'repeatable' in OPTIONS[name];
    const good: unknown[] = [];
    if (!repeatable && given.written.length > 1) mistakes.push(`${given.name}: may be given once only`);
    if (given.written.length === 0) mistakes.push(`${given.name} is empty`);
    for (const written of given.written) {
      const read = OPTIONS[name].read(written, { folder: source.folder });
      if ('wrong' in read) mistakes.push(`${given.name} ${written}: ${read.wrong}`);
      else good.push(read.value);
    }
    if (good.length > 0) values[name] = repeatable ? good : good[0];
    origins.set(name, given.from);
  }
  const listen = values.listen as ListenAddress[] | undefined;
  const twice = listen?.map(listenText).find((text, at, all) => all.indexOf(text) !== at);
  if (twice !== undefined) mistakes.push(`${origins.get('listen')}: ${twice} is given twice`);
  return values as OptionValues;
}

function readParams(
  sources: readonly Source[],
  origins: Map<string, string>,
  mistakes: string[],
): Record<Group, Record<string, unknown>> {
  const groups = Object.keys(PARAMS).map((group) => [group, {} as Record<string, unknown>]);
  const values = Object.fromEntries(groups) as Record<Group, Record<string, unknown>>;
  for (const { group, name, row } of everyParam()) values[group][name] = row.default;
  // The weakest place first, so that the stronger ones write over it.
  for (const source of [...sources].reverse()) {
    for (const { name, written, from } of source.params) {
      const param = findParam(name);
      if (param === null) {
        mistakes.push(`${from} ${name}: there is no such parameter${nearest(name)}`);
        continue;
      }
      const key = `${param.group}:${param.name}`;
      // A list is written item by item, all of them at one place.
      const isMore = param.row.kind === 'list' && origins.get(key) === from;
      const before = isMore ? (values[param.group][param.name] as readonly string[]) : [];
      const reading = param.row.read(isMore ? [...before, ...asList(written as string)] : written);
      if (!reading.ok) {
        const text = param.row.secret
          ? '...'
          : typeof written === 'string'
            ? written
            : JSON.stringify(written);
        mistakes.push(`${from} ${name}=${text}: allowed is ${param.row.allowed}`);
      } else if (param.row.later && !sameValue(reading.value, param.row.default)) {
        mistakes.push(`${from} ${name}=${String(written)}: not available yet, allowed is ${shown(param)}`);
      } else {
        values[param.group][param.name] = reading.value;
        origins.set(key, from);
      }
    }
  }
  return values;
}

function addDefaultProfile(
  params: Record<Group, Record<string, unknown>>,
  origins: Map<string, string>,
): void {
  const { profiles_with_value: withValue, profiles_no_value: noValue } =
    params.dialog as unknown as Params['dialog'];
  if (withValue.includes(DEFAULT_ROUTES_PROFILE) || noValue.includes(DEFAULT_ROUTES_PROFILE)) return;
  params.dialog.profiles_with_value = [...withValue, DEFAULT_ROUTES_PROFILE];
  if (!origins.has('dialog:profiles_with_value')) {
    origins.set('dialog:profiles_with_value', 'the default routes');
  }
}

function shown(param: Named): string {
  const value = param.row.default;
  return value === null ? 'to leave it out' : `only its default, ${JSON.stringify(value)}`;
}

/** `, did you mean …` for a name that is one of ours but for its group or a letter or two. */
function nearest(written: string): string {
  const bare = written.slice(written.indexOf(':') + 1).toLowerCase();
  const close = everyParam().find(({ name }) => name === bare || distance(name, bare) <= 2);
  return close === undefined ? '' : `; did you mean ${close.group}:${close.name}?`;
}

/** Letters to add, drop or change between two short words. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, at) => at);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const change = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(change, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}

function sameValue(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

function emptySource(folder: string): Source {
  return { folder, options: new Map(), params: [] };
}

function asList(value: unknown): readonly string[] {
  return Array.isArray(value) ? value : [value as string];
}

function deepFreeze<T>(value: T): T {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value;
  for (const inner of Object.values(value)) deepFreeze(inner);
  return Object.freeze(value);
}
