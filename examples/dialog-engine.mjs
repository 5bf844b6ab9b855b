import { DialogEngine } from 'holdfast';

const engine = await DialogEngine.open({
  segment: { path: '/dev/shm/my-sbc-calls', bytes: 64 * 1024 * 1024 },
  params: { profiles_with_value: 'trunk', default_timeout: 7200 },
  sockets: ['udp:192.0.2.1:5060', 'udp:198.51.100.1:5060'],
  send(request) {
    // Your stack sends it, with its Via, and later says how it was answered.
    console.log('send', request.text.split('\r\n')[0], 'to', request.nextHop);
    engine.answered(request.id, 200);
  },
});
engine.on('start', ({ dialog }) => console.log('answered', engine.get(dialog).to_uri));
engine.on('end', ({ dialog }) => console.log('over', engine.variable(dialog, 'account')));

// Where your stack takes an INVITE on:
const { dialog, recordRoute } = engine.request(
  sip('INVITE sip:bob@example.com', 'To: <sip:bob@example.com>'),
  {
    socket: 'udp:192.0.2.1:5060',
    source: '192.0.2.10:5060',
  },
);
engine.setVariable(dialog, 'account', '1234');
if (!engine.joinProfile(dialog, 'trunk', 'carrier-a', 30)) console.log('send 486: the trunk is full');
console.log(`Record-Route: <sip:192.0.2.1;lr;${recordRoute}>`);

// Where a reply passes, the ACK, a request within the call:
const to = 'To: <sip:bob@example.com>;tag=b2';
for (const message of [
  sip('SIP/2.0 180 Ringing', to),
  sip('SIP/2.0 200 OK', to),
  sip('ACK sip:bob@198.51.100.9', to),
  sip('INFO sip:bob@198.51.100.9', to),
]) {
  const step = message.startsWith('SIP/2.0') ? engine.reply(message) : engine.request(message);
  console.log(message.split(' SIP/2.0\r')[0].split('\r')[0], `state ${step.from} -> ${step.to}`);
}
console.log(engine.end(dialog, { headers: 'Reason: Q.850;cause=31\r\n' }));
engine.close({ remove: true }); // without `remove` the next open() finds the calls

function sip(start, to) {
  const method = start.startsWith('SIP/2.0') ? 'INVITE' : start.split(' ')[0];
  const lines = [
    start.startsWith('SIP/2.0') ? start : `${start} SIP/2.0`,
    'Via: SIP/2.0/UDP 192.0.2.10;branch=z9hG4bK77ef4c2312983.1',
    'From: <sip:alice@example.com>;tag=a1',
    to,
    'Call-ID: 843817637684230@192.0.2.10',
    `CSeq: ${method === 'INFO' ? 2 : 1} ${method}`,
    'Contact: <sip:somebody@192.0.2.10>',
    'Content-Length: 0',
  ];
  return `${lines.join('\r\n')}\r\n\r\n`;
}
