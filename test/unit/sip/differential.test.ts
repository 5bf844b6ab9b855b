/**
 * The WebAssembly parser against the reference parser: messages that are valid by construction, and what becomes of
 * them when bytes are flipped, cut, spliced and inserted.
 */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, test } from 'vitest';
import {
  referenceFindParameter,
  referenceParse,
  referenceParseUri,
} from '../../../dist/sip/reference-parser.js';
import { parseUri } from '../../../dist/sip/uri.js';
import * as w from '../../../dist/sip/words.js';
import {
  assertSameWords,
  bytesOf,
  memoryBytes,
  memoryWords,
  parsed,
  parser,
  parseWords,
  place,
} from './parsed.js';

const VALID_RUNS = 1_500;
const MUTATED_RUNS = 12_000;
const URI_RUNS = 4_000;

// -- valid messages, built from the grammar

const TOKEN_CHARACTERS = "abcXYZ019-.!%*_+`'~";
const token = fc.string({ unit: fc.constantFrom(...TOKEN_CHARACTERS), minLength: 1, maxLength: 24 });
const word = fc.string({
  unit: fc.constantFrom(...TOKEN_CHARACTERS, ...'()<>:\\"/[]?{}'),
  minLength: 1,
  maxLength: 30,
});
const lws = fc.constantFrom(' ', '  ', '\t', '\r\n ', ' \r\n\t');
const sws = fc.oneof({ weight: 4, arbitrary: fc.constant('') }, lws);
const quoted = fc
  .array(
    fc.oneof(fc.constantFrom(...'ab ;,<>=:@'), fc.constantFrom('\\"', '\\\\', '\\a', '\xc3\xa9', '\r\n ')),
    {
      maxLength: 12,
    },
  )
  .map((parts) => `"${parts.join('')}"`);
const host = fc.constantFrom(
  'h',
  'example.com',
  '192.0.2.1',
  '[2001:db8::9:1]',
  '[::ffff:192.0.2.2]',
  'a-b.c',
);
const port = fc.integer({ min: 1, max: 65_535 });
const method = fc.oneof(
  fc.constantFrom(...w.METHOD_NAMES.slice(1)),
  token.filter((text) => !w.METHOD_NAMES.includes(text)),
);
const uri = fc
  .record({
    scheme: fc.constantFrom('sip', 'sips', 'SIP'),
    user: fc.option(fc.constantFrom('alice', '+1555;isub=2', 'a%20b', 'x:pw', 'a?b/c')),
    host,
    port: fc.option(port),
    tail: fc.constantFrom(
      '',
      ';lr',
      ';transport=tcp;lr',
      ';maddr=h;ttl=3',
      ';tag=no',
      '?Subject=x',
      ';a=b?c=d',
    ),
  })
  .map(
    (p) =>
      `${p.scheme}:${p.user === null ? '' : `${p.user}@`}${p.host}${p.port === null ? '' : `:${p.port}`}${p.tail}`,
  );
const parameter = fc
  .tuple(
    sws,
    sws,
    token.map((name) => `x${name}`),
    sws,
    fc.option(fc.tuple(sws, fc.oneof(token, quoted))),
  )
  .map(([a, b, name, c, value]) => `${a};${b}${name}${value === null ? '' : `${c}=${value[0]}${value[1]}`}`);
const parameters = fc.array(parameter, { maxLength: 3 }).map((list) => list.join(''));

const address = fc
  .record({
    display: fc.oneof(quoted, fc.constantFrom('', 'Alice', 'Alice B. ', "a!%*_+`'~ b\r\n c")),
    uri,
    before: parameters,
    tag: fc.option(token),
    after: parameters,
  })
  .map((p) => ({
    uri: p.uri,
    tag: p.tag,
    text: `${p.display}<${p.uri}>${p.before}${p.tag === null ? '' : `;tag=${p.tag}`}${p.after}`,
  }));
