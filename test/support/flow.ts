/**
 * Plays a flow: real shards on a real segment, a wire and a clock in memory, agents that do what the text says.
 *
 * What every flow proves besides its own lines: nothing leaves that the text does not name; what is forwarded is byte for
 * byte what came, but for the fields a proxy owns; answers, CANCELs and ACKs of our own are built as the RFC says;
 * repetitions are the same bytes; and in the end no dialog, no transaction and no byte of the segment is left.
 *
 * With two workers a seed decides on which shard a datagram arrives, who owns a call and who makes the next step, so a
 * race that shows once shows again.
 */
import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { Config } from '../../dist/config/load.js';
import { defaultConfig } from '../../dist/config/load.js';
import { silentLog } from '../../dist/log.js';
import { addon, type MemoryWire, type SegmentId } from '../../dist/memory/addon.js';
import { T_DIALOG_INDEX, T_GENERATION, T_KIND, T_PURPOSE } from '../../dist/memory/words.js';
import { type Random, seededRandom } from '../../dist/random.js';
import { ShardCore } from '../../dist/server/shard.js';
import { KIND_INVITE_SERVER } from '../../dist/transaction/states.js';
import { Resolver } from '../../dist/transport/resolve.js';
import { type Policy, policies } from '../flow/policies.js';
import { Agent } from './flow-agents.js';
import { checkCredentials } from './flow-digest.js';
import { ClockOf, Names } from './flow-names.js';
import {
  checkForwardedRequest,
  checkForwardedResponse,
  checkMadeRequest,
  checkOwnRequest,
  checkOwnResponse,
} from './flow-rules.js';
import { type Expected, type FlowText, type Leaves, type Sends, type Step, stateName } from './flow-text.js';
import { uriOf, WireMessage } from './wire-message.js';

const TICK_MS = 10;
/** When nothing is expected any more, time may pass in longer steps. */
const QUIET_TICK_MS = 100;
/** After the last line: longer than 64*T1 and than wt_timer, so that whatever was to end has ended. */
const QUIET_MS = 45_000;
const SEGMENT_BYTES = 6 << 20;
/** A closed world's memories go with its objects, which V8 finds small: it is told to look after so many. */
const WORLDS_PER_COLLECTION = 16;
/** A step that sets off more than this has run away. */
const DATAGRAMS_PER_STEP_MAX = 500;
const ROUNDS_PER_STEP_MAX = 10_000;
/** What a flow's own requests are for: nothing that the dialog room knows. */
const FLOW_PURPOSE = 0xf10;
/** A flow has few. */
const TRANSACTIONS_LOOKED_AT_MAX = 100;

export type Datagram = {
  readonly agent: string;
  readonly call: string;
  readonly socket: number;
  readonly destination: string;
  readonly message: WireMessage;
};

export type WorldOptions = {
  readonly workers: number;
  /** Whether a timer worker keeps the dialogs' time; left out: as by default. */
  readonly timerWorker?: boolean;
  readonly seed: number;
  readonly settings: ReadonlyMap<string, readonly string[]>;
};

let segments = 0;

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

/** The proxy, its peers, and the time. */
export class World {
  readonly config: Config;
  readonly segment: SegmentId;
  readonly wire: MemoryWire;
  readonly shards: ShardCore[] = [];
  readonly policy: Policy;
  /** What stands for the DNS. */
  readonly names: Names;
  readonly agents = new Map<string, Agent>();
  /** What left and was not taken by an expectation. */
  readonly left: Datagram[] = [];
  /** What the proxy sent to itself. */
  readonly toItself: WireMessage[] = [];
  /** Event routes that ran, by call. */
  readonly events: { readonly call: string; readonly event: string }[] = [];
  nowMs = 0;
  readonly #path: string;
  readonly #random: Random;
  readonly #usedAtStart: number;
  readonly #callIds = new Map<string, string>();
  readonly #sources = new Map<string, string>();
  /** The worker whose socket the kernel gives an agent's datagrams to. */
  readonly #arrivesAt = new Map<string, number>();

