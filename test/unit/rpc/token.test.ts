import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, test } from 'vitest';
import { ManualClock } from '../../../dist/clock.js';
import { defaultConfig } from '../../../dist/config/load.js';
import { demandedToken, readToken } from '../../../dist/config/token.js';
import { OnceAMinute, silentLog } from '../../../dist/log.js';
import { COMMANDS } from '../../../dist/rpc/commands/index.js';
import { type HttpDoor, openHttp } from '../../../dist/rpc/http.js';
import { jsonRpc } from '../../../dist/rpc/json-rpc.js';

const TOKEN = 'c2VjcmV0LXNlY3JldA==';
const PORT = 18_062;
const BASE = `http://127.0.0.1:${PORT}`;
const folder = mkdtempSync(join(tmpdir(), 'holdfast-token-'));
afterAll(() => rmSync(folder, { recursive: true }));

function fileOf(text: string, mode = 0o600): string {
  const path = join(folder, 'token');
  writeFileSync(path, text);
  chmodSync(path, mode);
  return path;
}

describe('a door with a token', () => {
  let door: HttpDoor;
  let calls = 0;
  beforeAll(async () => {
    const rpc = jsonRpc(COMMANDS, { version: '1' } as never, silentLog);
    const counting: typeof rpc = {
      answer(body) {
        calls += 1;
        return rpc.answer(body);
      },
    };
    const rare = new OnceAMinute(silentLog, new ManualClock());
    const health = { state: 'ready', workersWanted: 1, workersRunning: 1 } as const;
    door = await openHttp({ address: '127.0.0.1', port: PORT }, counting, () => health, rare, TOKEN);
  });
  afterAll(() => door.close());

  const post = (authorization?: string) => {
    const headers: Record<string, string> = { 'content-type': 'application/json' };
    if (authorization !== undefined) headers.authorization = authorization;
    const body = '{"jsonrpc":"2.0","method":"system.listMethods","id":1}';
    return fetch(`${BASE}/RPC`, { method: 'POST', headers, body });
  };

  for (const shown of [`Bearer ${TOKEN}`, `bearer  ${TOKEN}`]) {
    test(`answers ${shown}`, async () => {
      const reply = await post(shown);
      assert.equal(reply.status, 200);
      assert.ok(((await reply.json()) as { result: string[] }).result.includes('dlg.list'));
    });
  }

  for (const shown of [
    undefined,
    '',
    'Bearer',
    'Bearer ',
    TOKEN,
    `Basic ${TOKEN}`,
    `Bearer ${TOKEN}x`,
    `Bearer ${TOKEN.slice(1)}`,
    `Bearer ${TOKEN.toUpperCase()}`,
    `Bearer ${TOKEN} ${TOKEN}`,
  ]) {
    test(`runs nothing for ${shown}`, async () => {
      const before = calls;
      const reply = await post(shown);
      assert.equal(reply.status, 401);
      assert.equal(reply.headers.get('www-authenticate'), 'Bearer');
      const { error, id } = (await reply.json()) as { error: { code: number }; id: unknown };
      assert.deepEqual([error.code, id, calls], [401, null, before]);
    });
  }

  for (const path of ['/livez', '/readyz', '/healthz']) {
    test(`${path} wants none`, async () => assert.equal((await fetch(BASE + path)).status, 200));
  }
});

describe('the token file', () => {
  test('holds the token, and a line end perhaps', () => {
    for (const end of ['', '\n', '\r\n']) assert.equal(readToken(fileOf(TOKEN + end)), TOKEN);
    assert.equal(readToken(fileOf(`${'x'.repeat(1_024)}\n`, 0o400)).length, 1_024);
  });

  for (const text of [
    '',
    'short',
    'two words of some length',
    `${'x'.repeat(1_025)}`,
    `${TOKEN}\n${TOKEN}`,
  ]) {
    test(`is refused with ${text.length} characters that are no token`, () => {
      assert.throws(() => readToken(fileOf(text)), { code: 'ERR_TOKEN_FILE', message: /openssl rand/ });
    });
  }

  for (const mode of [0o640, 0o604, 0o620, 0o602]) {
    test(`is refused with mode ${mode.toString(8)}`, () => {
      assert.throws(() => readToken(fileOf(TOKEN, mode)), { code: 'ERR_TOKEN_FILE', message: /chmod 600/ });
    });
  }

  test('is a regular file', () => {
    for (const path of [folder, '/dev/null', join(folder, 'nowhere')]) {
      assert.throws(() => readToken(path), { code: 'ERR_TOKEN_FILE' }, path);
    }
  });
});

describe('who must have one', () => {
  for (const [address, isOpen] of [
    ['127.0.0.1', false],
    ['127.9.9.9', false],
    ['::1', false],
    ['0.0.0.0', true],
    ['::', true],
    ['192.0.2.1', true],
    ['::ffff:c000:201', true],
  ] as const) {
    test(`${address} ${isOpen ? 'refuses to start without' : 'may do without'}`, async () => {
      const rpc = { address, port: 8060 };
      const without = { ...(await defaultConfig()), rpc };
      if (!isOpen) assert.equal(demandedToken(without), null);
      else {
        const error = { code: 'ERR_RPC_OPEN', message: /--set rpc:token_file=/ };
        assert.throws(() => demandedToken(without), error);
      }
      const config = { ...(await defaultConfig(`rpc:token_file=${fileOf(TOKEN)}`)), rpc };
      assert.equal(demandedToken(config), TOKEN);
    });
  }
});
