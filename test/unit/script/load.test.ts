import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'vitest';
import { loadRoutes } from '../../../dist/script/load.js';

/** What the request route of a table says. */
function said(table: { readonly request: (context: never) => unknown }): unknown {
  return table.request({} as never);
}

describe('the route file', () => {
  let folder = '';
  const write = (name: string, text: string): string => {
    writeFileSync(join(folder, name), text);
    return join(folder, name);
  };
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'holdfast-routes-'));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  for (const [kind, words] of [
    ['ts', "export const words: string = 'first';"],
    ['mjs', "export const words = 'first';"],
  ] as const) {
    test(`imports its neighbours by path, .${kind}`, async () => {
      write(`words.${kind}`, words);
      const file = write(
        `routes.${kind}`,
        `import { routes } from 'holdfast';
         import { words } from './words.${kind}';
         export default routes({ request: () => words });`,
      );
      assert.equal(said((await loadRoutes(file, null)).table), 'first');
    });

    test(`loaded again with the texts it had, .${kind}, it is what it was, whatever was written since`, async () => {
      write(`words.${kind}`, words);
      const file = write(
        `routes.${kind}`,
        `import { routes } from 'holdfast';
         import { words } from './words.${kind}';
         export default routes({ request: () => words });`,
      );
      const { texts } = await loadRoutes(file, null);
      write(`words.${kind}`, words.replace('first', 'second'));
      write(`routes.${kind}`, 'export default routes({ request(r) {');
      const again = await loadRoutes(file, null, texts);
      assert.equal(said(again.table), 'first');
      assert.deepEqual([...again.texts.keys()].sort(), [...texts.keys()].sort());
      await assert.rejects(loadRoutes(file, null), { code: 'ERR_ROUTES_FILE' });
    });
  }

  test('may await at its top', async () => {
    const file = write(
      'routes.ts',
      `import { routes } from 'holdfast';
       const words = await Promise.resolve('later');
       export default routes({ request: () => words });`,
    );
    assert.equal(said((await loadRoutes(file, null)).table), 'later');
  });

  test('is refused with its own words when it exports no routes', async () => {
    await assert.rejects(loadRoutes(write('routes.ts', 'export const nothing = 1;'), null), {
      code: 'ERR_ROUTES_FILE',
    });
  });
});
