/**
 * What whoever embeds the dialogs alone decides: segment, parameters, sockets, clock.
 *
 * The parameters are those of the group `dialog`, by Kamailio's names and with the bounds of their rows.
 */
import { dialogParams, type Params } from '../config/load.js';
import type { Written } from '../config/param.js';
import { profileDefinitions } from '../dialog/profile.js';
import { EngineError } from '../errors.js';
import type { Log } from '../log.js';
import { type OpenSegment, openSegmentFile } from '../memory/segment-file.js';
import { SOCKETS_MAX } from '../memory/words.js';
import type { InviteToEnd, RequestToSend } from './outbox.js';

export type EngineOptions = {
  readonly segment: {
    /** The file that holds the calls; on tmpfs (/dev/shm) nothing ever waits for a disk. */
    readonly path: string;
    /** Its size when it is made; left out: 256 MiB, or half of the room if that is less. */
    readonly bytes?: number;
    /** true: calls that a process before left in the file are not wanted; it is moved to `<path>.stale`. */
    readonly fresh?: boolean;
  };
  /** Parameters of the group `dialog`: `{ hash_size: 4096, profiles_with_value: 'caller;callee' }`. */
  readonly params?: Readonly<Record<string, Written>>;
  /**
   * Names of the sockets that messages come and go by, such as `udp:192.0.2.1:5060`; listings print them.  When the
   * calls of a process before are taken over: the same in the same order, new ones at the end.
   */
  readonly sockets?: readonly string[];
  /** How many Record-Route values your own stack puts on an INVITE: they do not belong to the callee's Route set. */
  readonly recordRoutes?: 0 | 1 | 2;
  /**
   * Is handed each request that a dialog wants sent: BYE, OPTIONS and the like.  Send it, retransmit it, and give its
   * final answer back with `engine.answered(request.id, ...)`.  Left out: the engine sends nothing.
   */
  readonly send?: (request: RequestToSend) => void;
  /**
   * Is handed each unanswered INVITE that is to end: CANCEL it downstream, answer it upstream, and feed that answer to
   * `engine.reply()`.  Left out: unanswered calls cannot be ended from here.
   */
  readonly endInvite?: (invite: InviteToEnd) => void;
  /**
   * Milliseconds between two ticks of a timer of the engine's own, which keeps no process alive; 0: none, call tick()
   * about every 10 ms yourself.
   */
  readonly tickMs?: number;
  /** `caller`: time stands still but for what tick(milliseconds) says, for simulations; sets tickMs to 0. */
  readonly clock?: 'machine' | 'caller';
  readonly log?: Log;
};

/** Of the machine's clock. */
export const TICK_MS = 10;
const TICK_MS_MAX = 1_000;
/** Nobody posts letters to an engine of one thread: as little as there may be. */
const MAILBOX_BYTES = 1 << 20;

/** Checks all that can be wrong with the options but the segment. */
export function readParams(options: EngineOptions): Params['dialog'] {
  const { sockets = [], tickMs = TICK_MS, recordRoutes = 1 } = options;
  const mistakes: string[] = [];
  if (sockets.length > SOCKETS_MAX) mistakes.push(`sockets: allowed are at most ${SOCKETS_MAX}`);
  if (new Set(sockets).size !== sockets.length) mistakes.push('sockets: allowed is each name once');
  if (!(tickMs >= 0 && tickMs <= TICK_MS_MAX)) {
    mistakes.push(`tickMs=${tickMs}: allowed is 0 to ${TICK_MS_MAX} milliseconds`);
  }
  if (![0, 1, 2].includes(recordRoutes)) mistakes.push(`recordRoutes=${recordRoutes}: allowed is 0, 1 or 2`);
  if (mistakes.length > 0) throw new EngineError('ERR_CONFIG', mistakes.join('\n'));
  const params = dialogParams(options.params ?? {});
  if (params.h_id_start === -1) {
    throw new EngineError(
      'ERR_CONFIG',
      'params h_id_start=-1: allowed is 0 or more, for there is no server id here',
    );
  }
  return params;
}

/**
 * Takes over the calls in the file, or makes it.
 *
 * @throws EngineError ERR_SEGMENT_IN_USE, ERR_SEGMENT_ROOM, ERR_SEGMENT when the file is of another layout, hash_size or
 *         order of profiles: then `fresh` begins anew; one of another boot of the machine is moved to `<path>.stale`
 */
export function openSegment(options: EngineOptions, params: Params['dialog']): OpenSegment {
  const { path, bytes, fresh = false } = options.segment;
  const wanted = {
    path,
    bytes: bytes ?? null,
    hashSize: params.hash_size,
    workers: 1,
    hIdStart: params.h_id_start === 0 ? null : params.h_id_start,
    hIdStep: params.h_id_step,
    profiles: profileDefinitions(params),
    sockets: socketNames(options),
    mailboxBytes: MAILBOX_BYTES,
    keepAliveSeconds: params.ka_interval,
  };
  return openSegmentFile(wanted, { fresh, everySocket: false });
}

/** Sockets have numbers from 1 on, and a dialog must have one. */
export function socketNames(options: EngineOptions): readonly string[] {
  return options.sockets === undefined || options.sockets.length === 0 ? ['engine'] : options.sockets;
}
