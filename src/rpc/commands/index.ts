/**
 * All commands.  A new one is a row in a file of this folder and a name here; every door follows.
 */
import { type Command, command } from '../command.js';
import { uptime, version } from './core.js';
import { dumpFile } from './dump.js';
import { bridgeDialog, endDialog, terminateDialog } from './end.js';
import { listDialog, listDialogCtx, listDialogs, listDialogsCtx, statsActive } from './list.js';
import { briefing, isAlive, listMatch, listMatchCtx } from './look.js';
import { profileGetSize, profileList } from './profile.js';
import { setState } from './state.js';
import { clearStatistics, fetch, fetchn, getStatistics, resetStatistics, shmmem } from './statistics.js';

const listMethods = command({
  name: 'system.listMethods',
  section: 'core',
  doc: 'The names of all commands.',
  params: {},
  run: () => COMMANDS.map(({ name }) => name).sort(),
});

/** Every command there is. */
export const COMMANDS: readonly Command[] = [
  listDialogs,
  listDialog,
  listDialogsCtx,
  listDialogCtx,
  statsActive,
  listMatch,
  listMatchCtx,
  briefing,
  isAlive,
  setState,
  dumpFile,
  endDialog,
  terminateDialog,
  bridgeDialog,
  profileGetSize,
  profileList,
  getStatistics,
  fetch,
  fetchn,
  resetStatistics,
  clearStatistics,
  version,
  uptime,
  shmmem,
  listMethods,
];
