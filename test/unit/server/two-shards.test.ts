/** Two shards of one segment, with a script. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'vitest';
import { defaultConfig } from '../../../dist/config/load.js';
import { BOTH_SIDES } from '../../../dist/dialog/ending.js';
import { silentLog } from '../../../dist/log.js';
import { addon, type MemoryWire, type SegmentId } from '../../../dist/memory/addon.js';
import { D_TRANSACTION_GENERATION, D_TRANSACTION_INDEX } from '../../../dist/memory/words.js';
import { RouteTable, routes } from '../../../dist/script/routes.js';
import { ShardCore } from '../../../dist/server/shard.js';

const LISTEN = [{ proto: 'udp' as const, address: '192.0.2.1', port: 5060 }];
const WORKERS = 2;

let folder: string;
let segment: SegmentId;
let wire: MemoryWire;
let shards: ShardCore[];
/** Methods that event routes saw. */
let seen: string[];
let inEnd: () => void;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'holdfast-own-'));
  const config = { ...(await defaultConfig('dialog:timer_procs=0')), listen: LISTEN, workers: WORKERS };
  segment = addon.createSegment({
    path: join(folder, 'segment'),
    bytes: 24 << 20,
    hashSize: config.params.dialog.hash_size,
    workers: WORKERS,
    hIdStart: null,
    hIdStep: 1,
    profiles: [],
    sockets: ['udp:192.0.2.1:5060'],
    mailboxBytes: 1 << 19,
  });
  wire = addon.createMemoryWire(segment, LISTEN, WORKERS);
  wire.setTime(1000);
  seen = [];
  inEnd = () => {};
  const table = new RouteTable(
    routes({
      request(r) {
        r.dlg_manage();
        r.append_hf('X-Note: a\u010d\u010aX-More: b');
        r.t_relay();
      },
      event: {
        'dialog:end'(e) {
          seen.push(e.$rm);
          inEnd();
          seen.push(e.$rm);
        },
        'dialog:failed'(e) {
          seen.push(`failed ${e.$rm}`);
        },
      },
    }),
  );
  shards = Array.from(
    { length: WORKERS },
    (_, owner) => new ShardCore({ config, segment, owner, routes: table, log: silentLog, wire }),
  );
});
afterEach(() => {
  for (const shard of shards) shard.close();
  addon.closeSegment(segment, true);
  rmSync(folder, { recursive: true, force: true });
});

/** First lines of what has left. */
function left(): string[] {
  const lines: string[] = [];
  for (let one = wire.take(); one !== null; one = wire.take())
    lines.push(Buffer.from(one.bytes).toString('latin1'));
  return lines;
}

function invite(): void {
  const lines = [
    'INVITE sip:bob@192.0.2.20 SIP/2.0',
    'Via: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bK1',
    'From: <sip:alice@h>;tag=a1',
    'To: <sip:bob@h>',
    'Call-ID: call@h',
    'CSeq: 7 INVITE',
    'Contact: <sip:alice@192.0.2.10>',
    'Max-Forwards: 70',
    'Content-Length: 0',
  ];
  wire.put(0, 0, '192.0.2.10:5060', Buffer.from(`${lines.join('\r\n')}\r\n\r\n`));
  for (let round = 0; round < 3; round++) for (const shard of shards) shard.receive();
}

/** The callee answers the INVITE that came to it. */
function answer(): void {
  const copy = left().find((text) => text.startsWith('INVITE'))!;
  const fields = copy.split('\r\n').filter((line) => /^(via|from|call-id|cseq|record-route):/i.test(line));
  const lines = ['SIP/2.0 200 OK', ...fields, 'To: <sip:bob@h>;tag=b2', 'Contact: <sip:bob@192.0.2.20>'];
  const text = `${lines.join('\r\n')}\r\nContent-Length: 0\r\n\r\n`;
  wire.put(0, 0, '192.0.2.20:5060', Buffer.from(text));
  for (let round = 0; round < 3; round++) for (const shard of shards) shard.receive();
}

