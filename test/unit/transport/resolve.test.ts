/** Which destinations a URI has.  A directory of tables stands for the DNS; resolve-dns.test.ts asks a real socket. */
import assert from 'node:assert/strict';
import { describe, test } from 'vitest';
import { ManualClock } from '../../../dist/clock.js';
import { seededRandom } from '../../../dist/random.js';
import type {
  AddressRecord,
  Directory,
  Records,
  RewriteRecord,
  ServiceRecord,
} from '../../../dist/transport/directory.js';
import {
  type Answer,
  destinationText,
  Resolver,
  type ResolverOptions,
} from '../../../dist/transport/resolve.js';

type Table = {
  readonly [name: string]: {
    readonly a?: readonly string[];
    readonly aaaa?: readonly string[];
    readonly srv?: readonly [priority: number, weight: number, port: number, target: string][];
    readonly naptr?: readonly [order: number, preference: number, service: string, replacement: string][];
    readonly ttl?: number;
    readonly fails?: readonly ('a' | 'aaaa' | 'srv' | 'naptr')[];
  };
};

/** Answers from a table and remembers what it was asked. */
class Tables implements Directory {
  readonly asked: string[] = [];
  closed = false;
  table: Table;

  constructor(table: Table) {
    this.table = table;
  }

  addresses(name: string, family: 4 | 6): Promise<Records<AddressRecord>> {
    const type = family === 4 ? 'a' : 'aaaa';
    const ttlSeconds = this.table[name]?.ttl ?? 300;
    return this.#answer(
      type,
      name,
      (this.table[name]?.[type] ?? []).map((address) => ({ address, ttlSeconds })),
    );
  }

  services(name: string): Promise<Records<ServiceRecord>> {
    const records = (this.table[name]?.srv ?? []).map(([priority, weight, port, target]) => ({
      priority,
      weight,
      port,
      target,
    }));
    return this.#answer('srv', name, records);
  }

  rewrites(name: string): Promise<Records<RewriteRecord>> {
    const records = (this.table[name]?.naptr ?? []).map(([order, preference, service, replacement]) => ({
      order,
      preference,
      flags: 's',
      service,
      regexp: '',
      replacement,
    }));
    return this.#answer('naptr', name, records);
  }

  close(): void {
    this.closed = true;
  }

  async #answer<T>(type: 'a' | 'aaaa' | 'srv' | 'naptr', name: string, records: T[]): Promise<Records<T>> {
    this.asked.push(`${type} ${name}`);
    await Promise.resolve();
    if (this.table[name]?.fails?.includes(type)) return { outcome: 'failed', records: [] };
    return { outcome: records.length > 0 ? 'found' : 'none', records };
  }
}

function world(table: Table, options: Partial<ResolverOptions> = {}, seed = 1) {
  const directory = new Tables(table);
  const clock = new ManualClock();
  const resolver = new Resolver(
    directory,
    {
      families: [4],
      minTtlSeconds: 1,
      maxTtlSeconds: 3600,
      negativeTtlSeconds: 60,
      namesMax: 100,
      bytesMax: 1 << 20,
      ...options,
    },
    clock,
    seededRandom(seed),
  );
  return { directory, clock, resolver };
}

/** Destinations as text, or the problem. */
function told(answer: Answer, askedPort = 0): readonly string[] | string {
  return answer.problem ?? answer.destinations.map((one) => destinationText(one, askedPort));
}

describe('a host that is an address [RFC 3263 4.1, 4.2]', () => {
  const { resolver, directory } = world({}, { families: [6, 4] });
  for (const [host, port, expected] of [
    ['192.0.2.1', 0, '192.0.2.1:5060'],
    ['192.0.2.1', 5080, '192.0.2.1:5080'],
    ['[2001:DB8::1]', 0, '[2001:db8::1]:5060'],
    ['2001:db8:0:0::1', 5062, '[2001:db8::1]:5062'],
    ['::ffff:192.0.2.1', 0, '192.0.2.1:5060'],
  ] as const) {
    test(`${host} port ${port} is ${expected}`, () => {
      assert.deepEqual(told(resolver.lookup(host, port, '')!, port), [expected]);
      assert.deepEqual(told(resolver.lookup(host, port, 'udp')!, port), [expected]);
    });
  }
  test('nobody is asked', () => assert.deepEqual(directory.asked, []));
  test('of a family without a socket there is no way', () => {
    assert.equal(told(world({}).resolver.lookup('[2001:db8::1]', 0, '')!), 'transport not available');
  });
});

