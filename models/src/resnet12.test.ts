import {
  evaluate,
  GraphBuilder,
  gradients,
  makeTensor,
  reshape,
  sizeOf,
  type Tensor,
  type Value,
} from '@whet/compiler';
import { describe, expect, it } from 'vitest';
import type { Backbone, MomentSource } from './backbone.js';
import { batchMoments, imageMoments } from './normalization.js';
import { resnet12 } from './resnet12.js';

const small = { channels: [3, 4, 5, 6], imageChannels: 1, imageSize: 16 } as const;

type Moments = 'batch' | 'image';

/** The network on its own, each parameter an input; `N` images where `count` is left out. */
function network(backbone: Backbone, kind: Moments, count: number | string = 'N') {
  const g = new GraphBuilder();
  const images = g.input('images', [count, ...backbone.imageShape]);
  const parameters = new Map(backbone.parameters.map(({ name, shape }) => [name, g.input(name, shape)]));
  const seen: [string, Value][] = [];
  const source: MomentSource = (name, x) => {
    seen.push([name, x]);
    return kind === 'batch' ? batchMoments(g, x) : imageMoments(g, x);
  };
  const features = backbone.build(g, images, (name) => parameters.get(name) as Value, source);
  return { g, images, parameters, features, seen, inputs: [images, ...parameters.values()] };
}

/** Deterministic values, apart from each other. */
const wave = (shape: readonly number[], seed: number): Float64Array =>
  Float64Array.from({ length: sizeOf(shape) }, (_, i) => Math.sin(12.9898 * (i + 1) + 78.233 * seed));

