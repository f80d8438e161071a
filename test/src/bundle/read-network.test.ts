import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  encodeOnnx,
  evaluate,
  GraphBuilder,
  inline,
  makeTensor,
  referenceBackend,
  sizeOf,
  type Value,
} from '@whet/compiler';
import { type Backbone, conv4 } from '@whet/models';
import { loadBundleFiles } from '@whet/runtime/node';
import {
  backboneOfModel,
  buildBundle,
  type Checkpoint,
  type Dataset,
  evaluateTasks,
  frozenShare,
  generatorFor,
  initialState,
  layerPattern,
  layerSubsets,
  layersOf,
  loadCheckpoint,
  modelOf,
  newRun,
  omniglotPreprocessing,
  patternsOf,
  type RunConfig,
  readModel,
  resumeFrom,
  train,
} from '@whet/trainer';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { conv4Model } from '../parity/conv4-model.js';
import { smallModel } from '../parity/normalized-model.js';
import { relativeError } from '../parity/reference.js';
import { examplesOf } from '../parity/task-graph-route.js';

const SIZE = 8;
const network = { blocks: 2, channels: [3, 4], imageSize: SIZE, convolutionBias: true };

const drawings = (split: string, count: number) =>
  Array.from({ length: count }, (_, i) => {
    const random = generatorFor(3, split, i);
    const pixels = Uint8Array.from({ length: 6 * SIZE * SIZE }, () => (random.uniform() < 0.3 ? 0 : 255));
    return { name: `${split} ${i}`, count: 6, pixels };
  });
const dataset: Dataset = {
  name: 'noise',
  preprocessing: omniglotPreprocessing(SIZE),
  splits: { train: drawings('train', 8), validation: drawings('validation', 4), test: drawings('test', 4) },
};

const settings = {
  rule: 'sparse-maml',
  order: 2,
  maskGranularity: 'channel',
  maskCost: { weight: 0.1 },
  innerSteps: 1,
  ways: 3,
  shots: [2],
  queries: 2,
  tasksPerStep: 2,
  outerSteps: 3,
  validation: { every: 3, tasks: 2, ways: 3, shots: 1, queries: 2 },
};

const readBackbone = async (bytes: Uint8Array): Promise<Backbone> => backboneOfModel(await readModel(bytes, {}));

/** What the code calls a layer, or a mask of one, by what the file does. */
const inCode = (name: string): string => name.replace(/(^|\/|-)conv(\d)$/, '$1block$2');

/** Runs on the network as code and as read, from the same weights, masks and moments. */
async function bothRuns(normalization: RunConfig['normalization']): Promise<{ code: Checkpoint; read: Checkpoint }> {
  const backbone = await readBackbone(conv4Model(network));
  const read = await newRun({ ...settings, normalization, model: modelOf(backbone) }, undefined, undefined, backbone);
  const code = await newRun({ ...settings, normalization, model: modelOf(conv4(network)) });
  for (const [name, { value }] of read.state.parameters) code.state.parameters.get(inCode(name))?.value.set(value);
  for (const [name, { mean, variance }] of read.state.moments) {
    code.state.moments.get(name)?.mean.set(mean);
    code.state.moments.get(name)?.variance.set(variance);
  }
  return { code, read };
}

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'whet-read-network-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe.each(['population', 'support', 'layer'] as const)('a network from a file, %s', (normalization) => {
  let code: Checkpoint;
  let read: Checkpoint;
  beforeAll(async () => {
    ({ code, read } = await bothRuns(normalization));
    const checkpoints = { last: join(folder, `${normalization}.safetensors`), best: join(folder, 'best.safetensors') };
    await train({ ...code, dataset, backend: referenceBackend });
    await train({ ...read, dataset, backend: referenceBackend, checkpoints });
  });

  it('starts from the values of the file, and trains to what the code does', async () => {
    const fresh = initialState(read.config, read.backbone);
    expect([...read.state.parameters.keys()].map(inCode)).toEqual([...code.state.parameters.keys()]);
    for (const [name, { value }] of read.state.parameters) {
      expect(relativeError(value, code.state.parameters.get(inCode(name))?.value ?? []), name).toBeLessThan(1e-6);
    }
    const moved = [...read.state.parameters].filter(([name, { value }]) => {
      return relativeError(value, fresh.parameters.get(name)?.value ?? []) > 1e-4;
    });
    expect(moved.map(([name]) => name)).toEqual(expect.arrayContaining(['conv1.weight', 'norm2.bias', 'mask/conv2']));
    for (const [name, moments] of read.state.moments) {
      expect(relativeError(moments.mean, code.state.moments.get(name)?.mean ?? []), name).toBeLessThan(1e-6);
    }
    const shares = Object.entries(frozenShare(read.config, read.state, read.backbone));
    expect(Object.fromEntries(shares.map(([layer, share]) => [inCode(layer), share]))).toEqual(
      frozenShare(code.config, code.state),
    );
    const tasks = { dataset, backend: referenceBackend, split: 'test', tasks: 3 } as const;
    expect(await evaluateTasks({ ...read, ...tasks })).toEqual(await evaluateTasks({ ...code, ...tasks }));
  });

  it('has the patterns of its layers, each a bundle that answers as that of the code', async () => {
    expect(layersOf(read)).toEqual(['conv1', 'conv2', 'head']);
    expect(layerSubsets(read)).toHaveLength(layerSubsets(code).length);
    expect(patternsOf(read).map(({ name }) => inCode(name))).toEqual(patternsOf(code).map(({ name }) => name));
    const bundle = (checkpoint: Checkpoint) => {
      const chosen = layerPattern(checkpoint, 'chosen', layersOf(checkpoint).slice(0, 1));
      return buildBundle({
        checkpoint,
        ...{ name: 'net', version: '0.0.1', description: '', preprocessing: dataset.preprocessing },
        patterns: [...patternsOf(checkpoint), chosen],
      });
    };
    const [ofRead, ofCode] = [bundle(read), bundle(code)];
    const random = generatorFor(4, 'examples', 0);
    const images = Array.from({ length: 5 }, () => Float32Array.from({ length: SIZE ** 2 }, () => random.normal()));
    const [loadedRead, loadedCode] = [await loadBundleFiles(ofRead.contents), await loadBundleFiles(ofCode.contents)];
    try {
      for (const [pattern, { layers, moving }] of Object.entries(ofRead.manifest.patterns)) {
        const same = ofCode.manifest.patterns[inCode(pattern)];
        expect(layers.map(inCode), pattern).toEqual(same?.layers);
        expect(moving, pattern).toEqual(same?.moving);
        const adapted = await Promise.all(
          [loadedRead, loadedCode].map(async (loaded, i) => {
            const examples = examplesOf(images.slice(0, 4), ['a', 'a', 'b', 'b']);
            const { profile } = await loaded.adapt(examples, { pattern: i === 0 ? pattern : inCode(pattern) });
            const [prediction] = await loaded.predict(profile, images.slice(4));
            return Object.values(prediction?.probabilities ?? {});
          }),
        );
        expect(relativeError(adapted[0] ?? [], adapted[1] ?? []), pattern).toBeLessThan(1e-4);
      }
    } finally {
      await loadedRead.release();
      await loadedCode.release();
    }
  });

  it('is searched from each layer upward where all subsets of its layers would be too many', () => {
    const layers = Array.from({ length: 9 }, (_, i) => `layer${i}`);
    const deep = { ...read, backbone: { ...(read.backbone as Backbone), layers } };
    const subsets = layerSubsets(deep);
    expect(subsets).toHaveLength(10);
    expect(subsets[0]?.layers).toEqual([...layers, 'head']);
    expect(subsets.at(-2)).toEqual({ name: 'layer8+head', layers: ['layer8', 'head'] });
  });

  it('goes on from its checkpoint with the file, and with no other', async () => {
    const path = join(folder, `${normalization}.safetensors`);
    const resumed = await resumeFrom(path, { outerSteps: 4, backbone: read.backbone });
    expect(resumed.state).toEqual(read.state);
    await train({ ...resumed, dataset, backend: referenceBackend });
    expect(resumed.state.step).toBe(4);
    await expect(loadCheckpoint(path)).rejects.toThrow(/read from a file with features ".+", and is needed/);
    const other = await readBackbone(conv4Model({ ...network, channels: 3 }));
    await expect(loadCheckpoint(path, other)).rejects.toThrow(/checkpoint .*: the network: expected .*sha256.*, got/);
  });
});