/** The shard that owns the call, the other, and the INVITE's transaction. */
function call() {
  const bytes = new Uint8Array(65_536);
  const index = addon.findCall(segment, 'call@h', '', 0);
  assert.notEqual(addon.snapshot(segment, index, bytes), 0);
  const at = addon.layout();
  const word = new Uint32Array(bytes.buffer);
  const owner = shards[0]!.native.ownerOf(word[at.DEntry!]!);
  const { native, w } = shards[owner]!;
  assert.equal(native.dialogLoad(index, word[at.DGeneration!]!), 0);
  const transaction: [number, number] = [w.x[D_TRANSACTION_INDEX]!, w.x[D_TRANSACTION_GENERATION]!];
  const handle: [number, number] = [index, word[at.DGeneration!]!];
  return { owner: shards[owner]!, other: shards[1 - owner]!, transaction, handle };
}

test('an INVITE of another shard is left to its owner', () => {
  invite();
  const { owner, other, transaction } = call();
  left();
  assert.equal(other.core.own.endInvite(...transaction, 480, 'Gone'), false);
  other.flush();
  assert.deepEqual(left(), []);
  assert.equal(owner.core.own.endInvite(...transaction, 480, 'Gone'), true);
  owner.flush();
  assert.deepEqual(
    left().map((text) => text.slice(0, text.indexOf('\r'))),
    ['SIP/2.0 480 Gone'],
  );
});

test('a character whose low byte would end a line ends none', () => {
  invite();
  const copy = left().find((text) => text.startsWith('INVITE'))!;
  assert.match(copy, /\r\nX-Note: a\xc4\x8d\xc4\x8aX-More: b\r\n/);
  const { owner } = call();
  const request = {
    method: 'OPTIONS',
    text: `OPTIONS sip:bob@192.0.2.20 SIP/2.0\r\nTo: <sip:bob@h>\r\nFrom: <sip:us@h>;tag=1\r\nCall-ID: x\u010d\u010ay\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n`,
    nextHop: 'sip:192.0.2.20',
    ...{ socket: 0, index: 0, generation: 0, side: 0, purpose: 0 },
  };
  assert.equal(owner.core.own.send(request), 'no_way');
  assert.equal(owner.core.own.send({ ...request, text: request.text.replace('\u010d\u010a', '') }), 'sent');
});

test('an event route that sets off another goes on with the message that it was run for', () => {
  invite();
  const { owner } = call();
  inEnd = () => owner.runner.failed(null);
  owner.runner.end(owner.core.inHand);
  const [before, nested, after] = seen;
  assert.equal(before, 'INVITE');
  assert.notEqual(nested, 'failed INVITE');
  assert.equal(after, 'INVITE');
});

test('a call that rings and that another shard ends is ended by its owner', () => {
  invite();
  left();
  const { owner, other, handle } = call();
  assert.equal(other.tracker.ending.end(...handle, BOTH_SIDES, ''), 'ended');
  other.flush();
  assert.deepEqual([left(), seen], [[], []]);
  owner.receive();
  assert.equal(left().filter((text) => text.startsWith('SIP/2.0 480 ')).length, 1);
  assert.equal(seen.length, 1);
});

test('an answered call that another shard ends is spoken of by its owner, once', () => {
  invite();
  answer();
  left();
  const { owner, other, handle } = call();
  assert.equal(other.tracker.ending.end(...handle, BOTH_SIDES, ''), 'ended');
  other.flush();
  assert.equal(left().filter((text) => text.startsWith('BYE')).length, 2);
  assert.deepEqual(seen, []);
  owner.receive();
  assert.equal(seen.length, 2);
  owner.receive();
  other.receive();
  assert.equal(seen.length, 2);
  assert.equal(addon.statistics(segment)['dialog:active_dialogs'], 0);
});
