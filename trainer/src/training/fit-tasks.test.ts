import { expect, it } from 'vitest';
import { checkTasks } from './check-tasks.js';
import { runConfigSchema } from './config.js';
import { fitTasks } from './fit-tasks.js';

const counted = (name: string, classes: number, count: number) =>
  Array.from({ length: classes }, (_, i) => ({ name: `${name} ${i}`, count }));
const listed = (train: [number, number], validation: [number, number]) => ({
  name: 'photos',
  splits: { train: counted('t', ...train), validation: counted('v', ...validation), test: [] },
});
const settings = runConfigSchema.parse({
  model: { architecture: 'conv4' },
  rule: 'maml',
  ways: 5,
  shots: [1, 5],
  queries: 5,
  rotations: false,
  validation: { every: 1, tasks: 1, ways: 5, shots: 1, queries: 5 },
});

it('tasks that the classes fill stay as they are', () => {
  expect(fitTasks(settings, listed([5, 10], [5, 6]))).toEqual({ settings, changes: [] });
});

it.each([
  [
    [3, 10],
    [2, 10],
  ],
  [
    [8, 4],
    [6, 3],
  ],
  [
    [2, 2],
    [2, 2],
  ],
  [
    [30, 7],
    [9, 5],
  ],
] as [[number, number], [number, number]][])(
  'tasks of %j and %j classes and images are filled',
  (train, validation) => {
    const found = listed(train, validation);
    expect(() => checkTasks(settings, found)).toThrow(/would do/);
    const fitted = fitTasks(settings, found);
    expect(() => checkTasks(fitted.settings, found)).not.toThrow();
    expect(fitted.changes.length).toBeGreaterThan(0);
  },
);

it('says what is other, and leaves to the check what cannot be filled', () => {
  expect(fitTasks(settings, listed([8, 10], [2, 4])).changes).toEqual([
    'validation.queries 3 in place of 5',
    'validation.ways 2 in place of 5',
  ]);
  expect(fitTasks(settings, listed([8, 4], [8, 9])).changes).toEqual([
    'shots 1,2 in place of 1,5',
    'queries 2 in place of 5',
  ]);
  const lone = listed([4, 1], [4, 1]);
  expect(() => checkTasks(fitTasks(settings, lone).settings, lone)).toThrow('more images would do');
});
