import { encodeOnnx, GraphBuilder, makeTensor } from '@whet/compiler';
import { generatorFor } from '@whet/trainer';

const same = { kernel_shape: [3, 3], strides: [1, 1], dilations: [1, 1], group: 1, pads: [1, 1, 1, 1] } as const;

/** Two convolutions with normalizations around a residual, one of `vectors` if asked for, then a classifier. */
export function smallModel({ normalized = true, epsilon = 1e-3, vectors = false } = {}): Uint8Array {
  const g = new GraphBuilder();
  const random = generatorFor(3, 'compile-support', 0);
  const constant = (name: string, shape: readonly number[], of: () => number) => {
    const length = shape.reduce((a, b) => a * b, 1);
    return g.constant(makeTensor(shape, Float64Array.from({ length }, of)), name);
  };
  const small = () => 0.3 * random.normal();
  const positive = () => 0.5 + random.uniform();
  const norm = (name: string, x: ReturnType<typeof constant>) => {
    if (!normalized) return x;
    const vectors = [
      constant(`${name}.weight`, [4], positive),
      constant(`${name}.bias`, [4], small),
      constant(`${name}.running_mean`, [4], small),
      constant(`${name}.running_var`, [4], positive),
    ];
    return g.apply('BatchNormalization', [x, ...vectors], { epsilon }, name);
  };
  const x = g.input('x', ['N', 1, 8, 8]);
  const a = g.apply('Conv', [x, constant('a.weight', [4, 1, 3, 3], small)], same, 'a');
  const r = g.apply('Relu', [norm('bn1', a)], {}, 'r');
  const b = g.apply('Conv', [r, constant('b.weight', [4, 4, 3, 3], small)], same, 'b');
  const sum = g.apply('Add', [r, norm('bn2', b)], {}, 'sum');
  const pooled = g.apply('GlobalAveragePool', [g.apply('Relu', [sum], {}, 'top')], {}, 'pooled');
  const flat = g.apply('Flatten', [pooled], { axis: 1 }, 'features');
  const features = vectors ? norm('bn3', flat) : flat;
  const fc = [constant('fc.weight', [4, 3], small), constant('fc.bias', [3], small)];
  const logits = g.apply('Gemm', [features, ...fc], {}, 'logits');
  return encodeOnnx({ name: 'small', inputs: [x], outputs: new Map([['logits', logits]]) });
}
