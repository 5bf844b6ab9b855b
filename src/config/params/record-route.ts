/** Record-Route and loose routing.  [RFC 3261 16.4, 16.6, RFC 5658] */
import { choice, onOff } from '../param.js';

export const recordRouteParams = {
  enable_full_lr: onOff({
    default: 0,
    section: 'RFC 3261 19.1.1',
    doc: 'Whether our URI says lr=on instead of lr, for neighbours that drop parameters without value.',
  }),
  append_fromtag: onOff({
    default: 1,
    section: 'RFC 3261 16.6',
    doc: 'Whether our URI carries the From tag, from which a request tells its direction.',
  }),
  enable_double_rr: choice({
    default: 1,
    values: { 0: 'one always', 1: 'two when the call changes interface', 2: 'two always' },
    section: 'RFC 5658',
    doc: 'How many Record-Route values we add.',
  }),
} as const;
