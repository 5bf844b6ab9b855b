/** What routes see and when they run.  [manual 5.44, 5.51] */
import { choice, onOff } from '../param.js';

export const scriptParams = {
  initial_cbs_inscript: choice({
    default: 1,
    values: { 0: 'when the transaction is made', 1: 'right after dlg_manage()' },
    section: '5.44',
    doc: 'When the first callbacks of a dialog run.',
  }),
  track_cseq_updates: onOff({
    default: 0,
    section: '5.51',
    doc: 'Whether CSeq numbers are mended in calls that this proxy authenticated on the way.',
  }),
} as const;
