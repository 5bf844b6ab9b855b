/** Calls that are set up between two addresses, and headers of requests made here.  [manual 5.7, 5.42, 5.43] */
import { integer, text } from '../param.js';

const SIP_URI = { pattern: /^sips?:[^\s<>"]+$/, words: 'a SIP URI' };
const HEADERS = { pattern: /^([^\s:]+[ \t]*:[^\r\n]*\r\n)*$/, words: 'header lines, a line end as \\r\\n' };

/** `\\r\\n` stands for a line end, as in Kamailio's strings; the last one may be left out. */
function withLineEnds(written: string): string {
  const text = written.replaceAll('\\r\\n', '\r\n');
  return text === '' || text.endsWith('\r\n') ? text : `${text}\r\n`;
}

export const bridgeParams = {
  bridge_controller: text({
    default: 'sip:controller@kamailio.org',
    maxBytes: 256,
    form: SIP_URI,
    section: '5.42',
    doc: 'From URI of a bridge.',
  }),
  bridge_contact: text({
    default: 'sip:controller@kamailio.org:5060',
    maxBytes: 256,
    form: SIP_URI,
    section: '5.43',
    doc: 'Contact URI of a bridge.',
  }),
  dlg_extra_hdrs: text({
    default: '',
    maxBytes: 1_024,
    form: HEADERS,
    normal: withLineEnds,
    section: '5.7',
    doc: 'Header lines added to every BYE made here.',
  }),
  lreq_callee_headers: text({
    default: '',
    maxBytes: 1_024,
    form: HEADERS,
    normal: withLineEnds,
    section: 'beyond the manual',
    doc: 'Header lines added to requests made here that go to the callee.',
  }),
  bye_early_code: integer({
    default: 480,
    min: 300,
    max: 699,
    section: 'beyond the manual',
    doc: 'Answer that the caller gets when a call is ended here before it was answered.',
  }),
  bye_early_reason: text({
    default: 'Temporarily Unavailable',
    maxBytes: 128,
    form: { pattern: /^[^\r\n\0]*$/, words: 'text without line ends' },
    section: 'beyond the manual',
    doc: 'Reason phrase of that answer.',
  }),
} as const;
