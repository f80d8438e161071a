import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { encodeOnnx, GraphBuilder, makeTensor } from '@whet/compiler';
import type { Preprocessing } from '@whet/runtime';
import { decodeImage, decodePixels } from '@whet/runtime/images';
import { pixelsToTensor, resizePixels } from '@whet/runtime/web';
import { type CompileOptions, compileModel } from '@whet/trainer';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

interface Case {
  readonly name: string;
  readonly image: string;
  readonly options: Partial<CompileOptions>;
  readonly shape: readonly [channels: number, height: number, width: number];
  readonly data: string;
}

const test = (path: string) => fileURLToPath(new URL(`../../${path}`, import.meta.url));
const pictures = test('fixtures/pictures');
/** Another file of `preprocessing.py`, to measure: what is largest is printed then. */
const measured = process.env['WHET_PREPROCESSING'];

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'whet-preprocessing-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** The mean of each channel, and a head on it: of images of any size. */
function smallModel(channels: number): Uint8Array {
  const g = new GraphBuilder();
  const x = g.input('x', ['N', channels, 'H', 'W']);
  const flat = g.apply('Flatten', [g.apply('GlobalAveragePool', [x], {}, 'pooled')], { axis: 1 }, 'flat');
  const weight = g.constant(makeTensor([channels, 2], new Float32Array(channels * 2).fill(1)), 'w');
  return encodeOnnx({
    name: 'small',
    inputs: [x],
    outputs: new Map([['y', g.apply('MatMul', [flat, weight], {}, 'fc')]]),
  });
}

async function preprocessingOf(
  channels: number,
  options: Partial<CompileOptions>,
  size: readonly [number, number] = [16, 16],
): Promise<Preprocessing> {
  const { manifest } = await compileModel({
    model: smallModel(channels),
    fileName: 'small.onnx',
    directory: join(folder, 'bundle'),
    name: 'small',
    patterns: { head: ['none'] },
    imageSize: size,
    ...options,
  });
  return manifest.preprocessing;
}

