/**
 * command(): one row per management command, from which every door, the client and the manual are made.
 */
import { type Static, type TObject, type TProperties, type TSchema, Type } from 'typebox';
import { Errors } from 'typebox/value';
import type { Clock } from '../clock.js';
import type { EngineView } from './ports.js';

/** What a command may look at. */
export type CommandContext = {
  readonly view: EngineView;
  readonly clock: Clock;
  readonly startedUnixSeconds: number;
  readonly version: string;
  /** enable_stats: without it, the statistics of the dialog module are not there.  [manual 5.1] */
  readonly dialogStatistics: boolean;
  /** rpc:dump_folder, where dlg.dump_file may make files; null: nowhere. */
  readonly dumpFolder: string | null;
};

/** A refusal that the caller is told: Kamailio's codes for its commands, JSON-RPC's for the envelope. */
export class Fault {
  readonly code: number;
  readonly message: string;

  constructor(code: number, message: string) {
    this.code = code;
    this.message = message;
  }
}

/** An array too long to be built at once: doors write page after page, as fast as the reader reads. */
export class Pages {
  readonly pages: Iterable<readonly unknown[]> | AsyncIterable<readonly unknown[]>;

  constructor(pages: Iterable<readonly unknown[]> | AsyncIterable<readonly unknown[]>) {
    this.pages = pages;
  }
}

/** What `run` gives back: plain data, pages of it, a refusal; undefined prints as an empty object. */
export type Outcome = object | string | number | Pages | Fault | undefined;

export type Command = {
  readonly name: string;
  /** Its name at the older MI doors, or null. */
  readonly mi: string | null;
  readonly section: string;
  readonly doc: string;
  /** By name, in the order they are given by position. */
  readonly params: { readonly [name: string]: TSchema };
  /** Whether the last parameter takes all that follow by position, as a list. */
  readonly rest: boolean;
  /** Checks the parameters first: what it runs with is what `params` says. */
  readonly run: (context: CommandContext, given: unknown) => Outcome | Promise<Outcome>;
};

/** A Call-ID, tag, profile or value.  A bare number is taken as text.  [spec 10.4] */
export const text = Type.String({ minLength: 1, maxLength: 1_024 });
/** A whole number without sign, at most 32 bits. */
export const u32 = Type.Integer({ minimum: 0, maximum: 0xffff_ffff });
/** A parameter that may be left out. */
export const optional = Type.Optional;

/** JSON-RPC's own code for parameters that are not what the command asks for. */
export const INVALID_PARAMS = -32_602;

/** Declares a command. */
export function command<P extends TProperties>(row: {
  readonly name: string;
  readonly mi?: string;
  readonly section: string;
  readonly doc: string;
  readonly params: P;
  readonly rest?: true;
  readonly run: (context: CommandContext, params: Static<TObject<P>>) => Outcome | Promise<Outcome>;
}): Command {
  const schema = Type.Object(row.params, { additionalProperties: false });
  const rest = row.rest ?? false;
  return {
    name: row.name,
    mi: row.mi ?? null,
    section: row.section,
    doc: row.doc,
    params: row.params,
    rest,
    run(context, given) {
      const params = byName(row.params, rest, given);
      if (params instanceof Fault) return params;
      const [error] = Errors(schema, params);
      if (error !== undefined) return invalid(`${error.instancePath.slice(1)} ${error.message}`.trim());
      return row.run(context, params as Static<TObject<P>>);
    },
  };
}

/** Parameters by name, whether they came by name or by position; numbers as text where text is wanted. */
function byName(schemas: TProperties, rest: boolean, given: unknown): Record<string, unknown> | Fault {
  const names = Object.keys(schemas);
  if (given !== undefined && (typeof given !== 'object' || given === null)) {
    return invalid('allowed is a list or an object');
  }
  const params: Record<string, unknown> = {};
  if (Array.isArray(given)) {
    if (!rest && given.length > names.length) return invalid(`at most ${names.length} may be given`);
    for (const [at, name] of names.entries()) {
      const value = rest && at === names.length - 1 ? given.slice(at) : given[at];
      // Older clients write null for one that they leave out.
      if (value !== undefined && value !== null) params[name] = value;
    }
  } else Object.assign(params, given);
  for (const [name, schema] of Object.entries(schemas)) {
    const value = params[name];
    if (typeof value === 'number' && 'type' in schema && schema.type === 'string')
      params[name] = String(value);
    if (value === undefined && !Type.IsOptional(schema)) return invalid(`${name} is missing`);
  }
  return params;
}

function invalid(detail: string): Fault {
  return new Fault(INVALID_PARAMS, `Invalid params: ${detail}`);
}
