/**
 * Builds what has changed: the parser as WebAssembly, src/ with tsc, the addon with node-gyp.
 *
 *   node scripts/build.mjs           builds what is out of date
 *   node scripts/build.mjs --force   builds everything
 *
 * A step runs when the hash of its inputs is not the one noted in .stamps/ or an output is missing, so a second
 * call does nothing.
 */
import { chmodSync, existsSync, readFileSync, rmSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { pathToFileURL } from 'node:url';
import { run } from './child.mjs';
import { filesUnder, forget, hashOf, isDone, oneAtATime, ROOT, STAMPS, say, setDone } from './stamps.mjs';

const inRoot = (...parts) => join(ROOT, ...parts);

/** The steps in order.  `ready`: outputs are there; `needed`: this checkout has the part at all. */
const STEPS = [
  {
    name: 'parser',
    says: 'parser (WebAssembly)',
    needed: () => existsSync(inRoot('scripts/build-parser.mjs')),
    inputs: () => [
      ...filesUnder('native/sip-parser', '.c', '.h'),
      inRoot('scripts/build-parser.mjs'),
      inRoot('node_modules/@yowasp/clang/package.json'),
    ],
    ready: () => filesUnder('dist/sip', '.wasm').length > 0,
    run: () => node('scripts/build-parser.mjs'),
  },
  {
    name: 'typescript',
    says: 'src (tsc)',
    needed: () => true,
    inputs: () => [
      ...filesUnder('src', '.ts'),
      inRoot('tsconfig.json'),
      inRoot('node_modules/typescript/package.json'),
    ],
    ready: () => compiledSources().every((file) => existsSync(outputOf(file))),
    run: compileTypeScript,
  },
  {
    name: 'addon',
    says: 'addon (node-gyp)',
    needed: () => existsSync(inRoot('binding.gyp')),
    inputs: () => [inRoot('binding.gyp'), ...filesUnder('native', '.h', '.c', '.cc', '.gypi')],
    ready: () => filesUnder('build/Release', '.node').length > 0,
    run: compileAddon,
  },
];

/** What a build would do now, in words; empty when all is fresh. */
export function outOfDate() {
  return STEPS.filter((step) => step.needed() && !isFresh(step, hashFor(step))).map((step) => step.says);
}

/**
 * Builds what is out of date.
 *
 * @returns {Promise<boolean>} false when a step failed; it has said why
 */
export function build({ force = false } = {}) {
  return oneAtATime(async () => {
    for (const step of STEPS) {
      if (!step.needed()) continue;
      const hash = hashFor(step);
      if (!force && isFresh(step, hash)) continue;
      const start = performance.now();
      forget(step.name);
      const { code, output } = await step.run({ force });
      if (code !== 0) {
        say(`${output.trimEnd()}\nbuild: ${step.says} failed`);
        return false;
      }
      setDone(step.name, hash);
      say(`build: ${step.says} in ${((performance.now() - start) / 1000).toFixed(1)} s`);
    }
    return true;
  });
}

function hashFor(step) {
  return hashOf(step.inputs(), process.version, process.arch);
}

function isFresh(step, hash) {
  return isDone(step.name, hash) && step.ready();
}

async function compileTypeScript() {
  const missing = compiledSources().some((file) => !existsSync(outputOf(file)));
  if (missing) rmSync(inRoot('dist/.tsbuildinfo'), { force: true });
  removeLeftovers();
  const result = await node('node_modules/typescript/bin/tsc', '-p', ROOT, '--pretty', 'false');
  if (result.code === 0 && existsSync(inRoot('dist/cli/main.js')))
    chmodSync(inRoot('dist/cli/main.js'), 0o755);
  return result;
}

/** Removes what came from a source that is gone, or tests would go on importing it. */
function removeLeftovers() {
  for (const file of filesUnder('dist', '.js', '.js.map', '.d.ts')) {
    const source = inRoot('src', relative(inRoot('dist'), file).replace(/\.(js|js\.map|d\.ts)$/, '.ts'));
    if (!existsSync(source)) rmSync(file);
  }
}

async function compileAddon({ force }) {
  // Headers that came with this Node spare a download; node-gyp fetches them otherwise.
  const prefix = dirname(dirname(process.execPath));
  const headers = headersMatch(prefix) ? [`--nodedir=${prefix}`] : [];
  const gyp = (...args) => node('node_modules/node-gyp/bin/node-gyp.js', ...args, ...headers);
  const layout = hashOf([inRoot('binding.gyp')], process.version, prefix);
  // binding.gyp lists the files of a folder when the Makefile is written.
  const sources = hashOf([], ...filesUnder('native', '.cc').map((file) => relative(ROOT, file)));
  if (force || !isDone('addon-layout', layout) || !existsSync(inRoot('build/Makefile'))) {
    const configured = await gyp('rebuild', `--jobs=${availableParallelism()}`);
    if (configured.code === 0) {
      setDone('addon-layout', layout);
      setDone('addon-sources', sources);
    }
    return configured;
  }
  if (!isDone('addon-sources', sources)) {
    const configured = await gyp('configure');
    if (configured.code !== 0) return configured;
    setDone('addon-sources', sources);
  }
  return gyp('build', `--jobs=${availableParallelism()}`);
}

function headersMatch(prefix) {
  const path = join(prefix, 'include/node/node_version.h');
  if (!existsSync(path)) return false;
  const major = /#define NODE_MAJOR_VERSION (\d+)/.exec(readFileSync(path, 'utf8'))?.[1];
  return major === process.versions.node.split('.')[0];
}

/** Sources that something is made from; a file of types alone leaves nothing behind. */
function compiledSources() {
  return filesUnder('src', '.ts').filter((file) => !file.endsWith('.d.ts'));
}

function outputOf(source) {
  return inRoot('dist', relative(inRoot('src'), source).replace(/\.ts$/, '.js'));
}

function node(...args) {
  return run(process.execPath, args, { cwd: ROOT, quiet: true });
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  if (process.argv.includes('--force')) rmSync(STAMPS, { recursive: true, force: true });
  process.exitCode = (await build({ force: process.argv.includes('--force') })) ? 0 : 1;
}
