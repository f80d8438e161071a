import { join } from 'node:path';
import { onnxMessage, reencodeOnnx } from '@whet/compiler';
import { bundlesDirectory } from '@whet/models/bundles';
import { type Bundle, type FreezeOptions, type Profile, ProfileError } from '@whet/runtime';
import { pixelsToTensor } from '@whet/runtime/images';
import { loadBundle, loadBundleFiles, readBundle } from '@whet/runtime/node';
import { supportCheckpoint, tinyCheckpoint, writeTinyBundle } from '@whet/tools/bundles/tiny-bundle';
import { generatorFor } from '@whet/trainer';
import * as ort from 'onnxruntime-node';
import { describe, expect, it } from 'vitest';
import { encodeModel, float32s } from '../../../compiler/src/onnx/models.test.helper.js';
import { compileBytes } from '../compile/compile-helpers.js';
import { examplesOf } from '../parity/task-graph-route.js';
import { photographs } from './photographs.js';

/** What a frozen model makes of images. */
async function run(model: Uint8Array, input: string, data: ort.Tensor): Promise<number[][]> {
  const session = await ort.InferenceSession.create(model, { intraOpNumThreads: 1 });
  expect([session.inputNames, session.outputNames]).toEqual([[input], ['probabilities']]);
  const { probabilities } = await session.run({ [input]: data });
  await session.release();
  const ways = probabilities?.dims[1] as number;
  const values = Array.from(probabilities?.data as Float32Array);
  return Array.from({ length: values.length / ways }, (_, i) => values.slice(i * ways, (i + 1) * ways));
}

async function expectAsPredicted(
  bundle: Bundle,
  profile: Profile,
  images: readonly Float32Array[],
  options: FreezeOptions = {},
): Promise<void> {
  const { channels, height, width } = bundle.manifest.preprocessing;
  const data = Float32Array.from(images.flatMap((image) => [...image]));
  const came = await run(
    await bundle.freeze(profile, options),
    'images',
    new ort.Tensor(data, [images.length, channels, height, width]),
  );
  const predictions = await bundle.predict(profile, images);
  for (const [i, { probabilities }] of predictions.entries()) {
    for (const [at, name] of profile.classes.entries()) {
      expect(came[i]?.[at]).toBeCloseTo(probabilities[name] as number, 5);
    }
  }
}

const { model, pictures } = photographs(21, 0.4);
const asked = pictures({ a: 3, b: 3 });
const images = asked.map(({ image }) => image);

