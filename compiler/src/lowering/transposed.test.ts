import { describe, expect, it } from 'vitest';
import { GraphBuilder } from '../builder.js';
import { evaluate } from '../evaluate.js';
import { type Graph, nodesOf } from '../graph.js';
import type { ConvTransposeAttributes } from '../operators/attributes.js';
import { type Dim, makeTensor, sizeOf } from '../tensor.js';
import { transposedAsConvolution } from './transposed.js';

const plain: ConvTransposeAttributes = {
  kernel_shape: [3, 3],
  strides: [1, 1],
  pads: [1, 1, 1, 1],
  dilations: [1, 1],
  group: 1,
  output_padding: [0, 0],
};

function graphOf(partial: Partial<ConvTransposeAttributes>, size = 9, batch: Dim = 'N', bias = false): Graph {
  const a = { ...plain, ...partial };
  const g = new GraphBuilder();
  const inputs = [g.input('dy', [batch, 2, size, size + 1]), g.input('w', [2, 3 / a.group, ...a.kernel_shape])];
  if (bias) inputs.push(g.input('b', [3]));
  return { name: 'dx', inputs, outputs: new Map([['dx', g.apply('ConvTranspose', inputs, a)]]) };
}

const feedsOf = ({ inputs }: Graph) =>
  new Map(
    inputs.map(({ name, shape }, at) => {
      const known = shape.map((dim) => (typeof dim === 'number' ? dim : 2));
      const data = Float64Array.from({ length: sizeOf(known) }, (_, i) => Math.sin(1.7 * i + at));
      return [name, makeTensor(known, data)];
    }),
  );

describe('transposed convolutions as convolutions', () => {
  it.each<[string, Graph]>([
    ['of any batch', graphOf({})],
    ['with a bias', graphOf({}, 9, 2, true)],
    ['of uneven pads and kernels', graphOf({ kernel_shape: [2, 3], pads: [0, 2, 1, 1] })],
    ['without pads', graphOf({ pads: [0, 0, 0, 0] })],
    ['of kernels of one entry, also of small images', graphOf({ kernel_shape: [1, 1], pads: [0, 0, 0, 0] }, 3)],
  ])('%s', (_, graph) => {
    const { graph: lowered, changed } = transposedAsConvolution(graph);
    expect(changed).toBe(true);
    expect(nodesOf(lowered.outputs.values()).map(({ op }) => op)).not.toContain('ConvTranspose');
    expect(lowered.outputs.get('dx')?.shape).toEqual(graph.outputs.get('dx')?.shape);
    const [found, expected] = [lowered, graph].map((each) => evaluate(each, feedsOf(graph)).get('dx'));
    expected?.data.forEach((value, i) => {
      expect(found?.data[i]).toBeCloseTo(value, 12);
    });
  });

  it.each<[string, Graph]>([
    ['small images', graphOf({}, 7)],
    ['strides', graphOf({ strides: [2, 1] })],
    ['dilations', graphOf({ dilations: [1, 2] })],
    ['pads that the kernel does not reach', graphOf({ pads: [3, 1, 1, 1] }, 12)],
  ])('leaves %s', (_, graph) => {
    expect(transposedAsConvolution(graph)).toEqual({ graph, changed: false });
  });
});
