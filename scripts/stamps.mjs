/**
 * What was built from what: hashes of inputs in .stamps/, and the lock that lets one build run at a time.
 */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The root of the checkout. */
export const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
export const STAMPS = join(ROOT, '.stamps');

const LOCK_WAIT_SECONDS_MAX = 900;

/** Files under a folder of the checkout whose names end in one of `endings`, sorted; none if it is not there. */
export function filesUnder(folder, ...endings) {
  const path = join(ROOT, folder);
  if (!existsSync(path)) return [];
  return readdirSync(path, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && endings.some((ending) => entry.name.endsWith(ending)))
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name))
    .sort();
}

/** One hash over names and contents of files and over any other words. */
export function hashOf(files, ...words) {
  const hash = createHash('sha256').update(words.join('\0'));
  for (const file of files) {
    hash.update(`\0${file}\0`);
    if (existsSync(file)) hash.update(readFileSync(file));
  }
  return hash.digest('hex');
}

/** Whether `name` was last done with this hash. */
export function isDone(name, hash) {
  const path = join(STAMPS, name);
  return existsSync(path) && readFileSync(path, 'utf8') === hash;
}

/** Notes that `name` was done with this hash. */
export function setDone(name, hash) {
  mkdirSync(dirname(join(STAMPS, name)), { recursive: true });
  writeFileSync(join(STAMPS, name), hash);
}

/** Forgets that `name` was done, before it is done anew. */
export function forget(name) {
  rmSync(join(STAMPS, name), { force: true });
}

/** Runs `work` while no other process of this checkout builds. */
export async function oneAtATime(work) {
  mkdirSync(STAMPS, { recursive: true });
  const lock = join(STAMPS, 'lock');
  const release = () => rmSync(lock, { force: true });
  for (let waited = 0; !take(lock); waited++) {
    if (waited === 4) say('another build is running, waiting for it');
    if (waited >= LOCK_WAIT_SECONDS_MAX * 4) throw new Error(`${lock} is still held by another build`);
    await new Promise((resolve) => setTimeout(resolve, 250));
  }
  process.once('exit', release);
  try {
    return await work();
  } finally {
    process.off('exit', release);
    release();
  }
}

/** One line about what is going on, away from standard output. */
export function say(line) {
  process.stderr.write(`${line}\n`);
}

function take(lock) {
  try {
    writeFileSync(lock, String(process.pid), { flag: 'wx' });
    return true;
  } catch {
    if (!isAlive(lock)) rmSync(lock, { force: true });
    return false;
  }
}

function isAlive(lock) {
  try {
    const pid = Number(readFileSync(lock, 'utf8'));
    if (pid > 0) process.kill(pid, 0);
    return true; // an empty file: its owner is about to write its number
  } catch (error) {
    return error.code === 'EPERM';
  }
}