describe('ResNet-12', () => {
  it('halves the image after each block and hands the mean of what is left to the head', () => {
    for (const [imageSize, sizes] of [
      [84, [84, 42, 21, 10]],
      [28, [28, 14, 7, 3]],
      [16, [16, 8, 4, 2]],
    ] as const) {
      const backbone = resnet12({ ...small, imageSize });
      const { features, seen } = network(backbone, 'batch');
      expect(features.shape).toEqual(['N', 6]);
      expect(backbone.features).toBe(6);
      expect(backbone.imageShape).toEqual([1, imageSize, imageSize]);
      const shapes = small.channels.flatMap((channels, i) =>
        [1, 2, 3, 4].map(() => ['N', channels, sizes[i], sizes[i]]),
      );
      expect(seen.map(([, { shape }]) => shape)).toEqual(shapes);
    }
  });

  it('lists its normalizations as it builds them, with the channels they normalize, and its layers from the image up', () => {
    const backbone = resnet12(small);
    const { seen } = network(backbone, 'batch');
    expect(backbone.normalizations).toEqual(seen.map(([name, { shape }]) => ({ name, channels: shape[1] })));
    expect(backbone.normalizations.slice(4, 8).map(({ name }) => name)).toEqual([
      'block2.norm1',
      'block2.norm2',
      'block2.norm3',
      'block2.shortcut.norm',
    ]);
    expect(backbone.layers).toEqual(['block1', 'block2', 'block3', 'block4']);
    expect([...new Set(backbone.parameters.map(({ layer }) => layer))]).toEqual(backbone.layers);
  });

  it('has 7,996,800 parameters by default', () => {
    const backbone = resnet12();
    expect(backbone.imageShape).toEqual([3, 84, 84]);
    expect(backbone.parameters.reduce((sum, { shape }) => sum + sizeOf(shape), 0)).toBe(7_996_800);
    expect(network(backbone, 'batch').features.shape).toEqual(['N', 512]);
  });

  it.each([
    [{ ...small, imageSize: 15 }, 'resnet12: an image of 15 pixels is too small for 4 blocks'],
    [{ channels: [3, 4, 5] as unknown as [3, 4, 5, 6] }, 'resnet12: expected channels of 4 blocks, got 3'],
  ])('refuses %j', (settings, message) => {
    expect(() => resnet12(settings)).toThrow(RangeError);
    expect(() => resnet12(settings)).toThrow(message);
  });

  it('computes what the papers write down: LeakyReLU of the sum, then pooling, and the global average', () => {
    const { g, images, parameters, features, inputs } = network(resnet12(small), 'batch', 2);
    const of = (name: string) => parameters.get(name) as Value;
    const layer = (x: Value, conv: string, norm: string, kernel: number): Value => {
      const border = (kernel - 1) / 2;
      const y = g.apply('Conv', [x, of(conv)], {
        kernel_shape: [kernel, kernel],
        strides: [1, 1],
        pads: [border, border, border, border],
        dilations: [1, 1],
        group: 1,
      });
      const [scale, shift] = [of(`${norm}.weight`), of(`${norm}.bias`)];
      const { mean, variance } = batchMoments(g, y);
      const channels = (value: Value) => reshape(g, value, scale.shape);
      return g.apply('BatchNormalization', [y, scale, shift, channels(mean), channels(variance)], { epsilon: 1e-5 });
    };
    let x = images;
    for (const block of ['block1', 'block2', 'block3', 'block4']) {
      const input = x;
      for (const i of [1, 2, 3]) {
        if (i > 1) x = g.apply('LeakyRelu', [x], { alpha: 0.01 });
        x = layer(x, `${block}.conv${i}.weight`, `${block}.norm${i}`, 3);
      }
      const shortcut = layer(input, `${block}.shortcut.conv.weight`, `${block}.shortcut.norm`, 1);
      x = g.apply('LeakyRelu', [g.apply('Add', [x, shortcut], {})], { alpha: 0.01 });
      x = g.apply('MaxPool', [x], { kernel_shape: [2, 2], strides: [2, 2], pads: [0, 0, 0, 0] });
    }
    const written = reshape(g, g.apply('GlobalAveragePool', [x], {}), [2, 6]);
    const outputs = new Map([
      ['built', features],
      ['written', written],
    ]);
    const feeds = new Map(
      inputs.map(({ name, shape }, i) => [name, makeTensor(shape as number[], wave(shape as number[], i))]),
    );
    const values = evaluate({ name: 'both', inputs, outputs }, feeds);
    const [built, expected] = [values.get('built')?.data, values.get('written')?.data];
    expected?.forEach((value, i) => {
      expect(built?.[i]).toBeCloseTo(value, 10);
    });
    expect(Math.max(...(expected ?? []).map(Math.abs))).toBeGreaterThan(0.1);
  });

  it.each(['batch', 'image'] satisfies Moments[])(
    'has the gradient that central differences give, moments of each %s',
    (kind) => {
      const { g, parameters, features, inputs } = network(resnet12(small), kind, 2);
      const target = g.constant(makeTensor([2, 6], wave([2, 6], 99)));
      const loss = g.apply('ReduceSum', [g.apply('Mul', [g.apply('Mul', [features, features], {}), target], {})], {
        keepdims: 0,
      });
      const names = [...parameters.keys()];
      const found = gradients(g, loss, [...parameters.values()]);
      expect(found.every((gradient) => gradient !== undefined)).toBe(true);
      const outputs = new Map(found.map((gradient, i) => [names[i] as string, gradient as Value]));
      const directions = inputs.map(({ shape }, i) => wave(shape as number[], 40 + i));
      const at = (step: number) =>
        new Map(
          inputs.map(({ name, shape }, i): [string, Tensor] => {
            const moved = parameters.has(name) ? step : 0;
            const values = wave(shape as number[], i + 1).map((v, k) => v + moved * (directions[i]?.[k] as number));
            return [name, makeTensor(shape as number[], values)];
          }),
        );
      const analytic = evaluate({ name: 'gradients', inputs, outputs }, at(0));
      let slope = 0;
      inputs.forEach(({ name }, i) => {
        analytic.get(name)?.data.forEach((value, k) => {
          slope += value * (directions[i]?.[k] as number);
        });
      });
      const lossAt = (step: number) =>
        evaluate({ name: 'loss', inputs, outputs: new Map([['loss', loss]]) }, at(step)).get('loss')?.data[0] as number;
      // Short enough that no maximum and no sign changes on the way.
      const step = 1e-7;
      const numeric = (lossAt(step) - lossAt(-step)) / (2 * step);
      expect(Math.abs(slope)).toBeGreaterThan(1e-2);
      expect(Math.abs(slope - numeric) / Math.abs(slope)).toBeLessThan(1e-5);
    },
  );
});
