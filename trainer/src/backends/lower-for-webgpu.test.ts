import { evaluate, type Graph, GraphBuilder, nodesOf, sizeOf } from '@whet/compiler';
import { describe, expect, it } from 'vitest';
import { generatorFor } from '../data/random.js';
import { lowerForWebGpu } from './lower-for-webgpu.js';

function convolution(channels: number, group = 1): Graph {
  const g = new GraphBuilder();
  const x = g.input('x', [2, channels, 5, 5]);
  const out = group === 1 ? 2 : channels;
  const w = g.input('w', [out, channels / group, 3, 3]);
  const b = g.input('b', [out]);
  const attributes = { kernel_shape: [3, 3], strides: [1, 1], pads: [1, 0, 0, 1], dilations: [1, 1], group } as const;
  return { name: 'conv', inputs: [x, w, b], outputs: new Map([['y', g.apply('Conv', [x, w, b], attributes)]]) };
}

function logSoftmax(): Graph {
  const g = new GraphBuilder();
  const x = g.input('x', [3, 4]);
  const logits = g.apply('Mul', [x, g.scalar(50)], {});
  return { name: 'loss', inputs: [x], outputs: new Map([['y', g.apply('LogSoftmax', [logits], { axis: -1 })]]) };
}

function values(graph: Graph): number[] {
  const feeds = graph.inputs.map(({ name, shape }) => {
    const random = generatorFor(1, name, 0);
    const data = Float64Array.from({ length: sizeOf(shape as number[]) }, () => random.normal());
    return [name, { dtype: 'float32', shape: shape as number[], data }] as const;
  });
  return Array.from(evaluate(graph, new Map(feeds)).get('y')?.data ?? []);
}

describe('what WebGPU of onnxruntime needs rewritten', () => {
  it.each([
    ['6 channels', convolution(6), 'Pad'],
    ['9 channels', convolution(9), 'Pad'],
    ['LogSoftmax', logSoftmax(), 'ReduceMax'],
  ])('%s: the values stay the same', (_, graph, op) => {
    const lowered = lowerForWebGpu(graph);
    expect(nodesOf(lowered.outputs.values()).map((node) => node.op)).toContain(op);
    const [actual, expected] = [values(lowered), values(graph)];
    actual.forEach((value, i) => {
      expect(value).toBeCloseTo(expected[i] as number, 10);
    });
  });

  it.each([
    ['3 channels', convolution(3)],
    ['8 channels', convolution(8)],
    ['12 channels', convolution(12)],
    ['6 channels, each by itself', convolution(6, 6)],
  ])('%s stay as they are', (_, graph) => {
    expect(lowerForWebGpu(graph)).toBe(graph);
  });
});
