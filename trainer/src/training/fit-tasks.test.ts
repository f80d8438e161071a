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

it('streams of validation have fewer stages, and then fewer ways', () => {
  const validation = { every: 1, tasks: 1, ways: 5, shots: 1, queries: 1 };
  const streamed = runConfigSchema.parse({
    ...settings,
    shots: [1],
    queries: 1,
    stream: { stages: [2, 5] },
    validation,
  });
  const fittedTo = (classes: number) => fitTasks(streamed, listed([30, 2], [classes, 2]));
  expect(fittedTo(25).changes).toEqual([]);
  expect(fittedTo(16).changes).toEqual(['validation.stages 3 in place of 5']);
  expect(fittedTo(9).changes).toEqual(['validation.ways 4 in place of 5', 'validation.stages 2 in place of 5']);
  for (const classes of [25, 16, 9, 4]) {
    expect(() => checkTasks(fittedTo(classes).settings, listed([30, 2], [classes, 2]))).not.toThrow();
  }
  expect(() => checkTasks(streamed, listed([30, 2], [9, 2]))).toThrow(
    'expected 25 classes for 5 stages of 5, got 9; validation.ways 4 with validation.stages 2 would do',
  );
  expect(() => checkTasks(fittedTo(3).settings, listed([30, 2], [3, 2]))).toThrow('got 3; more classes would do');
});

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
