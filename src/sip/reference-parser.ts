/**
 * The parser once more, in plain TypeScript: the oracle of the differential tests.
 *
 * Written from the grammar of RFC 3261 section 25 and the meaning of the words in sip_parser.h, with regular
 * expressions over text instead of searches over bytes, so that a mistake is not made twice.  It gives the same words
 * as the WebAssembly parser for every input; it takes some hundred times as long and runs only in tests.
 */
import { headerId } from './headers.js';
import * as w from './words.js';

const TOKEN = /[\w\-.!%*+`'~]+/y;
const SPACE = /[ \t\r\n]*/y;
const QUOTED = /"(?:[^"\\]|\\[\s\S])*"/y;
const DIGITS = /\d*/y;
const HOST = /\[[0-9a-f:.]+\]|[\w.-]+/iy;
/** What a URI cannot contain. */
const NOT_URI = /[\x00-\x20\x7f"<>]/;
const URI_CHARACTERS = /[^\x00-\x20\x7f"<>]*/y;

const PORT_MAX = 65_535;
const OCTET_MAX = 255;
const NUMBER_MAX = 0x7fff_ffff;
const NAME_LENGTH_MAX = 0xffff;

const UNIQUE: ReadonlySet<number> = new Set([
  w.HDR_FROM,
  w.HDR_TO,
  w.HDR_CALL_ID,
  w.HDR_CSEQ,
  w.HDR_MAX_FORWARDS,
  w.HDR_MAX_BREADTH,
  w.HDR_CONTENT_LENGTH,
]);

const NEEDED: readonly (readonly [header: number, fault: number])[] = [
  [w.HDR_VIA, w.F_MISSING_VIA],
  [w.HDR_FROM, w.F_MISSING_FROM],
  [w.HDR_TO, w.F_MISSING_TO],
  [w.HDR_CALL_ID, w.F_MISSING_CALL_ID],
  [w.HDR_CSEQ, w.F_MISSING_CSEQ],
];

/** A part of the message with its place. */
interface Span {
  readonly at: number;
  readonly text: string;
}

/** Thrown where a value breaks its grammar, caught by the reader of the header field. */
class Malformed extends Error {
  readonly offset: number;

  constructor(offset: number) {
    super(`malformed at ${offset}`);
    this.offset = offset;
  }
}

/** Thrown when the message is refused at once. */
class Refused extends Error {}

/** Reads a span from left to right. */
class Reader {
  private readonly span: Span;
  private next = 0;

  constructor(span: Span) {
    this.span = span;
  }

  get offset(): number {
    return this.span.at + this.next;
  }

  get done(): boolean {
    return this.next >= this.span.text.length;
  }

  peek(): string {
    return this.span.text.charAt(this.next);
  }

  /** The text of a sticky pattern here, passed over; `null` if it does not match. */
  take(pattern: RegExp): Span | null {
    pattern.lastIndex = this.next;
    const match = pattern.exec(this.span.text);
    if (match === null) return null;
    const taken = { at: this.offset, text: match[0] };
    this.next += match[0].length;
    return taken;
  }

  /** The same, where nothing else may stand. */
  expect(pattern: RegExp): Span {
    const taken = this.take(pattern);
    if (taken === null) throw new Malformed(this.offset);
    return taken;
  }

  skipSpace(): void {
    this.take(SPACE);
  }

  skipTo(offset: number): void {
    this.next = offset - this.span.at;
  }

  /** Another reader of what is left. */
  rest(): Reader {
    return new Reader({ at: this.offset, text: this.span.text.slice(this.next) });
  }

  /** Everything from `at` of the message to here. */
  since(at: number): Span {
    return { at, text: this.span.text.slice(at - this.span.at, this.next) };
  }
}

interface Parameter {
  readonly name: string;
  readonly nameAt: number;
  readonly nameEnd: number;
  readonly value: Span;
}

/** Reads what follows a ';': a token, perhaps '=' and a quoted string or a run of other characters. */
function readParameter(reader: Reader): Parameter {
  reader.skipSpace();
  const name = reader.expect(TOKEN);
  const nameEnd = reader.offset;
  if (!reader.done && !/[\x00-\x20=;,]/.test(reader.peek())) throw new Malformed(nameEnd);
  reader.skipSpace();
  let value: Span = { at: reader.offset, text: '' };
  if (reader.take(/=/y)) {
    reader.skipSpace();
    value = reader.expect(reader.peek() === '"' ? QUOTED : /[^\x00-\x20;,]*/y);
    reader.skipSpace();
  }
  return { name: name.text.toLowerCase(), nameAt: name.at, nameEnd, value };
}

const trimEnd = (text: string): string => text.replace(/(?<![ \t\r\n])[ \t\r\n]+$/, '');

function numberOf(text: string, max: number): number {
  return /^\d+$/.test(text) && Number(text) <= max ? Number(text) : w.NONE;
}

/** The words of a message, by plain means.  Rows behind the counts are 0. */
export function referenceParse(bytes: Uint8Array): Uint32Array {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
  return new ReferenceParser(text).parse();
}

class ReferenceParser {
  private readonly text: string;
  private readonly words = new Uint32Array(w.WORDS);
  private readonly methods = new Map<string, number>(METHODS);
  private readonly firstValues = new Map<number, string>();
  private readonly lastItems = new Map<number, number>();
  private line = 0;
  private lineEnd = 0;

  /** What a value must be, by header id, and the fault if it is not. */
  private readonly readers: Readonly<Record<number, readonly [fault: number, read: (value: Span) => void]>> =
    {
      [w.HDR_VIA]: [w.F_BAD_VIA, (value) => this.readVias(value)],
      [w.HDR_FROM]: [
        w.F_BAD_FROM,
        (value) => this.readTagged(value, w.W_FROM_OFF, w.W_FROM_URI_OFF, w.W_FROM_TAG_OFF),
      ],
      [w.HDR_TO]: [w.F_BAD_TO, (value) => this.readTagged(value, w.W_TO_OFF, w.W_TO_URI_OFF, w.W_TO_TAG_OFF)],
      [w.HDR_CALL_ID]: [w.F_BAD_CALL_ID, (value) => this.readCallId(value)],
      [w.HDR_CSEQ]: [w.F_BAD_CSEQ, (value) => this.readCseq(value)],
      [w.HDR_MAX_FORWARDS]: [
        w.F_BAD_MAX_FORWARDS,
        (value) => this.readNumber(value, w.W_MAX_FORWARDS, w.W_MAX_FORWARDS_OFF, OCTET_MAX),
      ],
      [w.HDR_MAX_BREADTH]: [
        w.F_BAD_MAX_BREADTH,
        (value) => this.readNumber(value, w.W_MAX_BREADTH, w.W_MAX_BREADTH_OFF, NUMBER_MAX),
      ],
      [w.HDR_CONTENT_LENGTH]: [
        w.F_BAD_CONTENT_LENGTH,
        (value) => this.readNumber(value, w.W_CONTENT_LENGTH, null, NUMBER_MAX),
      ],
      [w.HDR_CONTACT]: [w.F_BAD_CONTACT, (value) => this.readList(w.HDR_CONTACT, value)],
      [w.HDR_ROUTE]: [w.F_BAD_ROUTE, (value) => this.readList(w.HDR_ROUTE, value)],
      [w.HDR_RECORD_ROUTE]: [w.F_BAD_RECORD_ROUTE, (value) => this.readList(w.HDR_RECORD_ROUTE, value)],
    };

  constructor(text: string) {
    this.text = text;
    for (const word of NUMBERS) this.words[word] = w.NONE;
  }

  parse(): Uint32Array {
    const start = /^[\r\n]*/.exec(this.text)![0].length;
    const startLine = /^[^\n]*/.exec(this.text.slice(start))![0];
    const headers = Math.min(start + startLine.length + 1, this.text.length);
    this.words[w.W_START_OFF] = start;
    this.words[w.W_HEADERS_OFF] = headers;
    this.readStartLine({ at: start, text: startLine.replace(/\r$/, '') });
    const body = this.readHeaders(headers);
    this.checkNeeded();
    this.checkMethod();
    if (body !== null) this.noteBody(body);
    return this.words;
  }

  // -- words

  private fault(code: number, offset: number): void {
    if (this.words[w.W_STATUS] !== w.F_OK) return;
    this.words[w.W_STATUS] = code;
    this.words[w.W_FAULT_OFF] = offset;
  }

  private put(word: number, span: Span): void {
    this.words[word] = span.text === '' ? 0 : span.at;
    this.words[word + 1] = span.text.length;
  }

  // -- start line

  private readStartLine(line: Span): void {
    if (/^SIP\//i.test(line.text)) this.readStatusLine(line);
    else this.readRequestLine(line);
  }

  private readStatusLine(line: Span): void {
    this.words[w.W_KIND] = 2;
    const match = /^SIP\/2\.0 ([^ ]*)( ?)([\s\S]*)$/i.exec(line.text);
    if (match === null) {
      this.fault(w.F_BAD_START_LINE, line.at);
      return;
    }
    if (!/^[1-6]\d\d$/.test(match[1]!)) {
      this.fault(w.F_BAD_STATUS_CODE, line.at + 8);
      return;
    }
    this.words[w.W_CODE] = Number(match[1]);
    this.put(w.W_REASON_OFF, { at: line.at + line.text.length - match[3]!.length, text: match[3]! });
  }

  private readRequestLine(line: Span): void {
    const method = /^[\w\-.!%*+`'~]*/.exec(line.text)![0];
    const uriAt = line.at + method.length + 1;
    if (method === '' || line.text.charAt(method.length) !== ' ') {
      this.fault(w.F_BAD_START_LINE, uriAt - 1);
      return;
    }
    this.words[w.W_KIND] = 1;
    this.words[w.W_METHOD] = this.methods.get(method) ?? w.M_UNKNOWN;
    this.put(w.W_METHOD_OFF, { at: line.at, text: method });
    const rest = line.text.slice(method.length + 1);
    const space = rest.lastIndexOf(' ');
    if (space < 0) {
      this.fault(w.F_BAD_START_LINE, uriAt + rest.length);
      return;
    }
    const uri = rest.slice(0, space);
    const version = rest.slice(space + 1);
    this.put(w.W_RURI_OFF, { at: uriAt, text: uri });
    if (!/^SIP\/\d+\.\d+$/i.test(version)) {
      this.fault(w.F_BAD_START_LINE, uriAt + space + 1);
      return;
    }
    if (version.toUpperCase() !== 'SIP/2.0') {
      this.fault(w.F_BAD_VERSION, uriAt + space + 1);
      return;
    }
    const bad = uri.search(NOT_URI);
    if (bad >= 0 || uri === '') this.fault(w.F_BAD_REQUEST_URI, uriAt + Math.max(bad, 0));
  }

  // -- header fields

  /** Returns the offset of the body, `null` if the header has no end. */
  private readHeaders(from: number): number | null {
    let at = from;
    while (at < this.text.length) {
      const empty = this.match(/\r?\n/y, at);
      if (empty !== null) {
        this.words[w.W_HEADERS_END] = at;
        return at + empty.length;
      }
      const line = this.match(/[^\n]*(?:\n[ \t][^\n]*)*\n(?![ \t])/y, at);
      if (line === null) break;
      if (this.words[w.W_HEADER_COUNT] === w.HEADERS_MAX) {
        this.fault(w.F_TOO_MANY_HEADERS, at);
        return null;
      }
      this.line = at;
      this.lineEnd = at + line.length;
      if (!this.readHeader({ at, text: line.slice(0, -1) })) return null;
      at = this.lineEnd;
    }
    this.fault(w.F_NO_END_OF_HEADER, this.text.length);
    return null;
  }

  private match(pattern: RegExp, at: number): string | null {
    pattern.lastIndex = at;
    return pattern.exec(this.text)?.[0] ?? null;
  }

  /** False: the message is refused at once. */
  private readHeader(line: Span): boolean {
    const head = /^([\w\-.!%*+`'~]+)[ \t]*:[ \t\r\n]*/.exec(line.text);
    try {
      if (head === null || head[1]!.length > NAME_LENGTH_MAX) {
        this.fault(w.F_BAD_HEADER_LINE, line.at);
        this.noteHeader(w.HDR_OTHER, '', { at: line.at, text: trimEnd(line.text) });
      } else {
        const id = headerId(head[1]!);
        const value = { at: line.at + head[0].length, text: trimEnd(line.text.slice(head[0].length)) };
        if (value.text === '') value.at = line.at + head[0].indexOf(':') + 1;
        this.noteHeader(id, head[1]!, value);
        this.readOnce(id, value);
      }
    } catch (error) {
      if (error instanceof Refused) return false;
      throw error;
    } finally {
      this.words[w.W_HEADER_COUNT]! += 1;
    }
    return true;
  }

  private noteHeader(id: number, name: string, value: Span): void {
    const row = w.HEADERS_AT + this.words[w.W_HEADER_COUNT]! * w.HEADER_WORDS;
    this.words[row + w.H_ID_NAME_LEN] = id * 0x1_0000 + name.length;
    this.words[row + w.H_LINE_OFF] = this.line;
    this.words[row + w.H_VALUE_OFF] = value.at;
    this.words[row + w.H_VALUE_LEN] = value.text.length;
    this.words[id < 32 ? w.W_PRESENT_LO : w.W_PRESENT_HI]! |= 1 << (id % 32);
  }

  private readOnce(id: number, value: Span): void {
    const first = this.firstValues.get(id);
    if (first === undefined || !UNIQUE.has(id)) {
      this.firstValues.set(id, value.text);
      this.readValue(id, value);
    } else if (first !== value.text) {
      this.fault(w.F_REPEATED_HEADER, this.line);
    }
  }

  private readValue(id: number, value: Span): void {
    const [code, read] = this.readers[id] ?? [];
    if (code === undefined || read === undefined) return;
    try {
      read(value);
    } catch (error) {
      if (!(error instanceof Malformed)) throw error;
      this.fault(code, error.offset);
    }
  }

  // -- values

  private readNumber(value: Span, word: number, offsetWord: number | null, max: number): void {
    this.words[word] = numberOf(value.text, max);
    if (offsetWord !== null) this.put(offsetWord, value);
    if (this.words[word] === w.NONE) throw new Malformed(value.at);
  }

  private readCallId(value: Span): void {
    this.put(w.W_CALL_ID_OFF, value);
    const gap = value.text.search(/[\x00-\x20\x7f]/);
    if (gap >= 0 || value.text === '') throw new Malformed(value.at + Math.max(gap, 0));
  }

  private readCseq(value: Span): void {
    const reader = new Reader(value);
    const digits = reader.expect(DIGITS);
    this.put(w.W_CSEQ_OFF, digits);
    this.words[w.W_CSEQ_NUMBER] = numberOf(digits.text, NUMBER_MAX);
    if (digits.text === '' || reader.expect(SPACE).text === '') {
      throw new Malformed(value.at + digits.text.length);
    }
    const method = reader.take(TOKEN);
    if (method !== null) {
      this.put(w.W_CSEQ_METHOD_OFF, method);
      this.words[w.W_CSEQ_METHOD] = this.methods.get(method.text) ?? w.M_UNKNOWN;
    }
    if (this.words[w.W_CSEQ_NUMBER] === w.NONE) throw new Malformed(value.at);
    if (method === null || !reader.done) throw new Malformed(reader.offset);
  }

  private readTagged(value: Span, word: number, uriWord: number, tagWord: number): void {
    const reader = new Reader(value);
    this.put(word, value);
    this.put(uriWord, readNameAddrOrAddrSpec(reader));
    let tags = 0;
    while (reader.take(/;/y)) {
      const parameter = readParameter(reader);
      if (parameter.name !== 'tag') continue;
      if (parameter.value.text === '' || ++tags > 1) throw new Malformed(parameter.nameAt);
      this.put(tagWord, parameter.value);
    }
    if (!reader.done) throw new Malformed(reader.offset);
  }

  private readVias(line: Span): void {
    let top = this.words[w.W_VIA_LINE_END] === 0;
    if (top) {
      this.words[w.W_VIA_LINE_OFF] = this.line;
      this.words[w.W_VIA_LINE_END] = this.lineEnd;
      this.put(w.W_VIA_OFF, line);
    }
    const reader = new Reader(line);
    for (;;) {
      const at = reader.offset;
      const branch = this.readVia(reader, top);
      const value = { at, text: trimEnd(reader.since(at).text) };
      this.addItem(w.HDR_VIA, value, branch);
      this.words[w.W_VIA_COUNT]! += 1;
      if (top) this.put(w.W_VIA_OFF, value);
      if (reader.done) return;
      if (!reader.take(/,/y)) throw new Malformed(reader.offset);
      reader.skipSpace();
      if (top) this.words[w.W_VIA_NEXT_OFF] = reader.offset;
      top = false;
    }
  }

  /** Reads one Via value up to its ',' or the end; returns the branch. */
  private readVia(reader: Reader, top: boolean): Span {
    for (let part = 0; part < 2; part++) {
      reader.expect(TOKEN);
      reader.skipSpace();
      reader.expect(/\//y);
      reader.skipSpace();
    }
    const transport = reader.expect(TOKEN);
    reader.expect(/[ \t\r\n]+/y);
    const host = reader.expect(HOST);
    if (top) {
      this.put(w.W_VIA_TRANSPORT_OFF, transport);
      this.put(w.W_VIA_HOST_OFF, host);
      this.words[w.W_VIA_SENT_BY_END] = reader.offset;
    }
    reader.skipSpace();
    if (reader.take(/:/y)) this.readViaPort(reader, top);
    const parameters = this.readViaParameters(reader, top);
    if (!reader.done && reader.peek() !== ',') throw new Malformed(reader.offset);
    return parameters;
  }

  private readViaPort(reader: Reader, top: boolean): void {
    reader.skipSpace();
    const port = reader.expect(DIGITS);
    const number = numberOf(port.text, PORT_MAX);
    if (number === w.NONE || number === 0) throw new Malformed(port.at);
    if (top) {
      this.words[w.W_VIA_PORT] = number;
      this.words[w.W_VIA_SENT_BY_END] = reader.offset;
    }
    reader.skipSpace();
  }

  private readViaParameters(reader: Reader, top: boolean): Span {
    let branch: Span | null = null;
    while (reader.take(/;/y)) {
      const parameter = readParameter(reader);
      if (parameter.name === 'branch') {
        if (branch !== null) throw new Malformed(parameter.nameAt);
        branch = parameter.value;
        if (top) this.put(w.W_VIA_BRANCH_OFF, branch);
      } else if (top) {
        this.noteViaParameter(parameter);
      }
    }
    return branch ?? { at: 0, text: '' };
  }

  /** Of a parameter that comes twice the first one with a usable value counts. */
  private noteViaParameter({ name, nameEnd, value }: Parameter): void {
    if (name === 'rport' && this.words[w.W_VIA_RPORT_OFF] === 0) {
      const port = numberOf(value.text, PORT_MAX);
      this.words[w.W_VIA_RPORT_OFF] = nameEnd;
      this.words[w.W_VIA_RPORT] = port === w.NONE ? 0 : port;
    } else if (name === 'received' && this.words[w.W_VIA_RECEIVED_LEN] === 0) {
      this.put(w.W_VIA_RECEIVED_OFF, value);
    } else if (name === 'maddr' && this.words[w.W_VIA_MADDR_LEN] === 0) {
      this.put(w.W_VIA_MADDR_OFF, value);
    } else if (name === 'ttl' && this.words[w.W_VIA_TTL] === w.NONE) {
      this.words[w.W_VIA_TTL] = numberOf(value.text, OCTET_MAX);
    }
  }

  private readList(id: number, line: Span): void {
    const reader = new Reader(line);
    while (!reader.done) {
      reader.skipSpace();
      const at = reader.offset;
      let uri = readListUri(reader);
      skipToComma(reader);
      const value = { at, text: trimEnd(reader.since(at).text) };
      const star = id === w.HDR_CONTACT && uri.text === '*' && uri.at === at;
      if (star) uri = { at: 0, text: '' };
      if (value.text !== '') {
        this.addItem(id, value, uri);
        this.countItem(id, value, uri, star);
      }
      reader.take(/,/y);
    }
  }

  private addItem(id: number, value: Span, uri: Span): void {
    const index = this.words[w.W_ITEM_COUNT]!;
    if (index === w.ITEMS_MAX) {
      this.fault(w.F_TOO_MANY_ITEMS, value.at);
      throw new Refused();
    }
    const row = w.ITEMS_AT + index * w.ITEM_WORDS;
    this.words[row + w.I_ID_HEADER] = id * 0x1_0000 + this.words[w.W_HEADER_COUNT]!;
    this.put(row + w.I_OFF, value);
    this.put(row + w.I_URI_OFF, uri);
    const last = this.lastItems.get(id);
    if (last !== undefined) this.words[w.ITEMS_AT + last * w.ITEM_WORDS + w.I_NEXT] = index;
    this.lastItems.set(id, index);
    this.words[w.W_ITEM_COUNT] = index + 1;
  }

  private countItem(id: number, value: Span, uri: Span, star: boolean): void {
    const index = this.words[w.W_ITEM_COUNT]! - 1;
    if (id === w.HDR_CONTACT) {
      if (star) this.words[w.W_CONTACT_STAR] = 1;
      this.words[w.W_CONTACT_COUNT]! += 1;
      if (this.words[w.W_CONTACT_COUNT] !== 1) return;
      this.put(w.W_CONTACT_OFF, value);
      this.put(w.W_CONTACT_URI_OFF, uri);
    } else {
      const route = id === w.HDR_ROUTE;
      const count = route ? w.W_ROUTE_COUNT : w.W_RECORD_ROUTE_COUNT;
      this.words[count]! += 1;
      if (this.words[count] === 1) {
        this.words[route ? w.W_ROUTE_ITEM : w.W_RECORD_ROUTE_ITEM] = index;
      }
    }
  }

  // -- the whole

  private checkNeeded(): void {
    for (const [header, code] of NEEDED) {
      if (!this.firstValues.has(header)) this.fault(code, this.words[w.W_HEADERS_END]!);
    }
  }

  private checkMethod(): void {
    if (this.words[w.W_KIND] === 2) {
      this.words[w.W_METHOD] = this.words[w.W_CSEQ_METHOD]!;
      return;
    }
    const method = this.textAt(w.W_METHOD_OFF);
    const cseqMethod = this.textAt(w.W_CSEQ_METHOD_OFF);
    if (method !== '' && cseqMethod !== '' && method !== cseqMethod) {
      this.fault(w.F_CSEQ_METHOD_MISMATCH, this.words[w.W_CSEQ_METHOD_OFF]!);
    }
  }

  private textAt(word: number): string {
    return this.text.slice(this.words[word]!, this.words[word]! + this.words[word + 1]!);
  }

  private noteBody(body: number): void {
    const rest = this.text.length - body;
    const stated = this.words[w.W_CONTENT_LENGTH]!;
    this.words[w.W_BODY_OFF] = body;
    this.words[w.W_REST_LEN] = rest;
    this.words[w.W_BODY_LEN] = Math.min(stated, rest);
    if (stated !== w.NONE && stated > rest) this.fault(w.F_SHORT_BODY, body);
  }
}

const NUMBERS = [
  w.W_CONTENT_LENGTH,
  w.W_MAX_FORWARDS,
  w.W_MAX_BREADTH,
  w.W_VIA_TTL,
  w.W_CSEQ_NUMBER,
] as const;

const METHODS: readonly (readonly [string, number])[] = [
  ['INVITE', w.M_INVITE],
  ['ACK', w.M_ACK],
  ['BYE', w.M_BYE],
  ['CANCEL', w.M_CANCEL],
  ['OPTIONS', w.M_OPTIONS],
  ['REGISTER', w.M_REGISTER],
  ['PRACK', w.M_PRACK],
  ['UPDATE', w.M_UPDATE],
  ['INFO', w.M_INFO],
  ['REFER', w.M_REFER],
  ['SUBSCRIBE', w.M_SUBSCRIBE],
  ['NOTIFY', w.M_NOTIFY],
  ['MESSAGE', w.M_MESSAGE],
  ['PUBLISH', w.M_PUBLISH],
];

/** name-addr or addr-spec of From and To; stops at the parameters.  [RFC 3261 20.10] */
function readNameAddrOrAddrSpec(reader: Reader): Span {
  const at = reader.offset;
  if (reader.peek() === '"') {
    reader.expect(QUOTED);
    reader.skipSpace();
    return readAngle(reader);
  }
  const before = reader.expect(/[^<;,"]*/y);
  if (reader.peek() === '<') {
    const odd = before.text.search(/[^\w\-.!%*+`'~ \t\r\n\x80-\xff]/);
    if (odd >= 0) throw new Malformed(at + odd);
    return readAngle(reader);
  }
  if (!reader.done && reader.peek() !== ';') throw new Malformed(reader.offset);
  const uri = { at, text: trimEnd(before.text) };
  const bad = uri.text.search(NOT_URI);
  if (bad >= 0 || uri.text === '') throw new Malformed(at + Math.max(bad, 0));
  return uri;
}

function readAngle(reader: Reader): Span {
  reader.expect(/</y);
  const uri = reader.expect(URI_CHARACTERS);
  if (uri.text === '') throw new Malformed(uri.at);
  reader.expect(/>/y);
  reader.skipSpace();
  return uri;
}

/** The URI of a Contact, Route or Record-Route value; only quotes and angle brackets must have an end. */
function readListUri(reader: Reader): Span {
  const at = reader.offset;
  reader.take(/[^<;,"]*/y);
  while (reader.peek() === '"') {
    reader.expect(QUOTED);
    reader.take(/[^<;,"]*/y);
  }
  if (reader.peek() !== '<') return { at, text: trimEnd(reader.since(at).text) };
  const angle = reader.expect(/<[^>]*>/y);
  const inside = angle.text.slice(1, -1);
  const space = /^[ \t\r\n]*/.exec(inside)![0].length;
  return { at: angle.at + 1 + space, text: trimEnd(inside.slice(space)) };
}

function skipToComma(reader: Reader): void {
  reader.take(/[^,"]*/y);
  while (reader.peek() === '"') {
    reader.expect(QUOTED);
    reader.take(/[^,"]*/y);
  }
}

/** sip_answerable() once more. */
export function referenceAnswerable(words: Uint32Array): boolean {
  const needed = [
    w.W_VIA_HOST_LEN,
    w.W_FROM_LEN,
    w.W_TO_LEN,
    w.W_CALL_ID_LEN,
    w.W_CSEQ_LEN,
    w.W_CSEQ_METHOD_LEN,
  ];
  return needed.every((word) => words[word] !== 0);
}

// -- URIs

const SCHEMES: ReadonlyMap<string, number> = new Map([
  ['sip', 1],
  ['sips', 2],
  ['tel', 3],
]);
const TRANSPORTS = ['', 'udp', 'tcp', 'tls', 'sctp', 'ws', 'wss'];
const TRANSPORT_OTHER = 7;

/** The words of the URI at `offset` of the message, by plain means. */
export function referenceParseUri(bytes: Uint8Array, offset: number, length: number): Uint32Array {
  const text = Buffer.from(bytes.subarray(offset, offset + length)).toString('latin1');
  const words = new Uint32Array(w.URI_WORDS);
  words[w.U_STATUS] = 1;
  words[w.U_TTL] = w.NONE;
  const scheme = /^([a-z][a-z0-9+.-]*):/i.exec(text);
  if (scheme === null) return words;
  words[w.U_SCHEME] = SCHEMES.get(scheme[1]!.toLowerCase()) ?? 0;
  words[w.U_SCHEME_LEN] = scheme[1]!.length;
  if (NOT_URI.test(text)) return words;
  const reader = new Reader({ at: offset, text });
  reader.expect(/[^:]*:/y);
  if (words[w.U_SCHEME] === 3) {
    putUri(words, w.U_USER_OFF, reader.expect(/[^;]*/y));
    putUri(words, w.U_PARAMS_OFF, reader.expect(/[\s\S]*/y));
  } else if (words[w.U_SCHEME] !== 0) {
    words[w.U_STATUS] = readSipUri(reader, words) ? 0 : 1;
  }
  return words;
}

function putUri(words: Uint32Array, word: number, span: Span): void {
  words[word] = span.text === '' ? 0 : span.at;
  words[word + 1] = span.text.length;
}

function readSipUri(reader: Reader, words: Uint32Array): boolean {
  const userinfo = reader.take(/[^@]*@/y);
  if (userinfo !== null) {
    const colon = userinfo.text.indexOf(':');
    const end = userinfo.text.length - 1;
    const userEnd = colon < 0 ? end : colon;
    if (userEnd === 0) return false;
    putUri(words, w.U_USER_OFF, { at: userinfo.at, text: userinfo.text.slice(0, userEnd) });
    const password = { at: userinfo.at + userEnd + 1, text: userinfo.text.slice(userEnd + 1, end) };
    putUri(words, w.U_PASSWORD_OFF, password);
  }
  const host = reader.take(HOST);
  if (host === null) return false;
  putUri(words, w.U_HOST_OFF, host);
  if (reader.take(/:/y)) {
    const port = numberOf(reader.expect(DIGITS).text, PORT_MAX);
    if (port === w.NONE || port === 0) return false;
    words[w.U_PORT] = port;
  }
  if (!reader.done && !/[;?]/.test(reader.peek())) return false;
  const parameters = reader.expect(/[^?]*/y);
  putUri(words, w.U_PARAMS_OFF, parameters);
  putUri(words, w.U_HEADERS_OFF, reader.expect(/[\s\S]*/y));
  for (const match of parameters.text.matchAll(/;([^;=]*)(=?)([^;]*)/g)) {
    const valueAt = parameters.at + match.index + 1 + match[1]!.length + match[2]!.length;
    noteUriParameter(match[1]!.toLowerCase(), { at: valueAt, text: match[3]! }, words);
  }
  return true;
}

function noteUriParameter(name: string, value: Span, words: Uint32Array): void {
  if (name === 'lr') words[w.U_LR] = 1;
  if (name === 'r2') words[w.U_R2] = 1;
  if (name === 'transport' && words[w.U_TRANSPORT] === 0) {
    const known = TRANSPORTS.indexOf(value.text.toLowerCase());
    words[w.U_TRANSPORT] = known > 0 ? known : TRANSPORT_OTHER;
  }
  if (name === 'maddr' && words[w.U_MADDR_LEN] === 0) putUri(words, w.U_MADDR_OFF, value);
  if (name === 'ftag' && words[w.U_FTAG_LEN] === 0) putUri(words, w.U_FTAG_OFF, value);
  if (name === 'ttl' && words[w.U_TTL] === w.NONE) words[w.U_TTL] = numberOf(value.text, OCTET_MAX);
}

/** The value of a parameter by plain means: [offset, length], [0, 0] without a value, `null` if it is not there. */
export function referenceFindParameter(
  bytes: Uint8Array,
  offset: number,
  length: number,
  name: string,
): [number, number] | null {
  const text = Buffer.from(bytes.subarray(offset, offset + length)).toString('latin1');
  const reader = new Reader({ at: offset, text });
  for (;;) {
    reader.take(/[^;"]*/y);
    if (reader.done) return null;
    if (reader.peek() === '"') {
      if (!reader.take(QUOTED)) return null;
      continue;
    }
    reader.expect(/;/y);
    const parameter = tryParameter(reader.rest());
    if (parameter === null) continue;
    if (parameter.name === name) return unquoted(parameter.value);
    reader.skipTo(parameter.end);
  }
}

function tryParameter(reader: Reader): (Parameter & { end: number }) | null {
  try {
    return { ...readParameter(reader), end: reader.offset };
  } catch {
    return null;
  }
}

function unquoted(value: Span): [number, number] {
  const quoted = value.text.startsWith('"');
  const length = value.text.length - (quoted ? 2 : 0);
  return length === 0 ? [0, 0] : [value.at + (quoted ? 1 : 0), length];
}
