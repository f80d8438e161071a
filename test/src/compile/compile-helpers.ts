import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { decodeModel } from '@whet/compiler';
import { loadBundle } from '@whet/runtime/node';
import { type CompileOptions, compileModel, generatorFor } from '@whet/trainer';
import * as ort from 'onnxruntime-node';
import { afterAll, expect } from 'vitest';
import { float32s } from '../../../compiler/src/onnx/models.test.helper.js';

/** The same numbers of a length and a scale, whatever tests ran before in this process. */
export function gaussian(length: number, scale = 1): Float32Array {
  const random = generatorFor(17, `models/${length}/${scale}`, 0);
  return Float32Array.from({ length }, () => scale * random.normal());
}

/** Weights of a small model, as a file has them. */
export const weights = (...dims: number[]) =>
  float32s(dims, [
    ...gaussian(
      dims.reduce((a, b) => a * b, 1),
      0.3,
    ),
  ]);

/** A small model that once was read wrongly. */
export const fixture = (name: string) => readFile(new URL(`../../fixtures/models/${name}.onnx`, import.meta.url));

const folders: string[] = [];
afterAll(() => Promise.all(folders.splice(0).map((folder) => rm(folder, { recursive: true, force: true }))));

export async function compileBytes(model: Uint8Array, overrides: Partial<CompileOptions> = {}) {
  const folder = await mkdtemp(join(tmpdir(), 'whet-models-'));
  folders.push(folder);
  const directory = join(folder, 'out');
  const options: CompileOptions = { model, fileName: 'm.onnx', name: 'm', patterns: { p: ['none'] }, directory };
  return { directory, report: await compileModel({ ...options, ...overrides, directory }) };
}

/** What onnxruntime makes of images, one at a time, by a model's first output. */
export async function runFile(model: Uint8Array, images: readonly Float32Array[]): Promise<number[][]> {
  const { inputs, initializers } = decodeModel(model);
  const initialized = new Set(initializers.map(({ name }) => name));
  const input = inputs.find(({ name }) => !initialized.has(name));
  const dims = (input?.shape ?? []).map((dim) => (typeof dim === 'number' ? dim : 1));
  const session = await ort.InferenceSession.create(model, { logSeverityLevel: 4, intraOpNumThreads: 1 });
  const rows: number[][] = [];
  for (const image of images) {
    const outputs = await session.run({ [input?.name ?? '']: new ort.Tensor('float32', image, dims) });
    rows.push(Array.from(outputs[session.outputNames[0] ?? '']?.data as Float32Array, Number));
  }
  await session.release();
  return rows;
}

function softmax(logits: readonly number[]): number[] {
  const max = Math.max(...logits);
  const powers = logits.map((logit) => Math.exp(logit - max));
  const total = powers.reduce((a, b) => a + b, 0);
  return powers.map((power) => power / total);
}

/** Compiles with the model's own head, and compares with the file (whose output are logits) by each pattern. */
export async function expectAsFile(
  model: Uint8Array,
  patterns: CompileOptions['patterns'],
  tolerance = 1e-5,
  scale = 1,
) {
  const { directory, report } = await compileBytes(model, { head: 'keep', patterns });
  const bundle = await loadBundle(directory, { threads: 1 });
  const { channels, width, height } = bundle.manifest.preprocessing;
  const images = [1, 2, 3].map((contrast) => gaussian(channels * width * height, scale * contrast));
  const expected = (await runFile(model, images)).map(softmax);
  for (const name of Object.keys(patterns)) {
    const found = await bundle.predict(bundle.initialProfile(name), images);
    for (const [n, { probabilities }] of found.entries()) {
      const row = Object.values(probabilities);
      expect(row.length).toBe(expected[n]?.length);
      for (const [c, p] of row.entries()) expect(Math.abs(p - (expected[n]?.[c] ?? 2))).toBeLessThan(tolerance);
    }
    const labels = Object.keys(found[0]?.probabilities ?? {});
    const examples = images.map((image, i) => ({ image, label: labels[i % 2] as string }));
    const { losses } = await bundle.adapt(examples, { pattern: name, steps: 3, rate: 1e-3 });
    expect(losses[2]).toBeLessThan(losses[0] as number);
  }
  await bundle.release();
  return report;
}
