import assert from 'node:assert/strict';
import { describe, test } from 'vitest';
import { ManualClock } from '../../../dist/clock.js';
import { silentLog } from '../../../dist/log.js';
import type { Command, CommandContext } from '../../../dist/rpc/command.js';
import { Pages } from '../../../dist/rpc/command.js';
import { COMMANDS } from '../../../dist/rpc/commands/index.js';
import { jsonRpc } from '../../../dist/rpc/json-rpc.js';
import type { DialogView } from '../../../dist/rpc/ports.js';
import { dialog, FakeView } from './fake-view.js';

const START = 1_420_070_395;

function context(dialogs: readonly DialogView[] = [], dialogStatistics = true): CommandContext {
  const clock = new ManualClock(0, START);
  clock.advance(90_000);
  const view = new FakeView(dialogs);
  return { view, clock, startedUnixSeconds: START, version: '1.2.3', dialogStatistics, dumpFolder: null };
}

async function textOf(request: unknown, within = context(), commands: readonly Command[] = COMMANDS) {
  let reply = '';
  const text = typeof request === 'string' ? request : JSON.stringify(request);
  for await (const chunk of jsonRpc(commands, within, silentLog).answer(text)) reply += chunk;
  return reply;
}

async function call(method: string, params?: unknown, within = context()) {
  return JSON.parse(await textOf({ jsonrpc: '2.0', method, params, id: 1 }, within));
}

describe('the envelope [spec 10.4, JSON-RPC 2.0]', () => {
  test('has the members jsonrpc, result and id, in this order', async () => {
    const reply = await textOf({ jsonrpc: '2.0', method: 'dlg.profile_get_size', params: ['caller'], id: 7 });
    assert.equal(reply, '{"jsonrpc":"2.0","result":0,"id":7}');
  });

  test('puts a refusal into error, with code and message', async () => {
    const reply = await textOf({ jsonrpc: '2.0', method: 'dlg.profile_get_size', params: ['nope'], id: 'x' });
    assert.equal(
      reply,
      '{"jsonrpc":"2.0","error":{"code":404,"message":"Profile not found: nope"},"id":"x"}',
    );
  });

  test('gives an empty list for a list without elements', async () => {
    const reply = await textOf({ jsonrpc: '2.0', method: 'dlg.list', id: 1 });
    assert.equal(reply, '{"jsonrpc":"2.0","result":[],"id":1}');
  });

  test('gives an empty object for a command without output', async () => {
    const quiet: Command = { ...COMMANDS[0]!, name: 'quiet', run: () => undefined };
    const reply = await textOf({ jsonrpc: '2.0', method: 'quiet', id: 1 }, context(), [quiet]);
    assert.equal(reply, '{"jsonrpc":"2.0","result":{},"id":1}');
  });

  test('refuses an unknown method with the code of JSON-RPC', async () => {
    const { error } = await call('dlg.nothing');
    assert.deepEqual(error, { code: -32601, message: 'Method not found' });
  });

  test('answers a notification with nothing', async () => {
    assert.equal(await textOf({ jsonrpc: '2.0', method: 'core.version' }), '');
    assert.equal(await textOf([{ jsonrpc: '2.0', method: 'core.version' }]), '');
  });

  test('answers a batch in its order, and a batch of one with a list', async () => {
    const one = { jsonrpc: '2.0', method: 'dlg.profile_get_size', params: ['caller'], id: 1 };
    assert.equal(await textOf([one]), '[{"jsonrpc":"2.0","result":0,"id":1}]');
    const replies = JSON.parse(
      await textOf([one, { jsonrpc: '2.0', method: 'x' }, 1, null, { ...one, id: 2 }]),
    );
    assert.deepEqual(
      replies.map((reply: { id: unknown; error?: { code: number } }) => [reply.id, reply.error?.code]),
      [
        [1, undefined],
        [null, -32600],
        [null, -32600],
        [2, undefined],
      ],
    );
  });

  for (const [what, request, code] of [
    ['no JSON', '{"jsonrpc":"2.0",', -32700],
    ['an empty text', '', -32700],
    ['an empty batch', '[]', -32600],
    ['a batch without bound', JSON.stringify(Array.from({ length: 101 }, () => ({}))), -32600],
    ['null', 'null', -32600],
    ['a number', '17', -32600],
    ['another version', '{"jsonrpc":"1.0","method":"core.version","id":1}', -32600],
    ['a method that is no text', '{"jsonrpc":"2.0","method":5,"id":1}', -32600],
    ['an id that is an object', '{"jsonrpc":"2.0","method":"core.version","id":{}}', -32600],
    ['a name of every object', '{"jsonrpc":"2.0","method":"__proto__","id":1}', -32601],
  ] as const) {
    test(`refuses ${what} with ${code}`, async () => {
      assert.equal(JSON.parse(await textOf(request)).error.code, code);
    });
  }

  test('a command that throws gives an internal error, without its words', async () => {
    const broken: Command = {
      ...COMMANDS[0]!,
      name: 'broken',
      run: () => {
        throw new Error('secret');
      },
    };
    const reply = await textOf({ jsonrpc: '2.0', method: 'broken', id: 1 }, context(), [broken]);
    assert.equal(reply, '{"jsonrpc":"2.0","error":{"code":-32603,"message":"Internal error"},"id":1}');
  });

  test('a page that throws ends the reply in the middle', async () => {
    function* pages() {
      yield [1];
      throw new Error('gone');
    }
    const broken: Command = { ...COMMANDS[0]!, name: 'broken', run: () => new Pages(pages()) };
    await assert.rejects(textOf({ jsonrpc: '2.0', method: 'broken', id: 1 }, context(), [broken]), /gone/);
  });
});

