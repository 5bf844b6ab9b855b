/**
 * The dialogs alone: messages go in as text, what came of them is read back.  No proxy, no socket, no wire.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'vitest';
import type { EngineOptions, RequestToSend, Step } from '../../../dist/index.js';
import { DialogEngine, DLGCB, type EngineError } from '../../../dist/index.js';
import { parseMessage, SipMessage } from '../../../dist/sip/parse.js';
import { type Parts, textOf } from '../dialog/world.js';

const BYTES = 24 * 1024 * 1024;
const SOCKET = 'udp:192.0.2.1:5060';

let folder = '';
let open: DialogEngine[] = [];
/** Milliseconds of the clock that all engines of a test go by. */
let now = 0;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'holdfast-engine-'));
  open = [];
  now = 1_000;
});
afterEach(() => {
  for (const engine of open) engine.close();
  rmSync(folder, { recursive: true, force: true });
});

async function engineOf(options: Partial<EngineOptions> = {}, name = 'calls'): Promise<DialogEngine> {
  const engine = await DialogEngine.open({
    segment: { path: join(folder, name), bytes: BYTES },
    sockets: [SOCKET, 'udp:198.51.100.1:5060'],
    clock: 'caller',
    ...options,
    params: { profiles_with_value: 'caller', profiles_no_value: 'all', hash_size: 64, ...options.params },
  });
  open.push(engine);
  if (options.clock !== 'machine') engine.tick(now);
  return engine;
}

function wait(engine: DialogEngine, seconds: number): void {
  now += seconds * 1000;
  engine.tick(now);
}

const callee = { to: 'b2', contact: '<sip:bob@203.0.113.9>' };
const invite = (engine: DialogEngine, parts: Parts = {}): Step =>
  engine.request(textOf(parts), { socket: SOCKET, source: '192.0.2.10:5062' });
const answer = (engine: DialogEngine, code: number, parts: Parts = {}): Step =>
  engine.reply(textOf({ ...callee, code, ...parts }), { socket: 'udp:198.51.100.1:5060' });
const within = (engine: DialogEngine, method: string, parts: Parts = {}): Step =>
  engine.request(textOf({ to: 'b2', method, cseq: method === 'ACK' ? 7 : 8, ...parts }));
/** The states that a message went through, and its direction. */
const went = ({ from, to, direction }: Step): readonly number[] => [from, to, direction];

/** A call that is up. */
function call(engine: DialogEngine, parts: Parts = {}): Step {
  const begun = invite(engine, parts);
  answer(engine, 180, parts);
  answer(engine, 200, parts);
  within(engine, 'ACK', parts);
  return begun;
}

function codeOf(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    return (error as EngineError).code;
  }
  return 'nothing was thrown';
}

describe('a call [RFC 3261 12, 15]', () => {
  test('goes through its states, each message says which', async () => {
    const engine = await engineOf();
    const begun = invite(engine);
    assert.deepEqual(went(begun), [0, 1, 1]);
    assert.deepEqual(went(answer(engine, 180)), [1, 2, 2]);
    assert.deepEqual(went(answer(engine, 200)), [2, 3, 2]);
    assert.deepEqual(went(within(engine, 'ACK')), [3, 4, 1]);
    assert.deepEqual(went(within(engine, 'INFO', { from: 'b2', to: 'a1' })), [4, 4, 2]);
    const bye = within(engine, 'BYE');
    assert.deepEqual(went(bye), [4, 5, 1]);
    assert.deepEqual(bye.dialog, begun.dialog);
    assert.deepEqual(went(engine.reply(textOf({ ...callee, method: 'BYE', code: 200, cseq: 8 }))), [5, 5, 2]);
    wait(engine, 33);
    assert.deepEqual([engine.list().dialogs, engine.usage().dialogs], [[], 0]);
  });
  test('is listed with both legs', async () => {
    const engine = await engineOf();
    const { dialog } = call(engine);
    const { state, caller, callee: other } = engine.get(dialog!)!;
    assert.equal(state, 4);
    assert.deepEqual(
      [caller.tag, caller.contact, caller.socket],
      ['a1', 'sip:alice@192.0.2.10:5062', 'udp:192.0.2.1:5060'],
    );
    assert.deepEqual(
      [other.tag, other.contact, other.socket],
      ['b2', 'sip:bob@203.0.113.9', 'udp:198.51.100.1:5060'],
    );
    assert.equal(engine.findCall('call@h')[0]?.h_id, dialog!.id);
  });
  test("the engine's cookie finds it in match mode 0; a forged one does not", async () => {
    const engine = await engineOf();
    const { recordRoute } = invite(engine);
    assert.match(recordRoute!, /^did=[0-9a-f]+\.[0-9a-f]+$/);
    answer(engine, 200);
    assert.equal(within(engine, 'ACK', { route: `;lr;${recordRoute}` }).to, 4);
    assert.equal(within(engine, 'INFO', { route: ';lr;did=1.1' }).dialog, null);
    assert.equal(within(engine, 'INFO', { route: ';lr' }).to, 4, 'another Route says nothing about dialogs');
  });
  test('messages may come parsed', async () => {
    const engine = await engineOf();
    const parsed = (parts: Parts): SipMessage => {
      const message = parseMessage(Buffer.from(textOf(parts)));
      assert.ok(message instanceof SipMessage);
      return message;
    };
    assert.equal(engine.request(parsed({})).to, 1);
    assert.equal(
      engine.reply(parsed({ ...callee, code: 200, recordRoutes: ['<sip:p;lr>', '<sip:me;lr>'] })).to,
      3,
    );
    assert.equal(engine.request(parsed({ method: 'ACK', to: 'b2' })).to, 4);
    assert.equal(engine.list().dialogs[0]?.callee.route_set, '<sip:p;lr>');
  });
  test('an INVITE that is not tracked, other methods, and what is no SIP have no dialog', async () => {
    const engine = await engineOf();
    assert.deepEqual(engine.request(textOf({}), { track: false }).dialog, null);
    assert.equal(engine.request(textOf({ method: 'OPTIONS' })).dialog, null);
    assert.equal(within(engine, 'BYE').dialog, null);
    assert.equal(answer(engine, 200).dialog, null);
    assert.equal(engine.request('INVITE sip:a SIP/2.0\r\n\r\n').refused, 'malformed');
    assert.equal(engine.request(new Uint8Array(0)).refused, 'malformed');
    assert.equal(engine.request(new Uint8Array(70_000)).refused, 'malformed');
    assert.equal(engine.reply(textOf({})).refused, 'malformed', 'a request is no reply');
    assert.equal(engine.request(textOf({ code: 200 })).refused, 'malformed', 'a reply is no request');
    assert.equal(engine.request(textOf({ contact: null })).refused, 'unusable');
    assert.equal(engine.usage().dialogs, 0);
  });
});

