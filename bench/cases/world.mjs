/** A segment of its own and real shards over a network in memory, for the cases of this folder. */
import { rmSync } from 'node:fs';
import { defaultConfig } from '../../dist/config/load.js';
import {
  A_CALLEE_CONTACT,
  A_CALLEE_SOCKET,
  A_CALLEE_TAG,
  A_DUE,
  A_FIELDS,
  A_START_TS,
  A_STATE,
  CHANGE_CALLEE_LEG,
  CHANGE_DUE,
  CHANGE_START_TS,
  CHANGE_STATE,
  N_CALL_ID,
  N_CALLER_CONTACT,
  N_CALLER_CSEQ,
  N_CALLER_SOCKET,
  N_CALLER_TAG,
  N_FROM_URI,
  N_INIT_TS,
  N_LIFETIME,
  N_REQUEST_URI,
  N_TO_URI,
} from '../../dist/dialog/record.js';
import { silentLog } from '../../dist/log.js';
import { addon, STATUS } from '../../dist/memory/addon.js';
import { constant, D_ENTRY, D_GENERATION, D_ID, D_INDEX } from '../../dist/memory/words.js';
import { RouteTable, routes } from '../../dist/script/routes.js';
import { ShardCore } from '../../dist/server/shard.js';

const X_ARGS = constant('XArgs');
const ARGUMENT_WORDS = 48;
const CONFIRMED_NO_ACK = 3;
const LIFETIME_S = 43_200;
let worlds = 0;

export class World {
  static async open({ dialogs = 0, workers = 1, request = () => undefined, set = [] }) {
    const config = await defaultConfig('dialog:profiles_with_value=caller', ...set);
    return new World({ ...config, workers }, dialogs, routes({ request }));
  }

  constructor(config, dialogs, script) {
    this.path = `/dev/shm/holdfast-cases-${process.pid}-${++worlds}`;
    const listen = [{ address: '127.0.0.1', port: 5060 }];
    this.segment = addon.createSegment({
      path: this.path,
      bytes: (64 << 20) + dialogs * 1_400,
      hashSize: config.params.dialog.hash_size,
      workers: config.workers,
      hIdStart: 1,
      hIdStep: 1,
      profiles: [{ name: 'caller', withValue: true }],
      sockets: ['udp:127.0.0.1:5060'],
      mailboxBytes: 1 << 20,
    });
    this.wire = addon.createMemoryWire(this.segment, listen, config.workers);
    this.wire.setTime(1_000);
    const ofShard = { config: { ...config, listen: [{ proto: 'udp', ...listen[0] }] }, log: silentLog };
    this.shards = Array.from(
      { length: config.workers },
      (_, owner) =>
        new ShardCore({
          ...ofShard,
          segment: this.segment,
          owner,
          wire: this.wire,
          routes: script instanceof RouteTable ? script : new RouteTable(script),
        }),
    );
    const { memory } = this.shards[0].w;
    this.native = this.shards[0].native;
    this.x = memory.exchange;
    this.m = memory.buffer;
    this.at = memory.scratch.start;
    this.handles = new Uint32Array(dialogs * 4);
    this.due = this.native.nowBootSeconds() + LIFETIME_S;
    for (let n = 0; n < dialogs; n++) this.#confirmed(n);
  }

  callId(n) {
    return `3c26700857a87f84-${n}@192.0.2.10`;
  }

  /** Writes texts behind each other and their (offset, length) into the arguments from `word` on, two words apart. */
  texts(pairs) {
    let at = this.at;
    for (const [word, text] of pairs) {
      const length = this.m.latin1Write(text, at);
      this.x[word] = at;
      this.x[word + 1] = length;
      at += length;
    }
  }

  #confirmed(n) {
    const { x, native } = this;
    x.fill(0, X_ARGS, X_ARGS + ARGUMENT_WORDS);
    this.texts([
      [N_CALL_ID, this.callId(n)],
      [N_CALLER_TAG, `a73kszlfl${n}`],
      [N_FROM_URI, 'sip:alice@atlanta.example.com'],
      [N_TO_URI, 'sip:bob@biloxi.example.com'],
      [N_REQUEST_URI, 'sip:bob@biloxi.example.com'],
      [N_CALLER_CONTACT, 'sip:alice@192.0.2.101:5060;transport=udp'],
    ]);
    x[N_CALLER_CSEQ] = 1;
    x[N_LIFETIME] = LIFETIME_S;
    x[N_INIT_TS] = 1;
    x[N_CALLER_SOCKET] = 1;
    mustBe(native.dialogCreate(), STATUS.ok, 'a dialog was created');
    const handle = [x[D_INDEX], x[D_GENERATION], x[D_ENTRY], x[D_ID]];
    this.handles.set(handle, 4 * n);
    x.fill(0, X_ARGS, X_ARGS + ARGUMENT_WORDS);
    x[A_FIELDS] = CHANGE_STATE | CHANGE_CALLEE_LEG | CHANGE_DUE | CHANGE_START_TS;
    x[A_STATE] = CONFIRMED_NO_ACK;
    x[A_DUE] = this.due;
    x[A_START_TS] = 2;
    x[A_CALLEE_SOCKET] = 1;
    this.texts([
      [A_CALLEE_TAG, `1410948204${n}`],
      [A_CALLEE_CONTACT, 'sip:bob@192.0.2.4:5080'],
    ]);
    mustBe(native.dialogChange(handle[0], handle[1]), STATUS.ok, 'it was answered');
  }

  index(n) {
    return this.handles[4 * n];
  }
  generation(n) {
    return this.handles[4 * n + 1];
  }
  entry(n) {
    return this.handles[4 * n + 2];
  }
  id(n) {
    return this.handles[4 * n + 3];
  }

  close() {
    for (const shard of this.shards) shard.close();
    addon.closeSegment(this.segment, true);
    for (const suffix of ['', '.lock', '.stale']) rmSync(this.path + suffix, { force: true });
  }
}

export function mustBe(value, wanted, claim) {
  if (value !== wanted) throw new Error(`not so: ${claim} (${value} instead of ${wanted})`);
}

/** What each case runs in one go: a single call is too short for the clock. */
export const CALLS = 100;

/** Numbers below `dialogs` in an order that meets cold cache lines; always the same. */
export function scattered(dialogs) {
  const order = new Uint32Array(4_096 * CALLS);
  let state = 0x2545f491;
  for (let n = 0; n < order.length; n++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    order[n] = (state >>> 0) % dialogs;
  }
  let at = 0;
  return () => {
    at = (at + 1) % order.length;
    return order[at];
  };
}

/** The rows of a finished bench, in nanoseconds per call. */
export function rowsOf(bench, held) {
  return bench.tasks.map(({ name, result }) => {
    if (result?.error) throw result.error;
    const ns = (ms) => Math.round((ms * 1e6) / CALLS);
    return { case: name, held, median: ns(result.latency.p50), p99: ns(result.latency.p99) };
  });
}
