/**
 * What the operator's command prints.
 */
import type { Loaded } from '../config/load.js';
import { endpointText, listenText, OPTION_NAMES, type OptionName } from '../config/options.js';
import { everyParam } from '../config/params/index.js';
import type { DialogView } from '../rpc/ports.js';

const STATES = ['', 'unconfirmed', 'early', 'no ACK yet', 'confirmed', 'deleted'];

/** The report of --check: every option, every parameter that is not left at its default, and where it was said. */
export function checkReport({ config, origins, warnings }: Loaded): string {
  const from = (name: string): string => origins.get(name) ?? 'default';
  const shown: Record<OptionName, string> = {
    listen: config.listen.map(listenText).join(' '),
    rpc: endpointText(config.rpc),
    'next-hop': config.nextHop ?? 'none',
    routes: config.routesFile ?? 'the routes that come with holdfast',
    workers: String(config.workers),
    segment: config.segmentPath,
    'segment-size':
      config.segmentBytes === null
        ? '256M, or half of the room if that is less'
        : String(config.segmentBytes),
    'segment-fresh': config.segmentFresh ? 'yes' : 'no',
    'log-level': config.logLevel,
    'log-format': config.logFormat,
  };
  const rows: [string, string, string][] = OPTION_NAMES.map((name) => [name, shown[name], from(name)]);
  for (const { group, name, row } of everyParam()) {
    if (!origins.has(`${group}:${name}`)) continue;
    const value: unknown = (config.params[group] as Readonly<Record<string, unknown>>)[name];
    rows.push([
      `${group}:${name}`,
      row.secret ? '(not shown)' : Array.isArray(value) ? value.join(';') : String(value),
      from(`${group}:${name}`),
    ]);
  }
  const width = Math.max(...rows.map(([name]) => name.length));
  const lines = rows.map(([name, value, origin]) => `  ${name.padEnd(width)}  ${value}  (${origin})`);
  return [
    'the configuration is valid',
    ...lines,
    '  every other parameter has its default',
    ...warnings.map((warning) => `warning: ${warning}`),
    '',
  ].join('\n');
}

/** A parameter of `holdfast rpc`: a number when it is one as numbers are written, else text; `s:` forces text. */
export function parameterOf(word: string): string | number {
  if (word.startsWith('s:')) return word.slice(2);
  return /^-?(0|[1-9]\d{0,14})$/.test(word) ? Number(word) : word;
}

/** Dialogs as a table for people, line by line; `entry:id` is how other commands name one. */
export async function* dialogTable(dialogs: AsyncIterable<DialogView>): AsyncGenerator<string> {
  yield row('dialog', 'state', 'seconds', 'from', 'to', 'Call-ID');
  let count = 0;
  for await (const dialog of dialogs) {
    count += 1;
    const { h_entry, h_id, state, duration, from_uri, to_uri } = dialog;
    yield row(
      `${h_entry}:${h_id}`,
      STATES[state] ?? String(state),
      String(duration),
      from_uri,
      to_uri,
      dialog['call-id'],
    );
  }
  yield `${count} ${count === 1 ? 'dialog' : 'dialogs'}`;
}

/** Control characters come from the network and must not reach a terminal. */
function row(
  dialog: string,
  state: string,
  seconds: string,
  from: string,
  to: string,
  callId: string,
): string {
  const line = [
    dialog.padEnd(16),
    state.padEnd(11),
    seconds.padStart(7),
    from.padEnd(32),
    to.padEnd(32),
    callId,
  ];
  return line.join('  ').replaceAll(/[\u0000-\u001f\u007f-\u009f]/g, '?');
}
