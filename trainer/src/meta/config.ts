import * as z from 'zod';
import { DataError } from '../data/dataset.js';
import { preprocessingSetting } from '../preprocessing.js';
import { candidateGranularities } from './candidates.js';

const positive = z.number().int().positive();
const selections = z.array(z.string()).nonempty();

/** From the first number to the second, both among them; each task draws one. One number is a range of itself. */
const rangeSchema = (least: number) =>
  z.preprocess(
    (given) => (typeof given === 'number' ? [given, given] : given),
    z
      .tuple([z.number().int().min(least), z.number().int().min(least)])
      .refine(([from, to]) => from <= to, { error: 'expected a range from a number to one that is no smaller' }),
  );

const domainSchema = z.strictObject({
  name: z.string(),
  /** How often tasks are drawn of it, against the others. */
  weight: z.number().positive().default(1),
});

const settingsSchema = z.strictObject({
  /** The ONNX file, and how it was read. */
  model: z.strictObject({
    fileName: z.string(),
    sha256: z.string(),
    features: z.string().optional(),
    imageSize: z.tuple([positive, positive]).optional(),
    layout: z.enum(['nchw', 'nhwc']).optional(),
    /** How many of the last blocks heads read what they make, beside the features. */
    levels: z.number().int().min(0).default(0),
  }),
  preprocessing: preprocessingSetting,
  /** Whose training classes tasks are drawn of. */
  data: z.array(domainSchema).nonempty(),
  /** What may move: selections of `whet compile`. */
  trainable: selections.default(['blocks:1']),
  /** The deepest block that may move, counted from the head: what a budget leaves of the selections. */
  deepest: positive.optional(),
  /** Whose start weights are learned: selections among what may move. */
  learnWeights: selections.optional(),
  maskGranularity: z.enum(candidateGranularities).default('channel'),
  ways: rangeSchema(2).default([5, 5]),
  shots: rangeSchema(1).default([5, 5]),
  queries: positive.default(5),
  /** Of an example that is alone in its class. */
  views: z.number().int().min(0).default(6),
  /** The most images of each class that are encoded; all when absent. */
  imagesPerClass: positive.optional(),
  /** Of each task; those of validation and of the exported pattern are the most. With 0 among them, starts are good for a head alone too. */
  innerSteps: rangeSchema(0)
    .refine(([, to]) => to > 0, { error: 'expected a range that ends at 1 or more' })
    .default([5, 5]),
  /** The share of each label that all classes have in the loss, of steps as of query images. */
  smoothing: z.number().min(0).lt(1).default(0.1),
  /** Where the learned rates start: how far the first step of Adam moves each weight. */
  innerRate: z.number().positive().default(1e-3),
  tasksPerStep: positive.default(1),
  outerSteps: positive.default(1000),
  /** Of start weights. */
  outerRate: z.number().positive().default(1e-4),
  maskRate: z.number().positive().default(5e-3),
  /** Of the logarithms of inner rates, and of the head's scale. */
  rateRate: z.number().positive().default(0.02),
  schedule: z.enum(['constant', 'cosine']).default('cosine'),
  /** Adds to the outer loss `weight` times the multiply-adds of an inner step, as a share of that in which all moves. */
  maskCost: z.strictObject({ weight: z.number().positive() }).optional(),
  /** Adds to the outer loss `weight` times the bytes of a profile, as a share of those where all moves. */
  byteCost: z.strictObject({ weight: z.number().positive() }).optional(),
  seed: z.number().int().min(0).default(0),
  /** By which data whose classes come without splits are split by class. */
  splitSeed: z.number().int().min(0).optional(),
  validation: z
    .strictObject({ every: positive, tasks: positive, ways: positive, shots: positive, queries: positive })
    .default({ every: 100, tasks: 20, ways: 5, shots: 5, queries: 5 }),
});

/** Everything that decides a run which learns where a model learns; stored in its checkpoints. */
export type ModelRunConfig = z.infer<typeof settingsSchema>;

/** Settings as they come from a file or a command line. Throws {@link DataError} naming the first that does not fit. */
export function parseModelConfig(settings: unknown): ModelRunConfig {
  const parsed = settingsSchema.safeParse(settings);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw new DataError(`settings: ${issue?.path.join('.')}: ${issue?.message}`, { cause: parsed.error });
}