const via = fc
  .record({
    slash: fc.tuple(sws, sws),
    transport: fc.constantFrom('UDP', 'TCP', 'TLS', 'SCTP', 'WS', 'X-Own'),
    gap: lws,
    host,
    port: fc.option(fc.tuple(sws, sws, port)),
    before: parameters,
    branch: fc.option(token),
    after: parameters,
  })
  .map((p) => ({
    branch: p.branch,
    host: p.host,
    port: p.port === null ? 0 : p.port[2],
    text:
      `SIP${p.slash[0]}/${p.slash[1]}2.0/${p.transport}${p.gap}${p.host}` +
      `${p.port === null ? '' : `${p.port[0]}:${p.port[1]}${p.port[2]}`}` +
      `${p.before}${p.branch === null ? '' : `;branch=${p.branch}`}${p.after}`,
  }));
const listed = fc
  .tuple(fc.oneof(quoted, fc.constantFrom('', 'Bob ')), uri, parameters)
  .map(([display, target, rest]) => ({
    uri: target,
    text: `${display}<${target}>${rest}`,
  }));

const spelling = (long: string, compact?: string) =>
  fc
    .tuple(
      fc.constantFrom(long, long.toLowerCase(), long.toUpperCase(), compact ?? long),
      fc.constantFrom('', ' ', ' \t'),
      sws,
    )
    .map(([name, before, after]) => `${name}${before}:${after}`);

const message = fc
  .record({
    method,
    code: fc.option(fc.integer({ min: 100, max: 699 }), { freq: 3 }),
    target: uri,
    lines: fc.constantFrom('\r\n', '\n'),
    vias: fc.array(fc.array(via, { minLength: 1, maxLength: 3 }), { minLength: 1, maxLength: 3 }),
    from: address,
    to: address,
    callId: word,
    cseq: fc.integer({ min: 0, max: 0x7fff_ffff }),
    maxForwards: fc.option(fc.integer({ min: 0, max: 255 })),
    contacts: fc.array(listed, { maxLength: 3 }),
    routes: fc.array(listed, { maxLength: 3 }),
    recordRoutes: fc.array(listed, { maxLength: 3 }),
    others: fc.array(fc.tuple(fc.constantFrom('Subject', 's', 'X-Own', 'Allow', 'Expires'), word), {
      maxLength: 4,
    }),
    body: fc.string({ unit: 'binary-ascii', maxLength: 40 }),
    stated: fc.boolean(),
    order: fc.infiniteStream(fc.nat()),
    names: fc.record({
      via: spelling('Via', 'v'),
      from: spelling('From', 'f'),
      to: spelling('To', 't'),
      callId: spelling('Call-ID', 'i'),
      cseq: spelling('CSeq'),
      contact: spelling('Contact', 'm'),
      length: spelling('Content-Length', 'l'),
    }),
  })
  .map((p) => {
    const fields = [
      `${p.names.from}${p.from.text}`,
      `${p.names.to}${p.to.text}`,
      `${p.names.callId}${p.callId}`,
      `${p.names.cseq}${p.cseq} ${p.method}`,
      ...(p.maxForwards === null ? [] : [`Max-Forwards: ${p.maxForwards}`]),
      ...(p.contacts.length === 0 ? [] : [`${p.names.contact}${p.contacts.map((c) => c.text).join(', ')}`]),
      ...p.routes.map((route) => `Route: ${route.text}`),
      ...p.recordRoutes.map((route) => `Record-Route:${route.text}`),
      ...p.others.map(([name, value]) => `${name}: ${value}`),
      ...(p.stated ? [`${p.names.length}${p.body.length}`] : []),
    ];
    // Via lines keep their order among themselves, the others do too; where a Via line stands is random.
    for (const line of [...p.vias].reverse()) {
      fields.splice(0, 0, `${p.names.via}${line.map((one) => one.text).join(' ,\r\n ')}`);
    }
    const start = p.code === null ? `${p.method} ${p.target} SIP/2.0` : `SIP/2.0 ${p.code} Because`;
    const head = `${[start, ...fields].join('\r\n')}\r\n\r\n`;
    return { ...p, text: (p.lines === '\n' ? head.replaceAll('\r\n', '\n') : head) + p.body };
  });

const uris = (list: readonly { readonly uri: string }[]): string[] => list.map((one) => one.uri);

