/**
 * Loads the operator's route file: TypeScript or JavaScript, by jiti, so that no build step is needed.
 */
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createJiti } from 'jiti';
import { EngineError } from '../errors.js';
import { defaultRoutes } from './default-routes.js';
import { type Routes, RouteTable } from './routes.js';

/**
 * The table of the routes in `file`, or of the default routes.
 *
 * `import { routes } from 'holdfast'` in the file finds this product, wherever it is installed.
 *
 * @throws EngineError ERR_ROUTES_FILE with the file's own words
 */
export async function loadRoutes(file: string | null, nextHop: string | null): Promise<RouteTable> {
  if (file === null) return new RouteTable(defaultRoutes(nextHop));
  const path = resolve(file);
  try {
    const jiti = createJiti(import.meta.url, {
      moduleCache: false,
      fsCache: false,
      alias: { holdfast: fileURLToPath(new URL('./public.js', import.meta.url)) },
    });
    const definition = await jiti.import<Routes>(path, { default: true });
    return new RouteTable(definition);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new EngineError('ERR_ROUTES_FILE', `${path}: ${reason}`, { cause: error });
  }
}
