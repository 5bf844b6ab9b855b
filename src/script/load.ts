/**
 * Loads the operator's route file: TypeScript or JavaScript, by jiti, so that no build step is needed.
 */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createJiti, type Jiti } from 'jiti';
import { EngineError } from '../errors.js';
import { defaultRoutes } from './default-routes.js';
import { type Routes, RouteTable } from './routes.js';

/** The texts of a route file and of what it imports by path, by their own paths. */
export type RouteTexts = ReadonlyMap<string, string>;

export type LoadedRoutes = { readonly table: RouteTable; readonly texts: RouteTexts };

/**
 * The table of the routes in `file`, or of the default routes.
 *
 * `import { routes } from 'holdfast'` in the file finds this product, wherever it is installed.
 *
 * @param kept the texts that an earlier load gave: they count, whatever stands in the files by now.  A file must still be
 *             there to be found; packages, JSON, and what is native code are read anew
 * @throws EngineError ERR_ROUTES_FILE with the file's own words
 */
export async function loadRoutes(
  file: string | null,
  nextHop: string | null,
  kept: RouteTexts = new Map(),
): Promise<LoadedRoutes> {
  if (file === null) return { table: new RouteTable(defaultRoutes(nextHop)), texts: kept };
  const path = resolve(file);
  const texts = new Map(kept);
  const options = {
    moduleCache: false,
    fsCache: false,
    alias: { holdfast: fileURLToPath(new URL('./public.js', import.meta.url)) },
  };
  const compiler = createJiti(import.meta.url, options);
  const jiti = createJiti(import.meta.url, {
    ...options,
    transform: (one) => {
      const source = (one.filename === undefined ? null : texts.get(one.filename)) ?? one.source;
      if (one.filename !== undefined) texts.set(one.filename, source);
      return { code: compiler.transform({ ...one, source }) };
    },
  });
  try {
    const definition = await evaluated<Routes>(jiti, path, texts);
    return { table: new RouteTable(definition), texts };
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new EngineError('ERR_ROUTES_FILE', `${path}: ${reason}`, { cause: error });
  }
}

/** What the file exports.  Evaluated at once, every text passes `transform`; one that awaits is imported instead. */
async function evaluated<T>(jiti: Jiti, path: string, texts: RouteTexts): Promise<T> {
  try {
    const source = texts.get(path) ?? readFileSync(path, 'utf8');
    const found = jiti.evalModule(source, { filename: path, forceTranspile: true }) as { default?: T };
    if (found.default !== undefined) return found.default;
  } catch (error) {
    if (!(error instanceof SyntaxError) && !isWaiting(error)) throw error;
  }
  return await jiti.import<T>(path, { default: true });
}

/** A module awaits at its top, which only an import allows. */
function isWaiting(error: unknown): boolean {
  return error instanceof Error && /\bawait\b/.test(error.message);
}
