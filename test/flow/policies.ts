/**
 * The routes that flows run, by the name in their `routes` line.
 *
 * Each is what an operator would write; what it needs from the flow (an event seen, a look-up answered) is handed in.
 */
import type { RequestContext } from '../../dist/script/context.js';
import { defaultRoutes } from '../../dist/script/default-routes.js';
import { type Routes, RouteTable, routes } from '../../dist/script/routes.js';

export type Policy = {
  readonly routes: RouteTable;
  /** Ends the look-ups that routes wait for, oldest first. */
  readonly lookups: ((answer: string) => void)[];
};

export type OnEvent = (event: string, callId: string) => void;

const CALLEE = 'sip:callee@192.0.2.20:5060';
const CALLEE_2 = 'sip:callee2@192.0.2.30:5060';
const CALLEE_3 = 'sip:callee3@192.0.2.40:5060';
const BACKUP = 'sip:192.0.2.50:5060';

/** What comes first in every route: sanity, Max-Forwards, then requests inside a dialog.  True: the request is dealt with. */
function isDealtWith(r: RequestContext): boolean {
  if (!r.sanity_check()) return true;
  if (!r.mf_process_maxfwd_header(70)) {
    r.sl_send_reply(483, 'Too Many Hops');
    return true;
  }
  if (!r.has_totag()) {
    r.loose_route();
    return false;
  }
  if (r.loose_route()) r.t_relay();
  else if (!r.is_method('ACK')) r.sl_send_reply(404, 'Not here');
  return true;
}

/** What X-Do can ask for. */
const acts: Readonly<Record<string, (r: RequestContext, words: readonly string[]) => boolean>> = {
  bye: (r, [side]) => r.dlg_bye(side as 'all'),
  refer: (r, [side, address]) => r.dlg_refer(side as 'caller', address!),
  bridge: (r, [from, to, op]) => r.dlg_bridge(from!, to!, op ?? ''),
  property: (r, [name]) => r.dlg_set_property(name!),
  within: (r, [side, method, type, body]) => r.dlg_req_within(side as 'all', method!, '', type, body),
};

/** Does what X-Do asks for, once the call is up: 200, or not done, 500.  False: it asks for nothing. */
function act(r: RequestContext): boolean {
  const [verb, ...words] = (r.$hdr('X-Do') ?? '').split(' ');
  if (verb === '' || !r.has_totag()) return false;
  const done = r.loose_route() && acts[verb!]!(r, words);
  r.t_reply(done ? 200 : 500, done ? 'Done' : 'Not done');
  return true;
}

function tracked(r: RequestContext): void {
  r.record_route();
  if (r.is_method('INVITE')) r.dlg_manage();
}

/** One kind of policy; the events of every dialog are told, and what a route itself notes. */
function policy(
  define: (lookup: () => Promise<string>, note: OnEvent) => Routes,
): (onEvent: OnEvent) => Policy {
  return (onEvent) => {
    const lookups: ((answer: string) => void)[] = [];
    const lookup = (): Promise<string> =>
      new Promise((resolve, reject) => {
        lookups.push((answer) =>
          answer === 'fails' ? reject(new Error('look-up failed')) : resolve(answer),
        );
      });
    const tell =
      (event: string) =>
      (d: { $dlg(name: 'callid'): string | number | null }): void =>
        onEvent(event, String(d.$dlg('callid')));
    const event = {
      'dialog:start': tell('start'),
      'dialog:end': tell('end'),
      'dialog:failed': tell('failed'),
    };
    const defined = define(lookup, onEvent);
    return { routes: new RouteTable(routes({ ...defined, event: { ...event, ...defined.event } })), lookups };
  };
}

