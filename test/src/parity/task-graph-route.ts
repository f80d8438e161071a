import { evaluate, makeTensor, type Tensor } from '@whet/compiler';
import type { Example } from '@whet/runtime';
import { randomImages } from '@whet/tools/bundles/tiny-bundle';
import { buildTask, type Checkpoint, type Rule, type TaskSettings, taskSettings } from '@whet/trainer';

export const examplesOf = (images: readonly Float32Array[], labels: readonly string[]): Example[] =>
  images.map((image, i) => ({ image, label: labels[i] as string }));

/** The same adaptation by the trainer's task graph in float64, which is checked against PyTorch; to classes that arrive in stages, of a stream. */
export function adaptedByTaskGraph(
  checkpoint: Checkpoint,
  rule: Rule,
  ways: number,
  shots: number,
  steps: number,
  stream: Partial<Pick<TaskSettings, 'stages' | 'remember'>> = {},
) {
  const { config, state } = checkpoint;
  const task = buildTask({ ...taskSettings({ ...config, ways, queries: 1 }, shots), rule, steps, ...stream });
  const { imageSize } = config.model;
  const support = randomImages('support', ways * shots, imageSize);
  const query = randomImages('query', ways, imageSize);
  const stacked = (images: readonly Float32Array[]): Tensor =>
    makeTensor([images.length, 1, imageSize, imageSize], Float64Array.from(images.flatMap((image) => [...image])));
  const labels = (perClass: number): Tensor => {
    const rows = Array.from({ length: ways * perClass }, (_, i) => Math.floor(i / perClass));
    const values = rows.flatMap((row) => Array.from({ length: ways }, (_, way) => Number(way === row)));
    return makeTensor([rows.length, ways], values);
  };
  const feeds = new Map<string, Tensor>([
    ['support', stacked(support)],
    ['supportLabels', labels(shots)],
    ['query', stacked(query)],
    ['queryLabels', labels(1)],
  ]);
  for (const [name, value] of task.meta) {
    const parameter = state.parameters.get(name);
    if (parameter) feeds.set(name, makeTensor(value.shape as number[], parameter.value));
  }
  for (const [name, { mean, variance }] of state.moments) {
    feeds.set(`${name}.mean`, makeTensor([1, mean.length, 1, 1], mean));
    feeds.set(`${name}.variance`, makeTensor([1, variance.length, 1, 1], variance));
  }
  const outputs = new Map([['logits', task.queryLogits], ...task.adapted]);
  task.supportLosses.forEach((loss, step) => {
    outputs.set(`loss@${step}`, loss);
  });
  for (const [name, { mean, variance }] of task.supportMoments) {
    outputs.set(`${name}.mean`, mean).set(`${name}.variance`, variance);
  }
  const results = evaluate({ name: 'task', inputs: task.inputs, outputs }, feeds);
  const classes = Array.from({ length: ways }, (_, way) => `class ${way}`);
  const examples = examplesOf(
    support,
    support.map((_, i) => classes[Math.floor(i / shots)] as string),
  );
  return { results, examples, query, classes };
}

export function softmax(logits: ArrayLike<number>): number[] {
  const values = Array.from(logits);
  const max = Math.max(...values);
  const powers = values.map((value) => Math.exp(value - max));
  const sum = powers.reduce((a, b) => a + b, 0);
  return powers.map((power) => power / sum);
}
