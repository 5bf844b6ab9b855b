import assert from 'node:assert/strict';
import { describe, test } from 'vitest';
import { ManualClock } from '../../../dist/clock.js';
import { silentLog } from '../../../dist/log.js';
import { COMMANDS } from '../../../dist/rpc/commands/index.js';
import { jsonRpc } from '../../../dist/rpc/json-rpc.js';
import type { EndOutcome } from '../../../dist/rpc/ports.js';
import { dialog, FakeView } from './fake-view.js';

async function call(view: FakeView, method: string, params: unknown): Promise<Record<string, unknown>> {
  const context = {
    view,
    clock: new ManualClock(0, 0),
    startedUnixSeconds: 0,
    version: '1.2.3',
    dialogStatistics: true,
    dumpFolder: null,
  };
  const request = JSON.stringify({ jsonrpc: '2.0', method, params, id: 1 });
  let reply = '';
  for await (const chunk of jsonRpc(COMMANDS, context, silentLog).answer(request)) reply += chunk;
  return JSON.parse(reply);
}

describe('ending calls [manual 8.3, 8.4, 9.5]', () => {
  test('dlg.end_dlg takes an address and header lines', async () => {
    const view = new FakeView([]);
    assert.deepEqual((await call(view, 'dlg.end_dlg', [1006, 4660])).result, {});
    await call(view, 'dlg.end_dlg', { h_entry: 1, h_id: 2, extra_hdrs: 'X-A: 1\r\n' });
    assert.deepEqual(view.asked, [
      ['end', 1006, 4660, ''],
      ['end', 1, 2, 'X-A: 1\r\n'],
    ]);
  });

  test('dlg.terminate_dlg takes a Call-ID, and tags if they are given', async () => {
    const view = new FakeView([]);
    await call(view, 'dlg.terminate_dlg', ['a@b']);
    await call(view, 'dlg.terminate_dlg', ['a@b', 'x']);
    await call(view, 'dlg.terminate_dlg', { callid: 'a@b', to_tag: 'y' });
    assert.deepEqual(view.asked, [
      ['terminate', 'a@b', null, null],
      ['terminate', 'a@b', 'x', null],
      ['terminate', 'a@b', null, 'y'],
    ]);
  });

  for (const [outcome, code] of [
    ['gone', 404],
    ['unreachable', 500],
    ['too_early', 500],
    ['no_room', 503],
    ['not_now', 503],
    ['bad_headers', 400],
  ] as const satisfies readonly (readonly [EndOutcome, number])[]) {
    test(`${outcome} is a refusal: ${code}`, async () => {
      const view = new FakeView([]);
      view.outcome = outcome;
      for (const [method, params] of [
        ['dlg.end_dlg', [1, 2]],
        ['dlg.terminate_dlg', ['a@b']],
      ] as const) {
        assert.equal(((await call(view, method, params)).error as { code: number }).code, code);
      }
    });
  }

  for (const params of [[], [1], ['x', 2], [1, -1], [1, 2, 'X: 1', 4]]) {
    test(`wrong parameters: ${JSON.stringify(params)}`, async () => {
      const view = new FakeView([]);
      assert.equal(((await call(view, 'dlg.end_dlg', params)).error as { code: number }).code, -32602);
      assert.deepEqual(view.asked, []);
    });
  }
});

describe('dlg.bridge_dlg [manual 8.7, 9.8]', () => {
  for (const [params, asked] of [
    [
      ['sip:a@h', 'sip:b@h'],
      ['', null],
    ],
    [
      ['sip:a@h', 'sip:b@h', '.'],
      ['', null],
    ],
    [
      ['sip:a@h', 'sip:b@h', 'sip:p', '.'],
      ['sip:p', null],
    ],
    [
      ['sip:a@h', 'sip:b@h', '.', '_'],
      ['', ''],
    ],
    [
      ['sip:a@h', 'sip:b@h', '.', 'v=0'],
      ['', 'v=0'],
    ],
  ] as const) {
    test(JSON.stringify(params), async () => {
      const view = new FakeView([]);
      assert.deepEqual((await call(view, 'dlg.bridge_dlg', params)).result, {});
      assert.deepEqual(view.asked, [['bridge', 'sip:a@h', 'sip:b@h', ...asked]]);
    });
  }

  test('a failure is told', async () => {
    const view = new FakeView([]);
    view.outcome = 'gone';
    const { error } = await call(view, 'dlg.bridge_dlg', ['sip:a@h', 'sip:b@h']);
    assert.equal((error as { code: number }).code, 500);
  });
});

