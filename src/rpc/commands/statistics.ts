/** Numbers.  [manual 7] */
import { Type } from 'typebox';
import { type CommandContext, command, Fault } from '../command.js';

const NAMES = {
  names: Type.Array(Type.String({ minLength: 1, maxLength: 128 }), { minItems: 1, maxItems: 256 }),
};

export const getStatistics = command({
  name: 'stats.get_statistics',
  mi: 'get_statistics',
  section: '7',
  doc: 'Statistics as "group:name = value": those named, those of a group ("dialog:"), or "all".',
  params: NAMES,
  rest: true,
  run(context, { names }) {
    const found = meant(context, names);
    return found instanceof Fault ? found : found.map(([name, value]) => `${name} = ${value}`);
  },
});

export const fetch = command({
  name: 'stats.fetch',
  section: '7',
  doc: 'The same as one object: "group.name" and its value as text.',
  params: NAMES,
  rest: true,
  run: (context, { names }) => asObject(context, names, String),
});

export const fetchn = command({
  name: 'stats.fetchn',
  section: '7',
  doc: 'The same as one object: "group.name" and its value as a number.',
  params: NAMES,
  rest: true,
  run: (context, { names }) => asObject(context, names, Number),
});

export const resetStatistics = command({
  name: 'stats.reset_statistics',
  mi: 'reset_statistics',
  section: '7',
  doc: 'Has statistics count from 0 again, those that may: not what is up now.',
  params: NAMES,
  rest: true,
  run(context, { names }) {
    const wanted = meant(context, names);
    if (wanted instanceof Fault) return wanted;
    for (const [name] of wanted) context.view.resetStatistic(name);
    return {};
  },
});

export const clearStatistics = command({
  name: 'stats.clear_statistics',
  mi: 'clear_statistics',
  section: '7',
  doc: 'Resets statistics and says what they were: "group:name = value (value before)".',
  params: NAMES,
  rest: true,
  run(context, { names }) {
    const before = meant(context, names);
    if (before instanceof Fault) return before;
    for (const [name] of before) context.view.resetStatistic(name);
    const now = statistics(context);
    return before.map(([name, old]) => `${name} = ${now[name]}${now[name] === old ? '' : ` (${old})`}`);
  },
});

export const shmmem = command({
  name: 'core.shmmem',
  section: 'segment',
  doc: 'How full the shared segment is, in bytes, and each of its pools, in records or blocks.',
  params: {},
  run({ view }) {
    const { totalBytes, usedBytes, pools } = view.segment();
    return {
      total: totalBytes,
      free: totalBytes - usedBytes,
      used: usedBytes,
      pools: pools.map(({ name, unitBytes, total, used }) => ({ name, unit: unitBytes, total, used })),
    };
  },
});

/** What there is to show: with enable_stats off, nothing of the dialog module. */
function statistics({ view, dialogStatistics }: CommandContext): Readonly<Record<string, number>> {
  const all = view.statistics();
  if (dialogStatistics) return all;
  return Object.fromEntries(Object.entries(all).filter(([name]) => !name.startsWith('dialog:')));
}

/** The statistics that are named, in the order of naming. */
function meant(context: CommandContext, names: readonly string[]): [string, number][] | Fault {
  const known = Object.entries(statistics(context));
  const all: [string, number][] = [];
  for (const wanted of names) {
    const found = known.filter(([name]) => isMeant(name, wanted));
    if (found.length === 0 && wanted !== 'all') return new Fault(404, `Statistic not found: ${wanted}`);
    all.push(...found);
  }
  return all;
}

function asObject(
  context: CommandContext,
  names: readonly string[],
  form: (value: number) => string | number,
): Record<string, string | number> | Fault {
  const found = meant(context, names);
  if (found instanceof Fault) return found;
  return Object.fromEntries(found.map(([name, value]) => [name.replace(':', '.'), form(value)]));
}

/** `all`, a group with its colon, a whole name, or a name without its group. */
function isMeant(name: string, wanted: string): boolean {
  if (wanted === 'all' || name === wanted) return true;
  if (wanted.endsWith(':')) return name.startsWith(wanted);
  return !wanted.includes(':') && name.slice(name.indexOf(':') + 1) === wanted;
}
