import { onnxMessage } from '@whet/compiler';
import { generatorFor } from '@whet/trainer';
import {
  encodeModel,
  int64Proto,
  type TestModel,
  type TestNode,
} from '../../../compiler/src/onnx/models.test.helper.js';
import { weights } from './compile-helpers.js';

export const random = generatorFor(7, 'opaque', 0);
export const same = { kernel_shape: [3, 3], pads: [1, 1, 1, 1] };
export const inner = (nodes: object[], output: string) => {
  const message = onnxMessage('GraphProto');
  const graph = message.fromObject({ name: output, node: nodes, output: [{ name: output }] });
  return { type: 5, g: message.encode(graph).finish() };
};

/** Two convolutions with `between` from `a` to `b` in the middle, pooled and classified. */
export function convolutionsAround(between: readonly TestNode[], more: Partial<TestModel> = {}): Uint8Array {
  return encodeModel({
    inputs: { x: ['N', 1, 8, 8] },
    outputs: { y: ['N', 3] },
    domains: ['com.microsoft'],
    opset: 18,
    ...more,
    nodes: [
      { op: 'Conv', name: 'first', inputs: ['x', 'first.weight'], outputs: ['a'], attributes: same },
      ...between,
      { op: 'Conv', name: 'second', inputs: ['b', 'second.weight'], outputs: ['c'], attributes: same },
      { op: 'Relu', name: 'relu', inputs: ['c'], outputs: ['d'] },
      { op: 'GlobalAveragePool', inputs: ['d'], outputs: ['e'] },
      { op: 'Flatten', inputs: ['e'], outputs: ['f'] },
      { op: 'Gemm', inputs: ['f', 'fc.weight'], outputs: ['y'] },
    ],
    initializers: {
      'first.weight': weights(4, 1, 3, 3),
      'second.weight': weights(5, 4, 3, 3),
      'fc.weight': weights(5, 3),
      ...more.initializers,
    },
  });
}

export const fused: TestNode = { op: 'Gelu', name: 'gelu', domain: 'com.microsoft', inputs: ['a'], outputs: ['h'] };
export const largest: TestNode = { op: 'TopK', name: 'largest', inputs: ['h', 'count'], outputs: ['b', 'places'] };
export const largestCount = { count: int64Proto(8) };
export const opaque = (more: Partial<TestModel> = {}) =>
  convolutionsAround([fused, largest], { ...more, initializers: { ...largestCount, ...more.initializers } });
