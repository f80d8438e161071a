import { type Cell, formatStudy } from '@whet/tools/study/table';
import { expect, test } from 'vitest';

test('the table of rules gives the mean over seeds, its interval, and each seed', () => {
  const cell = (method: string, normalization: string, seed: number, mean: number, halfWidth: number): Cell => ({
    method,
    normalization,
    seed,
    moves: method,
    rate: 0.1,
    tasks: 600,
    accuracies: [{ mean, halfWidth }],
  });
  const cells = [
    cell('maml', 'layer', 1, 0.9, 0.003),
    cell('maml', 'layer', 2, 0.92, 0.004),
    cell('anil', 'transductive', 1, 0.5, 0.01),
  ];
  expect(formatStudy(cells, [{ ways: 5, shots: 1 }]).split('\n')).toEqual([
    '### layer',
    '',
    '| method | moves | inner rate | 5-way 1-shot |',
    '|---|---|---|---|',
    '| maml | maml | 0.1 | 91.00 ± 0.35 (90.00, 92.00) |',
    '',
    '### transductive',
    '',
    '| method | moves | inner rate | 5-way 1-shot |',
    '|---|---|---|---|',
    '| anil | anil | 0.1 | 50.00 ± 1.00 (50.00) |',
    '',
  ]);
  const times = { normalization: 'layer', shapes: [{ ways: 5, shots: 5 }], milliseconds: { maml: [12.34] } };
  const timed = formatStudy([...cells, cell('boil', 'layer', 1, 0.8, 0.01)], [{ ways: 5, shots: 1 }], times);
  expect(timed.split('\n').slice(2, 9)).toEqual([
    '| method | moves | inner rate | 5-way 1-shot | ms to adapt, 5-way 5-shot |',
    '|---|---|---|---|---|',
    '| maml | maml | 0.1 | 91.00 ± 0.35 (90.00, 92.00) | 12.3 |',
    '| boil | boil | 0.1 | 80.00 ± 1.00 (80.00) | - |',
    '',
    '### transductive',
    '',
  ]);
});
