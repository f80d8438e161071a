import type { Graph } from '@whet/compiler';
import { conv4, resnet12 } from '@whet/models';
import { type NormalizationName, normalizations, type Rule, type TaskSettings, taskBatchGraph } from '@whet/trainer';

const residual = resnet12({ channels: [2, 3, 4, 3], imageSize: 16 });

/** Conv4 about as small as in the reference cases, and at the papers' image size with few channels; ResNet-12 as small as it gets. */
const sizes = {
  '8x8, 2 blocks, 2 inner steps': {
    backbone: conv4({ blocks: 2, channels: 4, imageSize: 8 }),
    ways: 3,
    shots: 2,
    steps: 2,
  },
  '28x28, 4 blocks, 1 inner step': { backbone: conv4({ channels: 3 }), ways: 2, shots: 1, steps: 1 },
  'ResNet-12, 1 inner step': { backbone: residual, ways: 2, shots: 2, steps: 1 },
} as const;

export type MetaGradientSize = keyof typeof sizes;
export const metaGradientSizes = Object.keys(sizes) as MetaGradientSize[];

/** The meta-gradient of some tasks, with the head that bundles ship; normalized by the support set if nothing else is said. */
export function metaGradientCase(
  rule: Rule,
  order: 1 | 2,
  size: MetaGradientSize,
  tasks = 1,
  normalization: NormalizationName = 'support',
): Graph {
  const { backbone, ways, shots, steps } = sizes[size];
  const settings: TaskSettings = {
    backbone,
    head: 'prototype',
    rule,
    order,
    normalization: normalizations[normalization],
    ways,
    shots,
    queries: 1,
    steps,
    innerRate: 0.1,
  };
  return taskBatchGraph(settings, tasks);
}
