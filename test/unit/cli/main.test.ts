import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, test } from 'vitest';
import { ManualClock, systemClock } from '../../../dist/clock.js';
import { OPTION_NAMES } from '../../../dist/config/options.js';
import { OnceAMinute, silentLog } from '../../../dist/log.js';
import { COMMANDS } from '../../../dist/rpc/commands/index.js';
import { type HttpDoor, openHttp } from '../../../dist/rpc/http.js';
import { jsonRpc } from '../../../dist/rpc/json-rpc.js';
import type { Health } from '../../../dist/rpc/ports.js';
import { dialog, FakeView } from '../rpc/fake-view.js';

const MAIN = fileURLToPath(new URL('../../../dist/cli/main.js', import.meta.url));
const RPC = '127.0.0.1:18080';
const NOBODY = '127.0.0.1:18081';
const folder = mkdtempSync(join(tmpdir(), 'holdfast-cli-'));

type End = { readonly code: number; readonly out: string; readonly err: string };

/** Runs `holdfast` with these arguments in a folder of its own. */
function holdfast(args: readonly string[], env: Record<string, string> = {}): Promise<End> {
  return new Promise((resolve) => {
    const options = { cwd: folder, env: { PATH: process.env.PATH ?? '', ...env }, timeout: 60_000 };
    execFile(process.execPath, [MAIN, ...args], options, (error, out, err) => {
      resolve({ code: error === null ? 0 : Number(error.code ?? -1), out, err });
    });
  });
}

/** One clear line on standard error, exit code 1, nothing else. */
function assertOneLine({ code, out, err }: End, ...parts: string[]): void {
  assert.deepEqual([code, out], [1, ''], err);
  assert.equal(err.trimEnd().split('\n').length, 1, err);
  assert.ok(err.startsWith('holdfast: ') && err.endsWith('\n'), err);
  for (const part of parts) assert.ok(err.includes(part), `${err} says ${part}`);
}

afterAll(() => rmSync(folder, { recursive: true }));

describe('holdfast', () => {
  for (const args of [['--version'], ['start', '--version']]) {
    test(args.join(' '), async () => {
      const { code, out, err } = await holdfast(args);
      assert.deepEqual([code, err], [0, '']);
      assert.match(out, /^\d+\.\d+\.\d+\n$/);
    });
  }

  for (const args of [['--help'], ['start', '--help']]) {
    test(`${args.join(' ')} names every option`, async () => {
      const { code, out } = await holdfast(args);
      assert.equal(code, 0);
      for (const name of [...OPTION_NAMES, 'set', 'config', 'check'])
        assert.ok(out.includes(`--${name}`), name);
    });
  }
});

describe('--check', () => {
  test('says that all is well, each value and where it comes from, and ends with 0', async () => {
    writeFileSync(join(folder, 'x.json'), '{"workers": 3, "set": {"dialog:hash_size": 8192}}');
    const args = ['--check', '--config', 'x.json', '--listen', 'udp:[::1]:5070', '--set', 'tm:fr_timer=1000'];
    const { code, out, err } = await holdfast(args, { HOLDFAST_RPC: '127.0.0.1:9999' });
    assert.deepEqual([code, err], [0, '']);
    const lines = out.split('\n').map((line) => line.trim().replaceAll(/\s+/g, ' '));
    assert.equal(lines[0], 'the configuration is valid');
    for (const line of [
      'listen udp:[::1]:5070 (--listen)',
      'rpc 127.0.0.1:9999 (HOLDFAST_RPC)',
      `workers 3 (${join(folder, 'x.json')})`,
      'next-hop none (default)',
      `dialog:hash_size 8192 (${join(folder, 'x.json')})`,
      'tm:fr_timer 1000 (--set)',
    ]) {
      assert.ok(lines.includes(line), `${out} has ${line}`);
    }
  });

  test('says every mistake on a line of its own, and ends with 1', async () => {
    const { code, out, err } = await holdfast(['--check', '--workers', '0', '--set', 'dialog:hash_size=5']);
    assert.deepEqual([code, out], [1, '']);
    assert.deepEqual(err.split('\n'), [
      'holdfast: --workers 0: allowed is a whole number from 1 to 32',
      'holdfast: --set dialog:hash_size=5: allowed is a power of two from 1 to 16777216',
      '',
    ]);
  });
});