describe('parameters', () => {
  for (const [what, method, params, message] of [
    ['a missing one', 'dlg.dlg_list', [], 'Invalid params: callid is missing'],
    ['none at all', 'dlg.profile_get_size', undefined, 'Invalid params: profile is missing'],
    ['too many', 'dlg.profile_get_size', ['a', 'b', 'c'], 'Invalid params: at most 2 may be given'],
    ['text instead of a list', 'dlg.dlg_list', 'call-1', 'Invalid params: allowed is a list or an object'],
  ] as const) {
    test(`${what} is refused in words`, async () => {
      assert.deepEqual((await call(method, params)).error, { code: -32602, message });
    });
  }

  for (const [method, params] of [
    ['dlg.dlg_list', { callid: 'a', from: 'b' }],
    ['dlg.dlg_list', [['a']]],
    ['dlg.dlg_list', ['']],
    ['dlg.dlg_list', ['x'.repeat(1025)]],
    ['dlg.list', [-1, 5]],
    ['dlg.list', [0, 0]],
    ['dlg.list', [0, 1001]],
    ['dlg.list', [0.5, 1]],
    ['stats.get_statistics', []],
    ['stats.get_statistics', [{}]],
  ] as const) {
    test(`refuses ${method} ${JSON.stringify(params).slice(0, 40)}`, async () => {
      assert.equal((await call(method, params)).error.code, -32602);
    });
  }

  test('a bare number is taken as text where text is wanted', async () => {
    const within = context([dialog(1, { 'call-id': '12345' })]);
    assert.equal((await call('dlg.dlg_list', [12345], within)).result['call-id'], '12345');
  });

  test('come by name as well as by position', async () => {
    const within = context([dialog(1), dialog(2)]);
    const byName = await call('dlg.dlg_list', { callid: 'call-2@10.0.0.1', from_tag: 'a1' }, within);
    assert.equal(byName.result.h_id, 2);
  });
});

