import { describe, expect, it } from 'vitest';
import { GraphError, nodesOf } from '../../graph.js';
import { OnnxError } from '../errors.js';
import {
  encodeModel,
  float32s,
  int64Proto,
  opsOf,
  read,
  refusal,
  relu,
  type TestModel,
  type TestNode,
} from '../models.test.helper.js';
import { attributeTypes } from '../schema.js';
import { readOnnx } from './read.js';

describe('what is not supported', () => {
  it('is refused all at once, with operators, node names, domains and the operator set', () => {
    const body = { type: attributeTypes.graph, g: new Uint8Array() };
    const nodes: TestNode[] = [
      { op: 'LSTM', name: 'rnn', outputs: ['a'] },
      { op: 'Relu', inputs: ['a'], outputs: ['b'] },
      { op: 'LSTM', inputs: ['b'], outputs: ['c'] },
      { op: 'FusedConv', name: 'fused', domain: 'com.microsoft', inputs: ['c'], outputs: ['d'] },
      { op: 'If', name: 'branch', inputs: ['d'], outputs: ['e'], attributes: { then_branch: body, else_branch: body } },
      { op: 'Mine', name: 'own', domain: 'here', inputs: ['e'], outputs: ['f'] },
      { op: 'Conv', name: 'conv', inputs: ['x', 'w'], outputs: ['g'] },
      { op: 'Add', inputs: ['f', 'g'], outputs: ['y'] },
    ];
    const model: TestModel = {
      nodes,
      inputs: { x: ['N', 2, 8] },
      initializers: { w: float32s([1, 2, 3], [0, 0, 0, 0, 0, 0]) },
      functions: [{ name: 'Mine', domain: 'here' }],
    };
    expect(refusal(() => read(model)).split('\n')).toEqual([
      'the model (opset 13) cannot be read:',
      '  unsupported operator LSTM (ai.onnx): "rnn", "c"',
      '  unsupported operator FusedConv (com.microsoft): "fused"',
      '  If "branch": holds a graph of its own, which is not supported',
      '  Mine "own": is a function of the model',
      '  Conv "conv": expected images [N, C, H, W], got 1 spatial axes',
    ]);
    try {
      read(model);
    } catch (error) {
      expect((error as OnnxError).problems[0]).toEqual({
        op: 'LSTM',
        domain: 'ai.onnx',
        node: 'rnn',
        output: 'a',
      });
    }
  });

  it.each<[string, TestNode, string]>([
    ['an attribute that is not known', { ...relu, attributes: { slope: 1 } }, 'attribute slope is not supported'],
    ['an attribute of another type', { op: 'Softmax', attributes: { axis: 'last' } }, 'axis is of type string'],
    [
      'a word that is not known',
      { op: 'MaxPool', attributes: { kernel_shape: [1, 1], auto_pad: 'X' } },
      'auto_pad "X"',
    ],
    ['an axis outside', { op: 'Softmax', attributes: { axis: 7 } }, 'axis 7 is outside a value of rank 4'],
    ['an input that is missing', { op: 'Add' }, 'input 1 is missing'],
    ['a second output', { op: 'Dropout', outputs: ['h', 'y'] }, 'its output 1 "y"'],
    ['a text', { op: 'Constant', inputs: [], attributes: { value_string: 'a' } }, 'holds no value, or a text'],
    ['names of objects', { op: 'toString' }, 'unsupported operator toString'],
    ['names of objects', { op: '__proto__' }, 'unsupported operator __proto__'],
    [
      'an image of unknown size',
      { op: 'MaxPool', attributes: { kernel_shape: [2, 2], ceil_mode: 1 } },
      'give sizes for H in inputSh',
    ],
  ])('%s', (_, node, message) => {
    const model: TestModel = { nodes: [node], inputs: { x: ['N', 2, 'H', 4] }, outputs: { y: undefined } };
    expect(refusal(() => read(model))).toContain(message);
  });

  it.each([
    [6, 'operator set 6; 7 to 24 can be read'],
    [25, 'operator set 25; 7 to 24 can be read'],
  ])('operator set %i', (opset, message) => {
    expect(refusal(() => read({ nodes: [relu], inputs: { x: [1] }, opset }))).toContain(message);
  });
});

