import { describe, expect, it } from 'vitest';
import { evaluate } from '../../evaluate.js';
import type { Graph } from '../../graph.js';
import { makeTensor } from '../../tensor.js';
import { encodeModel, float32s, opsOf, read, refusal, type TestModel, type TestNode } from '../models.test.helper.js';
import { type ReadOptions, readOnnx } from './read.js';

const valuesOf = (graph: Graph, feeds: Record<string, readonly number[]>): number[] => {
  const tensors = Object.entries(feeds).map(([name, data]) => [name, makeTensor([1, data.length], data)] as const);
  const [first] = evaluate(graph, new Map(tensors)).values();
  return [...(first?.data ?? [])];
};

describe('reading a part of a model', () => {
  const nodes: TestNode[] = [
    { op: 'LSTM', name: 'rnn', outputs: ['a'] },
    { op: 'Own', name: 'own', domain: 'here', inputs: ['w'], outputs: ['b'] },
    { op: 'Mul', inputs: ['a', 'b'], outputs: ['c'] },
    { op: 'Neg', inputs: ['c'], outputs: ['d'] },
    { op: 'Nothing', name: 'later', inputs: ['d'], outputs: ['y'] },
  ];
  const bytes = encodeModel({ nodes, inputs: { x: ['N', 2] }, initializers: { w: { dims: [2], dataType: 22 } } });

  it('takes tensors as inputs or constants, and reads nothing before or behind', () => {
    const given = new Map<string, readonly (number | string)[] | ReturnType<typeof makeTensor>>([
      ['a', ['N', 2]],
      ['b', makeTensor([2], [3, 4])],
    ]);
    const graph = readOnnx(bytes, { given, outputs: ['d'] });
    expect(opsOf(graph)).toEqual(['Mul', 'Neg']);
    expect(graph.inputs.map(({ name }) => name)).toEqual(['x', 'a']);
    expect(valuesOf(graph, { x: [0, 0], a: [1, 2] })).toEqual([-3, -8]);
  });

  it('still checks that the whole file is sound', () => {
    const looped = encodeModel({
      nodes: [
        { op: 'Add', name: 'p', inputs: ['x', 'q'], outputs: ['r'] },
        { op: 'Neg', name: 'n', inputs: ['r'], outputs: ['q'] },
        { op: 'Relu', inputs: ['r'] },
      ],
      inputs: { x: ['N', 2] },
    });
    expect(refusal(() => readOnnx(looped, { given: new Map([['r', ['N', 2]]]) }))).toContain('has a cycle');
  });

  it('names the nodes that read tensors of element types it cannot hold', () => {
    const model = { nodes: [nodes[2] as TestNode], inputs: { a: ['N', 2] } };
    const initializers = { b: { dims: [2], dataType: 22, int32Data: [1] } };
    expect(refusal(() => read({ ...model, initializers }))).toContain('Mul "c": reads "b", whose element type int4');
  });
});

describe('quantized activations', () => {
  const scale = {
    s: float32s([], [0.5]),
    t: float32s([], [0.25]),
    v: float32s([2], [1, 2]),
    z: { dims: [], dataType: 3, int32Data: [-128] },
  };
  const model = (nodes: TestNode[]): TestModel => ({ nodes, inputs: { x: ['N', 4] }, initializers: scale, opset: 13 });
  const straight = (nodes: TestNode[]) =>
    readOnnx(encodeModel(model(nodes)), { quantization: 'straight-through' } satisfies ReadOptions);
  const quantize: TestNode = { op: 'QuantizeLinear', name: 'q', inputs: ['x', 's', 'z'], outputs: ['a'] };
  const dequantize: TestNode = { op: 'DequantizeLinear', name: 'd', inputs: ['a', 's', 'z'], outputs: ['y'] };

  it('are refused where their values matter', () => {
    expect(refusal(() => read(model([quantize, dequantize])))).toContain(
      'QuantizeLinear "q": quantizes an activation, which is not read for its value',
    );
  });

  it('clip to what the type holds, and are not rounded', () => {
    const graph = straight([quantize, dequantize]);
    expect(opsOf(graph)).toEqual(['Clip']);
    expect(graph.outputs.get('y')?.name).toBe('y');
    expect(valuesOf(graph, { x: [-3, 0.3, 127.5, 200] })).toEqual([0, 0.3, 127.5, 127.5]);
  });

  it('are one value however often they are dequantized', () => {
    const again = { ...dequantize, name: 'e', outputs: ['b'] };
    const sum: TestNode = { op: 'Add', inputs: ['y', 'b'], outputs: ['z1'] };
    expect(opsOf(straight([quantize, dequantize, again, sum]))).toEqual(['Clip', 'Add']);
  });

  it.each<[string, TestNode[], string]>([
    [
      'by another scale',
      [quantize, { ...dequantize, inputs: ['a', 't', 'z'] }],
      'DequantizeLinear "d": dequantizes with another scale',
    ],
    [
      'by something else',
      [quantize, { op: 'Reshape', name: 'r', inputs: ['a', 's'], outputs: ['y'] }],
      'Reshape "r": computes with quantized values ("a")',
    ],
    [
      'by channel',
      [{ ...quantize, inputs: ['x', 'v', 'z'] }, dequantize],
      'QuantizeLinear "q": quantizes an activation with one scale a channel, which is not supported',
    ],
    ['never', [{ ...quantize, outputs: ['y'] }], 'output "y": its values are quantized'],
  ])('are refused where they are dequantized %s', (_, nodes, message) => {
    expect(refusal(() => straight(nodes))).toContain(message);
  });
});
