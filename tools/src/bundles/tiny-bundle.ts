import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  buildBundle,
  type Checkpoint,
  generatorFor,
  initialState,
  omniglotPreprocessing,
  runConfigSchema,
  writeBundle,
} from '@whet/trainer';

/** Image size of the tiny bundle: two blocks leave 3 x 3 features. */
export const TINY_SIZE = 12;

/** A small network with random weights, masks and population moments: everything an export needs but training. */
export function tinyCheckpoint(head: 'prototype' | 'shared' = 'prototype', overrides: object = {}): Checkpoint {
  const config = runConfigSchema.parse({
    model: { architecture: 'conv4', channels: 4, blocks: 2, imageSize: TINY_SIZE },
    head,
    rule: 'sparse-maml',
    normalization: 'population',
    innerSteps: 3,
    innerRate: 0.002,
    seed: 7,
    ...overrides,
  });
  const state = initialState(config);
  const random = generatorFor(7, 'tiny-bundle', 0);
  for (const { mean, variance } of state.moments.values()) {
    for (let i = 0; i < mean.length; i++) {
      mean[i] = 0.1 * random.normal();
      variance[i] = 0.5 + random.uniform();
    }
  }
  return { config, state };
}

/** The same of four blocks, down to features of one pixel, normalized by the moments of the support set. */
export function supportCheckpoint(head: 'prototype' | 'shared' = 'prototype'): Checkpoint {
  return tinyCheckpoint(head, {
    model: { architecture: 'conv4', channels: 4, blocks: 4, imageSize: TINY_SIZE, downsample: 'stride' },
    normalization: 'support',
    innerRate: 0.05,
  });
}

/** Files of bundles that this process has compiled, by all that their checkpoints hold. */
const compiled = new Map<string, ReadonlyMap<string, Uint8Array>>();

const plain = (_: string, value: unknown): unknown => {
  if (value instanceof Map) return [...value];
  return ArrayBuffer.isView(value) ? (value as Float32Array).join() : value;
};

function compiledOnce({ config, state }: Checkpoint): ReadonlyMap<string, Uint8Array> {
  const key = JSON.stringify([config, state], plain);
  const known = compiled.get(key);
  if (known) return known;
  const { contents } = buildBundle({
    checkpoint: { config, state },
    name: 'tiny',
    version: '0.0.1',
    description: 'Random weights, for tests.',
    preprocessing: omniglotPreprocessing(config.model.imageSize),
  });
  compiled.set(key, contents);
  return contents;
}

/** Exports the tiny checkpoint into a new temporary folder and returns the folder. */
export async function writeTinyBundle(checkpoint: Checkpoint = tinyCheckpoint()): Promise<string> {
  const directory = join(await mkdtemp(join(tmpdir(), 'whet-bundle-')), 'tiny');
  await writeBundle(directory, compiledOnce(checkpoint));
  return directory;
}

/** `count` random images `[1, 12, 12]`, or of another size, the same for the same stream. */
export function randomImages(stream: string, count: number, size = TINY_SIZE): Float32Array[] {
  const random = generatorFor(11, stream, 0);
  return Array.from({ length: count }, () => Float32Array.from({ length: size ** 2 }, () => random.normal()));
}
