import { type Graph, graphCost } from '@whet/compiler';
import type { Manifest } from '@whet/runtime';

type StepMemory = NonNullable<Manifest['patterns'][string]['stepMemory']>;

const EXAMPLES = 25;

/** What a manifest says of a step's memory, for 25 examples. */
export function stepMemory(step: Graph, classes = 5): StepMemory {
  const { peakActivationBytes } = graphCost(step, { N: EXAMPLES, W: classes });
  return { examples: EXAMPLES, classes, peakActivationBytes };
}
