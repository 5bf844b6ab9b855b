/**
 * Mutated datagrams and mutated dialogs against real shards over a wire and a clock in memory.
 *
 * A round is a world of its own: calls are set up, answered, changed and ended by rule, and any message of theirs may be
 * cut, mixed with another, said twice, late, or with a field changed.  After each datagram: nothing was thrown, counts
 * equal records, what left is bounded by what came, and the shards came to rest within so many batches.  At the end of a
 * round, when all that was to end has ended, nothing is left.
 *
 * A seed decides everything but the keyed hashes in branches and tags, so it replays the same steps.
 */
import assert from 'node:assert/strict';
import { addon } from '../../dist/memory/addon.js';
import { type Random, seededRandom } from '../../dist/random.js';
import { World } from './flow.js';

const WORKERS = 2;
const CALLS = 12;
const LEFT_KEPT_MAX = 48;
const RECENT = 6;
const BATCHES_MAX = 40;
/** One datagram makes us send so many bytes for each of its own, and so many besides: answers, CANCELs, BYEs. */
const OUT_PER_IN_MAX = 8;
const OUT_BESIDES_MAX = 16_384;
const OUR = '192.0.2.1:5060';
const CALLER = '192.0.2.10:5060';
const CALLEE = '192.0.2.20:5060';
/** Longer than every timer and lifetime of a round. */
const QUIET_MS = 400_000;
const QUIET_STEP_MS = 500;
const ROUTES = ['relay', 'limit', 'fork', 'fork3', 'backup', 'acts', 'by_tags', 'all_replies', 'by_name'];

const CODES = [100, 180, 183, 200, 200, 200, 302, 404, 407, 481, 486, 487, 500, 503, 600];
const METHODS = [
  'ACK',
  'BYE',
  'CANCEL',
  'INVITE',
  'UPDATE',
  'PRACK',
  'INFO',
  'OPTIONS',
  'REFER',
  'SUBSCRIBE',
  'ODD',
];
/** What a mutation puts somewhere. */
const TOKENS = [
  ...[
    '\r\n',
    '\r\n\r\n',
    '\r\n ',
    '\0',
    '\x7f',
    '\xff\xfe',
    '"',
    '<',
    '>',
    ';',
    ',',
    ':',
    '@',
    '%00',
    '%',
    '\\',
  ],
  ...['0', '-1', '2147483647', '2147483648', '4294967295', '4294967296', '99999999999999999999'],
  ...[
    'sip:',
    'sips:a@b',
    'tel:+1',
    `<sip:${OUR};lr>`,
    `sip:${OUR}`,
    `;did=1.1`,
    ';lr',
    ';tag=x',
    ';branch=z9hG4bK',
  ],
  ...[
    `Route: <sip:${OUR};lr>\r\n`,
    'Route: <sip:h.invalid;lr>\r\n',
    'Contact: *\r\n',
    'Contact: <sip:c@192.0.2.99>\r\n',
  ],
  ...[
    'Record-Route: <sip:192.0.2.77;lr>\r\n',
    'Max-Forwards: 0\r\n',
    'Max-Breadth: 1\r\n',
    'Proxy-Require: x\r\n',
  ],
  ...[
    'Content-Length: 5\r\n',
    'Via: SIP/2.0/UDP 192.0.2.5;branch=z9hG4bKx\r\n',
    'To: <sip:x@y>;tag=z\r\n',
    'l: 9\r\n',
  ],
];

export type FuzzResult = { readonly datagrams: number; readonly bytesIn: number; readonly bytesOut: number };

/** One round of so many datagrams. */
export async function fuzzRound(seed: number, datagrams: number): Promise<FuzzResult> {
  const random = seededRandom(seed);
  const settings = new Map([
    ['routes', [ROUTES[random.below(ROUTES.length)]!]],
    [
      'set',
      [
        'dialog:hash_size=64 dialog:default_timeout=100 dialog:early_timeout=60 dialog:noack_timeout=20',
        `dialog:dlg_match_mode=${random.below(3)} dialog:send_bye=${random.below(2)}`,
        `dialog:detect_spirals=${random.below(2)} dialog:profiles_with_value=caller`,
      ],
    ],
  ]);
  const world = await World.open({ workers: WORKERS, timerWorker: random.below(2) === 0, seed, settings });
  const round = new Round(world, random);
  try {
    for (let n = 0; n < datagrams; n++) await round.step(n);
    await round.end();
    return { datagrams, bytesIn: round.bytesIn, bytesOut: round.bytesOut };
  } catch (error) {
    const told = `seed ${seed}, datagram ${round.sent}, the last:\n${JSON.stringify(round.last)}`;
    throw new Error(`${told}\n${String((error as Error).stack)}`, { cause: error });
  } finally {
    world.close();
  }
}

type Left = { readonly to: string; readonly text: string };

