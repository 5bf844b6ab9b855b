/**
 * Loaded into a process with `--expose-gc --import`: SIGUSR2 makes every thread collect its garbage, so that what
 * remains resident can be compared.
 */
import { isMainThread } from 'node:worker_threads';

const channel = new BroadcastChannel('holdfast-bench-collect');
if (isMainThread) {
  process.on('SIGUSR2', () => {
    channel.postMessage(null);
    globalThis.gc?.();
  });
} else {
  channel.onmessage = () => globalThis.gc?.();
}
channel.unref();
