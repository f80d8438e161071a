import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { exposeOnnx } from '@whet/compiler';
import { loadBundle } from '@whet/runtime/node';
import { type CompileOptions, generatorFor } from '@whet/trainer';
import * as ort from 'onnxruntime-node';
import { describe, expect, it } from 'vitest';
import { type Build, type NetworkWriter, networkOf } from './block-networks.js';
import { compileBytes, fixture } from './compile-helpers.js';

const random = generatorFor(31, 'levels', 0);
/** Half-width of central differences along the gradient: above the noise of float32, below the network's kinks. */
const STEP = 3e-3;
const picture = () => Float32Array.from({ length: 4 * 8 * 8 }, () => random.normal());

const residual = (n: NetworkWriter, x: Parameters<Build>[1], name: string) => {
  const width = x.shape[1] as number;
  const inner = n.apply('Relu', n.convolution(x, `${name}.a`, width, { norm: true }));
  return n.binary('Add', x, n.convolution(inner, `${name}.b`, width));
};

/** Three blocks, of 6 channels each, and `above` them. */
const blocks =
  (above: Build): Build =>
  (n, x) => {
    let y = n.convolution(x, 'stem', 6, { stride: 2 });
    for (const name of ['one', 'two', 'three']) y = residual(n, y, name);
    return above(n, y);
  };
const withLayer = networkOf(blocks((n, y) => n.apply('Relu', n.convolution(y, 'top', 10, { side: 1 }))));
const withoutLayer = networkOf(blocks((n, y) => n.apply('Relu', y)));

async function run(model: Uint8Array, feeds: Record<string, ort.Tensor>) {
  const session = await ort.InferenceSession.create(model, { logSeverityLevel: 3, intraOpNumThreads: 1 });
  const outputs = await session.run(feeds);
  await session.release();
  return outputs;
}

/** Means over the image of tensors that a model makes, of each its rows `[N, C]`. */
async function meansOf(model: Uint8Array, names: readonly string[], images: ort.Tensor): Promise<number[][][]> {
  const input = (await ort.InferenceSession.create(model, { logSeverityLevel: 3 })).inputNames[0] as string;
  const made = await run(exposeOnnx(model, names, { tensor: input, shape: ['N', 4, 8, 8] }), { [input]: images });
  return names.map((name) => {
    const { data, dims } = made[name] as ort.Tensor;
    const [count = 0, channels = 0] = dims;
    const places = data.length / count / channels;
    return Array.from({ length: count }, (_, n) =>
      Array.from({ length: channels }, (_, c) => {
        const from = (n * channels + c) * places;
        return (data as Float32Array).slice(from, from + places).reduce((sum, value) => sum + value, 0) / places;
      }),
    );
  });
}

const batch = (images: readonly Float32Array[]) =>
  new ort.Tensor('float32', Float32Array.from(images.flatMap((image) => [...image])), [images.length, 4, 8, 8]);

const cosine = (a: readonly number[], b: readonly number[]) =>
  a.reduce((sum, value, i) => sum + value * (b[i] as number), 0) / Math.hypot(...a) / Math.hypot(...b);