describe('a profile as one ONNX model', () => {
  it.each(['head', 'last', 'all'])('tells what it predicts: %s of a compiled model', async (pattern) => {
    const { directory } = await compileBytes(model, { patterns: { head: ['none'], last: ['last:1'], all: ['all'] } });
    const bundle = await loadBundle(directory, { threads: 1 });
    // With a memory, and what tells pictures of no class.
    const { profile } = await bundle.adapt(asked, { pattern, ...(pattern === 'all' ? {} : { remember: 1 }) });
    // The frozen part is the file's own, of operator set 13.
    if (pattern !== 'all') {
      await expect(bundle.freeze(profile)).rejects.toThrow(
        /expected graphs of one operator set, got 13 and 18 of "ai\.onnx": the frozen part stands as its exporter wrote it/,
      );
    }
    await expectAsPredicted(bundle, profile, images, { upgrade: reencodeOnnx });
    await bundle.release();
  });

  it.each([
    ['masks', () => tinyCheckpoint()],
    ['moments of its examples', () => supportCheckpoint()],
  ])('tells what it predicts: a trained network with %s', async (_, checkpoint) => {
    const bundle = await loadBundle(await writeTinyBundle(checkpoint()), { threads: 1 });
    const drawn = ['x', 'y', 'x', 'y'].map((__, i) =>
      Float32Array.from({ length: bundle.imageLength }, (___, at) => Math.sin(at * (i + 2))),
    );
    for (const pattern of bundle.loaded) {
      const { profile } = await bundle.adapt(examplesOf(drawn, ['x', 'y', 'x', 'y']), { pattern });
      await expectAsPredicted(bundle, profile, drawn);
    }
    await bundle.release();
  });

  it('holds bytes where the frozen part computes with them, and says what it is in its metadata', async () => {
    const bundle = await loadBundle(join(bundlesDirectory, 'photos-lite0'), { threads: 1, patterns: ['head'] });
    const random = generatorFor(3, 'frozen pictures', 0);
    const level = () => random.uniform() * 255;
    const drawn = Array.from({ length: 4 }, (_, i) => {
      const [r, g, b] = [level(), level(), level()];
      return Float32Array.from(
        { length: bundle.imageLength },
        (__, at) => Math.sin((at % 128) * (i + 1)) + (r * g + b) / 65025,
      );
    });
    const { profile } = await bundle.adapt(examplesOf(drawn, ['x', 'y', 'x', 'y']), { pattern: 'head' });
    await expectAsPredicted(bundle, profile, drawn);
    const message = onnxMessage('ModelProto');
    const read = message.toObject(message.decode(await bundle.freeze(profile))) as {
      metadataProps: { key: string; value: string }[];
    };
    const told = Object.fromEntries(read.metadataProps.map(({ key, value }) => [key, value]));
    expect(JSON.parse(told['classes'] ?? '')).toEqual(['x', 'y']);
    expect(JSON.parse(told['preprocessing'] ?? '')).toEqual(bundle.manifest.preprocessing);
    expect([told['pattern'], told['bundle']]).toEqual([
      'head',
      `photos-lite0 ${bundle.manifest.version}, ${bundle.digest}`,
    ]);
    await bundle.release();
  });

  it('takes pixels as red, green and blue of a network that takes them the other way round', async () => {
    const { manifest, contents } = await readBundle(join(bundlesDirectory, 'photos-lite0'));
    const p = { ...manifest.preprocessing, bgr: true, mean: [0.3, 0.4, 0.5], std: [0.5, 0.6, 0.7] };
    const text = new TextEncoder().encode(JSON.stringify({ ...manifest, preprocessing: p }));
    const bundle = await loadBundleFiles(new Map(contents).set('manifest.json', text), {
      patterns: ['head'],
      threads: 1,
    });
    const random = generatorFor(4, 'blue first', 0);
    const pixels = ['a', 'b'].map((label, i) => ({
      label,
      bytes: Uint8Array.from(
        { length: p.height * p.width * 3 },
        (_, at) => (at % 3 === i ? 200 : 80) + random.integer(50),
      ),
    }));
    const drawn = pixels.map(({ label, bytes }) => ({ label, image: pixelsToTensor(bytes, p) }));
    const { profile } = await bundle.adapt(drawn, { pattern: 'head' });
    const frozen = await bundle.freeze(profile, { input: 'pixels' });
    for (const { bytes, label } of pixels) {
      const [came] = await run(frozen, 'pixels', new ort.Tensor('uint8', bytes, [1, p.height, p.width, 3]));
      const [told] = await bundle.predict(profile, [pixelsToTensor(bytes, p)]);
      expect(told?.label).toBe(label);
      for (const [at, name] of profile.classes.entries()) {
        expect(came?.[at]).toBeCloseTo(told?.probabilities[name] as number, 4);
      }
    }
    await bundle.release();
  });

  it('takes pixels of any size, which are those of the network where they have its size', async () => {
    const bundle = await loadBundle(await writeTinyBundle(), { threads: 1 });
    const { preprocessing: p } = bundle.manifest;
    const random = generatorFor(4, 'frozen pixels', 0);
    const pixels = Array.from({ length: 4 }, (_, i) =>
      Uint8Array.from({ length: p.width * p.height }, () => random.integer(128) + 64 * (i % 2)),
    );
    const drawn = pixels.map((each) => pixelsToTensor(each, p));
    const { profile } = await bundle.adapt(examplesOf(drawn, ['x', 'y', 'x', 'y']), { pattern: 'head' });
    const frozen = await bundle.freeze(profile, { input: 'pixels' });
    const all = Uint8Array.from(pixels.flatMap((each) => [...each]));
    const came = await run(frozen, 'pixels', new ort.Tensor('uint8', all, [4, p.height, p.width, 1]));
    for (const [i, { probabilities }] of (await bundle.predict(profile, drawn)).entries()) {
      expect(came[i]?.[0]).toBeCloseTo(probabilities['x'] as number, 5);
    }
    // Twice as large, each pixel four times.
    const larger = Uint8Array.from({ length: 4 * p.height * p.width }, (_, at) => {
      const [y, x] = [Math.floor(at / (2 * p.width)), at % (2 * p.width)];
      return pixels[0]?.[Math.floor(y / 2) * p.width + Math.floor(x / 2)] as number;
    });
    const [same] = await run(frozen, 'pixels', new ort.Tensor('uint8', larger, [1, 2 * p.height, 2 * p.width, 1]));
    expect(same?.[0]).toBeCloseTo(came[0]?.[0] as number, 1);
    await bundle.release();
  });

  it('keeps apart what its graphs call alike', async () => {
    // As a network of attention may call what it has within.
    const { input, nodes, initializers } = {
      input: { x: ['N', 1, 8, 8] },
      nodes: [
        { op: 'Conv', inputs: ['x', 'w1'], outputs: ['probabilities'] },
        { op: 'Relu', inputs: ['probabilities'], outputs: ['logits'] },
        { op: 'GlobalAveragePool', inputs: ['logits'], outputs: ['e'] },
        { op: 'Flatten', inputs: ['e'], outputs: ['f'] },
        { op: 'Gemm', inputs: ['f', 'wf'], outputs: ['l'] },
      ],
      initializers: {
        w1: float32s(
          [6, 1, 3, 3],
          Array.from({ length: 54 }, (_, i) => Math.sin(i)),
        ),
        wf: float32s(
          [6, 3],
          Array.from({ length: 18 }, (_, i) => Math.cos(i)),
        ),
      },
    };
    const clashing = encodeModel({ inputs: input, outputs: { l: undefined }, nodes, initializers });
    const { directory } = await compileBytes(clashing, { patterns: { head: ['none'] } });
    const bundle = await loadBundle(directory, { threads: 1 });
    const { profile } = await bundle.adapt(asked, { pattern: 'head' });
    await expectAsPredicted(bundle, profile, images, { upgrade: reencodeOnnx });
    await bundle.release();
  });

  it('is refused of another bundle’s profile', async () => {
    const [one, other] = await Promise.all(
      [tinyCheckpoint(), tinyCheckpoint('shared')].map(async (each) =>
        loadBundle(await writeTinyBundle(each), { threads: 1 }),
      ),
    );
    const drawn = ['x', 'y'].map((_, i) => new Float32Array((one as Bundle).imageLength).fill(i));
    const { profile } = await (one as Bundle).adapt(examplesOf(drawn, ['x', 'y']), { pattern: 'head' });
    await expect((other as Bundle).freeze(profile)).rejects.toThrow(ProfileError);
    await Promise.all([one?.release(), other?.release()]);
  });
});