describe('what can never be resolved is said without a question', () => {
  const { resolver, directory } = world({});
  for (const transport of ['tcp', 'TLS', 'sctp', 'ws', 'udpx']) {
    test(`transport=${transport}`, () => {
      assert.equal(told(resolver.lookup('a.example', 0, transport)!), 'transport not available');
    });
  }
  test('a sips URI', () => {
    assert.equal(told(resolver.lookup('a.example', 0, '', true)!), 'transport not available');
    assert.equal(told(resolver.lookup('192.0.2.1', 0, 'udp', true)!), 'transport not available');
  });
  for (const host of [
    '',
    '.',
    'a..example',
    '-a.example',
    'a-.example',
    'a example',
    '1.2.3.256',
    '1.2.3',
    '1.2.3.4.5',
    '[2001:db8::1',
    '[2001:db8::g]',
    'a.example\r\n',
    `${'a'.repeat(64)}.example`,
    `${'a.'.repeat(130)}example`,
    'ä.example',
  ]) {
    test(`host ${JSON.stringify(host).slice(0, 40)}`, () => {
      assert.equal(told(resolver.lookup(host, 5060, 'udp')!), 'not a host name');
      assert.equal(told(resolver.resolve(host, 0, '') as Answer), 'not a host name');
    });
  }
  test('nobody was asked', () => assert.deepEqual(directory.asked, []));
});

describe('a port in the URI asks for addresses alone [RFC 3263 4.2]', () => {
  test('A, then the cache for any port, whatever the spelling', async () => {
    const { resolver, directory } = world({ 'a.example': { a: ['192.0.2.1', '192.0.2.2'] } });
    assert.equal(resolver.lookup('a.example', 5070, ''), null);
    const answer = await resolver.resolve('a.example', 5070, '');
    assert.deepEqual(told(answer, 5070), ['192.0.2.1:5070', '192.0.2.2:5070']);
    assert.deepEqual(told(resolver.lookup('A.Example.', 5090, 'UDP')!, 5090), [
      '192.0.2.1:5090',
      '192.0.2.2:5090',
    ]);
    assert.deepEqual(directory.asked, ['a a.example']);
  });
  test('AAAA where there is a socket for it, in the order of the families', async () => {
    const table = { 'a.example': { a: ['192.0.2.1'], aaaa: ['2001:db8::1'] } };
    const both = world(table, { families: [6, 4] });
    assert.deepEqual(told(await both.resolver.resolve('a.example', 5060, ''), 5060), [
      '[2001:db8::1]:5060',
      '192.0.2.1:5060',
    ]);
    assert.deepEqual(both.directory.asked, ['aaaa a.example', 'a a.example']);
    const only6 = world(table, { families: [6] });
    assert.deepEqual(told(await only6.resolver.resolve('a.example', 5060, ''), 5060), ['[2001:db8::1]:5060']);
  });
  test('one family that cannot be told does not hide the other, and is asked again soon', async () => {
    const { resolver, clock } = world(
      { 'a.example': { a: ['192.0.2.1'], fails: ['aaaa'] } },
      { families: [6, 4] },
    );
    assert.deepEqual(told(await resolver.resolve('a.example', 5060, ''), 5060), ['192.0.2.1:5060']);
    clock.advance(5_000);
    assert.equal(resolver.lookup('a.example', 5060, ''), null);
  });
});

