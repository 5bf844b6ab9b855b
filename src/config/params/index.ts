/**
 * All parameters, by the group they are set in: `--set dialog:hash_size=4096`.
 */
import type { Param, Values } from '../param.js';
import { bridgeParams } from './bridge.js';
import { clusterParams } from './cluster.js';
import { columnParams } from './columns.js';
import { coreParams } from './core.js';
import { databaseParams } from './database.js';
import { keepaliveParams } from './keepalive.js';
import { lifetimeParams } from './lifetime.js';
import { managementParams } from './management.js';
import { matchingParams } from './matching.js';
import { profileParams } from './profiles.js';
import { recordRouteParams } from './record-route.js';
import { scriptParams } from './script.js';
import { statisticsParams } from './statistics.js';
import { transactionParams } from './transaction.js';
import { uacParams } from './uac.js';

/** Every row there is. */
export const PARAMS = {
  core: coreParams,
  tm: transactionParams,
  rr: recordRouteParams,
  uac: uacParams,
  rpc: managementParams,
  dialog: {
    ...statisticsParams,
    ...matchingParams,
    ...lifetimeParams,
    ...databaseParams,
    ...columnParams,
    ...profileParams,
    ...bridgeParams,
    ...scriptParams,
    ...keepaliveParams,
    ...clusterParams,
  },
} as const;

export type Group = keyof typeof PARAMS;

/** The values of all parameters, by group and by the name an operator writes. */
export type Params = { readonly [G in Group]: Values<(typeof PARAMS)[G]> };

/** A row and where it stands. */
export type Named = { readonly group: Group; readonly name: string; readonly row: Param<unknown> };

/** Every row, in the order of the tables. */
export function everyParam(): Named[] {
  return (Object.keys(PARAMS) as Group[]).flatMap((group) =>
    Object.entries(PARAMS[group] as Record<string, Param<unknown>>).map(([name, row]) => ({
      group,
      name,
      row,
    })),
  );
}

/** The row that `group:name` means, by its name or its second name; null when there is none. */
export function findParam(groupAndName: string): Named | null {
  const [group, name] = groupAndName.split(':', 2);
  const found = everyParam().find(
    (param) => param.group === group && (param.name === name || param.row.alias === name),
  );
  return found ?? null;
}
