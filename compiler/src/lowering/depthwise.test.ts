import { describe, expect, it } from 'vitest';
import { GraphBuilder } from '../builder.js';
import { evaluate } from '../evaluate.js';
import { gradients } from '../gradients.js';
import { type Graph, nodesOf, type Value } from '../graph.js';
import type { ConvAttributes } from '../operators/attributes.js';
import { int64s, makeTensor, sizeOf } from '../tensor.js';
import { depthwiseAsMatrices } from './depthwise.js';

const plain: ConvAttributes = {
  kernel_shape: [3, 3],
  strides: [1, 1],
  pads: [1, 1, 1, 1],
  dilations: [1, 1],
  group: 4,
};

type Case = [name: string, size: readonly [number, number], attributes: Partial<ConvAttributes>, bias?: boolean];
const cases: readonly Case[] = [
  ['padded', [4, 4], {}],
  ['with a bias', [4, 5], {}, true],
  ['strided, with rows left over', [6, 7], { strides: [2, 2] }],
  ['asymmetric', [5, 4], { kernel_shape: [2, 3], pads: [0, 1, 2, 0], strides: [1, 2] }],
  ['dilated', [6, 6], { dilations: [2, 1], pads: [2, 0, 2, 0] }],
  ['of a kernel larger than the image', [2, 3], { kernel_shape: [5, 5], pads: [2, 2, 2, 2] }],
];

/** A convolution of two images, and the gradients of its input and its weight. */
function graphOf(size: readonly number[], partial: Partial<ConvAttributes>, withBias = false, constant = false): Graph {
  const a = { ...plain, ...partial };
  const g = new GraphBuilder();
  const x = g.input('x', ['N', 4, ...size]);
  const shape = [4, 4 / a.group, ...a.kernel_shape];
  const weight = g.input('weight', shape);
  const used = constant ? g.constant(makeTensor(shape, new Float64Array(sizeOf(shape)).fill(0.3))) : weight;
  const bias = g.input('bias', [4]);
  const y = g.apply('Conv', [x, used, ...(withBias ? [bias] : [])], a);
  const squares = g.apply('Mul', [y, g.apply('Mul', [y, y], {})], {});
  const loss = g.apply('ReduceSum', [squares, g.constant(int64s([0, 1, 2, 3]))], { keepdims: 0 });
  const [dx, dw] = gradients(g, loss, [x, constant ? x : weight]);
  const outputs = new Map([
    ['y', y],
    ['dx', dx as Value],
    ['dw', dw as Value],
  ]);
  return { name: 'depthwise', inputs: [x, weight, bias], outputs };
}

const opsOf = ({ outputs }: Graph) => new Set(nodesOf(outputs.values()).map(({ op }) => op));

const run = (graph: Graph) =>
  evaluate(
    graph,
    new Map(
      graph.inputs.map(({ name, shape }, i) => {
        const dims = shape.map((dim) => (typeof dim === 'number' ? dim : 2));
        return [
          name,
          makeTensor(
            dims,
            Float64Array.from({ length: sizeOf(dims) }, (_, at) => Math.sin(1.3 * at + i)),
          ),
        ];
      }),
    ),
  );

describe('depthwise convolutions as products of whole images', () => {
  it.each(cases)('%s: are what they were, gradients too', (_, size, attributes, bias) => {
    const graph = graphOf(size, attributes, bias);
    const lowered = depthwiseAsMatrices('one')(graph);
    expect(lowered.changed).toBe(true);
    for (const op of ['Conv', 'ConvTranspose', 'ConvWeightGradient'] as const)
      expect(opsOf(lowered.graph)).not.toContain(op);
    const [expected, found] = [run(graph), run(lowered.graph)];
    for (const name of ['y', 'dx', 'dw']) {
      expect(found.get(name)?.shape).toEqual(expected.get(name)?.shape);
      expected.get(name)?.data.forEach((value, i) => {
        expect(found.get(name)?.data[i]).toBeCloseTo(value as number, 10);
      });
    }
  });

  it.each<[string, Graph]>([
    ['kernels that read several channels', graphOf([4, 4], { group: 2 })],
    ['images of many positions', graphOf([9, 9], {})],
  ])('leaves %s', (_, graph) => {
    expect(depthwiseAsMatrices('many')(graph)).toEqual({ graph, changed: false });
  });

  it('leaves constant weights where one image is run, and makes matrices of them where many are', () => {
    const graph = graphOf([4, 4], {}, false, true);
    expect(depthwiseAsMatrices('one')(graph)).toEqual({ graph, changed: false });
    const { graph: lowered, changed } = depthwiseAsMatrices('many')(graph);
    expect(changed).toBe(true);
    for (const op of ['Conv', 'ConvTranspose'] as const) expect(opsOf(lowered)).not.toContain(op);
    const [expected, found] = [run(graph), run(lowered)];
    for (const name of ['y', 'dx']) {
      expected.get(name)?.data.forEach((value, i) => {
        expect(found.get(name)?.data[i]).toBeCloseTo(value as number, 10);
      });
    }
  });

  it.each([
    [[4, 4], 'one', true],
    [[4, 4], 'many', true],
    [[5, 5], 'one', false],
    [[5, 5], 'many', true],
  ] as const)('without gradients, of images of %j, run on %s: %s', (size, runsOn, expected) => {
    const graph = graphOf(size, {});
    const only = { ...graph, outputs: new Map([...graph.outputs].slice(0, 1)) };
    expect(depthwiseAsMatrices(runsOn)(only).changed).toBe(expected);
  });
});