describe('messages that are valid by construction', () => {
  test('parse, and what was put in comes out', () => {
    fc.assert(
      fc.property(message, (built) => {
        const found = parsed(built.text);
        assert.equal(found.fault, 'OK');
        assert.equal(found.word(w.W_KIND), built.code === null ? 1 : 2);
        assert.equal(found.word(w.W_CODE), built.code ?? 0);
        assert.equal(found.at(w.W_RURI_OFF), built.code === null ? built.target : null);
        assert.equal(found.at(w.W_CSEQ_METHOD_OFF), built.method);
        assert.equal(found.word(w.W_METHOD), Math.max(w.METHOD_NAMES.indexOf(built.method), w.M_UNKNOWN));
        assert.equal(found.word(w.W_CSEQ_NUMBER), built.cseq);
        assert.equal(found.at(w.W_CALL_ID_OFF), built.callId);
        assert.equal(found.at(w.W_FROM_URI_OFF), built.from.uri);
        assert.equal(found.at(w.W_FROM_TAG_OFF), built.from.tag);
        assert.equal(found.at(w.W_TO_URI_OFF), built.to.uri);
        assert.equal(found.at(w.W_TO_TAG_OFF), built.to.tag);
        assert.equal(found.word(w.W_MAX_FORWARDS), built.maxForwards ?? w.NONE);
        const vias = built.vias.flat();
        assert.equal(found.word(w.W_VIA_COUNT), vias.length);
        assert.equal(found.at(w.W_VIA_HOST_OFF), vias[0]!.host);
        assert.equal(found.word(w.W_VIA_PORT), vias[0]!.port);
        assert.equal(found.at(w.W_VIA_BRANCH_OFF), vias[0]!.branch);
        assert.deepEqual(
          found.items(w.HDR_VIA).map((item) => item.uri),
          vias.map((one) => one.branch),
        );
        assert.deepEqual(uris(found.items(w.HDR_CONTACT) as { uri: string }[]), uris(built.contacts));
        assert.deepEqual(uris(found.items(w.HDR_ROUTE) as { uri: string }[]), uris(built.routes));
        assert.deepEqual(
          uris(found.items(w.HDR_RECORD_ROUTE) as { uri: string }[]),
          uris(built.recordRoutes),
        );
        assert.equal(found.word(w.W_BODY_LEN), built.body.length);
      }),
      { numRuns: VALID_RUNS },
    );
  });
});

// -- mutated messages

const folder = new URL('../../torture/', import.meta.url);
const files = (folder: URL): Uint8Array[] =>
  readdirSync(folder).map((file) => readFileSync(new URL(file, folder)));
/** Inputs that once broke a parser, and others that are close to an edge. */
const CORPUS: readonly Uint8Array[] = files(new URL('../../fuzz/corpus/', import.meta.url));
const TORTURE: readonly Uint8Array[] = ['rfc4475/', 'rfc5118/']
  .flatMap((name) => files(new URL(name, folder)))
  .map((bytes) => bytes.subarray(0, 2_000));

const SNIPPETS = [
  ...'\r\n"<>;,:=@[]*\\ \t\0\x7f\xff09',
  '\r\n',
  '\r\n ',
  '\r\n\r\n',
  ';tag=x',
  ';branch=z',
  ';rport',
  ',SIP/2.0/UDP k',
  '\r\nVia: SIP/2.0/TCP a;ttl=3;maddr=b',
  '\r\nContact: *',
  '\r\nRoute: <sip:a;lr>, <sip:b>',
  '\r\nMax-Breadth: 1',
  '\r\nContent-Length: 3',
  '\r\nTo: sip:a@b',
  'sip:',
  'SIP/2.0',
];

const place01 = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
const change = fc.oneof(
  fc.tuple(fc.constant('flip' as const), place01, fc.integer({ min: 1, max: 255 })),
  fc.tuple(fc.constant('insert' as const), place01, fc.constantFrom(...SNIPPETS)),
  fc.tuple(fc.constant('insert' as const), place01, fc.constantFrom(...SNIPPETS)),
  fc.tuple(fc.constant('remove' as const), place01, fc.integer({ min: 1, max: 20 })),
  fc.tuple(fc.constant('cut' as const), place01, fc.constant(0)),
  fc.tuple(
    fc.constant('splice' as const),
    place01,
    fc.tuple(fc.nat(TORTURE.length - 1), place01, fc.nat(80)),
  ),
);
type Change = typeof change extends fc.Arbitrary<infer T> ? T : never;

