import {
  batchGraph,
  evaluate,
  type Graph,
  GraphBuilder,
  makeTensor,
  nodesOf,
  sizeOf,
  type Tensor,
} from '@whet/compiler';
import { conv4, type HeadKind, resnet12 } from '@whet/models';
import { describe, expect, it } from 'vitest';
import { normalizationNames, normalizations } from './normalizations.js';
import { rules } from './rules.js';
import type { TaskSettings } from './task-graph.js';
import { metaGradientGraph } from './training-graphs.js';

const TASKS = 3;
const TASK_INPUTS = new Set(['support', 'supportLabels', 'query', 'queryLabels']);

function settings(partial: Partial<TaskSettings>): TaskSettings {
  return {
    backbone: conv4({ channels: 3, blocks: 2, imageSize: 6, convolutionBias: true }),
    head: 'prototype',
    rule: rules.get('maml') as TaskSettings['rule'],
    order: 1,
    normalization: normalizations.support,
    ways: 2,
    shots: 2,
    queries: 1,
    steps: 2,
    innerRate: 0.1,
    ...partial,
  };
}

const wave = (shape: readonly number[], seed: number): Tensor =>
  makeTensor(
    shape,
    Float64Array.from({ length: sizeOf(shape) }, (_, i) => Math.sin(1.7 * i + 13 * seed)),
  );

/** A value for each input: one-hot labels, positive variances, anything else a wave. */
function feedFor(name: string, shape: readonly number[], seed: number): Tensor {
  const { data } = wave(shape, seed);
  if (name.endsWith('Labels')) {
    const [rows = 1, ways = 1] = shape;
    const labels = data.map((_, i) => Number(Math.floor((Math.floor(i / ways) * ways) / rows) === i % ways));
    return makeTensor(shape, labels);
  }
  return makeTensor(shape, name.endsWith('.variance') ? data.map((value) => 1.5 + value) : data);
}

function expectSameForEveryTask(graph: Graph): void {
  const batched = batchGraph(graph, TASKS, TASK_INPUTS);
  const shared = new Map<string, Tensor>();
  const own = Array.from({ length: TASKS }, () => new Map<string, Tensor>());
  const together = new Map<string, Tensor>();
  graph.inputs.forEach(({ name, shape }, i) => {
    const known = shape as readonly number[];
    if (!TASK_INPUTS.has(name)) {
      shared.set(name, feedFor(name, known, i));
      return;
    }
    for (const [task, feeds] of own.entries()) feeds.set(name, feedFor(name, known, i + 0.1 * task));
    const parts = own.flatMap((feeds) => Array.from(feeds.get(name)?.data ?? []));
    together.set(name, makeTensor([TASKS, ...known], parts));
  });
  const found = evaluate(batched, new Map([...shared, ...together]));
  own.forEach((feeds, task) => {
    for (const [name, { shape, data }] of evaluate(graph, new Map([...shared, ...feeds]))) {
      const all = found.get(name);
      expect(all?.shape, name).toEqual([TASKS, ...shape]);
      data.forEach((value, i) => {
        expect(all?.data[task * data.length + i], `${name} of task ${task}`).toBeCloseTo(value, 10);
      });
    }
  });
}

describe('many tasks in one graph', () => {
  const variants = [...rules.values()].flatMap((rule) =>
    normalizationNames.flatMap((normalization) =>
      ([1, 2] as const).map((order) => [rule.name, normalization, order] as const),
    ),
  );
  it.each(variants)('%s, %s, order %i: every task as by itself', (name, normalization, order) => {
    const rule = rules.get(name) as TaskSettings['rule'];
    expectSameForEveryTask(metaGradientGraph(settings({ rule, normalization: normalizations[normalization], order })));
  });

  it.each(['fixed', 'shared'] satisfies HeadKind[])('a %s head', (head) => {
    expectSameForEveryTask(metaGradientGraph(settings({ head })));
  });

  it.each(['channel', 'layer'] as const)('masks per %s', (maskGranularity) => {
    for (const name of ['sparse-maml', 'sparse-relu-maml']) {
      const rule = rules.get(name) as TaskSettings['rule'];
      expectSameForEveryTask(metaGradientGraph(settings({ rule, maskGranularity, order: 2 })));
    }
  });

  it('classes that arrive in stages, with one example remembered of each', () => {
    const rule = rules.get('sparse-maml') as TaskSettings['rule'];
    const stream = { ways: 4, stages: 2, remember: 1, rule, normalization: normalizations.layer, steps: 1 };
    expectSameForEveryTask(metaGradientGraph(settings(stream)));
  });

  it('images halved by a stride, and an odd size pooled', () => {
    for (const downsample of ['stride', 'pool'] as const) {
      const backbone = conv4({ channels: 2, blocks: 2, imageSize: 7, downsample });
      expectSameForEveryTask(metaGradientGraph(settings({ backbone, order: 2 })));
    }
  });

  it.each(normalizationNames.flatMap((normalization) => ([1, 2] as const).map((order) => ({ normalization, order }))))(
    'residual blocks, $normalization, order $order',
    ({ normalization, order }) => {
      const backbone = resnet12({ channels: [2, 3, 2, 3], imageChannels: 1, imageSize: 17 });
      expectSameForEveryTask(
        metaGradientGraph(
          settings({ backbone, normalization: normalizations[normalization], order, shots: 1, steps: 1 }),
        ),
      );
    },
  );

  it('runs what all tasks share once, and shared weights over all images at once', () => {
    const graph = metaGradientGraph(settings({ steps: 0 }));
    const batched = batchGraph(graph, TASKS, TASK_INPUTS);
    const convolutions = nodesOf(batched.outputs.values()).filter(({ op }) => op === 'Conv');
    const groups = convolutions.map(({ attributes }) => (attributes as { group: number }).group);
    expect(groups).toEqual(convolutions.map(() => 1));
    expect(convolutions.map(({ output }) => output.shape[0])).toContain(TASKS * 4);
  });

  it('says which node cannot run for many tasks', () => {
    const graph = metaGradientGraph(settings({}));
    expect(() => batchGraph({ ...graph, inputs: graph.inputs.slice(1) }, TASKS, TASK_INPUTS)).toThrow(
      '"support" is no input of it',
    );
    const g = new GraphBuilder();
    const x = g.input('x', [2, 2]);
    const largest = g.apply('ArgMax', [x], { axis: 0, keepdims: 0 }, 'largest');
    const other = { name: 'other', inputs: [x], outputs: new Map([['y', largest]]) };
    expect(() => batchGraph(other, TASKS, new Set(['x']))).toThrow(
      'ArgMax "largest" cannot run for many tasks at once',
    );
    expect(batchGraph(other, TASKS, new Set()).outputs.get('y')?.shape).toEqual([TASKS, 2]);
  });
});
