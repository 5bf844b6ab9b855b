/** Numbers.  [manual 7] */
import { Type } from 'typebox';
import { type CommandContext, command, Fault } from '../command.js';

export const getStatistics = command({
  name: 'stats.get_statistics',
  mi: 'get_statistics',
  section: '7',
  doc: 'Statistics as "group:name = value": those named, those of a group ("dialog:"), or "all".',
  params: {
    names: Type.Array(Type.String({ minLength: 1, maxLength: 128 }), { minItems: 1, maxItems: 256 }),
  },
  rest: true,
  run(context, { names }) {
    const known = Object.entries(statistics(context));
    const lines: string[] = [];
    for (const wanted of names) {
      const found = known.filter(([name]) => isMeant(name, wanted));
      if (found.length === 0 && wanted !== 'all') return new Fault(404, `Statistic not found: ${wanted}`);
      lines.push(...found.map(([name, value]) => `${name} = ${value}`));
    }
    return lines;
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

/** `all`, a group with its colon, a whole name, or a name without its group. */
function isMeant(name: string, wanted: string): boolean {
  if (wanted === 'all' || name === wanted) return true;
  if (wanted.endsWith(':')) return name.startsWith(wanted);
  return !wanted.includes(':') && name.slice(name.indexOf(':') + 1) === wanted;
}
