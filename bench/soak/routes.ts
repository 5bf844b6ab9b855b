/**
 * The policy of the soak: everything tracked, a profile with a limit, and what the user part of the R-URI asks for:
 * `fork` goes to two callees, `expire` has a lifetime that nobody waits out.
 */
import { routes } from 'holdfast';

const CALLS_PER_CALLER_MAX = 1_000_000;
const EXPIRE_S = 5;
const OTHER_CALLEE = process.env.HOLDFAST_SOAK_OTHER_CALLEE ?? 'sip:fork@127.0.0.1:5091';

export default routes({
  request(r) {
    if (!r.mf_process_maxfwd_header(10)) return r.sl_send_reply(483, 'Too Many Hops');
    if (r.has_totag()) {
      if (r.loose_route()) return r.t_relay();
      if (r.is_method('ACK')) return;
      return r.sl_send_reply(404, 'Not here');
    }
    if (r.is_method('INVITE')) {
      r.record_route();
      if (!r.dlg_try_profile('caller', r.$fU, CALLS_PER_CALLER_MAX)) return r.sl_send_reply(503, 'Limit');
      r.dlg_manage();
      if (r.$rU === 'expire') r.dlg_set_timeout(EXPIRE_S);
      if (r.$rU === 'fork') r.append_branch(OTHER_CALLEE);
    }
    return r.t_relay();
  },
});