describe('a call that is not answered', () => {
  test('fails with a final answer, once', async () => {
    const engine = await engineOf();
    const failed: (string | null)[] = [];
    engine.on('failed', ({ message }) => failed.push(message?.statusCode.toString() ?? null));
    invite(engine);
    assert.deepEqual(went(answer(engine, 486)), [1, 5, 2]);
    assert.equal(answer(engine, 486).from, answer(engine, 486).to);
    assert.deepEqual(failed, ['486']);
    wait(engine, 33);
    assert.equal(engine.usage().dialogs, 0);
  });
  test('fails when its transaction ends, or early_timeout is over', async () => {
    const engine = await engineOf({ params: { early_timeout: 60 } });
    const failed: unknown[] = [];
    engine.on('failed', ({ dialog, message }) => failed.push([dialog, message]));
    const first = invite(engine);
    engine.inviteEnded(first.dialog!);
    assert.deepEqual(failed, [[first.dialog, null]]);
    const second = invite(engine, { callId: 'second@h' });
    answer(engine, 180, { callId: 'second@h' });
    wait(engine, 59);
    assert.equal(failed.length, 1);
    wait(engine, 2);
    assert.deepEqual(failed[1], [second.dialog, null]);
    assert.equal(engine.usage().dialogs, 0);
  });
  test('a CANCEL finds it and changes nothing; the 487 ends it', async () => {
    const engine = await engineOf();
    const { dialog } = invite(engine);
    answer(engine, 180);
    const cancel = engine.request(textOf({ method: 'CANCEL' }));
    assert.deepEqual([cancel.dialog, cancel.from, cancel.to], [dialog, 2, 2]);
    assert.equal(answer(engine, 487).to, 5);
  });
  test('an INVITE that is tried again after 401 makes a new dialog, and a late 401 does not end that', async () => {
    const engine = await engineOf();
    const first = invite(engine);
    answer(engine, 401);
    const second = invite(engine, { cseq: 8 });
    assert.notDeepEqual(second.dialog, first.dialog);
    answer(engine, 401);
    assert.equal(answer(engine, 180, { cseq: 8 }).to, 2);
    assert.equal(answer(engine, 200, { cseq: 8 }).to, 3);
  });
  test('an answer after 32 s is none any more', async () => {
    const engine = await engineOf();
    invite(engine);
    answer(engine, 486);
    wait(engine, 33);
    assert.equal(answer(engine, 200).dialog, null);
  });
});