describe('dlg.list [manual 9.1, spec 10.4]', () => {
  const FIELDS =
    'h_entry h_id ref call-id from_uri to_uri state start_ts init_ts end_ts duration timeout lifetime ' +
    'dflags sflags iflags caller callee profiles variables';

  test('gives every dialog with all fields in their order', async () => {
    const within = context([dialog(1), dialog(2)]);
    const { result } = await call('dlg.list', undefined, within);
    assert.equal(Object.keys(result[0]).join(' '), FIELDS);
    assert.equal(Object.keys(result[0].caller).join(' '), 'tag contact cseq route_set socket');
    assert.deepEqual(result, [dialog(1), dialog(2)]);
  });

  test('streams a long list page by page, and all of it', async () => {
    const within = context(Array.from({ length: 1_050 }, (_, at) => dialog(at)));
    const view = within.view as FakeView;
    const chunks = jsonRpc(COMMANDS, within, silentLog).answer(
      '{"jsonrpc":"2.0","method":"dlg.list","id":1}',
    );
    await chunks.next();
    let reply = (await chunks.next()).value as string;
    assert.equal(view.pagesRead, 1, 'the second page is not read before the first was taken');
    assert.equal(JSON.parse(`[${reply}]`).length, 100);
    reply = `[${reply}`;
    for await (const chunk of chunks) reply += chunk;
    const list = JSON.parse(reply.slice(0, reply.lastIndexOf(']') + 1));
    assert.deepEqual(
      list.map((d: DialogView) => d.h_id),
      Array.from({ length: 1_050 }, (_, at) => at),
    );
    assert.equal(view.pagesRead, 11);
  });

  test('stops reading when the reader goes away', async () => {
    const within = context(Array.from({ length: 1_050 }, (_, at) => dialog(at)));
    const chunks = jsonRpc(COMMANDS, within, silentLog).answer(
      '{"jsonrpc":"2.0","method":"dlg.list","id":1}',
    );
    await chunks.next();
    await chunks.next();
    await chunks.return(undefined);
    assert.equal((within.view as FakeView).pagesRead, 1);
  });

  test('gives one page and where to go on when it is asked for pages', async () => {
    const within = context([dialog(1), dialog(2), dialog(3)]);
    const first = await call('dlg.list', { cursor: 0, limit: 2 }, within);
    assert.deepEqual(first.result, { dialogs: [dialog(1), dialog(2)], next: 2 });
    const last = await call('dlg.list', [2, 2], within);
    assert.deepEqual(last.result, { dialogs: [dialog(3)], next: null });
  });
});

describe('dlg.dlg_list [manual 9.3]', () => {
  test('gives the one dialog, not a list', async () => {
    const { result } = await call('dlg.dlg_list', ['call-1@10.0.0.1', 'a1'], context([dialog(1)]));
    assert.deepEqual(result, dialog(1));
  });

  test('gives all when several match', async () => {
    const twice = [dialog(1), dialog(2, { 'call-id': 'call-1@10.0.0.1' })];
    assert.deepEqual((await call('dlg.dlg_list', ['call-1@10.0.0.1'], context(twice))).result, twice);
  });

  test('says 404 when nothing matches', async () => {
    const { error } = await call('dlg.dlg_list', ['call-1@10.0.0.1', 'other'], context([dialog(1)]));
    assert.deepEqual(error, { code: 404, message: 'Dialog not found' });
  });
});

describe('profiles [manual 9.6, 9.7]', () => {
  const within = () =>
    context([
      dialog(1),
      dialog(2, { profiles: [{ caller: 'bob' }, { caller: 'bob' }] }),
      dialog(3, { profiles: [] }),
    ]);

  test('the size counts memberships, of one value or of all', async () => {
    assert.equal((await call('dlg.profile_get_size', ['caller'], within())).result, 3);
    assert.equal((await call('dlg.profile_get_size', ['caller', 'bob'], within())).result, 2);
    assert.equal((await call('dlg.profile_get_size', ['caller', 'nobody'], within())).result, 0);
    assert.equal((await call('dlg.profile_get_size', ['outbound', null], within())).result, 1);
  });

  test('the list has a dialog once for each membership', async () => {
    const { result } = await call('dlg.profile_list', ['caller', 'bob'], within());
    assert.deepEqual(
      result.map((d: DialogView) => d.h_id),
      [2, 2],
    );
    assert.deepEqual((await call('dlg.profile_list', ['caller', 'nobody'], within())).result, []);
  });

  test('an unknown profile is a 404 that names it', async () => {
    for (const method of ['dlg.profile_get_size', 'dlg.profile_list']) {
      const { error } = await call(method, ['nope'], within());
      assert.deepEqual(error, { code: 404, message: 'Profile not found: nope' });
    }
  });
});

