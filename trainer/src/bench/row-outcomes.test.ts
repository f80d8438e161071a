import { Profile } from '@whet/runtime';
import { describe, expect, it } from 'vitest';
import { RowOutcomes, type TaskOutcome } from './row-outcomes.js';

const profile = new Profile('a'.repeat(64), 'head', ['cat', 'dog'], [1, 1], 4, new Map());
const given = {
  dataset: 'd',
  split: 'test',
  ways: 2,
  shots: 1,
  queries: 1,
  tasks: 3,
  protocol: 'one-image',
  command: '',
};

/** Predictions of two queries, a cat and a dog, by how probable the cat is. */
const predicted = (...cats: readonly number[]) =>
  cats.map((cat) => ({ label: cat > 0.5 ? 'cat' : 'dog', probabilities: { cat, dog: 1 - cat } }));

const task = (start: readonly number[], adapted: readonly number[], time: number): TaskOutcome => ({
  expected: ['cat', 'dog'],
  startPredictions: predicted(...start),
  predictions: predicted(...adapted),
  adapted: { profile, losses: [0.7, 0.6], loss: time / 10 },
  times: { encode: time, steps: time, total: 2 * time, predict: [time, time] },
});

describe('the outcomes of a row', () => {
  it('have paired differences, medians and calibration', () => {
    const row = new RowOutcomes('head');
    row.add(task([0.8, 0.8], [0.8, 0.2], 1));
    row.add(task([0.2, 0.8], [0.8, 0.8], 2));
    row.add(task([0.8, 0.2], [0.8, 0.2], 9));
    const { start, gain, accuracies, loss, calibration, measurement, spared, startOf } = row.measured(
      given as never,
      [],
    );
    expect(accuracies).toEqual([1, 0.5, 1]);
    expect(start.mean).toBeCloseTo(0.5, 12);
    expect(gain.mean).toBeCloseTo(1 / 3, 12);
    expect(gain.halfWidth).toBeCloseTo((1.96 * Math.sqrt(1 / 12)) / Math.sqrt(3), 12);
    expect(loss).toEqual({ start: 0.7, end: 0.2 });
    expect(calibration.start).toBeCloseTo(0.3, 12);
    expect(calibration.adapted).toBeCloseTo(5 / 6 - 0.8, 12);
    expect(measurement.milliseconds).toEqual({ adapt: 4, encode: 2, steps: 2, predict: 2 });
    expect(measurement).toMatchObject({ pattern: 'head', steps: 4, startAccuracy: start.mean });
    expect([startOf, spared]).toEqual(['head', 0]);
  });

  it('count the tasks whose steps were spared', () => {
    const row = new RowOutcomes('block');
    const stepped = task([0.8, 0.8], [0.8, 0.2], 1);
    for (const adapted of [{ ...stepped.adapted, losses: [], spared: 'nothing to learn' }, stepped.adapted])
      row.add({ ...stepped, adapted });
    expect(row.measured(given as never, []).spared).toBe(1);
  });

  it('say how far values moved, as a share of their length', () => {
    const row = new RowOutcomes('block');
    const of = (pattern: string, ...w: number[]) =>
      new Profile(
        'a'.repeat(64),
        pattern,
        ['cat', 'dog'],
        [1, 1],
        1,
        new Map([
          ['w', { shape: [2], data: Float32Array.from(w) }],
          ['head.bias', { shape: [2], data: Float32Array.from(w) }],
        ]),
      );
    const stepped = task([0.8, 0.8], [0.8, 0.2], 1);
    const add = (to: Profile) =>
      row.add({ ...stepped, adapted: { ...stepped.adapted, profile: to }, start: of('block', 3, 4) });
    add(of('block', 3, 5));
    add(of('block', 6, 8));
    // Another pattern's values are others.
    add(of('deep', 30, 50));
    const { moved } = row.measured(given as never, []);
    expect(Object.keys(moved)).toEqual(['w']);
    expect(moved['w']).toBeCloseTo(0.6, 12);
  });

  it('start as a row above does that predicts the same at 0 steps of every task, but for rounding', () => {
    const [first, same, other] = ['first', 'same', 'other'].map((name) => new RowOutcomes(name)) as [
      RowOutcomes,
      RowOutcomes,
      RowOutcomes,
    ];
    for (const [row, cat] of [
      [first, 0.8],
      [same, 0.80001],
      [other, 0.7],
    ] as const) {
      row.add(task([cat, 0.1], [0.9, 0.1], 1));
      row.compareStart([first, same].slice(0, [first, same, other].indexOf(row)));
      row.add(task([0.8, 0.1], [0.9, 0.1], 1));
    }
    same.compareStart([first]);
    other.compareStart([first, same]);
    expect(same.measured(given as never, [first]).startOf).toBe('first');
    expect(other.measured(given as never, [first, same]).startOf).toBe('other');
  });
});
