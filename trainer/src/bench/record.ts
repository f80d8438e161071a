import os from 'node:os';
import writeFileAtomic from 'write-file-atomic';
import * as z from 'zod';
import { benchBackends } from './backends.js';
import { readBySchema } from './read-by-schema.js';

export const BENCH_SCHEMA = 'whet-bench/1';

const positive = z.int().positive();
const share = z.number().min(0).max(1);

/** Milliseconds: the median, the quartiles that half of the runs lie between, and what 95 % of them do not exceed. */
const timingSchema = z.strictObject({ median: z.number(), p25: z.number(), p75: z.number(), p95: z.number() });

const resultSchema = z.strictObject({
  /** A label of `bundles`, and a name of `backends`. */
  bundle: z.string(),
  backend: z.enum(benchBackends),
  pattern: z.string(),
  ways: positive,
  shots: positive,
  steps: z.int().min(0),
  /** Timed runs: fewer than asked for where the bench was interrupted. */
  runs: positive,
  /** Moving weights below the head, and the head's. */
  movingWeights: positive,
  /** Bytes of a profile. */
  storedBytes: positive,
  encode: timingSchema,
  /** One inner step: the inner loop's time over its steps, the head's start included. */
  step: timingSchema,
  /** Encoding, the head's start and all inner steps. */
  adapt: timingSchema,
  /** The processor's milliseconds of that, in all threads; null in files of before it was measured. */
  processor: timingSchema.nullable().default(null),
  /** The loss before each step, and after the last; empty where none was taken, null in files of before. */
  losses: z.array(z.number()).nullable().default(null),
  /** One image. */
  predict: timingSchema,
  /** Median time to adapt of the pattern that moves everything and caches nothing over this one's; null without one. */
  speedUp: z.number().nullable(),
  /** The matrix products of encoding and of all steps alone; null where the graphs are not read, or it was not asked for. */
  floor: timingSchema.nullable(),
  /** Bytes of resident memory above those after loading, at its peak while adapting; null where not measured. */
  peakBytes: z.int().min(0).nullable(),
  /** Share of right answers at these ways, shots and steps, and half of its 95 % interval over tasks; null where unknown. */
  accuracy: z
    .strictObject({
      mean: share,
      halfWidth: z.number().min(0),
      dataset: z.string(),
      split: z.string(),
      tasks: positive,
      /** Read from the bundle's manifest, or measured with the times. */
      from: z.enum(['manifest', 'data']),
    })
    .nullable(),
});

const recordSchema = z.strictObject({
  schema: z.literal(BENCH_SCHEMA),
  machine: z.strictObject({ cpu: z.string(), cores: positive, platform: z.string(), node: z.string() }),
  backends: z.array(z.strictObject({ name: z.enum(benchBackends), version: z.string() })),
  bundles: z.array(
    z.strictObject({ label: z.string(), name: z.string(), version: z.string(), digest: z.string().length(64) }),
  ),
  options: z.strictObject({
    ways: positive,
    shots: z.array(positive),
    /** Each pattern's own where null. */
    steps: z.int().min(0).nullable(),
    runs: positive,
    /** Of onnxruntime-node; its default where null. WebAssembly has one. */
    threads: positive.nullable(),
    /** Tasks that accuracies were measured on; null without data. */
    tasks: positive.nullable(),
  }),
  /** It was stopped before all was measured. */
  interrupted: z.boolean(),
  /** What could not be measured, and why. */
  problems: z.array(z.string()),
  results: z.array(resultSchema),
});

export type Timing = z.infer<typeof timingSchema>;
export type BenchResult = z.infer<typeof resultSchema>;
export type BenchRecord = z.infer<typeof recordSchema>;

/** This machine, as figures are recorded with it. */
export function thisMachine(): BenchRecord['machine'] {
  const cores = os.cpus();
  return {
    cpu: cores[0]?.model.trim() || 'unknown',
    cores: Math.max(1, cores.length),
    platform: `${process.platform}-${process.arch}`,
    node: process.versions.node,
  };
}

/** Reads a file of `whet bench --json`. Throws {@link BenchError} naming what does not fit. */
export function readBench(path: string): Promise<BenchRecord> {
  return readBySchema(path, `a bench file (${BENCH_SCHEMA})`, recordSchema);
}

/** Writes a bench file so that a crash leaves the old one or the new one. */
export async function writeBench(path: string, record: BenchRecord): Promise<void> {
  await writeFileAtomic(path, `${JSON.stringify(recordSchema.parse(record), null, 2)}\n`);
}
