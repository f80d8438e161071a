import { type Graph, sizeOf, staticShape, type Tensor } from '@whet/compiler';
import { conv4 } from '@whet/models';
import { generatorFor, metaGradientGraph, type Rule, type TaskSettings } from '@whet/trainer';

/** Conv4 about as small as in the reference cases, and at the papers' image size with few channels. */
const sizes = {
  '8x8, 2 blocks, 2 inner steps': { network: { blocks: 2, channels: 4, imageSize: 8 }, ways: 3, shots: 2, steps: 2 },
  '28x28, 4 blocks, 1 inner step': { network: { blocks: 4, channels: 3, imageSize: 28 }, ways: 2, shots: 1, steps: 1 },
} as const;

export type MetaGradientSize = keyof typeof sizes;
export const metaGradientSizes = Object.keys(sizes) as MetaGradientSize[];

/** The meta-gradient of one task, normalized by the support set, with the head that bundles ship. */
export function metaGradientCase(rule: Rule, order: 1 | 2, size: MetaGradientSize): Graph {
  const { network, ways, shots, steps } = sizes[size];
  const settings: TaskSettings = {
    backbone: conv4(network),
    head: 'prototype',
    rule,
    order,
    normalization: 'support',
    ways,
    shots,
    queries: 1,
    steps,
    innerRate: 0.1,
  };
  return metaGradientGraph(settings);
}

/** Random images and weights, one-hot labels; the same for the same graph. */
export function randomFeeds(graph: Graph): Map<string, Tensor> {
  return new Map(
    graph.inputs.map((input) => {
      const shape = staticShape(input);
      const random = generatorFor(1, input.name, 0);
      const images = input.name === 'support' || input.name === 'query';
      const fans = shape.slice(1).reduce((a, b) => a * b, 1);
      const deviation = images ? 1 : Math.sqrt(2 / fans);
      const data = Float32Array.from({ length: sizeOf(shape) }, () => deviation * random.normal());
      const ways = shape.at(-1) as number;
      if (input.name.endsWith('Labels')) {
        const perClass = data.length / ways / ways;
        data.forEach((_, i) => {
          data[i] = Number(i % ways === Math.floor(i / ways / perClass));
        });
      }
      if (input.name === 'head.scale') data.fill(0.1);
      return [input.name, { dtype: 'float32', shape, data }];
    }),
  );
}
