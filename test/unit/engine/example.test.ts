/**
 * What README shows of the dialog engine is what the example has, and what it prints.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { test } from 'vitest';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const EXAMPLE = join(ROOT, 'examples/dialog-engine.mjs');

/** The first block of this language behind a heading. */
function block(heading: string, language: string): string {
  const readme = readFileSync(join(ROOT, 'README.md'), 'utf8');
  const section = readme.slice(readme.indexOf(`\n## ${heading}\n`));
  const from = section.indexOf(`\n\`\`\`${language}\n`) + language.length + 5;
  return section.slice(from, section.indexOf('\n```\n', from) + 1);
}

const cookieless = (text: string): string => text.replaceAll(/did=[0-9a-f]+\.[0-9a-f]+/g, 'did=');

test('the example of README is the file that runs', () => {
  const shown = block('The dialogs alone', 'js');
  assert.ok(shown.length > 500);
  assert.ok(readFileSync(EXAMPLE, 'utf8').startsWith(shown), 'README and examples/dialog-engine.mjs differ');
});

test('it prints what README says', async () => {
  const { stdout, stderr } = await promisify(execFile)(process.execPath, [EXAMPLE], { cwd: ROOT });
  assert.equal(stderr, '');
  assert.equal(cookieless(stdout), cookieless(block('The dialogs alone', 'text')));
});
