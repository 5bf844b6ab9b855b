/**
 * The log: one line per event, `key=value`, Call-ID last.
 *
 * pino writes it; this file gives it our shape.  A line costs microseconds, so the packet path counts and
 * only speaks through a OnceAMinute.
 */
import { type DestinationStream, destination, type Logger, pino } from 'pino';
import type { Clock } from './clock.js';

/** What a line says besides its event; `call_id` is printed last whatever its place. */
export type Fields = Readonly<Record<string, string | number | boolean | null | undefined>>;
/** The same, or what makes it when it is really told. */
export type FieldsOrMaker = Fields | (() => Fields);

/** Where events are told. */
export interface Log {
  /** Something is broken and a person must act. */
  error(event: string, fields?: Fields): void;
  /** Something is wrong and the product coped. */
  warn(event: string, fields?: Fields): void;
  /** The life of the process: start, stop, replacement. */
  info(event: string, fields?: Fields): void;
  /** For whoever looks for a fault. */
  debug(event: string, fields?: Fields): void;
  /** A log whose lines all carry these fields. */
  child(fields: Fields): Log;
}

export type LogOptions = {
  readonly level: 'error' | 'warn' | 'info' | 'debug';
  readonly format: 'text' | 'json';
  /** Takes whole lines; standard error when left out. */
  readonly write?: (line: string) => void;
};

/** Events that a OnceAMinute keeps apart; more are told as one. */
const EVENTS_MAX = 64;
const MINUTE_MS = 60_000;
/** What ends a line or steers a terminal: C0, DEL, C1 and Unicode's own line ends. */
const CONTROLS = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g;

/** A log of the given level and format. */
export function makeLog(options: LogOptions): Log {
  const out = options.write ?? writerOf(destination({ fd: 2, sync: true }));
  const stream: DestinationStream = {
    write: options.format === 'text' ? (line) => out(textLine(line)) : out,
  };
  const settings = {
    level: options.level,
    base: null,
    messageKey: 'event',
    timestamp: () => `,"time":"${new Date().toISOString()}"`,
    formatters: { level: (label: string) => ({ level: label }) },
  };
  return new PinoLog(pino(settings, stream));
}

/** A log that says nothing. */
export const silentLog: Log = {
  error() {},
  warn() {},
  info() {},
  debug() {},
  child: () => silentLog,
};

class PinoLog implements Log {
  readonly #pino: Logger;

  constructor(logger: Logger) {
    this.#pino = logger;
  }

  error(event: string, fields?: Fields): void {
    this.#pino.error(ordered(fields), event);
  }

  warn(event: string, fields?: Fields): void {
    this.#pino.warn(ordered(fields), event);
  }

  info(event: string, fields?: Fields): void {
    this.#pino.info(ordered(fields), event);
  }

  debug(event: string, fields?: Fields): void {
    this.#pino.debug(ordered(fields), event);
  }

  child(fields: Fields): Log {
    return new PinoLog(this.#pino.child(ordered(fields)));
  }
}

/**
 * Lets one line per event and minute through, and says with the next how many were held back.
 *
 * For events that a peer can cause as often as it likes.
 */
export class OnceAMinute {
  readonly #log: Log;
  readonly #clock: Clock;
  readonly #events = new Map<string, { since: number; heldBack: number }>();

  constructor(log: Log, clock: Clock) {
    this.#log = log;
    this.#clock = clock;
  }

  error(event: string, fields?: FieldsOrMaker): void {
    this.#tell('error', event, fields);
  }

  warn(event: string, fields?: FieldsOrMaker): void {
    this.#tell('warn', event, fields);
  }

  info(event: string, fields?: FieldsOrMaker): void {
    this.#tell('info', event, fields);
  }

  #tell(level: 'error' | 'warn' | 'info', event: string, given: FieldsOrMaker = {}): void {
    const now = this.#clock.monotonicMs();
    const key = this.#events.has(event) || this.#events.size < EVENTS_MAX ? event : 'other';
    const last = this.#events.get(key);
    if (last !== undefined && now - last.since < MINUTE_MS) {
      last.heldBack += 1;
      return;
    }
    const heldBack = last?.heldBack ?? 0;
    this.#events.set(key, { since: now, heldBack: 0 });
    const fields = typeof given === 'function' ? given() : given;
    this.#log[level](event, heldBack === 0 ? fields : { ...fields, held_back: heldBack });
  }
}

/** pino's own writer, for it waits when a pipe is full where a plain write would throw. */
function writerOf(stream: DestinationStream): (line: string) => void {
  return (line) => stream.write(line);
}

/** The same fields with call_id at the end. */
function ordered(fields: Fields = {}): Fields {
  if (!('call_id' in fields)) return fields;
  const { call_id, ...rest } = fields;
  return { ...rest, call_id };
}

/** pino's JSON as `time level event key=value … call_id=…`. */
function textLine(json: string): string {
  const { level, time, event, call_id, ...rest } = JSON.parse(json) as Record<string, unknown>;
  const words = [String(time), String(level), oneLine(String(event))];
  for (const [key, value] of Object.entries(rest)) words.push(`${key}=${shown(value)}`);
  if (call_id !== undefined) words.push(`call_id=${shown(call_id)}`);
  return `${words.join(' ')}\n`;
}

/** An event may repeat what another said (the words of an exception), but makes no second line and steers no terminal. */
function oneLine(text: string): string {
  return text.replaceAll(CONTROLS, escaped);
}

/** A value that holds a blank, a quote or a control character is quoted, so that lines and pairs stay apart. */
function shown(value: unknown): string {
  const text = typeof value === 'string' ? value : (JSON.stringify(value) ?? 'null');
  if (text !== '' && !/[\s"=\u0000-\u001f\u007f-\u009f]/.test(text)) return text;
  return JSON.stringify(text).replaceAll(CONTROLS, escaped);
}

/** As JSON writes them. */
function escaped(control: string): string {
  const short = JSON.stringify(control).slice(1, -1);
  return short === control ? `\\u${control.charCodeAt(0).toString(16).padStart(4, '0')}` : short;
}
