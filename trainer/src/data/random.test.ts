import { describe, expect, test } from 'vitest';
import { generatorFor } from './random.js';

const many = (count: number, draw: () => number) => Array.from({ length: count }, draw);
const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;

function correlation(a: readonly number[], b: readonly number[]): number {
  const [ma, mb] = [mean(a), mean(b)];
  const product = (u: readonly number[], mu: number, v: readonly number[], mv: number) =>
    mean(u.map((x, i) => (x - mu) * ((v[i] as number) - mv)));
  return product(a, ma, b, mb) / Math.sqrt(product(a, ma, a, ma) * product(b, mb, b, mb));
}

describe('generatorFor', () => {
  test('depends on seed, stream and index, and on nothing else', () => {
    const first = (seed: number, stream: string, index: number) => {
      const random = generatorFor(seed, stream, index);
      return many(8, () => random.uniform());
    };
    expect(first(1, 'a', 2)).toEqual(first(1, 'a', 2));
    const others = [first(2, 'a', 2), first(1, 'b', 2), first(1, 'a', 3), first(2, 'a', 1), first(-1, 'a', 2)];
    others.push(first(2 ** 32 + 1, 'a', 2), first(1, 'a', 2 ** 32 + 2));
    for (const other of others) expect(other).not.toEqual(first(1, 'a', 2));
    expect(new Set(others.map(String)).size).toBe(others.length);
  });

  test('draws the same numbers in every version and on every machine', () => {
    const random = generatorFor(7, 'episode/train', 12);
    expect([random.integer(1000), random.integer(1000), ...random.sample(100, 4)]).toMatchInlineSnapshot(`
      [
        508,
        958,
        94,
        99,
        21,
        96,
      ]
    `);
  });

  test('makes neighbouring indices and seeds unrelated', () => {
    const byIndex = many(5000, () => 0).map((_, i) => generatorFor(3, 's', i).uniform());
    expect(Math.abs(mean(byIndex) - 0.5)).toBeLessThan(0.02);
    expect(Math.abs(correlation(byIndex.slice(1), byIndex.slice(0, -1)))).toBeLessThan(0.05);
    const bySeed = byIndex.map((_, i) => generatorFor(i, 's', 3).uniform());
    expect(Math.abs(correlation(byIndex, bySeed))).toBeLessThan(0.05);
  });

  test('is uniform over integers and in [0, 1)', () => {
    const random = generatorFor(1, 'uniform', 0);
    const counts = [0, 0, 0, 0, 0, 0, 0];
    for (const i of many(70_000, () => random.integer(7))) counts[i] = (counts[i] as number) + 1;
    const chiSquared = counts.reduce((sum, count) => sum + (count - 10_000) ** 2 / 10_000, 0);
    expect(chiSquared).toBeLessThan(22.5); // 6 degrees of freedom, p = 0.001
    const values = many(20_000, () => random.uniform());
    expect(Math.min(...values)).toBeGreaterThanOrEqual(0);
    expect(Math.max(...values)).toBeLessThan(1);
    expect(random.integer(1)).toBe(0);
  });

  test('draws normals with mean 0, variance 1 and kurtosis 3', () => {
    const random = generatorFor(1, 'normal', 0);
    const values = many(50_000, () => random.normal());
    expect(mean(values)).toBeCloseTo(0, 1);
    expect(mean(values.map((v) => v ** 2))).toBeCloseTo(1, 1);
    expect(Math.abs(mean(values.map((v) => v ** 4)) - 3)).toBeLessThan(0.2);
  });

  test('shuffles in place, without losing or favouring a place', () => {
    const counts = [0, 0, 0, 0];
    for (let index = 0; index < 8000; index++) {
      const array = ['a', 'b', 'c', 'd'];
      expect(generatorFor(5, 'shuffle', index).shuffle(array)).toBe(array);
      expect([...array].sort()).toEqual(['a', 'b', 'c', 'd']);
      const at = array.indexOf('a');
      counts[at] = (counts[at] as number) + 1;
    }
    for (const count of counts) expect(Math.abs(count - 2000)).toBeLessThan(150);
  });

  test('samples distinct numbers, every one as often', () => {
    const counts = new Array<number>(10).fill(0);
    for (let index = 0; index < 5000; index++) {
      const drawn = generatorFor(5, 'sample', index).sample(10, 4);
      expect(new Set(drawn).size).toBe(4);
      for (const i of drawn) counts[i] = (counts[i] as number) + 1;
    }
    for (const count of counts) expect(Math.abs(count - 2000)).toBeLessThan(150);
    const random = generatorFor(5, 'sample', 0);
    expect(random.sample(6, 6).sort()).toEqual([0, 1, 2, 3, 4, 5]);
    expect(random.sample(6, 0)).toEqual([]);
  });

  test('refuses what it cannot draw', () => {
    expect(() => generatorFor(0.5, 's', 0)).toThrow('seed: expected a safe integer, got 0.5');
    expect(() => generatorFor(0, 's', Number.NaN)).toThrow('index: expected a safe integer, got NaN');
    const random = generatorFor(0, 's', 0);
    expect(() => random.integer(0)).toThrow(RangeError);
    expect(() => random.sample(3, 4)).toThrow('expected 0 <= k <= n = 3, got 4');
  });
});
