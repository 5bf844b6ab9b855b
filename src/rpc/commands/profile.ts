/** Looking at profiles.  [manual 8.5, 8.6, 9.6, 9.7] */
import { VALUE_BYTES_MAX } from '../../dialog/profile.js';
import { command, Fault, optional, Pages, text } from '../command.js';
import type { DialogView } from '../ports.js';
import { PAGE_DIALOGS } from './list.js';

export const profileGetSize = command({
  name: 'dlg.profile_get_size',
  mi: 'profile_get_size',
  section: '8.5, 9.6',
  doc: 'How many memberships a profile has: of one value, or of all.',
  params: { profile: text, value: optional(text) },
  run: ({ view }, { profile, value }) =>
    tooLong(value) ?? view.profileSize(profile, value ?? null) ?? notFound(profile),
});

export const profileList = command({
  name: 'dlg.profile_list',
  mi: 'profile_list_dlgs',
  section: '8.6, 9.7',
  doc: 'The dialogs of a profile, of one value or of all; a dialog appears once for each membership.',
  params: { profile: text, value: optional(text) },
  run({ view }, { profile, value }) {
    const fault = tooLong(value);
    if (fault !== null) return fault;
    const members = view.profileMembers(profile, value ?? null);
    return members === null ? notFound(profile) : new Pages(inPages(members));
  },
});

/** No profile has such a value. */
function tooLong(value: string | undefined): Fault | null {
  const bytes = Buffer.byteLength(value ?? '');
  return bytes <= VALUE_BYTES_MAX
    ? null
    : new Fault(400, `value: ${bytes} bytes, at most ${VALUE_BYTES_MAX}`);
}

function notFound(profile: string): Fault {
  return new Fault(404, `Profile not found: ${profile}`);
}

function* inPages(members: Iterable<DialogView>): Generator<readonly DialogView[]> {
  let page: DialogView[] = [];
  for (const member of members) {
    page.push(member);
    if (page.length === PAGE_DIALOGS) {
      yield page;
      page = [];
    }
  }
  yield page;
}
