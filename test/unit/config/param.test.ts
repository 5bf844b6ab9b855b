import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { describe, test } from 'vitest';
import { loadConfig } from '../../../dist/config/load.js';
import type { Written } from '../../../dist/config/param.js';
import { everyParam, findParam } from '../../../dist/config/params/index.js';

const SOURCES = fileURLToPath(new URL('../../../src', import.meta.url));

/** The value that `written` gives `group:name`, or `refused`. */
function read(name: string, written: Written): unknown {
  const param = findParam(name);
  assert.ok(param, name);
  const reading = param.row.read(written);
  return reading.ok ? reading.value : 'refused';
}

/** What is said at start of one `group:name=value`. */
async function complaintOf(set: string): Promise<string> {
  try {
    await loadConfig({
      flags: { set: [set], routes: undefined },
      env: {},
      folder: '/',
      looksInFolder: false,
    });
  } catch (error) {
    return (error as Error).message;
  }
  return '';
}

describe('parameters [spec 12]', () => {
  for (const [name, written, value] of [
    // 5.2: a power of two
    ['dialog:hash_size', '4096', 4096],
    ['dialog:hash_size', 1, 1],
    ['dialog:hash_size', ' 64 ', 64],
    ['dialog:hash_size', '16777216', 16_777_216],
    ['dialog:hash_size', '33554432', 'refused'],
    ['dialog:hash_size', '0', 'refused'],
    ['dialog:hash_size', '-4', 'refused'],
    ['dialog:hash_size', '4095', 'refused'],
    ['dialog:hash_size', '4096.5', 'refused'],
    ['dialog:hash_size', '0x1000', 'refused'],
    ['dialog:hash_size', '4e3', 'refused'],
    ['dialog:hash_size', '4096 entries', 'refused'],
    ['dialog:hash_size', '', 'refused'],
    ['dialog:hash_size', true, 'refused'],
    ['dialog:hash_size', Number.NaN, 'refused'],
    // 5.3: 1 to 32 bytes, a parameter name
    ['dialog:rr_param', 'xyz', 'xyz'],
    ['dialog:rr_param', 'x'.repeat(32), 'x'.repeat(32)],
    ['dialog:rr_param', 'x'.repeat(33), 'refused'],
    ['dialog:rr_param', '', 'refused'],
    ['dialog:rr_param', 'a=b', 'refused'],
    ['dialog:rr_param', 'a;b', 'refused'],
    ['dialog:rr_param', 'did\r\nVia: x', 'refused'],
    // 5.4: 0 to 31
    ['dialog:dlg_flag', '31', 31],
    ['dialog:dlg_flag', '32', 'refused'],
    // 5.5: an AVP
    ['dialog:timeout_avp', '$avp(i:10)', '$avp(i:10)'],
    ['dialog:timeout_avp', '$avp(timeout)', '$avp(timeout)'],
    ['dialog:timeout_avp', '$ru', 'refused'],
    // 5.6: more than 0
    ['dialog:default_timeout', '21600', 21_600],
    ['dialog:default_timeout', '0', 'refused'],
    ['dialog:default_timeout', '-1', 'refused'],
    // 5.7: header lines
    ['dialog:dlg_extra_hdrs', 'Hint: credit expired\r\n', 'Hint: credit expired\r\n'],
    ['dialog:dlg_extra_hdrs', 'Hint: credit expired', 'Hint: credit expired\r\n'],
    ['dialog:dlg_extra_hdrs', 'Hint: a\\r\\nX-Node: b\\r\\n', 'Hint: a\r\nX-Node: b\r\n'],
    ['dialog:dlg_extra_hdrs', 'no header', 'refused'],
    ['dialog:dlg_extra_hdrs', 'Hint\r\n\r\nbody', 'refused'],
    // 5.8, 5.9, 5.11
    ['dialog:dlg_match_mode', '2', 2],
    ['dialog:dlg_match_mode', '3', 'refused'],
    ['dialog:detect_spirals', '0', 0],
    ['dialog:detect_spirals', true, 1],
    ['dialog:detect_spirals', 'yes', 'refused'],
    ['dialog:db_mode', '3', 3],
    ['dialog:db_mode', '4', 'refused'],
    // 5.40: names between ; with blanks and empty items left out
    ['dialog:profiles_with_value', 'caller ; my_profile', ['caller', 'my_profile']],
    ['dialog:profiles_with_value', ';;a;', ['a']],
    ['dialog:profiles_with_value', '', []],
    ['dialog:profiles_with_value', ['a', 'b'], ['a', 'b']],
    ['dialog:profiles_with_value', 'a;a', 'refused'],
    ['dialog:profiles_with_value', 'a-b', 'refused'],
    ['dialog:profiles_with_value', 'a,b', 'refused'],
    // uac: user, realm and password; a password may hold anything but control characters
    ['uac:credential', 'alice:example.org:a:b;c', ['alice:example.org:a:b;c']],
    ['uac:credential', ['a:r:p', 'b:r:p'], ['a:r:p', 'b:r:p']],
    ['uac:credential', 'alice::', ['alice::']],
    ['uac:credential', 'alice:example.org', 'refused'],
    ['uac:credential', ':example.org:p', 'refused'],
    ['uac:credential', 'a:"r":p', 'refused'],
    ['uac:credential', 'a:r:p\r\nVia: x', 'refused'],
    ['uac:credential', ['a:r:p', 'a:r:p'], 'refused'],
    ['uac:credential', 'a:r:'.padEnd(513, 'p'), 'refused'],
    // 5.48: 0, or 30 and more
    ['dialog:ka_interval', '0', 0],
    ['dialog:ka_interval', '30', 30],
    ['dialog:ka_interval', '29', 'refused'],
    ['dialog:ka_interval', '-5', 'refused'],
    ['core:receive_window_ms', '0', 0],
    ['core:receive_window_ms', '10', 10],
    ['core:receive_window_ms', '11', 'refused'],
  ] as const) {
    test(`${name} ${JSON.stringify(written)?.slice(0, 50)} gives ${JSON.stringify(value)?.slice(0, 50)}`, () => {
      assert.deepEqual(read(name, written as Written), value);
    });
  }

  // Name, section of the manual, default, good values at the bounds, bad ones just beyond them.
  for (const [name, section, byDefault, good, bad] of [
    ['enable_stats', '5.1', 1, [0, 1], [-1, 2]],
    ['hash_size', '5.2', 4096, [1, 2, 16_777_216], [0, 3, 16_777_217]],
    ['rr_param', '5.3', 'did', ['x'], ['', 'a b']],
    ['dlg_flag', '5.4', null, [0, 31], [-1, 32]],
    ['timeout_avp', '5.5', null, ['$avp(a)', '$avp(s:a)', '$avp(i:1)'], ['avp', '$avp(', '$var(a)']],
    ['default_timeout', '5.6', 43_200, [1, 31_536_000], [0, 31_536_001]],
    ['dlg_extra_hdrs', '5.7', '', ['A: b\r\n'], ['A b', 'A\r\n']],
    ['dlg_match_mode', '5.8', 0, [0, 1, 2], [-1, 3]],
    ['detect_spirals', '5.9', 1, [0, 1], [2]],
    ['initial_cbs_inscript', '5.44', 1, [0, 1], [2]],
    ['send_bye', '5.45', 0, [0, 1], [2]],
    ['wait_ack', '5.46', 1, [0, 1], [2]],
    ['ka_timer', '5.47', 0, [0, 86_400], [-1, 86_401]],
    ['ka_interval', '5.48', 0, [0, 30, 86_400], [1, 29, -30]],
    ['timeout_noreset', '5.49', 0, [0, 1], [2]],
    ['timer_procs', '5.50', 1, [0, 1], [2]],
    ['track_cseq_updates', '5.51', 0, [0, 1], [2]],
    ['early_timeout', 'beyond the manual', 300, [1, 31_536_000], [0]],
    ['noack_timeout', 'beyond the manual', 60, [1, 31_536_000], [0]],
    ['end_timeout', 'beyond the manual', 300, [1, 31_536_000], [0]],
    ['ka_failed_limit', 'beyond the manual', 1, [1, 1_000], [0, 1_001]],
    ['h_id_start', 'beyond the manual', 0, [-1, 0, 2_147_483_647], [-2, 2_147_483_648]],
    ['h_id_step', 'beyond the manual', 1, [1, 65_535], [0, 65_536]],
    ['keep_proxy_rr', 'beyond the manual', 0, [0, 1, 2, 3], [-1, 4]],
    ['dlg_ctxiuid_mode', 'beyond the manual', 0, [0, 1], [2]],
    ['bye_early_code', 'beyond the manual', 480, [300, 699], [200, 299, 700]],
    ['bye_early_reason', 'beyond the manual', 'Temporarily Unavailable', ['', 'Gone'], ['a\r\nb']],
    ['lreq_callee_headers', 'beyond the manual', '', ['A: b\r\n'], ['A b']],
  ] as const) {
    test(`dialog:${name} [${section}]: its default, its bounds, and what is said of a value beyond them`, async () => {
      const param = findParam(`dialog:${name}`);
      assert.ok(param);
      assert.deepEqual([param.row.section, param.row.default], [section, byDefault]);
      for (const value of good) assert.equal(read(`dialog:${name}`, value), value);
      for (const value of bad) {
        assert.equal(read(`dialog:${name}`, value), 'refused', String(value));
        const told = await complaintOf(`dialog:${name}=${value}`);
        assert.ok(told.includes(`dialog:${name}=${value}`) && told.includes(param.row.allowed), told);
      }
    });
  }

  test('no row refuses without naming the value and what is allowed', async () => {
    for (const { group, name, row } of everyParam()) {
      const bad = ['-99999999999', 'a \r\nb', '', '=;,'].find((written) => !row.read(written).ok);
      assert.ok(bad !== undefined, `${group}:${name} takes anything`);
      const told = await complaintOf(`${group}:${name}=${bad}`);
      const shown = row.secret ? '...' : bad;
      assert.ok(told.includes(`${group}:${name}=${shown}`) && told.includes(row.allowed), told);
    }
  });

  test('second names mean the same [spec 12, 5.15 and 5.34]', () => {
    assert.equal(findParam('dialog:callid_column')?.name, 'call_id_column');
    assert.equal(findParam('dialog:toroute_column')?.name, 'toroute_name_column');
  });

  test('every row accepts its own default, says what is allowed, where it is described and what it is for', () => {
    for (const { group, name, row } of everyParam()) {
      const where = `${group}:${name}`;
      if (row.default !== null) assert.deepEqual(read(where, row.default as Written), row.default, where);
      for (const words of [row.allowed, row.section, row.doc]) assert.ok(words.length > 0, where);
    }
  });

  test('every parameter of the manual, 5.1 to 5.51, has its row', () => {
    const sections = new Set(everyParam().map(({ row }) => row.section));
    for (let section = 1; section <= 51; section++) assert.ok(sections.has(`5.${section}`), `5.${section}`);
  });

  test('a parameter that is accepted is read by somebody, never silently ignored', () => {
    const text = readdirSync(SOURCES, { recursive: true, encoding: 'utf8' })
      .filter((file) => file.endsWith('.ts') && !file.startsWith('config/params/'))
      .map((file) => readFileSync(join(SOURCES, file), 'utf8'))
      .join('\n');
    const ignored = everyParam()
      .filter(({ name, row }) => !row.later && !new RegExp(`\\b${name}\\b`).test(text))
      .map(({ group, name }) => `${group}:${name}`);
    assert.deepEqual(ignored, []);
  });

  test('no text at all makes a kind throw, and numbers stay within their bounds', () => {
    const params = everyParam();
    fc.assert(
      fc.property(
        fc.nat(params.length - 1),
        fc.oneof(
          fc.string(),
          fc.double(),
          fc.maxSafeInteger().map(String),
          fc.boolean(),
          fc.array(fc.string()),
        ),
        (at, written) => {
          const { row } = params[at]!;
          const reading = row.read(written);
          if (reading.ok && typeof reading.value === 'number') assert.ok(Number.isSafeInteger(reading.value));
        },
      ),
    );
  });
});