describe('a transport but no port asks for SRV [RFC 3263 4.2]', () => {
  test('targets by priority, each with its port and addresses', async () => {
    const { resolver, directory } = world({
      '_sip._udp.example.com': {
        srv: [
          [20, 0, 5080, 'backup.example.com'],
          [10, 0, 5070, 'main.example.com'],
        ],
      },
      'main.example.com': { a: ['192.0.2.1', '192.0.2.2'] },
      'backup.example.com': { a: ['192.0.2.9'] },
    });
    const answer = await resolver.resolve('example.com', 0, 'udp');
    assert.deepEqual(told(answer), ['192.0.2.1:5070', '192.0.2.2:5070', '192.0.2.9:5080']);
    assert.deepEqual(directory.asked, [
      'srv _sip._udp.example.com',
      'a main.example.com',
      'a backup.example.com',
    ]);
  });
  test('without SRV the host itself, at 5060', async () => {
    const { resolver } = world({ 'example.com': { a: ['192.0.2.1'] } });
    assert.deepEqual(told(await resolver.resolve('example.com', 0, 'udp')), ['192.0.2.1:5060']);
  });
  test('SRV that cannot be told is not the same as none', async () => {
    const { resolver, clock } = world({
      'example.com': { a: ['192.0.2.1'] },
      '_sip._udp.example.com': { fails: ['srv'] },
    });
    assert.equal(told(await resolver.resolve('example.com', 0, 'udp')), 'no answer');
    assert.equal(told(resolver.lookup('example.com', 0, 'udp')!), 'no answer');
    clock.advance(5_000);
    assert.equal(resolver.lookup('example.com', 0, 'udp'), null);
  });
  test('a target of "." says that there is no such service [RFC 2782]', async () => {
    const { resolver } = world({
      'example.com': { a: ['192.0.2.1'] },
      '_sip._udp.example.com': { srv: [[0, 0, 0, '.']] },
    });
    assert.equal(told(await resolver.resolve('example.com', 0, 'udp')), 'no such name');
  });
  test('a target without address is skipped', async () => {
    const { resolver } = world({
      '_sip._udp.example.com': {
        srv: [
          [1, 0, 5060, 'gone.example.com'],
          [2, 0, 5060, 'there.example.com'],
        ],
      },
      'there.example.com': { a: ['192.0.2.3'] },
    });
    assert.deepEqual(told(await resolver.resolve('example.com', 0, 'udp')), ['192.0.2.3:5060']);
  });
  test('weights share the load, drawn again at each look-up [RFC 2782]', async () => {
    const { resolver, directory } = world({
      '_sip._udp.example.com': {
        srv: [
          [10, 60, 5060, 'a.example.com'],
          [10, 20, 5060, 'b.example.com'],
          [10, 20, 5060, 'c.example.com'],
          [20, 0, 5060, 'd.example.com'],
        ],
      },
      'a.example.com': { a: ['192.0.2.1'] },
      'b.example.com': { a: ['192.0.2.2'] },
      'c.example.com': { a: ['192.0.2.3'] },
      'd.example.com': { a: ['192.0.2.4'] },
    });
    await resolver.resolve('example.com', 0, 'udp');
    const first = new Map<string, number>();
    for (let n = 0; n < 1_000; n++) {
      const order = told(resolver.lookup('example.com', 0, 'udp')!) as string[];
      assert.equal(order[3], '192.0.2.4:5060', 'the lower priority stays last');
      assert.equal(new Set(order).size, 4, 'every destination is there once');
      first.set(order[0]!, (first.get(order[0]!) ?? 0) + 1);
    }
    assert.ok(first.get('192.0.2.1:5060')! > 500 && first.get('192.0.2.1:5060')! < 700);
    assert.ok(first.get('192.0.2.2:5060')! > 120 && first.get('192.0.2.3:5060')! > 120);
    assert.equal(directory.asked.length, 5);
  });
  test('the same seed draws the same order', async () => {
    const table: Table = {
      '_sip._udp.example.com': {
        srv: [
          [1, 1, 5060, 'a.example.com'],
          [1, 1, 5060, 'b.example.com'],
          [1, 0, 5060, 'c.example.com'],
        ],
      },
      'a.example.com': { a: ['192.0.2.1'] },
      'b.example.com': { a: ['192.0.2.2'] },
      'c.example.com': { a: ['192.0.2.3'] },
    };
    const orders = await Promise.all(
      [7, 7].map(async (seed) => {
        const { resolver } = world(table, {}, seed);
        await resolver.resolve('example.com', 0, 'udp');
        return Array.from({ length: 20 }, () => told(resolver.lookup('example.com', 0, 'udp')!));
      }),
    );
    assert.deepEqual(orders[0], orders[1]);
  });
});