export const policies: Readonly<Record<string, (onEvent: OnEvent) => Policy>> = {
  /** The routes of the product, with one next hop for all calls. */
  next_hop: policy(() => defaultRoutes('sip:192.0.2.20:5060')),

  /** Track and relay by R-URI. */
  relay: policy(() => ({
    request(r) {
      if (isDealtWith(r)) return;
      tracked(r);
      r.t_relay();
    },
  })),

  /** Two targets at once. */
  fork: policy(() => ({
    request(r) {
      if (isDealtWith(r)) return;
      tracked(r);
      r.$ru = CALLEE;
      r.append_branch(CALLEE_2);
      r.t_relay();
    },
  })),

  /** Three targets at once. */
  fork3: policy(() => ({
    request(r) {
      if (isDealtWith(r)) return;
      tracked(r);
      r.$ru = CALLEE;
      r.append_branch(CALLEE_2);
      r.append_branch(CALLEE_3);
      r.t_relay();
    },
  })),

  /** A second next hop when the first fails. */
  backup: policy(() => ({
    request(r) {
      if (isDealtWith(r)) return;
      tracked(r);
      r.t_on_failure('backup');
      r.t_relay();
    },
    failure: {
      backup(f) {
        if (!f.t_check_status('408|486|5xx')) return;
        f.$du = BACKUP;
        f.t_relay();
      },
    },
  })),

  /** Challenges from behind are answered here, twice at most; who refuses our credentials is left for the backup. */
  auth: policy((_lookup, note) => ({
    request(r) {
      if (!r.sanity_check()) return;
      if (!r.loose_route() && !r.has_totag()) tracked(r);
      if (r.is_method('INFO')) note(`diff-${r.$dlg_var('cseq_diff')}`, r.$ci);
      r.t_on_failure('auth');
      r.t_relay();
    },
    failure: {
      auth(f) {
        if (f.t_check_status('401|407') && f.uac_auth()) {
          f.t_on_failure('auth');
          f.t_relay();
        } else if (f.is_method('INVITE') && !f.has_totag()) {
          f.$du = BACKUP;
          f.t_relay();
        }
      },
    },
  })),

  /** Who is challenged tries two targets with credentials. */
  auth_fork: policy(() => ({
    request(r) {
      if (isDealtWith(r)) return;
      tracked(r);
      r.t_on_failure('auth');
      r.t_relay();
    },
    failure: {
      auth(f) {
        if (!f.uac_auth()) return;
        f.$du = null;
        f.append_branch(CALLEE_2);
        f.t_relay();
      },
    },
  })),

  /** Of two targets the one that challenges gets the request once more. */
  fork_auth: policy(() => ({
    request(r) {
      if (isDealtWith(r)) return;
      tracked(r);
      r.$ru = CALLEE;
      r.append_branch(CALLEE_2);
      r.t_on_failure('auth');
      r.t_relay();
    },
    failure: {
      auth(f) {
        if (f.uac_auth()) f.t_relay();
      },
    },
  })),

  /** Requests of our own are marked, sent elsewhere, or not at all. */
  local: policy((_lookup, note) => ({
    request(r) {
      if (isDealtWith(r)) return;
      tracked(r);
      r.t_relay();
    },
    event: {
      'tm:local-request'(l) {
        note(`local-${l.$dlg('callid') === l.$ci ? 'known' : 'unknown'}`, l.$ci);
        l.append_hf('X-Local: yes');
        l.remove_hf('Subject');
        if (l.is_method('OPTIONS')) l.drop();
        if (l.is_method('INFO')) l.$fs = 'udp:192.0.2.2:5070';
        if (!l.is_method('REFER') || l.t_relay() || l.t_reply()) return;
        l.$ru = 'sip:other@192.0.2.30:5060';
        l.$du = null;
      },
    },
  })),

  /** Credentials that the route knows. */
  auth_by_avp: policy(() => ({
    request(r) {
      if (isDealtWith(r)) return;
      tracked(r);
      r.$avp('user', 'bob');
      r.$avp('secret', '5f4dcc3b5aa765d61d8327deb882cf99');
      r.t_on_failure('auth');
      r.t_relay();
    },
    failure: {
      auth(f) {
        if (f.uac_auth(1)) f.t_relay();
      },
    },
  })),

  /** Header edits and a Record-Route of the request route hold for the backup's copy too. */
  edits: policy(() => ({
    request(r) {
      if (isDealtWith(r)) return;
      tracked(r);
      r.append_hf('X-Policy: kept\r\n');
      r.remove_hf('X-Strange');
      r.t_on_failure('backup');
      r.t_relay();
    },
    failure: {
      backup(f) {
        f.$du = BACKUP;
        f.t_relay();
      },
    },
  })),

  /** A trust boundary: these fields do not cross it, however many there are; the failure route takes its own mark off again. */
  boundary: policy(() => ({
    request(r) {
      if (isDealtWith(r)) return;
      tracked(r);
      r.remove_hf('X-Mark');
      r.remove_hf('X-Internal-Account');
      r.append_hf('X-Try: first\r\nX-Policy: kept');
      r.t_on_failure('again');
      r.t_relay();
    },
    failure: {
      again(f) {
        f.remove_hf('X-Try');
        f.append_hf('X-Second: yes');
        f.$du = BACKUP;
        f.t_relay();
      },
    },
  })),

  /** What cannot be added is not left out: the request is refused. */
  too_much: policy(() => ({
    request(r) {
      for (let n = 0; n < 3; n++) r.append_hf(`X-Long: ${'x'.repeat(8_000)}`);
      r.t_relay();
    },
  })),

  /** Refusals that say more, with and without a transaction. */
  refuses: policy(() => ({
    request(r) {
      if (r.is_method('ACK')) return;
      r.append_to_reply('X-Node: one\r\nX-Who: Müller Żaba');
      if (r.is_method('INVITE')) r.t_reply(503, 'Full', 'Retry-After: 7');
      else r.sl_send_reply(503, 'Full', 'Retry-After: 7\r\nX-Why: load\r\n');
    },
  })),

  /** A next hop for each target, one of them chosen by the branch route. */
  next_hops: policy(() => ({
    request(r) {
      if (isDealtWith(r)) return;
      r.$du = 'sip:192.0.2.20';
      r.append_branch('sip:team@example.com', 'sip:192.0.2.30');
      r.append_branch('sip:team@example.com', 'sip:192.0.2.99');
      r.t_on_branch('third');
      r.t_relay();
    },
    branch: {
      third(b) {
        b.append_hf(`X-Branch: ${b.$T_branch_idx}`);
        if (b.$T_branch_idx === 2) b.$du = 'sip:192.0.2.40';
      },
    },
  })),

  /** What the proxy changes itself is removed too, and Max-Forwards written anew. */
  strips: policy(() => ({
    request(r) {
      if (!r.sanity_check()) return;
      r.loose_route();
      if (!r.has_totag()) tracked(r);
      r.remove_hf('Route');
      r.remove_hf('Max-Forwards');
      r.append_hf('Max-Forwards: 69');
      r.t_relay();
    },
  })),

  /** Few hops are allowed, and the backup gets no more. */
  few_hops: policy(() => ({
    request(r) {
      if (!r.sanity_check() || !r.mf_process_maxfwd_header(10)) return;
      if (r.loose_route()) return void r.t_relay();
      tracked(r);
      r.t_on_failure('backup');
      r.t_relay();
    },
    failure: {
      backup(f) {
        f.$du = BACKUP;
        f.t_relay();
      },
    },
  })),

  /** The backup's address is a name. */
  backup_by_name: policy(() => ({
    request(r) {
      if (isDealtWith(r)) return;
      tracked(r);
      r.t_on_failure('backup');
      r.t_relay();
    },
    failure: {
      backup(f) {
        f.$du = 'sip:backup.example:5060';
        f.t_relay();
      },
    },
  })),

  /** Who fails leads on to the next address of the same name. */
  by_name: policy(() => ({
    request(r) {
      if (isDealtWith(r)) return;
      tracked(r);
      r.$du = 'sip:phones.example:5060';
      r.t_on_failure('next');
      r.t_relay();
    },
    failure: {
      next(f) {
        if (!f.t_check_status('408|503')) return;
        f.$du = 'sip:phones.example:5060';
        f.t_on_failure('next');
        f.t_relay();
      },
    },
  })),

  /** Relays twice by mistake. */
  twice: policy(() => ({
    request(r) {
      if (!r.sanity_check()) return;
      if (!r.loose_route()) tracked(r);
      r.t_relay();
      r.t_relay();
    },
  })),

  /** Says 100 by itself, before the relay. */
  trying: policy(() => ({
    request(r) {
      if (isDealtWith(r)) return;
      tracked(r);
      r.sl_send_reply(100, 'Trying');
      r.t_relay();
    },
  })),

  /** Only INVITEs have dialogs; every reply is looked at, and one that sees another call's dialog is noted. */
  all_replies: policy((_lookup, note) => ({
    request(r) {
      if (isDealtWith(r)) return;
      tracked(r);
      r.t_relay();
    },
    reply: {
      all(p) {
        const callId = p.$dlg('callid');
        if (callId !== null && callId !== p.$ci) note('stranger', p.$ci);
        note(p.$dlg_ctx('set') === 1 ? 'known' : 'unknown', p.$ci);
      },
    },
  })),

  /** Each branch gets its own header. */
  branches: policy(() => ({
    request(r) {
      if (isDealtWith(r)) return;
      tracked(r);
      r.$ru = CALLEE;
      r.append_branch(CALLEE_2);
      r.t_on_branch('mark');
      r.t_relay();
    },
    branch: {
      mark(b) {
        if (b.$rU === 'callee2') b.$ru = 'sip:second@192.0.2.30:5060';
      },
    },
  })),

  /** We are the callee. */
  own_2xx: policy(() => ({
    request(r) {
      if (isDealtWith(r)) return;
      tracked(r);
      r.t_reply(200, 'OK');
    },
  })),

  /** Provisional answers of one kind are kept from the caller. */
  quiet: policy(() => ({
    request(r) {
      if (isDealtWith(r)) return;
      tracked(r);
      r.t_on_reply('quiet');
      r.t_relay();
    },
    reply: {
      quiet(p) {
        if (p.t_check_status('183')) p.drop();
      },
    },
  })),

  /** An INFO in the call says what is to be done with it: `X-Do: bye all`; it did, 200, or not, 500. */
  acts: policy(() => ({
    request(r) {
      if (act(r) || isDealtWith(r)) return;
      tracked(r);
      r.t_relay();
    },
  })),

  /** The same, and who answers is reached at the Contact of the answer from then on. */
  acts_moves: policy(() => ({
    request(r) {
      if (act(r) || isDealtWith(r)) return;
      tracked(r);
      r.t_relay();
    },
    reply: {
      all: (p) => p.dlg_update_contact(),
    },
  })),

  /** The same, and an INVITE goes to two targets. */
  acts_fork: policy(() => ({
    request(r) {
      if (act(r) || isDealtWith(r)) return;
      tracked(r);
      r.$ru = CALLEE;
      r.append_branch(CALLEE_2);
      r.t_relay();
    },
  })),

  /** Listeners of every dialog, which see it and the message that they are told of. */
  callbacks: policy((_, note) => ({
    request(r) {
      if (isDealtWith(r)) return;
      tracked(r);
      r.t_relay();
    },
    callback: {
      CREATED: (d) => note(`created-${d.$rm}-${d.$dlg('state')}`, d.$ci),
      EARLY: (d, { direction }) => note(`early-${d.$rs}-${direction}`, d.$ci),
      CONFIRMED_NA: (d) => note(`na-${d.$rs}`, d.$ci),
      REQ_WITHIN(d, { direction }) {
        note(`within-${d.$rm}-${direction}`, d.$ci);
        throw new Error('costs nobody anything');
      },
      TERMINATED: (d, { direction }) => note(`over-${d.$dlg('state')}-${direction}`, d.$ci),
    },
  })),

  /** One call at a time for each caller. */
  limit: policy(() => ({
    request(r) {
      if (isDealtWith(r)) return;
      tracked(r);
      if (!r.dlg_try_profile('caller', r.$fU, 1)) r.t_reply(503, 'Limit');
      else r.t_relay();
    },
  })),

  /** The same, by somebody who looks neither at the Contact nor at what dlg_manage() says. */
  limit_bare: policy(() => ({
    request(r) {
      if (r.has_totag()) return void (r.loose_route() && r.t_relay());
      tracked(r);
      if (!r.dlg_try_profile('caller', r.$fU, 1)) r.t_reply(503, 'Limit');
      else r.t_relay();
    },
  })),

  /** Neighbours without Route: their requests are found by Call-ID and tags. */
  by_tags: policy(() => ({
    request(r) {
      if (!r.sanity_check()) return;
      if (!r.mf_process_maxfwd_header(70)) return void r.sl_send_reply(483, 'Too Many Hops');
      r.dlg_manage();
      r.t_relay();
    },
  })),

  /** The next hop is known elsewhere. */
  slow: policy((lookup) => ({
    async request(r) {
      if (isDealtWith(r)) return;
      tracked(r);
      const hop = await lookup();
      r.$du = hop;
      r.t_relay();
    },
  })),

  /** Every route waits, one with an ACK as well. */
  slow_all: policy((lookup) => ({
    async request(r) {
      await lookup();
      if (isDealtWith(r)) return;
      tracked(r);
      r.t_relay();
    },
  })),

  /** A route makes a dialog when it has waited, and then waits for what never comes. */
  slow_manage: policy((lookup) => ({
    async request(r) {
      if (!r.is_method('INVITE')) return;
      await lookup();
      tracked(r);
      await lookup();
      r.t_relay();
    },
  })),

  /** A call that fails takes the one that rings for callee3 along: told of by the dialog's event. */
  takes_along: policy((_, note) => {
    let other: [string, string, string] = ['', '', ''];
    return {
      request(r) {
        if (isDealtWith(r)) return;
        if (r.$rU === 'callee3') other = [r.$ci, r.$ft, 'callee3-tag'];
        tracked(r);
        if (r.$rU === 'team') {
          r.$ru = CALLEE;
          r.append_branch(CALLEE_2);
        }
        r.t_relay();
      },
      event: {
        'dialog:failed'(d) {
          const failed = String(d.$dlg('callid'));
          note('failed', failed);
          if (failed !== other[0]) note(d.dlg_get(...other) && d.dlg_bye('all') ? 'other' : 'none', failed);
        },
      },
    };
  }),

  /** The same by a failure route, while a listener reads the request of each call that fails. */
  takes_along_and_goes_on: policy((_, note) => {
    let other: [string, string, string] = ['', '', ''];
    return {
      request(r) {
        if (isDealtWith(r)) return;
        if (r.$rU === 'callee3') other = [r.$ci, r.$ft, 'callee3-tag'];
        tracked(r);
        r.t_on_failure('along');
        r.t_relay();
      },
      failure: {
        along(f) {
          if (f.$ci === other[0]) return;
          note(f.dlg_get(...other) && f.dlg_bye('all') ? 'other' : 'none', f.$ci);
          f.$du = BACKUP;
          f.t_relay();
        },
      },
      callback: { FAILED: (d) => note(d.$ci === d.$dlg('callid') ? `told-${d.$rm}` : 'lost', d.$ci) },
    };
  }),

  /** The next hop is known elsewhere; what the route knew of its dialog it still knows afterwards. */
  slow_dialog: policy((lookup, note) => ({
    async request(r) {
      if (!r.sanity_check()) return;
      if (!r.has_totag()) {
        tracked(r);
        r.$dlg_var('user', r.$rU);
        if (r.$rU === 'callee2') r.dlg_setflag(3);
      } else if (r.is_method('ACK')) {
        // Nothing keeps an ACK: its route cannot wait.
        if (r.loose_route()) r.t_relay();
        return;
      }
      const hop = await lookup();
      if (r.has_totag()) {
        if (!r.loose_route() || r.$DLG_status === null || !r.is_known_dlg()) note('lost', r.$ci);
        r.t_relay();
        return;
      }
      if (r.$dlg('callid') !== r.$ci || r.$dlg_ctx('set') !== 1) note('lost', r.$ci);
      r.append_hf(`X-User: ${r.$dlg_var('user')}`);
      r.append_hf(`X-Flag: ${r.dlg_isflagset(3)}`);
      r.$dlg_var('hop', hop);
      if (r.$dlg_var('hop') !== hop) note('lost', r.$ci);
      r.$du = hop;
      r.t_relay();
    },
  })),

  /** What a route knows goes with its transaction; when that is over, nothing takes it any more. */
  slow_values: policy((lookup, note) => ({
    async request(r) {
      if (isDealtWith(r)) return;
      tracked(r);
      r.$avp('before', 1);
      await lookup();
      note(r.$avp('after', 1) ? 'kept' : 'refused', r.$ci);
      note(r.t_relay() ? 'relayed' : 'over', r.$ci);
    },
  })),

  /** Somebody's mistake. */
  throws: policy(() => ({
    request(r) {
      if (isDealtWith(r)) return;
      throw new Error('a mistake in the route');
    },
  })),

  /** A mistake after the dialog was made. */
  throws_late: policy(() => ({
    request(r) {
      if (isDealtWith(r)) return;
      tracked(r);
      throw new Error('a mistake in the route');
    },
  })),

  /** A message flag makes the dialog, an AVP says how long it lives, and when that is over a route gives it more, once. */
  lifetimes: policy((_lookup, note) => ({
    request(r) {
      r.$avp('lifetime', r.is_method('UPDATE') ? 100 : 50);
      if (isDealtWith(r)) return;
      if (r.is_method('INVITE')) {
        r.$dlg_ctx('timeout_route', 'more');
        r.setflag(4);
      }
      r.record_route();
      r.t_relay();
    },
    route: {
      more(d) {
        const isFirst = d.$dlg_var('more') === null;
        d.$dlg_var('more', 'yes');
        note(isFirst && d.dlg_set_timeout(30) ? 'more' : 'enough', String(d.$dlg('callid')));
      },
    },
  })),

  /** Everything is refused. */
  refuse: policy(() => ({
    request(r) {
      if (isDealtWith(r)) return;
      tracked(r);
      r.t_reply(403, 'Forbidden');
    },
  })),
};
