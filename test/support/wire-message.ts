/**
 * A SIP message on the fake wire, down to the raw lines of its headers: flows compare bytes, not meanings.
 */

/** One header as it stood, folded lines included. */
export type HeaderLine = {
  /** In lower case and full form. */
  readonly name: string;
  readonly value: string;
  /** With its line ends. */
  readonly raw: string;
};

const FULL_NAMES = new Map([
  ['v', 'via'],
  ['f', 'from'],
  ['t', 'to'],
  ['i', 'call-id'],
  ['m', 'contact'],
  ['l', 'content-length'],
  ['c', 'content-type'],
  ['k', 'supported'],
]);
/** Headers whose values are counted, not compared, and come in lists. */
const LISTS = new Set(['via', 'route', 'record-route', 'contact', 'unsupported']);

export class WireMessage {
  /** The bytes as latin1. */
  readonly raw: string;
  readonly startLine: string;
  readonly lines: readonly HeaderLine[];
  readonly body: string;

  constructor(raw: string) {
    this.raw = raw;
    const end = raw.indexOf('\r\n\r\n');
    const head = end < 0 ? raw : raw.slice(0, end + 2);
    this.body = end < 0 ? '' : raw.slice(end + 4);
    const [first = '', ...rest] = head.split(/(?<=\r\n)(?![ \t])/);
    this.startLine = first.trimEnd();
    this.lines = rest.map((line) => {
      const colon = line.indexOf(':');
      const name = line.slice(0, colon).trim().toLowerCase();
      const value = line
        .slice(colon + 1)
        .replace(/\r\n[ \t]+/g, ' ')
        .trim();
      return { name: FULL_NAMES.get(name) ?? name, value, raw: line };
    });
  }

  /** The status code, 0 for a request. */
  get status(): number {
    return Number(/^SIP\/2\.0 (\d{3}) /.exec(this.startLine)?.[1] ?? 0);
  }

  /** The method of a request, or the one a response answers. */
  get method(): string {
    if (this.status === 0) return this.startLine.slice(0, Math.max(0, this.startLine.indexOf(' ')));
    return this.header('cseq').split(/\s+/)[1] ?? '';
  }

  /** `INVITE` or `180 INVITE`. */
  get label(): string {
    return this.status === 0 ? this.method : `${this.status} ${this.method}`;
  }

  get uri(): string {
    return this.status === 0 ? (this.startLine.split(' ')[1] ?? '') : '';
  }

  get cseq(): number {
    return Number.parseInt(this.header('cseq'), 10);
  }

  get callId(): string {
    return this.header('call-id');
  }

  /** All values; lists taken apart at their commas. */
  all(name: string): string[] {
    const values = this.lines.filter((line) => line.name === name).map((line) => line.value);
    return LISTS.has(name) ? values.flatMap(splitList) : values;
  }

  has(name: string): boolean {
    return this.lines.some((line) => line.name === name);
  }

  /** The first value, '' if there is none. */
  header(name: string): string {
    return this.all(name)[0] ?? '';
  }

  static isList(name: string): boolean {
    return LISTS.has(name);
  }

  /** The tag of From or To, '' if there is none. */
  tag(name: 'from' | 'to'): string {
    return parameter(this.header(name).replace(/<[^>]*>/, ''), 'tag') ?? '';
  }

  /** The branch of the topmost Via. */
  get branch(): string {
    return parameter(this.header('via'), 'branch') ?? '';
  }

  /** Raw lines whose header is none of `names`. */
  linesWithout(...names: string[]): string[] {
    return this.lines.filter((line) => !names.includes(line.name)).map((line) => line.raw);
  }

  /** The same message without its topmost Via value. */
  withoutTopVia(): string {
    const at = this.lines.findIndex((line) => line.name === 'via');
    const lines = this.lines.map((line) => line.raw);
    const values = at < 0 ? [] : splitList(this.lines[at]!.value);
    if (values.length <= 1) lines.splice(at, at < 0 ? 0 : 1);
    else lines[at] = `Via: ${values.slice(1).join(', ')}\r\n`;
    return `${this.startLine}\r\n${lines.join('')}\r\n${this.body}`;
  }
}

/** `;name=value` in text; '' for a parameter without value, null when it is absent. */
export function parameter(text: string, name: string): string | null {
  const found = new RegExp(`;\\s*${name}\\s*(?:=\\s*([^;\\s>,]*))?(?=[;\\s>,]|$)`, 'i').exec(text);
  return found === null ? null : (found[1] ?? '');
}

/** The URI between angle brackets, or the text before the first parameter. */
export function uriOf(value: string): string {
  return /<([^>]*)>/.exec(value)?.[1] ?? value.split(';')[0]!.trim();
}

/** Values of a list header, commas in quotes and brackets left alone. */
export function splitList(value: string): string[] {
  const parts: string[] = [];
  let start = 0;
  let quoted = false;
  let depth = 0;
  for (let i = 0; i < value.length; i++) {
    const c = value[i];
    if (quoted) {
      if (c === '\\') i++;
      else if (c === '"') quoted = false;
    } else if (c === '"') quoted = true;
    else if (c === '<') depth++;
    else if (c === '>') depth--;
    else if (c === ',' && depth === 0) {
      parts.push(value.slice(start, i).trim());
      start = i + 1;
    }
  }
  parts.push(value.slice(start).trim());
  return parts.filter((part) => part !== '');
}
