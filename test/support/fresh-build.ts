/**
 * Tests import dist/: says so when dist/ is not what src/ says.  `npm test` builds before it comes here.
 */
import { outOfDate } from '../../scripts/build.mjs';

export default function freshBuild(): void {
  const stale = outOfDate();
  if (stale.length > 0) console.warn(`not built since the last change: ${stale.join(', ')} (npm run build)`);
}
