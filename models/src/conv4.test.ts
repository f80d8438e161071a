import { evaluate, GraphBuilder, gradients, makeTensor, sizeOf, type Tensor } from '@whet/compiler';
import { describe, expect, it } from 'vitest';
import type { NormalizeBy } from './backbone.js';
import { conv4 } from './conv4.js';
import { imageMoments } from './normalization.js';

const wave = (shape: readonly number[], seed: number): Tensor =>
  makeTensor(
    shape,
    Float64Array.from({ length: sizeOf(shape) }, (_, i) => Math.sin(12.9898 * (i + 1) + 78.233 * seed)),
  );

/** Features of three images and the gradient of their weighted sum for each parameter, in float64. */
function featuresAndGradients(normalizeBy: (g: GraphBuilder) => NormalizeBy, convolutionBias: boolean) {
  const backbone = conv4({ channels: [3, 4], blocks: 2, imageChannels: 2, imageSize: 10, convolutionBias });
  const g = new GraphBuilder();
  const images = g.input('images', [3, ...backbone.imageShape]);
  const parameters = backbone.parameters.map(({ name, shape }) => g.input(name, shape));
  const byName = new Map(parameters.map((parameter) => [parameter.name, parameter]));
  const features = backbone.build(g, images, (name) => byName.get(name) as never, normalizeBy(g));
  const weights = g.constant(wave(features.shape as number[], 50));
  const loss = g.apply('ReduceSum', [g.apply('Mul', [features, weights], {})], { keepdims: 0 });
  const inputs = [images, ...parameters];
  const found = gradients(g, loss, inputs).map((gradient, i) => [inputs[i]?.name as string, gradient] as const);
  const outputs = new Map([['features', features], ...found.flatMap(([name, d]) => (d ? [[name, d] as const] : []))]);
  const feeds = new Map(inputs.map(({ name, shape }, i) => [name, wave(shape as number[], i)]));
  return evaluate({ name: 'conv4', inputs, outputs }, feeds);
}

describe('Conv4', () => {
  it.each([false, true])(
    'normalizes each image as by moments computed before the pooling, biases: %s',
    (convolutionBias) => {
      const found = featuresAndGradients(() => 'image', convolutionBias);
      const expected = featuresAndGradients((g) => (_, x) => imageMoments(g, x), convolutionBias);
      expect([...found.keys()]).toEqual([...expected.keys()]);
      expect(expected.size).toBe(convolutionBias ? 10 : 8);
      for (const [name, { shape, data }] of expected) {
        expect(found.get(name)?.shape).toEqual(shape);
        // Some scales are negative, so that some channels are turned around.
        expect(
          Math.max(...data.map((value, i) => Math.abs(value - (found.get(name)?.data[i] as number)))),
        ).toBeLessThan(1e-11);
      }
    },
  );
});
