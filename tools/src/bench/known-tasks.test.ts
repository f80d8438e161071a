import { describe, expect, it } from 'vitest';
import { crossValidated, type KnownTask, rankCorrelation } from './known-tasks.js';

describe('rank correlation', () => {
  it('is of orders alone, and of equal values the mean of their places', () => {
    expect(rankCorrelation([1, 2, 3, 4], [1, 10, 11, 1000])).toBeCloseTo(1, 12);
    expect(rankCorrelation([1, 2, 3, 4], [4, 3, 2, 1])).toBeCloseTo(-1, 12);
    // Of 1, 2.5, 2.5, 4 and 1, 3, 2, 4: 4.5 / sqrt(4.5 * 5).
    expect(rankCorrelation([0, 5, 5, 9], [0, 2, 1, 3])).toBeCloseTo(4.5 / Math.sqrt(4.5 * 5), 12);
    expect(rankCorrelation([1, 1, 1], [1, 2, 3])).toBe(0);
  });
});

describe('a policy by a statistic', () => {
  const task = (told: number, noise: number): KnownTask => ({
    statistics: { told, noise },
    right: { still: told < 0.5 ? 0.9 : 0.5, moved: told < 0.5 ? 0.6 : 0.8 },
  });
  const tasks = Array.from({ length: 20 }, (_, i) => task(i < 10 ? 0.1 + i / 100 : 0.8 + i / 100, (i * 7) % 5));

  it('takes the end that is best on either side of a bound that other tasks chose', () => {
    expect(crossValidated(tasks, 'told', ['still', 'moved'])).toEqual(
      tasks.map(({ statistics }) => ((statistics['told'] as number) < 0.5 ? 0.9 : 0.8)),
    );
  });

  it('gains nothing by one that says nothing', () => {
    const right = crossValidated(tasks, 'noise', ['still', 'moved']);
    const mean = right.reduce((sum, each) => sum + each, 0) / right.length;
    expect(mean).toBeLessThan(0.8);
  });
});
