/**
 * Lifetimes, probes, credentials and calls that are ended or moved by a route.
 *
 * npm start -- --routes examples/call-control.ts --set dialog:dlg_flag=4 --set dialog:ka_timer=10 --set dialog:ka_interval=30 \
 *   --set uac:credential=alice:example.com:secret
 */
import { routes } from 'holdfast';

export default routes({
  request(r) {
    if (!r.mf_process_maxfwd_header(10)) return r.sl_send_reply(483, 'Too Many Hops');
    if (!r.sanity_check()) return;
    if (r.has_totag()) {
      if (!r.loose_route() || !r.is_known_dlg()) return r.sl_send_reply(481, 'No such call');
      const [verb, side, to = ''] = (r.$hdr('X-Control') ?? '').split(' ');
      if (verb === '') return r.t_relay();
      let done = false;
      if (verb === 'end') done = r.dlg_bye('all');
      if (verb === 'refer') done = r.dlg_refer(side === 'caller' ? 'caller' : 'callee', to);
      if (verb === 'say') done = r.dlg_req_within('all', 'MESSAGE', '', 'text/plain', 'hello');
      return done ? r.t_reply(200, 'Done') : r.t_reply(403, 'Not done');
    }
    r.record_route();
    if (r.is_method('INVITE')) {
      r.setflag(4); // dialog:dlg_flag: the INVITE's transaction brings its dialog with it
      r.$dlg_ctx('timeout', 3600);
      r.$dlg_ctx('timeout_bye', 1); // as dialog:send_bye does for all calls: BYE to both sides
      r.$dlg_ctx('timeout_route', 'prepaid');
      r.dlg_set_property('ka-src');
      r.dlg_set_property('ka-dst');
      r.$dlg_var('account', r.$fU);
      r.t_on_failure('challenged');
    }
    r.t_relay();
  },
  failure: {
    challenged(f) {
      if (f.t_check_status('401|407') && f.uac_auth()) f.t_relay();
    },
  },
  route: {
    prepaid(d) {
      if (d.$dlg_var('account') === 'alice') d.dlg_set_timeout(600); // lives on
    },
  },
  callback: {
    RPC_CONTEXT(d, { data }) {
      Object.assign(data!, { account: d.$dlg_var('account') }); // seen in dlg.list_ctx
    },
  },
});
