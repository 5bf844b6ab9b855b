/**
 * The rules that people cannot hold in their heads: who imports whom, and what native code includes.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, test } from 'vitest';

const ROOT = fileURLToPath(new URL('..', import.meta.url));

/** What a room of native/ may include besides itself and the standard library. */
const MAY_INCLUDE: Record<string, readonly string[]> = {
  core: [],
  net: ['core', 'sip-parser'], // the sizes that the parser's header states
  'sip-parser': [],
  binding: ['core', 'net', 'sip-parser'],
};
/** Rooms that know nothing of Node and of what runs it. */
const WITHOUT_NODE = ['core', 'net', 'sip-parser'];
const NODE_HEADER = /^(node|node_api|js_native_api|napi|uv|v8)\b/;

function depcruise(): Promise<{ code: number; out: string }> {
  const bin = join(ROOT, 'node_modules/dependency-cruiser/bin/dependency-cruise.mjs');
  const args = [bin, '--config', '.dependency-cruiser.cjs', '--output-type', 'err', 'src'];
  return new Promise((resolve) => {
    execFile(process.execPath, args, { cwd: ROOT }, (error, out, err) => {
      resolve({ code: error === null ? 0 : Number(error.code ?? -1), out: out + err });
    });
  });
}

type Include = { readonly file: string; readonly header: string; readonly quoted: boolean };

function includes(): Include[] {
  const files = readdirSync(join(ROOT, 'native'), { recursive: true, encoding: 'utf8' })
    .filter((file) => /\.(h|c|cc)$/.test(file))
    .map((file) => join('native', file));
  return files.flatMap((file) => {
    const lines = readFileSync(join(ROOT, file), 'utf8').matchAll(/^\s*#\s*include\s*([<"])([^>"]+)[>"]/gm);
    return [...lines].map(([, mark, header = '']) => ({ file, header, quoted: mark === '"' }));
  });
}

const roomOf = (path: string): string => path.split('/')[1] ?? '';

describe('src/', () => {
  test('rooms import only the rooms below them, without circles, and only packages that are declared', async () => {
    const { code, out } = await depcruise();
    assert.equal(code, 0, out);
    assert.match(out, /no dependency violations found/);
  });
});

describe('native/', () => {
  const all = includes();

  test('is found', () => assert.ok(all.length > 20));

  test('core, net and the parser include no header of Node', () => {
    const found = all.filter(
      ({ file, header }) => WITHOUT_NODE.includes(roomOf(file)) && NODE_HEADER.test(header),
    );
    assert.deepEqual(found, []);
  });

  test('rooms include only the rooms below them', () => {
    const rooms = Object.keys(MAY_INCLUDE);
    const wrong = all.filter(({ file, header, quoted }) => {
      if (!quoted) return false;
      const [first = ''] = header.split('/');
      // Either from native/ ("core/table.h") or from where the file stands ("table.h", "../core/table.h").
      const target = rooms.includes(first) ? first : roomOf(normalize(join(dirname(file), header)));
      const own = roomOf(file);
      return target !== own && !(MAY_INCLUDE[own] ?? []).includes(target);
    });
    assert.deepEqual(wrong, []);
  });
});