describe('crossing messages', () => {
  test('BYEs of both sides end it once', async () => {
    const engine = await engineOf();
    const ended: (string | null)[] = [];
    engine.on('end', ({ message }) => ended.push(message?.from.tag ?? null));
    call(engine);
    assert.deepEqual(went(within(engine, 'BYE')), [4, 5, 1]);
    assert.deepEqual(went(within(engine, 'BYE', { from: 'b2', to: 'a1', cseq: 1 })), [5, 5, 2]);
    engine.reply(textOf({ ...callee, method: 'BYE', code: 200, cseq: 8 }));
    const own = engine.reply(textOf({ from: 'b2', to: 'a1', method: 'BYE', code: 200, cseq: 1 }));
    assert.deepEqual(went(own), [5, 5, 1]);
    assert.deepEqual(ended, ['a1']);
    wait(engine, 40);
    assert.equal(engine.usage().dialogs, 0);
  });
  test('a 2xx that comes again changes nothing', async () => {
    const engine = await engineOf();
    let started = 0;
    engine.on('start', () => started++);
    invite(engine);
    answer(engine, 200);
    assert.deepEqual(went(answer(engine, 200)), [3, 3, 2]);
    within(engine, 'ACK');
    assert.deepEqual(went(answer(engine, 200)), [4, 4, 2]);
    assert.equal(started, 1);
  });
  test('a 200 to a re-INVITE is no answer to the INVITE', async () => {
    const engine = await engineOf();
    call(engine);
    const types: number[] = [];
    const all = DLGCB.CONFIRMED_NA | DLGCB.RESPONSE_WITHIN | DLGCB.REQ_WITHIN;
    engine.registerDlgcb(null, all, ({ type }) => types.push(type));
    within(engine, 'INVITE');
    assert.deepEqual(went(answer(engine, 200, { cseq: 8 })), [4, 4, 2]);
    assert.deepEqual(types, [DLGCB.REQ_WITHIN, DLGCB.RESPONSE_WITHIN]);
  });
});

describe('a fork [RFC 3261 12.1, 13.2.2.4]', () => {
  test('each callee that answers has a dialog of its own, found by its tag and by the one cookie', async () => {
    const engine = await engineOf();
    const heard: string[] = [];
    for (const event of ['start', 'end', 'failed'] as const) {
      engine.on(event, ({ dialog }) =>
        heard.push(`${event} ${dialog.id === first.dialog!.id ? 'first' : 'second'}`),
      );
    }
    const first = invite(engine);
    answer(engine, 180, { to: 'b2' });
    answer(engine, 180, { to: 'c3' });
    assert.deepEqual(went(answer(engine, 200, { to: 'b2' })), [2, 3, 2]);
    const second = answer(engine, 200, { to: 'c3', contact: '<sip:carol@203.0.113.10>' });
    assert.deepEqual(went(second), [0, 3, 2]);
    assert.notDeepEqual(second.dialog, first.dialog);
    assert.deepEqual(answer(engine, 200, { to: 'c3' }), { ...second, from: 3 }, 'the same once more');
    const route = `;lr;${first.recordRoute}`;
    assert.equal(within(engine, 'ACK', { to: 'b2', route }).to, 4);
    assert.deepEqual(within(engine, 'ACK', { to: 'c3', route }).dialog, second.dialog);
    assert.equal(engine.get(second.dialog!)?.callee.contact, 'sip:carol@203.0.113.10');
    assert.equal(engine.statistics()['dialog:active_dialogs'], 2);
    assert.deepEqual(within(engine, 'BYE', { to: 'b2', route }).dialog, first.dialog);
    assert.equal(within(engine, 'INFO', { to: 'c3', route }).to, 4);
    within(engine, 'BYE', { from: 'c3', to: 'a1', cseq: 1 });
    assert.deepEqual(heard, ['start first', 'start second', 'end first', 'end second']);
    wait(engine, 40);
    assert.equal(engine.usage().dialogs, 0);
  });
});

describe('what changes while a call is up', () => {
  test('the targets of both sides move with the 2xx of a re-INVITE, not with its rejection [RFC 3261 12.2]', async () => {
    const engine = await engineOf();
    const { dialog } = call(engine);
    const contacts = (): (string | null)[] => {
      const { caller, callee: other } = engine.get(dialog!)!;
      return [caller.contact, other.contact];
    };
    const before = contacts();
    within(engine, 'INVITE', { contact: '<sip:alice@192.0.2.99>' });
    answer(engine, 488, { cseq: 8 });
    assert.deepEqual(contacts(), before);
    within(engine, 'INVITE', { contact: '<sip:alice@192.0.2.99>', cseq: 9 });
    answer(engine, 200, { cseq: 9, contact: '<sip:bob@203.0.113.99>' });
    assert.deepEqual(contacts(), ['sip:alice@192.0.2.99', 'sip:bob@203.0.113.99']);
  });
  test('a number that the engine took is passed over by later requests of that direction', async () => {
    const engine = await engineOf({ send: () => {} });
    const { dialog } = call(engine);
    assert.equal(within(engine, 'INFO').cseq, null);
    assert.ok(engine.refer(dialog!, 2, 'sip:carol@example.com'));
    const info = within(engine, 'INFO', { cseq: 9 });
    assert.equal(info.cseq, 10);
    assert.equal(within(engine, 'INFO', { from: 'b2', to: 'a1', cseq: 1 }).cseq, null, 'the other direction');
    assert.equal(within(engine, 'BYE', { cseq: 10 }).cseq, 11);
    const heard: number[] = [];
    engine.registerDlgcb(null, DLGCB.TERMINATED_CONFIRMED, ({ reply }) => heard.push(reply!.cseq.number!));
    engine.reply(textOf({ ...callee, method: 'BYE', code: 200, cseq: 11 }));
    assert.deepEqual(heard, [11]);
  });
  test('a call that rings is ended: CANCEL and answer are handed over, the answer ends the dialog', async () => {
    const ended: unknown[] = [];
    const engine = await engineOf({ send: () => {}, endInvite: (what) => ended.push(what) });
    const { dialog } = invite(engine);
    answer(engine, 180);
    assert.equal(engine.end(dialog!), 'ended');
    assert.deepEqual(ended, [{ dialog, code: 480, reason: 'Temporarily Unavailable' }]);
    assert.deepEqual(went(answer(engine, 480)), [2, 5, 2]);
    assert.equal(engine.end(dialog!), 'gone');
  });
});

