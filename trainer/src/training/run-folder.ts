import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import * as z from 'zod';
import { type Checkpoint, loadCheckpoint } from './checkpoint.js';

/** A folder that is not that of a run, or whose files do not fit. */
export class RunError extends Error {
  override readonly name = 'RunError';
}

const lineSchema = z.object({
  /** Outer steps done, and how many there will be. */
  step: z.number().int().min(0),
  outerSteps: z.number().int().optional(),
  /** Means over the training tasks since the last line. */
  loss: z.number(),
  accuracy: z.number(),
  /** Frozen share of each layer's weights, 0..1; empty for rules without masks. */
  frozen: z.record(z.string(), z.number()).default({}),
  validation: z.object({ mean: z.number(), halfWidth: z.number() }),
  time: z.string().optional(),
});

/** One line of a metrics file: what was measured at a validation. */
export type MetricsLine = z.infer<typeof lineSchema>;

/**
 * The lines of a metrics file. A last line cut short, as a crash or a run in progress may leave it, is left out. Throws
 * {@link RunError} naming another line that does not fit, or where there is none.
 */
export const readMetrics = (path: string): Promise<MetricsLine[]> => readLines(path, lineSchema);

/** {@link readMetrics} of a file whose lines are of another kind. */
export async function readLines<T>(path: string, schema: z.ZodType<T>): Promise<T[]> {
  const text = await readFile(path, 'utf8').catch((cause: NodeJS.ErrnoException) => {
    const got = cause.code === 'ENOENT' ? 'no such file' : cause.message;
    throw new RunError(`${path}: expected the metrics of a run, got ${got}`, { cause });
  });
  const lines = text.split('\n');
  const unfinished = lines.pop();
  if (unfinished) lines.push(unfinished);
  const metrics = lines.flatMap((line, i) => {
    if (line === '') return [];
    const last = unfinished !== '' && i === lines.length - 1;
    const parsed = schema.safeParse(parseJson(line));
    if (parsed.success) return [parsed.data];
    if (last) return [];
    const issue = parsed.error.issues[0];
    const where = issue?.path.join('.') || 'the line';
    throw new RunError(`${path}: line ${i + 1}: ${where}: ${issue?.message}`, { cause: parsed.error });
  });
  if (metrics.length === 0) {
    throw new RunError(`${path}: expected at least one validation, got none yet; wait for the first`);
  }
  return metrics;
}

function parseJson(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}

/**
 * A run as it stands: its last checkpoint, and its metrics up to there and beyond. Throws {@link RunError} where the folder
 * is missing or has no metrics, and `CheckpointError` where its checkpoint cannot be read.
 */
export async function readRun(directory: string): Promise<{ checkpoint: Checkpoint; metrics: MetricsLine[] }> {
  const found = await stat(directory).catch(() => undefined);
  if (!found?.isDirectory()) {
    const got = found ? 'a file' : 'no such folder';
    throw new RunError(`${directory}: expected the folder of a run (metrics.jsonl, last.safetensors), got ${got}`);
  }
  const metrics = await readMetrics(join(directory, 'metrics.jsonl'));
  return { checkpoint: await loadCheckpoint(join(directory, 'last.safetensors')), metrics };
}
