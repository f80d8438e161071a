import { encodeOnnx, GraphBuilder, makeTensor, reshape, type Value } from '@whet/compiler';
import { type Conv4Settings, conv4 } from '@whet/models';
import { generatorFor } from '@whet/trainer';

/** Values of a network before it is trained on: about as drawn, with scales and moments that are not all alike. */
function drawn(name: string, shape: readonly number[]): Float32Array {
  const random = generatorFor(31, name, 0);
  const fan = shape.slice(1).reduce((a, b) => a * b, 1);
  const positive = /norm\d+\.(weight|variance)$/.test(name);
  return Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () =>
    positive ? 0.6 + 0.8 * random.uniform() : Math.sqrt(2 / fan) * random.normal(),
  );
}

/**
 * Conv4 as others export it: convolution, BatchNormalization, ReLU, pooling, in this order, and a classifier of 7 classes
 * above. Parameters are called as those of the code are, layers `conv1`, ..., normalizations `norm1`, ...
 */
export function conv4Model(settings: Partial<Conv4Settings>): Uint8Array {
  const code = conv4(settings);
  const shapes = new Map(code.parameters.map(({ name, shape }) => [name, shape]));
  const g = new GraphBuilder();
  const given = (name: string, shape = shapes.get(name) as readonly number[]): Value =>
    g.constant(makeTensor(shape, drawn(name, shape)), name);
  const images = g.input('pixels', ['batch', ...code.imageShape]);
  let x: Value = images;
  for (const [i, { name, channels }] of code.normalizations.entries()) {
    const conv = `conv${i + 1}`;
    const bias = shapes.has(`${conv}.bias`) ? [given(`${conv}.bias`)] : [];
    const same = { kernel_shape: [3, 3], strides: [1, 1], pads: [1, 1, 1, 1], dilations: [1, 1], group: 1 } as const;
    const convolved = g.apply('Conv', [x, given(`${conv}.weight`), ...bias], same, conv);
    const affine = [given(`${name}.weight`), given(`${name}.bias`)];
    const moments = [given(`${name}.mean`, [channels]), given(`${name}.variance`, [channels])];
    const normal = g.apply('BatchNormalization', [convolved, ...affine, ...moments], { epsilon: 1e-5 }, name);
    const rectified = g.apply('Relu', [normal], {}, `relu${i + 1}`);
    const halves = { kernel_shape: [2, 2], strides: [2, 2], pads: [0, 0, 0, 0] } as const;
    x = g.apply('MaxPool', [rectified], halves, `pool${i + 1}`);
  }
  const flat = reshape(g, x, ['batch', code.features]);
  const logits = g.apply('Gemm', [flat, given('fc.weight', [code.features, 7]), given('fc.bias', [7])], {}, 'fc');
  return encodeOnnx({ name: 'conv4', inputs: [images], outputs: new Map([['logits', logits]]) });
}
