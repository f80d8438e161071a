import type {
  AdaptAnswer,
  HealthAnswer,
  PredictAnswer,
  PredictionAnswer,
  ProblemAnswer,
  ProfileAnswer,
  ProfilesAnswer,
} from '@whet/runtime/client';
import { objectiveNames, optimizerNames, preprocessingSchema, scheduleNames } from '@whet/runtime/format';
import * as z from 'zod';
import { kinds, type ProblemKind } from '../problems.js';

// What the service answers. The client's types are checked against these by the compiler, and every answer of the test
// suite against the document that is made of them.

const count = z.int().min(0);
const milliseconds = z.number().min(0);
const time = z.iso.datetime().meta({ description: 'ISO 8601, UTC.' });
const id = z.uuid().meta({ description: 'Id of a profile.' });
const version = z.int().min(1).meta({ description: '1 of a new profile, one more with every change.' });
const probabilities = z.record(z.string(), z.number().min(0).max(1.00001));
const familiarity = z.number().meta({
  description:
    'How near the image comes to the classes; below 0 where it is more like a picture of none of them. Absent where a profile cannot tell.',
});

const predictionAnswer = z
  .strictObject({ label: z.string(), probabilities, familiarity: familiarity.optional() })
  .meta({ id: 'Prediction' }) satisfies z.ZodType<PredictionAnswer>;

const heldBackAnswer = z.strictObject({ asked: count, right: count, loss: z.number() }).meta({
  id: 'HeldBack',
  description: 'Examples asked about unseen, how many came out right, and their mean cross-entropy.',
});

const autoAnswer = z.strictObject({
  trials: z.array(
    z.strictObject({
      pattern: z.string(),
      steps: count,
      solved: z.boolean().meta({ description: 'Whether the head is one in closed form.' }),
      withViews: count.meta({ description: 'Views of each example that it was adapted to besides.' }),
      heldBack: heldBackAnswer.optional(),
      views: heldBackAnswer
        .optional()
        .meta({ description: 'Of the start: of views of the first example of each class, asked about with that one.' }),
      milliseconds,
    }),
  ),
  reason: z.string(),
});

export const adaptAnswer = z
  .strictObject({
    profile: id,
    version,
    model: z.string(),
    pattern: z.string(),
    classes: z.array(z.string()).min(2),
    added: z
      .array(z.string())
      .optional()
      .meta({ description: 'Classes that neither the model itself nor the profile that was continued had.' }),
    solved: z
      .boolean()
      .meta({ description: 'Whether the head is one in closed form, rather than where steps of it led.' }),
    losses: z.array(z.number()).meta({
      description:
        'Of the examples, before each inner step; of one that was taken back, that of the values gone back to.',
    }),
    loss: z
      .number()
      .optional()
      .meta({ description: 'Of the examples after the last step; absent where there was none.' }),
    halved: count.meta({ description: 'How many times the rate was halved, as a step would have raised the loss.' }),
    heldBack: heldBackAnswer.optional(),
    spared: z.string().optional().meta({ description: 'Why no step was taken; absent where they were.' }),
    auto: autoAnswer.optional().meta({ description: 'With pattern `auto`: what was tried, and why this was chosen.' }),
    bytes: count.meta({ description: 'What is stored.' }),
    milliseconds: z.strictObject({
      decode: milliseconds,
      encode: milliseconds,
      steps: milliseconds,
      total: milliseconds,
    }),
  })
  .meta({ id: 'Adapted' }) satisfies z.ZodType<AdaptAnswer>;

export const predictAnswer = z
  .strictObject({
    label: z.string().optional(),
    probabilities: probabilities.optional(),
    familiarity: familiarity.optional(),
    predictions: z.array(predictionAnswer).min(1),
    milliseconds: z.strictObject({ decode: milliseconds, predict: milliseconds, total: milliseconds }),
  })
  .meta({ id: 'Predicted' }) satisfies z.ZodType<PredictAnswer>;

export const profileAnswer = z
  .strictObject({
    profile: id,
    version,
    model: z.string(),
    pattern: z.string(),
    classes: z.array(z.string()).min(2),
    examples: z.record(z.string(), count),
    bytes: count,
    created: time,
    updated: time,
  })
  .meta({ id: 'Profile' }) satisfies z.ZodType<ProfileAnswer>;

export const profilesAnswer = z
  .strictObject({
    profiles: z.array(profileAnswer),
    next: z.string().optional().meta({ description: 'The `after` of the next page; absent on the last.' }),
  })
  .meta({ id: 'Profiles' }) satisfies z.ZodType<ProfilesAnswer>;

const patternAnswer = z.strictObject({
  default: z.boolean(),
  description: z.string(),
  moving: z.array(z.strictObject({ name: z.string(), shape: z.array(count), moving: count, entries: count })),
  normalizations: z.array(z.strictObject({ name: z.string(), channels: count, frozen: z.boolean() })).optional(),
  layers: z.array(z.string()),
  steps: count,
  rate: z.number(),
  optimizer: z.enum(optimizerNames).optional().meta({ description: '`sgd` when absent.' }),
  objective: z.enum(objectiveNames).optional().meta({ description: 'What the loss is of; `head` when absent.' }),
  smoothing: z.number().optional(),
  decay: z.number().optional(),
  schedule: z.enum(scheduleNames).optional().meta({ description: 'Of the rate; `constant` when absent.' }),
  views: count.optional().meta({ description: 'Views of an example that is alone in its class.' }),
  features: z.array(count),
  stepMemory: z.strictObject({ examples: count, classes: count, peakActivationBytes: count }).optional(),
});

export const modelsAnswer = z
  .strictObject({
    models: z.array(
      z.strictObject({
        name: z.string(),
        version: z.string(),
        description: z.string(),
        digest: z.string(),
        preprocessing: z.record(z.string(), z.unknown()).meta({
          override: preprocessingSchema as object,
        }),
        normalization: z.string(),
        head: z.string(),
        labels: z.array(z.string()).optional(),
        limits: z.strictObject({ maxClasses: count, maxExamples: count }),
        defaultPattern: z.string(),
        patterns: z.record(z.string(), patternAnswer),
        measurements: z.array(z.record(z.string(), z.unknown())),
      }),
    ),
  })
  .meta({ id: 'Models' });

export const healthAnswer = z
  .strictObject({
    status: z.literal('ok'),
    version: z.string(),
    uptime: z.number().meta({ description: 'Seconds.' }),
    models: z.array(z.string()),
    profiles: count.optional().meta({ description: 'How many there are; not told where keys are asked for.' }),
  })
  .meta({ id: 'Health' }) satisfies z.ZodType<HealthAnswer>;

export const statusAnswer = z.strictObject({ status: z.enum(['live', 'ready']) }).meta({ id: 'Status' });

const types = Object.keys(kinds).map((kind) => `/problems/${kind}`) as [`/problems/${ProblemKind}`];

export const problemAnswer = z
  .strictObject({
    type: z.enum(types),
    title: z.string(),
    status: z.int(),
    detail: z.string().meta({ description: 'What was expected, and what was got.' }),
    field: z.string().meta({ description: 'The input at fault, as in `examples[3].image`.' }),
    current: z.int().optional().meta({ description: 'Of a version conflict: the version that is stored.' }),
  })
  .meta({ id: 'Problem', description: 'A refusal, by RFC 9457.' }) satisfies z.ZodType<ProblemAnswer>;