describe('neither port nor transport asks for NAPTR first [RFC 3263 4.1]', () => {
  const services: Table = {
    'lab.example': { srv: [[0, 0, 5074, 'box.example']] },
    '_sip._udp.example.com': { srv: [[0, 0, 5075, 'box.example']] },
    'box.example': { a: ['192.0.2.5'] },
  };
  test('the replacement of the best SIP+D2U is asked for SRV', async () => {
    const { resolver, directory } = world({
      ...services,
      'example.com': {
        naptr: [
          [10, 10, 'SIPS+D2T', '_sips._tcp.example.com'],
          [20, 20, 'SIP+D2U', 'worse.example'],
          [20, 10, 'sip+d2u', 'lab.example'],
          [5, 10, 'E2U+sip', 'enum.example'],
        ],
      },
    });
    assert.deepEqual(told(await resolver.resolve('example.com', 0, '')), ['192.0.2.5:5074']);
    assert.deepEqual(directory.asked, ['naptr example.com', 'srv lab.example', 'a box.example']);
  });
  for (const [what, table] of [
    ['without NAPTR', {}],
    ['NAPTR of other services', { naptr: [[1, 1, 'E2U+sip', 'enum.example']] }],
    ['NAPTR that fails', { fails: ['naptr'] }],
  ] as [string, Table[string]][]) {
    test(`${what}: SRV of our transport`, async () => {
      const { resolver } = world({ ...services, 'example.com': table });
      assert.deepEqual(told(await resolver.resolve('example.com', 0, '')), ['192.0.2.5:5075']);
    });
  }
  test('a domain that offers only transports we lack', async () => {
    const { resolver } = world({ ...services, 'example.com': { naptr: [[1, 1, 'SIP+D2T', 'lab.example']] } });
    assert.equal(told(await resolver.resolve('example.com', 0, '')), 'transport not available');
  });
  test('no SRV either: the host itself, at 5060', async () => {
    const { resolver, directory } = world({ 'example.com': { a: ['192.0.2.1'] } });
    assert.deepEqual(told(await resolver.resolve('example.com', 0, '')), ['192.0.2.1:5060']);
    assert.deepEqual(directory.asked, ['naptr example.com', 'srv _sip._udp.example.com', 'a example.com']);
  });
  test('an explicit port never asks for NAPTR or SRV', async () => {
    const { resolver, directory } = world({ ...services, 'box.example': { a: ['192.0.2.5'] } });
    await resolver.resolve('box.example', 5060, '');
    assert.deepEqual(directory.asked, ['a box.example']);
  });
});

