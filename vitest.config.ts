import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // The addon is loaded by many tests: one process each, and what a test leaves behind dies with it.
    pool: 'forks',
    globalSetup: ['test/support/fresh-build.ts'],
    testTimeout: 120_000,
    hookTimeout: 120_000,
  },
});
