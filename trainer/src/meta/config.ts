import * as z from 'zod';
import { DataError } from '../data/dataset.js';
import { preprocessingSetting } from '../preprocessing.js';
import { withoutSchema } from '../training/config.js';
import { candidateGranularities } from './candidates.js';

const positive = z.number().int().positive();
const selections = z.array(z.string()).nonempty();
const weighed = z.strictObject({ weight: z.number().positive().describe('What it weighs') }).optional();

/** From the first number to the second, both among them; each task draws one. One number is a range of itself. */
const rangeSchema = (least: number) => {
  const number = z.number().int().min(least);
  return z
    .union([number, z.tuple([number, number])])
    .transform((given): [number, number] => (typeof given === 'number' ? [given, given] : given))
    .refine(([from, to]) => from <= to, { error: 'expected a range from a number to one that is no smaller' });
};

const settingsSchema = z.strictObject({
  model: z
    .strictObject({
      fileName: z.string(),
      sha256: z.string(),
      features: z.string().optional(),
      imageSize: z.tuple([positive, positive]).optional(),
      layout: z.enum(['nchw', 'nhwc']).optional(),
      levels: z.number().int().min(0).default(0),
    })
    .describe('The ONNX file, how it was read, and of how many of the last blocks heads read what they make'),
  preprocessing: preprocessingSetting,
  data: z
    .array(
      z.strictObject({
        name: z.string(),
        weight: z.number().positive().default(1).describe('How often tasks are drawn of it, against the others'),
      }),
    )
    .nonempty()
    .describe('Whose training classes tasks are drawn of'),
  trainable: selections.default(['blocks:1']).describe('What may move: selections of `whet compile`'),
  deepest: positive
    .optional()
    .describe('The deepest block that may move, counted from the head: what a budget leaves of the selections'),
  learnWeights: selections.optional().describe('Whose start weights are learned: selections among what may move'),
  maskGranularity: z
    .enum(candidateGranularities)
    .default('channel')
    .describe('What one logit of a mask opens or closes'),
  ways: rangeSchema(2)
    .default([5, 5])
    .describe('Classes of a task, or a range of which each task draws a number; 5 when absent'),
  shots: rangeSchema(1).default([5, 5]).describe('Examples of each class, or a range; 5 when absent'),
  queries: positive.default(5).describe('Images of each class that are asked about'),
  views: z.number().int().min(0).default(6).describe('Views of an example that is alone in its class'),
  imagesPerClass: positive.optional().describe('The most images of each class that are encoded; all when absent'),
  innerSteps: rangeSchema(0)
    .refine(([, to]) => to > 0, { error: 'expected a range that ends at 1 or more' })
    .default([5, 5])
    .describe(
      'Inner steps of a task, or a range; 5 when absent. Validation and the exported pattern take the most. With 0 among them, starts are good for a head alone too',
    ),
  smoothing: z
    .number()
    .min(0)
    .lt(1)
    .default(0.1)
    .describe('The share of each label that all classes have in the loss of inner steps'),
  innerRate: z
    .number()
    .positive()
    .default(1e-3)
    .describe('Where the learned rates start: how far the first step of Adam moves each weight'),
  tasksPerStep: positive.default(1).describe('Tasks of an outer step, whose gradients are averaged'),
  outerSteps: positive.default(1000).describe('Outer steps in all'),
  outerRate: z.number().positive().default(1e-4).describe('Rate of start weights'),
  maskRate: z.number().positive().default(5e-3).describe('Rate of the logits of masks'),
  rateRate: z
    .number()
    .positive()
    .default(0.02)
    .describe('Rate of the logarithms of inner rates, and of the head’s scale'),
  schedule: z
    .enum(['constant', 'cosine'])
    .default('cosine')
    .describe('How the outer rates go: to 0 at the last step, or not'),
  maskCost: weighed.describe(
    'Adds the multiply-adds of an inner step to the outer loss, as a share of those where all moves',
  ),
  byteCost: weighed.describe('Adds the bytes of a profile to the outer loss, as a share of those where all moves'),
  memoryCost: weighed.describe(
    'Adds the bytes that an inner step holds at once to the outer loss, as a share of those where all moves',
  ),
  seed: z.number().int().min(0).default(0).describe('Of tasks'),
  splitSeed: z
    .number()
    .int()
    .min(0)
    .optional()
    .describe('By which classes that come without splits are split by class'),
  validation: z
    .strictObject({
      every: positive.describe('Outer steps from one validation, and its checkpoint, to the next'),
      tasks: positive.describe('How many tasks of each data set, always the same'),
      ways: positive.describe('Classes of a task'),
      shots: positive.describe('Examples of each class'),
      queries: positive.describe('Images of each class that are asked about'),
    })
    .default({ every: 100, tasks: 20, ways: 5, shots: 5, queries: 5 })
    .describe('Tasks of classes that are not trained on'),
});

/** What a file of settings may say: the model, its images and the data are said by options. */
export const modelSettingsSchema = settingsSchema.omit({ model: true, preprocessing: true, data: true });

/** Everything that decides a run which learns where a model learns; stored in its checkpoints. */
export type ModelRunConfig = z.infer<typeof settingsSchema>;

/** Settings as they come from a file or a command line. Throws {@link DataError} naming the first that does not fit. */
export function parseModelConfig(settings: unknown): ModelRunConfig {
  const parsed = settingsSchema.safeParse(withoutSchema(settings));
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw new DataError(`settings: ${issue?.path.join('.')}: ${issue?.message}`, { cause: parsed.error });
}