describe('looking for dialogs [spec 13.3]', () => {
  const view = new FakeView([
    dialog(1, { from_uri: 'sip:alice@a', start_ts: 100 }),
    dialog(2, { state: 3, from_uri: 'sip:bob@b', start_ts: 200 }),
    dialog(3, { from_uri: 'sip:alina@a', start_ts: 300 }),
  ]);

  for (const [params, found] of [
    [['furi', 'eq', 'sip:bob@b'], [2]],
    [
      ['furi', 'sw', 'sip:ali'],
      [1, 3],
    ],
    [['furi', 'sw', 'sip:ali', 1], [1]],
    [
      ['furi', 're', 'al.*@a$'],
      [1, 3],
    ],
    [
      ['turi', 'eq', 'sip:bob@example.com'],
      [1, 2, 3],
    ],
    [['ruri', 'eq', 'sip:3@example.com'], [3]],
    [['callid', 'eq', 'call-2@10.0.0.1'], [2]],
    [
      ['start_ts', 'gt', '150'],
      [2, 3],
    ],
    [['start_ts', 'lt', '150'], [1]],
  ] as const) {
    test(`dlg.list_match ${params.join(' ')}`, async () => {
      const { result } = await call(view, 'dlg.list_match', params);
      assert.deepEqual(
        (result as { h_id: number }[]).map(({ h_id }) => h_id),
        found,
      );
    });
  }

  for (const [params, code] of [
    [['furi', 'eq', 'sip:nobody'], 404],
    [['furi', 're', '('], 500],
    [['furi', 'gt', 'x'], 500],
    [['start_ts', 'eq', '100'], 500],
    [['start_ts', 'gt', 'soon'], 500],
    [['tag', 'eq', 'x'], -32602],
    [['furi', 'like', 'x'], -32602],
  ] as const) {
    test(`dlg.list_match ${params.join(' ')}: ${code}`, async () => {
      const { error } = await call(view, 'dlg.list_match', params);
      assert.equal((error as { code: number }).code, code);
    });
  }

  test('dlg.list_match re: a pattern that backtracks without end is refused', async () => {
    const view = new FakeView([dialog(1, { from_uri: `sip:${'a'.repeat(28)}@a` })]);
    for (const method of ['dlg.list_match', 'dlg.list_match_ctx']) {
      const { error } = await call(view, method, ['furi', 're', '^sip:(a+)+!@']);
      assert.equal((error as { code: number }).code, 500);
    }
  });

  test('dlg.list_match re: after a page that was quick, the reply ends in its middle', async () => {
    const many = Array.from({ length: 101 }, (_, n) =>
      dialog(n, { from_uri: n < 100 ? 'sip:a!@a' : `sip:${'a'.repeat(28)}@a` }),
    );
    await assert.rejects(call(new FakeView(many), 'dlg.list_match', ['furi', 're', '^sip:(a+)+!@']), {
      code: 'ERR_RPC_CALL',
    });
  });

  test('dlg.briefing: the fields that are asked for', async () => {
    const { result } = await call(view, 'dlg.briefing', []);
    assert.deepEqual((result as object[])[0], {
      h_entry: 1006,
      h_id: 1,
      from_uri: 'sip:alice@a',
      to_uri: 'sip:bob@example.com',
      'call-id': 'call-1@10.0.0.1',
      from_tag: 'a1',
      to_tag: 'b2',
    });
    const brief = await call(view, 'dlg.briefing', ['Ts']);
    assert.deepEqual((brief.result as object[])[1], { h_entry: 1006, h_id: 2, to_tag: 'b2', state: 3 });
    assert.equal(((await call(view, 'dlg.briefing', ['x'])).error as { code: number }).code, -32602);
  });

  for (const [params, expected] of [
    [['call-1@10.0.0.1', 'a1', 'b2'], 'Alive'],
    [['call-1@10.0.0.1', 'b2', 'a1'], 'Alive'],
    [['call-1@10.0.0.1', 'a1', 'x'], 404],
    [['call-9@10.0.0.1', 'a1', 'b2'], 404],
    [['call-2@10.0.0.1', 'a1', 'b2'], 500],
  ] as const) {
    test(`dlg.is_alive ${params.join(' ')}: ${expected}`, async () => {
      const { result, error } = await call(view, 'dlg.is_alive', params);
      assert.equal(result ?? (error as { code: number }).code, expected);
    });
  }
});
