/**
 * What a run of peers.mjs says: its table, and each target with its verdict, computed from the records of that run.
 *
 * A cell without a valid record has no figure: it says why.
 */
import { median, spread, table } from './figures.mjs';

/** Other programs on the machine: above this share of a core a figure is marked. */
const OTHER_LOAD_MAX = 0.15;
/** What a row says whose feature is not there. */
/** The target of a mass expiry is a time for so many calls. */
const EXPIRY_UNIT = 60_000;

export const NOT_BUILT = 'not built yet';
const RIVALS = ['kamailio-fm', 'kamailio-tlsf'];
const ADAPTIVE = 'holdfast';
const OFF = 'holdfast-off';
const FLOOR = 'forwarder';

/** Whether a record was taken while others used the machine. */
export const isNoisy = (r) => (r.report?.other_load ?? 0) > OTHER_LOAD_MAX;

const cpu = (r) => r.report.server.us_per_call;
const anything = () => true;

function valid(records, row, id, where = anything) {
  return records.filter((r) => r.row === row && r.server === id && r.faults.length === 0 && where(r));
}

/** The median of the valid records, or null. */
function figure(records, row, id, pick, where = anything) {
  const list = valid(records, row, id, where).map(pick);
  return list.length > 0 ? median(list) : null;
}

/** The cheaper of the rival's allocators, saturated; where no such round was valid, at 1,000 calls/s. */
export function rivalOf(records) {
  for (const row of ['saturated', 'rate1000']) {
    const known = RIVALS.map((id) => ({ id, us: figure(records, row, id, cpu) })).filter(
      (r) => r.us !== null,
    );
    if (known.length > 0) return known.reduce((a, b) => (b.us < a.us ? b : a)).id;
  }
  return records.find((r) => RIVALS.includes(r.server))?.server ?? null;
}

/** A cell: figures of the valid rounds, or why there are none. */
function cell(records, row, id, pick, digits, where = anything) {
  const all = records.filter((r) => r.row === row && r.server === id && where(r));
  const good = all.filter((r) => r.faults.length === 0);
  if (all.length === 0) return '–';
  if (good.length === 0 && all[0].faults[0] === NOT_BUILT) return NOT_BUILT;
  if (good.length === 0) return `invalid: ${all[0].faults[0].split('\n')[0].slice(0, 60)}`;
  const noisy = good.some(isNoisy) ? ' *' : '';
  const lost = good.length < all.length ? ` (${good.length} of ${all.length} rounds)` : '';
  return `${spread(good.map(pick), digits)}${lost}${noisy}`;
}

export function tableOf(servers, records, { isWanted, rates, heldSizes }) {
  const rows = [];
  const add = (name, make) => {
    const cells = servers.map(make);
    if (cells.some((text) => text !== '–')) rows.push([name, ...cells]);
  };
  const plain = (name, row, pick, digits, where) =>
    add(name, (kind) => cell(records, row, kind.id, pick, digits, where));
  plain('calls/s on one core, saturated', 'saturated', (r) => r.report.cps, 0);
  plain('CPU µs per call, saturated', 'saturated', cpu, 1);
  add('load of the server core / of the generator core', (kind) => {
    const share = (r) => r.report.gen_cpu_s / r.report.wall_s;
    const load = cell(records, 'saturated', kind.id, (r) => r.report.server.load, 2);
    return load === '–' || load.startsWith('invalid')
      ? '–'
      : `${load} / ${cell(records, 'saturated', kind.id, share, 2)}`;
  });
  for (const rate of rates) plain(`CPU µs per call at ${rate} calls/s`, `rate${rate}`, cpu, 1);
  const at = records.find((r) => r.row === 'latency' && r.rate)?.rate ?? 0;
  for (const [name, field] of [
    ['INVITE through the proxy', 'lat_invite_us'],
    ['200 through the proxy', 'lat_200_us'],
  ]) {
    plain(`${name} at ${at} calls/s, p50 µs`, 'latency', (r) => r.report[field].p50, 0);
    plain(`${name} at ${at} calls/s, p99 µs`, 'latency', (r) => r.report[field].p99, 0);
  }
  for (const size of heldSizes) {
    const where = (r) => r.size === size;
    plain(`bytes per held call, ${size} held`, 'memory', (r) => r.perCall, 0, where);
    plain(`CPU µs per call, saturated, beside ${size} held`, 'held', cpu, 1, where);
    plain('the same against none held', 'held', (r) => cpu(r) / r.none.server.us_per_call, 2, where);
    plain(`dlg.list of ${size}: seconds`, 'listing', (r) => r.seconds, 2, where);
    plain('its megabytes', 'listing', (r) => r.bytes / 1e6, 1, where);
    plain('slowest INVITE before, ms', 'listing', (r) => r.before.lat_invite_us.max / 1_000, 1, where);
    plain('slowest INVITE meanwhile, ms', 'listing', (r) => r.report.lat_invite_us.max / 1_000, 1, where);
    plain(`killed and started again over ${size}: ms`, 'restart', (r) => r.startMs, 0, where);
  }
  plain('start to first answer, nothing held, ms', 'startup', (r) => r.startMs, 0);
  if (isWanted('expiry')) {
    const expiry = (name, pick, digits) =>
      add(name, (kind) => {
        if (kind.isOurs && !kind.hasExpiry) return NOT_BUILT;
        return cell(records, 'expiry', kind.id, pick, digits);
      });
    const size = records.find((r) => r.row === 'expiry')?.size ?? 100_000;
    expiry(`${size} expire in one second: first BYE to last, s`, (r) => r.report.srv_bye.span_s, 1);
    expiry('CPU µs for each of them', (r) => r.usPerCall, 1);
    expiry('BYEs missing at callers', (r) => r.size - r.report.srv_bye.caller, 0);
    expiry('BYEs missing at callees', (r) => r.size - r.report.srv_bye.callee, 0);
    expiry('new calls meanwhile: p99 of an INVITE, ms', (r) => r.report.lat_invite_us.p99 / 1_000, 1);
    expiry('the slowest (longest stall), ms', (r) => r.report.lat_invite_us.max / 1_000, 1);
    expiry('their retransmissions', (r) => r.report.rtx.inv + r.report.rtx.bye, 0);
  }
  return table(['', ...servers.map((kind) => kind.title)], rows);
}

