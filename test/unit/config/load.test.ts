import assert from 'node:assert/strict';
import {
  chmodSync,
  chownSync,
  lchownSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, test } from 'vitest';
import { checkReport } from '../../../dist/cli/print.js';
import { type Config, type Given, loadConfig } from '../../../dist/config/load.js';
import type { EngineError } from '../../../dist/errors.js';

const folder = mkdtempSync(join(tmpdir(), 'holdfast-config-'));
afterAll(() => rmSync(folder, { recursive: true }));
let folders = 0;

/** A folder of its own with these files. */
function withFiles(files: Record<string, string>): string {
  folders += 1;
  const path = join(folder, String(folders));
  mkdirSync(path);
  for (const [name, contents] of Object.entries(files)) {
    writeFileSync(join(path, name), contents, { mode: 0o644 });
  }
  return path;
}

function load(flags: Given['flags'] = {}, env: Given['env'] = {}, from = folder) {
  return loadConfig({ flags, env, folder: from, looksInFolder: true });
}

/** The complaints about what was written, one per line. */
async function complaints(flags: Given['flags'], env: Given['env'] = {}, from = folder): Promise<string[]> {
  let lines: string[] = [];
  await assert.rejects(load(flags, env, from), (error: EngineError) => {
    assert.equal(error.code, 'ERR_CONFIG');
    lines = error.detail.split('\n');
    return true;
  });
  return lines;
}

describe('defaults', () => {
  test('are those that are documented', async () => {
    const { config, origins, warnings } = await load({ workers: '2' });
    assert.deepEqual(config.listen, [{ proto: 'udp', address: '127.0.0.1', port: 5060 }]);
    assert.deepEqual(config.rpc, { address: '127.0.0.1', port: 8060 });
    assert.deepEqual([config.nextHop, config.routesFile, config.segmentBytes], [null, null, null]);
    assert.equal(config.segmentPath, '/dev/shm/holdfast-5060');
    assert.deepEqual(
      [config.params.dialog.hash_size, config.params.dialog.default_timeout, config.params.dialog.rr_param],
      [4096, 43_200, 'did'],
    );
    const { retr_timer1, retr_timer2, fr_timer, fr_inv_timer, wt_timer } = config.params.tm;
    assert.deepEqual(
      [retr_timer1, retr_timer2, fr_timer, fr_inv_timer, wt_timer],
      [500, 4_000, 30_000, 120_000, 5_000],
    );
    assert.deepEqual([config.params.core.receive_window_ms, config.params.core.route_timeout_ms], [2, 5_000]);
    assert.deepEqual(
      [...origins],
      [
        ['workers', '--workers'],
        ['dialog:profiles_with_value', 'the default routes'],
      ],
    );
    assert.deepEqual(warnings, []);
  });

  test('the default routes bring their profile, routes of your own do not', async () => {
    const own = withFiles({ 'own.mjs': '' });
    assert.deepEqual((await load()).config.params.dialog.profiles_with_value, ['caller']);
    const added = await load({ set: ['dialog:profiles_with_value=a'] });
    assert.deepEqual(added.config.params.dialog.profiles_with_value, ['a', 'caller']);
    const withOwn = await load({ routes: 'own.mjs' }, {}, own);
    assert.deepEqual(withOwn.config.params.dialog.profiles_with_value, []);
    assert.equal(withOwn.config.routesFile, join(own, 'own.mjs'));
  });

  test('the segment is named after the first port', async () => {
    const { config } = await load({ listen: ['udp:127.0.0.1:5070', 'udp:127.0.0.1:5080'] });
    assert.equal(config.segmentPath, '/dev/shm/holdfast-5070');
  });
});

describe('the result', () => {
  test('is frozen through and through, and can be handed to a worker', async () => {
    const { config } = await load({ set: ['dialog:profiles_no_value=a;b'] });
    const walk = (value: unknown): void => {
      if (typeof value !== 'object' || value === null) return;
      assert.ok(Object.isFrozen(value));
      Object.values(value).forEach(walk);
    };
    walk(config);
    assert.deepEqual(structuredClone(config), config);
  });
});