  private constructor(config: Config, options: WorldOptions) {
    this.config = config;
    this.#random = seededRandom(options.seed);
    segments += 1;
    this.#path = `/dev/shm/holdfast-flow-${process.pid}-${segments}`;
    const name = options.settings.get('routes')?.[0] ?? 'relay';
    const policy = policies[name];
    if (policy === undefined) throw new Error(`there are no routes called ${name}`);
    this.policy = policy((event, callId) => this.events.push({ event, call: this.callOf(callId) }));
    this.names = new Names(options.settings.get('name') ?? []);
    const listen = config.listen.map(({ address, port }) => ({ address, port }));
    this.segment = addon.createSegment({
      path: this.#path,
      bytes: Number(options.settings.get('segment')?.[0] ?? SEGMENT_BYTES),
      hashSize: config.params.dialog.hash_size,
      workers: config.workers,
      // Fixed, so that a flow replays to the last digit of its cookies.
      hIdStart: 4096,
      hIdStep: 1,
      profiles: [
        ...config.params.dialog.profiles_with_value.map((one) => ({ name: one, withValue: true })),
        ...config.params.dialog.profiles_no_value.map((one) => ({ name: one, withValue: false })),
      ],
      sockets: config.listen.map(({ address, port }) => `udp:${hostOf(address)}:${port}`),
      mailboxBytes: 1 << 19,
    });
    this.wire = addon.createMemoryWire(this.segment, listen, config.workers);
    this.wire.setTime(this.nowMs);
    const timerWorkers = config.params.dialog.timer_procs;
    for (let owner = 0; owner < config.workers + timerWorkers; owner++) {
      this.shards.push(this.#openShard(owner));
    }
    this.#usedAtStart = this.usage().usedBytes;
    for (const line of [
      'caller 192.0.2.10:5060',
      'callee 192.0.2.20:5060',
      'callee2 192.0.2.30:5060',
      'callee3 192.0.2.40:5060',
      'backup 192.0.2.50:5060',
      ...(options.settings.get('ua') ?? []),
    ]) {
      const [agent = '', address = ''] = line.split(' ');
      this.agents.set(
        agent,
        new Agent(
          agent,
          address,
          (call) => this.callIdOf(call),
          (one) => this.agents.get(one)?.address ?? null,
        ),
      );
      this.#arrivesAt.set(agent, this.#random.below(config.workers));
    }
  }

  static async open(options: WorldOptions): Promise<World> {
    const words = (options.settings.get('set') ?? []).flatMap((line) => line.split(/\s+/));
    const set = words.map((word) => word.replaceAll('\\r\\n', '\r\n'));
    const written = (options.settings.get('listen') ?? ['udp:192.0.2.1:5060']).flatMap((line) =>
      line.split(/\s+/),
    );
    if (options.timerWorker !== undefined) set.push(`dialog:timer_procs=${options.timerWorker ? 1 : 0}`);
    const config = await defaultConfig(...set);
    const listen = written.map((one) => {
      const found = /^udp:(.+):(\d+)$/.exec(one);
      if (found === null) throw new Error(`listen ${one}?`);
      return { proto: 'udp' as const, address: found[1]!.replace(/[[\]]/g, ''), port: Number(found[2]) };
    });
    return new World({ ...config, listen, workers: options.workers }, options);
  }

  #openShard(owner: number): ShardCore {
    const clock = new ClockOf(() => this.nowMs);
    const shard = new ShardCore({
      config: this.config,
      segment: this.segment,
      owner,
      routes: this.policy.routes,
      log: silentLog,
      wire: this.wire,
      clock,
      random: this.#random,
      resolver: new Resolver(
        this.names,
        {
          families: [4, 6],
          minTtlSeconds: 1,
          maxTtlSeconds: 60,
          negativeTtlSeconds: 5,
          namesMax: 100,
          bytesMax: 1 << 20,
        },
        clock,
        this.#random,
      ),
    });
    noteOwnAnswers(shard, (event, index) => this.events.push({ event, call: this.callOfDialog(index) }));
    return shard;
  }

  /** The worker of a call's owner dies with all it had in mind, and another takes its place. */
  replaceWorker(call: string): void {
    const owner = this.ownerOf(this.callIdOf(call));
    this.shards[owner]!.close();
    this.shards[owner] = this.#openShard(owner);
  }

  /** The worker that owns a call. */
  shardOf(call: string): ShardCore {
    return this.shards[this.ownerOf(this.callIdOf(call))]!;
  }

