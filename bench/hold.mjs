/**
 * A hundred thousand calls held and then ended: none lost, and what one costs while it is held.
 *
 *   node bench/hold.mjs [--calls 100000] [--server holdfast] [--rate 0] [--ports 5070]
 *
 * Exits with 1 when a call failed, a message was wrong, or memory did not come back.
 */
import { parseArgs } from 'node:util';
import { machine, store } from './figures.mjs';
import { faults, GATE, Load } from './load.mjs';
import { bytesPerCall, SERVERS, Server } from './servers.mjs';

const { values: flags } = parseArgs({
  options: {
    calls: { type: 'string', default: '100000' },
    server: { type: 'string', default: 'holdfast' },
    rate: { type: 'string', default: '0' },
    ports: { type: 'string', default: '5070' },
    cores: { type: 'string', default: '0,1' },
  },
});
const SETTLE_S = 7;
const calls = Number(flags.calls);
const base = Number(flags.ports);
const [core, loadCore] = flags.cores.split(',').map(Number);
const ports = { proxyPort: base, callerPort: base + 10, calleePort: base + 20, rpcPort: base + 2 };
const kind = SERVERS.find((server) => server.id === flags.server);
const missing = kind ? kind.missing() : `no server ${flags.server}`;
if (missing) {
  console.error(missing);
  process.exit(1);
}

const server = await Server.start(kind, {
  ...ports,
  core,
  held: calls,
  checksLimit: kind.isOurs,
  touchesMemory: true,
});
const wrong = [];
try {
  const rate = Number(flags.rate) > 0 ? `,cps=${flags.rate}` : '';
  // Fresh memory is paid for once: the first calls make what stays, and are not counted.
  const phases = [
    'run:cps=1000,dur=3',
    `idle:${SETTLE_S}`,
    GATE,
    `hold:n=${calls}${rate},max=900`,
    `idle:${SETTLE_S}`,
    GATE,
    'bye:max=900',
    `idle:${SETTLE_S}`,
    GATE,
  ];
  const load = new Load({ ...ports, pid: server.pid, core: loadCore, args: ['--window', '60'] }, phases);
  const measure = () => server.memory();
  await load.report();
  await load.report();
  const empty = await measure();
  load.release();
  const opened = await load.report();
  wrong.push(...faults(opened));
  await load.report();
  const full = await measure();
  const { listed, bytes } = await server.countListed();
  load.release();
  const ended = await load.report();
  wrong.push(...faults(ended));
  await load.report();
  const after = await measure();
  const left = (await server.countListed()).listed;
  load.release();
  await load.finish();

  if (opened.established !== calls) wrong.push(`${opened.established} of ${calls} calls were answered`);
  if (ended.completed !== calls) wrong.push(`${ended.completed} of ${calls} calls were ended`);
  if (listed !== calls) wrong.push(`dlg.list showed ${listed} of ${calls}`);
  if (left !== 0) wrong.push(`${left} dialogs were left`);
  if (kind.isOurs && after.pool !== empty.pool)
    wrong.push(`${after.pool - empty.pool} bytes of the segment were left`);
  const perCall = (a, b) => ((a - b) / calls).toFixed(0);
  console.log(`${kind.title}: ${calls} calls held, ${ended.completed} ended`);
  console.log(`opened at ${opened.cps.toFixed(0)} calls/s, ended at ${ended.cps.toFixed(0)} calls/s`);
  console.log(`memory per held call: ${bytesPerCall(full, empty, calls).toFixed(0)} bytes`);
  console.log(
    `  in the shared pool ${perCall(full.pool, empty.pool)}, private ${perCall(full.private, empty.private)}`,
  );
  console.log(
    `after the last call: pool ${after.pool - empty.pool} bytes more than before, dialogs left ${left}`,
  );
  console.log(`dlg.list: ${listed} dialogs, ${(bytes / 1e6).toFixed(1)} MB`);
  const data = {
    command: process.argv.join(' '),
    machine: machine(),
    empty,
    full,
    after,
    opened,
    ended,
    listed,
    wrong,
  };
  console.log(`raw data: ${store('hold', data)}`);
} finally {
  await server.stop();
}
for (const what of wrong) console.error(`invalid: ${what}`);
process.exitCode = wrong.length > 0 ? 1 : 0;
