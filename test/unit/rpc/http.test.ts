import assert from 'node:assert/strict';
import { request } from 'node:http';
import { connect } from 'node:net';
import { afterAll, beforeAll, beforeEach, describe, test } from 'vitest';
import { ManualClock } from '../../../dist/clock.js';
import { EngineError } from '../../../dist/errors.js';
import { type Log, OnceAMinute, silentLog } from '../../../dist/log.js';
import { COMMANDS } from '../../../dist/rpc/commands/index.js';
import { type HttpDoor, openHttp } from '../../../dist/rpc/http.js';
import { jsonRpc } from '../../../dist/rpc/json-rpc.js';
import type { Health } from '../../../dist/rpc/ports.js';
import { dialog, FakeView } from './fake-view.js';

const ENDPOINT = { address: '127.0.0.1', port: 18_060 };
const BASE = `http://127.0.0.1:${ENDPOINT.port}`;
const view = new FakeView(Array.from({ length: 3_000 }, (_, at) => dialog(at)));

const silent = new OnceAMinute(silentLog, new ManualClock());

let door: HttpDoor;
let health: Health;

const open = () => {
  const context = {
    view,
    clock: new ManualClock(),
    startedUnixSeconds: 0,
    version: '1.2.3',
    dialogStatistics: true,
    dumpFolder: null,
  };
  return openHttp(ENDPOINT, jsonRpc(COMMANDS, context, silentLog), () => health, silent, null);
};

beforeEach(() => {
  health = { state: 'ready', workersWanted: 2, workersRunning: 2 };
});
beforeAll(async () => {
  door = await open();
});
afterAll(() => door.close());

function post(body: string, headers: Record<string, string> = { 'content-type': 'application/json' }) {
  return fetch(`${BASE}/RPC`, { method: 'POST', body, headers });
}

describe('the HTTP door', () => {
  test('answers JSON-RPC at /RPC with a JSON type', async () => {
    const reply = await post(
      '{"jsonrpc":"2.0","method":"dlg.profile_get_size","params":["outbound"],"id":1}',
    );
    assert.equal(reply.status, 200);
    assert.match(reply.headers.get('content-type') ?? '', /^application\/json/);
    assert.deepEqual(await reply.json(), { jsonrpc: '2.0', result: 3_000, id: 1 });
  });

  test('streams a list of thousands', async () => {
    const reply = await post('{"jsonrpc":"2.0","method":"dlg.list","id":1}');
    assert.equal(reply.headers.get('content-length'), null);
    const { result } = (await reply.json()) as { result: unknown[] };
    assert.equal(result.length, 3_000);
    assert.deepEqual(result.at(-1), dialog(2_999));
  });

  test('answers a notification with 204', async () => {
    assert.equal((await post('{"jsonrpc":"2.0","method":"core.version"}')).status, 204);
  });

  test('answers what is no JSON within the envelope', async () => {
    const reply = await post('{');
    assert.equal(((await reply.json()) as { error: { code: number } }).error.code, -32700);
  });

  test('takes a charset beside the type', async () => {
    const headers = { 'content-type': 'application/json; charset=utf-8' };
    assert.equal((await post('{"jsonrpc":"2.0","method":"core.version","id":1}', headers)).status, 200);
  });

  for (const type of ['text/plain', 'application/x-www-form-urlencoded']) {
    test(`refuses ${type}, which a foreign page could send unasked`, async () => {
      const reply = await post('{"jsonrpc":"2.0","method":"core.version","id":1}', { 'content-type': type });
      assert.equal(reply.status, 415);
    });
  }

  test('refuses a body of more than a megabyte', async () => {
    assert.equal((await post(`"${'x'.repeat(1_100_000)}"`)).status, 413);
  });

  test('answers other paths and methods with 404', async () => {
    assert.equal((await fetch(`${BASE}/RPC`)).status, 404);
    assert.equal((await fetch(`${BASE}/`, { method: 'POST', body: '' })).status, 404);
  });

  test('on loopback refuses a foreign name', async () => {
    const statusFor = (host: string) =>
      new Promise((resolve) => {
        request(`${BASE}/livez`, { headers: { host } }, (reply) => {
          reply.resume();
          resolve(reply.statusCode);
        }).end();
      });
    assert.equal(await statusFor('evil.example:18060'), 403);
    assert.equal(await statusFor('localhost:18060'), 200);
    assert.equal(await statusFor('127.0.0.1'), 200);
    assert.equal(await statusFor('[::1]:18060'), 200);
  });

  test('an address in use is said in our words', async () => {
    await assert.rejects(open(), (error: EngineError) => {
      assert.ok(error instanceof EngineError);
      assert.equal(error.code, 'ERR_ADDRESS_IN_USE');
      assert.match(error.message, /^address in use: management address 127\.0\.0\.1 port 18060$/);
      return true;
    });
  });

  test('an address of another machine is said in our words', async () => {
    const rpc = jsonRpc(COMMANDS, {} as never, silentLog);
    await assert.rejects(
      openHttp({ address: '192.0.2.1', port: 18_061 }, rpc, () => health, silent, null),
      { code: 'ERR_ADDRESS' },
    );
  });
});

