import { evaluate, gradients, type Tensor, type Value } from '@whet/compiler';
import { conv4 } from '@whet/models';
import {
  anil,
  buildTask,
  generatorFor,
  maml,
  maskGranularities,
  normalizations,
  type Rule,
  sparseMaml,
  sparseReluMaml,
  type TaskSettings,
} from '@whet/trainer';
import { describe, expect, it } from 'vitest';
import { relativeError } from './reference.js';

const base: TaskSettings = {
  backbone: conv4({ blocks: 1, channels: 3, imageSize: 5 }),
  head: 'fixed',
  rule: maml,
  order: 2,
  normalization: normalizations.support,
  ways: 3,
  shots: 2,
  queries: 2,
  steps: 2,
  innerRate: 0.1,
};

type Logits = number | ((mask: string, entry: number) => number);

/** Runs a task on random data and parameters; `logit` sets the masks. Returns adapted weights and meta-gradients. */
function runTask(settings: Partial<TaskSettings>, logit: Logits = 1): Map<string, Tensor> {
  const task = buildTask({ ...base, ...settings });
  const feeds = new Map<string, Tensor>();
  for (const { name, shape } of task.inputs) {
    const random = generatorFor(1, name, 0);
    const dims = shape as number[];
    const data = Float64Array.from({ length: dims.reduce((a, b) => a * b, 1) }, () => 0.5 * random.normal());
    if (name.startsWith('mask/'))
      data.forEach((_, i) => {
        data[i] = typeof logit === 'number' ? logit : logit(name, i);
      });
    const ways = dims.at(-1) as number;
    if (name.endsWith('Labels'))
      data.forEach((_, i) => {
        data[i] = Number(i % ways === Math.floor(i / ways) % ways);
      });
    if (name.endsWith('.variance'))
      data.forEach((v, i) => {
        data[i] = 1 + v * v;
      });
    feeds.set(name, { dtype: 'float32', shape: dims, data });
  }
  const outputs = new Map<string, Value>(task.adapted);
  const names = [...task.meta.keys()];
  gradients(task.builder, task.queryLoss, [...task.meta.values()]).forEach((gradient, i) => {
    if (gradient) outputs.set(`grad/${names[i]}`, gradient);
  });
  const results = evaluate({ name: 'task', inputs: task.inputs, outputs }, feeds);
  for (const [name, tensor] of feeds) if (task.meta.has(name)) results.set(`start/${name}`, tensor);
  return results;
}

const data = (results: Map<string, Tensor>, name: string) => results.get(name)?.data ?? [];
const body = base.backbone.parameters.map(({ name }) => name);
const all = [...body, 'head.weight', 'head.bias'];

