import { mkdir, readFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { float32, readSafetensors, type StoredTensor, writeSafetensors } from '@whet/runtime/format';
import writeFileAtomic from 'write-file-atomic';
import type { AdamState } from '../training/adam.js';
import { CheckpointError } from '../training/checkpoint.js';
import type { Candidates } from './candidates.js';
import { type ModelRunConfig, parseModelConfig } from './config.js';
import { initialLearned, learnedSpecs } from './learned.js';

/** The first was of another inner loop, whose rates mean something else. */
const FORMAT = 'whet-model-checkpoint-2';

/** How far a run is, and what it has learned. */
export interface ModelRunState {
  /** Outer steps done. */
  step: number;
  /** The best mean accuracy over the validation's domains so far. */
  bestValidation: number | undefined;
  /** How often the outer rates were halved, because steps diverged. */
  halved: number;
  readonly learned: Map<string, AdamState>;
}

export interface ModelCheckpoint {
  readonly config: ModelRunConfig;
  readonly state: ModelRunState;
  /** An earlier state, to go back to where steps diverge; of a run that is gone on with. */
  readonly good?: ModelRunState | undefined;
}

export const initialModelState = (candidates: Candidates, config: ModelRunConfig): ModelRunState => ({
  step: 0,
  bestValidation: undefined,
  halved: 0,
  learned: initialLearned(candidates, config),
});

const parts = { parameter: 'value', 'adam.first': 'first', 'adam.second': 'second' } as const;

/** Writes a checkpoint so that a crash leaves the old one or the new one, never a part. */
export async function saveModelCheckpoint(
  path: string,
  { config, state }: ModelCheckpoint,
  candidates: Candidates,
): Promise<void> {
  const tensors = new Map<string, StoredTensor>();
  for (const { name, shape } of learnedSpecs(candidates)) {
    const learned = state.learned.get(name);
    if (!learned) throw new CheckpointError(`${path}: the state has no "${name}"`);
    for (const [part, key] of Object.entries(parts)) tensors.set(`${part}/${name}`, float32(shape, learned[key]));
  }
  const metadata = {
    format: FORMAT,
    step: String(state.step),
    bestValidation: JSON.stringify(state.bestValidation ?? null),
    halved: String(state.halved),
    config: JSON.stringify(config),
  };
  await mkdir(dirname(path), { recursive: true });
  await writeFileAtomic(path, Buffer.from(writeSafetensors({ tensors, metadata })));
}

/** The settings of a run that learned where a model learns; undefined where the file is a checkpoint of another kind, or none. */
export async function modelRunConfigOf(path: string): Promise<ModelRunConfig | undefined> {
  const bytes = await readFile(path).catch((cause: Error) => {
    throw new CheckpointError(`checkpoint "${path}": ${cause.message}`, { cause });
  });
  let metadata: Readonly<Record<string, string>>;
  try {
    ({ metadata } = readSafetensors(bytes));
  } catch {
    return undefined;
  }
  return metadata['format'] === FORMAT ? parseModelConfig(JSON.parse(metadata['config'] ?? 'null')) : undefined;
}

/** Reads a checkpoint of candidates; throws {@link CheckpointError} naming the file and what does not fit. */
export async function loadModelCheckpoint(path: string, candidates: Candidates): Promise<ModelCheckpoint> {
  try {
    const { tensors, metadata } = readSafetensors(await readFile(path));
    if (metadata['format'] !== FORMAT) throw new Error('not a checkpoint of `whet train --model`');
    const config = parseModelConfig(JSON.parse(metadata['config'] ?? 'null'));
    const learned = new Map<string, AdamState>();
    for (const { name, shape } of learnedSpecs(candidates)) {
      const take = (part: string): Float32Array => {
        const tensor = tensors.get(`${part}/${name}`);
        if (!(tensor?.data instanceof Float32Array)) throw new Error(`tensor "${part}/${name}" is missing`);
        if (tensor.shape.join() !== shape.join()) {
          throw new Error(`tensor "${part}/${name}": expected [${shape.join(', ')}], got [${tensor.shape.join(', ')}]`);
        }
        return tensor.data;
      };
      learned.set(name, { value: take('parameter'), first: take('adam.first'), second: take('adam.second') });
    }
    const bestValidation = (JSON.parse(metadata['bestValidation'] ?? 'null') as number | null) ?? undefined;
    const halved = Number(metadata['halved'] ?? 0);
    return { config, state: { step: Number(metadata['step']), bestValidation, halved, learned } };
  } catch (cause) {
    throw new CheckpointError(`checkpoint "${path}": ${(cause as Error).message}`, { cause });
  }
}
