/** How long dialogs live, and what happens when their time is over.  [manual 5.5, 5.6, 5.45, 5.46, 5.49, 5.50] */
import { onOff, seconds, text } from '../param.js';

const YEAR = 31_536_000;

export const lifetimeParams = {
  timeout_avp: text({
    default: null,
    minBytes: 1,
    maxBytes: 256,
    form: { pattern: /^\$avp\(([is]:)?[A-Za-z0-9_]+\)$/, words: 'an AVP such as $avp(timeout)' },
    section: '5.5',
    doc: 'AVP that holds the lifetime of a call in seconds.',
  }),
  default_timeout: seconds({
    default: 43_200,
    min: 1,
    max: YEAR,
    section: '5.6',
    doc: 'Lifetime of a dialog that nobody refreshes.',
  }),
  early_timeout: seconds({
    default: 300,
    min: 1,
    max: YEAR,
    section: 'beyond the manual',
    doc: 'Longest age of a dialog that was not answered.',
  }),
  noack_timeout: seconds({
    default: 60,
    min: 1,
    max: YEAR,
    section: 'beyond the manual',
    doc: 'Longest age of an answered dialog without its ACK before it is ended soon.',
  }),
  end_timeout: seconds({
    default: 300,
    min: 1,
    max: YEAR,
    section: 'beyond the manual',
    doc: 'Longest stay of a dialog that has ended but is still held.',
  }),
  send_bye: onOff({
    default: 0,
    section: '5.45',
    doc: 'Whether both sides get a BYE when the lifetime of a call is over.',
  }),
  wait_ack: onOff({
    default: 1,
    section: '5.46',
    doc: 'Whether a call that failed is kept until the ACK of its negative answer.',
  }),
  timeout_noreset: onOff({
    default: 0,
    section: '5.49',
    doc: 'Whether sequential requests leave the lifetime as it is instead of starting it again.',
  }),
  timer_procs: onOff({
    default: 1,
    section: '5.50',
    doc: 'Whether one timer worker ends calls whose time is over, so that routing never waits for it.',
  }),
} as const;
