import { createHash } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { encodeOnnx, GraphBuilder, int64s, reshape } from '@whet/compiler';
import type { Preprocessing } from '@whet/runtime';
import { loadBundle } from '@whet/runtime/node';
import { type Checkpoint, exportBundle, initialState, type PatternSpec, runConfigSchema } from '@whet/trainer';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { decodeReference, type EncodedTensor, readReference, referenceFiles, relativeError } from './reference.js';
import { examplesOf, softmax } from './task-graph-route.js';

interface RuleCase {
  readonly rule: string;
  readonly config: Record<'blocks' | 'channels' | 'inputChannels' | 'size' | 'ways' | 'steps' | 'innerLr', number>;
  readonly parameters: Record<string, EncodedTensor>;
  readonly support: { readonly x: EncodedTensor; readonly y: EncodedTensor };
  readonly query: { readonly x: EncodedTensor };
  readonly expected: Record<string, { readonly supportLosses: readonly number[]; readonly queryLogits: EncodedTensor }>;
}

/** Which layers move by rules whose heads a bundle can move; per-entry masks of a head belong to one number of classes. */
const moving: Readonly<Record<string, (layers: readonly string[]) => readonly string[]>> = {
  maml: (layers) => layers,
  anil: () => ['head'],
  boil: (layers) => layers.filter((layer) => layer !== 'head'),
};

function checkpointOf({ config, parameters }: RuleCase): Checkpoint {
  const settings = runConfigSchema.parse({
    model: {
      architecture: 'conv4',
      blocks: config.blocks,
      channels: config.channels,
      imageChannels: config.inputChannels,
      imageSize: config.size,
      convolutionBias: true,
    },
    head: 'shared',
    rule: 'maml',
    normalization: 'support',
    innerSteps: config.steps,
    innerRate: config.innerLr,
  });
  const state = initialState(settings);
  for (const [name, { value }] of state.parameters) {
    const given = parameters[name];
    if (given && !name.startsWith('head.')) value.set(decodeReference(given).data);
  }
  return { config: settings, state };
}

/** The papers' head, weights per class, as a bundle's `start.onnx`: a graph that anyone could have written. */
function fixedStart({ parameters, config }: RuleCase): Uint8Array {
  const g = new GraphBuilder();
  const labels = g.input('labels', ['N', config.ways]);
  const counts = g.apply('ReduceSum', [labels, g.constant(int64s([0]))], { keepdims: 0 });
  const zeros = g.apply('Mul', [counts, g.scalar(0)], {});
  const given = (name: string) => g.constant(decodeReference(parameters[name] as EncodedTensor), `start/${name}`);
  const weight = g.apply('Add', [reshape(g, zeros, [config.ways, 1]), given('head.weight')], {});
  const bias = g.apply('Add', [zeros, given('head.bias')], {});
  const outputs = new Map([
    ['head.weight', weight],
    ['head.bias', bias],
  ]);
  return encodeOnnx({ name: 'start', inputs: [labels], outputs });
}

const imagesOf = (encoded: EncodedTensor): Float32Array[] => {
  const { shape, data } = decodeReference(encoded);
  const [count = 0] = shape;
  const length = data.length / count;
  return Array.from({ length: count }, (_, i) => Float32Array.from(data.slice(i * length, (i + 1) * length)));
};

async function writeBundle(test: RuleCase, directory: string): Promise<void> {
  const checkpoint = checkpointOf(test);
  const blocks = Array.from({ length: test.config.blocks }, (_, i) => `block${i + 1}`);
  const layers = moving[test.rule]?.([...blocks, 'head']) ?? [];
  const spec: PatternSpec = { name: 'rule', description: test.rule, layers };
  const preprocessing: Preprocessing = {
    width: test.config.size,
    height: test.config.size,
    channels: 1,
    fit: 'contain',
    background: 255,
    kernel: 'linear',
    invert: false,
    mean: [0],
    std: [1],
  };
  const about = { name: test.rule, version: '0.0.1', description: test.rule, defaultPattern: 'rule' };
  await exportBundle({ ...about, checkpoint, directory, preprocessing, patterns: [spec] });
  const start = fixedStart(test);
  await writeFile(join(directory, 'rule.start.onnx'), start);
  const path = join(directory, 'manifest.json');
  const manifest = JSON.parse(await readFile(path, 'utf8'));
  manifest.files['rule.start.onnx'].sha256 = createHash('sha256').update(start).digest('hex');
  await writeFile(path, JSON.stringify(manifest));
}

describe('a bundle normalized by the support set, against PyTorch in float64', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'whet-reference-'));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  const cases = referenceFiles('rule-').map((file) => readReference<RuleCase>(file));
  it('has cases whose body moves, and whose head alone does', () => {
    expect(cases.map(({ rule }) => rule)).toEqual(expect.arrayContaining(['maml', 'anil']));
  });

  it.each(cases.filter(({ rule }) => moving[rule]))('$rule, predicting one image at a time', async (test) => {
    const directory = join(folder, test.rule);
    await writeBundle(test, directory);
    const bundle = await loadBundle(directory, { threads: 1 });
    const rows = Array.from(decodeReference(test.support.y).data);
    const examples = examplesOf(imagesOf(test.support.x), rows.map(String));
    // The head's rows are the classes in the order of their first examples; moments know no order.
    examples.sort((a, b) => Number(a.label) - Number(b.label));
    const { profile, losses } = await bundle.adapt(examples);
    const expected = test.expected['support/first-order'];
    expect(relativeError(losses, expected?.supportLosses ?? [])).toBeLessThan(1e-4);
    const logits = decodeReference(expected?.queryLogits as EncodedTensor).data;
    const { ways } = test.config;
    for (const [row, image] of imagesOf(test.query.x).entries()) {
      const [prediction] = await bundle.predict(profile, [image]);
      const probabilities: Readonly<Record<string, number>> = prediction?.probabilities ?? {};
      const actual = Array.from({ length: ways }, (_, way) => probabilities[String(way)] as number);
      expect(relativeError(actual, softmax(logits.slice(row * ways, (row + 1) * ways)))).toBeLessThan(1e-4);
    }
    await bundle.release();
  });
});
