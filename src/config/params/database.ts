/** Dialogs in a database.  [manual 5.10-5.14, 5.35] */
import { choice, integer, onOff, seconds, text } from '../param.js';
import { tableName } from './columns.js';

export const databaseParams = {
  db_url: text({
    default: 'mysql://kamailio:kamailiorw@localhost/kamailio',
    minBytes: 1,
    maxBytes: 1_024,
    form: { pattern: /^[a-z][a-z0-9+.-]*:\/\//, words: 'a URL such as sqlite:///path' },
    later: true,
    section: '5.10',
    doc: 'Where dialogs are stored.',
  }),
  db_mode: choice({
    default: 0,
    values: { 0: 'not stored', 1: 'at once', 2: 'every db_update_period', 3: 'at shutdown' },
    later: true,
    section: '5.11',
    doc: 'When changes are written.',
  }),
  db_update_period: seconds({
    default: 60,
    min: 1,
    max: 86_400,
    later: true,
    section: '5.12',
    doc: 'Time between two writes in mode 2.',
  }),
  db_fetch_rows: integer({
    default: 200,
    min: 0,
    max: 1_000_000,
    later: true,
    section: '5.13',
    doc: 'Rows fetched at once at start; 0 fetches all in one result.',
  }),
  db_skip_load: onOff({
    default: 0,
    later: true,
    section: 'beyond the manual',
    doc: 'Whether stored dialogs are left alone at start.',
  }),
  table_name: tableName('dialog', '5.14', 'Table of the dialogs.'),
  vars_table_name: tableName('dialog_vars', '5.35', 'Table of their variables.'),
} as const;
