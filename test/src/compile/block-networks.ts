import { encodeOnnx, GraphBuilder, int64s, makeTensor, slice, type Value } from '@whet/compiler';
import { generatorFor } from '@whet/trainer';

/** Attributes of a convolution of one pixel. */
export const ONE_BY_ONE = {
  kernel_shape: [1, 1],
  strides: [1, 1],
  dilations: [1, 1],
  group: 1,
  pads: [0, 0, 0, 0],
} as const;

export interface ConvolutionOptions {
  readonly side?: number;
  readonly stride?: number;
  readonly group?: number;
  /** BatchNormalization behind it. */
  readonly norm?: boolean;
}

/** Writes networks as exporters do; every parameter is called as its layer is. */
export class NetworkWriter {
  readonly g = new GraphBuilder();
  private made = 0;
  /** Its own: the same numbers whatever was written before. */
  private readonly random = generatorFor(29, 'blocks', 0);

  /** `folded`: convolutions hold their normalization, as exporters leave it. */
  constructor(private readonly folded = false) {}

  weight(name: string, shape: readonly number[], centre = 0): Value {
    const length = shape.reduce((a, b) => a * b, 1);
    const data = Float32Array.from({ length }, () => centre + 0.3 * this.random.normal());
    return this.g.constant(makeTensor(shape, data), name);
  }

  private name(op: string): string {
    return `${op}/${this.made++}`;
  }

  apply(op: 'Relu' | 'Sigmoid' | 'Erf' | 'GlobalAveragePool', x: Value): Value {
    return this.g.apply(op, [x], {}, this.name(op));
  }

  binary(op: 'Add' | 'Mul' | 'Sub' | 'MatMul', a: Value, b: Value): Value {
    return this.g.apply(op, [a, b], {}, this.name(op));
  }

  concat(...values: Value[]): Value {
    return this.g.apply('Concat', values, { axis: 1 }, this.name('Concat'));
  }

  convolution(x: Value, name: string, out: number, options: ConvolutionOptions = {}): Value {
    const { side = 3, stride = 1, group = 1 } = options;
    const norm = options.norm && !this.folded;
    const pad = (side - 1) / 2;
    const weight = this.weight(`${name}.weight`, [out, (x.shape[1] as number) / group, side, side]);
    const bias = norm ? [] : [this.weight(`${name}.bias`, [out])];
    const attributes = {
      kernel_shape: [side, side] as const,
      strides: [stride, stride] as const,
      dilations: [1, 1] as const,
      group,
      pads: [pad, pad, pad, pad] as const,
    };
    const y = this.g.apply('Conv', [x, weight, ...bias], attributes, name);
    return norm ? this.normalize(y, `${name}.norm`) : y;
  }

  normalize(x: Value, name: string): Value {
    const width = x.shape[1] as number;
    const affine = [this.weight(`${name}.weight`, [width], 1), this.weight(`${name}.bias`, [width])];
    const moments = [this.weight(`${name}.running_mean`, [width]), this.weight(`${name}.running_var`, [width], 3)];
    return this.g.apply('BatchNormalization', [x, ...affine, ...moments], { epsilon: 1e-5 }, name);
  }

  /** Of the last axis. */
  normalizeRows(x: Value, name: string): Value {
    const width = x.shape.at(-1) as number;
    const affine = [this.weight(`${name}.weight`, [width], 1), this.weight(`${name}.bias`, [width])];
    return this.g.apply('LayerNormalization', [x, ...affine], { axis: -1, epsilon: 1e-5 }, name);
  }

  linear(x: Value, name: string, out: number): Value {
    const product = this.g.apply(
      'MatMul',
      [x, this.weight(`${name}.weight`, [x.shape.at(-1) as number, out])],
      {},
      name,
    );
    return this.binary('Add', product, this.weight(`${name}.bias`, [out]));
  }

  pool(x: Value): Value {
    const window = { kernel_shape: [2, 2], strides: [2, 2], pads: [0, 0, 0, 0] } as const;
    return this.g.apply('MaxPool', [x], window, this.name('MaxPool'));
  }

  transpose(x: Value, ...perm: number[]): Value {
    return this.g.apply('Transpose', [x], { perm }, this.name('Transpose'));
  }

  reshape(x: Value, ...shape: number[]): Value {
    return this.g.apply('Reshape', [x, this.g.constant(int64s(shape))], {}, this.name('Reshape'));
  }

