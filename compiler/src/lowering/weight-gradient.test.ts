import { describe, expect, it } from 'vitest';
import { GraphBuilder } from '../builder.js';
import { evaluate } from '../evaluate.js';
import { type Graph, nodesOf } from '../graph.js';
import type { ConvAttributes } from '../operators/attributes.js';
import { type Dim, makeTensor, sizeOf } from '../tensor.js';
import { weightGradientForms, weightGradientsForCpu, weightGradientsForGpu } from './weight-gradient.js';

type Case = readonly [name: string, x: readonly number[], out: number, attributes: Partial<ConvAttributes>];

const cases: readonly Case[] = [
  ['padded', [2, 3, 6, 5], 4, { pads: [1, 1, 1, 1] }],
  ['of fewer channels than the input has', [2, 5, 6, 7], 2, { pads: [1, 1, 1, 1] }],
  ['of fewer channels, asymmetric', [2, 3, 6, 5], 2, { pads: [0, 1, 1, 0], kernel_shape: [2, 3] }],
  [
    'of fewer channels, padded more than the kernel reaches',
    [2, 3, 6, 5],
    2,
    { pads: [2, 0, 0, 0], kernel_shape: [2, 3] },
  ],
  ['of fewer channels, of many positions', [1, 3, 12, 12], 1, {}],
  ['asymmetric', [2, 3, 6, 5], 4, { pads: [0, 1, 2, 0], kernel_shape: [2, 3] }],
  ['strided, with rows left over', [2, 3, 8, 7], 4, { strides: [2, 3], pads: [1, 0, 0, 1] }],
  ['dilated', [2, 2, 9, 8], 3, { dilations: [2, 3], pads: [1, 2, 1, 2] }],
  ['strided and dilated', [1, 2, 11, 12], 3, { strides: [2, 2], dilations: [2, 1] }],
  ['in groups', [2, 4, 5, 5], 6, { group: 2, pads: [1, 1, 1, 1] }],
  ['depthwise', [2, 4, 5, 5], 4, { group: 4, strides: [2, 2], pads: [1, 1, 1, 1] }],
  ['of many positions', [1, 1, 12, 12], 2, { pads: [1, 1, 1, 1] }],
];

const plain: ConvAttributes = {
  kernel_shape: [3, 3],
  strides: [1, 1],
  pads: [0, 0, 0, 0],
  dilations: [1, 1],
  group: 1,
};

function gradientGraph([, shape, out, partial]: Case, batch: Dim): Graph {
  const a = { ...plain, ...partial };
  const g = new GraphBuilder();
  const x = g.input('x', [batch, ...shape.slice(1)]);
  const w = g.constant(
    makeTensor(
      [out, (shape[1] as number) / a.group, ...a.kernel_shape],
      new Float64Array(sizeOf([out, (shape[1] as number) / a.group, ...a.kernel_shape])),
    ),
  );
  const dy = g.input('dy', g.apply('Conv', [x, w], a).shape);
  return { name: 'gradient', inputs: [x, dy], outputs: new Map([['dw', g.apply('ConvWeightGradient', [x, dy], a)]]) };
}

const wave = (shape: readonly Dim[], batch: number, pace: number) => {
  const known = shape.map((dim) => (typeof dim === 'number' ? dim : batch));
  return makeTensor(
    known,
    Float64Array.from({ length: sizeOf(known) }, (_, i) => Math.sin(pace * i + 0.3)),
  );
};

function run(graph: Graph, batch: number) {
  const feeds = graph.inputs.map(({ name, shape }, i) => [name, wave(shape, batch, 0.7 + i)] as const);
  return evaluate(graph, new Map(feeds)).get('dw');
}

describe.each(cases)('the weight gradient of a convolution, %s', (...test) => {
  const [, shape, , partial] = test;
  const batch = shape[0] as number;

  it.each(Object.entries(weightGradientForms))('%s equals its definition', (name, form) => {
    if ((name === 'asRows' || name === 'asMatrices') && (partial.group ?? 1) > 1) return;
    const graph = gradientGraph(test, batch);
    const expected = run(graph, batch);
    const g = new GraphBuilder();
    const [x, dy] = graph.inputs.map((input) => g.input(input.name, input.shape));
    if (!x || !dy) throw new Error('two inputs');
    const dw = form(g, x, dy, { ...plain, ...partial });
    const found = run({ name, inputs: [x, dy], outputs: new Map([['dw', dw]]) }, batch);
    expect(found?.shape).toEqual(expected?.shape);
    expected?.data.forEach((value, i) => {
      expect(found?.data[i]).toBeCloseTo(value, 12);
    });
  });

  it.each([
    ['a CPU', weightGradientsForCpu],
    ['a GPU', weightGradientsForGpu],
  ])('is lowered to ONNX operators for %s, with a symbolic batch too', (_, pass) => {
    for (const dim of [batch, 'N']) {
      const graph = gradientGraph(test, dim);
      const { graph: lowered, changed } = pass(graph);
      expect(changed).toBe(true);
      expect(nodesOf(lowered.outputs.values()).map(({ op }) => op)).not.toContain('ConvWeightGradient');
      expect(lowered.outputs.get('dw')?.shape).toEqual(graph.outputs.get('dw')?.shape);
      run(graph, batch)?.data.forEach((value, i) => {
        expect(run(lowered, batch)?.data[i]).toBeCloseTo(value, 12);
      });
    }
  });
});

describe('lowering', () => {
  it('leaves a graph of ONNX operators as it is', () => {
    const g = new GraphBuilder();
    const x = g.input('x', ['N', 2]);
    const graph = { name: 'relu', inputs: [x], outputs: new Map([['y', g.apply('Relu', [x], {})]]) };
    expect(weightGradientsForCpu(graph)).toEqual({ graph, changed: false });
  });

  it.each<[string, Dim[], Dim[], string]>([
    ['batches that differ', [2, 1, 4, 4], [3, 1, 2, 2], 'batches of 2 and 3 differ'],
    ['a cotangent of another size', [2, 1, 4, 4], [2, 1, 3, 2], 'expected a cotangent of size 2 along axis 2, got 3'],
    ['an image of unknown size', ['N', 1, 'H', 4], ['N', 1, '(H-2)', 2], 'expected the image height to be known'],
  ])('refuses %s', (_, x, dy, message) => {
    const g = new GraphBuilder();
    expect(() => g.apply('ConvWeightGradient', [g.input('x', x), g.input('dy', dy)], plain)).toThrow(message);
  });
});