describe('precedence: flag > environment > file > default', () => {
  const contents = {
    listen: ['udp:127.0.0.1:7001'],
    rpc: '127.0.0.1:7002',
    workers: 3,
    segmentSize: '3M',
    'next-hop': 'sip:file@127.0.0.1',
    set: { 'dialog:hash_size': 1024, 'dialog:default_timeout': 3, 'dialog:rr_param': 'file' },
  };
  const env = {
    HOLDFAST_RPC: '127.0.0.1:7102',
    HOLDFAST_WORKERS: '4',
    HOLDFAST_SET: 'dialog:hash_size=2048,dialog:default_timeout=4',
  };
  const flags = { workers: '5', set: ['dialog:hash_size=8192'] };

  test('each value comes from the strongest place that gives it, and that place is told', async () => {
    const from = withFiles({ 'holdfast.config.json': JSON.stringify(contents) });
    const { config, origins } = await load(flags, env, from);
    const file = join(from, 'holdfast.config.json');
    assert.deepEqual(
      [config.workers, config.rpc.port, config.listen[0]?.port, config.segmentBytes, config.nextHop],
      [5, 7102, 7001, 3_145_728, 'sip:file@127.0.0.1'],
    );
    const { hash_size, default_timeout, rr_param } = config.params.dialog;
    assert.deepEqual([hash_size, default_timeout, rr_param], [8192, 4, 'file']);
    assert.deepEqual(
      ['workers', 'rpc', 'listen', 'dialog:hash_size', 'dialog:default_timeout', 'dialog:rr_param'].map(
        (name) => origins.get(name),
      ),
      ['--workers', 'HOLDFAST_RPC', file, '--set', 'HOLDFAST_SET', file],
    );
  });

  test('what may be given again gathers at one place, and a stronger place replaces it all', async () => {
    const from = withFiles({
      'holdfast.config.json': JSON.stringify({ set: { 'uac:credential': ['a:r:1', 'b:r:2'] } }),
    });
    const inFile = await load({}, {}, from);
    assert.deepEqual(inFile.config.params.uac.credential, ['a:r:1', 'b:r:2']);
    const inFlags = await load({ set: ['uac:credential=c:r:3', 'uac:credential=d:r:x,y z'] }, {}, from);
    assert.deepEqual(inFlags.config.params.uac.credential, ['c:r:3', 'd:r:x,y z']);
    assert.ok(!checkReport(inFlags).includes('x,y z'), 'a password is not shown');
    await assert.rejects(
      load({ set: ['uac:credential=secret'] }),
      (error: Error) => !error.message.includes('secret'),
    );
  });

  test('a list of a stronger place replaces that of a weaker one', async () => {
    const from = withFiles({ 'holdfast.config.json': JSON.stringify(contents) });
    const { config } = await load(
      {},
      { HOLDFAST_LISTEN: 'udp:127.0.0.1:1 udp:[::1]:2,udp:127.0.0.1:3' },
      from,
    );
    assert.deepEqual(
      config.listen.map(({ port }) => port),
      [1, 2, 3],
    );
  });

  test('HOLDFAST_SET holds several, whose values may hold ; , and blanks', async () => {
    const HOLDFAST_SET =
      'dialog:profiles_no_value=a ; b; dialog:rr_param=x tm:fr_timer=1000,core:max_forwards=9';
    const { config } = await load({}, { HOLDFAST_SET });
    assert.deepEqual(config.params.dialog.profiles_no_value, ['a', 'b']);
    assert.deepEqual(
      [config.params.dialog.rr_param, config.params.tm.fr_timer, config.params.core.max_forwards],
      ['x', 1_000, 9],
    );
  });

  test('an empty variable says nothing', async () => {
    assert.equal(
      (await load({}, { HOLDFAST_WORKERS: '', HOLDFAST_CONFIG: '' })).origins.has('workers'),
      false,
    );
  });
});