  /** `[N, T, F]` to `[N, F]`. */
  meanOfRows(x: Value): Value {
    return this.g.apply('ReduceMean', [x, this.g.constant(int64s([1]))], { keepdims: 0 }, this.name('ReduceMean'));
  }

  /** `x * sigmoid(x)`, in two nodes. */
  swish(x: Value): Value {
    return this.binary('Mul', x, this.apply('Sigmoid', x));
  }

  /** Channels weighed by all of the image. */
  squeezeAndExcite(x: Value, name: string): Value {
    const width = x.shape[1] as number;
    const squeezed = this.convolution(this.apply('GlobalAveragePool', x), `${name}.fc1`, 2, { side: 1 });
    const gate = this.convolution(this.apply('Relu', squeezed), `${name}.fc2`, width, { side: 1 });
    return this.binary('Mul', x, this.apply('Sigmoid', gate));
  }
}

export type Build = (n: NetworkWriter, x: Value) => Value;

/** A network between images `[N, C, 8, 8]` and the classes of its features, which are pooled where they have places. */
export function networkOf(build: Build, folded = false, channels = 4): Uint8Array {
  const n = new NetworkWriter(folded);
  const x = n.g.input('x', ['N', channels, 8, 8]);
  const y = build(n, x);
  const pooled = y.shape.length === 4 ? n.apply('GlobalAveragePool', y) : y;
  const flat = pooled.shape.length === 2 ? pooled : n.g.apply('Flatten', [pooled], { axis: 1 }, 'flat');
  const logits = n.g.apply('Gemm', [flat, n.weight('fc.weight', [flat.shape[1] as number, 3])], {}, 'logits');
  return encodeOnnx({ name: 'net', inputs: [x], outputs: new Map([['logits', logits]]) });
}

export interface InvertedOptions {
  readonly expand?: number;
  readonly out?: number;
  readonly stride?: number;
  readonly excite?: boolean;
}

/** MBConv: with a shortcut where its input may be added. Without `expand` it leaves out its first layer. */
function inverted(n: NetworkWriter, x: Value, name: string, options: InvertedOptions = {}): Value {
  const width = x.shape[1] as number;
  const { expand, out = width, stride = 1, excite = false } = options;
  const wide = expand === undefined ? x : n.swish(n.convolution(x, `${name}.expand`, expand, { side: 1, norm: true }));
  const group = wide.shape[1] as number;
  const deep = n.swish(n.convolution(wide, `${name}.depthwise`, group, { stride, group, norm: true }));
  const excited = excite ? n.squeezeAndExcite(deep, `${name}.se`) : deep;
  const y = n.convolution(excited, `${name}.project`, out, { side: 1, norm: true });
  return stride === 1 && out === width ? n.binary('Add', x, y) : y;
}

/** ResNet's basic block; with a convolution in its shortcut where width or size change. */
export function basic(n: NetworkWriter, x: Value, name: string, out = x.shape[1] as number, stride = 1): Value {
  const first = n.apply('Relu', n.convolution(x, `${name}.conv1`, out, { stride, norm: true }));
  const second = n.convolution(first, `${name}.conv2`, out, { norm: true });
  const same = stride === 1 && out === x.shape[1];
  const shortcut = same ? x : n.convolution(x, `${name}.down`, out, { side: 1, stride, norm: true });
  return n.apply('Relu', n.binary('Add', second, shortcut));
}

/** Attention of one head on `[N, T, D]`, with one product for queries, keys and values or one for each. */
function attention(n: NetworkWriter, x: Value, name: string, apart: boolean): Value {
  const [, length, width] = x.shape as [string, number, number];
  const parts = (): Value[] => {
    if (apart) return ['q', 'k', 'v'].map((part) => n.linear(x, `${name}.${part}`, width));
    const all = n.reshape(n.linear(x, `${name}.qkv`, 3 * width), -1, length, 3, width);
    const turned = n.transpose(all, 2, 0, 1, 3);
    return [0, 1, 2].map((i) => n.reshape(slice(n.g, turned, [0], [i], [i + 1]), -1, length, width));
  };
  const [q, k, v] = parts() as [Value, Value, Value];
  const scores = n.g.apply('Softmax', [n.binary('MatMul', q, n.transpose(k, 0, 2, 1))], { axis: -1 }, `${name}.scores`);
  return n.linear(n.binary('MatMul', scores, v), `${name}.proj`, width);
}

const feedForward = (n: NetworkWriter, x: Value, name: string): Value =>
  n.linear(n.swish(n.linear(x, `${name}.fc1`, 8)), `${name}.fc2`, x.shape.at(-1) as number);

