/** Counting.  [manual 5.1, 7] */
import { onOff } from '../param.js';

export const statisticsParams = {
  enable_stats: onOff({
    default: 1,
    section: '5.1',
    doc: 'Whether the statistics of the dialog module are shown.',
  }),
} as const;
