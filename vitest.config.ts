import { defineConfig } from 'vitest/config';
import { builtThreads } from './test/built-threads.js';
import SlowFirst from './test/slow-first.js';

/** The packages' sources, so that a stale build cannot mislead. */
const SOURCE = '@whet/source';

export default defineConfig({
  plugins: [builtThreads(SOURCE)],
  resolve: { conditions: [SOURCE] },
  ssr: { resolve: { conditions: [SOURCE, 'module', 'node', 'development'] } },
  test: {
    include: ['*/src/**/*.test.ts', 'server/page/src/**/*.test.ts'],
    globalSetup: './test/build.ts',
    testTimeout: 180_000,
    hookTimeout: 120_000,
    // What comes sooner or later, also on a machine that does other things: a second, as is usual, is not much there.
    expect: { poll: { timeout: 30_000 } },
    // More than the two cores that the tests are meant for, as they wait for browsers and servers.
    maxWorkers: 4,
    // A worker keeps what it has imported from one file to the next: half of the time of the fast tests.
    isolate: false,
    sequence: { sequencer: SlowFirst },
    // Workers, and the processes that they start, on two cores: threads that wait for work would take it from others.
    env: { WHET_THREADS: '1' },
    reporters: ['default', './test/summary-reporter.ts'],
  },
});
