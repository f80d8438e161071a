import { decodeModel, encodeOnnx, type Graph, GraphBuilder, gradients, nodesOf, type Value } from '@whet/compiler';
import { describe, expect, it } from 'vitest';
import { lowerings, type OrtProvider } from './ort.js';

/** Weight gradients of two blocks, of images that are large enough for every form. */
function blocks(): Graph {
  const g = new GraphBuilder();
  const x = g.input('x', [3, 2, 24, 24]);
  const weights = [g.input('a', [4, 2, 3, 3]), g.input('b', [4, 4, 3, 3])];
  const conv = { kernel_shape: [3, 3], strides: [1, 1], pads: [1, 1, 1, 1], dilations: [1, 1], group: 1 } as const;
  const pool = { kernel_shape: [2, 2], strides: [2, 2], pads: [0, 0, 0, 0] } as const;
  let at: Value = x;
  for (const weight of weights) at = g.apply('MaxPool', [g.apply('Conv', [at, weight], conv)], pool);
  const loss = g.apply('ReduceSum', [at], { keepdims: 0 });
  const found = gradients(g, loss, weights).map((gradient, i) => [`grad/${i}`, gradient as Value] as const);
  return { name: 'blocks', inputs: [x, ...weights], outputs: new Map(found) };
}

/** Pooling of one channel at a time, and kernels turned around for a convolution. */
function cpuForms(graph: Graph): string[] {
  return nodesOf(graph.outputs.values()).flatMap(({ op, inputs }) => {
    const byChannel = (op === 'MaxPool' || op === 'AveragePool') && inputs[0]?.shape[1] === 1;
    const turned = op === 'Conv' && inputs[1]?.producer?.op === 'Slice';
    return byChannel || turned ? [op] : [];
  });
}

const opsOf = (graph: Graph) => new Set(nodesOf(graph.outputs.values()).map(({ op }) => op));

describe('what the providers of onnxruntime are given', () => {
  it('has the forms of the CPU on the CPU', () => {
    const lowered = lowerings.cpu(blocks());
    expect(new Set(cpuForms(lowered))).toEqual(new Set(['MaxPool', 'AveragePool', 'Conv']));
    expect(opsOf(lowered)).not.toContain('ConvTranspose');
  });

  it.each<OrtProvider>(['webgpu', 'cuda'])('has none of them on %s', (provider) => {
    const lowered = lowerings[provider](blocks());
    expect(cpuForms(lowered)).toEqual([]);
    expect(opsOf(lowered)).toContain('ConvTranspose');
    // Nor does encoding bring any in.
    const written = decodeModel(encodeOnnx(lowered)).nodes.map(({ op }) => op);
    expect(written).toEqual(nodesOf(lowered.outputs.values()).map(({ op }) => op));
  });
});
