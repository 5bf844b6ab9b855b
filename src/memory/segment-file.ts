/**
 * The segment's file at start: the calls in it are taken over, or it is made.
 *
 * Records name sockets and profiles by number, so the file's order counts; a file that does not fit stays as it is.
 * [architecture: crash safety]
 */
import { existsSync } from 'node:fs';
import { coded, EngineError, isEngineError } from '../errors.js';
import { addon, type SegmentId, type SegmentOptions } from './addon.js';

/** What to do about a file that does not fit. */
const BEGIN_FRESH = 'or begin without its calls (--segment-fresh; in a program: `fresh: true`)';

export type OpenSegment = {
  readonly segment: SegmentId;
  /** The file was there, and what it holds goes on. */
  readonly attached: boolean;
  /** What became of a file whose calls do not go on, one line for the log; null: there was none. */
  readonly warning: string | null;
};

/**
 * Takes over the calls in the file, or makes it.
 *
 * @param how.fresh       its calls are not wanted: it is moved to `<path>.stale`
 * @param how.everySocket each socket of the file must be there again
 * @throws EngineError ERR_SEGMENT_IN_USE, ERR_SEGMENT_ROOM, ERR_PERMISSION; ERR_SEGMENT when the file is of another
 *         layout, hash_size, h_id_step, or order of sockets or profiles
 */
export function openSegmentFile(
  wanted: SegmentOptions,
  how: { readonly fresh: boolean; readonly everySocket: boolean },
): OpenSegment {
  if (how.fresh || !existsSync(wanted.path)) return create(wanted);
  try {
    return { segment: attach(wanted, how.everySocket), attached: true, warning: null };
  } catch (error) {
    if (!isEngineError(error) || error.code !== 'ERR_SEGMENT_NO_CALLS') throw error;
    return create(wanted, error.detail);
  }
}

function create(wanted: SegmentOptions, why: string | null = null): OpenSegment {
  const segment = coded(() => addon.createSegment(wanted));
  const warnings = [why, addon.segmentWarning(segment)].filter((line) => line !== null);
  return { segment, attached: false, warning: warnings.length === 0 ? null : warnings.join('; ') };
}

function attach(wanted: SegmentOptions, everySocket: boolean): SegmentId {
  // Without names at first, for a file with others must stay as it is.
  const segment = coded(() => addon.attachSegment({ ...wanted, profiles: [], sockets: [] }));
  const inFile = addon.segmentNames(segment);
  const profiles = wanted.profiles.map(shown);
  const mistake =
    disorder('sockets', inFile.sockets, wanted.sockets, everySocket) ??
    disorder('profiles', inFile.profiles.map(shown), profiles, false);
  const isComplete =
    inFile.sockets.length >= wanted.sockets.length && inFile.profiles.length >= profiles.length;
  if (mistake === null && isComplete) return segment;
  addon.closeSegment(segment, false);
  if (mistake !== null) throw new EngineError('ERR_SEGMENT', `segment ${wanted.path}: ${mistake}`);
  return coded(() => addon.attachSegment(wanted));
}

function shown({ name, withValue }: SegmentOptions['profiles'][number]): string {
  return withValue ? `${name} (with value)` : name;
}

function disorder(
  what: string,
  inFile: readonly string[],
  wanted: readonly string[],
  all: boolean,
): string | null {
  const differs = inFile.some((name, n) => (all || n < wanted.length) && wanted[n] !== name);
  if (!differs) return null;
  return `${what} are ${inFile.join(', ')} there: give the same in this order, new ones at the end, ${BEGIN_FRESH}`;
}
