/**
 * Builds and runs the tests of the native parts, without Node and under sanitizers.
 *
 *   node scripts/test-native.mjs            all
 *   node scripts/test-native.mjs core race  those whose path contains one of the words
 *
 * A test is a C or C++ file in test/native/<room>/ (directly in test/native/: room core), or one in
 * native/<room>/ whose name ends in _test.  Files of a room without `main` are doctest files and are linked
 * into one program with every source of the room and of the rooms it stands on; a file with its own `main` is a
 * program of its own, right when it exits with 0.  All run under ASan and UBSan; files whose name ends in _race
 * run under TSan instead.  A comment `// flags: ...` in a file with `main` adds compiler flags.
 *
 * Compiled without Node's headers on the path: what needs them fails here.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { basename, dirname, join, relative } from 'node:path';
import { pathToFileURL } from 'node:url';
import { inParallel, run } from './child.mjs';
import { filesUnder, hashOf, isDone, ROOT, STAMPS, say, setDone } from './stamps.mjs';

/** The rooms whose sources a room's tests are linked with. */
const STANDS_ON = { core: ['core'], net: ['core', 'net'], 'sip-parser': ['sip-parser'] };

const SANITIZERS = {
  // vptr needs the type information that our sources are built without.
  address: ['-fsanitize=address,undefined', '-fno-sanitize=vptr', '-fno-sanitize-recover=all'],
  thread: ['-fsanitize=thread'],
};
const COMMON = [
  '-O1',
  '-g',
  '-fno-omit-frame-pointer',
  '-Wall',
  '-Wextra',
  '-pthread',
  `-I${join(ROOT, 'native')}`,
];
/** What a program may take; those with a long form for the night ask for HOLDFAST_NIGHTLY. */
const SECONDS_MAX = process.env.HOLDFAST_NIGHTLY === '1' ? 3_600 : 300;
const OBJECTS = join(STAMPS, 'native');
const CXX = process.env.CXX ?? 'g++';
const CC = process.env.CC ?? 'gcc';

/**
 * Builds and runs what the words select.
 *
 * @returns {Promise<{ passed: number, failed: number, skipped: number }>} test cases
 */
export async function testNative(words) {
  const programs = programsOf(
    testFiles().filter((file) => words.length === 0 || words.some((w) => file.includes(w))),
  );
  if (programs.length === 0) {
    process.stdout.write('native: no tests\n');
    return { passed: 0, failed: 0, skipped: 0 };
  }
  const sum = { passed: 0, failed: 0, skipped: 0 };
  const hasDoctest = await canInclude('doctest/doctest.h');
  if (!hasDoctest) {
    const line = 'doctest not found (on Debian: apt-get install doctest-dev)';
    if (process.env.HOLDFAST_REQUIRE_DOCTEST === '1') {
      say(`native: ${line} and HOLDFAST_REQUIRE_DOCTEST=1`);
      sum.failed += 1;
    } else say(`native: ${line}: its tests are skipped`);
  }
  for (const program of programs) {
    if (program.doctest && !hasDoctest) {
      sum.skipped += program.tests.length;
      continue;
    }
    const result = await buildAndRun(program);
    for (const key of Object.keys(sum)) sum[key] += result[key];
  }
  return sum;
}

function testFiles() {
  const beside = filesUnder('native', '_test.cc', '_test.c');
  return [...filesUnder('test/native', '.cc', '.c'), ...beside].map((file) => relative(ROOT, file));
}

