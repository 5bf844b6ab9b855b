/** Counting calls by profile.  [manual 6.1-6.4] */
import type { DialogTracker } from '../../dialog/tracker.js';
import type { Message } from '../../sip/message.js';

/** Adds the message's dialog to a profile; before there is one, the join waits for it. */
export function set_dlg_profile(
  tracker: DialogTracker,
  message: Message,
  profile: string,
  value: string | null = null,
): boolean {
  return tracker.profiles.set(tracker.context, message, profile, value);
}

/** The same if fewer than `limit` are in it (0: no limit); counts at once, whether there is a dialog yet or not. */
export function dlg_try_profile(
  tracker: DialogTracker,
  message: Message,
  profile: string,
  value: string | null,
  limit: number,
): boolean {
  return tracker.profiles.tryJoin(tracker.context, message, profile, value, limit);
}

/** Takes the newest matching membership away; false if there is none. */
export function unset_dlg_profile(
  tracker: DialogTracker,
  message: Message,
  profile: string,
  value: string | null = null,
): boolean {
  return tracker.profiles.unset(tracker.context, message, profile, value);
}

/** Whether the message's dialog is in a profile; without a value any value counts. */
export function is_in_profile(
  tracker: DialogTracker,
  message: Message,
  profile: string,
  value: string | null = null,
): boolean {
  return tracker.profiles.isIn(message, profile, value);
}

/** Members of one value, or of all; -1 if the value is empty. */
export function get_profile_size(
  tracker: DialogTracker,
  profile: string,
  value: string | null = null,
): number {
  return tracker.profiles.size(profile, value);
}

/** Counts an item of another system (`add`), or no more (`rm`); `expires` is Unix time, 0: never.  [manual 6.17] */
export function dlg_remote_profile(
  tracker: DialogTracker,
  command: 'add' | 'rm',
  profile: string,
  value: string | null,
  uid: string,
  expires: number,
): boolean {
  return tracker.profiles.remote(command, profile, value, uid, expires);
}
