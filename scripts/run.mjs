/**
 * The two commands of README, on a machine that has only Node and a C++ compiler.
 *
 *   npm start [-- OPTIONS]   installs what is missing, builds what has changed, starts the proxy
 *   npm test  [-- ARGS]      the same, then runs the tests; with ARGS only vitest, with these arguments
 *
 * Built-in modules only: nothing else is there before this has run.
 */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import { run } from './child.mjs';
import { ROOT, STAMPS, say } from './stamps.mjs';

const NODE_MIN = [20, 20];
const TOOLS = { 'g++': 'g++', make: 'make', python3: 'python3' };

const [what = 'start', ...args] = process.argv.slice(2);
process.chdir(ROOT);
checkMachine();
await installMissing();
const { build } = await import('./build.mjs');
if (!(await build())) process.exit(1);
linkProgram();
if (what === 'start') start(args);
else await test(args);

function checkMachine() {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  if (major < NODE_MIN[0] || (major === NODE_MIN[0] && minor < NODE_MIN[1])) {
    fail(`Node ${NODE_MIN.join('.')} or later is needed, this is ${process.versions.node}`);
  }
  if (process.platform !== 'linux') fail(`Linux is needed, this is ${process.platform}`);
  const missing = Object.keys(TOOLS).filter((tool) => !isInstalled(tool));
  if (missing.length > 0) {
    fail(
      `${missing.join(', ')} not found; on Debian: apt-get install ${missing.map((tool) => TOOLS[tool]).join(' ')}`,
    );
  }
}

/** Runs `npm ci` unless each package of the lock file is there in its version. */
async function installMissing() {
  if (isComplete()) return;
  say('installing packages (npm ci)');
  const { code, output } = await run('npm', ['ci', '--no-audit', '--no-fund'], { quiet: true });
  if (code !== 0) fail(`${output.trimEnd()}\nnpm ci failed`);
}

function isComplete() {
  if (!existsSync('node_modules/.package-lock.json')) return false;
  const wanted = JSON.parse(readFileSync('package-lock.json', 'utf8')).packages;
  const found = JSON.parse(readFileSync('node_modules/.package-lock.json', 'utf8')).packages;
  return Object.entries(wanted).every(
    ([path, { version, optional }]) => path === '' || optional === true || found[path]?.version === version,
  );
}

/** `npx holdfast` in this checkout is the program that was built: without the link npm installs the checkout as a package first. */
function linkProgram() {
  const link = 'node_modules/.bin/holdfast';
  mkdirSync('node_modules/.bin', { recursive: true });
  if (!existsSync(link)) symlinkSync('../../dist/cli/main.js', link);
}

/** Starts the proxy and stays beside it: signals go to it, its exit code becomes ours. */
function start(options) {
  const child = spawn(process.execPath, ['dist/cli/main.js', 'start', ...options], { stdio: 'inherit' });
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGUSR1', 'SIGUSR2']) {
    process.removeAllListeners(signal);
    process.on(signal, () => child.kill(signal));
  }
  child.on('exit', (code, signal) => process.exit(code ?? 128 + constants.signals[signal]));
}

/** Runs every suite, even after a failure, and closes with one line that sums them up. */
async function test(vitestArgs) {
  const requireSipp = process.env.HOLDFAST_REQUIRE_SIPP === '1';
  if (!isInstalled('sipp')) {
    if (requireSipp)
      fail('sipp not found and HOLDFAST_REQUIRE_SIPP=1; on Debian: apt-get install sip-tester');
    say('sipp not found: the tests that need it are skipped (on Debian: apt-get install sip-tester)');
  }
  const results = [];
  if (vitestArgs.length === 0) {
    const { testNative } = await import('./test-native.mjs');
    for (const suite of [lint, () => testNative([]), parserNative]) results.push(await guarded(suite));
    await guarded(instructions);
  } else {
    say('arguments given: vitest alone, no lint and no native tests');
  }
  results.push(await guarded(() => vitest(vitestArgs)));

  const sum = (key) => results.reduce((total, result) => total + result[key], 0);
  const [passed, failed, skipped] = [sum('passed'), sum('failed'), sum('skipped')];
  if (passed + failed === 0) say('no test ran');
  process.stdout.write(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}\n`);
  process.exitCode = failed === 0 && passed > 0 ? 0 : 1;
}

/** A suite that throws has failed; the others still run. */
async function guarded(suite) {
  try {
    return await suite();
  } catch (error) {
    say(error.stack);
    return { passed: 0, failed: 1, skipped: 0 };
  }
}

/** Format and lint of everything biome knows: one check. */
async function lint() {
  const args = ['node_modules/@biomejs/biome/bin/biome', 'check', '--colors=off', '.'];
  const { code, output } = await run(process.execPath, args, { quiet: true });
  if (code !== 0) process.stdout.write(output);
  process.stdout.write(`lint: ${code === 0 ? 'clean' : 'failed'}\n`);
  return { passed: code === 0 ? 1 : 0, failed: code === 0 ? 0 : 1, skipped: 0 };
}

/** The parser as native code, under sanitizers and a bounded fuzzing run: one check. */
async function parserNative() {
  const { testParserNative } = await import('./test-parser-native.mjs');
  const good = await testParserNative();
  return { passed: good ? 1 : 0, failed: good ? 0 : 1, skipped: 0 };
}

/** What the core's operations take in instructions, next to what is stored: a report that fails nothing. */
async function instructions() {
  const { reportInstructions } = await import('../bench/instructions.mjs');
  reportInstructions();
}

async function vitest(vitestArgs) {
  const report = join(STAMPS, 'vitest.json');
  mkdirSync(STAMPS, { recursive: true });
  rmSync(report, { force: true });
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`];
  const args = ['node_modules/vitest/vitest.mjs', 'run', ...reporters, ...vitestArgs];
  const env = process.stdout.isTTY ? {} : { NO_COLOR: '1' };
  const { code } = await run(process.execPath, args, { env });
  if (!existsSync(report)) return { passed: 0, failed: 1, skipped: 0 };
  const { numPassedTests, numFailedTests, numPendingTests, numTodoTests, testResults } = JSON.parse(
    readFileSync(report, 'utf8'),
  );
  // A file that cannot be loaded has no failed test of its own, yet it failed.
  const broken = testResults.filter(
    ({ status, assertionResults }) =>
      status === 'failed' && !assertionResults.some((assertion) => assertion.status === 'failed'),
  ).length;
  const failed = numFailedTests + broken;
  return {
    passed: numPassedTests,
    failed: failed === 0 && code !== 0 ? 1 : failed,
    skipped: numPendingTests + numTodoTests,
  };
}

function isInstalled(tool) {
  return spawnSync('sh', ['-c', `command -v ${tool}`], { stdio: 'ignore' }).status === 0;
}

function fail(line) {
  say(line);
  process.exit(1);
}
