import { ortBackend } from '../backends/ort.js';
import { drawings } from '../data/drawings.test.helper.js';
import type { newRun } from './run.js';
import { train } from './train.js';

export const dataset = drawings({ train: 12, validation: 8, test: 8 });

export const settings = {
  model: { architecture: 'conv4', channels: 4, blocks: 2, imageSize: 8 },
  rule: 'sparse-maml',
  innerSteps: 2,
  ways: 3,
  shots: [1, 2],
  queries: 2,
  tasksPerStep: 2,
  outerSteps: 6,
  momentRate: 0.1,
  seed: 5,
  validation: { every: 3, tasks: 4, ways: 3, shots: 1, queries: 2 },
};

export const run = (state: Awaited<ReturnType<typeof newRun>>, extra: Partial<Parameters<typeof train>[0]> = {}) =>
  train({ ...state, dataset, backend: ortBackend({ threads: 1 }), ...extra });
