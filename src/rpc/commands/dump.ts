/** All dialogs into a file.  [spec 13.3] */
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { Type } from 'typebox';
import { command, Fault } from '../command.js';
import type { DialogView } from '../ports.js';
import { everyDialog } from './list.js';

/** Callers choose some of what is written: it must not end up in a file that something runs or reads as its settings. */
const NAME = '^[A-Za-z0-9_-][A-Za-z0-9._-]*\\.jsonl$';
/** Only ever a file that was not there, so that no caller overwrites one or writes through a link. */
const NEW_FILE = constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW | constants.O_WRONLY;

export const dumpFile = command({
  name: 'dlg.dump_file',
  section: 'beyond the manual',
  doc: 'Writes all dialogs to a new file in rpc:dump_folder (a name that ends in .jsonl), a line of JSON each; says how many they were.',
  params: { name: Type.String({ pattern: NAME, maxLength: 255 }) },
  async run({ view, dumpFolder }, { name }) {
    if (dumpFolder === null)
      return new Fault(403, 'rpc:dump_folder is not set: there is no folder to write to');
    let dialogs = 0;
    try {
      const file = await open(join(dumpFolder, name), NEW_FILE, 0o600);
      try {
        for (const page of everyDialog(view)) {
          await file.appendFile(page.map((dialog) => `${JSON.stringify(lineOf(dialog))}\n`).join(''));
          dialogs += page.length;
        }
      } finally {
        await file.close();
      }
    } catch (error) {
      return new Fault(500, `${dialogs} dialogs written, then: ${(error as Error).message}`);
    }
    return { dialogs };
  },
});

/** `call_id` with an underscore, profiles and variables as objects; a profile joined several times has a list of values. */
function lineOf({
  'call-id': call_id,
  profiles,
  variables,
  h_entry,
  h_id,
  ref,
  ...rest
}: DialogView): object {
  const byName: Record<string, string | string[]> = {};
  for (const entry of profiles) {
    const [name, value] = typeof entry === 'string' ? [entry, ''] : Object.entries(entry)[0]!;
    const before = byName[name];
    byName[name] = before === undefined ? value : [...(Array.isArray(before) ? before : [before]), value];
  }
  return {
    h_entry,
    h_id,
    ref,
    call_id,
    ...rest,
    profiles: byName,
    variables: Object.assign({}, ...[...variables].reverse()),
  };
}
