import { evaluate, type Graph, graphCost, makeTensor, nodesOf, sizeOf, type Tensor } from '@whet/compiler';
import { conv4 } from '@whet/models';
import {
  buildPatternGraphs,
  bundledNormalizations,
  generatorFor,
  type PatternParts,
  type PatternWeight,
} from '@whet/trainer';
import { describe, expect, it } from 'vitest';
import { runOnOrt } from '../parity/ort.js';
import { relativeError } from '../parity/reference.js';

const CHANNELS = 4;
const IMAGES = 3;
const SIZE = 8;
const backbone = conv4({ channels: CHANNELS, blocks: 3, imageSize: SIZE });
type Normalization = keyof typeof bundledNormalizations;

const noise = (name: string, size: number) => {
  const random = generatorFor(2, name, 0);
  return Float32Array.from({ length: size }, () => 0.3 * random.normal());
};

/** A pattern in which those channels move that `moves` says, with their scales and shifts. */
function partsOf(normalization: Normalization, moves: (layer: string, channel: number) => boolean): PatternParts {
  const weights = backbone.parameters.map(({ name, shape, layer }): PatternWeight => {
    const size = shape.reduce((a, b) => a * b, 1);
    const run = size / CHANNELS;
    const mask = Uint8Array.from({ length: size }, (_, i) => Number(moves(layer, Math.floor(i / run))));
    return { name, shape, start: noise(name, size), mask };
  });
  const moments = new Map(
    backbone.normalizations.map(({ name, channels }) => [
      name,
      { mean: noise(`${name}.mean`, channels), variance: new Float32Array(channels).fill(0.7) },
    ]),
  );
  const all = (size: number) => new Uint8Array(size).fill(1);
  const scale: PatternWeight = { name: 'head.scale', shape: [1], start: Float32Array.of(0.5) };
  const headMasks = { weight: all(backbone.features), bias: all(1) };
  const bundled = bundledNormalizations[normalization];
  return { backbone, head: 'prototype', weights, learnedHead: [scale], headMasks, normalization: bundled, moments };
}

/** What the step reads at the start of the task. */
function feedsOf(step: Graph, values: ReadonlyMap<string, Float32Array>): Map<string, Tensor> {
  const sizes = { N: IMAGES, W: 2 } as Readonly<Record<string, number>>;
  return new Map(
    step.inputs.map(({ name, shape }) => {
      const dims = shape.map((dim) => (typeof dim === 'number' ? dim : (sizes[dim] as number)));
      const size = dims.reduce((a, b) => a * b, 1);
      const fixed: Record<string, readonly number[] | Float32Array> = { labels: [1, 0, 0, 1, 1, 0], rate: [0.1] };
      const data = fixed[name] ?? values.get(name) ?? noise(`feed/${name}`, size);
      return [name, makeTensor(dims, data)];
    }),
  );
}

const isOpen = (parts: PatternParts, name: string) => parts.weights.find((weight) => weight.name === name)?.mask ?? [];

/** Multiply-adds of the weight gradients alone: each has those of its convolution. */
function weightGradients(step: Graph): number {
  const nodes = nodesOf(step.outputs.values()).filter(({ op }) => op === 'ConvWeightGradient');
  return nodes.reduce((sum, { output, inputs }) => {
    const positions = inputs[1]?.shape.slice(2) ?? [];
    return sum + IMAGES * sizeOf([...output.shape, ...positions] as number[]);
  }, 0);
}

/** Multiply-adds of the gradient of a block's input; blocks halve the image. */
const inputGradient = (block: number) => IMAGES * 9 * CHANNELS ** 2 * (SIZE / 2 ** (block - 1)) ** 2;

const modes: Normalization[] = ['population', 'support', 'layer'];
const half = (_: string, channel: number) => channel % 2 === 1;
const above = (layer: string, channel: number) => layer !== 'block1' && channel !== 2;

describe.each(modes)('a step of closed channels, %s normalization', (normalization) => {
  const all = partsOf(normalization, () => true);
  const dense = buildPatternGraphs(all);

  it.each([
    ['half of each layer', half],
    ['some above a frozen layer', above],
  ])('moves the others as if all moved: %s', async (_, moves) => {
    const parts = partsOf(normalization, moves);
    const { encode, step, values } = buildPatternGraphs(parts);
    const feeds = feedsOf(step, values);
    const whole = feedsOf(dense.step, dense.values);
    const images = whole.get('features') as Tensor;
    if (encode) feeds.set('features', evaluate(encode, new Map([['images', images]])).get('features') as Tensor);
    else feeds.set('features', images);
    const expected = evaluate(dense.step, whole);
    const found = evaluate(step, feeds);
    const single = await runOnOrt(step, feeds);
    expect(relativeError(found.get('loss')?.data ?? [], expected.get('loss')?.data ?? [])).toBeLessThan(1e-9);
    for (const name of [...values.keys(), 'head.weight', 'head.bias']) {
      const next = `${name}@next`;
      const mask = isOpen(parts, name);
      const open = Array.from(expected.get(next)?.data ?? []).filter((__, i) => mask.length === 0 || mask[i] === 1);
      expect(relativeError(found.get(next)?.data ?? [], open), next).toBeLessThan(1e-9);
      expect(relativeError(single.get(next) ?? [], open), `${next} on onnxruntime`).toBeLessThan(1e-5);
    }
  });

  it('has half the multiply-adds of weight gradients where half of each layer moves', () => {
    const { step } = buildPatternGraphs(partsOf(normalization, half));
    expect(weightGradients(step)).toBe(weightGradients(dense.step) / 2);
    const cost = (graph: Graph) => graphCost(graph, { N: IMAGES, W: 2 }).multiplyAdds;
    // Normalized by channels, a closed channel of the lowest layer needs no gradient of its output either.
    const lowest = normalization === 'layer' ? 0 : inputGradient(2);
    expect(cost(dense.step) - cost(step)).toBe((weightGradients(dense.step) + lowest) / 2);
  });
});
