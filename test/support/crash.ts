/**
 * A process that dies at its n-th native call, and the one that takes over.
 *
 * What SIGKILL leaves is the segment's file as it is at that instant, and what had left by then: the file is copied, the
 * datagrams are taken, and whatever the old process does afterwards is nobody's business.  A second later another attaches
 * to the copy.  The agents keep to the RFC's timers and know of nothing.
 */
import { copyFileSync, rmSync } from 'node:fs';
import type { Config } from '../../dist/config/load.js';
import { defaultConfig } from '../../dist/config/load.js';
import { silentLog } from '../../dist/log.js';
import { addon, type MemoryWire, type SegmentId, type Shard } from '../../dist/memory/addon.js';
import { seededRandom } from '../../dist/random.js';
import type { RouteTable } from '../../dist/script/routes.js';
import { ShardCore } from '../../dist/server/shard.js';
import { Resolver } from '../../dist/transport/resolve.js';
import { Agent } from './flow-agents.js';
import { ClockOf, Names } from './flow-names.js';
import { type Answers, LosslessAgent, type Move } from './lossless-agents.js';
import { WireMessage } from './wire-message.js';

const TICK_MS = 10;
const QUIET_TICK_MS = 100;
/** Far ahead of the machine's clock, by which attach() counts until the shards tell it the flow's. */
const START_MS = 100_000;
const DOWN_MS = 1_000;
const SEGMENT_BYTES = 4 << 20;
/** A scenario that is not over by then hangs. */
const SCENARIO_MS_MAX = 120_000;
/** Longer than 64 * T1 and than anything lingers. */
const REST_MS = 50_000;
const OURS = '192.0.2.1:5060';
const ADDRESSES: Readonly<Record<string, string>> = {
  caller: '192.0.2.10:5060',
  callee: '192.0.2.20:5060',
  callee2: '192.0.2.30:5060',
  backup: '192.0.2.50:5060',
};

/** Calls that leave nothing in the segment or on the wire: dying before one is dying before the next. */
const READS = new Set(
  [
    'receive nowTick nowBootSeconds nowUnixSeconds prefetch loopHash hash writeBranch readBranch entryOf ownerOf',
    'transactionMatch transactionLoad transactionLoadIndex transactionRoom transactionRequest transactionReply',
    'transactionBranchReply transactionBranchRequest transactionNext',
    'dialogFindById dialogLoad dialogMatch dialogFindByCallId dialogFindCall dialogSnapshot dialogNextUnanswered',
    'profileIsMember profileSize profileExpireRemotes count countMany take keepSlot releaseSlot start stop release',
    'transactionAdvance dialogAdvance keepAliveAdvance',
  ].flatMap((line) => line.split(' ')),
);
const SENDS = new Set(['flush', 'sendQueued']);

export type Scenario = {
  readonly title: string;
  /** Modparams, `name=value`. */
  readonly set: readonly string[];
  /** The routes of one process; `lookup` is answered with 'done' after a while. */
  readonly routes: (lookup: () => Promise<string>) => RouteTable;
  readonly answers: Readonly<Record<string, Readonly<Record<string, Answers>>>>;
  readonly moves: readonly Move[];
  /** What each agent must have heard in the end, each once. */
  readonly heard: Readonly<Record<string, readonly string[]>>;
};

export type Verdict = {
  readonly points: number;
  readonly diedAt: string;
  readonly faults: readonly string[];
};

let segments = 0;
/** Whose calls are counted now. */
let current: Life | null = null;

const openShard = addon.openShard.bind(addon);
(addon as { openShard: typeof openShard }).openShard = (options) => counted(openShard(options));

function counted(shard: Shard): Shard {
  const calls = shard as unknown as Record<string, unknown>;
  const life = current;
  const wrapped: Record<string, unknown> = { ...calls };
  for (const [name, call] of Object.entries(calls)) {
    if (typeof call !== 'function' || READS.has(name)) continue;
    const through = call as (...args: unknown[]) => unknown;
    wrapped[name] = (...args: unknown[]) => {
      life?.before(name);
      const result = through(...args);
      if (SENDS.has(name)) life?.sent(name);
      return result;
    };
  }
  return wrapped as unknown as Shard;
}

