/** Names of tables and columns in the database.  [manual 5.15-5.34, 5.36-5.39] */
import { type Param, text } from '../param.js';

const NAME = { pattern: /^[A-Za-z_][A-Za-z0-9_]*$/, words: 'an SQL name' };

/** The name of a table or column: one that needs no quotes in any database. */
export function tableName(byDefault: string, section: string, doc: string, alias?: string): Param<string> {
  const row = { default: byDefault, minBytes: 1, maxBytes: 64, form: NAME, later: true, section, doc };
  return text(alias === undefined ? row : { ...row, alias });
}

const column = tableName;

export const columnParams = {
  call_id_column: column('callid', '5.15', 'Column of the Call-ID.', 'callid_column'),
  from_uri_column: column('from_uri', '5.16', 'Column of the caller URI.'),
  from_tag_column: column('from_tag', '5.17', 'Column of the caller tag.'),
  to_uri_column: column('to_uri', '5.18', 'Column of the callee URI.'),
  to_tag_column: column('to_tag', '5.19', 'Column of the callee tag.'),
  from_cseq_column: column('caller_cseq', '5.20', 'Column of the caller CSeq.'),
  to_cseq_column: column('callee_cseq', '5.21', 'Column of the callee CSeq.'),
  from_route_column: column('caller_route_set', '5.22', 'Column of the caller Route set.'),
  to_route_column: column('callee_route_set', '5.23', 'Column of the callee Route set.'),
  from_contact_column: column('caller_contact', '5.24', 'Column of the caller remote target.'),
  to_contact_column: column('callee_contact', '5.25', 'Column of the callee remote target.'),
  from_sock_column: column('caller_sock', '5.26', 'Column of the socket towards the caller.'),
  to_sock_column: column('callee_sock', '5.27', 'Column of the socket towards the callee.'),
  h_id_column: column('hash_id', '5.28', 'Column of h_id.'),
  h_entry_column: column('hash_entry', '5.29', 'Column of h_entry.'),
  state_column: column('state', '5.30', 'Column of the state.'),
  start_time_column: column('start_time', '5.31', 'Column of the start time.'),
  timeout_column: column('timeout', '5.32', 'Column of the expiry.'),
  sflags_column: column('sflags', '5.33', 'Column of the script flags.'),
  toroute_name_column: column('toroute_name', '5.34', 'Column of the timeout route.', 'toroute_column'),
  vars_h_id_column: column('hash_id', '5.36', 'Column of h_id beside a variable.'),
  vars_h_entry_column: column('hash_entry', '5.37', 'Column of h_entry beside a variable.'),
  vars_key_column: column('dialog_key', '5.38', 'Column of the name of a variable.'),
  vars_value_column: column('dialog_value', '5.39', 'Column of the value of a variable.'),
} as const;