describe('configuration files', () => {
  for (const [name, contents] of [
    [
      'holdfast.config.ts',
      'const n: number = 7;\nexport default { workers: n } satisfies { workers: number };',
    ],
    ['holdfast.config.mjs', 'export default { workers: 7 };'],
    ['holdfast.config.js', 'export default { workers: 7 };'],
    ['holdfast.config.json', '{"workers": 7}'],
  ] as const) {
    test(`${name} is found in the current folder`, async () => {
      const from = withFiles({ [name]: contents });
      const { config, origins } = await load({}, {}, from);
      assert.equal(config.workers, 7);
      assert.equal(origins.get('workers'), join(from, name));
    });
  }

  test('paths in it start at its own folder', async () => {
    const from = withFiles({ 'other.json': '{"segment": "seg", "routes": "r.mjs"}', 'r.mjs': '' });
    const { config } = await load({ config: join(from, 'other.json') });
    assert.deepEqual([config.segmentPath, config.routesFile], [join(from, 'seg'), join(from, 'r.mjs')]);
  });

  for (const [what, contents] of [
    ['a syntax error', '{"workers": '],
    ['a list', '[]'],
    ['null', 'null'],
    ['text', '"x"'],
  ] as const) {
    test(`${what} is refused with its name`, async () => {
      const from = withFiles({ 'bad.json': contents });
      await assert.rejects(load({ config: 'bad.json' }, {}, from), (error: EngineError) => {
        assert.equal(error.code, 'ERR_CONFIG_FILE');
        assert.match(error.message, /bad\.json/);
        return true;
      });
    });
  }

  describe('one that lies in the current folder', () => {
    const program = 'globalThis.foreign = true; export default {};';
    const refuses = async (from: string, why: RegExp) => {
      await assert.rejects(load({}, {}, from), (error: EngineError) => {
        assert.equal(error.code, 'ERR_CONFIG_FILE_OWNER');
        assert.match(error.detail, why);
        assert.match(error.detail, /chown .* chmod go-w .* --config/);
        return true;
      });
      assert.ok(!('foreign' in globalThis), 'it was run');
    };

    for (const mode of [0o664, 0o646, 0o666]) {
      test(`is not taken with mode ${mode.toString(8)}, but for when it is named`, async () => {
        const from = withFiles({ 'holdfast.config.json': '{"workers": 7}' });
        chmodSync(join(from, 'holdfast.config.json'), mode);
        await refuses(from, /its group or by others/);
        assert.equal((await load({ config: 'holdfast.config.json' }, {}, from)).config.workers, 7);
      });
    }

    test.runIf(process.getuid?.() === 0)('is not taken from another user, and not run', async () => {
      const from = withFiles({ 'holdfast.config.mjs': program });
      chownSync(join(from, 'holdfast.config.mjs'), 65_534, 65_534);
      await refuses(from, /another user/);
    });

    test.runIf(process.getuid?.() === 0)('is not taken through the link of another user', async () => {
      const from = withFiles({ 'mine.json': '{}' });
      symlinkSync('mine.json', join(from, 'holdfast.config.json'));
      await load({}, {}, from);
      lchownSync(join(from, 'holdfast.config.json'), 65_534, 65_534);
      await refuses(from, /another user/);
    });

    test('is not looked for by clients, who may name it', async () => {
      const from = withFiles({ 'holdfast.config.json': '{"workers": 7}' });
      const asClient = (flags: Given['flags'], env: Given['env'] = {}) =>
        loadConfig({ flags, env, folder: from, looksInFolder: false });
      assert.ok(!(await asClient({})).origins.has('workers'));
      assert.equal((await asClient({ config: 'holdfast.config.json' })).config.workers, 7);
      assert.equal((await asClient({}, { HOLDFAST_CONFIG: 'holdfast.config.json' })).config.workers, 7);
    });
  });

  test('one that is named must be there', async () => {
    await assert.rejects(load({ config: 'nowhere.json' }), { code: 'ERR_CONFIG_FILE' });
    await assert.rejects(load({}, { HOLDFAST_CONFIG: 'nowhere.json' }), { code: 'ERR_CONFIG_FILE' });
  });

  test('an unknown key, a wrong kind and an unknown parameter are each told', async () => {
    const contents = { port: 5060, workers: { a: 1 }, set: { 'dialog:nope': 1, 'dialog:hash_size': null } };
    const from = withFiles({ 'x.json': JSON.stringify(contents) });
    const lines = await complaints({ config: 'x.json' }, {}, from);
    assert.equal(lines.length, 4);
    for (const [at, part] of [
      'port is not a name',
      'workers',
      'dialog:nope',
      'dialog:hash_size=null',
    ].entries()) {
      assert.ok(lines[at]?.includes(part), lines[at]);
      assert.ok(lines[at]?.includes('x.json'), lines[at]);
    }
  });
});

