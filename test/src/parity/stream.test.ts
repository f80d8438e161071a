import { fileURLToPath } from 'node:url';
import { evaluate, gradients, makeTensor, type Tensor, type Value } from '@whet/compiler';
import { conv4 } from '@whet/models';
import { buildTask, type NormalizationName, normalizations, rules, type TaskSettings } from '@whet/trainer';
import { describe, expect, it } from 'vitest';
import { runOnOrt } from './ort.js';
import { decodeReference, type EncodedTensor, readReference, relativeError } from './reference.js';

interface StreamCase {
  readonly rule: string;
  readonly head: 'prototype' | 'cosine';
  readonly normalization: NormalizationName;
  readonly remember: number;
  readonly order: 1 | 2;
  readonly supportLosses: readonly number[];
  readonly queryLoss: number;
  readonly outerLoss: number;
  readonly queryLogits: EncodedTensor;
  readonly metaGradients: Record<string, EncodedTensor>;
}

const { settings, values, cases } = readReference<{
  readonly settings: Record<
    'blocks' | 'channels' | 'size' | 'stages' | 'ways' | 'shots' | 'queries' | 'steps' | 'innerRate',
    number
  >;
  readonly values: Record<string, EncodedTensor>;
  readonly cases: readonly StreamCase[];
}>(fileURLToPath(new URL('../../reference/stream.json', import.meta.url)));

function settingsOf({ rule, normalization, ...others }: Partial<StreamCase>): TaskSettings {
  const { blocks, channels, size: imageSize, ...sizes } = settings;
  return {
    ...sizes,
    backbone: conv4({ blocks, channels, imageSize }),
    head: 'prototype',
    order: 1,
    ...others,
    rule: rules.get(rule ?? 'sparse-maml') as TaskSettings['rule'],
    normalization: normalizations[normalization ?? 'layer'],
  };
}

const classMajor = (ways: number, each: number): Tensor =>
  makeTensor(
    [ways * each, ways],
    Array.from({ length: ways * each * ways }, (_, i) => Number(Math.floor(i / ways / each) === i % ways)),
  );

const feeds = new Map<string, Tensor>([
  ...Object.entries(values).map(([name, value]) => [name, decodeReference(value)] as const),
  ['supportLabels', classMajor(settings.ways, settings.shots)],
  ['queryLabels', classMajor(settings.ways, settings.queries)],
]);

/** A task's graph with its losses, logits and meta-gradients. */
function graphOf(task: TaskSettings) {
  const { builder, inputs, meta, supportLosses, queryLogits, queryLoss, outerLoss } = buildTask(task);
  const outputs = new Map<string, Value>();
  outputs.set('queryLogits', queryLogits).set('queryLoss', queryLoss).set('outerLoss', outerLoss);
  for (const [step, loss] of supportLosses.entries()) outputs.set(`supportLoss@${step}`, loss);
  const names = [...meta.keys()];
  gradients(builder, outerLoss, [...meta.values()]).forEach((gradient, i) => {
    if (gradient) outputs.set(`grad/${names[i]}`, gradient);
  });
  return { name: 'task', inputs, outputs };
}

const fed = ({ inputs }: ReturnType<typeof graphOf>) =>
  new Map(inputs.map(({ name }) => [name, feeds.get(name) as Tensor]));

describe('a task whose classes arrive in stages', () => {
  it.each(cases)('$rule, $head, $normalization, remembers $remember, order $order: as by PyTorch', async (test) => {
    const graph = graphOf(settingsOf(test));
    const exact = evaluate(graph, fed(graph));
    const single = await runOnOrt(graph, fed(graph));
    const expected = new Map<string, ArrayLike<number>>([
      ['queryLogits', decodeReference(test.queryLogits).data],
      ['queryLoss', [test.queryLoss]],
      ['outerLoss', [test.outerLoss]],
      ...test.supportLosses.map((loss, step) => [`supportLoss@${step}`, [loss]] as const),
      ...Object.entries(test.metaGradients).map(
        ([name, value]) => [`grad/${name}`, decodeReference(value).data] as const,
      ),
    ]);
    const found = [...graph.outputs.keys()].filter((name) => name.startsWith('grad/'));
    expect(found.sort()).toEqual(
      Object.keys(test.metaGradients)
        .map((name) => `grad/${name}`)
        .sort(),
    );
    for (const [name, want] of expected) {
      const floor = name.startsWith('grad/') ? 1e-2 : 1;
      expect(relativeError(exact.get(name)?.data ?? [], want, floor), `${name} in float64`).toBeLessThan(1e-9);
      const bound = test.order === 1 ? 1e-4 : 1e-3;
      expect(relativeError(single.get(name) ?? [], want, floor), `${name} on onnxruntime`).toBeLessThan(bound);
    }
  });
});
