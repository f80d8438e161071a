import { describe, expect, it } from 'vitest';
import { makeTensor } from '../tensor.js';
import { meanShift, nearestLevel, type WeightRows, weightSteps } from './quantized-weights.js';

/** Numbers of a normal distribution, the same each time. */
function normals(count: number, seed = 1): Float32Array {
  let state = seed;
  const next = () => {
    state = (state * 16807) % 2147483647;
    return state / 2147483647;
  };
  return Float32Array.from({ length: count }, () => Math.sqrt(-2 * Math.log(next())) * Math.cos(2 * Math.PI * next()));
}

const weightOf = (shape: number[], sums: WeightRows['sums'], axis = 0, seed = 1): WeightRows => ({
  values: makeTensor(
    shape,
    normals(
      shape.reduce((a, b) => a * b, 1),
      seed,
    ),
  ),
  axis,
  sums,
});

/** The levels of an output, in the order of its entries. */
function rowOf(levels: Int8Array, [count = 0, second = 0]: readonly number[], axis: number, output: number): number[] {
  if (axis === 1) return Array.from({ length: count }, (_, i) => levels[i * second + output] as number);
  const length = levels.length / count;
  return [...levels.subarray(output * length, (output + 1) * length)];
}

describe('weights as bytes', () => {
  it('rounds to the nearest level, a half to the even one', () => {
    const rounded = [0.5, 1.5, 2.5, -0.5, -1.5, 1.49, -1.51].map((value) => nearestLevel(value, -127, 127));
    expect(rounded.map((value) => value + 0)).toEqual([0, 2, 2, 0, -2, 1, -2]);
    expect([300, -300].map((value) => nearestLevel(value, -127, 127))).toEqual([127, -127]);
  });

  it.each([
    [[16, 12, 3, 3], 'any', 0],
    [[16, 64, 1, 1], 'neighbours', 0],
    [[64, 16], 'neighbours', 1],
  ] as const)('adds no two products that 16 bits cannot hold: %s, %s', (shape, sums, axis) => {
    for (let seed = 1; seed < 20; seed++) {
      const weight = weightOf([...shape], sums, axis, seed);
      const { levels } = weightSteps(weight, 1, undefined);
      for (let output = 0; output < 16; output++) {
        const row = rowOf(levels, shape, axis, output);
        const sorted = [...row].sort((a, b) => a - b);
        // The largest byte of an activation times both, as `vpmaddubsw` adds them up.
        const pairs =
          sums === 'any'
            ? [(sorted.at(-1) as number) + (sorted.at(-2) as number), (sorted[0] as number) + (sorted[1] as number)]
            : row.slice(1).map((level, i) => level + (row[i] as number));
        expect(Math.max(...pairs) * 255).toBeLessThanOrEqual(32767);
        expect(Math.min(...pairs) * 255).toBeGreaterThanOrEqual(-32768);
      }
    }
  });

  it('uses all levels of weights that are added up in 32 bits', () => {
    const { levels } = weightSteps(weightOf([8, 1, 3, 3], 'alone'), 1, undefined);
    for (let output = 0; output < 8; output++) {
      expect(Math.max(...rowOf(levels, [8], 0, output).map(Math.abs))).toBe(127);
    }
  });

  it('is within half a step of each weight, and one step for each output', () => {
    for (const axis of [0, 1]) {
      const weight = weightOf([6, 10], 'neighbours', axis);
      const { steps, levels } = weightSteps(weight, 1, undefined);
      expect(steps).toHaveLength(axis === 0 ? 6 : 10);
      for (const [i, value] of weight.values.data.entries()) {
        const step = steps[axis === 0 ? Math.floor(i / 10) : i % 10] as number;
        expect(Math.abs((levels[i] as number) * step - value)).toBeLessThanOrEqual(0.501 * step);
      }
    }
  });

  it('holds a bias beside weights of nothing, and beside very small ones', () => {
    const values = makeTensor([2, 2], [0, 0, 1e-12, -1e-12]);
    const { steps, levels } = weightSteps({ values, axis: 0, sums: 'neighbours' }, 0.02, [5, 5]);
    for (const step of steps) expect(5 / (step * 0.02)).toBeLessThan(2 ** 30);
    expect([...levels].map(Math.abs)).toEqual([0, 0, 0, 0]);
    expect(weightSteps({ values, axis: 0, sums: 'neighbours' }, 0.02, undefined).steps[0]).toBe(1);
  });

  it('tells what rounding adds in the mean, of groups too', () => {
    const means = Float64Array.of(1, 2, 3, 4);
    for (const shape of [
      [4, 4, 3, 3],
      [4, 2, 3, 3],
      [4, 1, 3, 3],
    ]) {
      const weight = weightOf(shape, 'any');
      const rounded = weightSteps(weight, 1, undefined);
      const [outputs = 0, inputs = 0] = shape;
      const expected = Array.from({ length: outputs }, (_, o) => {
        let sum = 0;
        for (let i = 0; i < inputs * 9; i++) {
          const at = o * inputs * 9 + i;
          const first = Math.floor(o / (outputs / (4 / inputs))) * inputs;
          const error =
            (rounded.levels[at] as number) * (rounded.steps[o] as number) - (weight.values.data[at] as number);
          sum += error * (means[first + Math.floor(i / 9)] as number);
        }
        return sum;
      });
      const shift = meanShift(weight, rounded, means);
      for (const [o, value] of expected.entries()) expect(shift[o]).toBeCloseTo(value, 6);
    }
    const matrix = weightOf([4, 3], 'neighbours', 1);
    expect(meanShift(matrix, weightSteps(matrix, 1, undefined), means)).toHaveLength(3);
    expect(meanShift(matrix, weightSteps(matrix, 1, undefined), undefined)).toHaveLength(0);
  });
});
