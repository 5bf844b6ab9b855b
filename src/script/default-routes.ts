/**
 * The routes that come with the product: a record-routing, dialog-tracking proxy.
 *
 * Copy it as the start of your own route file and give that to `--routes`.
 */
import { type Routes, routes } from './routes.js';

/** @param nextHop SIP URI that requests without a Route go to; null: their R-URI decides */
export function defaultRoutes(nextHop: string | null): Routes {
  return routes({
    request(r) {
      if (!r.mf_process_maxfwd_header(70)) return r.sl_send_reply(483, 'Too Many Hops');
      if (!r.sanity_check()) return;

      if (r.has_totag()) {
        // Inside a dialog: our Route shows the way; neighbours that drop it are known by Call-ID and tags.  Where all calls
        // go to one next hop, a To tag and our Route alone, which anybody can write, lead nowhere.
        const isRouted = r.loose_route();
        if (isRouted && nextHop === null) return r.t_relay();
        if (!isRouted) r.dlg_manage();
        if (r.is_known_dlg()) {
          if (!isRouted && nextHop !== null && r.is_myself()) r.$du = nextHop;
          return r.t_relay();
        }
        if (r.is_method('ACK')) return;
        return isRouted
          ? r.sl_send_reply(481, 'Call/Transaction Does Not Exist')
          : r.sl_send_reply(404, 'Not here');
      }

      // A Route given in advance may only lead through us.
      r.loose_route();
      if (nextHop !== null && r.has_route()) return r.sl_send_reply(403, 'Preloaded Route');
      if (r.is_method('OPTIONS') && r.is_myself() && r.$rU === '') return r.sl_send_reply(200, 'OK');
      if (nextHop !== null) r.$du = nextHop;
      else if (r.is_myself()) return r.sl_send_reply(404, 'Not here');

      if (r.is_method('INVITE')) {
        r.record_route();
        // A call that nobody tracks is counted by no limit.
        if (!r.dlg_manage()) return r.answered || r.sl_send_reply(403, 'Call Cannot Be Tracked');
        r.set_dlg_profile('caller', r.$fU || r.$fd || 'anonymous');
      }
      return r.t_relay();
    },
  });
}