describe('health', () => {
  for (const [state, workersRunning, status] of [
    ['ready', 2, 200],
    ['ready', 1, 503],
    ['starting', 2, 503],
    ['draining', 2, 503],
  ] as const) {
    test(`${state} with ${workersRunning} of 2 workers: ${status}, and alive`, async () => {
      health = { state, workersWanted: 2, workersRunning };
      assert.equal((await fetch(`${BASE}/healthz`)).status, status);
      assert.equal((await fetch(`${BASE}/readyz`)).status, status);
      const alive = await fetch(`${BASE}/livez`);
      assert.equal(alive.status, 200);
      assert.deepEqual(await alive.json(), { status: state, workers: workersRunning, workers_wanted: 2 });
    });
  }
});

function promised<T>() {
  let resolve: (value: T) => void = () => {};
  const promise = new Promise<T>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}

describe('whoever holds connections', () => {
  const held = { address: '127.0.0.1', port: 18_062 };
  const base = `http://127.0.0.1:${held.port}`;
  const call = { method: 'POST', body: '{}', headers: { 'content-type': 'application/json' } };

  test('and takes next to nothing of a listing is parted with, and told', async () => {
    const ended = promised<void>();
    const told = promised<string>();
    const log: Log = { ...silentLog, warn: (event) => told.resolve(event) };
    const rpc = {
      async *answer() {
        try {
          for (;;) yield 'x'.repeat(65_536);
        } finally {
          ended.resolve();
        }
      },
    };
    const bounds = { requestsInProgressMax: 9, windowMs: 20, bytesPerWindowMin: 1 };
    const slowDoor = await openHttp(
      held,
      rpc,
      () => health,
      new OnceAMinute(log, new ManualClock()),
      null,
      bounds,
    );
    const reader = connect(held.port, held.address).on('error', () => {});
    try {
      reader.pause();
      const head = 'POST /RPC HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n';
      reader.write(`${head}content-length: 2\r\n\r\n{}`);
      assert.equal(await told.promise, 'rpc_reader_too_slow');
      await ended.promise;
    } finally {
      reader.destroy();
      await slowDoor.close();
    }
  });

  test('leaves room for health: requests above their bound are refused until others end', async () => {
    const go = promised<void>();
    const rpc = {
      async *answer() {
        yield '[';
        await go.promise;
        yield ']';
      },
    };
    const bounds = { requestsInProgressMax: 2, windowMs: 60_000, bytesPerWindowMin: 1 };
    const heldDoor = await openHttp(held, rpc, () => health, silent, null, bounds);
    try {
      const first = await Promise.all([fetch(`${base}/RPC`, call), fetch(`${base}/RPC`, call)]);
      const refused = await fetch(`${base}/RPC`, call);
      assert.equal(refused.status, 503);
      assert.equal(refused.headers.get('retry-after'), '5');
      assert.equal((await fetch(`${base}/livez`)).status, 200);
      go.resolve();
      for (const reply of first) assert.equal(await reply.text(), '[]');
      // The door may hear a little later than the reader that an answer is through.
      let status = 0;
      for (let n = 0; n < 100 && status !== 200; n++) status = (await fetch(`${base}/RPC`, call)).status;
      assert.equal(status, 200);
    } finally {
      await heldDoor.close();
    }
  });
});
