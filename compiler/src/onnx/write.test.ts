import { describe, expect, it } from 'vitest';
import { GraphBuilder } from '../builder.js';
import { lowerForCpu } from '../lowering/lower-for-cpu.js';
import { onnxMessage } from './schema.js';
import { encodeOnnx } from './write.js';

interface Decoded {
  readonly opsetImport: { version: number }[];
  readonly graph: {
    node: { opType: string; input: string[]; output: string[] }[];
    input: { name: string; type: { tensorType: { shape: { dim: { dimParam?: string; dimValue?: number }[] } } } }[];
    output: { name: string }[];
    initializer: { name: string }[];
    valueInfo: { name: string }[];
  };
}

function decode(bytes: Uint8Array): Decoded {
  const message = onnxMessage('ModelProto');
  return message.toObject(message.decode(bytes), { longs: Number }) as unknown as Decoded;
}

describe('writing ONNX', () => {
  it('writes the nodes as they are, and keeps symbols', () => {
    const g = new GraphBuilder();
    const x = g.input('x', ['N', 2]);
    const y = g.apply('Neg', [g.apply('Relu', [x], {})], {});
    const model = decode(encodeOnnx({ name: 'g', inputs: [x], outputs: new Map([['y', y]]) }));
    expect(model.graph.node.map((node) => node.opType)).toEqual(['Relu', 'Neg']);
    expect(model.graph.input[0]?.type.tensorType.shape.dim).toEqual([{ dimParam: 'N' }, { dimValue: 2 }]);
    expect(model.opsetImport).toEqual([{ version: 18 }]);
  });

  it('gives every value one name: outputs keep theirs, inner values make room', () => {
    const g = new GraphBuilder();
    const x = g.input('x', []);
    const a = g.apply('Neg', [x], {}, 'y');
    const b = g.apply('Exp', [a], {}, 'y');
    const outputs = new Map([
      ['y', b],
      ['same', b],
      ['input', x],
      ['one', g.scalar(1)],
    ]);
    const { graph } = decode(encodeOnnx({ name: 'g', inputs: [x], outputs }));
    const made = graph.node.flatMap((node) => node.output);
    expect(new Set(made).size).toBe(made.length);
    expect(graph.output.map(({ name }) => name)).toEqual(['y', 'same', 'input', 'one']);
    for (const { name } of graph.output) expect(made).toContain(name);
  });

  it('declares kernels that are computed, with their shape', () => {
    const g = new GraphBuilder();
    const [x, w] = [g.input('x', ['N', 2, 4, 4]), g.input('w', [3, 2, 3, 3])];
    const conv = { kernel_shape: [3, 3], strides: [1, 1], pads: [0, 0, 0, 0], dilations: [1, 1], group: 1 } as const;
    const scaled = g.apply('Mul', [w, g.scalar(2)], {}, 'scaled');
    const outputs = new Map([
      ['a', g.apply('Conv', [x, scaled], conv)],
      ['b', g.apply('Conv', [x, scaled], conv)],
      ['c', g.apply('Conv', [x, w], conv)],
    ]);
    const { graph } = decode(encodeOnnx({ name: 'g', inputs: [x, w], outputs }));
    const dim = [3, 2, 3, 3].map((dimValue) => ({ dimValue }));
    expect(graph.valueInfo).toEqual([{ name: 'scaled', type: { tensorType: { elemType: 1, shape: { dim } } } }]);
  });

  it('refuses an operator that ONNX has not, by name', () => {
    const g = new GraphBuilder();
    const [x, dy] = [g.input('x', [1, 1, 4, 4]), g.input('dy', [1, 1, 2, 2])];
    const conv = { kernel_shape: [3, 3], strides: [1, 1], pads: [0, 0, 0, 0], dilations: [1, 1], group: 1 } as const;
    const dw = g.apply('ConvWeightGradient', [x, dy], conv, 'grad/conv1.weight');
    const graph = { name: 'g', inputs: [x, dy], outputs: new Map([['dw', dw]]) };
    expect(() => encodeOnnx(graph)).toThrow('ConvWeightGradient "grad/conv1.weight": not an operator of ONNX');
    expect(() => encodeOnnx(lowerForCpu(graph))).not.toThrow();
  });

  it('refuses an attribute that its operator has not', () => {
    const g = new GraphBuilder();
    const x = g.input('x', []);
    const y = g.apply('Neg', [x], { own: 1 } as object, 'neg');
    expect(() => encodeOnnx({ name: 'g', inputs: [x], outputs: new Map([['y', y]]) })).toThrow(
      'Neg "neg": attribute own cannot be encoded',
    );
  });

  it('refuses two inputs of one name', () => {
    const g = new GraphBuilder();
    const [a, b] = [g.input('x', []), g.input('x', [])];
    const outputs = new Map([['y', g.apply('Add', [a, b], {})]]);
    expect(() => encodeOnnx({ name: 'g', inputs: [a, b], outputs })).toThrow('two inputs or outputs are named "x"');
  });
});
