/**
 * What one message costs in the embedded dialog engine, in nanoseconds: a whole call's INVITE, 180, 200, ACK and BYE
 * with its 200, with no other call up and with 100,000.
 *
 *   npm run build && node bench/cases/engine.bench.mjs [CALLS_UP]
 *
 * setup: the calls that are up are made, and as many INVITEs as the rounds need are written as bytes; run: one message,
 * parsed by the engine, each of another call, so that its lines are cold; check: every message led to the state that it
 * must.  tinybench times whole batches of messages, for a clock around each would cost as much as the message.
 */
import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { Bench } from 'tinybench';
import { DialogEngine } from '../../dist/index.js';

const BATCH = 1_000;
const ROUNDS = 30;
/** Else tinybench calls it once more, to see whether it is asynchronous: a message is fed once. */
const ONCE = { async: false };
const SEGMENT = `/dev/shm/holdfast-engine-bench-${process.pid}`;
const BYTES_PER_CALL = 2_048;
const SOCKET = 'udp:192.0.2.1:5060';

const text = (start, n, { from = 'a', to = '', cseq = 1, method, contact }) =>
  Buffer.from(
    [
      start,
      `Via: SIP/2.0/UDP 192.0.2.10:5060;rport;branch=z9hG4bK-524287-1---${n}`,
      'Max-Forwards: 70',
      `From: "Alice Example" <sip:+12155550121@192.0.2.10:5060>;tag=${from}${n}`,
      `To: <sip:+12155550133@192.0.2.4:5060>${to}`,
      `Call-ID: ${n}-998sdasdh09@192.0.2.10`,
      `CSeq: ${cseq} ${method}`,
      `Contact: <sip:${contact}@192.0.2.20:5060>`,
      'User-Agent: Example/3.2.1',
      'Content-Length: 0',
      '',
      '',
    ].join('\r\n'),
  );

const MESSAGES = {
  INVITE: (n) => text('INVITE sip:bob@192.0.2.4 SIP/2.0', n, { method: 'INVITE', contact: 'alice' }),
  180: (n) => text('SIP/2.0 180 Ringing', n, { method: 'INVITE', to: `;tag=b${n}`, contact: 'bob' }),
  200: (n) => text('SIP/2.0 200 OK', n, { method: 'INVITE', to: `;tag=b${n}`, contact: 'bob' }),
  ACK: (n) =>
    text('ACK sip:bob@192.0.2.20 SIP/2.0', n, { method: 'ACK', to: `;tag=b${n}`, contact: 'alice' }),
  BYE: (n) =>
    text('BYE sip:bob@192.0.2.20 SIP/2.0', n, { method: 'BYE', to: `;tag=b${n}`, cseq: 2, contact: 'alice' }),
  '200 to BYE': (n) =>
    text('SIP/2.0 200 OK', n, { method: 'BYE', to: `;tag=b${n}`, cseq: 2, contact: 'bob' }),
};
const STATE_AFTER = { INVITE: 1, 180: 2, 200: 3, ACK: 4, BYE: 5, '200 to BYE': 5 };
/** In the order of a call. */
const STEPS = ['INVITE', '180', '200', 'ACK', 'BYE', '200 to BYE'];

function feed(engine, bytes) {
  return bytes[0] === 83 && bytes[1] === 73 && bytes[2] === 80 ? engine.reply(bytes) : engine.request(bytes);
}

async function measure(callsUp) {
  const engine = await DialogEngine.open({
    segment: { path: SEGMENT, bytes: (callsUp + BATCH * 4) * BYTES_PER_CALL + (32 << 20), fresh: true },
    sockets: [SOCKET],
    clock: 'caller',
  });
  let next = 0;
  for (; next < callsUp; next++) {
    for (const step of ['INVITE', '180', '200', 'ACK']) feed(engine, MESSAGES[step](next));
  }
  let now = 40_000;
  // The INVITEs of the calls that are up are over; a tick takes 256 of them on.
  for (let ticks = 0; ticks <= callsUp / 256; ticks++) engine.tick(now);
  assert.equal(engine.usage().dialogs, callsUp);

  const samples = Object.fromEntries(STEPS.map((step) => [step, []]));
  for (let round = 0; round < ROUNDS; round++) {
    const first = next;
    next += BATCH;
    const bench = new Bench({ iterations: 1, time: 0, warmup: false });
    for (const step of STEPS) {
      const batch = Array.from({ length: BATCH }, (_, n) => MESSAGES[step](first + n));
      let wrong = 0;
      let fed = 0;
      bench.add(
        step,
        () => {
          for (const bytes of batch) if (feed(engine, bytes).to !== STATE_AFTER[step]) wrong++;
          assert.deepEqual([wrong, fed++], [0, 0], step);
        },
        ONCE,
      );
    }
    for (const task of await bench.run()) {
      assert.equal(task.result.error, undefined);
      samples[task.name].push((task.result.latency.mean * 1e6) / BATCH);
    }
    now += 40_000;
    for (let ticks = 0; engine.usage().dialogs > callsUp; ticks++) {
      assert.ok(ticks < 100, 'ended calls must go');
      engine.tick(now);
    }
  }
  engine.close({ remove: true });
  return samples;
}

const median = (values) => values.toSorted((a, b) => a - b)[values.length >> 1];
const wanted = process.argv[2] === undefined ? [1, 100_000] : [Number(process.argv[2])];
try {
  for (const callsUp of wanted) {
    const samples = await measure(callsUp);
    console.log(
      `\n${callsUp} calls up; ns per message, median of ${ROUNDS} batches of ${BATCH} (least-most)`,
    );
    for (const step of STEPS) {
      // The first batches warm the compiler up.
      const settled = samples[step].slice(5);
      const [least, most] = [Math.min(...settled), Math.max(...settled)].map(Math.round);
      console.log(
        `  ${step.padEnd(12)} ${String(Math.round(median(settled))).padStart(7)}  (${least}-${most})`,
      );
    }
    const whole = STEPS.reduce((sum, step) => sum + median(samples[step].slice(5)), 0);
    console.log(`  ${'whole call'.padEnd(12)} ${String(Math.round(whole)).padStart(7)}`);
  }
} finally {
  rmSync(SEGMENT, { force: true });
}
