/**
 * Names in a flow: a DNS that answers when the flow says so, and the flow's own time as a clock.
 */
import type { Clock } from '../../dist/clock.js';
import type {
  AddressRecord,
  Directory,
  Records,
  RewriteRecord,
  ServiceRecord,
} from '../../dist/transport/directory.js';

export class ClockOf implements Clock {
  readonly #nowMs: () => number;

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  monotonicMs(): number {
    return this.#nowMs();
  }

  unixSeconds(): number {
    return 1_800_000_000 + Math.floor(this.#nowMs() / 1000);
  }
}

/** Addresses of a flow's `name` lines; there are no SRV and NAPTR records. */
export class Names implements Directory {
  readonly #addresses = new Map<string, readonly string[]>();
  readonly #waiting: (() => void)[] = [];

  /** `a.example 192.0.2.20 192.0.2.21` each. */
  constructor(lines: readonly string[]) {
    for (const line of lines) {
      const [name = '', ...addresses] = line.split(/\s+/);
      this.#addresses.set(name, addresses);
    }
  }

  /** Every question asked so far gets its answer, and so does what is asked because of it. */
  answer(): void {
    for (const go of this.#waiting.splice(0)) go();
  }

  async addresses(name: string, family: 4 | 6): Promise<Records<AddressRecord>> {
    await new Promise<void>((resolve) => this.#waiting.push(resolve));
    const records = (this.#addresses.get(name) ?? [])
      .filter((address) => address.includes(':') === (family === 6))
      .map((address) => ({ address, ttlSeconds: 30 }));
    return { outcome: records.length > 0 ? 'found' : 'none', records };
  }

  services(): Promise<Records<ServiceRecord>> {
    return Promise.resolve({ outcome: 'none', records: [] });
  }

  rewrites(): Promise<Records<RewriteRecord>> {
    return Promise.resolve({ outcome: 'none', records: [] });
  }

  close(): void {
    this.answer();
  }
}