describe('time', () => {
  test('the lifetime ends the call', async () => {
    const engine = await engineOf();
    const ended: unknown[] = [];
    engine.on('end', ({ message }) => ended.push(message));
    engine.request(textOf({}), { lifetimeSeconds: 100 });
    answer(engine, 200);
    within(engine, 'ACK');
    wait(engine, 99);
    assert.deepEqual(ended, []);
    wait(engine, 2);
    assert.deepEqual(ended, [null]);
    assert.equal(engine.statistics()['dialog:expired_dialogs'], 1);
  });
  test('it can be set anew', async () => {
    const engine = await engineOf({ params: { default_timeout: 100 } });
    const { dialog } = call(engine);
    wait(engine, 90);
    assert.ok(engine.setLifetime(dialog!, 50));
    wait(engine, 49);
    assert.equal(engine.get(dialog!)?.state, 4);
    wait(engine, 2);
    assert.notEqual(engine.get(dialog!)?.state, 4);
  });
  test('a timeout route may give the call more', async () => {
    const engine = await engineOf();
    const told: (string | null)[] = [];
    engine.on('timeout', ({ dialog, route }) => {
      told.push(route);
      if (told.length === 1) engine.setLifetime(dialog, 10);
    });
    engine.request(textOf({}), { lifetimeSeconds: 100, timeoutRoute: 'over' });
    const { dialog } = answer(engine, 200);
    within(engine, 'ACK');
    wait(engine, 101);
    assert.equal(engine.get(dialog!)?.state, 4);
    wait(engine, 11);
    assert.equal(engine.get(dialog!)?.state ?? 5, 5);
    assert.deepEqual(told, ['over', 'over']);
  });
  test('without a clock of the caller the machine says what time it is', async () => {
    const engine = await engineOf({ clock: 'machine', tickMs: 0 });
    const { dialog } = call(engine);
    const { init_ts } = engine.get(dialog!)!;
    assert.ok(Math.abs(init_ts - Date.now() / 1000) < 60, `${init_ts}`);
    assert.equal(
      codeOf(() => engine.tick(5)),
      'ERR_ENGINE',
    );
  });
});

/** The first line, and the headers whose names are given, of a request that was handed over. */
function lines({ text }: RequestToSend, ...names: readonly string[]): readonly string[] {
  const all = text.split('\r\n');
  return [all[0]!, ...all.filter((line) => names.some((name) => line.startsWith(`${name}:`)))];
}

