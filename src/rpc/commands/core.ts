/** The program itself. */
import { command } from '../command.js';

export const version = command({
  name: 'core.version',
  mi: 'version',
  section: 'core',
  doc: 'Name, version and machine.',
  params: {},
  run: (context) => `holdfast ${context.version} (${process.arch}/${process.platform})`,
});

export const uptime = command({
  name: 'core.uptime',
  mi: 'uptime',
  section: 'core',
  doc: 'The time now, the time of the start, and the seconds between them.',
  params: {},
  run({ clock, startedUnixSeconds }) {
    const now = clock.unixSeconds();
    return {
      now: calendar(now),
      up_since: calendar(startedUnixSeconds),
      uptime: Math.max(0, now - startedUnixSeconds),
    };
  },
});

/** `Mon Nov 23 06:56:00 2026`, local time. */
function calendar(unixSeconds: number): string {
  const date = new Date(unixSeconds * 1000);
  const [weekday, month, day, year] = date.toDateString().split(' ');
  return `${weekday} ${month} ${day} ${date.toTimeString().slice(0, 8)} ${year}`;
}
