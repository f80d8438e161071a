import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { loadBundle } from '@whet/runtime/node';
import { type CompileOptions, compileModel, generatorFor } from '@whet/trainer';
import * as ort from 'onnxruntime-node';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { headOn, personalised, runOnImages } from '../bundle/personalised-model.js';
import { runWhet } from '../command/whet-process.js';
import { smallModel } from '../parity/normalized-model.js';
import { relativeError } from '../parity/reference.js';
import { softmax } from '../parity/task-graph-route.js';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'whet-compile-support-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe('compiling for the moments of the examples', () => {
  const options = async (overrides: Partial<CompileOptions> = {}): Promise<CompileOptions> => ({
    model: smallModel(),
    fileName: 'small.onnx',
    directory: join(await mkdtemp(join(folder, 'small-')), 'out'),
    name: 'small',
    normalization: 'support',
    patterns: { head: ['none'], scale: ['bn1.weight'], shift: ['bn1.bias'], second: ['b.weight'] },
    objective: 'head',
    optimizer: 'sgd',
    ...overrides,
  });

  it('says which frozen parts stay as exported', async () => {
    const { patterns, manifest } = await compileModel(await options());
    expect(patterns.map(({ name, boundary, encoded }) => [name, boundary, encoded])).toEqual([
      ['head', ['features'], 'anew'],
      // Nothing of a normalization crosses by itself that queries could not be given.
      ['scale', ['a'], 'as exported'],
      ['shift', [expect.stringMatching(/^bn1\//)], 'anew'],
      ['second', ['r'], 'anew'],
    ]);
    const frozen = (name: string) =>
      manifest.patterns[name]?.normalizations?.filter((n) => n.frozen).map((n) => n.name);
    expect(['head', 'scale', 'shift', 'second'].map(frozen)).toEqual([['bn1', 'bn2'], [], ['bn1'], ['bn1']]);
    expect(patterns.every(({ encodeCost }) => (encodeCost?.activationBytes ?? 0) > 0)).toBe(true);
  });

  it('has the gradients of its own loss, moments included', async () => {
    const settings = await options({ patterns: { all: ['all'] } });
    await compileModel(settings);
    const step = join(settings.directory, 'all.step.onnx');
    const session = await ort.InferenceSession.create(step, { logSeverityLevel: 3, intraOpNumThreads: 1 });
    const bundle = await loadBundle(settings.directory, { threads: 1 });
    const random = generatorFor(4, 'gradients', 0);
    const noise = (length: number) => Float32Array.from({ length }, () => random.normal());
    const examples = [0, 1, 2, 0, 1, 2].map((row) => ({ label: `class ${row}`, image: noise(64) }));
    const { profile } = await bundle.adapt(examples, { steps: 0 });
    const labels = Float32Array.from(examples.flatMap((_, i) => [0, 1, 2].map((way) => Number(way === i % 3))));
    const feeds: Record<string, ort.Tensor> = {
      features: new ort.Tensor('float32', Float32Array.from(examples.flatMap(({ image }) => [...image])), [6, 1, 8, 8]),
      labels: new ort.Tensor('float32', labels, [6, 3]),
      rate: new ort.Tensor('float32', [1], []),
    };
    for (const name of session.inputNames) {
      const value = profile.values.get(name);
      if (value) feeds[name] = new ort.Tensor('float32', value.data, [...value.shape]);
    }
    const lossWith = async (name: string, data: Float32Array): Promise<number> => {
      const { dims } = feeds[name] as ort.Tensor;
      return Number((await session.run({ ...feeds, [name]: new ort.Tensor('float32', data, dims) }))['loss']?.data[0]);
    };
    const outputs = await session.run(feeds);
    for (const name of ['a.weight', 'b.weight', 'bn1.weight', 'bn1.bias', 'bn2.weight']) {
      const start = feeds[name]?.data as Float32Array;
      const next = outputs[`${name}@next`] as ort.Tensor;
      const gradient = start.map((value, i) => value - Number(next.data[i]));
      // Along the gradient, where float32 has most to say.
      const length = Math.hypot(...gradient);
      const along = (sign: number) =>
        lossWith(
          name,
          start.map((value, i) => value + (sign * 2e-3 * (gradient[i] as number)) / length),
        );
      const measured = ((await along(1)) - (await along(-1))) / 4e-3;
      expect(relativeError([measured], [length]), name).toBeLessThan(2e-2);
    }
    await bundle.release();
    await session.release();
  });

  it.each([0, 1e-3])('stays finite with epsilon %d where the examples do not vary', async (epsilon) => {
    const settings = await options({ model: smallModel({ epsilon }) });
    await compileModel(settings);
    const bundle = await loadBundle(settings.directory, { threads: 1 });
    const blank = new Float32Array(64).fill(1);
    for (const pattern of ['head', 'scale', 'shift', 'second']) {
      const examples = ['x', 'y'].map((label) => ({ label, image: blank }));
      const { profile, losses } = await bundle.adapt(examples, { pattern });
      expect(losses.every(Number.isFinite)).toBe(true);
      const [prediction] = await bundle.predict(profile, [blank.map((v) => -v)]);
      expect(Object.values(prediction?.probabilities ?? {}).every(Number.isFinite)).toBe(true);
    }
    await bundle.release();
  });

  it('keeps a head, which predicts with the moments of the file until there are examples', async () => {
    const settings = await options({ head: 'keep', labels: ['a', 'b', 'c'] });
    await compileModel(settings);
    const bundle = await loadBundle(settings.directory, { threads: 1 });
    const random = generatorFor(6, 'kept', 0);
    const images = Array.from({ length: 4 }, () => Float32Array.from({ length: 64 }, () => random.normal()));
    const logits = (await runOnImages(settings.model, images, [1, 8, 8]))['logits'] as ort.Tensor;
    for (const pattern of ['head', 'scale', 'shift', 'second']) {
      const predictions = await bundle.predict(bundle.initialProfile(pattern), images);
      for (const [row, { probabilities }] of predictions.entries()) {
        const expected = softmax((logits.data as Float32Array).slice(row * 3, row * 3 + 3));
        expect(relativeError(Object.values(probabilities), expected), pattern).toBeLessThan(1e-4);
      }
      const examples = images.map((image, i) => ({ label: ['a', 'b', 'd', 'd'][i] as string, image }));
      const { profile, added } = await bundle.adapt(examples, { pattern, rate: 1e-3 });
      expect(added).toEqual(['d']);
      const file = await runOnImages(personalised(settings.model, profile, 'features'), images, [1, 8, 8]);
      const rows = headOn(file['features']?.data as Float32Array, profile);
      const adapted = await bundle.predict(profile, images);
      for (const [row, { probabilities }] of adapted.entries()) {
        expect(relativeError(Object.values(probabilities), rows[row] as number[]), pattern).toBeLessThan(1e-3);
      }
    }
    await bundle.release();
  });

  it('refuses a model that has nothing to normalize, and leaves nothing behind', async () => {
    const settings = await options({ model: smallModel({ normalized: false }), patterns: { head: ['none'] } });
    await expect(compileModel(settings)).rejects.toThrow(
      /normalization "support": expected BatchNormalization layers below the features "features", got none/,
    );
    expect(await readdir(dirname(settings.directory))).toEqual([]);
  });

  it('is a choice on the command line, which says what it changes', async () => {
    const cwd = await mkdtemp(join(folder, 'cli-'));
    await writeFile(join(cwd, 'small.onnx'), smallModel());
    const whet = (...args: string[]) => runWhet(cwd, ['compile', ...args]);
    const { out } = await whet('small.onnx', '--out', 'out', '--normalization', 'support', '--trainable', 'b.weight');
    expect(out).toMatch(
      /trainable: 1 of 2 in the frozen part, which is encoded anew and runs over all examples at once/,
    );
    expect(JSON.parse(await readFile(join(cwd, 'out', 'manifest.json'), 'utf8'))).toMatchObject({
      normalization: 'support',
    });
    expect((await whet('small.onnx', '--out', 'other', '--normalization', 'batch')).err).toContain(
      'population, support',
    );
  });
});