describe('what is wrong is said with its name, its value and what is allowed', () => {
  for (const [flags, ...parts] of [
    [{ listen: ['tcp:127.0.0.1:5060'] }, '--listen', 'tcp:127.0.0.1:5060', 'allowed is udp:'],
    [{ listen: ['udp:0.0.0.0:5060'] }, '0.0.0.0', 'one address of this machine'],
    [{ listen: ['udp:[::]:5060'] }, '[::]', 'one address of this machine'],
    [{ listen: ['udp:localhost:5060'] }, 'localhost', 'IP address'],
    [{ listen: ['udp:127.0.0.1:0'] }, 'udp:127.0.0.1:0', '1 to 65535'],
    [{ listen: ['udp:127.0.0.1:65536'] }, '65536', '1 to 65535'],
    [{ listen: ['udp:::1:5060'] }, 'udp:::1:5060', 'brackets'],
    [{ listen: ['udp:1.2.3:5060'] }, '1.2.3', 'IP address'],
    [{ listen: ['udp:1.2.3.256:5060'] }, '1.2.3.256', 'IP address'],
    [{ listen: [''] }, '--listen', 'IP address'],
    [{ listen: ['udp:127.0.0.1:5060', '127.0.0.1'] }, 'udp:127.0.0.1:5060', 'twice'],
    [{ rpc: '127.0.0.1:x' }, '--rpc', '127.0.0.1:x', 'ADDR:PORT'],
    [{ rpc: ['127.0.0.1:1', '127.0.0.1:2'] }, '--rpc', 'once'],
    [{ 'next-hop': '10.0.0.9' }, '--next-hop', '10.0.0.9', 'SIP URI'],
    [{ 'next-hop': 'sip:a b' }, '--next-hop', 'sip:a b', 'SIP URI'],
    [{ routes: 'nowhere.mjs' }, '--routes', 'no file', 'nowhere.mjs'],
    [{ routes: 'routes.cfg' }, '--routes', '.ts'],
    [{ workers: '0' }, '--workers', '1 to 32'],
    [{ workers: '33' }, '--workers', '1 to 32'],
    [{ workers: 'two' }, '--workers', 'two', '1 to 32'],
    [{ 'segment-size': '4096' }, '--segment-size', '4096', '1M'],
    [{ 'segment-size': 'much' }, '--segment-size', 'much', '1M'],
    [{ 'log-level': 'loud' }, '--log-level', 'loud', 'debug'],
    [{ set: ['dialog:hash_size=100'] }, '--set', 'dialog:hash_size=100', 'a power of two from 1 to 16777216'],
    [{ set: ['dialog:hashsize=1'] }, 'dialog:hashsize', 'did you mean dialog:hash_size?'],
    [{ set: ['tm:hash_size=1'] }, 'tm:hash_size', 'did you mean dialog:hash_size?'],
    [{ set: ['hash_size=1'] }, 'hash_size', 'did you mean dialog:hash_size?'],
    [{ set: ['dialog:__proto__=1'] }, 'no such parameter'],
    [{ set: ['dialog:hash_size'] }, '--set', 'dialog:hash_size', 'group:name=value'],
    [{ set: ['=1'] }, '--set', 'group:name=value'],
    [{ set: ['tm:wt_timer=4000'] }, 'tm:wt_timer=4000', 'more than tm:retr_timer2, 4000'],
    [{ set: ['tm:retr_timer2=100'] }, 'tm:retr_timer2=100', 'at least tm:retr_timer1, 500'],
    [{ set: ['core:dns_cache_max_ttl=1', 'core:dns_cache_min_ttl=2'] }, 'dns_cache_max_ttl=1', 'at least'],
    [
      { set: ['dialog:profiles_no_value=a;b', 'dialog:profiles_with_value=b;c'] },
      'dialog:profiles_no_value=b',
      'not also in',
    ],
  ] as const) {
    test(JSON.stringify(flags), async () => {
      const lines = await complaints(flags as Given['flags']);
      assert.equal(lines.length, 1, lines.join('\n'));
      for (const part of parts) assert.ok(lines[0]?.includes(part), `${lines[0]} names ${part}`);
    });
  }

  test('all of it at once', async () => {
    const lines = await complaints(
      { workers: 'x', set: ['dialog:hash_size=3', 'a:b=c'] },
      { HOLDFAST_RPC: 'y', HOLDFAST_SET: 'nonsense' },
    );
    assert.equal(lines.length, 5, lines.join('\n'));
  });

  for (const [flags, written] of [
    [{ listen: ['udp:[::1]:5060'] }, { address: '::1', port: 5060 }],
    [{ listen: ['udp:[2001:DB8:0::1]'] }, { address: '2001:db8::1', port: 5060 }],
    [{ listen: ['127.0.0.1:5070'] }, { address: '127.0.0.1', port: 5070 }],
    [{ listen: ['UDP:127.0.0.1'] }, { address: '127.0.0.1', port: 5060 }],
  ] as const) {
    test(`${flags.listen[0]} is understood`, async () => {
      const { config } = await load(flags);
      assert.deepEqual(config.listen, [{ proto: 'udp', ...written }]);
    });
  }

  for (const [written, bytes] of [
    ['67108864', 67_108_864],
    ['64M', 67_108_864],
    ['64 MiB', 67_108_864],
    ['2g', 2_147_483_648],
    ['2048K', 2_097_152],
  ] as const) {
    test(`a size of ${written} is understood`, async () => {
      assert.equal((await load({ 'segment-size': written })).config.segmentBytes, bytes);
    });
  }
});

