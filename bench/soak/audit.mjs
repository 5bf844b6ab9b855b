/**
 * Loaded into a server with `--import`: SIGWINCH makes it recount its dialogs and profile members and print by how much
 * the kept counts are wrong.
 */
import { isMainThread } from 'node:worker_threads';
import { addon } from '../../dist/memory/addon.js';

/** A process has one segment, the first. */
const SEGMENT = 1;

if (isMainThread) {
  process.on('SIGWINCH', () => {
    console.log(`audit: ${addon.audit(SEGMENT)} wrong`);
  });
}