  /** The newest dialog of a call; index 0: there is none. */
  dialogOf(call: string): { readonly index: number; readonly generation: number } {
    const bytes = new Uint8Array(65_536);
    const index = addon.findCall(this.segment, this.callIdOf(call), '', 0);
    if (index === 0 || addon.snapshot(this.segment, index, bytes) === 0) return { index: 0, generation: 0 };
    return { index, generation: new Uint32Array(bytes.buffer)[addon.layout().DGeneration!]! };
  }

  /** The INVITE transaction of a call that is not answered; index 0: there is none. */
  inviteOf(call: string): { readonly index: number; readonly generation: number } {
    const { native, w } = this.shardOf(call);
    const { index: dialog } = this.dialogOf(call);
    for (let index = 1; index <= TRANSACTIONS_LOOKED_AT_MAX; index++) {
      if (native.transactionLoadIndex(index) !== 0 || w.x[T_KIND] !== KIND_INVITE_SERVER) continue;
      if (w.x[T_DIALOG_INDEX] === dialog) return { index, generation: w.x[T_GENERATION]! };
    }
    return { index: 0, generation: 0 };
  }

  /** The call of a dialog, the call spoken in last if it has none. */
  callOfDialog(index: number): string {
    for (const call of this.#callIds.keys())
      if (index !== 0 && this.dialogOf(call).index === index) return call;
    return '';
  }

  close(): void {
    for (const shard of this.shards) shard.close();
    addon.closeSegment(this.segment, true);
    rmSync(this.#path, { force: true });
    if (segments % WORLDS_PER_COLLECTION === 0) collectGarbage();
  }

  usage() {
    return addon.segmentUsage(this.segment);
  }

  statistics(): Record<string, number> {
    return addon.statistics(this.segment);
  }

  /** A statistic by its name, with or without its group. */
  statistic(name: string): number {
    const all = addon.statistics(this.segment);
    const found = Object.keys(all).find((one) => one === name || one.endsWith(`:${name}`));
    if (found === undefined) throw new Error(`there is no statistic ${name}`);
    return all[found]!;
  }

  /** State of the newest dialog of a call, 0 when there is none. */
  stateOf(call: string): number {
    const callId = this.callIdOf(call);
    const bytes = new Uint8Array(65_536);
    let state = 0;
    for (let nth = 0; nth < 8; nth++) {
      const index = addon.findCall(this.segment, callId, '', nth);
      if (index === 0) break;
      if (addon.snapshot(this.segment, index, bytes) === 0) continue;
      state = new Uint32Array(bytes.buffer)[addon.layout().DState!]!;
    }
    return state;
  }

  agent(name: string): Agent {
    const found = this.agents.get(name);
    if (found === undefined) throw new Error(`there is no agent ${name}`);
    return found;
  }

  /** The Call-ID of a call; with two shards a lot says which owns it. */
  callIdOf(call: string): string {
    let callId = this.#callIds.get(call);
    if (callId === undefined) {
      const wanted = /^on(\d)[a-z]*$/.exec(call)?.[1];
      const owner =
        wanted === undefined ? this.#random.below(this.config.workers) : Number(wanted) % this.config.workers;
      let n = 0;
      do callId = `${call}-${n++}@flow.example`;
      while (this.ownerOf(callId) !== owner);
      this.#callIds.set(call, callId);
    }
    return callId;
  }

  ownerOf(callId: string): number {
    return this.shards[0]!.native.ownerOf(coreHash(callId) & (this.config.params.dialog.hash_size - 1));
  }

  callOf(callId: string): string {
    for (const [call, known] of this.#callIds) if (known === callId) return call;
    // A call that the proxy makes itself.
    if (callId.startsWith('bridge-')) {
      this.#callIds.set('bridge', callId);
      return 'bridge';
    }
    return '?';
  }

  /** A datagram arrives, at the listen address of the family unless the response names another. */
  put(agent: string, text: string, from: string | null = null): void {
    const message = new WireMessage(text);
    const source = from ?? this.agent(agent).address;
    this.#sources.set(text, source);
    this.wire.put(
      this.#arrivesAt.get(agent)!,
      this.#socketFor(source, message),
      source,
      Buffer.from(text, 'latin1'),
    );
  }

  /** Where a message that was put came from. */
  sourceOf(message: WireMessage): string {
    return this.#sources.get(message.raw) ?? '';
  }

  /** The listen address a datagram from `source` reaches. */
  #socketFor(source: string, message: WireMessage): number {
    const sockets = this.config.listen.map(({ address, port }) => `${hostOf(address)}:${port}`);
    const target =
      message.status > 0
        ? /UDP\s+([^\s;]+)/i.exec(message.header('via'))?.[1]
        : /^sips?:(?:[^@]*@)?([^;?]+)/.exec(uriOf(message.header('route')))?.[1];
    const named = sockets.indexOf(target ?? '');
    if (named >= 0 && sockets[named]!.startsWith('[') === source.startsWith('[')) return named;
    return sockets.findIndex((one) => one.startsWith('[') === source.startsWith('['));
  }

  /** Lets the shards work until nothing moves, who first by lot. */
  async settle(): Promise<void> {
    let round = 0;
    do {
      const idle = this.shards.map(() => false);
      while (idle.includes(false)) {
        round += 1;
        const n = this.#random.below(this.shards.length);
        if (idle[n]) continue;
        if (this.shards[n]!.receive() > 0) idle.fill(false);
        else idle[n] = true;
        if (round > ROUNDS_PER_STEP_MAX) throw new Error('the shards never come to rest');
      }
      // Routes that wait for a promise go on between two looks.
      await new Promise((resolve) => setImmediate(resolve));
    } while (this.collect() || this.shards.some((shard) => shard.receive() > 0));
    this.collect();
  }

  /** Takes from the wire what left; true: some of it went to the proxy itself. */
  collect(): boolean {
    const ours = this.config.listen.map(({ address, port }) => `${hostOf(address)}:${port}`);
    let reflected = false;
    for (let n = 0; ; n++) {
      const datagram = this.wire.take();
      if (datagram === null) return reflected;
      assert.ok(n < DATAGRAMS_PER_STEP_MAX, 'the proxy sends without end');
      const message = new WireMessage(Buffer.from(datagram.bytes).toString('latin1'));
      const socket = ours.indexOf(datagram.destination);
      if (socket >= 0) {
        const worker = this.#random.below(this.config.workers);
        this.wire.put(worker, socket, ours[datagram.socket]!, datagram.bytes);
        this.toItself.push(message);
        this.#sources.set(message.raw, ours[datagram.socket]!);
        reflected = true;
        continue;
      }
      const agent = [...this.agents.values()].find((one) => one.address === datagram.destination);
      const call = this.callOf(message.callId);
      this.left.push({
        agent: agent?.name ?? datagram.destination,
        call,
        socket: datagram.socket,
        destination: datagram.destination,
        message,
      });
    }
  }

  /** Time passes, ten milliseconds at once unless it is quiet. */
  async pass(milliseconds: number, tickMs = TICK_MS): Promise<void> {
    for (const end = this.nowMs + milliseconds; this.nowMs < end; ) {
      this.nowMs += tickMs;
      this.wire.setTime(this.nowMs);
      const first = this.#random.below(this.shards.length);
      for (let n = 0; n < this.shards.length; n++) this.shards[(first + n) % this.shards.length]!.tick();
      if (this.nowMs % 1_000 === 0) await new Promise((resolve) => setImmediate(resolve));
      this.collect();
    }
    await this.settle();
  }

  /** After everything that was to end has ended: nothing is left. */
  assertEmpty(): void {
    const usage = this.usage();
    assert.equal(usage.transactions, 0, 'transactions left');
    assert.equal(usage.dialogs, 0, 'dialogs left');
    assert.equal(usage.usedBytes, this.#usedAtStart, 'bytes of the segment left in use');
    assert.equal(this.statistic('dialog:active_dialogs'), 0);
    assert.equal(this.statistic('dialog:early_dialogs'), 0);
    assert.equal(addon.audit(this.segment), 0, 'counts differ from the records');
    assert.equal(addon.statistics(this.segment)['core:internal_errors'], 0, 'faults of ours');
    for (const { core, runner, tracker } of this.shards) {
      assert.equal(tracker.remembered, 0, 'calls that a tracker still remembers');
      assert.equal(runner.transactionsWithValues, 0, 'values of transactions left');
      assert.equal(core.responses.decisions.size, 0, 'decisions of routes left');
      assert.equal(core.reasons.size, 0, 'reasons of CANCELs left');
    }
  }
}

/** Final answers to requests that a flow sends by `own` are events: `own-200`, `own-408`. */
function noteOwnAnswers(shard: ShardCore, note: (event: string, dialog: number) => void): void {
  const { tracker, w } = shard;
  const hear = tracker.ownAnswer.bind(tracker);
  tracker.ownAnswer = (message, code) => {
    if (w.x[T_PURPOSE] !== FLOW_PURPOSE) hear(message, code);
    else note(`own-${code}${message === null ? '-here' : ''}`, w.x[T_DIALOG_INDEX]!);
  };
}

/** Plays `flow` once; a timer worker keeps the dialogs' time, or each shard its own. */
export async function playFlow(
  flow: FlowText,
  workers: number,
  seed: number,
  timerWorker = true,
): Promise<void> {
  const world = await World.open({ workers, timerWorker, seed, settings: flow.settings });
  try {
    const player = new Player(world);
    for (const [n, step] of flow.steps.entries()) {
      try {
        await player.step(step, flow.steps[n + 1]);
      } catch (error) {
        throw new Error(`line ${step.line}: ${step.text.trim()}\n${String((error as Error).message)}`, {
          cause: error,
        });
      }
    }
    await player.end(Number(flow.settings.get('quiet')?.[0] ?? QUIET_MS));
  } finally {
    world.close();
  }
}

class Player {
  readonly #world: World;
  #eventsSeen = 0;
  #ownRequests = 0;
  /** The call spoken in last: what time does is seen in it. */
  #call = 'a';
  readonly #branches = new Map<string, string>();

  constructor(world: World) {
    this.#world = world;
  }

  async step(step: Step, next: Step | undefined): Promise<void> {
    if (step.kind === 'sends') await this.#send(step);
    else if (step.kind === 'leaves') for (let n = 0; n < step.times; n++) this.#leaves(step);
    else await this.#happens(step.verb, step.words);
    if (step.kind !== 'happens') this.#call = step.call;
    if (step.expected !== null) this.#compare(step.expected, this.#call);
    if (next?.kind !== 'leaves') {
      this.#nothingElse();
      this.#noOtherEvents();
    }
  }

  async end(quietMs: number): Promise<void> {
    await this.#world.pass(quietMs, QUIET_TICK_MS);
    this.#nothingElse();
    this.#world.assertEmpty();
  }

  async #send(step: Sends): Promise<void> {
    const agent = this.#world.agent(step.agent);
    const text = agent.write(step.call, step.what, step.changes, step.raw);
    const from = step.changes.find((one) => one.startsWith('from '))?.slice(5) ?? null;
    this.#world.put(step.agent, text, from);
    await this.#world.settle();
  }

  async #happens(verb: string, words: readonly string[]): Promise<void> {
    const world = this.#world;
    if (verb === 'wait') await world.pass(milliseconds(words));
    else if (verb === 'send') {
      // send to callee fails EMSGSIZE | send to callee works
      const [, name = '', how = '', errno = ''] = words;
      world.wire.failSends(world.agent(name).address, how === 'works' ? 0 : errnoOf(errno));
    } else if (verb === 'lookup') {
      world.policy.lookups.shift()?.(words.join(' '));
      await world.settle();
    } else if (verb === 'dns') {
      world.names.answer();
      await world.settle();
    } else if (verb === 'own') {
      this.#own(words);
      await world.settle();
    } else if (verb === 'end') {
      const { index, generation } = world.inviteOf(this.#call);
      const shard = world.shardOf(this.#call);
      const isEnded = shard.core.own.endInvite(index, generation, Number(words[0]), words.slice(1).join(' '));
      assert.equal(isEnded, words.at(-1) !== 'refused', 'ended');
      shard.flush();
      await world.settle();
    } else if (verb === 'bye') {
      this.#bye(words);
      await world.settle();
    } else if (verb === 'worker') {
      world.replaceWorker(this.#call);
      await world.settle();
    } else throw new Error(`${verb}?`);
  }

  /** `bye all`: the call is ended by us; `bye caller gone`: so it comes out. */
  #bye([side = '', outcome = 'ended']: readonly string[]): void {
    const shard = this.#world.shardOf(this.#call);
    const { index, generation } = this.#world.dialogOf(this.#call);
    const sides = ['caller', 'callee', 'all'].indexOf(side) + 1;
    shard.tracker.forgetMessage();
    const result = shard.tracker.ending.end(index, generation, sides, '');
    assert.equal(result, outcome, 'ended');
    shard.flush();
  }

  /** `own OPTIONS callee held`: the proxy sends a request of its own; `via URI` where to, `by N` from which socket. */
  #own([method = '', name = '', ...words]: readonly string[]): void {
    const world = this.#world;
    const after = (word: string): string | undefined => words[words.indexOf(word) + 1 || words.length];
    const agent = world.agent(name);
    const shard = world.shardOf(this.#call);
    this.#ownRequests += 1;
    const sent = shard.core.own.send({
      method,
      text: [
        `${method} ${agent.contact} SIP/2.0`,
        `To: <sip:${name}@example.com>${method === 'INVITE' ? '' : `;tag=${name}-tag`}`,
        'From: <sip:holdfast@example.com>;tag=own-tag',
        `CSeq: ${this.#ownRequests} ${method}`,
        `Call-ID: ${world.callIdOf(this.#call)}`,
        'Max-Forwards: 70',
        'Content-Length: 0\r\n\r\n',
      ].join('\r\n'),
      nextHop: after('via') ?? agent.contact,
      socket: Number(after('by') ?? 1),
      ...(words.includes('held') ? world.dialogOf(this.#call) : { index: 0, generation: 0 }),
      side: 2,
      purpose: FLOW_PURPOSE,
    });
    assert.equal(sent === 'sent', words.at(-1) !== 'refused', sent);
    shard.flush();
  }

  #leaves(step: Leaves): void {
    const { left } = this.#world;
    const at = left.findIndex(
      (one) => one.agent === step.agent && one.call === step.call && matches(one.message, step.what),
    );
    if (at < 0) throw new Error(`did not leave; ${told(left)}`);
    const [datagram] = left.splice(at, 1);
    this.#check(datagram!, step);
    this.#world.agent(step.agent).hear(step.call, datagram!.message);
  }

  #check(datagram: Datagram, step: Leaves): void {
    const { message } = datagram;
    const world = this.#world;
    const agent = world.agent(step.agent);
    const before = agent.receivedIn(step.call);
    if (step.checks.includes('again')) {
      const same = before.some((one) => one.raw === message.raw);
      assert.ok(same, `not the bytes that ${agent.name} got before:\n${message.raw}`);
      return;
    }
    const everything = [...world.agents.values()].flatMap((one) =>
      [...one.sentIn(step.call)].map((sent) => ({ agent: one, message: sent })),
    );
    for (const one of world.toItself) {
      if (one.status === 0 && world.callOf(one.callId) === step.call)
        everything.push({ agent, message: one });
    }
    const scene = {
      step,
      message,
      received: before,
      sent: everything,
      ours: world.config.listen.map(({ address, port }) => `${hostOf(address)}:${port}`),
      socket: datagram.socket,
      to: agent,
      branches: this.#branches,
      sourceOf: (one: WireMessage) => world.sourceOf(one),
      maxForwards: world.config.params.core.max_forwards,
    };
    if (message.status > 0) {
      if (!checkForwardedResponse(scene)) checkOwnResponse(scene);
    } else if (!checkOwnRequest(scene) && !checkMadeRequest(scene)) checkForwardedRequest(scene);
    if (step.checks.includes('with credentials')) {
      const challenges = agent.sentIn(step.call).filter((one) => one.status === 401 || one.status === 407);
      checkCredentials(message, challenges, world.config.params.uac.credential);
    }
    for (const check of step.checks) checkWords(message, check, scene.ours[datagram.socket]!);
  }

  #compare(expected: Expected, call: string): void {
    const world = this.#world;
    if (expected.state !== null) {
      assert.equal(stateName(world.stateOf(call)), stateName(expected.state), 'state of the dialog');
    }
    for (const { name, value } of expected.counts) assert.equal(world.statistic(name), value, name);
    if (expected.events.length > 0) {
      const happened = world.events.slice(this.#eventsSeen, this.#eventsSeen + expected.events.length);
      assert.deepEqual(
        happened.map((one) => one.event),
        expected.events,
        'event routes',
      );
      this.#eventsSeen += expected.events.length;
    }
  }

  #noOtherEvents(): void {
    const more = this.#world.events.slice(this.#eventsSeen).map((one) => one.event);
    assert.deepEqual(more, [], 'event routes that the flow does not name');
  }

  #nothingElse(): void {
    const { left } = this.#world;
    if (left.length > 0) throw new Error(`left without being named: ${told(left)}`);
  }
}

/** `180`, `INVITE`, `200 BYE`. */
function matches(message: WireMessage, what: string): boolean {
  const [first = '', method] = what.split(' ');
  if (!/^\d{3}$/.test(first)) return message.status === 0 && message.method === first;
  return String(message.status) === first && (method === undefined || message.method === method);
}

function told(left: readonly Datagram[]): string {
  if (left.length === 0) return 'nothing is on the wire';
  return left.map((one) => `→ ${one.agent}(${one.call}) ${one.message.startLine}`).join(' | ');
}

/** What a flow says about one message, after its first comma. */
function checkWords(message: WireMessage, check: string, socket: string): void {
  const has = /^([A-Za-z-]+) has (.+)$/.exec(check);
  const is = /^([A-Za-z-]+)(?: is|:) (.+)$/.exec(check);
  const no = /^no ([A-Za-z-]+)$/.exec(check);
  const count = /^([A-Za-z-]+) (\d+)$/.exec(check);
  const uri = /^uri (\S+)$/.exec(check);
  const by = /^by (\S+)$/.exec(check);
  const begins = /^([A-Za-z-]+) begins (.+)$/.exec(check);
  const most = /^([A-Za-z-]+) at most (\d+)$/.exec(check);
  if (check === 'edited' || check === 'with credentials' || /^cseq was \d+$/.test(check)) return;
  if (uri) assert.equal(message.uri, uri[1], 'Request-URI');
  else if (by) assert.equal(socket, by[1], 'socket it left by');
  else if (begins) {
    const value = uriOf(message.header(begins[1]!.toLowerCase()));
    assert.ok(value.startsWith(begins[2]!), `${begins[1]} begins ${value}`);
  } else if (most) {
    const value = Number(message.header(most[1]!.toLowerCase()));
    assert.ok(value >= 1 && value <= Number(most[2]), `${most[1]} is ${value}`);
  } else if (no) assert.ok(!message.has(no[1]!.toLowerCase()), `${no[1]} is there:\n${message.raw}`);
  else if (has) {
    const values = message.all(has[1]!.toLowerCase());
    assert.ok(
      values.some((value) => value.includes(has[2]!)),
      `${has[1]} has no ${has[2]}:\n${message.raw}`,
    );
  } else if (is) {
    const name = is[1]!.toLowerCase();
    const values = WireMessage.isList(name) ? [message.header(name)] : message.all(name);
    assert.equal(values.join(' and '), is[2], is[1]);
  } else if (count) {
    const name = count[1]!.toLowerCase();
    const found = WireMessage.isList(name)
      ? message.all(name).length
      : Number.parseInt(message.header(name), 10);
    assert.equal(found, Number(count[2]), `${count[1]}:\n${message.raw}`);
  } else throw new Error(`"${check}" is no check`);
}

function milliseconds([number = '', unit = '']: readonly string[]): number {
  const scale = { ms: 1, s: 1_000, min: 60_000 }[unit];
  if (scale === undefined) throw new Error(`wait ${number} ${unit}?`);
  return Number(number) * scale;
}

function errnoOf(name: string): number {
  const number = { EPERM: 1, EMSGSIZE: 90, ENETUNREACH: 101, EHOSTUNREACH: 113 }[name];
  if (number === undefined) throw new Error(`${name}?`);
  return number;
}

function hostOf(address: string): string {
  return address.includes(':') ? `[${address}]` : address;
}

/** Hash of a Call-ID, written once more from the specification 1.1. */
export function coreHash(text: string): number {
  const bytes = Buffer.from(text, 'latin1');
  let h = 0;
  let at = 0;
  for (; at + 4 <= bytes.length; at += 4) {
    const v = bytes.readUInt32BE(at);
    h = (h + ((v ^ (v >>> 3)) >>> 0)) >>> 0;
  }
  let v = 0;
  for (; at < bytes.length; at++) v = ((v << 8) | bytes[at]!) >>> 0;
  h = (h + ((v ^ (v >>> 3)) >>> 0)) >>> 0;
  return (h + (h >>> 11) + (h >>> 13) + (h >>> 23)) >>> 0;
}