class Round {
  sent = 0;
  bytesIn = 0;
  bytesOut = 0;
  last = '';
  readonly #world: World;
  readonly #random: Random;
  /** What left last, for answers to it and requests within its dialog. */
  readonly #left: Left[] = [];
  readonly #said: string[] = [];
  #number = 1;

  constructor(world: World, random: Random) {
    this.#world = world;
    this.#random = random;
  }

  async step(n: number): Promise<void> {
    if (this.#one(12)) this.#pass(this.#one(20) ? 2_000 + this.#below(30_000) : 10 * (1 + this.#below(60)));
    const [text, from] = this.#next();
    const said = this.#below(3) > 0 ? text : this.#mutated(text);
    this.#say(said, from);
    // Names that are looked up are answered, or not.
    if (n % 8 === 0) {
      await new Promise((resolve) => setImmediate(resolve));
      this.#world.names.answer();
      await new Promise((resolve) => setImmediate(resolve));
      this.#work(OUT_BESIDES_MAX * OUT_PER_IN_MAX);
    }
  }

  async end(): Promise<void> {
    for (let passed = 0; passed < QUIET_MS; passed += QUIET_STEP_MS) {
      this.#pass(QUIET_STEP_MS, QUIET_STEP_MS);
      if (passed % 5_000 === 0) {
        await new Promise((resolve) => setImmediate(resolve));
        this.#world.names.answer();
        await new Promise((resolve) => setImmediate(resolve));
      }
    }
    this.#work(Number.POSITIVE_INFINITY);
    this.#world.assertEmpty();
  }

  #below(bound: number): number {
    return this.#random.below(bound);
  }
  #one(of: number): boolean {
    return this.#random.below(of) === 0;
  }
  #of<T>(list: readonly T[]): T {
    return list[this.#below(list.length)]!;
  }

  #say(text: string, from: string): void {
    const bytes = Buffer.from(text, 'latin1').subarray(0, 65_507);
    this.sent += 1;
    this.bytesIn += bytes.length;
    this.last = text;
    if (this.#said.length < LEFT_KEPT_MAX) this.#said.push(text);
    else this.#said[this.#below(LEFT_KEPT_MAX)] = text;
    this.#world.wire.put(this.#below(WORKERS), 0, from, bytes);
    const out = this.#work(OUT_PER_IN_MAX * bytes.length + OUT_BESIDES_MAX);
    this.bytesOut += out;
    assert.equal(addon.audit(this.#world.segment), 0, 'counts differ from the records');
  }

  /** The shards work until they rest; bytes that left. */
  #work(bytesMax: number): number {
    const { shards, wire } = this.#world;
    let batches = 0;
    let bytes = 0;
    for (let moved = true; moved; ) {
      moved = false;
      for (const shard of shards)
        while (shard.receive() > 0) {
          moved = true;
          assert.ok(++batches <= BATCHES_MAX, 'the shards never come to rest');
        }
      for (let one = wire.take(); one !== null; one = wire.take()) {
        bytes += one.bytes.length;
        if (one.destination === OUR) {
          wire.put(this.#below(WORKERS), 0, OUR, one.bytes);
          moved = true;
        } else this.#keep({ to: one.destination, text: Buffer.from(one.bytes).toString('latin1') });
      }
    }
    assert.ok(bytes <= bytesMax, `${bytes} bytes left where ${bytesMax} may`);
    return bytes;
  }

  #keep(one: Left): void {
    this.#left.push(one);
    if (this.#left.length > LEFT_KEPT_MAX) this.#left.shift();
  }

  #pass(milliseconds: number, stepMs = 10): void {
    const world = this.#world;
    for (let passed = 0; passed < milliseconds; passed += stepMs) {
      world.nowMs += stepMs;
      world.wire.setTime(world.nowMs);
      for (const shard of world.shards) shard.tick();
      if (milliseconds > 1_000) stepMs = Math.max(stepMs, 200);
      this.#work(Number.POSITIVE_INFINITY);
    }
    assert.equal(addon.audit(world.segment), 0, 'counts differ from the records after time has passed');
  }

  /** What an end would say next, and where it is. */
  #next(): [string, string] {
    const lot = this.#below(10);
    if (lot < 2 || this.#left.length === 0) return [this.#invite(), CALLER];
    if (lot === 2) return [this.#of(this.#said), this.#one(2) ? CALLER : CALLEE];
    // Mostly what was heard a moment ago: calls that get on are the ones worth breaking.
    const heard = this.#of(this.#one(4) ? this.#left : this.#left.slice(-RECENT));
    if (heard.text.startsWith('SIP/2.0')) return [this.#within(heard.text), heard.to];
    return [this.#one(4) ? this.#back(heard.text) : this.#answer(heard.text), heard.to];
  }

  #invite(): string {
    const call = this.#below(CALLS);
    const n = this.#number++;
    return message([
      'INVITE sip:bob@192.0.2.20 SIP/2.0',
      `Via: SIP/2.0/UDP ${CALLER};branch=z9hG4bKi${n}`,
      `From: <sip:alice@192.0.2.10>;tag=a${call}`,
      'To: <sip:bob@h>',
      `Call-ID: fuzz-${call}@h`,
      `CSeq: ${n} INVITE`,
      'Contact: <sip:alice@192.0.2.10>',
      'Max-Forwards: 70',
    ]);
  }

  #answer(request: string): string {
    const to = /^To:(.*)$/im.exec(request)?.[1] ?? ' <sip:x@y>';
    return message([
      `SIP/2.0 ${this.#of(CODES)} Fuzz`,
      ...lines(request, /^(via|from|call-id|cseq|record-route):/i),
      `To:${/;tag=/.test(to) || this.#one(9) ? to : `${to};tag=b${this.#below(3)}`}`,
      'Contact: <sip:bob@192.0.2.20>',
    ]);
  }

  /** What the caller says on an answer, within the dialog it made. */
  #within(answer: string): string {
    const method = this.#of(METHODS);
    const sameBranch = method === 'CANCEL' || (method === 'ACK' && this.#one(2));
    const via = lines(answer, /^via:/i)[0] ?? 'Via: SIP/2.0/UDP 192.0.2.10;branch=z9hG4bKx';
    const number = Number(/^CSeq: *(\d+)/im.exec(answer)?.[1] ?? 1);
    return message([
      `${method} sip:bob@192.0.2.20 SIP/2.0`,
      sameBranch ? via : `Via: SIP/2.0/UDP ${CALLER};branch=z9hG4bKw${this.#number++}`,
      ...lines(answer, /^record-route:/i).map((line) => line.replace(/^record-/i, '')),
      ...lines(answer, /^(from|to|call-id):/i),
      `CSeq: ${method === 'ACK' || method === 'CANCEL' ? number : number + this.#below(3)} ${method}`,
      'Contact: <sip:alice@192.0.2.10>',
      'Max-Forwards: 70',
    ]);
  }

  /** What the callee asks within the dialog of a request that it got. */
  #back(request: string): string {
    const field = (name: string) =>
      new RegExp(`^${name}:(.*)$`, 'im').exec(request)?.[1] ?? ' <sip:x@y>;tag=1';
    return message([
      `${this.#of(METHODS)} sip:alice@192.0.2.10 SIP/2.0`,
      `Via: SIP/2.0/UDP ${CALLEE};branch=z9hG4bKb${this.#number++}`,
      ...lines(request, /^record-route:/i).map((line) => line.replace(/^record-/i, '')),
      `From:${field('To')};tag=b${this.#below(3)}`,
      `To:${field('From')}`,
      ...lines(request, /^call-id:/i),
      `CSeq: ${1 + this.#below(5)} ${this.#of(METHODS)}`,
      'Contact: <sip:bob@192.0.2.20>',
    ]);
  }

  #mutated(text: string): string {
    let out = text;
    for (let n = 1 + this.#below(3); n > 0; n--) out = this.#mutate(out);
    return out;
  }

  #mutate(text: string): string {
    const at = this.#below(text.length + 1);
    const rows = text.split('\r\n');
    const row = this.#below(rows.length);
    switch (this.#below(9)) {
      case 0:
        return text.slice(0, at) + String.fromCharCode(this.#below(256)) + text.slice(at + 1);
      case 1:
        return text.slice(0, at);
      case 2:
        return text.slice(0, at) + this.#of(TOKENS) + text.slice(at);
      case 3:
        return rows.toSpliced(row, 1).join('\r\n');
      case 4:
        return rows.toSpliced(this.#below(rows.length), 0, rows[row]!).join('\r\n');
      case 5:
        return rows.toSpliced(1 + this.#below(rows.length), 0, this.#of(TOKENS).trim()).join('\r\n');
      case 6:
        return text.replace(/\d+/g, (digits) => (this.#one(9) ? this.#of(TOKENS) : digits));
      case 7: {
        // One field of another message in the place of this one's.
        const other = this.#of(this.#said.length > 0 ? this.#said : [text]).split('\r\n');
        return rows.toSpliced(row, 1, this.#of(other)).join('\r\n');
      }
      default: {
        const long = (rows[row]! || 'X: y').slice(-40).repeat(1 + this.#below(60));
        return rows.toSpliced(row, 1, rows[row]! + long).join('\r\n');
      }
    }
  }
}

function message(fields: readonly string[]): string {
  return `${fields.join('\r\n')}\r\nContent-Length: 0\r\n\r\n`;
}

function lines(text: string, which: RegExp): string[] {
  return text.split('\r\n').filter((line) => which.test(line));
}
