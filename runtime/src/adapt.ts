import { Tensor } from 'onnxruntime-common';
import { InputError } from './errors.js';
import { oneHot } from './one-hot.js';
import { type KeptHead, nextName, type Pattern } from './pattern.js';
import type { Profile, ProfileValue } from './profile.js';
import { runSession } from './run-session.js';
import { startHead } from './start-head.js';
import type { AdaptOptions } from './types.js';

const diverged = (got: string) => new InputError('rate', `expected steps that converge, got ${got}; take a lower rate`);

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
  encoded: Readonly<Record<string, Tensor>>,
  labels: Int32Array,
  ways: number,
  options: AdaptOptions & { readonly steps: number; readonly rate: number },
): Promise<{ values: Map<string, ProfileValue>; losses: number[] }> {
  let values: Record<string, Tensor> = {};
  const { from } = options;
  for (const [name, start] of pattern.start) {
    const { shape, data } = from?.values.get(name) ?? start;
    values[name] = new Tensor('float32', data, shape);
  }
  const constants = {
    ...encoded,
    labels: new Tensor('float32', oneHot(labels, ways), [labels.length, ways]),
    rate: new Tensor('float32', Float32Array.of(options.rate), []),
  };
  options.signal?.throwIfAborted();
  const features = encoded['features'] as Tensor;
  values = { ...values, ...(await startHead(pattern, features, labels, ways, values, from && headOf(from))) };
  const losses: number[] = [];
  for (let step = 1; step <= options.steps; step++) {
    options.signal?.throwIfAborted();
    const outputs = await runSession(pattern.step, { ...constants, ...values });
    values = Object.fromEntries(Object.keys(values).map((name) => [name, outputs[nextName(name)] as Tensor]));
    const loss = (outputs['loss'] as Tensor).data[0] as number;
    if (!Number.isFinite(loss)) throw diverged(`loss ${loss} at step ${step}`);
    losses.push(loss);
    options.onStep?.(step, loss);
  }
  options.signal?.throwIfAborted();
  const observed = pattern.observe ? await runSession(pattern.observe, { ...constants, ...values }) : {};
  const moments = { ...encoded, ...observed };
  for (const name of [...pattern.moments.frozen.keys(), ...pattern.moments.moving.keys()]) {
    values[name] = moments[name] as Tensor;
  }
  for (const [name, { data }] of Object.entries(values)) {
    if (!(data as Float32Array).every(Number.isFinite)) throw diverged(`values of "${name}" that are not finite`);
  }
  return {
    losses,
    values: new Map(
      Object.entries(values).map(([name, { dims, data }]) => [
        name,
        { shape: dims, data: (data as Float32Array).slice() },
      ]),
    ),
  };
}
