/**
 * A URI's host, port and transport → where to send, in order of preference.  [RFC 3263, RFC 2782]
 *
 * The proxy calls `lookup()` on the packet path: a number or a name in the cache is answered at once and allocates
 * nothing.  When it answers null, the transaction is suspended, `resolve()` asks the DNS and the transaction goes on
 * with what that gives.  The caller passes `maddr` as host where a URI has one.
 *
 * UDP is the only transport so far; a URI that demands another is answered as such, without a question to anybody.
 */
import type { Clock } from '../clock.js';
import type { Random } from '../random.js';
import { Address, formatAddress, readAddressText } from './address.js';
import type { AddressRecord, Directory, Records, RewriteRecord, ServiceRecord } from './directory.js';
import { NameCache } from './dns-cache.js';

/** Why there is no destination.  `busy`: too many look-ups are under way. */
export type Problem = 'transport not available' | 'not a host name' | 'no such name' | 'no answer' | 'busy';

/** Where to send. */
export type Destination = {
  readonly protocol: 'udp';
  /** IPv6 or IPv4-mapped words, as in Address. */
  readonly a0: number;
  readonly a1: number;
  readonly a2: number;
  readonly a3: number;
  /** 0: the port that was asked for. */
  readonly port: number;
};

/**
 * What is known of a host: destinations in the order to try them, at least one unless there is a problem.
 *
 * The order is drawn again by each lookup() and holds until the next: whoever tries a second one asks again after
 * `failed()`, for destinations that failed go last.
 */
export type Answer = {
  readonly problem: Problem | null;
  readonly destinations: readonly Destination[];
};

export type ResolverOptions = {
  /** Families we have a socket of, the one to try first first. */
  readonly families: readonly (4 | 6)[];
  /** Config's core:dns_cache_*. */
  readonly minTtlSeconds: number;
  readonly maxTtlSeconds: number;
  readonly negativeTtlSeconds: number;
  readonly namesMax: number;
  readonly bytesMax: number;
};

