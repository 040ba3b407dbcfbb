import { join } from 'node:path';
import { defineConfig } from 'vitest/config';

/** End-to-end tests that keep all cores busy, or look at memory or at a build: each of them runs alone. */
const ALONE = [
  'batch-end',
  'batch',
  'cli',
  'completions',
  'engine-thread',
  'examples',
  'golden-values',
  'kv-memory',
  'setup',
  'start',
].map((name) => `test/${name}.e2e-spec.ts`);
const endToEnd = { testTimeout: 300_000, hookTimeout: 300_000 };

export default defineConfig({
  resolve: {
    tsconfigPaths: true,
    // In place of fast-check itself, so that only specs that use it load it.
    alias: [{ find: /^fast-check$/, replacement: join(import.meta.dirname, 'test/fast-check.ts') }],
  },
  test: {
    reporters: ['default'],
    projects: [
      {
        extends: true,
        test: {
          name: 'unit',
          include: ['{apps,libs,bench}/**/*.spec.ts'],
          testTimeout: 180_000,
          hookTimeout: 180_000,
          maxWorkers: 2,
          sequence: { groupOrder: 0 },
        },
      },
      {
        extends: true,
        test: {
          name: 'e2e',
          include: ['test/**/*.e2e-spec.ts'],
          exclude: ALONE,
          maxWorkers: 2,
          sequence: { groupOrder: 1 },
          ...endToEnd,
        },
      },
      {
        extends: true,
        test: {
          name: 'e2e-alone',
          include: ALONE,
          fileParallelism: false,
          sequence: { groupOrder: 2 },
          ...endToEnd,
        },
      },
    ],
  },
});