describe('the features of a network from a file', () => {
  it.each([{}, { vectors: true }, { normalized: false }])('are the file’s by its own moments, %o', async (options) => {
    const model = await readModel(smallModel(options), {});
    const backbone = backboneOfModel(model);
    const images = makeTensor(
      [3, 1, SIZE, SIZE],
      Float64Array.from({ length: 3 * SIZE ** 2 }, (_, i) => Math.sin(i)),
    );
    const featuresOf = (build: (g: GraphBuilder, images: Value) => Value) => {
      const g = new GraphBuilder();
      const input = g.input('images', images.shape);
      const graph = { name: 'features', inputs: [input], outputs: new Map([['features', build(g, input)]]) };
      return evaluate(graph, new Map([['images', images]])).get('features')?.data ?? [];
    };
    const values = new Map(backbone.parameters.map((spec) => [spec.name, spec]));
    const own = new Map(backbone.normalizations.map((each) => [each.name, each]));
    expect(own.size).toBe(options.normalized === false ? 0 : options.vectors ? 3 : 2);
    const actual = featuresOf((g, input) => {
      const parameter = (name: string): Value => {
        const { shape, initializer } = values.get(name) ?? {};
        return g.constant(makeTensor(shape ?? [], initializer?.kind === 'given' ? initializer.values : []));
      };
      return backbone.build(g, input, parameter, (name) => {
        const { channels = 0, moments } = own.get(name) ?? {};
        const constant = (data: Float32Array | undefined) => g.constant(makeTensor([1, channels, 1, 1], data ?? []));
        return { mean: constant(moments?.mean), variance: constant(moments?.variance) };
      });
    });
    const file = model.featureGraph([]);
    const expected = featuresOf((g, input) => {
      return inline(g, file, new Map([[file.inputs[0] as Value, input]])).get('features') as Value;
    });
    expect(sizeOf([3, backbone.features])).toBe(expected.length);
    // A file has its epsilon, 1e-3, in float32.
    expect(relativeError(actual, expected)).toBeLessThan(1e-9);
  });

  it('is trained by other names where parameters have those that graphs use', async () => {
    const g = new GraphBuilder();
    const x = g.input('x', ['N', 1, 2, 2]);
    const weight = (name: string, shape: readonly number[]) =>
      g.constant(makeTensor(shape, new Float32Array(sizeOf(shape)).fill(0.1)), name);
    const flat = g.apply('Flatten', [x], { axis: 1 }, 'flat');
    const body = g.apply('Gemm', [flat, weight('query', [4, 3])], {}, 'head');
    const logits = g.apply('Gemm', [body, weight('top', [3, 2])], {}, 'logits');
    const bytes = encodeOnnx({ name: 'net', inputs: [x], outputs: new Map([['logits', logits]]) });
    const { parameters } = await readBackbone(bytes);
    expect(parameters.map(({ name, layer }) => [name, layer])).toEqual([['model/query', 'model/head']]);
  });
});