describe('the cache', () => {
  test('keeps an answer for its time to live, within the bounds', async () => {
    for (const [ttl, kept] of [
      [0, 10],
      [3, 10],
      [30, 30],
      [90_000, 100],
    ] as const) {
      const { resolver, clock } = world(
        { 'a.example': { a: ['192.0.2.1'], ttl } },
        { minTtlSeconds: 10, maxTtlSeconds: 100 },
      );
      await resolver.resolve('a.example', 5060, '');
      clock.advance(kept * 1000 - 1);
      assert.notEqual(resolver.lookup('a.example', 5060, ''), null, `${ttl} s is kept ${kept} s`);
      clock.advance(1);
      assert.equal(resolver.lookup('a.example', 5060, ''), null);
    }
  });
  test('an answer that may not be kept is kept for those who waited for it', async () => {
    const { resolver, clock } = world({ 'a.example': { a: ['192.0.2.1'], ttl: 0 } }, { minTtlSeconds: 0 });
    await resolver.resolve('a.example', 5060, '');
    assert.deepEqual(told(resolver.lookup('a.example', 5060, '')!, 5060), ['192.0.2.1:5060']);
    clock.advance(1_000);
    assert.equal(resolver.lookup('a.example', 5060, ''), null);
  });
  test('remembers that a name does not exist [RFC 2308]', async () => {
    const { resolver, directory, clock } = world({}, { negativeTtlSeconds: 20 });
    assert.equal(told(await resolver.resolve('no.example', 5060, '')), 'no such name');
    assert.equal(told(resolver.lookup('no.example', 5061, '')!), 'no such name');
    assert.deepEqual(directory.asked, ['a no.example']);
    clock.advance(20_000);
    assert.equal(resolver.lookup('no.example', 5060, ''), null);
  });
  test('asks once however many wait', async () => {
    const { resolver, directory } = world({ 'a.example': { a: ['192.0.2.1'] } });
    const first = resolver.resolve('a.example', 5060, '');
    const second = resolver.resolve('A.EXAMPLE', 5070, '');
    assert.equal(first, second);
    await first;
    assert.deepEqual(directory.asked, ['a a.example']);
  });
  test('asks once for the address that two services share', async () => {
    const { resolver, directory } = world({
      '_sip._udp.one.example': { srv: [[0, 0, 5060, 'box.example']] },
      '_sip._udp.two.example': { srv: [[0, 0, 5060, 'box.example']] },
      'box.example': { a: ['192.0.2.1'] },
    });
    await Promise.all([resolver.resolve('one.example', 0, 'udp'), resolver.resolve('two.example', 0, 'udp')]);
    assert.equal(directory.asked.filter((question) => question === 'a box.example').length, 1);
  });
  test('has a bound: the name used longest ago goes', async () => {
    const table = Object.fromEntries(
      Array.from({ length: 5 }, (_, n) => [`n${n}.example`, { a: [`192.0.2.${n}`] }]),
    );
    const { resolver } = world(table, { namesMax: 3 });
    for (const n of [0, 1, 2]) await resolver.resolve(`n${n}.example`, 5060, '');
    assert.notEqual(resolver.lookup('n0.example', 5060, ''), null, 'used again, so young');
    await resolver.resolve('n3.example', 5060, '');
    await resolver.resolve('n4.example', 5060, '');
    assert.equal(resolver.names, 3);
    assert.deepEqual(
      [0, 1, 2, 3, 4].filter((n) => resolver.lookup(`n${n}.example`, 5060, '') !== null),
      [0, 3, 4],
    );
  });
  test('has a bound in bytes, whatever a zone answers', async () => {
    const hosts = Array.from({ length: 32 }, (_, n) => `h${n}.example`);
    const addresses = Array.from({ length: 16 }, (_, n) => `192.0.2.${n}`);
    const six = Array.from({ length: 16 }, (_, n) => `2001:db8::${n}`);
    const table: Record<string, Table[string]> = {};
    for (const host of hosts) table[host] = { a: addresses, aaaa: six };
    for (let n = 0; n < 300; n++)
      table[`_sip._udp.n${n}.example`] = { srv: hosts.map((host, m) => [m, 1, 5070, host]) };
    const { resolver } = world(table, { families: [4, 6], namesMax: 10_000, bytesMax: 256 << 10 });
    for (let n = 0; n < 300; n++) await resolver.resolve(`n${n}.example`, 0, 'udp');
    assert.ok(resolver.bytes <= 256 << 10);
    assert.ok(resolver.names < 100, `${resolver.names} names`);
    assert.notEqual(resolver.lookup('n299.example', 0, 'udp'), null, 'the youngest is there');
    assert.equal(resolver.lookup('n0.example', 0, 'udp'), null);
  });
  test('keeps sixteen destinations of a name, one of each target first', async () => {
    const hosts = Array.from({ length: 10 }, (_, n) => `h${n}.example`);
    const table: Record<string, Table[string]> = {
      '_sip._udp.many.example': { srv: hosts.map((host, n) => [n, 1, 5070 + n, host]) },
    };
    for (const [n, host] of hosts.entries())
      table[host] = { a: Array.from({ length: 16 }, (_, m) => `192.0.${n}.${m}`) };
    const { resolver } = world(table);
    const all = told(await resolver.resolve('many.example', 0, 'udp')) as readonly string[];
    assert.equal(all.length, 16);
    assert.equal(all[0], '192.0.0.0:5070');
    assert.equal(all[6], '192.0.0.6:5070');
    assert.equal(all[7], '192.0.1.0:5071');
    assert.equal(all[15], '192.0.9.0:5079');
  });
  test('of both families of a host each has its share', async () => {
    const table: Table = {
      'box.example': {
        a: Array.from({ length: 12 }, (_, n) => `192.0.2.${n}`),
        aaaa: Array.from({ length: 12 }, (_, n) => `2001:db8::${n + 1}`),
      },
    };
    const { resolver } = world(table, { families: [4, 6] });
    const all = told(await resolver.resolve('box.example', 5060, ''), 5060) as readonly string[];
    assert.equal(all.length, 16);
    assert.equal(all.filter((one) => one.startsWith('[')).length, 8);
  });
  test('has a bound on look-ups under way', async () => {
    const { resolver } = world({});
    const asked = Array.from({ length: 1_000 }, (_, n) => resolver.resolve(`n${n}.example`, 5060, ''));
    assert.equal(told(resolver.resolve('more.example', 5060, '') as Answer), 'busy');
    await Promise.all(asked);
    assert.equal(told(await resolver.resolve('more.example', 5060, '')), 'no such name');
  });
  test('is let go of at the end', () => {
    const { resolver, directory } = world({});
    resolver.close();
    assert.ok(directory.closed);
  });
});

