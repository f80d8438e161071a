import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { encodeOnnx, GraphBuilder, makeTensor, type Value } from '@whet/compiler';
import { loadBundle } from '@whet/runtime/node';
import { compileModel, generatorFor } from '@whet/trainer';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'whet-default-features-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const random = generatorFor(19, 'default features', 0);
const CLASSES = 3;

/** Layers on an image `[N, 3, 8, 8]`, in the order an exporter would write them. */
function network(build: (layers: ReturnType<typeof layersOf>, x: Value) => Value): Uint8Array {
  const g = new GraphBuilder();
  const x = g.input('x', ['N', 3, 8, 8]);
  return encodeOnnx({ name: 'net', inputs: [x], outputs: new Map([['out', build(layersOf(g), x)]]) });
}

function layersOf(g: GraphBuilder) {
  const constant = (name: string, shape: readonly number[]) => {
    const length = shape.reduce((a, b) => a * b, 1);
    return g.constant(
      makeTensor(
        shape,
        Float32Array.from({ length }, () => 0.2 * random.normal()),
      ),
      name,
    );
  };
  const relu = (x: Value, name: string) => g.apply('Relu', [x], {}, name);
  const flat = (x: Value, name: string) => g.apply('Flatten', [x], { axis: 1 }, name);
  const pool = (x: Value, name: string) => g.apply('GlobalAveragePool', [x], {}, name);
  const gemm = (x: Value, name: string, from: number, to: number) =>
    g.apply('Gemm', [x, constant(`${name}.weight`, [from, to])], {}, name);
  const conv = (x: Value, name: string, [from, to, side]: readonly [number, number, number]) => {
    const weight = constant(`${name}.weight`, [to, from, side, side]);
    const pad = (side - 1) / 2;
    const pads = [pad, pad, pad, pad] as const;
    const window = { kernel_shape: [side, side], strides: [1, 1], dilations: [1, 1] } as const;
    return g.apply('Conv', [x, weight], { ...window, pads, group: 1 }, name);
  };
  /** Squeeze-and-excitation with matrix products, as people write it: a gate a channel. */
  const gated = (x: Value, channels: number) => {
    const squeezed = relu(gemm(flat(pool(x, 'se.pool'), 'se.flat'), 'se.fc1', channels, 2), 'se.relu');
    const excited = g.apply('Sigmoid', [gemm(squeezed, 'se.fc2', 2, channels)], {}, 'se.gate');
    const axes = g.constant(makeTensor([2], [2, 3], 'int64'), 'se.axes');
    return g.apply('Mul', [x, g.apply('Unsqueeze', [excited, axes], {}, 'se.wide')], {}, 'gated');
  };
  return { relu, flat, pool, gemm, conv, gated };
}

const compile = async (model: Uint8Array) => {
  const directory = join(await mkdtemp(join(folder, 'b-')), 'out');
  const patterns = { head: ['none'], last: ['last:1'] };
  return { directory, report: compileModel({ model, fileName: 'net.onnx', directory, name: 'net', patterns }) };
};

describe('the features, where nobody names them', () => {
  it.each<[string, Uint8Array, string, number[]]>([
    [
      'a 1x1 convolution that is pooled to classes, as of SqueezeNet, reads',
      network(({ relu, conv, pool, flat }, x) => {
        const body = relu(conv(x, 'a', [3, 6, 3]), 'body');
        return flat(pool(relu(conv(body, 'classes', [6, CLASSES, 1]), 'positive'), 'pooled'), 'logits');
      }),
      'body',
      [6, 8, 8],
    ],
    [
      'that convolution reads, also where matrix products make a gate before it',
      network(({ relu, conv, pool, flat, gated }, x) => {
        const body = relu(conv(gated(relu(conv(x, 'a', [3, 6, 3]), 'r'), 6), 'b', [6, 5, 3]), 'body');
        return flat(pool(conv(body, 'classes', [5, CLASSES, 1]), 'pooled'), 'logits');
      }),
      'body',
      [5, 8, 8],
    ],
    [
      'the last matrix product reads, which stands behind gate and convolutions',
      network(({ relu, conv, pool, flat, gated, gemm }, x) => {
        const body = relu(conv(gated(relu(conv(x, 'a', [3, 6, 3]), 'r'), 6), 'b', [6, 5, 1]), 'body');
        return gemm(flat(pool(body, 'pooled'), 'row'), 'logits', 5, CLASSES);
      }),
      'row',
      [5],
    ],
  ])('are what %s', async (_, model, features, shape) => {
    const { directory, report } = await compile(model);
    const { model: source, manifest } = await report;
    expect(source.features).toBe(features);
    expect(source.layout.shape).toEqual(shape);
    expect(manifest.featureLength).toBe(shape[0]);
    const bundle = await loadBundle(directory, { threads: 1 });
    const examples = Array.from({ length: 6 }, (_unused, i) => ({
      label: `class ${i % 2}`,
      image: Float32Array.from({ length: 192 }, () => random.normal()),
    }));
    expect((await bundle.adapt(examples, { pattern: 'head' })).solved).toBe(true);
    const { losses } = await bundle.adapt(examples, { pattern: 'last', steps: 4, rate: 1e-5 });
    expect(losses[3]).toBeLessThanOrEqual(losses[0] as number);
    await bundle.release();
  });

  it.each<[string, Uint8Array]>([
    [
      'a map of classes, not one row an image',
      network(({ relu, conv }, x) => conv(relu(conv(x, 'a', [3, 6, 3]), 'body'), 'classes', [6, CLASSES, 1])),
    ],
    [
      'a gate of matrix products and then a convolution of 3x3',
      network(({ relu, conv, pool, flat, gated }, x) => {
        const body = relu(gated(conv(x, 'a', [3, 6, 3]), 6), 'body');
        return flat(pool(conv(body, 'classes', [6, CLASSES, 3]), 'pooled'), 'logits');
      }),
    ],
  ])('have to be named for %s', async (_, model) => {
    const { directory, report } = await compile(model);
    await expect(report).rejects.toThrow(/name the features tensor, as "body", which the last Conv reads/);
    expect(await readdir(dirname(directory))).toEqual([]);
  });
});