describe('requests that a dialog wants sent [RFC 3261 12.2.1.1, spec 4.2]', () => {
  const sent: RequestToSend[] = [];
  const send = (request: RequestToSend): void => {
    sent.push(request);
  };
  const reasons = (engine: DialogEngine): string[] => {
    const heard: string[] = [];
    engine.on('end', ({ message }) => heard.push(`end ${message?.method ?? '-'}`));
    engine.registerDlgcb(null, DLGCB.TERMINATED_CONFIRMED, ({ reply }) =>
      heard.push(`confirmed ${reply?.statusCode}`),
    );
    return heard;
  };
  beforeEach(() => {
    sent.length = 0;
  });

  test('BYEs when the lifetime is over, by the sockets and Route sets of both sides', async () => {
    const engine = await engineOf({ send });
    const heard = reasons(engine);
    engine.request(textOf({ recordRoutes: ['<sip:192.0.2.7;lr>'] }), {
      socket: SOCKET,
      lifetimeSeconds: 100,
      timeoutBye: true,
    });
    const recordRoutes = ['<sip:203.0.113.7;lr>', '<sip:me;lr>', '<sip:192.0.2.7;lr>'];
    const { dialog } = answer(engine, 200, { recordRoutes });
    within(engine, 'ACK');
    wait(engine, 101);
    assert.deepEqual(heard, ['end -']);
    assert.deepEqual(
      sent.map(({ method, side, socket, nextHop }) => [method, side, socket, nextHop]),
      [
        ['BYE', 1, SOCKET, 'sip:192.0.2.7;lr'],
        ['BYE', 2, 'udp:198.51.100.1:5060', 'sip:203.0.113.7;lr'],
      ],
    );
    assert.deepEqual(lines(sent[1]!, 'To', 'From', 'CSeq', 'Call-ID', 'Route', 'Via'), [
      'BYE sip:bob@203.0.113.9 SIP/2.0',
      'To: <sip:bob@example.com>;tag=b2',
      'From: <sip:alice@example.com>;tag=a1',
      'CSeq: 8 BYE',
      'Call-ID: call@h',
      'Route: <sip:203.0.113.7;lr>',
    ]);
    assert.deepEqual(sent[0]?.dialog, dialog);
    const ok = textOf({ from: 'b2', to: 'a1', method: 'BYE', code: 200, cseq: 1 });
    assert.ok(!engine.answered(sent[0]!.id, 100), 'not final');
    assert.ok(engine.answered(sent[0]!.id, ok) && !engine.answered(sent[0]!.id, ok), 'once');
    assert.equal(engine.get(dialog!)?.state, 5, 'the other BYE is not answered yet');
    assert.ok(engine.answered(sent[1]!.id, 408));
    assert.deepEqual(heard, ['end -', 'confirmed 200']);
    wait(engine, 33);
    assert.equal(engine.usage().dialogs, 0);
  });
  test('end() sends them, with headers; answers may come at once; the second end finds nothing', async () => {
    const engine: DialogEngine = await engineOf({
      send: (request) => {
        sent.push(request);
        assert.ok(engine.answered(request.id, 200));
      },
    });
    const heard = reasons(engine);
    const { dialog } = call(engine);
    assert.equal(engine.end(dialog!, { headers: 'Reason: SIP;cause=200\r\n' }), 'ended');
    assert.deepEqual(
      sent.map((request) => lines(request, 'Reason')[1]),
      ['Reason: SIP;cause=200', 'Reason: SIP;cause=200'],
    );
    assert.equal(heard[0], 'end -');
    assert.equal(heard.length, 2);
    assert.equal(engine.end(dialog!), 'gone');
    assert.equal(
      codeOf(() => engine.end(dialog!, { headers: 'no header' })),
      'ERR_ENGINE',
    );
    wait(engine, 33);
    assert.equal(
      codeOf(() => engine.end(dialog!)),
      'ERR_NO_SUCH_DIALOG',
    );
    assert.equal(engine.usage().dialogs, 0);
  });
  test('one side alone', async () => {
    const engine = await engineOf({ send });
    const { dialog } = call(engine);
    assert.equal(engine.end(dialog!, { side: 2 }), 'ended');
    assert.deepEqual(
      sent.map(({ side }) => side),
      [2],
    );
  });
  test('a BYE of an end that crosses ours changes nothing', async () => {
    const engine = await engineOf({ send });
    const heard = reasons(engine);
    const { dialog } = call(engine);
    engine.end(dialog!);
    assert.deepEqual(went(within(engine, 'BYE')), [5, 5, 1]);
    for (const { id } of sent) engine.answered(id, 481);
    engine.reply(textOf({ ...callee, method: 'BYE', code: 200, cseq: 8 }));
    assert.equal(heard.filter((line) => line.startsWith('end')).length, 1);
    wait(engine, 33);
    assert.equal(engine.usage().dialogs, 0);
  });
  test('a BYE whose number was too low goes once more, with the same headers', async () => {
    const engine = await engineOf({ send, params: { dlg_extra_hdrs: 'X-Why: over\r\n' } });
    const { dialog } = call(engine);
    engine.end(dialog!, { side: 2 });
    const failed = (cseq: number): string => textOf({ ...callee, method: 'BYE', code: 500, cseq });
    engine.answered(sent[0]!.id, failed(8));
    assert.deepEqual(
      sent.map((request) => lines(request, 'CSeq', 'X-Why').slice(1)),
      [
        ['CSeq: 8 BYE', 'X-Why: over'],
        ['CSeq: 9 BYE', 'X-Why: over'],
      ],
    );
    engine.answered(sent[1]!.id, failed(9));
    assert.equal(sent.length, 2);
  });
  test('one that is never answered counts as timed out', async () => {
    const engine = await engineOf({ send });
    const { dialog } = call(engine);
    engine.end(dialog!);
    wait(engine, 59);
    assert.equal(engine.get(dialog!)?.state, 5);
    wait(engine, 2);
    assert.equal(engine.get(dialog!), null);
    assert.ok(!engine.answered(sent[0]!.id, 200));
  });
  test('a hand that throws is told of, and harms nothing', async () => {
    const said: string[] = [];
    const log = {
      error: (event: string) => said.push(event),
      warn() {},
      info() {},
      debug() {},
      child: () => log,
    };
    const engine = await engineOf({
      log,
      send: () => {
        throw new Error('no');
      },
    });
    const { dialog } = call(engine);
    assert.equal(engine.end(dialog!), 'ended');
    assert.deepEqual(said, ['hand_over_threw']);
    wait(engine, 61);
    assert.equal(engine.usage().dialogs, 0);
  });
  test('without a hand nothing is sent, and a call is not ended behind the backs of its ends', async () => {
    const engine = await engineOf();
    const { dialog } = call(engine);
    assert.equal(engine.end(dialog!), 'no_room');
    assert.equal(engine.get(dialog!)?.state, 4);
  });
  test('refer() asks one side to call somebody, and leaves it when it has answered', async () => {
    const engine = await engineOf({ send });
    const { dialog } = call(engine);
    assert.ok(engine.refer(dialog!, 2, 'sip:carol@example.com'));
    assert.ok(!engine.refer(dialog!, 2, 'no uri'));
    engine.answered(sent[0]!.id, textOf({ ...callee, method: 'REFER', code: 202, cseq: 8 }));
    assert.deepEqual(
      sent.map((request) => lines(request, 'CSeq', 'Refer-To').slice(1)),
      [['CSeq: 8 REFER', 'Refer-To: sip:carol@example.com'], ['CSeq: 9 BYE']],
    );
  });
  test('setProperty() has a side probed while the call is up; one that answers no more ends it', async () => {
    const engine = await engineOf({ send, params: { ka_timer: 1, ka_interval: 30, ka_failed_limit: 2 } });
    const dialog = invite(engine).dialog!;
    assert.ok(engine.setProperty(dialog, 'ka-dst'), 'while it rings');
    answer(engine, 200);
    within(engine, 'ACK');
    assert.ok(engine.setProperty(dialog, 'ka-src') && engine.setProperty(dialog, 'ka-src', false));
    for (const code of [404, 481, 481]) {
      wait(engine, 31);
      const probe = sent.at(-1)!;
      assert.deepEqual([probe.method, probe.side, probe.dialog], ['OPTIONS', 2, dialog]);
      assert.ok(engine.answered(probe.id, textOf({ ...callee, method: 'OPTIONS', code })));
    }
    assert.equal(sent.length, 3);
    wait(engine, 11);
    assert.equal(engine.get(dialog), null);
  });
  test('bridge() calls, refers and leaves', async () => {
    const engine = await engineOf({ send });
    assert.ok(engine.bridge('sip:alice@192.0.2.10', 'sip:bob@example.com'));
    const from = /^From: .*;tag=(.*)$/m.exec(sent[0]!.text)![1]!;
    const id = /^Call-ID: (.*)$/m.exec(sent[0]!.text)![1]!;
    const answer200 = (method: string, cseq: number): string =>
      textOf({
        method,
        code: 200,
        cseq,
        callId: id,
        from: from.trim(),
        to: 'b2',
        contact: '<sip:alice@192.0.2.10>',
      });
    engine.answered(sent[0]!.id, answer200('INVITE', 10));
    engine.answered(sent[1]!.id, answer200('REFER', 11));
    engine.answered(sent[2]!.id, answer200('BYE', 12));
    assert.deepEqual(
      sent.map((request) => lines(request, 'CSeq')[1]),
      ['CSeq: 10 INVITE', 'CSeq: 11 REFER', 'CSeq: 12 BYE'],
    );
  });
  test('a listener may end a call', async () => {
    const engine = await engineOf({ send });
    engine.registerDlgcb(null, DLGCB.CONFIRMED, ({ dialog }) => {
      assert.equal(engine.end(dialog), 'ended');
    });
    call(engine);
    assert.equal(sent.length, 2);
  });
});

