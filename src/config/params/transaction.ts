/** Timers of transactions, all in milliseconds, and what their requests say.  [RFC 3261 17, RFC 6026, RFC 3326] */
import { integer, milliseconds } from '../param.js';

export const transactionParams = {
  max_per_source: integer({
    default: 0,
    min: 0,
    max: 1_073_741_823,
    section: 'ours',
    doc: 'Server transactions that one address (of IPv6: one /64) may have open, in equal shares for the workers; further requests that belong to no dialog get 503. 0: half of all that there are.',
  }),
  retr_timer1: milliseconds({
    default: 500,
    min: 10,
    max: 10_000,
    section: 'RFC 3261 17.1.1.1',
    doc: 'T1: estimate of a round trip, the first time between two retransmissions.',
  }),
  retr_timer2: milliseconds({
    default: 4_000,
    min: 10,
    max: 60_000,
    section: 'RFC 3261 17.1.2.2',
    doc: 'T2: the longest time between two retransmissions.',
  }),
  fr_timer: milliseconds({
    default: 30_000,
    min: 100,
    max: 600_000,
    section: 'RFC 3261 17.1.1.2, timers B and F',
    doc: 'How long a branch waits for its first answer, and a non-INVITE for its final one.',
  }),
  fr_inv_timer: milliseconds({
    default: 120_000,
    min: 100,
    max: 3_600_000,
    section: 'RFC 3261 16.6, timer C',
    doc: 'How long a branch that rings waits; begun again by each provisional answer.',
  }),
  wt_timer: milliseconds({
    default: 5_000,
    min: 10,
    max: 600_000,
    section: 'RFC 3261 17.2, RFC 6026',
    doc: 'How long a finished transaction stays to absorb copies; more than retr_timer2.',
  }),
  local_cancel_reason: integer({
    default: 1,
    min: 0,
    max: 1,
    section: 'RFC 3326',
    doc: 'Whether the CANCEL of a branch says in a Reason that another branch answered, or refused for all.',
  }),
  e2e_cancel_reason: integer({
    default: 1,
    min: 0,
    max: 1,
    section: 'RFC 3326',
    doc: "Whether the Reason header fields of the caller's CANCEL go on to the branches.",
  }),
} as const;
