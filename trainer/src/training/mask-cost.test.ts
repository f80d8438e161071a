import { describe, expect, it } from 'vitest';
import { ortBackend } from '../backends/ort.js';
import { drawings } from '../data/drawings.test.helper.js';
import { sparseMaml } from '../task/rules.js';
import { runConfigSchema } from './config.js';
import { layerCosts, maskPenalty } from './mask-cost.js';
import { frozenShare } from './masks.js';
import { newRun } from './run.js';
import { initialState } from './state.js';
import { train } from './train.js';

const configOf = (overrides: object = {}) =>
  runConfigSchema.parse({
    model: { architecture: 'conv4', channels: [4, 6, 8], blocks: 3, imageSize: 8 },
    rule: 'sparse-maml',
    maskGranularity: 'channel',
    maskCost: { weight: 2 },
    ...overrides,
  });

/** The penalty's gradient by mask, summed over its logits, which are all far on the side that `open` says. */
function pushes(config: ReturnType<typeof configOf>, open: (mask: string, entry: number) => boolean) {
  const state = initialState(config);
  const gradients = new Map<string, Float32Array>();
  for (const [name, { value }] of state.parameters) {
    gradients.set(name, new Float32Array(value.length));
    if (name.startsWith('mask/')) value.set(Array.from(value, (_, i) => (open(name, i) ? 10 : -10)));
  }
  maskPenalty(config, sparseMaml.mask as NonNullable<typeof sparseMaml.mask>)?.(state, gradients);
  const total = (name: string) => gradients.get(name)?.reduce((a, b) => a + b, 0) ?? Number.NaN;
  return { total, gradients };
}

/** Of one image: blocks halve 8 x 8 pixels, the head reads 8 features for 5 classes. */
const costs = { block1: 9 * 1 * 4 * 64, block2: 9 * 4 * 6 * 16, block3: 9 * 6 * 8 * 4, head: 5 * 8 };
const whole = 2 * costs.block1 + 3 * (costs.block2 + costs.block3 + costs.head);

describe('the cost of what moves', () => {
  it('counts the products of each layer', () => {
    expect(Object.fromEntries(layerCosts(configOf()))).toEqual(costs);
  });

  it('pushes an open layer above another by its weight gradient alone, and the lowest by all it keeps from caching', () => {
    const { total, gradients } = pushes(configOf(), () => true);
    expect(total('mask/block2')).toBeCloseTo((2 * costs.block2) / whole, 5);
    expect(total('mask/block1')).toBeCloseTo((2 * (costs.block1 + costs.block1 + costs.block2)) / whole, 5);
    expect(gradients.get('conv1.weight')).toEqual(new Float32Array(36));
  });

  it('pushes the next layer by what its closing saves once those below are closed', () => {
    const { total } = pushes(configOf(), (mask) => mask !== 'mask/block1');
    expect(total('mask/block2')).toBeCloseTo((2 * (costs.block2 + costs.block2 + costs.block3)) / whole, 5);
    expect(total('mask/block1')).toBeCloseTo(0, 5);
    // Half open below, half of it.
    const half = pushes(configOf(), (mask, i) => mask !== 'mask/block1' || i % 2 === 0);
    const expected = 2 * (costs.block2 + 0.5 * (costs.block2 + costs.block3));
    expect(half.total('mask/block2')).toBeCloseTo(expected / whole, 5);
  });

  it('is the difference that a layer makes to the cost of a step', () => {
    // All of block 1 closing saves its weight gradient, its forward pass and the gradient of block 2's input.
    const config = configOf({ maskGranularity: 'layer', maskCost: { weight: 1 } });
    const saved = 2 * costs.block1 + costs.block2;
    expect(pushes(config, () => true).total('mask/block1')).toBeCloseTo(saved / whole, 5);
  });

  it('pushes every mask of a layer, since one that is open keeps it from freezing', () => {
    const config = configOf({ maskGranularity: 'weight' });
    const { total } = pushes(config, (mask) => mask === 'mask/norm1.bias' || !mask.includes('1'));
    expect(total('mask/norm1.bias')).toBeGreaterThan((2 * (costs.block1 + costs.block2)) / whole);
  });

  it('needs a rule that learns masks', () => {
    const parsed = runConfigSchema.safeParse({ ...configOf(), rule: 'maml' });
    expect(parsed.error?.issues[0]).toMatchObject({ path: ['maskCost'], message: 'expected a rule that learns masks' });
    expect(maskPenalty(configOf({ maskCost: undefined }), (logits) => new Uint8Array(logits.length))).toBeUndefined();
  });
});

const dataset = drawings({ train: 12, validation: 8, test: 8 }, { turned: 0.15 });

describe('training with the cost of masks', () => {
  /** Frozen share by layer after a few outer steps, with masks that move fast. */
  async function frozenAfter(maskGranularity: string, weight: number | undefined): Promise<number[]> {
    const shape = { ways: 3, shots: 1, queries: 2 };
    const { config, state } = await newRun({
      ...shape,
      model: { architecture: 'conv4', channels: 4, blocks: 2, imageSize: 8 },
      rule: 'sparse-maml',
      normalization: 'support',
      maskGranularity,
      ...(weight === undefined ? {} : { maskCost: { weight } }),
      innerSteps: 2,
      shots: [1],
      tasksPerStep: 2,
      outerSteps: 60,
      maskRate: 0.02,
      schedule: 'constant',
      seed: 5,
      validation: { ...shape, every: 60, tasks: 2 },
    });
    await train({ config, state, dataset, backend: ortBackend({ threads: 1 }) });
    return Object.values(frozenShare(config, state));
  }

  it.each(['channel', 'weight'])(
    'closes layers per %s from the image upward, the more the more it weighs',
    async (per) => {
      const [none, some, much] = [
        await frozenAfter(per, undefined),
        await frozenAfter(per, 0.01),
        await frozenAfter(per, 1),
      ];
      const [lowest, next] = some as [number, number];
      expect(none[0]).toBeLessThan(0.8);
      expect(lowest).toBeGreaterThan(0.9);
      expect(lowest).toBeGreaterThan(next + 0.1);
      expect(much.slice(0, 2)).toEqual([1, 1]);
    },
  );
});