describe('levels of a network', () => {
  const compile = (options: Partial<CompileOptions> = {}, model = withLayer) =>
    compileBytes(model, { patterns: { none: ['none'], deep: ['blocks:2'] }, ...options });

  it('are means of what the last blocks make, beside the features, in the frozen part as exported', async () => {
    const { directory, report } = await compile();
    const { manifest, model, patterns } = report;
    const names = manifest.provenance['levels'] as string[];
    expect(names).toHaveLength(2);
    expect([manifest.featureLength, patterns[0]?.encoded]).toEqual([10 + 6 + 6, 'as exported']);
    expect(patterns[0]?.boundary).toEqual([model.features, ...names]);
    // The nearer block first, and the lower one frozen where two move.
    expect(patterns[1]?.boundary).not.toContain(names[0]);
    const images = batch([picture(), picture()]);
    const [own, nearer, lower] = await meansOf(withLayer, [model.features, ...names], images);
    const bundle = await loadBundle(directory, { patterns: ['none'], threads: 1 });
    const [first] = await bundle.encode([images.data.slice(0, 4 * 8 * 8) as Float32Array]);
    await bundle.release();
    const expected = [own, nearer, lower].flatMap((rows) => rows?.[0] ?? []);
    expect(expected.length).toBe(22);
    for (const [i, value] of expected.entries()) expect(first?.features[i]).toBeCloseTo(value, 4);
  });

  it('count by the mean of their cosines, the lower half', async () => {
    const { directory, report } = await compile();
    const images = [picture(), picture(), picture()];
    const names = [report.model.features, ...(report.manifest.provenance['levels'] as string[])];
    const levels = await meansOf(withLayer, names, batch(images));
    const shares = [0.4, 0.4, 0.2];
    const alike = (to: number) =>
      levels.reduce((sum, rows, i) => sum + (shares[i] ?? 0) * cosine(rows[2] as number[], rows[to] as number[]), 0);
    for (const pattern of ['none', 'deep']) {
      const bundle = await loadBundle(directory, { patterns: [pattern], threads: 1 });
      const examples = images.slice(0, 2).map((image, i) => ({ image, label: 'ab'[i] as string }));
      const { profile } = await bundle.adapt(examples, { pattern, steps: 0 });
      const [told] = await bundle.predict(profile, images.slice(2));
      await bundle.release();
      // One example a class: cosines are taken 15 times.
      const apart = Math.exp(15 * (alike(1) - alike(0)));
      expect(told?.probabilities['a']).toBeCloseTo(1 / (1 + apart), 4);
    }
  });

  it('have gradients, of blocks below them too', async () => {
    const { directory, report } = await compile({ optimizer: 'sgd', objective: 'head' });
    const bundle = await loadBundle(directory, { patterns: ['deep'], threads: 1 });
    const images = Array.from({ length: 4 }, picture);
    const examples = images.map((image, i) => ({ image, label: 'ab'[i % 2] as string }));
    const { profile } = await bundle.adapt(examples, { pattern: 'deep', steps: 0 });
    const encoded = await bundle.encode(images, { pattern: 'deep' });
    await bundle.release();
    const shape = report.manifest.patterns['deep']?.features ?? [];
    const features = Float32Array.from(encoded.flatMap((image) => [...image.features]));
    const fixed = {
      features: new ort.Tensor('float32', features, [4, ...shape]),
      labels: new ort.Tensor('float32', Float32Array.of(1, 0, 0, 1, 1, 0, 0, 1), [4, 2]),
      rate: new ort.Tensor('float32', Float32Array.of(1), []),
    };
    const names = [...profile.values.keys()].filter((name) => !name.startsWith('familiar.'));
    expect(names).toHaveLength((report.patterns[1]?.moving.length ?? 0) + 2);
    const session = await ort.InferenceSession.create(await readFile(join(directory, 'deep.step.onnx')));
    const at = (along?: ReadonlyMap<string, Float32Array>, by = 0) =>
      session.run({
        ...fixed,
        ...Object.fromEntries(
          names.map((name) => {
            const { data, shape } = profile.values.get(name) as { data: Float32Array; shape: readonly number[] };
            const moved = data.map((value, i) => value + by * (along?.get(name)?.[i] ?? 0));
            return [name, new ort.Tensor('float32', moved, [...shape])];
          }),
        ),
      });
    const made = await at();
    const gradient = new Map(
      names.map((name) => {
        const [now, next] = [profile.values.get(name)?.data, made[`${name}@next`]?.data] as [
          Float32Array,
          Float32Array,
        ];
        return [name, now.map((value, i) => value - (next[i] as number))];
      }),
    );
    const length = Math.hypot(...[...gradient.values()].flatMap((values) => [...values]));
    const lossAt = async (by: number) => Number((await at(gradient, by / length))['loss']?.data[0]);
    const difference = ((await lossAt(STEP)) - (await lossAt(-STEP))) / (2 * STEP);
    await session.release();
    expect(difference / length).toBeGreaterThan(0.97);
    expect(difference / length).toBeLessThan(1.03);
  });

  it('leave out the last block where the features are nothing but means of it', async () => {
    const { report } = await compile({ levels: 2 }, withoutLayer);
    const [nearer] = report.manifest.provenance['levels'] as string[];
    const { report: other } = await compile({}, withLayer);
    const [ofThird, ofSecond] = other.manifest.provenance['levels'] as string[];
    expect(nearer).not.toBe(ofThird);
    expect(nearer).toBe(ofSecond);
  });

  it('are none where none are asked for, or the head reads features as they are', async () => {
    for (const options of [{ levels: 0 }, { head: 'prototype' }, { head: 'keep' }] as const) {
      const { report } = await compile(options);
      expect([report.manifest.featureLength, report.manifest.provenance['levels']]).toEqual([10, undefined]);
    }
  });

  it('are none of blocks whose channels come last', async () => {
    const turned: Build = (n, x) => {
      let y = n.convolution(x, 'stem', 6, { stride: 2 });
      for (const name of ['one', 'two', 'three']) y = residual(n, y, name);
      y = n.transpose(y, 0, 2, 3, 1);
      for (const name of ['four', 'five', 'six']) {
        const inner = n.swish(n.linear(n.normalizeRows(y, `${name}.norm`), `${name}.a`, 12));
        y = n.binary('Add', y, n.linear(inner, `${name}.b`, 6));
      }
      return n.transpose(n.normalizeRows(y, 'top'), 0, 3, 1, 2);
    };
    const { report } = await compile({ patterns: { none: ['none'] } }, networkOf(turned));
    const outputs = report.model.sections.flatMap(({ block, output }) =>
      block === undefined ? [] : output.shape.join(),
    );
    expect(outputs.slice(-3)).toEqual(['N,4,4,6', 'N,4,4,6', 'N,4,4,6']);
    expect(report.model.levels.map(({ value: { shape } }) => shape.join())).toEqual(['N,6,4,4', 'N,6,4,4']);
  });

  it.each<[string, Partial<CompileOptions>, string]>([
    ['of a number that is none', { levels: -1 }, 'levels: expected a whole number of 0 or more, got -1'],
    ['of half a block', { levels: 1.5 }, 'levels: expected a whole number of 0 or more, got 1.5'],
    ['of no number', { levels: Number.NaN }, 'levels: expected a whole number of 0 or more, got NaN'],
    ['of a head of features', { head: 'prototype', levels: 1 }, 'levels: expected none, or a cosine head, got 1'],
    [
      'of more blocks than there are',
      { levels: 5 },
      'levels: expected no more than there are, got 5: the network has 3',
    ],
  ])('are refused %s', async (_, options, message) => {
    await expect(compile(options)).rejects.toThrow(message);
  });

  it('are refused of a model that stays as exported in part', async () => {
    const model = await fixture('quantized-logits-keep-head');
    await expect(compileBytes(model, { levels: 1 })).rejects.toThrow('or is quantized, there are none');
  });
});
