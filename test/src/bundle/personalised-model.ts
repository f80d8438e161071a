import { decodeModel } from '@whet/compiler';
import type { Profile } from '@whet/runtime';
import * as ort from 'onnxruntime-node';
import { modelWith } from '../compile/direction-model.js';
import { softmax } from '../parity/task-graph-route.js';

export const normalizationsOf = (bytes: Uint8Array) =>
  decodeModel(bytes)
    .nodes.filter(({ op }) => op === 'BatchNormalization')
    .map(({ inputs, outputs }) => ({
      name: outputs[0] as string,
      input: inputs[0] as string,
      stored: { mean: inputs[3] as string, variance: inputs[4] as string },
    }));

/** The original file with a profile's moved values and moments written into it, and the inputs of normalizations. */
export function personalised(bytes: Uint8Array, profile: Profile, features: string): Uint8Array {
  const values = new Map<string, Float32Array>();
  const read: string[] = [];
  for (const [name, { data }] of profile.values) if (!name.startsWith('head.')) values.set(name, data);
  for (const { name, input, stored } of normalizationsOf(bytes)) {
    for (const moment of ['mean', 'variance'] as const) {
      const data = values.get(`${name}.${moment}`);
      if (!data) continue;
      values.delete(`${name}.${moment}`);
      values.set(stored[moment], data);
      if (!read.includes(input)) read.push(input);
    }
  }
  return modelWith(bytes, values, features, ...read);
}

export async function runOnImages(bytes: Uint8Array, images: readonly Float32Array[], shape: readonly number[]) {
  const session = await ort.InferenceSession.create(bytes, { logSeverityLevel: 3, intraOpNumThreads: 1 });
  try {
    const data = Float32Array.from(images.flatMap((image) => [...image]));
    return await session.run({ x: new ort.Tensor('float32', data, [images.length, ...shape]) });
  } finally {
    await session.release();
  }
}

/** Mean and biased variance per channel of `[N, C, ...]`, in float64. */
export function momentsOf({ data, dims }: ort.Tensor): { mean: Float64Array; variance: Float64Array } {
  const [count = 0, channels = 0, ...rest] = dims;
  const inner = rest.reduce((a, b) => a * b, 1);
  const over = (channel: number, f: (value: number) => number): number => {
    let sum = 0;
    for (let n = 0; n < count; n++) {
      for (let i = 0; i < inner; i++) sum += f((data as Float32Array)[(n * channels + channel) * inner + i] as number);
    }
    return sum / (count * inner);
  };
  const mean = Float64Array.from({ length: channels }, (_, c) => over(c, (v) => v));
  return { mean, variance: mean.map((m, c) => over(c, (v) => (v - m) ** 2)) };
}

/** What a linear head makes of features `[N, F]`: a row of probabilities for each. */
export function headOn(features: Float32Array, profile: Profile): number[][] {
  const [weight, bias] = ['head.weight', 'head.bias'].map((name) => profile.values.get(name)?.data as Float32Array);
  const length = (weight as Float32Array).length / (bias as Float32Array).length;
  return Array.from({ length: features.length / length }, (_, n) =>
    softmax(
      Array.from(bias as Float32Array, (b, way) => {
        let sum = b;
        for (let f = 0; f < length; f++) {
          sum += (features[n * length + f] as number) * ((weight as Float32Array)[way * length + f] as number);
        }
        return sum;
      }),
    ),
  );
}
