import { encodeOnnx, GraphBuilder, makeTensor, type Value } from '@whet/compiler';
import { generatorFor } from '@whet/trainer';

export const [SIDE, FEATURES, CLASSES] = [8, 4, 3];
/** Pixels of an image `[1, 8, 8]`. */
export const LENGTH = SIDE * SIDE;

const random = generatorFor(8, 'kept', 0);
export const noise = (length: number) => Float32Array.from({ length }, () => random.normal());

export type Tail = (
  g: GraphBuilder,
  pooled: Value,
  constant: (name: string, shape: readonly number[]) => Value,
) => Value;

/** A convolution, pooled to `[N, 4, 1, 1]`, and a last part that an exporter might have written. */
export function smallClassifier(tail: Tail): Uint8Array {
  const g = new GraphBuilder();
  const constant = (name: string, shape: readonly number[]) => {
    const length = shape.reduce((a, b) => a * b, 1);
    return g.constant(makeTensor(shape, noise(length)), name);
  };
  const x = g.input('x', ['N', 1, SIDE, SIDE]);
  const same = { kernel_shape: [3, 3], strides: [1, 1], dilations: [1, 1], group: 1, pads: [1, 1, 1, 1] };
  const a = g.apply('Conv', [x, constant('a.weight', [FEATURES, 1, 3, 3])], same as never, 'a');
  const pooled = g.apply('GlobalAveragePool', [g.apply('Relu', [a], {}, 'r')], {}, 'pooled');
  return encodeOnnx({ name: 'small', inputs: [x], outputs: new Map([['out', tail(g, pooled, constant)]]) });
}

export const flat = (g: GraphBuilder, pooled: Value) => g.apply('Flatten', [pooled], { axis: 1 }, 'flat');
/** Logits of three classes. */
export const gemm: Tail = (g, pooled, constant) =>
  g.apply('Gemm', [flat(g, pooled), constant('w', [FEATURES, CLASSES]), constant('b', [CLASSES])], {}, 'fc');
