/**
 * What a started proxy says of itself: where it listens, how many calls it holds, how to make and see one.
 */
import type { Config } from '../config/load.js';
import { endpointText, listenText } from '../config/options.js';
import type { Runtime } from './ports.js';

/** Ports of the two ends of the example call. */
const CALLEE_PORT = 5080;
const CALLER_PORT = 5090;

/** Several lines, the last one ended. */
export function announcement(config: Config, segment: Runtime['segment'], version: string): string {
  const first = config.listen[0];
  const proxy = first === undefined ? '' : endpointText(first);
  const host = first === undefined ? '' : endpointText({ ...first, port: 0 }).replace(/:0$/, '');
  const rpc = `http://${endpointText(config.rpc)}/RPC`;
  const mebibytes = Math.round(segment.bytes / 1_048_576);
  const inet6 = host.startsWith('[') ? '-i [::1] ' : '-i 127.0.0.1 ';
  return `${[
    `holdfast ${version} is ready`,
    `  listens on   ${config.listen.map(listenText).join(', ')}`,
    `  management   ${rpc}`,
    `  workers      ${config.workers}`,
    `  segment      ${segment.path}, ${mebibytes} MiB, enough for ${segment.callsEnough} calls`,
    ...foundLine(segment.callsFound),
    'make a call:',
    `  sipp -sn uas ${inet6}-p ${CALLEE_PORT} -bg`,
    `  sipp -sn uac ${inet6}-p ${CALLER_PORT} -rsa ${proxy} -m 1 -d 20000 ${loopbackOf(host)}:${CALLEE_PORT}`,
    'see it:',
    `  npx holdfast list --rpc ${endpointText(config.rpc)}`,
    `  curl -H 'content-type: application/json' -d '{"jsonrpc":"2.0","method":"dlg.list","id":1}' ${rpc}`,
  ].join('\n')}\n`;
}

function foundLine(calls: number | null): readonly string[] {
  if (calls === null) return [];
  return [`  found        ${calls} ${calls === 1 ? 'call' : 'calls'} of the process before; they go on`];
}

function loopbackOf(host: string): string {
  return host.startsWith('[') ? '[::1]' : '127.0.0.1';
}
