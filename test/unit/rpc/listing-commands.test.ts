import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'vitest';
import { ManualClock } from '../../../dist/clock.js';
import { silentLog } from '../../../dist/log.js';
import { COMMANDS } from '../../../dist/rpc/commands/index.js';
import { jsonRpc } from '../../../dist/rpc/json-rpc.js';
import type { StateOutcome } from '../../../dist/rpc/ports.js';
import { dialog, FakeView } from './fake-view.js';

async function call(
  view: FakeView,
  method: string,
  params: unknown,
  dumpFolder: string | null = null,
): Promise<Record<string, unknown>> {
  const context = {
    view,
    clock: new ManualClock(0, 0),
    startedUnixSeconds: 0,
    version: '1.2.3',
    dialogStatistics: true,
    dumpFolder,
  };
  const request = JSON.stringify({ jsonrpc: '2.0', method, params, id: 1 });
  let reply = '';
  for await (const chunk of jsonRpc(COMMANDS, context, silentLog).answer(request)) reply += chunk;
  return JSON.parse(reply);
}

describe('listings with what listeners add [manual 8.2, 9.2, 9.4]', () => {
  test('all dialogs; no field of theirs stands in place of one of the dialog', async () => {
    const dialogs = Array.from({ length: 250 }, (_, n) => dialog(n));
    const { result } = await call(new FakeView(dialogs), 'dlg.list_ctx', []);
    assert.deepEqual(
      result,
      dialogs.map((one) => ({ ...one, tariff: `t${one.h_id}` })),
    );
  });

  test('one dialog, several, none', async () => {
    const view = new FakeView([dialog(1), dialog(2), dialog(3, { 'call-id': 'call-2@10.0.0.1' })]);
    const one = (await call(view, 'dlg.dlg_list_ctx', ['call-1@10.0.0.1'])).result as { tariff: string };
    assert.equal(one.tariff, 't1');
    const two = (await call(view, 'dlg.dlg_list_ctx', ['call-2@10.0.0.1', 'a1'])).result as unknown[];
    assert.equal(two.length, 2);
    const { error } = await call(view, 'dlg.dlg_list_ctx', ['x']);
    assert.deepEqual(error, { code: 404, message: 'Dialog not found' });
  });

  test('those that match', async () => {
    const view = new FakeView([dialog(1), dialog(2)]);
    const { result } = await call(view, 'dlg.list_match_ctx', ['callid', 'eq', 'call-2@10.0.0.1']);
    assert.deepEqual(
      (result as { tariff: string }[]).map(({ tariff }) => tariff),
      ['t2'],
    );
    const { error } = await call(view, 'dlg.list_match_ctx', ['callid', 'eq', 'x']);
    assert.deepEqual(error, { code: 404, message: 'Not found' });
  });
});

describe('dlg.set_state [spec 13.3]', () => {
  test('is 5 unless another state is given', async () => {
    const view = new FakeView([dialog(1)]);
    assert.equal((await call(view, 'dlg.set_state', ['call-1@10.0.0.1', 'a1', 'b2'])).result, 'Done');
    await call(view, 'dlg.set_state', ['call-1@10.0.0.1', 'b2', 'a1', 4]);
    assert.deepEqual(view.asked, [
      ['setState', 1006, 1, 5],
      ['setState', 1006, 1, 4],
    ]);
  });

  for (const [outcome, code] of [
    ['gone', 404],
    ['ended', 500],
    ['not_now', 503],
  ] as const satisfies readonly (readonly [StateOutcome, number])[]) {
    test(`${outcome} is a refusal: ${code}`, async () => {
      const view = new FakeView([dialog(1)]);
      view.stateOutcome = outcome;
      const { error } = await call(view, 'dlg.set_state', ['call-1@10.0.0.1', 'a1', 'b2']);
      assert.equal((error as { code: number }).code, code);
    });
  }

  test('no dialog of these tags, or no such state', async () => {
    const view = new FakeView([dialog(1)]);
    const code = async (...params: unknown[]) =>
      ((await call(view, 'dlg.set_state', params)).error as { code: number }).code;
    assert.equal(await code('call-1@10.0.0.1', 'a1', 'x'), 404);
    assert.equal(await code('call-1@10.0.0.1', 'a1', 'b2', 6), -32602);
    assert.deepEqual(view.asked, []);
  });
});

describe('dlg.dump_file [spec 13.3]', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'holdfast-dump-'));
  });
  afterEach(() => rm(folder, { recursive: true }));

  const dump = async (name: string, into: string | null = folder) => {
    const twice = dialog(2, { profiles: [{ caller: 'x' }, 'outbound', { caller: 'y' }] });
    const reply = await call(new FakeView([dialog(1), twice]), 'dlg.dump_file', [name], into);
    return reply as { result?: unknown; error?: { code: number; message: string } };
  };

  test('writes a line for each dialog, profiles and variables as objects, into a file of its own', async () => {
    assert.deepEqual((await dump('dialogs.jsonl')).result, { dialogs: 2 });
    const path = join(folder, 'dialogs.jsonl');
    assert.equal((await stat(path)).mode & 0o777, 0o600);
    const lines = (await readFile(path, 'utf8')).trimEnd().split('\n');
    assert.equal(lines.length, 2);
    const [first, second] = lines.map((line) => JSON.parse(line));
    assert.equal(first.call_id, 'call-1@10.0.0.1');
    assert.deepEqual(first.profiles, { outbound: '', caller: 'alice' });
    assert.deepEqual(first.variables, { billing: 'b-17' });
    assert.deepEqual(second.profiles, { caller: ['x', 'y'], outbound: '' });
  });

  for (const name of [
    '/tmp/x.jsonl',
    '../x.jsonl',
    'a/b.jsonl',
    '.hidden.jsonl',
    '.jsonl',
    'profile',
    'x.jsonl\n.sh',
    'x\0.jsonl',
    `${'x'.repeat(250)}.jsonl`,
    '',
  ]) {
    test(`not into ${JSON.stringify(name)}`, async () => {
      assert.equal((await dump(name)).error?.code, -32602);
      assert.deepEqual(await readdir(folder), []);
    });
  }

  test('not into a file that is there, nor through a link', async () => {
    await writeFile(join(folder, 'old.jsonl'), 'kept');
    await symlink(join(folder, 'elsewhere'), join(folder, 'link.jsonl'));
    for (const name of ['old.jsonl', 'link.jsonl']) assert.equal((await dump(name)).error?.code, 500, name);
    assert.equal(await readFile(join(folder, 'old.jsonl'), 'utf8'), 'kept');
    assert.deepEqual((await readdir(folder)).sort(), ['link.jsonl', 'old.jsonl']);
  });

  test('without a folder it refuses and names the parameter', async () => {
    const { error } = await dump('dialogs.jsonl', null);
    assert.equal(error?.code, 403);
    assert.match(error.message, /rpc:dump_folder/);
  });

  test('a folder that is not there is a refusal', async () => {
    assert.equal((await dump('dialogs.jsonl', '/nowhere/at/all')).error?.code, 500);
  });
});
