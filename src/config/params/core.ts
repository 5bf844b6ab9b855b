/** The proxy itself: receiving, routing, name resolution. */
import { integer, milliseconds, seconds } from '../param.js';

export const coreParams = {
  server_id: integer({
    default: 0,
    min: 0,
    max: 2_147_483_647,
    section: 'core',
    doc: 'Number of this server among those that share something.',
  }),
  receive_window_ms: milliseconds({
    default: 2,
    min: 0,
    max: 10,
    section: 'transport',
    doc: 'Longest time datagrams are gathered when traffic makes that worth while. 0 never waits.',
  }),
  receive_buffer_bytes: integer({
    default: 4_194_304,
    min: 65_536,
    max: 1_073_741_823,
    section: 'transport',
    doc: 'Receive buffer asked of the kernel for each socket; it may give less.',
  }),
  overload_delay_ms: milliseconds({
    default: 20,
    min: 0,
    max: 1_000,
    section: 'transport',
    doc: 'A shard is behind when its queue has not been empty for so long and what it takes out has waited so long, or the kernel dropped some: until the queue is empty, new INVITEs get 503, calls that are up go on. 0 never refuses.',
  }),
  max_forwards: integer({
    default: 70,
    min: 1,
    max: 255,
    section: 'RFC 3261 16.6',
    doc: 'Max-Forwards of a request that came without one.',
  }),
  max_breadth: integer({
    default: 60,
    min: 1,
    max: 255,
    section: 'RFC 5393 5',
    doc: 'Max-Breadth of a request that came without one.',
  }),
  route_timeout_ms: milliseconds({
    default: 5_000,
    min: 10,
    max: 60_000,
    section: 'routes',
    doc: 'How long a route may wait for a look-up elsewhere.',
  }),
  drain_timeout_ms: milliseconds({
    default: 10_000,
    min: 0,
    max: 600_000,
    section: 'signals',
    doc: 'How long an orderly stop waits for transactions in work.',
  }),
  dns_cache_min_ttl: seconds({
    default: 1,
    min: 0,
    max: 86_400,
    section: 'RFC 3263',
    doc: 'Shortest time an answer of the DNS is kept.',
  }),
  dns_cache_max_ttl: seconds({
    default: 3_600,
    min: 1,
    max: 604_800,
    section: 'RFC 3263',
    doc: 'Longest time an answer of the DNS is kept.',
  }),
  dns_cache_negative_ttl: seconds({
    default: 60,
    min: 0,
    max: 3_600,
    section: 'RFC 2308',
    doc: 'How long it is remembered that a name has no address.',
  }),
  dns_cache_max_names: integer({
    default: 10_000,
    min: 16,
    max: 1_000_000,
    section: 'RFC 3263',
    doc: 'Most names kept; the one used longest ago goes first.',
  }),
} as const;
