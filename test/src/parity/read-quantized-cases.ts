import { float32s, type TestModel, type TestNode } from '../../../compiler/src/onnx/models.test.helper.js';

interface Case extends TestModel {
  readonly name: string;
}

/** A quantized weight, as many scales as it has, and zero points. */
const quantized = (scale: readonly number[], zeroPoint: readonly number[]) => ({
  q: { dims: [2, 3], dataType: 3, rawData: Uint8Array.of(0, 7, 128, 255, 127, 3) },
  s: float32s(scale.length > 1 ? [scale.length] : [], scale),
  z: { dims: scale.length > 1 ? [scale.length] : [], dataType: 3, int32Data: zeroPoint },
});
/** Multiplied by element: with a MatMul the runtime would quantize the other factor too. */
const weighted = (name: string, initializers: Case['initializers'], attributes: TestNode['attributes'] = {}): Case => ({
  name,
  opset: 13,
  inputs: { x: [2, 3] },
  initializers: initializers ?? {},
  nodes: [
    { op: 'DequantizeLinear', inputs: ['q', 's', 'z'], outputs: ['w'], attributes },
    { op: 'Mul', inputs: ['x', 'w'] },
  ],
});

/** Small models with quantized weights. */
export const quantizedCases: readonly Case[] = [
  weighted('a quantized weight', quantized([0.37], [-5])),
  weighted('a quantized weight, by column', quantized([0.37, 0.1, 2], [-5, 0, 9])),
  weighted('a quantized weight, by row', quantized([0.37, 0.1], [-5, 3]), { axis: 0 }),
  {
    name: 'a weight that is quantized when it runs',
    opset: 13,
    inputs: { x: [2, 3] },
    initializers: {
      ...quantized([0.125], [3]),
      f: float32s([2, 3], [0.0625, -0.0625, 0.1875, 100, -100, 0.3]),
    },
    nodes: [
      { op: 'QuantizeLinear', inputs: ['f', 's', 'z'], outputs: ['r'] },
      { op: 'DequantizeLinear', inputs: ['r', 's', 'z'], outputs: ['w'] },
      { op: 'Mul', inputs: ['x', 'w'] },
    ],
  },
];
