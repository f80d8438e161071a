import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Manifest } from '@whet/runtime';
import { readSafetensors, type StoredTensor } from '@whet/runtime/format';
import { loadBundle } from '@whet/runtime/node';
import {
  randomImages,
  supportCheckpoint,
  TINY_SIZE,
  tinyCheckpoint,
  writeTinyBundle,
} from '@whet/tools/bundles/tiny-bundle';
import * as ort from 'onnxruntime-node';
import { describe, expect, it } from 'vitest';
import { relativeError } from '../parity/reference.js';
import { examplesOf } from '../parity/task-graph-route.js';

type Tensors = Record<string, ort.Tensor>;

const stacked = (images: readonly Float32Array[]): ort.Tensor => {
  const data = Float32Array.from(images.flatMap((image) => [...image]));
  return new ort.Tensor('float32', data, [images.length, 1, TINY_SIZE, TINY_SIZE]);
};

/** Runs a graph of a bundle on what it takes of `feeds`. */
async function run(directory: string, file: string, feeds: Tensors): Promise<Tensors> {
  const session = await ort.InferenceSession.create(join(directory, file), { intraOpNumThreads: 1 });
  const taken = Object.fromEntries(session.inputNames.map((name) => [name, feeds[name] as ort.Tensor]));
  const outputs = { ...(await session.run(taken)) };
  await session.release();
  return outputs;
}

/** docs/bundle-format.md, step by step, with nothing of this project but the reader of safetensors. */
async function adaptAndPredict(
  directory: string,
  name: string,
  support: readonly Float32Array[],
  labels: ort.Tensor,
  query: Float32Array,
): Promise<Float32Array> {
  const manifest = JSON.parse(await readFile(join(directory, 'manifest.json'), 'utf8')) as Manifest;
  const { graphs, values: starts, steps, rate } = manifest.patterns[name] as Manifest['patterns'][string];
  let values: Tensors = {};
  const { tensors } = readSafetensors(await readFile(join(directory, manifest.weights)));
  for (const [key, { tensor, mask, rows }] of Object.entries(starts)) {
    const { data, shape } = tensors.get(tensor) as StoredTensor;
    const open =
      (mask ?? rows) === undefined ? undefined : (tensors.get(mask ?? (rows as string)) as StoredTensor).data;
    const each = rows === undefined ? 1 : data.length / (shape[0] as number);
    const kept = (data as Float32Array).filter((_, i) => !open || open[Math.floor(i / each)]);
    values[key] = new ort.Tensor('float32', kept, open ? [kept.length] : [...shape]);
  }
  const images = stacked(support);
  const encoded: Tensors = graphs.encode ? await run(directory, graphs.encode, { images }) : { features: images };
  const given = { ...encoded, labels, rate: new ort.Tensor('float32', [rate], []) };
  values = { ...values, ...(await run(directory, graphs.start, { ...given, ...values })) };
  for (let step = 0; step < steps; step++) {
    const { loss: _, ...next } = await run(directory, graphs.step, { ...given, ...values });
    values = Object.fromEntries(Object.entries(next).map(([key, value]) => [key.replace(/@next$/, ''), value]));
  }
  const observed = graphs.moments ? await run(directory, graphs.moments, { ...encoded, ...values }) : {};
  const stored = { ...encoded, ...values, ...observed };
  const encodeQuery = graphs.encodeQuery ?? graphs.encode;
  const one = { images: stacked([query]) };
  const { features } = encodeQuery
    ? await run(directory, encodeQuery, { ...stored, ...one })
    : { features: one.images };
  const { probabilities } = await run(directory, graphs.predict, { ...stored, features: features as ort.Tensor });
  return probabilities?.data as Float32Array;
}

describe.each([
  ['population', () => tinyCheckpoint()],
  ['support', () => supportCheckpoint()],
] as const)('a bundle normalized by %s, in bare onnxruntime', (_, checkpoint) => {
  it('adapts and predicts by every pattern as the runtime does', async () => {
    const directory = await writeTinyBundle(checkpoint());
    const bundle = await loadBundle(directory, { threads: 1 });
    const support = randomImages('support', 4);
    const [query] = randomImages('query', 1) as [Float32Array];
    const labels = new ort.Tensor('float32', [1, 0, 0, 1, 1, 0, 0, 1], [4, 2]);
    for (const pattern of Object.keys(bundle.manifest.patterns)) {
      const { profile } = await bundle.adapt(examplesOf(support, ['x', 'y', 'x', 'y']), { pattern });
      const [prediction] = await bundle.predict(profile, [query]);
      const bare = await adaptAndPredict(directory, pattern, support, labels, query);
      expect(relativeError(Object.values(prediction?.probabilities ?? {}), bare), pattern).toBeLessThan(1e-5);
    }
    await bundle.release();
  });
});