describe('a process after this one', () => {
  test('finds the calls with all that they had, and they go on', async () => {
    const before = await engineOf();
    const { dialog } = call(before);
    before.setVariable(dialog!, 'account', '42');
    before.joinProfile(dialog!, 'caller', 'alice');
    before.close();
    const after = await engineOf();
    const loaded: unknown[] = [];
    after.registerDlgcb(null, DLGCB.LOADED, (news) => loaded.push(news.dialog));
    assert.deepEqual(loaded, [dialog]);
    assert.equal(after.get(dialog!)?.state, 4);
    assert.equal(after.variable(dialog!, 'account'), '42');
    assert.equal(after.profileSize('caller', 'alice'), 1);
    assert.equal(within(after, 'BYE').to, 5);
    assert.equal(after.profileSize('caller', 'alice'), 0);
    wait(after, 33);
    assert.equal(after.usage().dialogs, 0);
  });
  test('answers calls that rang', async () => {
    const before = await engineOf();
    invite(before);
    answer(before, 180);
    invite(before, { callId: 'second@h' });
    before.close();
    const after = await engineOf();
    assert.deepEqual(went(answer(after, 200)), [2, 3, 2]);
    assert.deepEqual(went(answer(after, 486, { callId: 'second@h' })), [1, 5, 2]);
    within(after, 'ACK');
    within(after, 'BYE');
    wait(after, 33);
    assert.equal(after.usage().dialogs, 0);
  });
  test('ends calls that rang and that nobody answers', async () => {
    const before = await engineOf({ params: { early_timeout: 60 } });
    invite(before);
    before.close();
    const after = await engineOf({ params: { early_timeout: 60 } });
    wait(after, 61);
    for (let n = 0; n < 100; n++) after.tick(now);
    assert.equal(after.usage().dialogs, 0);
  });
  test('may begin anew instead', async () => {
    const before = await engineOf();
    call(before);
    before.close();
    const after = await engineOf({ segment: { path: join(folder, 'calls'), bytes: BYTES, fresh: true } });
    assert.equal(after.usage().dialogs, 0);
  });
  test('is told when the file does not fit its options', async () => {
    const before = await engineOf();
    await assert.rejects(engineOf(), { code: 'ERR_SEGMENT_IN_USE' });
    before.close();
    await assert.rejects(engineOf({ params: { hash_size: 128 } }), { code: 'ERR_SEGMENT' });
    await assert.rejects(engineOf({ sockets: ['udp:198.51.100.1:5060'] }), /sockets are .* in this order/);
    await assert.rejects(
      engineOf({ params: { profiles_with_value: 'other;caller' } }),
      /profiles are caller \(with value\), all there/,
    );
    await assert.rejects(engineOf({ params: { profiles_with_value: '', profiles_no_value: 'caller;all' } }), {
      code: 'ERR_SEGMENT',
    });
    const more = await engineOf({ params: { profiles_no_value: 'all;more' } });
    assert.equal(more.profileSize('more'), 0);
  });
});