describe('a compiled model sees of a picture what it was trained on', () => {
  it('to a few of 255 levels, in Node.js and in browsers', { timeout: 30_000 }, async () => {
    const file = await readFile(measured ?? test('reference/preprocessing.json'), 'utf8');
    const { cases } = JSON.parse(file) as { cases: Case[] };
    expect(new Set(cases.map(({ name }) => name)).size).toBeGreaterThan(8);
    const largest = new Map<string, string[]>();
    const forms = new Map<string, Preprocessing>();
    for (const { name, image, options, shape, data } of cases) {
      const [channels, height, width] = shape;
      const form = `${name} at ${height} x ${width}`;
      const p = forms.get(form) ?? (await preprocessingOf(channels, options, [height, width]));
      forms.set(form, p);
      const bytes = Buffer.from(data, 'base64');
      const expected = new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
      const path = resolve(pictures, image);
      const levels = (tensor: Float32Array) =>
        Array.from(tensor, (value, i) => {
          const c = Math.floor(i / (width * height));
          return 255 * (p.std[c] as number) * Math.abs(value - (expected[i] as number));
        });
      const most = (values: readonly number[]) => values.reduce((a, b) => Math.max(a, b), 0);
      const inNode = levels(await decodeImage(await readFile(path), p));
      const mean = inNode.reduce((a, b) => a + b, 0) / inNode.length;
      largest.set(name, [...(largest.get(name) ?? []), `${most(inNode).toFixed(1)} (${mean.toFixed(2)})`]);
      if (measured) continue;
      const where = `${name}, ${image}`;
      // By nearest, the very pixels; else libvips, which reduces, rounds in between and averages whole pixels before it weighs them.
      const levelsApart = p.kernel === 'nearest' ? 0.01 : image === 'small.png' ? 3.5 : 12;
      expect(most(inNode), where).toBeLessThan(levelsApart);
      expect(mean, where).toBeLessThan(0.8);
      const { data: rgba, info } = await sharp(path).ensureAlpha().raw().toBuffer({ resolveWithObject: true });
      const inBrowser = levels(pixelsToTensor(resizePixels({ ...info, data: rgba }, p), p));
      expect(most(inBrowser), `${where} in a browser`).toBeLessThan(levelsApart);
    }
    if (measured) for (const [name, all] of largest) console.info(`${name}: ${all.join(', ')}`);
  });

  it('says which pixels a mean is of, where that is not clear', async () => {
    const caffe = { mean: [103.939, 116.779, 123.68], bgr: true };
    await expect(preprocessingOf(3, caffe)).rejects.toThrow(
      'mean: expected numbers of pixels 0..1, got 103.939, 116.779, 123.68: say --pixels 255 if',
    );
    await expect(preprocessingOf(3, { std: [58.395] })).rejects.toThrow('std: expected numbers of pixels 0..1');
    const { mean, std } = await preprocessingOf(3, { ...caffe, pixelRange: 255 });
    expect(mean.map((value) => value * 255)).toEqual(caffe.mean.map((value) => expect.closeTo(value, 9)));
    expect(std).toEqual([1 / 255, 1 / 255, 1 / 255]);
    expect(await preprocessingOf(1, { mean: [2], pixelRange: 1 })).toMatchObject({ mean: [2], std: [1] });
  });

  it('refuses what does not fit the model', async () => {
    await expect(preprocessingOf(1, { bgr: true })).rejects.toThrow('bgr: expected a model of 3 channels, got 1');
    await expect(preprocessingOf(3, { grey: 'rec601' })).rejects.toThrow('grey: expected a model of 1 channel, got 3');
    await expect(preprocessingOf(3, { resize: 20 })).rejects.toThrow('resize: expected it with fit "cover"');
    await expect(preprocessingOf(3, { fit: 'cover', resize: 15 })).rejects.toThrow(
      "resize: expected a shorter side no smaller than the model's images, 16 x 16, got 15",
    );
  });

  it('takes grey as most trainers compute it, or as light', async () => {
    const colours = { red: '#f00', green: '#0f0', blue: '#00f' };
    const seen = async (grey?: 'rec601' | 'linear') => {
      const p = await preprocessingOf(1, grey ? { grey } : {});
      const pixels = Object.values(colours).map(async (background) => {
        const file = sharp({ create: { width: 20, height: 20, channels: 3, background } });
        return new Set(await decodePixels(await file.png().toBuffer(), p));
      });
      return (await Promise.all(pixels)).flatMap((values) => [...values]);
    };
    expect(await seen('rec601')).toEqual([76, 150, 29]);
    expect(await seen('linear')).toEqual([127, 220, 76]);
    expect(await seen()).toEqual([127, 220, 76]);
  });

  it.each([
    [9, 7],
    [60, 2],
    [2, 60],
    [30, 3],
    [16, 20],
    [7, 2000],
  ])('enlarges %i x %i pixels in Node.js and in browsers alike, whichever way they lie', async (width, height) => {
    // Where libvips reduces one direction, noise would show by which whole numbers it does.
    const isLong = Math.max(width, height) > 24;
    const pixels = Uint8Array.from({ length: width * height * 3 }, (_, i) => {
      const [x, y] = [Math.floor(i / 3) % width, Math.floor(i / (3 * width))];
      return isLong ? 127 + 100 * Math.sin((5 * x) / width + (i % 3)) * Math.cos((5 * y) / height) : (i * 7919) % 251;
    });
    const form = await preprocessingOf(3, {}, [24, 32]);
    for (const orientation of [1, 6]) {
      const lying = sharp(pixels, { raw: { width, height, channels: 3 } });
      const file = await lying.withMetadata({ orientation }).png().toBuffer();
      const { data, info } = await sharp(file).autoOrient().ensureAlpha().raw().toBuffer({ resolveWithObject: true });
      for (const fit of ['contain', 'cover', 'fill'] as const) {
        for (const kernel of ['linear', 'cubic', 'lanczos3'] as const) {
          // Reduced as a whole.
          if (fit === 'contain' && Math.max(width, height) > 100) continue;
          const p = { ...form, fit, kernel };
          const [inNode, inBrowser] = [await decodePixels(file, p), resizePixels({ ...info, data }, p)];
          const most = inNode.reduce(
            (apart, value, i) => Math.max(apart, Math.abs(value - (inBrowser[i] as number))),
            0,
          );
          expect(most, `${fit}, ${kernel}, turned ${orientation}`).toBeLessThanOrEqual(
            isLong && fit !== 'cover' ? 2 : 0,
          );
        }
      }
    }
  });

  it('cuts the middle out of a photo that lies on its side', async () => {
    const pixels = Uint8Array.from({ length: 64 * 32 }, (_, i) => (i % 64 >= 24 && i % 64 < 40 ? 200 : 0));
    const lying = await sharp(pixels, { raw: { width: 64, height: 32, channels: 1 } })
      .withMetadata({ orientation: 6 })
      .png()
      .toBuffer();
    const p = await preprocessingOf(1, { fit: 'cover', resize: 32, kernel: 'linear' });
    // Upright it has 32 x 64 pixels with a stripe across, rows 24 to 39: all that a square of 16 in the middle sees.
    expect(new Set(await decodePixels(lying, p))).toEqual(new Set([200]));
  });
});