describe('numbers', () => {
  test('dlg.stats_active counts the states 1 to 4 and all of them', async () => {
    const within = context([1, 2, 2, 3, 4, 4, 4, 5].map((state, at) => dialog(at, { state })));
    assert.deepEqual((await call('dlg.stats_active', [], within)).result, {
      starting: 1,
      connecting: 2,
      answering: 1,
      ongoing: 3,
      all: 7,
    });
  });

  for (const [names, lines] of [
    [['dialog:'], ['dialog:active_dialogs = 2', 'dialog:early_dialogs = 0']],
    [['active_dialogs'], ['dialog:active_dialogs = 2']],
    [
      ['tm:current', 'core:'],
      ['tm:current = 5', 'core:drops = 0'],
    ],
  ] as const) {
    test(`stats.get_statistics ${names.join(' ')}`, async () => {
      assert.deepEqual((await call('stats.get_statistics', names)).result, lines);
    });
  }

  test('stats.get_statistics all gives every one', async () => {
    assert.equal((await call('stats.get_statistics', ['all'])).result.length, 4);
  });

  test('stats.fetch and stats.fetchn give them as one object', async () => {
    const named = await call('stats.fetch', ['tm:current', 'dialog:']);
    assert.deepEqual(named.result, {
      'tm.current': '5',
      'dialog.active_dialogs': '2',
      'dialog.early_dialogs': '0',
    });
    assert.deepEqual((await call('stats.fetchn', ['tm:current'])).result, { 'tm.current': 5 });
    assert.equal((await call('stats.fetch', ['nope'])).error.code, 404);
  });

  test('stats.reset_statistics has those count from 0 that may', async () => {
    const within = context([]);
    assert.deepEqual((await call('stats.reset_statistics', ['tm:', 'dialog:'], within)).result, {});
    assert.deepEqual((await call('stats.get_statistics', ['tm:current', 'active_dialogs'], within)).result, [
      'tm:current = 0',
      'dialog:active_dialogs = 2',
    ]);
    assert.equal((await call('stats.reset_statistics', ['nope'], within)).error.code, 404);
  });

  test('stats.clear_statistics says what they were', async () => {
    const within = context([]);
    assert.deepEqual((await call('stats.clear_statistics', ['tm:current', 'core:'], within)).result, [
      'tm:current = 0 (5)',
      'core:drops = 0',
    ]);
  });

  test('an unknown statistic is a 404 that names it', async () => {
    const { error } = await call('stats.get_statistics', ['dialog:', 'nope']);
    assert.deepEqual(error, { code: 404, message: 'Statistic not found: nope' });
  });

  test('with enable_stats off the dialog module has none [manual 5.1]', async () => {
    const within = context([], false);
    assert.deepEqual((await call('stats.get_statistics', ['all'], within)).result, [
      'tm:current = 5',
      'core:drops = 0',
    ]);
    assert.equal((await call('stats.get_statistics', ['dialog:'], within)).error.code, 404);
  });

  test('core.shmmem says how full the segment is', async () => {
    assert.deepEqual((await call('core.shmmem')).result, {
      total: 268_435_456,
      free: 268_434_432,
      used: 1_024,
      pools: [{ name: 'dialogs', unit: 64, total: 1_000, used: 2 }],
    });
  });
});

describe('the program', () => {
  test('core.version names it', async () => {
    assert.match((await call('core.version')).result, /^holdfast 1\.2\.3 \(\w+\/linux\)$/);
  });

  test('core.uptime gives two dates and the seconds between them', async () => {
    const { result } = await call('core.uptime');
    assert.equal(result.uptime, 90);
    for (const date of [result.now, result.up_since]) {
      assert.match(date, /^[A-Z][a-z]{2} [A-Z][a-z]{2} \d\d \d\d:\d\d:\d\d \d{4}$/);
    }
  });

  test('system.listMethods names every command, and each has its words', async () => {
    const { result } = await call('system.listMethods');
    assert.deepEqual(result, COMMANDS.map((command) => command.name).sort());
    for (const { name, doc, section } of COMMANDS) assert.ok(doc.length > 0 && section.length > 0, name);
    assert.equal(new Set(result).size, result.length);
  });
});