describe('bad input', () => {
  const valid: TestModel = { nodes: [relu], inputs: { x: ['N', 2] }, outputs: { y: ['N', 2] } };

  it.each<[string, TestModel, string]>([
    [
      'a cycle',
      {
        ...valid,
        nodes: [
          { op: 'Add', name: 'a', inputs: ['x', 'c'], outputs: ['b'] },
          { op: 'Relu', name: 'b', inputs: ['b'], outputs: ['c'] },
          { op: 'Neg', name: 'c', inputs: ['c'], outputs: ['y'] },
        ],
      },
      'the graph has a cycle: Relu "b" <- Add "a" <- Relu "b"',
    ],
    [
      'a cycle that no output needs',
      { ...valid, nodes: [relu, { op: 'Neg', name: 'loop', inputs: ['z'], outputs: ['z'] }] },
      'the graph has a cycle: Neg "loop" <- Neg "loop"',
    ],
    [
      'values that nothing makes',
      {
        ...valid,
        nodes: [{ op: 'Conv', name: 'c', inputs: ['x', 'w', 'b'] }],
        outputs: { y: undefined, z: undefined },
      },
      'nothing makes (no node, input or initializer): "w", read by Conv "c"; "b", read by Conv "c"; "z", a graph output',
    ],
    [
      'two values of one name',
      { ...valid, nodes: [relu, { op: 'Neg', name: 'neg' }] },
      'two values are named "y": the output of Relu "relu" and of Neg "neg"',
    ],
    [
      'an output named as an input',
      { ...valid, nodes: [{ op: 'Neg', name: 'neg', outputs: ['x'] }] },
      'two values are named "x": a graph input and of Neg "neg"',
    ],
    ['no outputs', { ...valid, outputs: {} }, 'the graph has no outputs'],
    [
      'an output of another rank',
      { ...valid, outputs: { y: ['N', 2, 1] } },
      '"y" is declared as [N, 2, 1], its node makes',
    ],
    ['an inner value of another size', { ...valid, valueInfo: { y: ['N', 3] } }, '"y" is declared as [N, 3], its node'],
    [
      'shapes that do not fit',
      {
        nodes: [{ op: 'MatMul', name: 'fc', inputs: ['x', 'w'] }],
        inputs: { x: ['N', 2] },
        initializers: { w: float32s([3, 1], [1, 2, 3]) },
      },
      'MatMul "fc": on [N, 2], [3, 1]: left operand has 2 columns, right operand has 3 rows',
    ],
    [
      'raw data of another length',
      {
        ...valid,
        nodes: [{ op: 'Add', inputs: ['x', 'w'] }],
        initializers: { w: { dims: [2], dataType: 1, rawData: new Uint8Array(7) } },
      },
      'tensor "w": float[2] takes 8 bytes, raw data has 7',
    ],
    [
      'a tensor of 2 GB in a small file',
      { ...valid, nodes: [{ op: 'Add', inputs: ['x', 'w'] }], initializers: { w: { dims: [2 ** 29], dataType: 1 } } },
      'tensor "w": float[536870912] takes 536870912 values, got 0',
    ],
    [
      'external data outside the folder',
      {
        ...valid,
        nodes: [{ op: 'Add', inputs: ['x', 'w'] }],
        initializers: {
          w: { dims: [2], dataType: 1, dataLocation: 1, externalData: [{ key: 'location', value: '../w' }] },
        },
      },
      'tensor "w": external data in "../w" is outside the model\'s folder',
    ],
    [
      'external data with an offset that is none',
      {
        ...valid,
        nodes: [{ op: 'Add', inputs: ['x', 'w'] }],
        initializers: {
          w: {
            dims: [2],
            dataType: 1,
            dataLocation: 1,
            externalData: [
              { key: 'location', value: 'w' },
              { key: 'offset', value: '-8' },
            ],
          },
        },
      },
      'tensor "w": external offset "-8" is not a number of bytes',
    ],
    ['an input of texts', { ...valid, inputType: 8 }, 'input "x" is of element type string: not supported'],
  ])('%s', (_, model, message) => {
    expect(refusal(() => read(model))).toContain(message);
  });

  it.each<[string, Uint8Array]>([
    ['nothing', new Uint8Array()],
    ['text', Uint8Array.from('<!doctype html><html></html>', (c) => c.charCodeAt(0))],
    ['an image', Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 13, 10, 26, 10, 0, 0, 0, 13)],
    ['zeros', new Uint8Array(1000)],
    ['groups in groups', new Uint8Array(100_000).fill(0x0b)],
    ['half a model', encodeModel(valid).subarray(0, 40)],
  ])('%s is no model', (_, bytes) => {
    expect(refusal(() => readOnnx(bytes))).toMatch(/not an ONNX model/);
  });

  it('does not write out a constant that a few bytes declare', () => {
    const nodes: TestNode[] = [
      { op: 'ConstantOfShape', inputs: ['huge'], outputs: ['c'] },
      { op: 'ReduceSum', inputs: ['c'], outputs: ['y'], attributes: { keepdims: 0 } },
    ];
    // 8 PB, which would not be allocated, only thrown at.
    const graph = read({ nodes, initializers: { huge: int64Proto(2 ** 25, 2 ** 25) } });
    expect(graph.outputs.get('y')?.shape).toEqual([]);
    for (const { inputs } of nodesOf(graph.outputs.values())) {
      for (const input of inputs) expect(input?.constant?.data.length ?? 0).toBeLessThan(10);
    }
  });

  it('throws nothing but its own errors for 2,000 damaged models, quickly', () => {
    const weights = Float32Array.from({ length: 18 }, (_, i) => Math.sin(i));
    const original = encodeModel({
      nodes: [
        { op: 'Conv', name: 'conv', inputs: ['x', 'w'], outputs: ['a'], attributes: { pads: [1, 1, 1, 1] } },
        { op: 'Relu', inputs: ['a'], outputs: ['b'] },
        { op: 'MaxPool', inputs: ['b'], outputs: ['c'], attributes: { kernel_shape: [2, 2], strides: [2, 2] } },
        { op: 'Shape', inputs: ['c'], outputs: ['s'] },
        { op: 'Gather', inputs: ['s', 'zero'], outputs: ['n'], attributes: { axis: 0 } },
        { op: 'Concat', inputs: ['n', 'rest'], outputs: ['shape'], attributes: { axis: 0 } },
        { op: 'Reshape', inputs: ['c', 'shape'], outputs: ['d'] },
        { op: 'Split', inputs: ['d'], outputs: ['e', 'f'], attributes: { axis: 1 } },
        { op: 'Sub', inputs: ['e', 'f'], outputs: ['g'] },
        { op: 'Softmax', inputs: ['g'], outputs: ['y'], attributes: { axis: -1 } },
      ],
      inputs: { x: ['N', 1, 6, 6] },
      outputs: { y: ['N', 9] },
      initializers: {
        w: { dims: [2, 1, 3, 3], dataType: 1, rawData: new Uint8Array(weights.buffer) },
        zero: int64Proto(0),
        rest: int64Proto(-1),
      },
    });
    expect(opsOf(readOnnx(original)).at(-1)).toBe('Softmax');
    let state = 20240607;
    const random = (below: number) => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return Math.floor((state / 2 ** 32) * below);
    };
    const outcomes = { read: 0, refused: 0 };
    for (let round = 0; round < 2000; round++) {
      const bytes = Uint8Array.from(original.subarray(0, round % 4 === 0 ? random(original.length) : original.length));
      const flips = round % 4 === 0 ? 0 : 1 + random(3);
      for (let i = 0; i < flips; i++) {
        const at = random(bytes.length);
        bytes[at] = round % 2 === 0 ? random(256) : (bytes[at] as number) ^ (1 << random(8));
      }
      try {
        readOnnx(bytes);
        outcomes.read++;
      } catch (error) {
        outcomes.refused++;
        if (!(error instanceof OnnxError || error instanceof GraphError)) {
          throw new Error(`round ${round}: ${(error as Error).stack}`, { cause: error });
        }
      }
    }
    expect(outcomes.read).toBeGreaterThan(100);
    expect(outcomes.refused).toBeGreaterThan(1000);
  });
});
