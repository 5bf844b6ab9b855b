import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, test } from 'vitest';
import {
  type Challenge,
  credentialsFor,
  DIGEST_VALUE_BYTES_MAX,
  digestParameters,
  readChallenge,
  strengthOf,
} from '../../../dist/sip/digest.js';

/** Of RFC 7616 3.9.1. */
const MUFASA = { user: 'Mufasa', password: 'Circle of Life', isHashed: false };
const PAGE = { method: 'GET', uri: '/dir/index.html', body: '' };
const CNONCE = 'f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ';

function challenge(text: string): Challenge {
  const read = readChallenge(text);
  assert.ok(read, text);
  return read;
}

function response(credentials: string): string | undefined {
  return digestParameters(credentials)?.get('response');
}

const h = (text: string): string => createHash('sha256').update(text, 'latin1').digest('hex');

describe('credentials [RFC 7616 3.4]', () => {
  const rfc = (algorithm: string): Challenge =>
    challenge(
      'Digest realm="http-auth@example.org", qop="auth, auth-int", ' +
        `algorithm=${algorithm}, nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", ` +
        'opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"',
    );

  test('MD5, the example of 3.9.1', () => {
    const said = credentialsFor(rfc('MD5'), MUFASA, PAGE, CNONCE, 1);
    assert.equal(
      said,
      'Digest username="Mufasa", realm="http-auth@example.org", ' +
        'nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", uri="/dir/index.html", ' +
        'response="8ca523f5e9506fed4657c9700eebdbec", algorithm=MD5, ' +
        `cnonce="${CNONCE}", qop=auth, nc=00000001, opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"`,
    );
  });

  test('SHA-256, the example of 3.9.1', () => {
    const said = credentialsFor(rfc('SHA-256'), MUFASA, PAGE, CNONCE, 1);
    assert.equal(response(said), '753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1');
  });

  test('the example of RFC 2617 3.5', () => {
    const old = challenge(
      'Digest realm="testrealm@host.com", qop="auth,auth-int", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093"',
    );
    const said = credentialsFor(old, { ...MUFASA, password: 'Circle Of Life' }, PAGE, '0a4f113b', 1);
    assert.equal(response(said), '6629fae49393a05397450978507c4ef1');
    assert.ok(!said.includes('algorithm'), 'nothing that the challenge did not say');
  });

  test('without qop there is neither cnonce nor count [RFC 2069]', () => {
    const old = challenge('Digest realm="r",nonce="n",algorithm=SHA-256');
    const said = credentialsFor(old, MUFASA, PAGE, 'c', 1);
    const a1 = h('Mufasa:r:Circle of Life');
    assert.equal(response(said), h(`${a1}:n:${h('GET:/dir/index.html')}`));
    assert.deepEqual([...digestParameters(said)!.keys()].includes('cnonce'), false);
    assert.equal(digestParameters(said)?.get('nc'), undefined);
  });

  test('a session key, a body, a later use of the nonce', () => {
    const asked = challenge('Digest realm="r",nonce="n",algorithm=SHA-256-sess,qop=auth-int');
    const said = credentialsFor(asked, MUFASA, { method: 'INVITE', uri: 'sip:a', body: 'v=0' }, 'c', 26);
    const a1 = h(`${h('Mufasa:r:Circle of Life')}:n:c`);
    assert.equal(response(said), h(`${a1}:n:0000001a:c:auth-int:${h(`INVITE:sip:a:${h('v=0')}`)}`));
    assert.equal(digestParameters(said)?.get('nc'), '0000001a');
  });

  test('a password that is hashed already', () => {
    const asked = challenge('Digest realm="r",nonce="n",algorithm=SHA-256,qop="auth"');
    const hashed = { user: 'Mufasa', password: h('Mufasa:r:Circle of Life').toUpperCase(), isHashed: true };
    assert.equal(
      response(credentialsFor(asked, hashed, PAGE, 'c', 1)),
      response(credentialsFor(asked, MUFASA, PAGE, 'c', 1)),
    );
  });

  test('quotes in a user name are escaped on the wire alone', () => {
    const asked = challenge('Digest realm="r",nonce="n",algorithm=SHA-256');
    const said = credentialsFor(asked, { ...MUFASA, user: 'a"b\\c' }, PAGE, 'c', 1);
    assert.ok(said.startsWith('Digest username="a\\"b\\\\c", '), said);
    assert.equal(response(said), h(`${h('a"b\\c:r:Circle of Life')}:n:${h('GET:/dir/index.html')}`));
  });
});

describe('challenges [RFC 7616 3.3, RFC 8760]', () => {
  test('white space, case and order do not matter', () => {
    assert.deepEqual(
      challenge('dIGEST  NONCE = "n,\\"1" ,Realm="a, b" ,\r\n\tstale=TRUE, Algorithm=sha-256, qop="x,AUTH"'),
      { realm: 'a, b', nonce: 'n,\\"1', opaque: null, algorithm: 'sha-256', qop: 'auth', stale: true },
    );
  });

  test('auth is taken before auth-int', () => {
    assert.equal(challenge('Digest realm="r",nonce="n",qop="auth-int,auth"').qop, 'auth');
    assert.equal(challenge('Digest realm="r",nonce="n",qop="auth-int"').qop, 'auth-int');
  });

  test('a stronger hash is stronger, a session key is not', () => {
    const strength = (name: string): number =>
      strengthOf(challenge(`Digest realm="r",nonce="n",algorithm=${name}`));
    assert.ok(strength('SHA-512-256') > strength('SHA-256'));
    assert.ok(strength('SHA-256') > strength('MD5'));
    assert.equal(strength('SHA-256-sess'), strength('SHA-256'));
    assert.equal(strengthOf(challenge('Digest realm="r",nonce="n"')), strength('MD5'));
  });

  for (const text of [
    '',
    'Digest',
    'Digest ',
    'Basic realm="r"',
    'Digest realm="r"',
    'Digest nonce="n"',
    'Digest realm="r",nonce="n",algorithm=TIGER',
    'Digest realm="r",nonce="n",qop="auth-conf"',
    'Digest realm="r',
    'DigestX realm="r",nonce="n"',
  ]) {
    test(`nothing to answer in ${JSON.stringify(text)}`, () => {
      assert.equal(readChallenge(text), null);
    });
  }

  test('a long challenge takes no long time to read', () => {
    assert.equal(readChallenge(`Digest ${'a="'.repeat(20_000)}`), null);
    assert.equal(readChallenge(`Digest ${'\\"='.repeat(20_000)}`), null);
  });
});

describe('a challenge that is too long, or broken', () => {
  const opening = 'Digest realm="r", nonce="';
  const ofLength = (length: number): string => `${opening}${'n'.repeat(length - opening.length - 1)}"`;

  test('is refused above the bound, and read at it', () => {
    assert.equal(readChallenge(ofLength(DIGEST_VALUE_BYTES_MAX))?.realm, 'r');
    assert.equal(readChallenge(ofLength(DIGEST_VALUE_BYTES_MAX + 1)), null);
  });

  test('ends where a quote is never closed; what stands before it counts', () => {
    assert.deepEqual(
      [...digestParameters('Digest a=1 , ,b = "2", c="3, d=4')!],
      [
        ['a', '1'],
        ['b', '2'],
      ],
    );
    assert.deepEqual([...digestParameters('Digest word, =x, a="q\\"q", A=2')!], [['a', 'q\\"q']]);
  });
});
