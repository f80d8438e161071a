import { Tensor } from 'onnxruntime-common';
import { oneHot } from './one-hot.js';
import type { KeptHead, Pattern } from './pattern.js';
import type { Profile, ProfileValue } from './profile.js';
import { startHead } from './start-head.js';
import { notFinite, notFiniteIn, type Stepped, type TensorFeeds, takeSteps } from './take-steps.js';
import type { AdaptOptions } from './types.js';

const headOf = ({ values }: Profile): KeptHead => ({
  weight: values.get('head.weight') as ProfileValue,
  bias: values.get('head.bias') as ProfileValue,
});

/**
 * The inner loop: starts the head from the support features, or where `from` ended, then takes `steps` gradient steps. Under `support`
 * normalization the moments follow, at the values after the last step; those of the frozen part come with `encoded`.
 */
export async function adaptPattern(
  pattern: Pattern,
  encoded: TensorFeeds,
  labels: Int32Array,
  ways: number,
  options: AdaptOptions & { readonly steps: number; readonly rate: number },
): Promise<Pick<Stepped, 'losses' | 'loss' | 'halved'> & { readonly values: Map<string, ProfileValue> }> {
  const { from } = options;
  const below = Object.fromEntries(
    Array.from(pattern.start, ([name, start]) => {
      const { shape, data } = from?.values.get(name) ?? start;
      return [name, new Tensor('float32', data, shape)];
    }),
  );
  options.signal?.throwIfAborted();
  const features = encoded['features'] as Tensor;
  const head = await startHead(pattern, features, labels, ways, below, from && headOf(from));
  const constants = { ...encoded, labels: new Tensor('float32', oneHot(labels, ways), [labels.length, ways]) };
  const { moments, ...stepped } = await takeSteps(pattern, constants, labels, { ...below, ...head }, options);
  options.signal?.throwIfAborted();
  const observed = { ...encoded, ...moments };
  const values = new Map<string, ProfileValue>();
  const keep = (name: string, { dims, data }: Tensor) => {
    const stored = (data as Float32Array).slice();
    const bad = notFiniteIn(stored);
    if (bad !== undefined) throw notFinite(`${bad} in "${name}"`);
    values.set(name, { shape: dims, data: stored });
  };
  for (const [name, value] of Object.entries(stepped.values)) keep(name, value);
  for (const name of [...pattern.moments.frozen.keys(), ...pattern.moments.moving.keys()]) {
    keep(name, observed[name] as Tensor);
  }
  return { ...stepped, values };
}
