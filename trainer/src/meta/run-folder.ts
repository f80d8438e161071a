import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { readSafetensors } from '@whet/runtime/format';
import * as z from 'zod';
import { readLines } from '../training/run-folder.js';
import { modelRunConfigOf } from './checkpoint.js';
import type { ModelRunConfig } from './config.js';

const interval = z.object({ mean: z.number(), halfWidth: z.number() });
const open = { open: z.number(), entries: z.number(), rate: z.number() };

const lineSchema = z.object({
  step: z.number().int().min(0),
  trained: z.record(z.string(), z.object({ loss: z.number(), accuracy: z.number(), tasks: z.number() })),
  closed: z.number(),
  blocks: z.array(z.object({ block: z.number(), ...open })),
  tensors: z.array(z.object({ name: z.string(), block: z.number(), ...open })),
  validation: z.record(z.string(), z.object({ before: interval, after: interval, gain: interval })).default({}),
});

/** What a run measured at a validation. */
export type ModelMetricsLine = z.infer<typeof lineSchema>;

/** A mask as the last checkpoint has it. */
export interface SavedMask {
  readonly name: string;
  readonly shape: readonly number[];
  /** 1 for each logit that opens what it stands for. */
  readonly open: Uint8Array;
}

/** A run that learns where a model learns, as it stands: without the model. */
export interface SavedModelRun {
  readonly config: ModelRunConfig;
  readonly metrics: readonly ModelMetricsLine[];
  readonly masks: readonly SavedMask[];
}

const MASK = 'parameter/mask/';

/** Reads a run's folder; undefined where its checkpoint is one of another kind. Throws `RunError` or `CheckpointError`. */
export async function readModelRun(directory: string): Promise<SavedModelRun | undefined> {
  const path = join(directory, 'last.safetensors');
  const config = await modelRunConfigOf(path).catch(() => undefined);
  if (!config) return undefined;
  const metrics = await readLines(join(directory, 'metrics.jsonl'), lineSchema);
  const { tensors } = readSafetensors(await readFile(path));
  const masks = [...tensors].flatMap(([name, { shape, data }]): SavedMask[] => {
    if (!name.startsWith(MASK) || !(data instanceof Float32Array)) return [];
    const isOpen = Uint8Array.from(data, (logit) => Number(logit >= 0));
    return [{ name: name.slice(MASK.length), shape, open: isOpen }];
  });
  return { config, metrics, masks };
}
