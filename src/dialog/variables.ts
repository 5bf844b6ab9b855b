/**
 * $dlg_var: texts that live with the dialog.  [manual 8.3]
 *
 * Set before the dialog exists they wait for it, and are dropped with the message if none is made.
 */
import { STATUS } from '../memory/addon.js';
import { constant, X_ARGS } from '../memory/words.js';
import type { Message } from '../sip/message.js';
import { fromBytes, toBytes } from '../sip/utf8.js';
import type { DialogContext } from './context.js';
import { PENDING_MAX } from './context.js';
import type { Numbers } from './numbers.js';
import type { DialogLog } from './ports.js';
import type { MessageDialog } from './profile.js';
import type { Records } from './record.js';
import { COUNTERS } from './statistics.js';

/** Longest key and value that are kept, whoever sets them: what is longer is refused, counted and logged. */
export const VARIABLE_KEY_BYTES_MAX = 1024;
export const VARIABLE_BYTES_MAX = constant('VariableBytesMax');

/** The variable that tells how CSeq numbers differ.  [manual 5.51] */
const COUNTED = 'cseq_diff';

export class Variables {
  private readonly records: Records;
  private readonly messageDialog: MessageDialog;
  private readonly numbers: Numbers;
  private readonly log: DialogLog;

  constructor(records: Records, messageDialog: MessageDialog, numbers: Numbers, log: DialogLog) {
    this.log = log;
    this.records = records;
    this.numbers = numbers;
    this.messageDialog = messageDialog;
  }

  /** null when it is not set. */
  get(context: DialogContext, message: Message, key: string): string | null {
    if (this.messageDialog(message)) {
      const { index, generation } = this.records;
      const counted = key === COUNTED ? this.numbers.difference(index, generation) : null;
      return counted ?? this.read(index, generation, key);
    }
    return context.variables.find((variable) => variable.key === key)?.value ?? null;
  }

  /** null removes; removing what is not there is no fault.  Only texts are kept: anything else is refused. */
  set(context: DialogContext, message: Message, key: string, value: string | null): boolean {
    if (value !== null && typeof value !== 'string') return false;
    if (this.messageDialog(message))
      return this.write(this.records.index, this.records.generation, key, value);
    return this.hold(context, key, value);
  }

  read(index: number, generation: number, key: string): string | null {
    const { records } = this;
    const { native, memory, x } = records;
    const { scratch } = memory;
    const mark = scratch.at;
    const name = toBytes(key);
    if (!records.write(name)) return null;
    const at = scratch.at;
    const room = Math.min(scratch.end - at, VARIABLE_BYTES_MAX);
    scratch.at = mark;
    records.setText(X_ARGS, mark, name.length);
    if (native.dialogGetVariable(index, generation, at, room) !== STATUS.ok) return null;
    const length = x[X_ARGS]!;
    return length > room ? null : fromBytes(memory.text(at, length));
  }

  /** False: it is too long, there is no room for it, or its dialog is gone. */
  write(index: number, generation: number, key: string, value: string | null): boolean {
    const { records } = this;
    const { native, memory } = records;
    const { scratch } = memory;
    const name = toBytes(key);
    const text = value === null ? '' : toBytes(value);
    if (!fits(name, text)) return this.refuse(name, text, 'too_long');
    const mark = scratch.at;
    const written = records.write(name) && records.write(text);
    scratch.at = mark;
    if (!written) return this.refuse(name, text, 'no_room');
    records.setText(X_ARGS, mark, name.length);
    if (value === null) {
      const status = native.dialogRemoveVariable(index, generation);
      return status === STATUS.ok || status === STATUS.notFound;
    }
    records.setText(X_ARGS + 2, mark + name.length, text.length);
    const status = native.dialogSetVariable(index, generation);
    if (status !== STATUS.ok && status !== STATUS.notFound) return this.refuse(name, text, 'no_room');
    return status === STATUS.ok;
  }

  private refuse(name: string, text: string, reason: string): false {
    this.records.native.count(COUNTERS.refusedVariable, 1);
    this.log.warn('variable_not_kept', {
      reason,
      key_bytes: name.length,
      key_bytes_max: VARIABLE_KEY_BYTES_MAX,
      value_bytes: text.length,
      value_bytes_max: VARIABLE_BYTES_MAX,
    });
    return false;
  }

  /** The message has its dialog: what waited for it is stored. */
  attach(context: DialogContext, index: number, generation: number): void {
    if (context.variables.length === 0) return;
    for (const { key, value } of context.variables) this.write(index, generation, key, value);
    context.variables.length = 0;
  }

  private hold(context: DialogContext, key: string, value: string | null): boolean {
    const at = context.variables.findIndex((variable) => variable.key === key);
    if (value === null) {
      if (at >= 0) context.variables.splice(at, 1);
      return true;
    }
    const name = toBytes(key);
    const text = toBytes(value);
    if (!fits(name, text)) return this.refuse(name, text, 'too_long');
    if (at >= 0) context.variables[at] = { key, value };
    else if (context.variables.length < PENDING_MAX) context.variables.push({ key, value });
    else return this.refuse(name, text, 'no_room');
    return true;
  }
}

function fits(name: string, text: string): boolean {
  return name.length <= VARIABLE_KEY_BYTES_MAX && text.length <= VARIABLE_BYTES_MAX;
}