describe('what an operator can mend is one line and exit code 1', () => {
  for (const [args, ...parts] of [
    [['--nonsense'], '--nonsense'],
    [['start', '--workerz', '2'], '--workerz'],
    [['--workers'], '--workers', 'missing'],
    [['start', 'now'], 'too many arguments'],
    [['rpc'], 'method'],
    [['--config', 'nowhere.json'], 'nowhere.json'],
    [['--routes', 'nowhere.mjs'], '--routes', 'nowhere.mjs'],
    [['rpc', 'core.version', '--rpc', NOBODY], NOBODY, 'ECONNREFUSED'],
    [['list', '--rpc', NOBODY], NOBODY, 'ECONNREFUSED'],
    [['list', '--token-file', 'nowhere.token'], 'nowhere.token'],
    [['--check', '--rpc', '192.0.2.1:8060'], 'rpc:token_file'],
  ] as const) {
    test(args.join(' '), async () => assertOneLine(await holdfast(args), ...parts));
  }
});

describe('the client', () => {
  const dialogs = Array.from({ length: 1_203 }, (_, at) => dialog(at));
  let door: HttpDoor;
  beforeAll(async () => {
    const view = new FakeView(dialogs);
    const startedUnixSeconds = systemClock.unixSeconds();
    const context = {
      view,
      clock: systemClock,
      startedUnixSeconds,
      version: '1',
      dialogStatistics: true,
      dumpFolder: null,
    };
    const health: Health = { state: 'ready', workersWanted: 1, workersRunning: 1 };
    const endpoint = { address: '127.0.0.1', port: 18_080 };
    const rare = new OnceAMinute(silentLog, new ManualClock());
    door = await openHttp(endpoint, jsonRpc(COMMANDS, context, silentLog), () => health, rare, null);
  });
  afterAll(() => door.close());

  test('rpc prints the result as JSON', async () => {
    const { code, out } = await holdfast(['rpc', 'dlg.profile_get_size', 'caller', 'alice', '--rpc', RPC]);
    assert.deepEqual([code, out], [0, '1203\n']);
  });

  test('rpc sends numbers as numbers, and text as text', async () => {
    const page = await holdfast(['rpc', 'dlg.list', '1200', '2'], { HOLDFAST_RPC: RPC });
    assert.deepEqual(JSON.parse(page.out), { dialogs: dialogs.slice(1_200, 1_202), next: 1_202 });
    const text = await holdfast(['rpc', 'dlg.list', 's:1200', '2'], { HOLDFAST_RPC: RPC });
    assertOneLine(text, 'dlg.list', '-32602');
  });

  test('rpc ends with 1 when the answer is a refusal', async () => {
    const end = await holdfast(['rpc', 'dlg.profile_get_size', 'nope', '--rpc', RPC]);
    assertOneLine(end, 'dlg.profile_get_size', '404 Profile not found: nope');
    assertOneLine(await holdfast(['rpc', 'no.such', '--rpc', RPC]), '-32601 Method not found');
  });

  for (const args of [['list'], ['end', 'nobody'], ['rpc', 'core.version']]) {
    test(`${args[0]} takes a configuration file only when it is named`, async () => {
      writeFileSync(join(folder, 'holdfast.config.json'), '[]', { mode: 0o644 });
      try {
        assert.ok(!(await holdfast([...args, '--rpc', RPC])).err.includes('holdfast.config.json'));
        assertOneLine(await holdfast([...args, '--config', 'holdfast.config.json']), 'holdfast.config.json');
        assertOneLine(await holdfast(['--check']), 'holdfast.config.json');
      } finally {
        rmSync(join(folder, 'holdfast.config.json'));
      }
    });
  }

  test('shows the token of a file, and says when one is wanted', async () => {
    const context = { version: '1' } as never;
    const health: Health = { state: 'ready', workersWanted: 1, workersRunning: 1 };
    const endpoint = { address: '127.0.0.1', port: 18_082 };
    const rpc = jsonRpc(COMMANDS, context, silentLog);
    const rare = new OnceAMinute(silentLog, new ManualClock());
    const guarded = await openHttp(endpoint, rpc, () => health, rare, '0123456789abcdef');
    try {
      writeFileSync(join(folder, 'token'), '0123456789abcdef\n', { mode: 0o600 });
      const args = ['rpc', 'system.listMethods', '--rpc', '127.0.0.1:18082'];
      assertOneLine(await holdfast(args), '401', '--token-file');
      assert.equal((await holdfast([...args, '--token-file', 'token'])).code, 0);
      const set = { HOLDFAST_SET: `rpc:token_file=${join(folder, 'token')}` };
      assert.equal((await holdfast(args, set)).code, 0);
    } finally {
      await guarded.close();
    }
  });

  test('list prints every dialog, one JSON object a line, when its output is no terminal', async () => {
    const { code, out } = await holdfast(['list', '--rpc', RPC]);
    assert.equal(code, 0);
    const lines = out.trimEnd().split('\n');
    assert.deepEqual(
      lines.map((line) => JSON.parse(line)),
      dialogs,
    );
  });
});
