/**
 * What must hold between values that are each good alone.
 */
import type { Config } from './load.js';

/** Entries per worker below which shares of the load come out uneven. */
const ENTRIES_PER_WORKER_MIN = 64;

/** Contradictions, one line each. */
export function mistakesBetween({ params: { tm, dialog, core } }: Pick<Config, 'params'>): string[] {
  const mistakes: string[] = [];
  if (tm.retr_timer2 < tm.retr_timer1) {
    mistakes.push(`tm:retr_timer2=${tm.retr_timer2}: allowed is at least tm:retr_timer1, ${tm.retr_timer1}`);
  }
  if (tm.wt_timer <= tm.retr_timer2) {
    mistakes.push(`tm:wt_timer=${tm.wt_timer}: allowed is more than tm:retr_timer2, ${tm.retr_timer2}`);
  }
  if (core.dns_cache_max_ttl < core.dns_cache_min_ttl) {
    mistakes.push(
      `core:dns_cache_max_ttl=${core.dns_cache_max_ttl}: allowed is at least core:dns_cache_min_ttl, ` +
        `${core.dns_cache_min_ttl}`,
    );
  }
  for (const name of dialog.profiles_no_value) {
    if (dialog.profiles_with_value.includes(name)) {
      mistakes.push(
        `dialog:profiles_no_value=${name}: allowed is a name that is not also in dialog:profiles_with_value`,
      );
    }
  }
  return mistakes;
}

/** What works but will disappoint, one line each. */
export function warningsBetween({ params: { dialog }, workers }: Config): string[] {
  const least = ENTRIES_PER_WORKER_MIN * workers;
  if (dialog.hash_size >= least) return [];
  return [
    `dialog:hash_size=${dialog.hash_size} is less than ${ENTRIES_PER_WORKER_MIN} for each of ${workers} ` +
      `workers (${least}): the load will be shared unevenly`,
  ];
}