describe('update rules', () => {
  it('ANIL is MAML with only the head moving', () => {
    const headOnly: Rule = { ...maml, moves: ({ layer }) => layer === 'head' };
    const [a, b] = [runTask({ rule: anil }), runTask({ rule: headOnly })];
    for (const name of all) expect(data(a, name), name).toEqual(data(b, name));
    for (const name of body) expect(data(a, name), name).toEqual(data(a, `start/${name}`));
    expect(relativeError(data(a, 'head.weight'), data(a, 'start/head.weight'))).toBeGreaterThan(1e-3);
  });

  // sparse-ReLU-MAML's open logit is its rate.
  const masked = maskGranularities.flatMap((maskGranularity) => [
    { rule: sparseMaml, logit: 0.3, maskGranularity },
    { rule: sparseReluMaml, logit: base.innerRate, maskGranularity },
  ]);
  it.each(masked)(
    '$rule.name with every mask per $maskGranularity open is MAML',
    ({ rule, logit, maskGranularity }) => {
      const [sparse, dense] = [runTask({ rule, maskGranularity }, logit), runTask({ rule: maml })];
      for (const name of all) {
        expect(relativeError(data(sparse, name), data(dense, name)), name).toBeLessThan(1e-12);
        expect(relativeError(data(sparse, `grad/${name}`), data(dense, `grad/${name}`)), name).toBeLessThan(1e-12);
      }
    },
  );

  it.each(masked)(
    '$rule.name with every mask per $maskGranularity closed moves nothing, and its masks still learn',
    ({ rule, logit, maskGranularity }) => {
      const results = runTask({ rule, maskGranularity }, -logit);
      for (const name of all) expect(data(results, name), name).toEqual(data(results, `start/${name}`));
      const masks = [...results.keys()].filter((name) => name.startsWith('grad/mask/'));
      const names = {
        weight: ['conv1.weight', 'norm1.weight', 'norm1.bias', 'head.weight', 'head.bias'],
        channel: ['block1', 'head.weight', 'head.bias'],
        layer: ['block1', 'head'],
      };
      expect(masks.sort()).toEqual(names[maskGranularity].map((name) => `grad/mask/${name}`).sort());
      for (const name of masks) expect(Math.max(...Array.from(data(results, name)).map(Math.abs)), name).not.toBe(0);
    },
  );

  it.each([
    ['channel', 'block1', ['conv1.weight', 'norm1.weight', 'norm1.bias'], 3],
    ['layer', 'head', ['head.weight', 'head.bias'], 1],
  ] as const)(
    'a logit per %s of %s has the sum of what its weights would give it',
    (maskGranularity, mask, of, size) => {
      const shared = runTask({ rule: sparseMaml, maskGranularity });
      const single = runTask({ rule: sparseMaml });
      const sums = new Float64Array(size);
      for (const name of of) {
        const each = data(single, `grad/mask/${name}`);
        const run = each.length / size;
        sums.forEach((sum, at) => {
          sums[at] = Array.from(each)
            .slice(at * run, (at + 1) * run)
            .reduce((a, b) => a + b, sum);
        });
      }
      expect(relativeError(data(shared, `grad/mask/${mask}`), sums)).toBeLessThan(1e-12);
    },
  );

  it('a closed channel stays as it is, scale and shift too, and another moves as under MAML', () => {
    const closed = 1;
    const settings = { rule: sparseMaml, maskGranularity: 'channel', steps: 1 } as const;
    const results = runTask(settings, (name, i) => (name === 'mask/block1' && i === closed ? -1 : 1));
    const dense = runTask({ rule: maml, steps: 1 });
    for (const name of body) {
      const values = data(results, name);
      const run = values.length / 3;
      const channel = (of: ArrayLike<number>, at: number) => Array.from(of).slice(at * run, (at + 1) * run);
      expect(channel(values, closed), name).toEqual(channel(data(results, `start/${name}`), closed));
      expect(relativeError(channel(values, 0), channel(data(dense, name), 0)), name).toBeLessThan(1e-12);
      expect(channel(values, 0), name).not.toEqual(channel(data(results, `start/${name}`), 0));
    }
  });

  it.each(['fixed', 'shared'] as const)('masks of a %s head per channel are per feature, for all classes', (head) => {
    const shapes = buildTask({ ...base, rule: sparseMaml, maskGranularity: 'channel', head }).meta;
    expect(shapes.get('mask/head.weight')?.shape).toEqual([1, base.backbone.features]);
    expect(shapes.get('mask/head.bias')?.shape).toEqual([1]);
  });

  it('first and second order differ for a network, and agree where the inner gradient is constant', () => {
    const [first, second] = [runTask({ order: 1 }), runTask({ order: 2 })];
    expect(relativeError(data(first, 'grad/conv1.weight'), data(second, 'grad/conv1.weight'))).toBeGreaterThan(1e-3);
    // Without an inner step there is no inner gradient to differentiate.
    const [none1, none2] = [runTask({ order: 1, steps: 0 }), runTask({ order: 2, steps: 0 })];
    for (const name of all) expect(data(none1, `grad/${name}`), name).toEqual(data(none2, `grad/${name}`));
  });

  it.each(['prototype', 'shared'] as const)(
    'a %s head has a row per class of the task, and learns its start',
    (head) => {
      const results = runTask({ head, normalization: normalizations.population });
      expect(results.get('head.weight')?.shape).toEqual([3, base.backbone.features]);
      expect(Array.from(data(results, 'head.weight')).every(Number.isFinite)).toBe(true);
      expect(results.has(head === 'shared' ? 'grad/head.weight' : 'grad/head.scale')).toBe(true);
    },
  );
});
