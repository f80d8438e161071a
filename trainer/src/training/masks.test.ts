import { describe, expect, it } from 'vitest';
import {
  expandLearned,
  type InnerParameter,
  innerParametersOf,
  type MaskGranularity,
} from '../task/inner-parameters.js';
import { runConfigSchema } from './config.js';
import { frozenShare } from './masks.js';
import { initialState } from './state.js';

const configOf = (overrides: object = {}) =>
  runConfigSchema.parse({
    model: { architecture: 'conv4', channels: 4, blocks: 2, imageSize: 8, convolutionBias: true },
    rule: 'sparse-maml',
    normalization: 'support',
    ...overrides,
  });

/** A state whose logits are `logit(mask, entry)`. */
function shares(config: ReturnType<typeof configOf>, logit: (mask: string, entry: number) => number) {
  const state = initialState(config);
  for (const [name, { value }] of state.parameters) {
    if (name.startsWith('mask/')) value.set(Array.from(value, (_, i) => logit(name, i)));
  }
  return frozenShare(config, state);
}

describe('the frozen share', () => {
  it('weights by parameters, and leaves out biases that normalization takes out', () => {
    const closed = (name: string) => (name === 'mask/norm1.bias' || name === 'mask/conv1.bias' ? -1 : 1);
    expect(shares(configOf(), closed)).toEqual({ block1: 4 / (36 + 4 + 4), block2: 0, head: 0 });
    const open = runConfigSchema.parse({ ...configOf(), normalization: 'population' });
    expect(shares(open, closed)['block1']).toBe(8 / (36 + 4 + 4 + 4));
  });

  it('is that of the channels or layers that are closed', () => {
    const channels = configOf({ maskGranularity: 'channel' });
    const quarter = (name: string, i: number) => (name === 'mask/block2' && i === 1 ? -1 : 1);
    expect(shares(channels, quarter)).toEqual({ block1: 0, block2: 0.25, head: 0 });
    const layers = configOf({ maskGranularity: 'layer', rule: 'sparse-relu-maml' });
    expect(shares(layers, (name) => (name === 'mask/block1' ? -1 : 1))).toEqual({ block1: 1, block2: 0, head: 0 });
  });

  it('starts at about half per channel, at nothing per layer', () => {
    const wide = configOf({ maskGranularity: 'channel', model: { architecture: 'conv4' } });
    const some = frozenShare(wide, initialState(wide));
    for (const layer of ['block1', 'block4', 'head']) expect(Math.abs((some[layer] ?? 0) - 0.5)).toBeLessThan(0.25);
    const none = configOf({ maskGranularity: 'layer' });
    expect(frozenShare(none, initialState(none))).toEqual({ block1: 0, block2: 0, head: 0 });
  });
});

describe('masks', () => {
  it('per channel need the same channels in all parameters of a layer', () => {
    const initializer = { kind: 'constant', value: 0 } as const;
    const specs = [4, 8].map((size, i) => ({ name: `p${i}`, shape: [size, 3], layer: 'block1', initializer }));
    expect(() => innerParametersOf(specs, 'channel')).toThrow(
      '"p1": expected the mask [4] that layer "block1" shares, got [8]',
    );
    expect(innerParametersOf(specs, 'weight')).toHaveLength(2);
  });

  it('expand to the entries they cover', () => {
    const initializer = { kind: 'constant', value: 0 } as const;
    const expand = <T extends Uint8Array | Float32Array>(
      learned: T,
      granularity: MaskGranularity,
      channelAxis: number,
    ) => {
      const spec = { name: 'fc.weight', shape: [2, 3], layer: 'fc', initializer, channelAxis };
      return expandLearned(learned, innerParametersOf([spec], granularity)[0] as InnerParameter);
    };
    expect(expand(Uint8Array.of(1, 0), 'channel', 0)).toEqual(Uint8Array.of(1, 1, 1, 0, 0, 0));
    expect(expand(Uint8Array.of(1, 0, 1), 'channel', 1)).toEqual(Uint8Array.of(1, 0, 1, 1, 0, 1));
    expect(expand(Float32Array.of(0.5), 'layer', 0)).toEqual(new Float32Array(6).fill(0.5));
    expect(expand(Float32Array.of(1, 2, 3, 4, 5, 6), 'weight', 0)).toEqual(Float32Array.of(1, 2, 3, 4, 5, 6));
  });
});