function changed(bytes: Uint8Array, [kind, where, what]: Change): Uint8Array {
  // Mostly in the header: bodies are not parsed.
  const at = Math.floor(where * Math.min(bytes.length, 900));
  const [before, after] = [bytes.subarray(0, at), bytes.subarray(at)];
  switch (kind) {
    case 'flip':
      return Buffer.concat([before, Buffer.from([(after[0] ?? 0) ^ what]), after.subarray(1)]);
    case 'insert':
      return Buffer.concat([before, bytesOf(what), after]);
    case 'remove':
      return Buffer.concat([before, after.subarray(what)]);
    case 'cut':
      return before;
    case 'splice': {
      const donor = TORTURE[what[0]]!;
      const from = Math.floor(what[1] * donor.length);
      return Buffer.concat([before, donor.subarray(from, from + what[2]), after]);
    }
  }
}

/** Every offset and length lies inside the message. */
function assertInside(words: Uint32Array, length: number): void {
  const spans: [number, number][] = [];
  for (const [name, number] of Object.entries(w)) {
    if (/^W_\w+_OFF$/.test(name)) {
      const lengthWord = (w as unknown as Record<string, number>)[name.replace(/_OFF$/, '_LEN')];
      spans.push([words[number as number]!, lengthWord === undefined ? 0 : words[lengthWord]!]);
    }
  }
  for (let row = 0; row < words[w.W_HEADER_COUNT]!; row++) {
    const at = w.HEADERS_AT + row * w.HEADER_WORDS;
    spans.push([words[at + w.H_LINE_OFF]!, words[at + w.H_ID_NAME_LEN]! & 0xffff]);
    spans.push([words[at + w.H_VALUE_OFF]!, words[at + w.H_VALUE_LEN]!]);
  }
  for (let row = 0; row < words[w.W_ITEM_COUNT]!; row++) {
    const at = w.ITEMS_AT + row * w.ITEM_WORDS;
    spans.push([words[at + w.I_OFF]!, words[at + w.I_LEN]!]);
    spans.push([words[at + w.I_URI_OFF]!, words[at + w.I_URI_LEN]!]);
    assert.ok((words[at + w.I_ID_HEADER]! & 0xffff) < words[w.W_HEADER_COUNT]!);
    assert.ok(words[at + w.I_NEXT]! < words[w.W_ITEM_COUNT]!);
  }
  for (const [at, size] of spans) assert.ok(at + size <= length, `${at}+${size} of ${length}`);
}

describe('mutated messages', () => {
  test('of the corpus give the same words in both parsers, cut at every byte', () => {
    for (const whole of CORPUS) {
      for (let length = 0; length <= whole.length; length++) {
        const bytes = whole.subarray(0, length);
        const words = parseWords(bytes);
        assertSameWords(bytes, words, referenceParse(bytes));
        assertInside(words, length);
      }
    }
  });

  const mutated = fc
    .tuple(fc.constantFrom(...TORTURE, ...CORPUS), fc.array(change, { minLength: 1, maxLength: 5 }))
    .map(([bytes, changes]) => changes.reduce(changed, bytes));

  test('give the same words in both parsers, all inside the message', () => {
    fc.assert(
      fc.property(mutated, (bytes) => {
        const words = parseWords(bytes);
        assertSameWords(bytes, words, referenceParse(bytes));
        assertInside(words, bytes.length);
      }),
      { numRuns: MUTATED_RUNS },
    );
  });

  test('a difference would be found', () => {
    const bytes = bytesOf('OPTIONS sip:h SIP/2.0\r\nTo: sip:a\r\n\r\n');
    const planted = referenceParse(bytes);
    planted[w.HEADERS_AT + w.H_VALUE_OFF]! += 1;
    assert.throws(() => assertSameWords(bytes, parseWords(bytes), planted), /header 0 word 2/);
  });
});

