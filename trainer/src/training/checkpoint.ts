import { mkdir, readFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Backbone } from '@whet/models';
import { float32, readSafetensors, type StoredTensor, writeSafetensors } from '@whet/runtime/format';
import writeFileAtomic from 'write-file-atomic';
import { backboneOf, type RunConfig, runConfigSchema } from './config.js';
import { allSpecs, type TrainingState } from './state.js';

/** A checkpoint that cannot be read, or belongs to another architecture or rule. */
export class CheckpointError extends Error {
  override readonly name = 'CheckpointError';
}

export interface Checkpoint {
  readonly config: RunConfig;
  readonly state: TrainingState;
  /** An earlier state, to go back to where steps diverge; of a run that is gone on with. */
  readonly good?: TrainingState | undefined;
  /** The network, where the settings alone do not make it: one that was read from a file. */
  readonly backbone?: Backbone | undefined;
}

/** Writes a checkpoint so that a crash leaves the old one or the new one, never a part. */
export async function saveCheckpoint(path: string, { config, state, backbone }: Checkpoint): Promise<void> {
  const tensors = new Map<string, StoredTensor>();
  for (const { name, shape } of allSpecs(config, backbone)) {
    const parameter = state.parameters.get(name);
    if (!parameter) throw new CheckpointError(`${path}: the state has no parameter "${name}"`);
    tensors.set(`parameter/${name}`, float32(shape, parameter.value));
    tensors.set(`adam.first/${name}`, float32(shape, parameter.first));
    tensors.set(`adam.second/${name}`, float32(shape, parameter.second));
  }
  for (const [name, { mean, variance }] of state.moments) {
    tensors.set(`moments/${name}.mean`, float32([mean.length], mean));
    tensors.set(`moments/${name}.variance`, float32([variance.length], variance));
  }
  const metadata = {
    format: 'whet-checkpoint-1',
    step: String(state.step),
    bestValidation: JSON.stringify(state.bestValidation ?? null),
    validationsSinceBest: String(state.validationsSinceBest),
    halved: String(state.halved),
    config: JSON.stringify(config),
  };
  await mkdir(dirname(path), { recursive: true });
  await writeFileAtomic(path, Buffer.from(writeSafetensors({ tensors, metadata })));
}

/** Reads a checkpoint, of a network that was read from a file with that; throws {@link CheckpointError} naming the file and what does not fit. */
export async function loadCheckpoint(path: string, backbone?: Backbone): Promise<Checkpoint> {
  try {
    const { tensors, metadata } = readSafetensors(await readFile(path));
    if (metadata['format'] !== 'whet-checkpoint-1') throw new Error('not a checkpoint of whet');
    const config = runConfigSchema.parse(JSON.parse(metadata['config'] ?? 'null'));
    const take = (name: string, shape: readonly number[]): Float32Array => {
      const tensor = tensors.get(name);
      if (!(tensor?.data instanceof Float32Array)) throw new Error(`tensor "${name}" is missing`);
      if (tensor.shape.join() !== shape.join()) {
        throw new Error(`tensor "${name}": expected [${shape.join(', ')}], got [${tensor.shape.join(', ')}]`);
      }
      return tensor.data;
    };
    const parameters = new Map(
      allSpecs(config, backbone).map(({ name, shape }) => [
        name,
        {
          value: take(`parameter/${name}`, shape),
          first: take(`adam.first/${name}`, shape),
          second: take(`adam.second/${name}`, shape),
        },
      ]),
    );
    const moments = new Map(
      backboneOf(config, backbone).normalizations.map(({ name, channels }) => [
        name,
        { mean: take(`moments/${name}.mean`, [channels]), variance: take(`moments/${name}.variance`, [channels]) },
      ]),
    );
    const step = Number(metadata['step']);
    const bestValidation = (JSON.parse(metadata['bestValidation'] ?? 'null') as number | null) ?? undefined;
    const validationsSinceBest = Number(metadata['validationsSinceBest'] ?? 0);
    const halved = Number(metadata['halved'] ?? 0);
    const state = { step, bestValidation, validationsSinceBest, halved, parameters, moments };
    return { config, state, ...(backbone ? { backbone } : {}) };
  } catch (cause) {
    throw new CheckpointError(`checkpoint "${path}": ${(cause as Error).message}`, { cause });
  }
}
