/** The management interface.  [beyond the manual] */
import { text } from '../param.js';

const PATH = { pattern: /^\/[^\p{Cc}]*$/u, words: 'a whole path' };

export const managementParams = {
  token_file: text({
    default: null,
    maxBytes: 3_000,
    form: PATH,
    section: 'beyond the manual',
    doc: 'File with the bearer token that every call must show; beyond loopback there must be one.',
  }),
  dump_folder: text({
    default: null,
    maxBytes: 3_000,
    form: PATH,
    section: 'beyond the manual',
    doc: 'Folder that dlg.dump_file writes new files into; without it that command refuses.',
  }),
} as const;