/** One process, until it dies. */
class Life {
  readonly segment: SegmentId;
  readonly wire: MemoryWire;
  readonly shard: ShardCore;
  readonly lookups: { readonly dueMs: number; readonly go: (answer: string) => void }[] = [];
  readonly usedAtStart: number;
  /** Datagrams that left before it died. */
  readonly out: { readonly destination: string; readonly text: string }[] = [];
  readonly path: string;
  diedAt = '';
  points = 0;
  private hasChanged = false;
  private readonly diesAt: number;
  private readonly copy: string;

  constructor(config: Config, scenario: Scenario, nowMs: () => number, found: string | null, diesAt: number) {
    segments += 1;
    this.path = found ?? `/dev/shm/holdfast-crash-${process.pid}-${segments}`;
    this.copy = `/dev/shm/holdfast-crash-${process.pid}-${segments}-copy`;
    this.diesAt = diesAt;
    const options = {
      path: this.path,
      bytes: SEGMENT_BYTES,
      hashSize: config.params.dialog.hash_size,
      workers: 1,
      hIdStart: 4096,
      hIdStep: 1,
      profiles: config.params.dialog.profiles_with_value.map((name) => ({ name, withValue: true })),
      sockets: [`udp:${OURS}`],
      mailboxBytes: 1 << 19,
      timerWorker: false,
    };
    this.segment = found === null ? addon.createSegment(options) : addon.attachSegment(options);
    this.wire = addon.createMemoryWire(this.segment, [{ address: '192.0.2.1', port: 5060 }], 1);
    this.wire.setTime(nowMs());
    this.usedAtStart = addon.segmentUsage(this.segment).usedBytes;
    const clock = new ClockOf(nowMs);
    const random = seededRandom(1);
    const lookup = (): Promise<string> =>
      new Promise((go) => this.lookups.push({ dueMs: nowMs() + 100, go }));
    current = this;
    this.shard = new ShardCore({
      config,
      segment: this.segment,
      owner: 0,
      routes: scenario.routes(lookup),
      log: silentLog,
      wire: this.wire,
      clock,
      random,
      resolver: new Resolver(
        new Names([]),
        { families: [4], minTtlSeconds: 1, maxTtlSeconds: 60, negativeTtlSeconds: 5, namesMax: 100 },
        clock,
        random,
      ),
    });
    current = null;
  }

  get isDead(): boolean {
    return this.diedAt !== '';
  }

  /** Before a call that changes something; what sends has nothing to send unless there was one. */
  before(name: string): void {
    if (this.isDead || (SENDS.has(name) && !this.hasChanged)) return;
    this.hasChanged = !SENDS.has(name);
    // What is queued dies with the process.
    if (name === 'send') return;
    this.collect();
    this.points += 1;
    if (this.points === this.diesAt) this.die(name);
  }

  /** After messages were handed to the kernel, which takes one after the other. */
  sent(name: string): void {
    if (this.isDead) return;
    const before = this.out.length;
    this.collect();
    for (let left = 1; left < this.out.length - before; left++) {
      this.points += 1;
      if (this.points !== this.diesAt) continue;
      this.out.length = before + left;
      this.die(`${name} after ${left}`);
    }
  }

  private die(name: string): void {
    copyFileSync(this.path, this.copy);
    this.diedAt = `${this.points} ${name}`;
  }

  private collect(): void {
    for (let datagram = this.wire.take(); datagram !== null; datagram = this.wire.take()) {
      if (this.isDead) continue;
      this.out.push({
        destination: datagram.destination,
        text: Buffer.from(datagram.bytes).toString('latin1'),
      });
    }
  }

  receive(): void {
    while (this.shard.receive() > 0);
    this.collect();
  }

  tick(): void {
    this.shard.tick();
    this.collect();
  }

  /** Lets go of everything; what is left of it, if it died. */
  close(): string | null {
    this.shard.close();
    addon.closeSegment(this.segment, true);
    rmSync(this.path, { force: true });
    return this.isDead ? this.copy : null;
  }
}