describe('a parameter whose feature is not built yet', () => {
  for (const [item, allowed] of [
    ['dialog:db_mode=1', 'only its default, 0'],
    ['dialog:table_name=calls', 'only its default, "dialog"'],
    ['dialog:callid_column=x', 'only its default, "callid"'],
    ['dialog:db_update_period=5', 'only its default, 60'],
    ['dialog:enable_dmq=1', 'only its default, 0'],
  ] as const) {
    test(`${item} is refused, not ignored`, async () => {
      const [line = ''] = await complaints({ set: [item] });
      assert.match(line, /not available yet/);
      assert.ok(line.includes(item) && line.includes(allowed), line);
    });
  }

  test('its default is accepted, and its bounds come first', async () => {
    assert.equal((await load({ set: ['dialog:db_mode=0'] })).config.params.dialog.db_mode, 0);
    assert.match((await complaints({ set: ['dialog:db_mode=9'] }))[0] ?? '', /allowed is 0 \(not stored\)/);
  });
});

describe('warnings', () => {
  test('too few hash entries for the workers', async () => {
    const { warnings } = await load({ workers: '4', set: ['dialog:hash_size=128'] });
    assert.equal(warnings.length, 1);
    assert.match(warnings[0] ?? '', /hash_size=128 .* 4 workers \(256\)/);
    assert.deepEqual((await load({ workers: '4', set: ['dialog:hash_size=256'] })).warnings, []);
  });

  test('a variable that means nothing, but not those that others set', async () => {
    const { warnings } = await load(
      {},
      { HOLDFAST_LISTN: 'x', HOLDFAST_SERVICE_HOST: 'y', HOLDFAST_PORT: 'z' },
    );
    assert.equal(warnings.length, 1);
    assert.match(warnings[0] ?? '', /HOLDFAST_LISTN .*HOLDFAST_LISTEN/);
  });
});

// The type of Config follows from the rows: this must compile only while it does.
const typed = (config: Config): [number, 0 | 1, readonly string[], string | null, 0 | 1 | 2] => [
  config.params.dialog.hash_size,
  config.params.dialog.enable_stats,
  config.params.dialog.profiles_no_value,
  config.params.dialog.timeout_avp,
  config.params.dialog.dlg_match_mode,
];
void typed;