/** Groups test files into programs: one per room and sanitizer for doctest, one per file with its own main. */
function programsOf(files) {
  const programs = new Map();
  for (const file of files) {
    const contents = readFileSync(join(ROOT, file), 'utf8');
    const parts = file.split('/');
    const room = parts[0] === 'native' ? parts[1] : parts.length > 3 ? parts[2] : 'core';
    const sanitizer = /_race(_test)?\.cc?$/.test(file) ? 'thread' : 'address';
    const doctest = !/\bint\s+main\s*\(/.test(contents);
    const name = doctest ? `${room}-${sanitizer}` : file.replaceAll('/', '-').replace(/\.cc?$/, '');
    const program = programs.get(name) ?? { name, room, sanitizer, doctest, tests: [], flags: [] };
    program.tests.push(file);
    if (!doctest)
      program.flags.push(...(/^\/\/ flags: (.+)$/m.exec(contents)?.[1]?.trim().split(/\s+/) ?? []));
    programs.set(name, program);
  }
  return [...programs.values()];
}

async function buildAndRun(program) {
  const failed = { passed: 0, failed: 1, skipped: 0 };
  const objects = await compileAll(program);
  if (objects === null) return failed;
  const path = join(OBJECTS, 'bin', program.name);
  const linkHash = hashOf(objects, ...flagsOf(program));
  if (!existsSync(path) || !isDone(`native/bin/${program.name}.linked`, linkHash)) {
    mkdirSync(dirname(path), { recursive: true });
    const args = [...flagsOf(program), ...objects, '-pthread', '-o', path];
    const { code, output } = await run(CXX, args, { quiet: true });
    if (code !== 0) {
      say(`${output.trimEnd()}\nnative: ${program.name} cannot be linked`);
      return failed;
    }
    setDone(`native/bin/${program.name}.linked`, linkHash);
  }
  return runProgram(program, path);
}

async function runProgram(program, path) {
  // TSan needs its addresses where it expects them; some kernels place them elsewhere.
  const still =
    program.sanitizer === 'thread' && (await run('setarch', ['-R', 'true'], { quiet: true })).code === 0;
  const [command, args] = still ? ['setarch', ['-R', path]] : [path, []];
  const env = { TSAN_OPTIONS: 'halt_on_error=1', UBSAN_OPTIONS: 'print_stacktrace=1' };
  const { code, output } = await run(command, args, { quiet: true, secondsMax: SECONDS_MAX, env, cwd: ROOT });
  const counts = /test cases:\s*(\d+)\s*\|\s*(\d+) passed\s*\|\s*(\d+) failed\s*\|\s*(\d+) skipped/.exec(
    output,
  );
  let result = { passed: code === 0 ? 1 : 0, failed: code === 0 ? 0 : 1, skipped: 0 };
  if (program.doctest && counts !== null) {
    const [passed, failed, skipped] = counts.slice(2).map(Number);
    result = { passed, failed: failed === 0 && code !== 0 ? 1 : failed, skipped };
  }
  if (code !== 0) say(output.trimEnd());
  const late = code === 137 ? ` (killed; a program may take ${SECONDS_MAX} s)` : '';
  const verdict = code === 0 ? '' : `, exit code ${code}${late}`;
  process.stdout.write(
    `native: ${program.name}: ${result.passed} passed, ${result.failed} failed${verdict}\n`,
  );
  return result;
}

/** Compiles tests and sources; null when one does not compile. */
async function compileAll(program) {
  const rooms = STANDS_ON[program.room] ?? ['core', program.room];
  const sources = rooms
    .flatMap((room) => filesUnder(`native/${room}`, '.cc', '.c'))
    .map((file) => relative(ROOT, file))
    .filter((file) => !/(_test|fuzz)\.cc?$/.test(file));
  const jobs = [...sources, ...program.tests].map(
    (file) => () => compile(file, flagsOf(program), program.tests.includes(file)),
  );
  if (program.doctest) jobs.push(() => compile(doctestMain(), [], true));
  const objects = await inParallel(jobs, availableParallelism());
  return objects.includes(null) ? null : objects;
}

/** Compiles one file unless it, its headers and its flags are what they were; null when it does not compile. */
async function compile(file, flags, isTest) {
  const isC = file.endsWith('.c');
  const restrictions = isTest || isC ? [] : ['-fno-exceptions', '-fno-rtti'];
  const all = [isC ? '-std=c11' : '-std=c++20', ...COMMON, ...restrictions, ...flags];
  const object = join(OBJECTS, hashOf([], ...all).slice(0, 12), `${file.replaceAll('/', '-')}.o`);
  const dependencies = object.replace(/\.o$/, '.d');
  const stamp = relative(STAMPS, object.replace(/\.o$/, '.done'));
  if (existsSync(object) && existsSync(dependencies) && isDone(stamp, hashOf(listed(dependencies))))
    return object;
  mkdirSync(dirname(object), { recursive: true });
  const args = [...all, '-MMD', '-MF', dependencies, '-c', join(ROOT, file), '-o', object];
  const { code, output } = await run(isC ? CC : CXX, args, { quiet: true });
  if (output !== '') say(output.trimEnd());
  if (code !== 0) {
    say(`native: ${file} does not compile`);
    return null;
  }
  setDone(stamp, hashOf(listed(dependencies)));
  return object;
}

/** The files a compiler says that an object came from. */
function listed(dependencies) {
  const text = readFileSync(dependencies, 'utf8').replaceAll('\\\n', ' ');
  return text
    .slice(text.indexOf(':') + 1)
    .trim()
    .split(/\s+/);
}

/** doctest's main, compiled once and without sanitizers, which would take most of a minute. */
function doctestMain() {
  const path = join(OBJECTS, 'doctest_main.cc');
  const text = '#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN\n#include <doctest/doctest.h>\n';
  mkdirSync(OBJECTS, { recursive: true });
  if (!existsSync(path)) writeFileSync(path, text);
  return relative(ROOT, path);
}

function flagsOf(program) {
  return [...SANITIZERS[program.sanitizer], ...program.flags];
}

async function canInclude(header) {
  const { code } = await run(CXX, ['-x', 'c++', '-fsyntax-only', '-include', header, '/dev/null'], {
    quiet: true,
  });
  return code === 0;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const { passed, failed, skipped } = await testNative(process.argv.slice(2));
  const tail = skipped > 0 ? `, ${skipped} skipped` : '';
  process.stdout.write(
    `${basename(import.meta.filename, '.mjs')}: ${passed} passed, ${failed} failed${tail}\n`,
  );
  process.exitCode = failed === 0 ? 0 : 1;
}
