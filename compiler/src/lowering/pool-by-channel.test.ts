import { describe, expect, it } from 'vitest';
import { GraphBuilder } from '../builder.js';
import { evaluate } from '../evaluate.js';
import { type Graph, nodesOf, type Value } from '../graph.js';
import { makeTensor, type Shape, sizeOf } from '../tensor.js';
import { poolByChannel } from './pool-by-channel.js';

const conv = { kernel_shape: [3, 3], strides: [1, 1], pads: [1, 1, 1, 1], dilations: [1, 1], group: 1 } as const;
const pool = { kernel_shape: [2, 3], strides: [2, 1], pads: [0, 1, 0, 0] } as const;

const wave = (shape: readonly number[]) =>
  makeTensor(
    shape,
    Float64Array.from({ length: sizeOf(shape) }, (_, i) => Math.sin(1.7 * i)),
  );

function graphOf(image: Shape, constantWeight: boolean): Graph {
  const g = new GraphBuilder();
  const x = g.input('x', image);
  const shape = [4, image[1] as number, 3, 3];
  const w = constantWeight ? g.constant(wave(shape)) : g.input('w', shape);
  const y = g.apply('MaxPool', [g.apply('Relu', [g.apply('Conv', [x, w], conv)], {})], pool);
  return { name: 'g', inputs: constantWeight ? [x] : [x, w], outputs: new Map<string, Value>([['y', y]]) };
}

describe('pooling by channel', () => {
  it('keeps the values above a convolution whose weight moves, for any batch', () => {
    const graph = graphOf(['N', 2, 6, 5], false);
    const { graph: lowered, changed } = poolByChannel(graph);
    expect(changed).toBe(true);
    const pooling = nodesOf(lowered.outputs.values()).find(({ op }) => op === 'MaxPool');
    expect(pooling?.inputs[0]?.shape).toEqual(['4N', 1, 6, 5]);
    expect(lowered.outputs.get('y')?.shape).toEqual(graph.outputs.get('y')?.shape);
    const feeds = new Map([
      ['x', wave([3, 2, 6, 5])],
      ['w', wave([4, 2, 3, 3])],
    ]);
    expect(evaluate(lowered, feeds).get('y')).toEqual(evaluate(graph, feeds).get('y'));
  });

  it('keeps the counts in the gradient of max pooling, whatever is below', () => {
    const g = new GraphBuilder();
    const x = g.input('x', ['N', 2, 6, 4]);
    const large = g.apply('Cast', [g.apply('Greater', [x, g.scalar(0)], {})], { to: 'float32' });
    const y = g.apply('AveragePool', [large], { kernel_shape: [2, 2], strides: [2, 2], pads: [0, 0, 0, 0] });
    const graph = { name: 'g', inputs: [x], outputs: new Map([['y', y]]) };
    const { graph: lowered, changed } = poolByChannel(graph);
    expect(changed).toBe(true);
    const pooling = nodesOf(lowered.outputs.values()).find(({ op }) => op === 'AveragePool');
    expect(pooling?.inputs[0]?.shape).toEqual(['2N', 1, 6, 4]);
    const feeds = new Map([['x', wave([3, 2, 6, 4])]]);
    expect(evaluate(lowered, feeds).get('y')).toEqual(evaluate(graph, feeds).get('y'));
  });

  it.each<[string, Graph]>([
    ['a convolution with a constant weight, whose layout pooling shares', graphOf(['N', 2, 6, 5], true)],
    ['images of unknown size', graphOf(['N', 2, 'H', 5], false)],
  ])('leaves %s', (_, graph) => {
    expect(poolByChannel(graph)).toEqual({ graph, changed: false });
  });
});
