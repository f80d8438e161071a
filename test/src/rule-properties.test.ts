import { evaluate, gradients, type Tensor, type Value } from '@whet/compiler';
import { conv4 } from '@whet/models';
import { anil, buildTask, generatorFor, maml, type Rule, sparseMaml, type TaskSettings } from '@whet/trainer';
import { describe, expect, it } from 'vitest';
import { relativeError } from './reference.js';

const base: TaskSettings = {
  backbone: conv4({ blocks: 1, channels: 3, imageSize: 5 }),
  head: 'fixed',
  rule: maml,
  order: 2,
  normalization: 'support',
  ways: 3,
  shots: 2,
  queries: 2,
  steps: 2,
  innerRate: 0.1,
};

/** Runs a task on random data and parameters; `logit` sets every mask. Returns adapted weights and meta-gradients. */
function runTask(settings: Partial<TaskSettings>, logit = 1): Map<string, Tensor> {
  const task = buildTask({ ...base, ...settings });
  const feeds = new Map<string, Tensor>();
  for (const { name, shape } of task.inputs) {
    const random = generatorFor(1, name, 0);
    const dims = shape as number[];
    const data = Float64Array.from({ length: dims.reduce((a, b) => a * b, 1) }, () => 0.5 * random.normal());
    if (name.startsWith('mask/')) data.fill(logit);
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

  it('sparse-MAML with every mask open is MAML', () => {
    const [sparse, dense] = [runTask({ rule: sparseMaml }, 0.3), runTask({ rule: maml })];
    for (const name of all) {
      expect(relativeError(data(sparse, name), data(dense, name)), name).toBeLessThan(1e-12);
      expect(relativeError(data(sparse, `grad/${name}`), data(dense, `grad/${name}`)), name).toBeLessThan(1e-12);
    }
  });

  it('sparse-MAML with every mask closed moves nothing, and its masks still learn', () => {
    const results = runTask({ rule: sparseMaml }, -0.3);
    for (const name of all) expect(data(results, name), name).toEqual(data(results, `start/${name}`));
    const learned = Array.from(data(results, 'grad/mask/head.weight'));
    expect(Math.max(...learned.map(Math.abs))).toBeGreaterThan(1e-4);
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
      const results = runTask({ head, normalization: 'population' });
      expect(results.get('head.weight')?.shape).toEqual([3, base.backbone.features]);
      expect(Array.from(data(results, 'head.weight')).every(Number.isFinite)).toBe(true);
      expect(results.has(head === 'shared' ? 'grad/head.weight' : 'grad/head.scale')).toBe(true);
    },
  );
});