describe('profiles and variables [manual 3, 8.3]', () => {
  test('a limit is exact, and counts until the call is over', async () => {
    const engine = await engineOf();
    const first = invite(engine).dialog!;
    const second = invite(engine, { callId: 'second@h' }).dialog!;
    assert.ok(engine.joinProfile(first, 'caller', 'alice', 1));
    assert.ok(!engine.joinProfile(second, 'caller', 'alice', 1));
    assert.ok(engine.joinProfile(second, 'caller', 'bob', 1));
    assert.ok(engine.joinProfile(second, 'all', null));
    assert.deepEqual([engine.profileSize('caller'), engine.profileSize('caller', 'alice')], [2, 1]);
    assert.ok(engine.isInProfile(first, 'caller') && !engine.isInProfile(first, 'caller', 'bob'));
    assert.deepEqual(
      [...engine.profileMembers('all')!].map((dialog) => dialog['call-id']),
      ['second@h'],
    );
    assert.ok(engine.leaveProfile(second, 'caller', 'bob') && !engine.leaveProfile(second, 'caller', 'bob'));
    answer(engine, 486);
    assert.equal(engine.profileSize('caller', 'alice'), 0);
    assert.equal(
      codeOf(() => engine.joinProfile(second, 'none', null)),
      'ERR_NO_SUCH_PROFILE',
    );
    assert.equal(engine.profileSize('none'), null);
  });
  test('variables live with the dialog', async () => {
    const engine = await engineOf();
    const { dialog } = call(engine);
    assert.equal(engine.variable(dialog!, 'a'), null);
    assert.ok(engine.setVariable(dialog!, 'a', '1'));
    assert.equal(engine.variable(dialog!, 'a'), '1');
    assert.ok(engine.setVariable(dialog!, 'a', null));
    assert.equal(engine.variable(dialog!, 'a'), null);
    assert.ok(!engine.setVariable(dialog!, 'a', 'x'.repeat(100_000)));
    const gone = { entry: dialog!.entry, id: dialog!.id + 1 };
    assert.equal(
      codeOf(() => engine.variable(gone, 'a')),
      'ERR_NO_SUCH_DIALOG',
    );
    assert.equal(engine.get(gone), null);
  });
});

