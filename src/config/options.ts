/**
 * The options of `holdfast start`, one row each: flag, environment variable, key of the configuration file,
 * how it is read and what it says in --help.  load.ts and cli/main.ts are driven by this table.
 */
import { statSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { resolve } from 'node:path';
import ipaddr from 'ipaddr.js';

/** Where one option's value came from, and the folder its relative paths start at. */
export type Place = { readonly folder: string };

/** Either a value, or what is wrong with it. */
export type Read<T> = { readonly value: T } | { readonly wrong: string };

export type Option<T> = {
  /** What stands in angle brackets in --help. */
  readonly form: string;
  readonly doc: string;
  /** The words for the default in --help and --check. */
  readonly byDefault: string;
  readonly repeatable?: true;
  /** What the flag means without a value. */
  readonly alone?: string;
  readonly read: (written: string, place: Place) => Read<T>;
};

/** One address that datagrams are received on. */
export type ListenAddress = { readonly proto: 'udp'; readonly address: string; readonly port: number };

/** An address and port of TCP. */
export type Endpoint = { readonly address: string; readonly port: number };

export const LOG_LEVELS = ['error', 'warn', 'info', 'debug'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];
export const LOG_FORMATS = ['text', 'json'] as const;
export type LogFormat = (typeof LOG_FORMATS)[number];

/** As many as the segment has owner numbers for. */
export const WORKERS_MAX = 32;

const SIP_PORT = 5060;
const RPC_PORT = 8060;
const SEGMENT_BYTES_MIN = 1_048_576;
/** Its texts would be more than 128 GiB, the most that the segment can number. */
const SEGMENT_BYTES_MAX = 200 * 1_073_741_824;

/** Every option, under the name it has after `--` and in the configuration file. */
export const OPTIONS = {
  listen: {
    form: 'udp:ADDR:PORT',
    doc: 'address to receive SIP on; may be given again',
    byDefault: `udp:127.0.0.1:${SIP_PORT}`,
    repeatable: true,
    read: readListen,
  } as Option<ListenAddress>,
  rpc: {
    form: 'ADDR:PORT',
    doc: 'address of the management interface, path /RPC',
    byDefault: `127.0.0.1:${RPC_PORT}`,
    read: (written) => readEndpoint(written, RPC_PORT),
  } as Option<Endpoint>,
  'next-hop': {
    form: 'URI',
    doc: 'where the default routes send calls; without it they go where the request says',
    byDefault: 'none',
    read: (written) =>
      /^sip:[^\s<>"]+$/i.test(written)
        ? { value: written }
        : { wrong: 'allowed is a SIP URI such as sip:192.0.2.9:5060' },
  } as Option<string>,
  routes: {
    form: 'FILE',
    doc: 'routes of your own, TypeScript or JavaScript',
    byDefault: 'the routes that come with holdfast',
    read: (written, place) => readRoutes(resolve(place.folder, written)),
  } as Option<string>,
  workers: {
    form: 'N',
    doc: 'threads that handle messages',
    byDefault: `one per processor, here ${defaultWorkers()}`,
    read: (written) => readCount(written, 1, WORKERS_MAX),
  } as Option<number>,
  segment: {
    form: 'PATH',
    doc: 'file of the shared segment, on a file system in memory',
    byDefault: '/dev/shm/holdfast-PORT, with the port of the first --listen',
    read: (written, place) => ({ value: resolve(place.folder, written) }),
  } as Option<string>,
  'segment-size': {
    form: 'BYTES',
    doc: 'its size; K, M and G may follow the number',
    byDefault: '256M, or half of the room if that is less',
    read: readBytes,
  } as Option<number>,
  'segment-fresh': {
    form: 'yes|no',
    doc: 'begin without the calls in it: the file is moved to PATH.stale; alone it means yes',
    byDefault: 'no, the calls of the process before go on',
    alone: 'yes',
    read: (written) => {
      const read = readWord(written, ['yes', 'no']);
      return 'wrong' in read ? read : { value: read.value === 'yes' };
    },
  } as Option<boolean>,
  'log-level': {
    form: 'LEVEL',
    doc: `least important lines to log: ${LOG_LEVELS.join(', ')}`,
    byDefault: 'info',
    read: (written) => readWord(written, LOG_LEVELS),
  } as Option<LogLevel>,
  'log-format': {
    form: 'FORMAT',
    doc: `how lines are logged: ${LOG_FORMATS.join(', ')}`,
    byDefault: 'text',
    read: (written) => readWord(written, LOG_FORMATS),
  } as Option<LogFormat>,
} as const;

export type OptionName = keyof typeof OPTIONS;

/** All option names, in the order of --help. */
export const OPTION_NAMES = Object.keys(OPTIONS) as OptionName[];

/** The environment variable of an option: HOLDFAST_SEGMENT_SIZE. */
export function variableOf(option: string): string {
  return `HOLDFAST_${option.toUpperCase().replaceAll('-', '_')}`;
}

/** The key of an option in a configuration file of JavaScript habits: segmentSize. */
export function camelCaseOf(option: string): string {
  return option.replaceAll(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

/** One worker per processor. */
export function defaultWorkers(): number {
  return Math.min(availableParallelism(), WORKERS_MAX);
}

/** `udp:` and an address as URIs write it: brackets round IPv6. */
export function listenText(listen: ListenAddress): string {
  return `${listen.proto}:${endpointText(listen)}`;
}

/** Address and port as URIs write them. */
export function endpointText(endpoint: Endpoint): string {
  const address = endpoint.address.includes(':') ? `[${endpoint.address}]` : endpoint.address;
  return `${address}:${endpoint.port}`;
}

function readListen(written: string): Read<ListenAddress> {
  const [, proto = 'udp', rest = ''] = /^(?:([a-z]+):)?(.*)$/i.exec(written) ?? [];
  if (proto.toLowerCase() !== 'udp')
    return { wrong: 'allowed is udp:ADDR:PORT; other transports are not available yet' };
  const endpoint = readEndpoint(rest, SIP_PORT);
  if ('wrong' in endpoint) return { wrong: endpoint.wrong.replace('ADDR', 'udp:ADDR') };
  if (ipaddr.parse(endpoint.value.address).range() === 'unspecified') {
    return { wrong: 'allowed is one address of this machine, for it is written into Via and Record-Route' };
  }
  return { value: { proto: 'udp', ...endpoint.value } };
}

function readEndpoint(written: string, portByDefault: number): Read<Endpoint> {
  const wrong = {
    wrong: 'allowed is ADDR:PORT with an IP address ([brackets] round IPv6) and a port from 1 to 65535',
  };
  const parts = /^(?:\[([0-9a-f:.]+)\]|([0-9.]+))(?::(\d{1,5}))?$/i.exec(written.trim());
  if (parts === null) return wrong;
  const address = parts[1] ?? parts[2] ?? '';
  const port = parts[3] === undefined ? portByDefault : Number(parts[3]);
  const good =
    parts[1] === undefined ? ipaddr.IPv4.isValidFourPartDecimal(address) : ipaddr.IPv6.isValid(address);
  if (!good || port < 1 || port > 65_535) return wrong;
  return { value: { address: ipaddr.parse(address).toString(), port } };
}

function readRoutes(path: string): Read<string> {
  if (!/\.(ts|mts|js|mjs)$/.test(path))
    return { wrong: 'allowed is a file ending in .ts, .mts, .js or .mjs' };
  const stat = statSync(path, { throwIfNoEntry: false });
  return stat?.isFile() === true ? { value: path } : { wrong: `there is no file ${path}` };
}

function readCount(written: string, min: number, max: number): Read<number> {
  const value = /^\s*\d{1,9}\s*$/.test(written) ? Number(written) : Number.NaN;
  if (value >= min && value <= max) return { value };
  return { wrong: `allowed is a whole number from ${min} to ${max}` };
}

function readBytes(written: string): Read<number> {
  const parts = /^\s*(\d{1,15})\s*([KMG]?)(i?B)?\s*$/i.exec(written);
  const unit = { '': 1, K: 1_024, M: 1_048_576, G: 1_073_741_824 }[(parts?.[2] ?? '').toUpperCase()] ?? 1;
  const value = parts === null ? Number.NaN : Number(parts[1]) * unit;
  if (value >= SEGMENT_BYTES_MIN && value <= SEGMENT_BYTES_MAX) return { value };
  return { wrong: 'allowed is a number of bytes from 1M to 200G' };
}

function readWord<const W extends string>(written: string, words: readonly W[]): Read<W> {
  const word = words.find((known) => known === written.trim().toLowerCase());
  return word === undefined ? { wrong: `allowed is ${words.join(', ')}` } : { value: word };
}
