/**
 * What the words of a transaction's registers mean: kinds, states and flags.
 */

/** T_KIND */
export const KIND_INVITE_SERVER = 1;
export const KIND_NON_INVITE_SERVER = 2;
/** A request of our own: no server transaction stands behind it. */
export const KIND_CLIENT = 3;

/** T_STATE of a server transaction. */
export const SERVER_PROCEEDING = 1;
/** A final answer other than 2xx to INVITE was sent (repeated until ACK); or any final answer to another request. */
export const SERVER_COMPLETED = 2;
/** ACK for a negative answer came. */
export const SERVER_CONFIRMED = 3;
/** A 2xx to INVITE was sent: copies of the INVITE are absorbed, further 2xx pass.  [RFC 6026] */
export const SERVER_ACCEPTED = 4;

/** T_FLAGS */
export const T_CANCELLED = 1;
/** A route or a name look-up is waited for. */
export const T_SUSPENDED = 2;
/** A 6xx came: nothing more is tried. */
export const T_HAD_6XX = 4;
/** 101-199 were sent upstream: a branch rings. */
export const T_RANG = 8;

/** A failure route waits for a name. */
export const T_FAILS_OVER = 16;
/** Answers go to the source port, though the Via does not ask for it: force_rport(). */
export const T_FORCED_RPORT = 32;

/** What the route decided for every copy: Record-Route goes on; how many Route values came off the top, and the last. */
export const T_RECORD_ROUTE = 64;
export const T_ROUTES_TAKEN_SHIFT = 16;
export const T_ROUTES_TAKEN = 255 << T_ROUTES_TAKEN_SHIFT;
export const T_LAST_ROUTE_TAKEN = 512;
/** A request of our own: an answer came, or none in time, so that none is expected any moment. */
export const T_SETTLED = 1_024;
/** A server transaction that counts against its source, whose address stands in T_ADDRESS0 and behind. */
export const T_COUNTED = 16_777_216;
/** The route decided in text too, which only its worker remembers: whoever finds none must not relay without it. */
export const T_EDITED = 33_554_432;

/** More branches of a fork are to come. */
export const T_UNFINISHED = 2_048;
/** What a dead worker left without an answer or a branch: the next copy of the request begins it anew. */
export const T_BEGINS_ANEW = 4_096;
/** How often it was begun anew: two bits. */
export const T_BEGUN_SHIFT = 13;
export const T_BEGUN = 3 << T_BEGUN_SHIFT;

/** B_STATE of a client transaction. */
export const BRANCH_CALLING = 1;
export const BRANCH_PROCEEDING = 2;
export const BRANCH_COMPLETED = 3;
/** Completed, and its answer was handed to a failure route: it no longer counts for the best answer. */
export const BRANCH_SPENT = 4;

/** B_FLAGS; the lowest two bits count the Record-Route values that we put on this branch (0..2). */
export const B_RECORD_ROUTES = 3;
/** To be cancelled as soon as a provisional answer allows it.  [RFC 3261 9.1] */
export const B_CANCEL_WANTED = 4;
export const B_CANCEL_SENT = 8;
export const B_CANCEL_ANSWERED = 16;
/** Timer C fired: whatever the CANCEL brings counts as 408. */
export const B_TIMED_OUT = 32;
