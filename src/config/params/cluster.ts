/** Dialogs shared by several machines.  [beyond the manual] */
import { onOff } from '../param.js';

export const clusterParams = {
  enable_dmq: onOff({
    default: 0,
    later: true,
    section: 'beyond the manual',
    doc: 'Whether dialogs are shared with the other machines of a cluster.',
  }),
} as const;