const DEFAULT_PORT = 5060;
/** Service and rewrite records come without their time to live from node; answers made of them are kept no longer. */
const SERVICE_TTL_SECONDS_MAX = 60;
/** A name nobody could tell us about may be known in a moment. */
const NO_ANSWER_TTL_SECONDS_MAX = 5;
/** Every answer stays at least so long that those who waited for it find it. */
const KEPT_MS_MIN = 1_000;
/** A destination that failed goes last for as long. */
const FAILED_MS = 30_000;
const FAILED_DESTINATIONS_MAX = 64;
const LOOKUPS_UNDER_WAY_MAX = 1_000;
/** More than these of one answer are not looked at. */
const SERVICES_MAX = 16;
/** Of one host. */
const ADDRESSES_MAX = 16;
/** Of one name: who tries so many in vain need not try more. */
const DESTINATIONS_MAX = 16;
/** What an answer, a target and a destination take of the heap at most, beside the name's characters. */
const ANSWER_BYTES = 512;
const TARGET_BYTES = 192;
const DESTINATION_BYTES = 256;
/** Questions to the DNS under way; more are not asked. */
const QUESTIONS_MAX = 4_000;
const NAME_CHARACTERS_MAX = 253;
const LABEL = /^[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?$/;

/** The three questions about a name: its addresses alone, its SIP service over UDP, its preferred transport. */
const ADDRESS = 0;
const SERVICE = 1;
const PREFERENCE = 2;
const KINDS = 3;

/** One SRV target, or the host itself: its addresses stay together. */
type Target = {
  readonly priority: number;
  readonly weight: number;
  readonly destinations: readonly Destination[];
};

type Kept = Answer & {
  readonly destinations: Destination[];
  readonly targets: Target[];
  readonly untilMs: number;
};

/** Addresses found, how long they may be kept, and what is wrong if there are none. */
type Found = { readonly problem: Problem | null; readonly ttlSeconds: number; readonly targets: Target[] };

/** A destination that did not take a message. */
class Failure {
  a0 = 0;
  a1 = 0;
  a2 = 0;
  a3 = 0;
  port = 0;
  untilMs = 0;
}

/** RFC 3263 for one worker, with its cache. */
export class Resolver {
  readonly #directory: Directory;
  readonly #options: ResolverOptions;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #cache: NameCache<Kept>;
  readonly #underWay = new Map<string, Promise<Answer>>();
  readonly #questions = new Map<string, Promise<Records<AddressRecord>>>();
  readonly #failures = Array.from({ length: FAILED_DESTINATIONS_MAX }, () => new Failure());
  #nextFailure = 0;
  /** When the last failure is forgotten: before that, and only then, orders look at failures. */
  #failuresUntilMs = 0;
  readonly #probe = new Address();
  /** The destination of a host that is an address; one for all, for it holds until the next lookup(). */
  readonly #number = { protocol: 'udp' as const, a0: 0, a1: 0, a2: 0, a3: 0, port: 0 };
  readonly #numberAnswer: Answer = { problem: null, destinations: [this.#number] };
  /** Destinations set aside while an order is made. */
  readonly #aside: Destination[] = [];

  constructor(directory: Directory, options: ResolverOptions, clock: Clock, random: Random) {
    this.#directory = directory;
    this.#options = options;
    this.#clock = clock;
    this.#random = random;
    this.#cache = new NameCache<Kept>(options.namesMax, options.bytesMax, KINDS);
  }

  /** Names in the cache. */
  get names(): number {
    return this.#cache.size;
  }

  /** Bytes that they may take. */
  get bytes(): number {
    return this.#cache.bytes;
  }

  /**
   * What can be said without asking anybody.
   *
   * @param port 0: the URI has none
   * @param transport the URI's transport parameter, '' when it has none
   * @param secure a sips URI
   * @returns null when `resolve()` must be asked
   */
  lookup(host: string, port: number, transport: string, secure = false): Answer | null {
    if (!isAvailable(transport, secure)) return NO_TRANSPORT;
    const numeric = this.#numeric(host, port);
    if (numeric !== null) return numeric;
    const name = bareName(host);
    const cached = this.#cached(name, kindOf(port, transport));
    if (cached !== null) return cached;
    return isName(name) ? null : NO_NAME;
  }

  /** The same, asking the DNS when that is needed.  Never rejects; unless it is `busy`, lookup() answers afterwards. */
  resolve(host: string, port: number, transport: string, secure = false): Answer | Promise<Answer> {
    const known = this.lookup(host, port, transport, secure);
    if (known !== null) return known;
    const name = bareName(host);
    const kind = kindOf(port, transport);
    const key = `${kind} ${name}`;
    const underWay = this.#underWay.get(key);
    if (underWay !== undefined) return underWay;
    if (this.#underWay.size >= LOOKUPS_UNDER_WAY_MAX) return BUSY;
    const answer = this.#ask(name, kind).finally(() => this.#underWay.delete(key));
    this.#underWay.set(key, answer);
    return answer;
  }

  /** A message could not be sent there, nothing came back, or 503: for a while others go first.  [RFC 3263 4.3] */
  failed(a0: number, a1: number, a2: number, a3: number, port: number): void {
    const failure = this.#failures[this.#nextFailure]!;
    this.#nextFailure = (this.#nextFailure + 1) % FAILED_DESTINATIONS_MAX;
    failure.a0 = a0;
    failure.a1 = a1;
    failure.a2 = a2;
    failure.a3 = a3;
    failure.port = port;
    failure.untilMs = this.#clock.monotonicMs() + FAILED_MS;
    this.#failuresUntilMs = failure.untilMs;
  }

  /** Gives up look-ups under way; they end without an answer. */
  close(): void {
    this.#directory.close();
    this.#cache.clear();
  }

  /** The answer for a host that is an address, null for a name. */
  #numeric(host: string, port: number): Answer | null {
    const first = host.charCodeAt(0);
    const mayBeAddress = first === 91 || (first >= 48 && first <= 57) || host.includes(':');
    if (!mayBeAddress || !readAddressText(host, this.#probe)) return null;
    const probe = this.#probe;
    if (!this.#options.families.includes(probe.isV4 ? 4 : 6)) return NO_TRANSPORT;
    const number = this.#number;
    number.a0 = probe.a0;
    number.a1 = probe.a1;
    number.a2 = probe.a2;
    number.a3 = probe.a3;
    number.port = port === 0 ? DEFAULT_PORT : 0;
    return this.#numberAnswer;
  }

  #cached(name: string, kind: number): Answer | null {
    const kept = this.#cache.get(name, kind);
    if (kept === null) return null;
    const nowMs = this.#clock.monotonicMs();
    if (nowMs >= kept.untilMs) return null;
    this.#order(kept, nowMs);
    return kept;
  }

  async #ask(name: string, kind: number): Promise<Answer> {
    const found =
      kind === ADDRESS
        ? await this.#host(name, 0)
        : kind === SERVICE
          ? await this.#service(`_sip._udp.${name}`, name)
          : await this.#preference(name);
    const nowMs = this.#clock.monotonicMs();
    const kept: Kept = {
      problem: found.problem,
      targets: found.targets,
      destinations: found.targets.flatMap((target) => target.destinations),
      untilMs: nowMs + Math.max(found.ttlSeconds * 1000, KEPT_MS_MIN),
    };
    this.#order(kept, nowMs);
    this.#cache.set(name, kind, kept, bytesOf(kept));
    return kept;
  }

  /** Which transport the domain prefers of those we have.  [RFC 3263 4.1] */
  async #preference(name: string): Promise<Found> {
    const { outcome, records } = await this.#directory.rewrites(name);
    // A resolver that fails at NAPTR, as some do that do not know the type, is no reason to give up.
    const offers = outcome === 'found' ? records.filter(isTransportOffer) : [];
    if (offers.length === 0) return this.#service(`_sip._udp.${name}`, name);
    const best = offers
      .filter((record) => record.service.toUpperCase() === 'SIP+D2U')
      .sort((a, b) => a.order - b.order || a.preference - b.preference)[0];
    if (best === undefined) return this.#nothing('transport not available', SERVICE_TTL_SECONDS_MAX);
    const service = bareName(best.replacement);
    if (!isName(service)) return this.#nothing('no such name');
    return this.#service(service, null);
  }

  /**
   * The targets of an SRV name.  [RFC 3263 4.2]
   *
   * @param host where to look for addresses when there is no such record; null: nowhere
   */
  async #service(service: string, host: string | null): Promise<Found> {
    const { outcome, records } = await this.#directory.services(service);
    if (outcome === 'failed') return this.#nothing('no answer');
    if (outcome === 'none')
      return host === null ? this.#nothing('no such name') : this.#host(host, DEFAULT_PORT);
    const chosen = [...records].sort((a, b) => a.priority - b.priority).slice(0, SERVICES_MAX);
    const found = await Promise.all(chosen.map((record) => this.#target(record)));
    const targets = withinBound(found.flatMap((one) => one.targets));
    if (targets.length === 0) {
      const failed = found.some((one) => one.problem === 'no answer');
      return this.#nothing(failed ? 'no answer' : 'no such name');
    }
    const ttl = Math.min(...found.map((one) => one.ttlSeconds), SERVICE_TTL_SECONDS_MAX);
    return { problem: null, ttlSeconds: this.#bounded(ttl), targets };
  }

  /** One SRV record; a target of "." says that there is no such service.  [RFC 2782] */
  async #target(record: ServiceRecord): Promise<Found> {
    const name = bareName(record.target);
    if (!isName(name) || record.port === 0) return this.#nothing('no such name');
    return this.#host(name, record.port, record.priority, record.weight);
  }

  /** The addresses of a host as one target. */
  async #host(name: string, port: number, priority = 0, weight = 0): Promise<Found> {
    const families = this.#options.families;
    const answers = await Promise.all(families.map((family) => this.#addresses(name, family)));
    const records = sharesOf(answers.map((answer) => answer.records));
    const destinations: Destination[] = [];
    for (const { address } of records) {
      if (!readAddressText(address, this.#probe)) continue;
      const { a0, a1, a2, a3 } = this.#probe;
      destinations.push({ protocol: 'udp', a0, a1, a2, a3, port });
    }
    if (destinations.length === 0) {
      return this.#nothing(
        answers.some((answer) => answer.outcome === 'failed') ? 'no answer' : 'no such name',
      );
    }
    // Half an answer is good enough to send by, but not to be kept for long.
    const half = answers.some((answer) => answer.outcome === 'failed');
    const ttl = Math.min(...records.map((record) => record.ttlSeconds));
    const ttlSeconds = this.#bounded(half ? Math.min(ttl, NO_ANSWER_TTL_SECONDS_MAX) : ttl);
    return { problem: null, ttlSeconds, targets: [{ priority, weight, destinations }] };
  }

  /** Whoever asks the same while a question is under way shares its answer. */
  #addresses(name: string, family: 4 | 6): Promise<Records<AddressRecord>> {
    const key = `${family} ${name}`;
    let question = this.#questions.get(key);
    if (question === undefined) {
      if (this.#questions.size >= QUESTIONS_MAX) return Promise.resolve(NOT_ASKED);
      question = this.#directory.addresses(name, family).finally(() => this.#questions.delete(key));
      this.#questions.set(key, question);
    }
    return question;
  }

  #nothing(problem: Problem, ttlSecondsMax = Number.POSITIVE_INFINITY): Found {
    const longest = problem === 'no answer' ? NO_ANSWER_TTL_SECONDS_MAX : ttlSecondsMax;
    return { problem, ttlSeconds: Math.min(this.#options.negativeTtlSeconds, longest), targets: [] };
  }

  #bounded(ttlSeconds: number): number {
    return Math.min(Math.max(ttlSeconds, this.#options.minTtlSeconds), this.#options.maxTtlSeconds);
  }

  /** Puts the destinations in the order to try them: priority, weight by lot, what failed last. */
  #order(kept: Kept, nowMs: number): void {
    const { targets, destinations } = kept;
    if (targets.length > 1) {
      for (let from = 0; from < targets.length; ) from = this.#drawGroup(targets, from);
      let n = 0;
      for (const target of targets) {
        for (const destination of target.destinations) destinations[n++] = destination;
      }
    }
    if (nowMs < this.#failuresUntilMs && destinations.length > 1) this.#putFailedLast(destinations, nowMs);
  }

  /**
   * Draws the order of the targets of one priority from `from` on.  [RFC 2782, "Weight"]
   *
   * @returns where the next priority begins
   */
  #drawGroup(targets: Target[], from: number): number {
    const priority = targets[from]!.priority;
    let end = from;
    while (end < targets.length && targets[end]!.priority === priority) end++;
    for (let place = from; place < end - 1; place++) {
      let sum = 0;
      for (let n = place; n < end; n++) sum += targets[n]!.weight;
      // Targets of weight 0 stand at the front of the running sum, so each has its small chance: drawn for 0.
      const lot = this.#random.below(sum + 1);
      const chosen = lot === 0 ? firstLightest(targets, place, end) : heavier(targets, place, end, lot);
      const target = targets[chosen]!;
      targets[chosen] = targets[place]!;
      targets[place] = target;
    }
    return end;
  }

  #putFailedLast(destinations: Destination[], nowMs: number): void {
    let kept = 0;
    for (let n = 0; n < destinations.length; n++) {
      const destination = destinations[n]!;
      if (this.#hasFailed(destination, nowMs)) this.#aside.push(destination);
      else destinations[kept++] = destination;
    }
    for (const destination of this.#aside) destinations[kept++] = destination;
    this.#aside.length = 0;
  }

  /** A destination without a port of its own counts as failed when any port of its address is. */
  #hasFailed(destination: Destination, nowMs: number): boolean {
    for (const failure of this.#failures) {
      if (failure.untilMs <= nowMs) continue;
      if (destination.port !== 0 && destination.port !== failure.port) continue;
      if (failure.a3 !== destination.a3 || failure.a2 !== destination.a2) continue;
      if (failure.a1 === destination.a1 && failure.a0 === destination.a0) return true;
    }
    return false;
  }
}

/** `192.0.2.1:5060`, for logs. */
export function destinationText(destination: Destination, askedPort: number): string {
  const { a0, a1, a2, a3, port } = destination;
  const address = formatAddress(a0, a1, a2, a3);
  return `${address.includes(':') ? `[${address}]` : address}:${port === 0 ? askedPort : port}`;
}

/** At most ADDRESSES_MAX records, and of each family its share where it has so many. */
function sharesOf(families: readonly (readonly AddressRecord[])[]): AddressRecord[] {
  const share = Math.floor(ADDRESSES_MAX / Math.max(families.length, 1));
  const first = families.map((records) => records.slice(0, share));
  let left = ADDRESSES_MAX - first.reduce((sum, records) => sum + records.length, 0);
  return families.flatMap((records, n) => {
    const more = records.slice(share, share + left);
    left -= more.length;
    return [...first[n]!, ...more];
  });
}

/** The targets with at most DESTINATIONS_MAX destinations together: each keeps its first, what is left goes by priority. */
function withinBound(targets: readonly Target[]): Target[] {
  const kept = targets.slice(0, DESTINATIONS_MAX);
  let left = DESTINATIONS_MAX - kept.length;
  return kept.map((target) => {
    const destinations = target.destinations.slice(0, 1 + left);
    left -= destinations.length - 1;
    return { ...target, destinations };
  });
}

function bytesOf({ targets, destinations }: Kept): number {
  return ANSWER_BYTES + targets.length * TARGET_BYTES + destinations.length * DESTINATION_BYTES;
}

const NOT_ASKED: Records<AddressRecord> = { outcome: 'failed', records: [] };
const NO_TRANSPORT: Answer = { problem: 'transport not available', destinations: [] };
const NO_NAME: Answer = { problem: 'not a host name', destinations: [] };
const BUSY: Answer = { problem: 'busy', destinations: [] };

function isAvailable(transport: string, secure: boolean): boolean {
  return !secure && (transport === '' || transport === 'udp' || transport.toLowerCase() === 'udp');
}

function kindOf(port: number, transport: string): number {
  if (port !== 0) return ADDRESS;
  return transport === '' ? PREFERENCE : SERVICE;
}

/** A name as it is kept and asked: in lower case, without its last dot. */
function bareName(host: string): string {
  const lower = host.toLowerCase();
  return lower.endsWith('.') ? lower.slice(0, -1) : lower;
}

/** Whether a bare name can be one of a host.  [RFC 3261 25.1, RFC 1035 2.3] */
function isName(name: string): boolean {
  if (name.length === 0 || name.length > NAME_CHARACTERS_MAX) return false;
  const labels = name.split('.');
  // The last label begins with a letter, or 1.2.3.256 would be a name.
  return labels.every((label) => LABEL.test(label)) && /^[a-z]/.test(labels.at(-1)!);
}

/** NAPTR records about transports of SIP; others, such as ENUM's, say nothing here.  [RFC 3263 4.1] */
function isTransportOffer(record: RewriteRecord): boolean {
  return /^sips?\+d2[a-z]$/i.test(record.service) && record.flags.toLowerCase() === 's';
}

/** The first target of the smallest weight in [from, end). */
function firstLightest(targets: readonly Target[], from: number, end: number): number {
  let lightest = from;
  for (let n = from + 1; n < end; n++) if (targets[n]!.weight < targets[lightest]!.weight) lightest = n;
  return lightest;
}

/** The target in [from, end) in whose share of the weights `lot` (at least 1) lies. */
function heavier(targets: readonly Target[], from: number, end: number, lot: number): number {
  let sum = 0;
  for (let n = from; n < end; n++) {
    sum += targets[n]!.weight;
    if (sum >= lot) return n;
  }
  return end - 1;
}