describe('URIs and parameters', () => {
  const pieces = fc.array(
    fc.constantFrom(
      'sip:',
      'sips:',
      'tel:',
      'a',
      '@',
      ':',
      '5060',
      ';',
      'lr',
      '=',
      '?',
      '[::1]',
      'h.x',
      'transport',
      'ttl',
      'r2',
      '"',
      '\\',
      ' ',
      '%20',
      '<',
    ),
    { maxLength: 12 },
  );
  const uriText = fc.oneof(
    uri,
    pieces.map((list) => list.join('')),
    pieces.map((list) => `sip:${list.join('')}`),
  );

  test('give the same words in both parsers; parseUri() agrees about what a URI is', () => {
    fc.assert(
      fc.property(uriText, (text) => {
        const bytes = bytesOf(text);
        const at = w.PARSER_RESERVED_BYTES;
        const status = parser.parseUri(place(bytes), 0, bytes.length, at);
        const words = memoryWords.slice(at / 4, at / 4 + w.URI_WORDS);
        assert.deepEqual([...words], [...referenceParseUri(bytes, 0, bytes.length)]);
        const parts = parseUri(text);
        assert.equal(parts !== null, status === 0);
        if (parts === null) return;
        assert.equal(
          parts.host,
          text.slice(words[w.U_HOST_OFF]!, words[w.U_HOST_OFF]! + words[w.U_HOST_LEN]!),
        );
        assert.equal(parts.port ?? 0, words[w.U_PORT]);
        assert.equal(parts.parameters.has('lr'), words[w.U_LR] === 1);
      }),
      { numRuns: URI_RUNS },
    );
  });

  const parameterText = fc.array(
    fc.constantFrom(
      ';',
      ';',
      ';a',
      ';b',
      'a',
      '=',
      '=',
      '"',
      '\\',
      ' ',
      '\r\n ',
      'x',
      ',',
      '\0',
      '""',
      '"x;a"',
    ),
    { maxLength: 16 },
  );

  test('a parameter is found at the same place by both', () => {
    fc.assert(
      fc.property(parameterText, fc.constantFrom('a', 'ax', 'b'), (list, name) => {
        const bytes = bytesOf(list.join(''));
        const at = w.PARSER_RESERVED_BYTES;
        const found = parser.findParameter(place(bytes), 0, bytes.length, name, at);
        const span = found ? [memoryWords[at / 4], memoryWords[at / 4 + 1]] : null;
        assert.deepEqual(span, referenceFindParameter(bytes, 0, bytes.length, name));
      }),
      { numRuns: URI_RUNS },
    );
  });
});

describe('the memory', () => {
  const WORDS_END = w.PARSER_RESERVED_BYTES + w.WORDS * 4;

  test('is touched nowhere but in the words', () => {
    const untouched = 0xa5;
    for (const bytes of TORTURE) {
      const at = place(bytes);
      memoryBytes.fill(untouched, 0, at);
      memoryBytes.fill(untouched, at + bytes.length + w.PADDING);
      const inside = Buffer.from(memoryBytes.subarray(at, at + bytes.length + w.PADDING));
      parser.parse(at, bytes.length, w.PARSER_RESERVED_BYTES);
      assert.ok(inside.equals(memoryBytes.subarray(at, at + inside.length)), 'the message is as it was');
      assert.ok(memoryBytes.subarray(0, w.PARSER_RESERVED_BYTES).every((byte) => byte === untouched));
      assert.ok(memoryBytes.subarray(WORDS_END, at).every((byte) => byte === untouched));
      assert.ok(memoryBytes.subarray(at + inside.length).every((byte) => byte === untouched));
    }
  });

  test('behind the message is read only as far as the padding: the last byte of the memory may follow', () => {
    for (const bytes of TORTURE) {
      const at = memoryBytes.length - w.PADDING - bytes.length;
      memoryBytes.set(bytes, at);
      parser.parse(at, bytes.length, w.PARSER_RESERVED_BYTES);
      const words = memoryWords.slice(
        w.PARSER_RESERVED_BYTES / 4,
        w.PARSER_RESERVED_BYTES / 4 + w.FIXED_WORDS,
      );
      assert.deepEqual(
        [...words.subarray(0, w.W_FIXED_END)],
        [...referenceParse(bytes).subarray(0, w.W_FIXED_END)],
      );
    }
  });
});
