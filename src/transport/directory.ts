/**
 * Asks the hosts file and the DNS.  The one file that does: resolve.ts decides what to ask and what follows from it.
 *
 * Nothing here throws: a question has records, or none, or no answer was to be had.
 */
import { Resolver } from 'node:dns/promises';
import { readFile } from 'node:fs/promises';

/** `none`: the name or the records do not exist.  `failed`: nobody could say (time-out, refusal, broken answer). */
export type Records<T> = { readonly outcome: 'found' | 'none' | 'failed'; readonly records: readonly T[] };

/** An address as text, and for how long it may be kept. */
export type AddressRecord = { readonly address: string; readonly ttlSeconds: number };
/** [RFC 2782] */
export type ServiceRecord = {
  readonly priority: number;
  readonly weight: number;
  readonly port: number;
  readonly target: string;
};
/** [RFC 3403] */
export type RewriteRecord = {
  readonly order: number;
  readonly preference: number;
  readonly flags: string;
  readonly service: string;
  readonly regexp: string;
  readonly replacement: string;
};

/** Who knows about names. */
export interface Directory {
  /** A (family 4) or AAAA (family 6) records. */
  addresses(name: string, family: 4 | 6): Promise<Records<AddressRecord>>;
  /** SRV records. */
  services(name: string): Promise<Records<ServiceRecord>>;
  /** NAPTR records. */
  rewrites(name: string): Promise<Records<RewriteRecord>>;
  /** Gives up what is under way. */
  close(): void;
}

export type DirectoryOptions = {
  /** `127.0.0.1:53` each; null: those of the machine. */
  readonly servers: readonly string[] | null;
  /** Null: no hosts file. */
  readonly hostsFile: string | null;
  /** How long the first try of a question waits; each further one waits longer. */
  readonly timeoutMs: number;
  readonly tries: number;
};

/** Two tries of one server last 3 s together, less than a route may wait. */
export const SYSTEM_DIRECTORY: DirectoryOptions = {
  servers: null,
  hostsFile: '/etc/hosts',
  timeoutMs: 1_000,
  tries: 2,
};

/** How long an address out of the hosts file is kept: it is edited, and has no time of its own. */
const HOSTS_TTL_SECONDS = 30;
const HOSTS_BYTES_MAX = 1 << 20;
/** c-ares' way of saying that there is no such name, or no such record. */
const NONE = new Set(['ENOTFOUND', 'ENODATA']);

/** The hosts file, then the DNS, through node's own resolver. */
export class SystemDirectory implements Directory {
  readonly #resolver: Resolver;
  readonly #hostsFile: string | null;

  constructor(options: DirectoryOptions = SYSTEM_DIRECTORY) {
    this.#resolver = new Resolver({ timeout: options.timeoutMs, tries: options.tries });
    if (options.servers !== null) this.#resolver.setServers(options.servers);
    this.#hostsFile = options.hostsFile;
  }

  async addresses(name: string, family: 4 | 6): Promise<Records<AddressRecord>> {
    const local = await this.#local(name);
    if (local !== null) {
      const records = local
        .filter((address) => address.includes(':') === (family === 6))
        .map((address) => ({ address, ttlSeconds: HOSTS_TTL_SECONDS }));
      return { outcome: records.length > 0 ? 'found' : 'none', records };
    }
    return asked(async () => {
      const found =
        family === 4
          ? await this.#resolver.resolve4(name, { ttl: true })
          : await this.#resolver.resolve6(name, { ttl: true });
      return found.map((record) => ({ address: record.address, ttlSeconds: record.ttl }));
    });
  }

  services(name: string): Promise<Records<ServiceRecord>> {
    return asked(async () =>
      (await this.#resolver.resolveSrv(name)).map(({ priority, weight, port, name: target }) => ({
        priority,
        weight,
        port,
        target,
      })),
    );
  }

  rewrites(name: string): Promise<Records<RewriteRecord>> {
    return asked(() => this.#resolver.resolveNaptr(name));
  }

  close(): void {
    this.#resolver.cancel();
  }

  /** Addresses of the machine's own names; null: it has none of this name.  [RFC 6761 6.3] */
  async #local(name: string): Promise<readonly string[] | null> {
    if (name === 'localhost' || name.endsWith('.localhost')) return ['127.0.0.1', '::1'];
    if (this.#hostsFile === null) return null;
    try {
      const text = await readFile(this.#hostsFile, 'latin1');
      const addresses = readHosts(text.slice(0, HOSTS_BYTES_MAX), name);
      return addresses.length > 0 ? addresses : null;
    } catch {
      return null;
    }
  }
}

/** The addresses that a hosts file gives `name` (in lower case). */
export function readHosts(text: string, name: string): string[] {
  const addresses: string[] = [];
  for (const line of text.split('\n')) {
    const [address = '', ...names] = line.replace(/#.*/, '').trim().split(/\s+/);
    if (names.some((one) => one.toLowerCase() === name)) addresses.push(address);
  }
  return addresses;
}

async function asked<T>(question: () => Promise<readonly T[]>): Promise<Records<T>> {
  try {
    const records = await question();
    return { outcome: records.length > 0 ? 'found' : 'none', records };
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? '';
    return { outcome: NONE.has(code) ? 'none' : 'failed', records: [] };
  }
}
