/**
 * A route file that does what no operator means to: on request it never returns, throws, or ends its thread.
 *
 * Everything else is relayed with a dialog, as the default routes do.  A thread whose owner number stands in the file
 * that HOLDFAST_TEST_END_OWNER names takes the file away and ends; HOLDFAST_TEST_ENDS gets a line for each dialog:end, and
 * with the HOLDFAST_TEST_DIES_AT-th of a thread the process kills itself.
 */
import { appendFileSync, readFileSync, rmSync } from 'node:fs';
import { workerData } from 'node:worker_threads';
import { routes } from 'holdfast';

const NEXT_HOP = process.env.HOLDFAST_TEST_NEXT_HOP ?? '';
const END_OWNER = process.env.HOLDFAST_TEST_END_OWNER;
const ENDS = process.env.HOLDFAST_TEST_ENDS;
const DIES_AT = Number(process.env.HOLDFAST_TEST_DIES_AT ?? 0);
const LOOK_EVERY_MS = 20;
let ended = 0;

if (END_OWNER !== undefined) {
  setInterval(() => {
    if (!isAsked(END_OWNER)) return;
    rmSync(END_OWNER);
    process.exit(3);
  }, LOOK_EVERY_MS).unref();
}

function isAsked(file: string): boolean {
  try {
    return Number(readFileSync(file, 'utf8')) === workerData.owner;
  } catch {
    return false;
  }
}

export default routes({
  request(r) {
    const wish = r.$hdr('X-Wish');
    if (wish === 'never return') for (;;);
    if (wish === 'throw') throw new Error('as you wish');
    if (wish === 'end the thread') process.exit(3);
    if (!r.mf_process_maxfwd_header(70)) return r.sl_send_reply(483, 'Too Many Hops');
    if (r.has_totag()) {
      if (r.loose_route()) return r.t_relay();
      return r.is_method('ACK') ? true : r.sl_send_reply(404, 'Not here');
    }
    r.$du = NEXT_HOP;
    if (r.is_method('INVITE')) {
      r.record_route();
      r.dlg_manage();
    }
    return r.t_relay();
  },
  event: {
    'dialog:end'(d) {
      // Written at once: the log goes by way of the main thread, and a kill loses it.
      if (ENDS !== undefined) appendFileSync(ENDS, `${workerData.owner} ${d.$dlg('callid')}\n`);
      if (++ended === DIES_AT) process.kill(process.pid, 'SIGKILL');
    },
  },
});
