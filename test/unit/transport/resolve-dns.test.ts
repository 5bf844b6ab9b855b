/** The same questions over a socket: node's resolver, and a small DNS server on loopback. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, test } from 'vitest';
import { ManualClock } from '../../../dist/clock.js';
import { seededRandom } from '../../../dist/random.js';
import { readHosts, SystemDirectory } from '../../../dist/transport/directory.js';
import { destinationText, Resolver } from '../../../dist/transport/resolve.js';
import { FakeDns } from '../../support/dns.js';

const PORT = 17_053;
const ZONE = {
  'sip.example': {
    naptr: [
      { order: 10, preference: 5, flags: 's', service: 'SIP+D2T', replacement: '_sip._tcp.sip.example' },
      { order: 20, preference: 5, flags: 's', service: 'SIP+D2U', replacement: '_sip._udp.sip.example' },
    ],
  },
  '_sip._udp.sip.example': {
    srv: [
      { priority: 2, weight: 0, port: 5062, target: 'two.sip.example' },
      { priority: 1, weight: 0, port: 5061, target: 'one.sip.example' },
    ],
  },
  'one.sip.example': { a: ['192.0.2.1'], aaaa: ['2001:db8:0:0:0:0:0:1'], ttl: 7 },
  'two.sip.example': { a: ['192.0.2.2', '192.0.2.3'], ttl: 90 },
  'silent.example': { trouble: 'silence' },
  'broken.example': { trouble: 'refuse' },
} as const;

let dns: FakeDns;
let folder: string;
let hostsFile: string;

beforeAll(async () => {
  dns = await FakeDns.open(PORT, ZONE);
  folder = mkdtempSync(join(tmpdir(), 'holdfast-hosts-'));
  hostsFile = join(folder, 'hosts');
  writeFileSync(hostsFile, '# machines\n192.0.2.50 Desk desk.lab # mine\n2001:db8::50\tdesk\n\nnonsense\n');
});

afterAll(async () => {
  await dns.close();
  rmSync(folder, { recursive: true });
});

beforeEach(() => {
  dns.questions.length = 0;
});

function open(families: readonly (4 | 6)[] = [4], hosts: string | null = null) {
  const clock = new ManualClock();
  const directory = new SystemDirectory({
    servers: [dns.server],
    hostsFile: hosts,
    timeoutMs: 100,
    tries: 2,
  });
  const resolver = new Resolver(
    directory,
    {
      families,
      minTtlSeconds: 1,
      maxTtlSeconds: 3600,
      negativeTtlSeconds: 60,
      namesMax: 100,
      bytesMax: 1 << 20,
    },
    clock,
    seededRandom(1),
  );
  const ask = async (host: string, port: number, transport: string) => {
    const answer = await resolver.resolve(host, port, transport);
    return answer.problem ?? answer.destinations.map((one) => destinationText(one, port));
  };
  return { clock, resolver, directory, ask };
}

describe('over node:dns [RFC 3263]', () => {
  test('NAPTR, SRV, A', async () => {
    const { ask } = open();
    assert.deepEqual(await ask('sip.example', 0, ''), ['192.0.2.1:5061', '192.0.2.2:5062', '192.0.2.3:5062']);
    assert.deepEqual(dns.questions.slice(0, 2), ['naptr sip.example', 'srv _sip._udp.sip.example']);
    assert.deepEqual(dns.questions.slice(2).sort(), ['a one.sip.example', 'a two.sip.example']);
  });
  test('AAAA, and the time to live of the record', async () => {
    const { ask, clock, resolver } = open([6, 4]);
    assert.deepEqual(await ask('one.sip.example', 5060, ''), ['[2001:db8::1]:5060', '192.0.2.1:5060']);
    clock.advance(6_999);
    assert.notEqual(resolver.lookup('one.sip.example', 5060, ''), null);
    clock.advance(1);
    assert.equal(resolver.lookup('one.sip.example', 5060, ''), null);
  });
  test('a name that does not exist', async () => {
    assert.equal(await open().ask('no.example', 5060, ''), 'no such name');
  });
  test('a name without an address of our family', async () => {
    assert.equal(await open([6]).ask('two.sip.example', 5060, ''), 'no such name');
  });
  test('a server that keeps silent', async () => {
    assert.equal(await open().ask('silent.example', 5060, ''), 'no answer');
  });
  test('a server that cannot', async () => {
    assert.equal(await open().ask('broken.example', 5060, ''), 'no answer');
  });
  test('a look-up under way ends when the resolver is closed', async () => {
    const { resolver } = open();
    const answer = resolver.resolve('silent.example', 5060, '');
    await new Promise((resolve) => setImmediate(resolve));
    resolver.close();
    assert.equal((await answer).problem, 'no answer');
  });
});

describe('names of this machine', () => {
  test('the hosts file comes first', async () => {
    const { ask } = open([4], hostsFile);
    assert.deepEqual(await ask('DESK', 5060, ''), ['192.0.2.50:5060']);
    assert.deepEqual(await ask('desk.lab', 5060, ''), ['192.0.2.50:5060']);
    assert.deepEqual(dns.questions, []);
    assert.deepEqual(await ask('one.sip.example', 5060, ''), ['192.0.2.1:5060']);
  });
  test('localhost never leaves it [RFC 6761 6.3]', async () => {
    const { ask } = open([6, 4]);
    assert.deepEqual(await ask('localhost', 5060, ''), ['[::1]:5060', '127.0.0.1:5060']);
    assert.deepEqual(dns.questions, []);
  });
  test('a hosts file that is missing is no trouble', async () => {
    const { ask } = open([4], join(folder, 'none'));
    assert.deepEqual(await ask('one.sip.example', 5060, ''), ['192.0.2.1:5060']);
  });
  test('lines that say nothing are passed over', () => {
    assert.deepEqual(readHosts('\n#a b\n1.2.3.4\n1.2.3.5 b #c\n1.2.3.6 c B\n', 'b'), ['1.2.3.5', '1.2.3.6']);
  });
});
