import { defineConfig } from 'vitest/config';
import SlowFirst from './test/slow-first.js';

export default defineConfig({
  test: {
    include: ['*/src/**/*.test.ts'],
    testTimeout: 180_000,
    hookTimeout: 120_000,
    maxWorkers: 2,
    sequence: { sequencer: SlowFirst },
    // Two workers, and the processes that they start, on two cores: threads that wait for work would take it from others.
    env: { WHET_THREADS: '1' },
    reporters: ['default', './test/summary-reporter.ts'],
  },
});
