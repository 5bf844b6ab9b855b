/**
 * The addon for each machine that the package serves without a compiler: prebuilds/linux-{x64,arm64}, found by node-gyp-build.
 *
 *   node scripts/prebuild.mjs            all of them; a cross compiler that is missing is an error
 *   node scripts/prebuild.mjs x64        one
 *
 * One Node-API binary serves Node 20, 22 and 24.  It needs the C library that it was linked with, or a later one; the C++
 * library is inside.
 */
import { spawnSync } from 'node:child_process';
import { copyFileSync, cpSync, existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { build } from './build.mjs';
import { run } from './child.mjs';
import { filesUnder, hashOf, isDone, ROOT, STAMPS, say, setDone } from './stamps.mjs';

/** By processor, as Node names it: GNU's name for it, and Debian's package of a compiler for it. */
const TARGETS = {
  x64: { gnu: 'x86_64-linux-gnu', debian: 'g++-x86-64-linux-gnu' },
  arm64: { gnu: 'aarch64-linux-gnu', debian: 'g++-aarch64-linux-gnu' },
};

/** The processors that `prebuild()` serves. */
export const PROCESSORS = Object.keys(TARGETS);

/** Where the binary for `processor` is put. */
export const prebuiltPath = (processor) =>
  join(ROOT, 'prebuilds', `linux-${processor}`, 'holdfast.napi.glibc.node');

/**
 * Builds what is out of date of the binaries for `processors`.
 *
 * @returns {Promise<boolean>} false when one failed; it has said why
 */
export async function prebuild(processors = PROCESSORS) {
  for (const processor of processors) if (!(await prebuildFor(processor))) return false;
  return true;
}

async function prebuildFor(processor) {
  const { gnu, debian } = TARGETS[processor];
  const isOwn = processor === process.arch;
  const tools = isOwn
    ? { CXX: process.env.CXX ?? 'g++', strip: 'strip' }
    : { CC: `${gnu}-gcc`, CXX: `${gnu}-g++`, AR: `${gnu}-ar`, strip: `${gnu}-strip` };
  const missing = Object.values(tools).filter((tool) => !isInstalled(tool));
  if (missing.length > 0) {
    say(`${missing.join(', ')} not found; on Debian: apt-get install ${isOwn ? 'g++' : debian}`);
    return false;
  }
  const inputs = [join(ROOT, 'binding.gyp'), ...filesUnder('native', '.h', '.c', '.cc', '.gypi')];
  const hash = hashOf(inputs, versionOf(tools.CXX));
  const name = `prebuilt-${processor}`;
  const target = prebuiltPath(processor);
  if (isDone(name, hash) && existsSync(target)) return true;

  const start = performance.now();
  const built = isOwn ? await ownAddon() : await crossCompiled(processor, tools);
  if (built === null) return false;
  mkdirSync(dirname(target), { recursive: true });
  const stripped = spawnSync(tools.strip, ['--strip-unneeded', '-o', target, built], { encoding: 'utf8' });
  if (stripped.status !== 0) {
    say(`${stripped.stderr}prebuild: ${tools.strip} failed`);
    return false;
  }
  setDone(name, hash);
  say(`prebuild: linux-${processor} in ${((performance.now() - start) / 1000).toFixed(1)} s`);
  return true;
}

/** The checkout's own addon is the one for this processor. */
async function ownAddon() {
  return (await build()) ? join(ROOT, 'build/Release/holdfast.node') : null;
}

/** node-gyp writes to build/ beside binding.gyp, where the checkout's own addon lies: so it gets a folder of its own. */
async function crossCompiled(processor, tools) {
  const folder = join(STAMPS, `cross-${processor}`);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  copyFileSync(join(ROOT, 'binding.gyp'), join(folder, 'binding.gyp'));
  cpSync(join(ROOT, 'native'), join(folder, 'native'), { recursive: true });
  const prefix = dirname(dirname(process.execPath));
  const headers = existsSync(join(prefix, 'include/node/node_api.h')) ? [`--nodedir=${prefix}`] : [];
  const gyp = join(ROOT, 'node_modules/node-gyp/bin/node-gyp.js');
  const { code, output } = await run(
    process.execPath,
    [gyp, 'rebuild', `--arch=${processor}`, `--jobs=${availableParallelism()}`, ...headers],
    { cwd: folder, quiet: true, env: { CC: tools.CC, CXX: tools.CXX, LINK: tools.CXX, AR: tools.AR } },
  );
  const built = join(folder, 'build/Release/holdfast.node');
  if (code === 0 && existsSync(built)) return built;
  say(`${output.trimEnd()}\nprebuild: linux-${processor} failed`);
  return null;
}

/** The earliest version of the C library that has all symbols which the binary for `processor` asks for. */
export function glibcNeeded(processor) {
  const asked = new Set(
    readFileSync(prebuiltPath(processor))
      .toString('latin1')
      .match(/GLIBC_2\.\d+/g) ?? [],
  );
  const minor = Math.max(...[...asked].map((version) => Number(version.slice('GLIBC_2.'.length))));
  return `2.${minor}`;
}

function versionOf(compiler) {
  return spawnSync(compiler, ['--version'], { encoding: 'utf8' }).stdout;
}

function isInstalled(tool) {
  return spawnSync('sh', ['-c', `command -v ${tool}`], { stdio: 'ignore' }).status === 0;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const asked = process.argv.slice(2);
  const unknown = asked.filter((processor) => !PROCESSORS.includes(processor));
  if (unknown.length > 0) {
    say(`no such processor: ${unknown.join(', ')}; there are ${PROCESSORS.join(', ')}`);
    process.exitCode = 2;
  } else {
    process.exitCode = (await prebuild(asked.length > 0 ? asked : PROCESSORS)) ? 0 : 1;
  }
}