/**
 * Every target: what it is in this run and whether it is met.
 *
 * `value` is compared with `must` and `aim`, both upper bounds; null: this run has no valid figure for it.
 */
export function verdicts(records) {
  const rival = rivalOf(records);
  const of = (row, id, pick, where) => figure(records, row, id, pick, where);
  const ratio = (a, b) => (a === null || b === null || b === 0 ? null : a / b);
  const to = (row, id, other, pick = cpu, where = anything) =>
    ratio(of(row, id, pick, where), of(row, other, pick, where));
  const invite = (r) => r.report.lat_invite_us.p50;
  const answer = (r) => r.report.lat_200_us.p50;
  const sizes = [...new Set(records.filter((r) => r.row === 'memory').map((r) => r.size))].sort(
    (a, b) => b - a,
  );
  const common = sizes.find((size) =>
    [ADAPTIVE, rival].every(
      (id) =>
        of(
          'memory',
          id,
          (r) => r.perCall,
          (r) => r.size === size,
        ) !== null,
    ),
  );
  const held = valid(records, 'held', ADAPTIVE)[0];
  const [expired] = records.filter((r) => r.row === 'expiry' && r.server === ADAPTIVE);
  const [listed] = records.filter((r) => r.row === 'listing' && r.server === ADAPTIVE);
  const missing = (r) => 2 * r.size - r.report.srv_bye.caller - r.report.srv_bye.callee;
  const rows = [
    ['CPU per call, saturated, to the rival', to('saturated', ADAPTIVE, rival), 0.4, 0.33],
    ['the same, window off', to('saturated', OFF, rival), 0.4, 0.33],
    ['CPU per call, saturated, to the forwarder', to('saturated', ADAPTIVE, FLOOR), 2.5, 2.0],
    ['CPU per call at 1,000 calls/s, window off, to the rival', to('rate1000', OFF, rival), 0.85, 0.7],
    ['CPU per call at 1,000 calls/s, adaptive, to the rival', to('rate1000', ADAPTIVE, rival), 0.55, 0.4],
    [
      'added latency of an INVITE, p50, window off, to the rival',
      to('latency', OFF, rival, invite),
      1.0,
      0.8,
    ],
    ['added latency of a 200, p50, window off, to the rival', to('latency', OFF, rival, answer), 1.0, 0.8],
    [
      `memory per held call, ${common ?? '?'} held, to the rival`,
      common
        ? to(
            'memory',
            ADAPTIVE,
            rival,
            (r) => r.perCall,
            (r) => r.size === common,
          )
        : null,
      0.5,
      0.4,
    ],
    [
      `CPU per call beside ${held?.size ?? '?'} held, against none`,
      held ? cpu(held) / held.none.server.us_per_call : null,
      1.15,
      1.05,
    ],
  ].map(([target, value, must, aim]) => judged(target, value, must, aim, 2, ''));
  const notBuilt = (target) => ({
    target,
    is: NOT_BUILT,
    must: '',
    mustVerdict: '',
    aim: '',
    aimVerdict: '',
  });
  if (expired) {
    const good = expired.faults.length === 0;
    rows.push(
      judged(
        `${expired.size} expire in one second: BYEs missing`,
        good ? missing(expired) : null,
        0,
        null,
        0,
        '',
      ),
      judged(
        `first BYE to last, for each ${EXPIRY_UNIT.toLocaleString('en')} of them`,
        good ? (expired.report.srv_bye.span_s * EXPIRY_UNIT) / expired.size : null,
        3,
        null,
        1,
        ' s',
      ),
      judged(
        'p99 of new INVITEs meanwhile',
        good ? expired.report.lat_invite_us.p99 / 1_000 : null,
        null,
        10,
        1,
        ' ms',
      ),
    );
  }
  const stall = listed?.faults.length === 0 ? listed.report.lat_invite_us.max / 1_000 : null;
  rows.push(judged(`list of ${listed?.size ?? '?'}: slowest INVITE meanwhile`, stall, 5, null, 1, ' ms'));
  rows.push(notBuilt('100k calls from a database'));
  return rows;
}

function judged(target, value, must, aim, digits, unit) {
  const text = (number) => (number === null ? '' : `≤ ${number}${unit}`);
  const verdict = (bound) => {
    if (bound === null) return '';
    if (value === null) return 'no valid figure';
    return value <= bound ? 'met' : 'missed';
  };
  const is = value === null ? '–' : `${value.toFixed(digits)}${unit}`;
  return {
    target,
    is,
    must: text(must),
    mustVerdict: verdict(must),
    aim: text(aim),
    aimVerdict: verdict(aim),
  };
}