/** Plays a scenario whose process dies before its `diesAt`-th native call; 0: it lives. */
export async function playCrash(scenario: Scenario, diesAt: number): Promise<Verdict> {
  const config = await defaultConfig(...scenario.set);
  const full: Config = {
    ...config,
    workers: 1,
    listen: [{ proto: 'udp', address: '192.0.2.1', port: 5060 }],
  };
  let nowMs = START_MS;
  let upAtMs = 0;
  let life = new Life(full, scenario, () => nowMs, null, diesAt);
  const { usedAtStart } = life;
  const agents = new Map<string, LosslessAgent>();
  const names = new Map(Object.entries(ADDRESSES).map(([name, address]) => [address, name]));
  let diedAt = '';
  let points = 0;
  let left: string | null = null;
  const put = (source: string, text: string): void => {
    if (left === null) life.wire.put(0, 0, source, Buffer.from(text, 'latin1'));
  };
  for (const [name, address] of Object.entries(ADDRESSES)) {
    const agent = new Agent(
      name,
      address,
      () => 'crash@flow.example',
      (one) => ADDRESSES[one] ?? null,
    );
    agents.set(name, new LosslessAgent(agent, scenario.answers[name] ?? {}, (text) => put(address, text)));
  }
  const agentOf = (name: string): LosslessAgent => agents.get(name)!;
  const deliver = (): boolean => {
    const out = life.out.splice(0);
    for (const { destination, text } of out) {
      const name = names.get(destination);
      if (name !== undefined) agentOf(name).hear(new WireMessage(text), nowMs);
      else if (destination === OURS) put(OURS, text);
    }
    return out.length > 0;
  };
  const settle = async (): Promise<void> => {
    do {
      if (left === null) life.receive();
      // Routes that wait go on between two looks.
      if (life.lookups.length > 0) await new Promise((resolve) => setImmediate(resolve));
      if (left === null) life.receive();
    } while (deliver());
  };
  const bury = (): void => {
    if (!life.isDead || left !== null) return;
    deliver();
    diedAt = life.diedAt;
    points = life.points;
    left = life.close();
    upAtMs = nowMs + DOWN_MS;
  };
  const step = async (tickMs: number): Promise<void> => {
    nowMs += tickMs;
    if (left !== null && nowMs >= upAtMs) {
      life = new Life(full, scenario, () => nowMs, left, 0);
      left = null;
    }
    for (const agent of agents.values()) agent.tick(nowMs);
    if (left === null) {
      life.wire.setTime(nowMs);
      life.tick();
      for (const one of life.lookups.filter(({ dueMs }) => dueMs <= nowMs)) {
        life.lookups.splice(life.lookups.indexOf(one), 1);
        one.go('done');
        await new Promise((resolve) => setImmediate(resolve));
      }
    }
    await settle();
    bury();
  };

  const faults: string[] = [];
  try {
    const endMs = nowMs + SCENARIO_MS_MAX;
    const isQuiet = (): boolean => [...agents.values()].every((agent) => agent.isQuiet);
    for (const move of scenario.moves) {
      const beginMs = nowMs + (move.waitMs ?? 0);
      while (nowMs < beginMs) await step(TICK_MS);
      agentOf(move.who).begin(move, nowMs);
      await settle();
      bury();
      while (!(agentOf(move.who).isDone(move) && isQuiet()) && nowMs < endMs)
        await step(left !== null ? DOWN_MS : TICK_MS);
    }
    if (nowMs >= endMs) faults.push('the scenario hangs');
    for (const restMs = nowMs + REST_MS; nowMs < restMs; ) await step(QUIET_TICK_MS);
    for (const agent of agents.values()) faults.push(...agent.faults);
    for (const [name, heard] of Object.entries(scenario.heard)) {
      const is = agentOf(name).heard.join(', ');
      if (is !== heard.join(', ')) faults.push(`${name} heard: ${is}`);
    }
    const usage = addon.segmentUsage(life.segment);
    if (usage.transactions !== 0) faults.push(`${usage.transactions} transactions left`);
    if (usage.dialogs !== 0) faults.push(`${usage.dialogs} dialogs left`);
    if (usage.usedBytes !== usedAtStart) faults.push(`${usage.usedBytes - usedAtStart} bytes left`);
    if (addon.audit(life.segment) !== 0) faults.push('counts differ from the records');
    for (const profile of full.params.dialog.profiles_with_value) {
      const count = addon.profileCount(life.segment, profile, null);
      if (count !== 0) faults.push(`${count} in profile ${profile}`);
    }
  } finally {
    if (!life.isDead) points = points || life.points;
    if (left === null) life.close();
    else rmSync(left, { force: true });
  }
  return { points, diedAt, faults };
}
