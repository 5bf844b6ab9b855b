/** OPTIONS inside calls, to find dead ones.  [manual 5.47, 5.48] */
import { integer, seconds } from '../param.js';

export const keepaliveParams = {
  ka_timer: seconds({
    default: 0,
    min: 0,
    max: 86_400,
    section: '5.47',
    doc: 'How often due probes are looked for. 0 never.',
  }),
  ka_interval: seconds({
    default: 0,
    or: [0],
    min: 30,
    max: 86_400,
    section: '5.48',
    doc: 'Quiet time after which a side is probed with OPTIONS. 0 never probes.',
  }),
  ka_failed_limit: integer({
    default: 1,
    min: 1,
    max: 1_000,
    section: 'beyond the manual',
    doc: 'Probes of one side that may fail before the call is ended.',
  }),
} as const;
