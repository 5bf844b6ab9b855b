/**
 * A DNS server of a few records on loopback UDP, for tests of whoever asks.
 *
 * It answers A, AAAA, SRV and NAPTR from a table, NXDOMAIN for names it does not have, and can keep silent or refuse.
 */
import dgram from 'node:dgram';

/** What a name has.  Times to live in seconds. */
export type Zone = {
  readonly [name: string]: {
    readonly a?: readonly string[];
    /** Eight groups, no `::`. */
    readonly aaaa?: readonly string[];
    readonly srv?: readonly { priority: number; weight: number; port: number; target: string }[];
    readonly naptr?: readonly {
      order: number;
      preference: number;
      flags: string;
      service: string;
      replacement: string;
    }[];
    readonly ttl?: number;
    /** `silence`: no answer at all; `refuse`: SERVFAIL. */
    readonly trouble?: 'silence' | 'refuse';
  };
};

const TYPES = { a: 1, aaaa: 28, srv: 33, naptr: 35 } as const;
type TypeName = keyof typeof TYPES;
const NO_ERROR = 0;
const SERVER_FAILURE = 2;
const NO_SUCH_NAME = 3;
const QUESTIONS_MAX = 10_000;

export class FakeDns {
  /** `a sip.example.com`, in order of arrival. */
  readonly questions: string[] = [];
  zone: Zone;
  readonly #socket: dgram.Socket;

  private constructor(socket: dgram.Socket, zone: Zone) {
    this.#socket = socket;
    this.zone = zone;
    socket.on('message', (question, from) => {
      const reply = this.#reply(question);
      if (reply !== null) socket.send(reply, from.port, from.address);
    });
  }

  static async open(port: number, zone: Zone): Promise<FakeDns> {
    const socket = dgram.createSocket('udp4');
    await new Promise<void>((resolve, reject) => {
      socket.once('error', reject);
      socket.bind(port, '127.0.0.1', resolve);
    });
    return new FakeDns(socket, zone);
  }

  get server(): string {
    return `127.0.0.1:${this.#socket.address().port}`;
  }

  async close(): Promise<void> {
    await new Promise<void>((resolve) => this.#socket.close(() => resolve()));
  }

  #reply(question: Buffer): Buffer | null {
    const { name, end } = readName(question, 12);
    const typeNumber = question.readUInt16BE(end);
    const type = (Object.keys(TYPES) as TypeName[]).find((key) => TYPES[key] === typeNumber);
    if (this.questions.length < QUESTIONS_MAX) this.questions.push(`${type ?? typeNumber} ${name}`);
    const known = this.zone[name];
    if (known?.trouble === 'silence') return null;
    const data = known === undefined || type === undefined ? [] : dataOf(known, type);
    const code = known === undefined ? NO_SUCH_NAME : known.trouble === 'refuse' ? SERVER_FAILURE : NO_ERROR;
    const head = Buffer.alloc(12);
    question.copy(head, 0, 0, 2);
    head.writeUInt16BE(0x8580 | code, 2);
    head.writeUInt16BE(1, 4);
    head.writeUInt16BE(code === NO_ERROR ? data.length : 0, 6);
    const answers = code === NO_ERROR ? data.map((one) => record(typeNumber, known?.ttl ?? 60, one)) : [];
    return Buffer.concat([head, question.subarray(12, end + 4), ...answers]);
  }
}

function dataOf(known: Zone[string], type: TypeName): Buffer[] {
  switch (type) {
    case 'a':
      return (known.a ?? []).map((text) => Buffer.from(text.split('.').map(Number)));
    case 'aaaa':
      return (known.aaaa ?? []).map((text) => {
        const words = text.split(':').map((group) => Number.parseInt(group, 16));
        return Buffer.from(words.flatMap((word) => [word >> 8, word & 255]));
      });
    case 'srv':
      return (known.srv ?? []).map(({ priority, weight, port, target }) =>
        Buffer.concat([words(priority, weight, port), writeName(target)]),
      );
    case 'naptr':
      return (known.naptr ?? []).map(({ order, preference, flags, service, replacement }) =>
        Buffer.concat([
          words(order, preference),
          string(flags),
          string(service),
          string(''),
          writeName(replacement),
        ]),
      );
  }
}

/** The record of the name that was asked for. */
function record(type: number, ttl: number, data: Buffer): Buffer {
  const head = Buffer.alloc(12);
  head.writeUInt16BE(0xc00c, 0);
  head.writeUInt16BE(type, 2);
  head.writeUInt16BE(1, 4);
  head.writeUInt32BE(ttl, 6);
  head.writeUInt16BE(data.length, 10);
  return Buffer.concat([head, data]);
}

function words(...values: number[]): Buffer {
  return Buffer.from(values.flatMap((value) => [value >> 8, value & 255]));
}

function string(text: string): Buffer {
  return Buffer.concat([Buffer.from([text.length]), Buffer.from(text, 'latin1')]);
}

function writeName(name: string): Buffer {
  const labels = name.split('.').filter((label) => label !== '');
  return Buffer.concat([...labels.map(string), Buffer.from([0])]);
}

function readName(bytes: Buffer, at: number): { name: string; end: number } {
  const labels: string[] = [];
  let end = at;
  while (bytes[end] !== 0) {
    const length = bytes[end]!;
    labels.push(bytes.toString('latin1', end + 1, end + 1 + length).toLowerCase());
    end += 1 + length;
  }
  return { name: labels.join('.'), end: end + 1 };
}
