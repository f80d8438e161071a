import type { Graph, Tensor, Value } from '@whet/compiler';
import { evaluate, gradients, makeTensor } from '@whet/compiler';
import { conv4 } from '@whet/models';
import { buildTask, type NormalizationName, normalizations, rules, type TaskSettings } from '@whet/trainer';
import { describe, expect, it } from 'vitest';
import { runOnOrt } from './ort.js';
import { decodeReference, type EncodedTensor, readReference, referenceFiles, relativeError } from './reference.js';

interface Expected {
  readonly supportLosses: readonly number[];
  readonly adapted: Record<string, EncodedTensor>;
  readonly queryLogits: EncodedTensor;
  readonly queryLoss: number;
  readonly metaGradients: Record<string, EncodedTensor>;
  readonly ruleGradients?: Record<string, EncodedTensor>;
  /** Per normalization, from the image upward. */
  readonly supportMoments?: readonly Record<'mean' | 'variance', EncodedTensor>[];
}

interface RuleCase {
  readonly rule: string;
  readonly config: Record<
    'blocks' | 'channels' | 'inputChannels' | 'size' | 'ways' | 'shots' | 'queries' | 'steps' | 'innerLr',
    number
  >;
  readonly parameters: Record<string, EncodedTensor>;
  readonly ruleParameters?: Record<string, EncodedTensor>;
  readonly support: { readonly x: EncodedTensor; readonly y: EncodedTensor };
  readonly query: { readonly x: EncodedTensor; readonly y: EncodedTensor };
  readonly expected: Record<string, Expected>;
}

function oneHot(labels: EncodedTensor, ways: number): Tensor {
  const { data } = decodeReference(labels);
  const rows = Array.from(data, (label) => Array.from({ length: ways }, (_, way) => Number(way === label)));
  return makeTensor([data.length, ways], rows.flat());
}

function taskSettings(test: RuleCase, order: 1 | 2, normalization: NormalizationName): TaskSettings {
  const { config } = test;
  const rule = rules.get(test.rule);
  if (!rule) throw new Error(`no rule "${test.rule}"`);
  const backbone = conv4({
    blocks: config.blocks,
    channels: config.channels,
    imageChannels: config.inputChannels,
    imageSize: config.size,
    convolutionBias: true,
  });
  const { ways, shots, queries, steps, innerLr } = config;
  return {
    backbone,
    head: 'fixed',
    rule,
    order,
    normalization: normalizations[normalization],
    ways,
    shots,
    queries,
    steps,
    innerRate: innerLr,
  };
}

function caseGraph(test: RuleCase, order: 1 | 2, normalization: NormalizationName): Graph {
  const task = buildTask(taskSettings(test, order, normalization));
  const outputs = new Map<string, Value>([
    ['queryLoss', task.queryLoss],
    ['queryLogits', task.queryLogits],
  ]);
  task.supportLosses.forEach((loss, step) => {
    outputs.set(`supportLoss@${step}`, loss);
  });
  for (const [name, value] of task.adapted) outputs.set(`adapted/${name}`, value);
  for (const [name, { mean, variance }] of task.supportMoments) {
    outputs.set(`${name}/mean`, mean).set(`${name}/variance`, variance);
  }
  const names = [...task.meta.keys()];
  gradients(task.builder, task.queryLoss, [...task.meta.values()]).forEach((gradient, i) => {
    if (gradient) outputs.set(`grad/${names[i]}`, gradient);
  });
  return { name: 'task', inputs: task.inputs, outputs };
}

/** What the outer loop learns about a parameter: its mask or its rate. */
function learnedName(rule: string, name: string): string {
  const mask = { name, shape: [], broadcast: [], granularity: 'weight' } as const;
  const spec = rules.get(rule)?.learns?.({ name, layer: '', learnedShape: [], mask }, 0);
  if (!spec) throw new Error(`rule "${rule}" learns nothing`);
  return spec.name;
}

function feedsOf(test: RuleCase): Map<string, Tensor> {
  const feeds = new Map<string, Tensor>([
    ['support', decodeReference(test.support.x)],
    ['query', decodeReference(test.query.x)],
    ['supportLabels', oneHot(test.support.y, test.config.ways)],
    ['queryLabels', oneHot(test.query.y, test.config.ways)],
  ]);
  for (const [name, tensor] of Object.entries(test.parameters)) feeds.set(name, decodeReference(tensor));
  for (const [name, tensor] of Object.entries(test.ruleParameters ?? {})) {
    feeds.set(learnedName(test.rule, name), decodeReference(tensor));
  }
  return feeds;
}

function expectedValues(rule: string, expected: Expected): Map<string, ArrayLike<number>> {
  const values = new Map<string, ArrayLike<number>>([
    ['queryLoss', [expected.queryLoss]],
    ['queryLogits', decodeReference(expected.queryLogits).data],
  ]);
  expected.supportLosses.forEach((loss, step) => {
    values.set(`supportLoss@${step}`, [loss]);
  });
  for (const [name, tensor] of Object.entries(expected.adapted))
    values.set(`adapted/${name}`, decodeReference(tensor).data);
  for (const [name, tensor] of Object.entries(expected.metaGradients))
    values.set(`grad/${name}`, decodeReference(tensor).data);
  for (const [name, tensor] of Object.entries(expected.ruleGradients ?? {})) {
    values.set(`grad/${learnedName(rule, name)}`, decodeReference(tensor).data);
  }
  expected.supportMoments?.forEach(({ mean, variance }, i) => {
    values
      .set(`norm${i + 1}/mean`, decodeReference(mean).data)
      .set(`norm${i + 1}/variance`, decodeReference(variance).data);
  });
  return values;
}

const cases = referenceFiles('rule-').map((file) => readReference<RuleCase>(file));

describe('update rules against PyTorch in float64', () => {
  it('has a reference case for every rule, and leaves none out', () => {
    // A folder of further cases may have several of a rule.
    expect([...new Set(cases.map((test) => test.rule))].sort()).toEqual([...rules.keys()].sort());
  });

  const variants = cases.flatMap((test) =>
    Object.entries(test.expected).map(([variant, expected]) => ({ test, rule: test.rule, variant, expected })),
  );
  it.each(variants)('$rule, $variant', async ({ test, variant, expected }) => {
    const [normalization, order] = variant.split('/') as [NormalizationName, string];
    const graph = caseGraph(test, order === 'first-order' ? 1 : 2, normalization);
    const feeds = feedsOf(test);
    const exact = evaluate(graph, feeds);
    const single = await runOnOrt(graph, feeds);
    for (const [name, want] of expectedValues(test.rule, expected)) {
      const zero = new Float64Array(want.length);
      const scale = name.startsWith('grad/') ? 1e-2 : 1;
      expect(relativeError(exact.get(name)?.data ?? zero, want, scale), `${name} in float64`).toBeLessThan(1e-9);
      const bound = order === 'first-order' ? 1e-4 : 1e-3;
      expect(relativeError(single.get(name) ?? zero, want, scale), `${name} on onnxruntime`).toBeLessThan(bound);
    }
  });
});
