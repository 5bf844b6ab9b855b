/**
 * The parser as native code under AddressSanitizer and UndefinedBehaviorSanitizer.
 *
 *   node scripts/test-parser-native.mjs               torture messages and corpus, then a bounded fuzzing run
 *   node scripts/test-parser-native.mjs --runs 5e6    the same with more inputs
 *
 * Each file of test/torture and test/fuzz/corpus is parsed whole and cut at every byte, with SIMD and without.  The
 * fuzzer needs clang with libFuzzer; without it that part is skipped with one line.  An input that breaks the parser
 * is left in build/fuzz/: put it into test/fuzz/corpus with the repair.
 */
import { mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { run } from './child.mjs';
import { ROOT, say } from './stamps.mjs';

const SOURCES = ['sip_parser.c', 'fuzz.c'].map((name) => join(ROOT, 'native/sip-parser', name));
const OUTPUT = join(ROOT, 'build/fuzz');
const INPUTS = ['test/torture/rfc4475', 'test/torture/rfc5118', 'test/fuzz/corpus'].map((name) =>
  join(ROOT, name),
);
const DICTIONARY = join(ROOT, 'test/fuzz/sip.dict');

const FLAGS = [
  '-std=c11',
  '-O1',
  '-g',
  '-Wall',
  '-Wextra',
  '-Werror',
  '-fsanitize=address,undefined',
  '-fno-sanitize-recover=all',
];
const VARIANTS = [
  { name: 'simd', flags: [] },
  { name: 'scalar', flags: ['-DSIP_PARSER_SCALAR'] },
];
const COMPILERS = [process.env.CC, 'clang-19', 'clang', 'gcc', 'cc'].filter(Boolean);
const FUZZERS = ['clang-19', 'clang'];

const RUNS_DEFAULT = 200_000;
const INPUT_BYTES_MAX = 3_000;
const COMPILE_SECONDS_MAX = 120;
const FILES_SECONDS_MAX = 120;
const FUZZ_SECONDS_MAX = 3_600;

/** Runs everything; returns whether nothing was found. */
export async function testParserNative({ runs = RUNS_DEFAULT } = {}) {
  mkdirSync(OUTPUT, { recursive: true });
  const compiler = await firstWorking(COMPILERS, []);
  if (compiler === null) {
    say(`parser: no C compiler with sanitizers among ${COMPILERS.join(', ')}`);
    return false;
  }
  const found = new Set();
  for (const variant of VARIANTS) {
    const words = await parseFiles(compiler, variant);
    if (words === null) return false;
    found.add(words);
  }
  if (found.size > 1) {
    say('parser: the variants give different words');
    return false;
  }
  const fuzzer = await firstWorking(FUZZERS, ['-fsanitize=fuzzer']);
  if (fuzzer === null) {
    say('parser: no clang with libFuzzer (on Debian: apt-get install clang): fuzzing is skipped');
    return true;
  }
  return fuzz(fuzzer, runs);
}

/** The first compiler that can build the parser with these flags; `null` if there is none. */
async function firstWorking(compilers, flags) {
  for (const compiler of compilers) {
    const args = [...FLAGS, ...flags, '-c', SOURCES[0], '-o', join(OUTPUT, 'probe.o')];
    const { code } = await run(compiler, args, { quiet: true, secondsMax: COMPILE_SECONDS_MAX });
    if (code === 0) return compiler;
  }
  return null;
}

async function compile(compiler, flags, program) {
  const args = [...FLAGS, ...flags, ...SOURCES, '-o', program];
  const { code, output } = await run(compiler, args, { quiet: true, secondsMax: COMPILE_SECONDS_MAX });
  if (code !== 0) say(`parser: ${compiler} failed\n${output.trimEnd()}`);
  return code === 0;
}

/** Returns a hash over all words; `null` if a sanitizer or a check objected. */
async function parseFiles(compiler, variant) {
  const program = join(OUTPUT, variant.name);
  if (!(await compile(compiler, ['-DFUZZ_FILES', ...variant.flags], program))) return null;
  const files = INPUTS.flatMap((folder) => readdirSync(folder).map((name) => join(folder, name)));
  const { code, output } = await run(program, files, { quiet: true, secondsMax: FILES_SECONDS_MAX });
  say(
    `parser: ${variant.name}, ${compiler}: ${code === 0 ? output.trimEnd() : `failed\n${output.trimEnd()}`}`,
  );
  return code === 0;
}

async function fuzz(compiler, runs) {
  const program = join(OUTPUT, 'fuzz');
  if (!(await compile(compiler, ['-fsanitize=fuzzer'], program))) return false;
  const corpus = join(OUTPUT, 'corpus');
  mkdirSync(corpus, { recursive: true });
  const args = [
    `-runs=${runs}`,
    `-max_len=${INPUT_BYTES_MAX}`,
    `-dict=${DICTIONARY}`,
    `-artifact_prefix=${OUTPUT}/`,
    '-print_final_stats=1',
    '-verbosity=0',
    corpus,
    ...INPUTS,
  ];
  const { code, output } = await run(program, args, { quiet: true, secondsMax: FUZZ_SECONDS_MAX });
  const executed = /number_of_executed_units: (\d+)/.exec(output)?.[1] ?? '0';
  say(
    `parser: ${code === 0 ? `${executed} inputs fuzzed, nothing found` : `the fuzzer found an input\n${output.trimEnd()}`}`,
  );
  return code === 0;
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const { values } = parseArgs({ options: { runs: { type: 'string' } } });
  const runs = values.runs === undefined ? RUNS_DEFAULT : Number(values.runs);
  if (!Number.isInteger(runs) || runs < 1) {
    say(`--runs ${values.runs}: must be a whole number of at least 1`);
    process.exitCode = 1;
  } else if (!(await testParserNative({ runs }))) {
    process.exitCode = 1;
  }
}
