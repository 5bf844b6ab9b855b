/**
 * What `npm pack` and `npm publish` do first: a fresh dist/, and the addon for each machine that the package serves.
 *
 * The package carries no binding.gyp, so npm has nothing to build when it is installed.
 */
import { build } from './build.mjs';
import { prebuild } from './prebuild.mjs';

process.exitCode = (await build()) && (await prebuild()) ? 0 : 1;
