/**
 * Routes for the calls of test/system/sipp-dialogs.test.ts and sipp-keepalive.test.ts: what is done with a call is named by the user part of its
 * Request-URI, as `probed` or `fork`.  Ports come from the environment.
 */
import { type RequestContext, routes } from 'holdfast';

const port = (name: string): string => `sip:127.0.0.1:${process.env[`HOLDFAST_TEST_${name}`]}`;

function within(r: RequestContext): unknown {
  if (r.loose_route()) return r.t_relay();
  return r.is_method('ACK') ? r.t_relay() : r.sl_send_reply(404, 'Not here');
}

export default routes({
  request(r) {
    if (!r.mf_process_maxfwd_header(10)) return r.sl_send_reply(483, 'Too Many Hops');
    if (r.is_method('CANCEL')) return r.t_relay();
    if (r.has_totag()) return within(r);
    r.record_route();
    if (r.is_method('INVITE')) r.dlg_manage();
    r.$du = port('CALLEE');
    switch (r.$rU) {
      case 'timeout-far':
        r.dlg_set_timeout(2);
        r.$ru = `sip:far@127.0.0.1:${process.env.HOLDFAST_TEST_CALLEE}`;
        r.$du = port('NEXT');
        break;
      case 'trunk':
        r.t_on_failure('challenged');
        break;
      case 'probed':
        r.dlg_set_property('ka-src');
        r.dlg_set_property('ka-dst');
        break;
      case 'fork':
        r.append_branch(`sip:second@127.0.0.1:${process.env.HOLDFAST_TEST_SECOND}`);
        r.$ru = `sip:first@127.0.0.1:${process.env.HOLDFAST_TEST_CALLEE}`;
        r.$du = null;
        break;
      case 'spiral':
        // Behind the next proxy it is somebody else, and comes back.
        r.$ru = `sip:plain@127.0.0.1:${process.env.HOLDFAST_TEST_OURS}`;
        r.$du = port('NEXT');
        break;
    }
    r.t_relay();
  },
  failure: {
    challenged(f) {
      if (f.t_check_status('401|407') && f.uac_auth()) f.t_relay();
    },
  },
});
