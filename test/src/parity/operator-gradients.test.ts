import type { Graph, OperatorName, Tensor, Value } from '@whet/compiler';
import { evaluate, GraphBuilder, gradients, makeTensor, nodesOf, operators } from '@whet/compiler';
import { describe, expect, it } from 'vitest';
import { type GradientCase, gradientCases } from './operator-cases.js';
import { runOnOrt } from './ort.js';
import { readReference, referenceFiles, relativeError } from './reference.js';

/** Deterministic values, far from ties. */
function values(shape: readonly number[], seed: number, positive = false): Tensor {
  const size = shape.reduce((a, b) => a * b, 1);
  const wave = Float64Array.from({ length: size }, (_, i) => Math.sin(12.9898 * (i + 1) + 78.233 * seed));
  return makeTensor(shape, positive ? wave.map((v) => 1 + v / 2) : wave);
}

/** A smooth loss of the case, its gradients, the slope along directions, and the gradients of the slope. */
function caseGraph({ name, shapes, build, batch }: GradientCase, symbolic: boolean): Graph {
  const g = new GraphBuilder();
  const shapeOf = (i: number) => {
    const [first, ...rest] = shapes[i] as readonly number[];
    return symbolic && batch.includes(i) ? ['N', ...rest] : first === undefined ? [] : [first, ...rest];
  };
  const inputs = shapes.map((_, i) => g.input(`x${i}`, shapeOf(i)));
  const directions = shapes.map((_, i) => g.input(`d${i}`, shapeOf(i)));
  const y = build(g, inputs);
  const total = (value: Value) => g.apply('ReduceSum', [value], { keepdims: 0 });
  const power = g.apply('Exp', [g.apply('Mul', [y, g.scalar(0.1)], {})], {});
  const loss = g.apply('Add', [total(g.apply('Mul', [y, y], {})), total(power)], {});
  const first = gradients(g, loss, inputs) as Value[];
  const slope = first
    .map((gradient, i) => total(g.apply('Mul', [gradient, directions[i]], {})))
    .reduce((a, b) => g.apply('Add', [a, b], {}));
  const outputs = new Map([
    ['y', y],
    ['loss', loss],
    ['slope', slope],
  ]);
  first.forEach((value, i) => {
    outputs.set(`first/${i}`, value);
  });
  gradients(g, slope, inputs).forEach((value, i) => {
    if (value) outputs.set(`second/${i}`, value);
  });
  return { name, inputs: [...inputs, ...directions], outputs };
}

function feedsOf({ shapes, positive }: GradientCase, step = 0): Map<string, Tensor> {
  const feeds = new Map<string, Tensor>();
  shapes.forEach((shape, i) => {
    const direction = values(shape, i + 11);
    const at = values(shape, i + 1, positive);
    const moved = Float64Array.from(at.data, (v, k) => v + step * (direction.data[k] as number));
    feeds.set(`x${i}`, makeTensor(shape, moved)).set(`d${i}`, direction);
  });
  return feeds;
}

/** Operators that steer the reverse walk; the compiler's own tests have them. */
const elsewhere = ['StopGradient', 'StraightThrough'];

it('every operator with a gradient has a case here or in the reference', () => {
  const covered = new Set<string>(elsewhere);
  for (const file of referenceFiles('operators')) {
    for (const { opType } of readReference<{ cases: { opType: string }[] }>(file).cases) covered.add(opType);
  }
  for (const test of gradientCases) {
    const g = new GraphBuilder();
    const inputs = test.shapes.map((shape, i) => g.input(`x${i}`, shape));
    for (const node of nodesOf([test.build(g, inputs)])) covered.add(node.op);
  }
  const names = Object.keys(operators) as OperatorName[];
  expect(names.filter((name) => operators[name].vjp !== 'none' && !covered.has(name))).toEqual([]);
});

describe('gradients of operators that the reference lacks', () => {
  it.each(gradientCases)('$name', async (test) => {
    const graph = caseGraph(test, false);
    const here = evaluate(graph, feedsOf(test));
    const step = 1e-5;
    const difference = (name: string) => {
      const [up, down] = [step, -step].map((h) => evaluate(graph, feedsOf(test, h)).get(name)?.data[0] as number);
      return ((up as number) - (down as number)) / (2 * step);
    };
    const directional = (order: 'first' | 'second') =>
      test.shapes.reduce((sum, shape, i) => {
        const gradient = here.get(`${order}/${i}`)?.data;
        const direction = values(shape, i + 11).data;
        return sum + Array.from(gradient ?? []).reduce((part, v, k) => part + v * (direction[k] as number), 0);
      }, 0);
    const [slope, curvature] = [directional('first'), directional('second')];
    expect(slope).not.toBe(0);
    expect(Math.abs(slope - difference('loss')) / Math.max(1, Math.abs(slope)), 'slope').toBeLessThan(1e-7);
    expect(Math.abs(curvature - difference('slope')) / Math.max(1, Math.abs(curvature)), 'curvature').toBeLessThan(
      1e-6,
    );

    // The same with a symbolic batch: in float64, and encoded, on onnxruntime.
    const symbolic = caseGraph(test, true);
    const again = evaluate(symbolic, feedsOf(test));
    const single = await runOnOrt(symbolic, feedsOf(test));
    for (const [name, { data, shape }] of here) {
      expect(again.get(name)?.shape, name).toEqual(shape);
      expect(relativeError(again.get(name)?.data ?? [], data), `${name} with a symbolic batch`).toBeLessThan(1e-12);
      const bound = name.startsWith('second/') ? 1e-3 : 1e-4;
      expect(relativeError(single.get(name) ?? [], data, 1), `${name} on onnxruntime`).toBeLessThan(bound);
    }
    test.batch.forEach((i) => {
      expect(symbolic.outputs.get(`first/${i}`)?.shape[0]).toBe('N');
    });
  });
});