describe('callbacks [manual 10]', () => {
  test('come in order, with the messages', async () => {
    const engine = await engineOf();
    const heard: string[] = [];
    const names = new Map(Object.entries(DLGCB).map(([name, type]) => [type as number, name]));
    engine.registerDlgcb(null, DLGCB.CREATED, ({ dialog, type, request }) => {
      heard.push(`${names.get(type)} ${request?.method}`);
      const all = DLGCB.EARLY | DLGCB.CONFIRMED_NA | DLGCB.CONFIRMED | DLGCB.TERMINATED | DLGCB.DESTROY;
      engine.registerDlgcb(dialog, all | DLGCB.TERMINATED_CONFIRMED, (news) => {
        assert.deepEqual(news.dialog, dialog);
        heard.push(`${names.get(news.type)} ${news.request?.method ?? news.reply?.statusCode ?? '-'}`);
      });
    });
    call(engine);
    within(engine, 'BYE', { from: 'b2', to: 'a1', cseq: 1 });
    engine.reply(textOf({ from: 'b2', to: 'a1', method: 'BYE', code: 200, cseq: 1 }));
    wait(engine, 33);
    assert.deepEqual(heard, [
      'CREATED INVITE',
      'EARLY 180',
      'CONFIRMED_NA 200',
      'CONFIRMED ACK',
      'TERMINATED BYE',
      'TERMINATED_CONFIRMED 200',
      'DESTROY -',
    ]);
  });
  test('a listener that throws harms no call, and is told of', async () => {
    const said: string[] = [];
    const log = {
      error: (event: string) => said.push(event),
      warn() {},
      info() {},
      debug() {},
      child: () => log,
    };
    const engine = await engineOf({ log });
    engine.on('start', () => {
      throw new Error('no');
    });
    engine.registerDlgcb(null, DLGCB.CONFIRMED_NA, () => {
      throw new Error('no');
    });
    call(engine);
    assert.deepEqual(said, ['event_route_threw', 'dialog_listener_threw']);
    assert.deepEqual(
      engine.list().dialogs.map(({ state }) => state),
      [4],
    );
  });
  test('a listener may read and write its dialog, but feeds no message', async () => {
    const engine = await engineOf();
    const codes: string[] = [];
    engine.on('start', ({ dialog }) => {
      assert.ok(engine.setVariable(dialog, 'answered', 'yes'));
      assert.ok(engine.joinProfile(dialog, 'all', null));
      codes.push(codeOf(() => engine.request(textOf({ callId: 'other@h' }))));
      codes.push(codeOf(() => engine.close()));
      codes.push(codeOf(() => engine.tick()));
    });
    const { dialog } = call(engine);
    assert.deepEqual(codes, ['ERR_ENGINE', 'ERR_ENGINE', 'ERR_ENGINE']);
    assert.equal(engine.variable(dialog!, 'answered'), 'yes');
    assert.equal(engine.profileSize('all'), 1);
  });
});

describe('mistakes of the caller have codes', () => {
  test('options', async () => {
    await assert.rejects(engineOf({ params: { hash_size: 3 } }), { code: 'ERR_CONFIG' });
    await assert.rejects(engineOf({ params: { no_such: 3 } }), { code: 'ERR_CONFIG' });
    await assert.rejects(engineOf({ tickMs: -1 }), /tickMs=-1: allowed is 0 to 1000/);
    await assert.rejects(engineOf({ sockets: ['a', 'a'] }), { code: 'ERR_CONFIG' });
    await assert.rejects(engineOf({ params: { profiles_with_value: 'x', profiles_no_value: 'x' } }), {
      code: 'ERR_CONFIG',
    });
    await assert.rejects(engineOf({ segment: { path: join(folder, 'small'), bytes: 4096 } }), {
      code: 'ERR_SEGMENT_ROOM',
    });
  });
  test('arguments', async () => {
    const engine = await engineOf();
    assert.equal(
      codeOf(() => engine.request(textOf({}), { socket: 'udp:203.0.113.1:1' })),
      'ERR_ENGINE',
    );
    assert.equal(
      codeOf(() => engine.request(textOf({}), { source: 'here' })),
      'ERR_ENGINE',
    );
    assert.equal(
      codeOf(() => engine.registerDlgcb(null, 0, () => {})),
      'ERR_ENGINE',
    );
    assert.equal(
      codeOf(() => engine.registerDlgcb(null, DLGCB.LOADED | DLGCB.EARLY, () => {})),
      'ERR_ENGINE',
    );
    assert.equal(
      codeOf(() => engine.on('other' as 'end', () => {})),
      'ERR_ENGINE',
    );
    assert.equal(invite(engine).to, 1, 'and it goes on');
    assert.equal(
      engine.request(textOf({ callId: 'v6@h' }), { source: '[2001:db8::1]:5060' }).to,
      1,
      'IPv6 in brackets',
    );
  });
  test('a property that there is not, and a call that has ended', async () => {
    const engine = await engineOf({ send: () => {} });
    const { dialog } = call(engine);
    assert.equal(
      codeOf(() => engine.setProperty(dialog!, 'ka' as 'ka-src')),
      'ERR_ENGINE',
    );
    engine.end(dialog!);
    assert.equal(engine.setProperty(dialog!, 'ka-src'), false);
  });
  test('a closed engine', async () => {
    const engine = await engineOf();
    engine.close();
    engine.close();
    assert.equal(
      codeOf(() => engine.request(textOf({}))),
      'ERR_ENGINE',
    );
    assert.equal(
      codeOf(() => engine.tick()),
      'ERR_ENGINE',
    );
    assert.equal(
      codeOf(() => engine.list()),
      'ERR_ENGINE',
    );
    assert.equal(
      codeOf(() => engine.variable({ entry: 1, id: 1 }, 'a')),
      'ERR_ENGINE',
    );
  });
});

test('several engines in one process know nothing of each other', async () => {
  const one = await engineOf({}, 'one');
  const two = await engineOf({}, 'two');
  call(one);
  assert.equal(within(two, 'BYE').dialog, null);
  assert.deepEqual([one.usage().dialogs, two.usage().dialogs], [1, 0]);
});
