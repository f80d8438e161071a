import type { Backend } from '@whet/compiler';
import { expect, it } from 'vitest';
import { ortBackend } from './ort.js';
import { TRIAL_TOLERANCE, tryMetaGradient } from './trial.js';

it('calls what is no number wrong, by a number that survives JSON', async () => {
  const inner = ortBackend({ threads: 1 });
  const broken: Backend = {
    ...inner,
    compile: async (graph) => {
      const executable = await inner.compile(graph);
      return {
        ...executable,
        run: async (feeds) => {
          const outputs = await executable.run(feeds);
          // The first of many: what follows it is right.
          for (const { data } of outputs.values()) data[0] = Number.NaN;
          return outputs;
        },
      };
    },
  };
  const { error } = JSON.parse(JSON.stringify(await tryMetaGradient(broken)));
  expect(error).toBeGreaterThan(TRIAL_TOLERANCE);
});
