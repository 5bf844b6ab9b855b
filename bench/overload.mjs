/**
 * Goodput under overload: calls that are completed when more come than a server can take, beside its own peak.
 *
 *   node bench/overload.mjs [--seconds 4] [--only ID,...] [--burn 100] [--ports BASE] [--cores S,G]
 *
 * One server on core S, the generator on core G, the policy of peers.mjs.  Besides the rate, which other programs on the
 * machine take from, it tells what a completed call costs the server in processor time, refusals included: a saturated
 * server on a core of its own completes as many calls as that time allows.  The peak is a closed loop; then calls come at
 * 2 and 3 times that rate, whatever becomes of them.  Done once with the plain route and once with one that burns --burn
 * microseconds for each call, in Holdfast by the clock, in the rival by turns of a loop that are counted out first.
 */
import { parseArgs } from 'node:util';
import { machine, store, table } from './figures.mjs';
import { Load } from './load.mjs';
import { SERVERS, Server } from './servers.mjs';

const { values: flags } = parseArgs({
  options: {
    seconds: { type: 'string', default: '4' },
    only: { type: 'string', default: 'holdfast,kamailio-tlsf' },
    burn: { type: 'string', default: '100' },
    ports: { type: 'string', default: '5070' },
    cores: { type: 'string', default: '0,1' },
  },
});
const seconds = Number(flags.seconds);
const [serverCore, loadCore] = flags.cores.split(',').map(Number);
const base = Number(flags.ports);
const ports = { proxyPort: base, callerPort: base + 10, calleePort: base + 20, rpcPort: base + 2 };
const servers = SERVERS.filter((kind) => flags.only.split(',').includes(kind.id) && !kind.missing());

const OPEN_CALLS = 60;
const OPEN_CALLS_MAX = 200_000;
/** Before a phase is measured: the queue is as long as it gets. */
const WARM_S = 3;
/** Turns of the rival's loop that are timed, to count out how many burn what is asked for. */
const TRIAL_TURNS = 1_000;
/** A call that is refused or lost is over for its caller soon, as for a person who hangs up. */
const FAIL_S = 8;
/** Share of the peak that must be left, at so many times its rate. */
const TARGETS = [
  { isBurning: false, times: 2, share: 0.85 },
  { isBurning: true, times: 3, share: 0.9 },
];

async function measure(kind, burn, phases) {
  const server = await Server.start(kind, {
    ...ports,
    core: serverCore,
    held: 0,
    checksLimit: false,
    touchesMemory: true,
    burn,
  });
  const args = [...(kind.loadArgs ?? []), '--window', String(OPEN_CALLS), '--fail-s', String(FAIL_S)];
  const load = new Load(
    { ...ports, pid: server.pid, core: loadCore, args },
    phases.map((phase) => (typeof phase === 'number' ? ratePhase(phase) : phase)),
  );
  try {
    const reports = [];
    for (const phase of phases) if (!String(phase).startsWith('sleep')) reports.push(await load.report());
    await load.finish();
    return reports;
  } catch (error) {
    await load.kill();
    throw error;
  } finally {
    await server.stop();
  }
}

const ratePhase = (rate) =>
  rate === 0
    ? `run:cps=0,warm=${WARM_S},dur=${seconds}`
    : `run:cps=${rate},window=${OPEN_CALLS_MAX},warm=${WARM_S},dur=${seconds}`;

/** What burns that many microseconds in this server. */
async function burnOf(kind, microseconds) {
  if (microseconds === 0 || kind.isOurs) return microseconds;
  const [plain] = await measure(kind, 0, [0]);
  const [trial] = await measure(kind, TRIAL_TURNS, [0]);
  const each = (trial.server.us_per_call - plain.server.us_per_call) / TRIAL_TURNS;
  return Math.round(microseconds / each);
}

const records = [];
for (const kind of servers) {
  for (const microseconds of [0, Number(flags.burn)]) {
    const burn = await burnOf(kind, microseconds);
    const [peak] = await measure(kind, burn, [0]);
    const [twice] = await measure(kind, burn, [Math.round(2 * peak.cps)]);
    const [thrice] = await measure(kind, burn, [Math.round(3 * peak.cps)]);
    for (const [times, report] of [
      [1, peak],
      [2, twice],
      [3, thrice],
    ]) {
      records.push({
        server: kind.id,
        burnUs: microseconds,
        times,
        share: report.cps / peak.cps,
        costShare: peak.server.us_per_call / report.server.us_per_call,
        report,
      });
    }
    console.error(
      `${kind.id}, ${microseconds} us burnt: peak ${peak.cps}, 2x ${twice.cps}, 3x ${thrice.cps}`,
    );
  }
}

const path = store('overload', { machine: machine(), seconds, records });
console.log(
  table(
    [
      'server',
      'route',
      'offered',
      'calls/s completed',
      'of the peak',
      'CPU us/call',
      'of the peak',
      'refused/s',
      'INVITE p99 ms',
      '',
    ],
    records.map(({ server, burnUs, times, share, costShare, report }) => {
      const target = TARGETS.find((one) => one.times === times && one.isBurning === burnUs > 0);
      return [
        server,
        burnUs === 0 ? 'plain' : `burns ${burnUs} us`,
        times === 1 ? 'closed loop' : `${times} times`,
        report.cps.toFixed(0),
        `${(100 * share).toFixed(0)} %`,
        report.server.us_per_call.toFixed(1),
        `${(100 * costShare).toFixed(0)} %`,
        (report.rejected / report.wall_s).toFixed(0),
        ((report.lat_invite_us?.p99 ?? 0) / 1_000).toFixed(1),
        target && server.startsWith('holdfast')
          ? costShare >= target.share
            ? 'met'
            : `target ${100 * target.share} %`
          : '',
      ];
    }),
  ),
);
console.log(`\n${path}`);
