import { encodeModel, float32s, type TestModel, type TestNode } from '../../../compiler/src/onnx/models.test.helper.js';
import { weights } from './compile-helpers.js';

/** A convolution, pooled to `f [N, 5]`, and `tail` behind it. */
export const network = (
  tail: readonly TestNode[],
  outputs: readonly string[],
  initializers: TestModel['initializers'] = {},
) =>
  encodeModel({
    inputs: { x: ['N', 1, 6, 6] },
    outputs: Object.fromEntries(outputs.map((name) => [name, undefined])),
    outputTypes: { label: 7 },
    domains: ['com.microsoft'],
    nodes: [
      { op: 'Conv', inputs: ['x', 'w1'], outputs: ['a'] },
      { op: 'Relu', inputs: ['a'], outputs: ['c'] },
      { op: 'GlobalAveragePool', inputs: ['c'], outputs: ['e'] },
      { op: 'Flatten', inputs: ['e'], outputs: ['f'] },
      ...tail,
    ],
    initializers: { w1: weights(5, 1, 3, 3), wf: weights(5, 3), bf: weights(3), ...initializers },
  });
export const fc: TestNode = { op: 'Gemm', inputs: ['f', 'wf', 'bf'], outputs: ['l'] };
export const softmaxed: TestNode = { op: 'Softmax', inputs: ['l'], outputs: ['p'], attributes: { axis: 1 } };
export const argmax: TestNode = {
  op: 'ArgMax',
  inputs: ['l'],
  outputs: ['label'],
  attributes: { axis: 1, keepdims: 0 },
};

export const quantizer = { s: float32s([], [0.05]), z: { dims: [], dataType: 3, int32Data: [0] } };
export const quantized = (from: string, to: string): TestNode[] => [
  { op: 'QuantizeLinear', inputs: [from, 's', 'z'], outputs: [`${to}/q`] },
  { op: 'DequantizeLinear', inputs: [`${to}/q`, 's', 'z'], outputs: [to] },
];
