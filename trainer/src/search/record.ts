import { readFile } from 'node:fs/promises';
import { isDeepStrictEqual } from 'node:util';
import writeFileAtomic from 'write-file-atomic';
import * as z from 'zod';

/** The form of search files this code reads and writes. */
export const SEARCH_SCHEMA = 'whet-search/1';

const positive = z.number().int().positive();

/** What decides the figures of a search: it goes on only under the same. */
const settingsSchema = z.strictObject({
  /** SHA-256 of the checkpoint's file. */
  checkpoint: z.string(),
  dataset: z.string(),
  split: z.literal('validation'),
  ways: positive,
  shots: positive,
  queries: positive,
  steps: positive,
  rates: z.array(z.number().positive()).nonempty(),
  /** Each pattern is measured after a single step, too. */
  oneStep: z.literal(true).optional(),
  seed: z.number().int().min(0),
  /** Threads of onnxruntime; its default where absent. */
  threads: positive.optional(),
});

/** Share of right answers by rate, task by task; null in records of before 0.7, where steps could diverge. */
const accuraciesSchema = z
  .array(z.strictObject({ rate: z.number(), tasks: z.array(z.number().nullable()) }))
  .nonempty();

const measuredSchema = z.strictObject({
  layers: z.array(z.string()).nonempty(),
  accuracies: accuraciesSchema,
  /** Milliseconds of adapting, encoding included, and of the encoding in it; once per task and rate. */
  adapt: z.array(z.number()),
  encode: z.array(z.number()),
  /** Milliseconds of adapting with the frozen prefix run again in every step; empty where nothing is frozen. */
  rerun: z.array(z.number()),
  /** After a single step, where that was asked for; milliseconds as above. */
  oneStep: z.strictObject({ accuracies: accuraciesSchema, adapt: z.array(z.number()) }).optional(),
});

const intervalSchema = z.strictObject({ mean: z.number(), halfWidth: z.number() });

const resultSchema = z.strictObject({
  name: z.string(),
  layers: z.array(z.string()),
  /** The rate of the highest accuracy on these tasks. */
  rate: z.number(),
  /** 0..1, with the 95 % interval of the mean over tasks. */
  accuracy: intervalSchema,
  /** Accuracy less the reference's, task by task, with its 95 % interval. */
  difference: intervalSchema,
  /** Tasks whose steps diverged at that rate, which count as without a right answer. */
  diverged: z.number(),
  /** Medians. `rerun`: with the frozen prefix run again in every step; as `adapt` where nothing is frozen. */
  milliseconds: z.strictObject({ adapt: z.number(), encode: z.number(), rerun: z.number() }),
  /** Milliseconds saved against the dense pattern: by not moving the rest, and then by caching the prefix. */
  saved: z.strictObject({ masking: z.number(), caching: z.number() }),
  /** After a single step, at the rate that is best for it; the difference is to the reference's accuracy after all steps. */
  oneStep: z
    .strictObject({
      rate: z.number(),
      accuracy: intervalSchema,
      difference: intervalSchema,
      milliseconds: z.number(),
    })
    .optional(),
  withinBudget: z.boolean(),
  /** No other pattern is as accurate and as fast, and one of both more so. */
  pareto: z.boolean(),
});

const outcomeSchema = z.strictObject({
  /** Tasks that every pattern was measured on. */
  tasks: positive,
  /** Patterns that there are, where not all of them were measured. */
  of: positive.optional(),
  /** Percentage points that the chosen pattern may be below the reference. */
  budget: z.number().min(0),
  dense: z.string(),
  reference: z.string(),
  chosen: z.string(),
  results: z.array(resultSchema).nonempty(),
});

const recordSchema = z.strictObject({
  schema: z.literal(SEARCH_SCHEMA),
  settings: settingsSchema,
  /** Null until the dense pattern was measured on a task. */
  outcome: outcomeSchema.nullable(),
  measured: z.record(z.string(), measuredSchema),
});

export type SearchSettings = z.infer<typeof settingsSchema>;
export type MeasuredPattern = z.infer<typeof measuredSchema>;
export type PatternResult = z.infer<typeof resultSchema>;
export type SearchOutcome = z.infer<typeof outcomeSchema>;
export type SearchRecord = z.infer<typeof recordSchema>;

/** A search file that cannot be read, or is of another search than the one asked for. */
export class SearchError extends Error {
  override readonly name = 'SearchError';
}

/** Reads a search file, or undefined where there is none. Throws {@link SearchError} naming what does not fit. */
export async function readSearch(path: string): Promise<SearchRecord | undefined> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new SearchError(`${path}: cannot be read: ${(cause as Error).message}`, { cause });
  }
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new SearchError(`${path}: expected a search file, got no JSON: ${(cause as Error).message}`, { cause });
  }
  const parsed = recordSchema.safeParse(json);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  const where = issue?.path.join('.') || 'the whole';
  throw new SearchError(`${path}: expected a search file: ${where}: ${issue?.message}`, { cause: parsed.error });
}

/** Writes a search file so that a crash leaves the old one or the new one. A list of numbers takes one line. */
export async function writeSearch(path: string, record: SearchRecord): Promise<void> {
  const text = JSON.stringify(recordSchema.parse(record), null, 2);
  const lists = /\[\s+(?:(?:-?[\d.e+-]+|null),?\s+)+\]/g;
  await writeFileAtomic(path, `${text.replace(lists, (list) => list.replace(/\s+/g, ' '))}\n`);
}

/**
 * What a search file has measured already, to go on from. Throws {@link SearchError} naming the first setting in which
 * it is of another search.
 */
export function measuredSoFar(
  path: string,
  record: SearchRecord | undefined,
  settings: SearchSettings,
): Map<string, MeasuredPattern> {
  if (!record) return new Map();
  for (const name of Object.keys(settingsSchema.shape) as (keyof SearchSettings)[]) {
    const [expected, got] = [settings[name], record.settings[name]];
    if (isDeepStrictEqual(expected, got)) continue;
    const shown = [expected, got].map((value) => JSON.stringify(value) ?? 'the default');
    throw new SearchError(
      `${path} is of another search: ${name}: expected ${shown[0]}, got ${shown[1]}; choose another --out, or remove it`,
    );
  }
  return new Map(Object.entries(record.measured));
}
