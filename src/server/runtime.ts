/**
 * The Runtime of the product: the native segment and its sockets, and the shards that work on them.
 */
import type { Config } from '../config/load.js';
import { EngineError } from '../errors.js';
import type { Log } from '../log.js';
import type { Runtime } from './ports.js';

/** Makes the segment and binds every listen address. */
export async function openRuntime(_config: Config, _log: Log): Promise<Runtime> {
  throw new EngineError('ERR_ADDON', 'this build has no shards yet');
}