describe('a destination that failed goes last [RFC 3263 4.3]', () => {
  const table: Table = {
    '_sip._udp.example.com': {
      srv: [
        [1, 0, 5060, 'a.example.com'],
        [2, 0, 5060, 'b.example.com'],
        [3, 0, 5060, 'c.example.com'],
      ],
    },
    'a.example.com': { a: ['192.0.2.1'] },
    'b.example.com': { a: ['192.0.2.2'] },
    'c.example.com': { a: ['192.0.2.3'] },
  };
  const fail = (resolver: Resolver, address: string, port: number): void => {
    const { a0, a1, a2, a3 } = resolver.lookup(address, port, '')!.destinations[0]!;
    resolver.failed(a0, a1, a2, a3, port);
  };
  test('for a while, the others keeping their order', async () => {
    const { resolver, clock } = world(table);
    await resolver.resolve('example.com', 0, 'udp');
    fail(resolver, '192.0.2.1', 5060);
    const order = () => told(resolver.lookup('example.com', 0, 'udp')!);
    assert.deepEqual(order(), ['192.0.2.2:5060', '192.0.2.3:5060', '192.0.2.1:5060']);
    fail(resolver, '192.0.2.2', 5060);
    assert.deepEqual(order(), ['192.0.2.3:5060', '192.0.2.1:5060', '192.0.2.2:5060']);
    clock.advance(30_000);
    assert.deepEqual(order(), ['192.0.2.1:5060', '192.0.2.2:5060', '192.0.2.3:5060']);
  });
  test('another port of the same host is another destination', async () => {
    const { resolver } = world(table);
    await resolver.resolve('example.com', 0, 'udp');
    fail(resolver, '192.0.2.1', 5070);
    assert.equal(told(resolver.lookup('example.com', 0, 'udp')!)[0], '192.0.2.1:5060');
  });
  test('among the addresses of one host', async () => {
    const { resolver } = world({ 'a.example': { a: ['192.0.2.1', '192.0.2.2'] } });
    await resolver.resolve('a.example', 5080, '');
    fail(resolver, '192.0.2.1', 5080);
    assert.deepEqual(told(resolver.lookup('a.example', 5080, '')!, 5080), [
      '192.0.2.2:5080',
      '192.0.2.1:5080',
    ]);
  });
  test('more failures than are remembered push out the oldest', async () => {
    const { resolver } = world(table);
    await resolver.resolve('example.com', 0, 'udp');
    fail(resolver, '192.0.2.1', 5060);
    for (let n = 0; n < 64; n++) fail(resolver, '198.51.100.1', 1000 + n);
    assert.equal(told(resolver.lookup('example.com', 0, 'udp')!)[0], '192.0.2.1:5060');
  });
});
