/**
 * Takes SIGUSR1 before anything else is loaded: without a listener Node would open its inspector's port.
 *
 * main.ts of the server adds the listener that does something.
 */
process.on('SIGUSR1', () => {});
