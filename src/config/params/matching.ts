/** How messages find their dialog.  [manual 5.2-5.4, 5.8, 5.9] */
import { choice, integer, onOff, text } from '../param.js';

export const matchingParams = {
  hash_size: integer({
    default: 4096,
    min: 1,
    max: 16_777_216,
    powerOfTwo: true,
    section: '5.2',
    doc: 'Number of hash entries; part of every did= cookie and stored row. Look-up cost does not depend on it.',
  }),
  rr_param: text({
    default: 'did',
    minBytes: 1,
    maxBytes: 32,
    form: { pattern: /^[A-Za-z0-9\-.!%*_+`'~]+$/, words: 'a URI parameter name' },
    section: '5.3',
    doc: 'Name of the Record-Route parameter that carries the cookie.',
  }),
  dlg_flag: integer({
    default: null,
    min: 0,
    max: 31,
    section: '5.4',
    doc: 'Message flag that makes an INVITE create a dialog without dlg_manage(). Unset: none.',
  }),
  dlg_match_mode: choice({
    default: 0,
    values: { 0: 'by did= only', 1: 'by did=, then by Call-ID and tags', 2: 'by Call-ID and tags only' },
    section: '5.8',
    doc: 'How a sequential request is matched.',
  }),
  detect_spirals: onOff({
    default: 1,
    section: '5.9',
    doc: 'Whether an INVITE that comes by twice belongs to the dialog it already has.',
  }),
  refuse_merged: onOff({
    default: 0,
    section: 'beyond the manual',
    doc: 'Whether an INVITE that comes by two ways at once is answered 482 the second time. 0: it is a call of its own.',
  }),
  h_id_start: integer({
    default: 0,
    or: [-1],
    min: 0,
    max: 2_147_483_647,
    section: 'beyond the manual',
    doc: 'Offset of h_id, for nodes that share a database. -1 takes the server id.',
  }),
  h_id_step: integer({
    default: 1,
    min: 1,
    max: 65_535,
    section: 'beyond the manual',
    doc: 'Step between two h_id, for nodes that share a database.',
  }),
  keep_proxy_rr: choice({
    default: 0,
    values: {
      0: 'in neither Route set',
      1: "in the callee's Route set",
      2: "in the caller's Route set",
      3: 'in both Route sets',
    },
    section: 'beyond the manual',
    doc: 'Where our own Record-Route stays, so that requests made here pass this proxy again.',
  }),
  dlg_ctxiuid_mode: choice({
    default: 0,
    values: { 0: 'no', 1: 'yes' },
    section: 'beyond the manual',
    doc: 'Whether looking up the dialog of a CANCEL makes it the dialog of the context.',
  }),
} as const;
