/**
 * The policy of the benches: the default routes with a limit check, as the rival's configuration has it.
 *
 * Every call record-routes, has a dialog and is a member of its caller's profile value; the limit is asked for and
 * never reached.
 */
import { routes } from 'holdfast';

const CALLS_PER_CALLER_MAX = 1_000_000;
/** Unix second in which every call of a mass expiry ends; 0: none does. */
const EXPIRE_AT_SECONDS = Number(process.env.HOLDFAST_BENCH_EXPIRE_AT ?? 0);
/** A route that has much to do: so long it keeps the processor busy for each call. */
const BURN_US = Number(process.env.HOLDFAST_BENCH_BURN_US ?? 0);
const NEXT_HOP = process.env.HOLDFAST_BENCH_NEXT_HOP ?? 'sip:127.0.0.1:5090';

export default routes({
  request(r) {
    if (!r.mf_process_maxfwd_header(10)) return r.sl_send_reply(483, 'Too Many Hops');
    if (r.has_totag()) {
      if (r.loose_route()) return r.t_relay();
      if (r.is_method('ACK')) return;
      return r.sl_send_reply(404, 'Not here');
    }
    if (r.is_method('INVITE')) {
      if (BURN_US > 0) burn();
      r.record_route();
      if (!r.dlg_try_profile('caller', r.$fU, CALLS_PER_CALLER_MAX)) return r.sl_send_reply(503, 'Limit');
      r.dlg_manage();
      if (EXPIRE_AT_SECONDS > 0) {
        const left = EXPIRE_AT_SECONDS - Math.floor(Date.now() / 1_000);
        if (left > 0) r.dlg_set_timeout(left);
      }
    }
    r.$du = NEXT_HOP;
    return r.t_relay();
  },
});

function burn(): void {
  const until = performance.now() + BURN_US / 1_000;
  while (performance.now() < until);
}
