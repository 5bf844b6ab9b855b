/**
 * Compiles native/sip-parser/sip_parser.c to dist/sip/sip_parser.wasm with a compiler that comes from npm.
 *
 *   node scripts/build-parser.mjs [--force]
 *
 * Takes 5 to 20 s, so it is skipped when source, flags and compiler are those of the file that is there.  The
 * module imports `env.memory`, a shared memory of any size of at least SIP_PARSER_RESERVED_BYTES.
 */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const SOURCES = ['sip_parser.c', 'sip_parser.h'];
const FOLDER = new URL('../native/sip-parser/', import.meta.url);
const TARGET = fileURLToPath(new URL('../dist/sip/sip_parser.wasm', import.meta.url));
const STAMP = fileURLToPath(new URL('../.stamps/sip_parser.wasm', import.meta.url));

/** SIP_PARSER_RESERVED_BYTES: stack and data of the module must fit in there, or the linker refuses. */
const RESERVED_BYTES = 65_536;
/** As much as 32 bits address; the importer's memory may be smaller. */
const MEMORY_BYTES_MAX = 65_536 * 65_536;
const STACK_BYTES = 16_384;

const FLAGS = [
  '--target=wasm32',
  '-std=c11',
  '-O3',
  '-nostdlib',
  '-ffreestanding',
  '-msimd128',
  '-mbulk-memory',
  '-matomics',
  '-Wall',
  '-Wextra',
  '-Werror',
  '-Wl,--no-entry,--import-memory,--shared-memory,--strip-all',
  `-Wl,--initial-memory=${RESERVED_BYTES},--max-memory=${MEMORY_BYTES_MAX}`,
  `-Wl,-z,stack-size=${STACK_BYTES}`,
];

/** Builds the module if it is not up to date; returns whether it was built. */
export async function buildParser({ force = false } = {}) {
  const sources = Object.fromEntries(
    SOURCES.map((name) => [name, readFileSync(new URL(name, FOLDER), 'utf8')]),
  );
  const stamp = stampOf(sources);
  if (!force && existsSync(TARGET) && existsSync(STAMP) && readFileSync(STAMP, 'utf8') === stamp)
    return false;
  const { runClang } = await import('@yowasp/clang');
  const files = await runClang(['clang', ...FLAGS, '-o', 'sip_parser.wasm', 'sip_parser.c'], sources);
  replaceFile(TARGET, files['sip_parser.wasm']);
  replaceFile(STAMP, stamp);
  return true;
}

function stampOf(sources) {
  const hash = createHash('sha256').update(JSON.stringify([sources, FLAGS, compilerVersion()]));
  return `${hash.digest('hex')}\n`;
}

function compilerVersion() {
  const entry = createRequire(import.meta.url).resolve('@yowasp/clang');
  return JSON.parse(readFileSync(new URL('../package.json', pathToFileURL(entry)), 'utf8')).version;
}

/** Another process never sees half a file. */
function replaceFile(path, content) {
  mkdirSync(dirname(path), { recursive: true });
  const fresh = `${path}.${process.pid}`;
  writeFileSync(fresh, content);
  renameSync(fresh, path);
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const built = await buildParser({ force: process.argv.includes('--force') });
  console.log(built ? 'sip_parser.wasm built' : 'sip_parser.wasm is up to date');
}
