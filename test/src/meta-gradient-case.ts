import type { Graph } from '@whet/compiler';
import { conv4 } from '@whet/models';
import { type Rule, type TaskSettings, taskBatchGraph } from '@whet/trainer';

/** Conv4 about as small as in the reference cases, and at the papers' image size with few channels. */
const sizes = {
  '8x8, 2 blocks, 2 inner steps': { network: { blocks: 2, channels: 4, imageSize: 8 }, ways: 3, shots: 2, steps: 2 },
  '28x28, 4 blocks, 1 inner step': { network: { blocks: 4, channels: 3, imageSize: 28 }, ways: 2, shots: 1, steps: 1 },
} as const;

export type MetaGradientSize = keyof typeof sizes;
export const metaGradientSizes = Object.keys(sizes) as MetaGradientSize[];

/** The meta-gradient of some tasks, normalized by the support set, with the head that bundles ship. */
export function metaGradientCase(rule: Rule, order: 1 | 2, size: MetaGradientSize, tasks = 1): Graph {
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
  return taskBatchGraph(settings, tasks);
}