/** Patches `[N, 17, 4]`, one of which is a token as often as there are images, with a position embedding. */
export function patches(n: NetworkWriter, x: Value): Value {
  const embedded = n.convolution(x, 'patch', 4, { stride: 2 });
  const rows = n.transpose(n.reshape(embedded, -1, 4, 16), 0, 2, 1);
  const images = n.g.apply('Shape', [embedded], { start: 0, end: 1 }, 'images');
  const size = n.g.apply('Concat', [images, n.g.constant(int64s([1, 4]))], { axis: 0 }, 'size');
  const token = n.g.apply('Expand', [n.weight('token', [1, 1, 4]), size], {}, 'tokens');
  return n.binary('Add', n.concat(token, rows), n.weight('position', [1, 17, 4]));
}

export function encoder(n: NetworkWriter, x: Value, name: string, apart = false): Value {
  const attended = n.binary('Add', x, attention(n, n.normalizeRows(x, `${name}.norm1`), `${name}.attn`, apart));
  return n.binary('Add', attended, feedForward(n, n.normalizeRows(attended, `${name}.norm2`), `${name}.mlp`));
}

/** PVT's block on `[N, 4, 4, 4]`: attention, then a feed-forward part with a convolution in it. */
export function convolvingEncoder(n: NetworkWriter, x: Value, name: string): Value {
  const rows = n.transpose(n.reshape(x, -1, 4, 16), 0, 2, 1);
  const attended = n.binary('Add', rows, attention(n, n.normalizeRows(rows, `${name}.norm`), `${name}.attn`, false));
  return inverted(n, n.reshape(n.transpose(attended, 0, 2, 1), -1, 4, 4, 4), name, { expand: 6 });
}

/** MLP-Mixer's layer: the same products over places, then over channels. */
export function mixer(n: NetworkWriter, x: Value, name: string): Value {
  const turned = n.transpose(n.normalizeRows(x, `${name}.norm1`), 0, 2, 1);
  const mixed = n.binary('Add', x, n.transpose(feedForward(n, turned, `${name}.tokens`), 0, 2, 1));
  return n.binary('Add', mixed, feedForward(n, n.normalizeRows(mixed, `${name}.norm2`), `${name}.channels`));
}

/** ConvNeXt's block on `[N, C, H, W]`. */
export function convNext(n: NetworkWriter, x: Value, name: string): Value {
  const group = x.shape[1] as number;
  const deep = n.transpose(n.convolution(x, `${name}.depthwise`, group, { group }), 0, 2, 3, 1);
  const wide = feedForward(n, n.normalizeRows(deep, `${name}.norm`), name);
  const scaled = n.binary('Mul', wide, n.weight(`${name}.scale`, [group], 1));
  return n.binary('Add', n.transpose(scaled, 0, 3, 1, 2), x);
}

/** ConvFormer's block on `[N, C, H, W]`: separable convolutions, then products over channels, which stand last for them. */
export function convFormer(n: NetworkWriter, x: Value, name: string): Value {
  const mixed = n.binary('Add', x, n.convolution(inverted(n, x, name, { expand: 6 }), `${name}.out`, 4, { side: 1 }));
  const last = n.transpose(mixed, 0, 2, 3, 1);
  return n.binary('Add', mixed, n.transpose(feedForward(n, n.normalizeRows(last, `${name}.norm`), name), 0, 3, 1, 2));
}

/** Six inverted residuals, `a` to `f`, three with a shortcut, and a layer above. */
export const mobile: Build = (n, x) => {
  let y = n.swish(n.convolution(x, 'stem', 4, { norm: true }));
  y = inverted(n, y, 'a', { out: 3, excite: true });
  y = inverted(n, y, 'b', { expand: 6, out: 4, stride: 2 });
  y = inverted(n, y, 'c', { expand: 6, excite: true });
  y = inverted(n, y, 'd', { expand: 6, out: 5 });
  y = inverted(n, y, 'e', { expand: 6 });
  y = inverted(n, y, 'f', { expand: 6, out: 6, excite: true });
  return n.swish(n.convolution(y, 'top', 8, { side: 1, norm: true }));
};

/** Convolutions in a row, and a pooling where one is called so. */
export const convolutions =
  (...names: string[]): Build =>
  (n, x) =>
    names.reduce((y, name) => (name === 'pool' ? n.pool(y) : n.apply('Relu', n.convolution(y, name, 4))), x);
