import { isDeepStrictEqual } from 'node:util';
import { type Backbone, conv4, resnet12, resnet12Defaults } from '@whet/models';
import * as z from 'zod';
import { preprocessingSetting } from '../preprocessing.js';
import { maskGranularities } from '../task/inner-parameters.js';
import { normalizationNames, normalizations } from '../task/normalizations.js';
import { rules } from '../task/rules.js';
import type { TaskSettings } from '../task/task-graph.js';

const positive = z.number().int().positive();

const imageChannels = z
  .union([z.literal(1), z.literal(3)])
  .describe('1: grey, 3: colour; as the data is when a file of settings says nothing');

const imageSize = positive.describe('Width and height that images are brought to, in pixels');

const conv4Schema = z.strictObject({
  architecture: z.literal('conv4').describe('Blocks of a 3 x 3 convolution (Vinyals et al. 2016)'),
  channels: z
    .union([positive, z.array(positive).nonempty()])
    .default(64)
    .describe('Of every block, or of each'),
  blocks: positive.default(4).describe('How many blocks, each of which halves the image'),
  imageChannels: imageChannels.default(1),
  imageSize: imageSize.default(28),
  downsample: z.enum(['pool', 'stride']).default('pool').describe('How a block halves; stride takes less time'),
  convolutionBias: z.boolean().default(false).describe('Whether convolutions have biases before normalization'),
});

const resnet12Schema = z.strictObject({
  architecture: z.literal('resnet12').describe('Four residual blocks of three convolutions (Oreshkin et al. 2018)'),
  channels: z
    .tuple([positive, positive, positive, positive])
    .default([...resnet12Defaults.channels])
    .describe('Of each block'),
  imageChannels: imageChannels.default(3),
  imageSize: imageSize.default(resnet12Defaults.imageSize),
});

/** A network that was read from an ONNX file: what of it, so that another is not taken for it. */
const onnxSchema = z.strictObject({
  architecture: z.literal('onnx').describe('A network that was read from an ONNX file, by code'),
  sha256: z.string().describe('Of the file'),
  features: z.string().describe('The tensor that is the features'),
  imageChannels,
  imageSize,
});

const least = (minimum: number) => z.number().int().min(minimum);

/** Everything that decides a training run; stored in its checkpoints and in the bundles made from it. */
export const settingsSchema = z.strictObject({
  model: z
    .discriminatedUnion('architecture', [conv4Schema, resnet12Schema, onnxSchema], {
      error: 'expected architecture conv4, resnet12 or onnx',
    })
    .describe('The network'),
  preprocessing: z
    .optional(preprocessingSetting)
    .describe('How image files become tensors: taken over from the data, and kept in checkpoints and bundles'),
  head: z
    .enum(['fixed', 'shared', 'prototype', 'cosine'])
    .default('prototype')
    .describe('The last layer: of as many classes as ways (fixed), alike for all (shared), or made of the examples'),
  rule: z
    .string()
    .refine((name) => rules.has(name), { error: `expected one of ${[...rules.keys()].join(', ')}` })
    .meta({ enum: [...rules.keys()] })
    .describe('Which weights an inner step moves, and what is learned about them'),
  order: z
    .union([z.literal(1), z.literal(2)])
    .default(1)
    .describe('1 treats inner gradients as constants, 2 differentiates through them'),
  normalization: z.enum(normalizationNames).default('population').describe('Whose moments normalize'),
  ways: least(2).default(5).describe('Classes of a task'),
  shots: z.array(positive).nonempty().default([1]).describe('Examples of each class; outer steps go round the numbers'),
  queries: positive.default(5).describe('Images of each class that are asked about'),
  innerSteps: least(0).default(5).describe('Gradient steps on the examples; 0 trains a prototype network'),
  innerRate: z.number().positive().default(0.1).describe('Rate of the inner steps'),
  stream: z
    .strictObject({
      stages: z
        .array(least(2))
        .nonempty()
        .default([5])
        .describe('Groups of so many classes as a task has ways; outer steps go round the numbers'),
      remember: least(0).default(0).describe('Examples of each earlier class, at most, that are adapted to besides'),
    })
    .optional()
    .describe('Classes arrive one group after the other, each adapted to alone; all so far are asked about after each'),
  stepLosses: z
    .strictObject({ until: positive.describe('The outer step from which on only the last loss counts') })
    .optional()
    .describe('The query loss after every inner step counts, all alike at first'),
  tasksPerStep: positive.default(4).describe('Tasks of an outer step, whose gradients are averaged'),
  taskBatch: positive
    .optional()
    .describe('Tasks in one run of the graph: a divisor of tasksPerStep; when absent what suits the device'),
  outerSteps: positive.default(10_000).describe('Outer steps in all'),
  outerRate: z.number().positive().default(1e-3).describe('Rate of the outer steps (Adam)'),
  maskRate: z.number().positive().default(5e-3).describe('Rate of the logits of masks (Adam)'),
  maskGranularity: z
    .enum(maskGranularities)
    .default('weight')
    .describe('What one logit of a learned mask opens or closes'),
  maskCost: z
    .strictObject({ weight: z.number().positive().describe('What the cost weighs') })
    .optional()
    .describe('Adds the cost of an inner step to the outer loss, as a share of that in which all weights move'),
  schedule: z
    .enum(['constant', 'cosine'])
    .default('cosine')
    .describe('How the outer rates go: to 0 at the last step, or not'),
  momentRate: z
    .number()
    .min(0)
    .max(1)
    .default(0.01)
    .describe('Share of a task’s support moments that goes into the population moments at each outer step'),
  seed: least(0).default(0).describe('Of the first weights, and of tasks'),
  splitSeed: least(0).optional().describe('By which classes that come without splits are split by class'),
  rotations: z.boolean().default(true).describe('Classes turned by 90, 180 and 270 degrees are classes of their own'),
  augment: z
    .strictObject({
      shift: z.number().default(0).describe('At most so many pixels to each side'),
      degrees: z.number().default(0).describe('Turned by at most so much'),
      scale: z.number().default(0).describe('Larger or smaller by at most this share'),
      shear: z.number().default(0).describe('Slanted by at most this share'),
      elastic: z.number().default(0).describe('Bent by about so many pixels'),
      mirror: z.boolean().default(false).describe('Half of the images are mirrored'),
    })
    .optional()
    .describe('Distorts each image by itself'),
  trainOn: z
    .enum(['train', 'train+validation'])
    .optional()
    .describe(
      'Whose classes are trained on. With the validation classes, for a last run whose settings were chosen without them, their accuracy tells nothing about new ones, and no checkpoint is kept as the best by it',
    ),
  classAugment: z
    .strictObject({
      mirror: z.boolean().default(false).describe('Half of the classes are mirrored'),
      degrees: z.number().default(0).describe('Turned by at most so much'),
      scale: z.number().default(0).describe('Larger or smaller by at most this share'),
      shear: z.number().default(0).describe('Slanted by at most this share'),
      stretch: z.number().default(0).describe('Wider or higher by at most this share'),
      elastic: z.number().default(0).describe('Bent by about so many pixels'),
    })
    .optional()
    .describe('Makes other classes of those trained on, by distorting all images of one alike'),
  validation: z
    .strictObject({
      every: positive.describe('Outer steps from one validation, and its checkpoint, to the next'),
      tasks: positive.describe('How many tasks, always the same'),
      ways: positive.describe('Classes of a task'),
      shots: positive.describe('Examples of each class'),
      queries: positive.describe('Images of each class that are asked about'),
      innerSteps: least(0).optional().describe('Inner steps, where they are others than in training'),
      stages: least(2).optional().describe('Groups of so many classes, of a stream; the most of training when absent'),
      patience: positive.optional().describe('Ends the run after so many validations in a row without a better one'),
    })
    .default({ every: 500, tasks: 100, ways: 5, shots: 1, queries: 5 })
    .describe('Tasks of classes that are not trained on'),
});

/** Whether a bundle of such a run may have patterns that remember: with a frozen part, whose features are of an image alone. */
function mayRemember({ rule: name, normalization }: z.infer<typeof settingsSchema>): boolean {
  const { bundle } = normalizations[normalization];
  const rule = rules.get(name);
  const below = rule?.mask !== undefined || !rule?.moves({ layer: 'first' });
  return below && 'storesMoments' in bundle && !bundle.storesMoments;
}

/** Settings without the address of their schema, by which editors know their keys. */
export function withoutSchema(settings: unknown): unknown {
  if (typeof settings !== 'object' || settings === null) return settings;
  const { $schema: _, ...own } = settings as Readonly<Record<string, unknown>>;
  return own;
}

export const runConfigSchema = settingsSchema
  .refine(({ head, ways, validation }) => head !== 'fixed' || validation.ways === ways, {
    path: ['validation', 'ways'],
    error: 'expected the ways of training, because the head is fixed to them',
  })
  .refine(({ tasksPerStep, taskBatch }) => tasksPerStep % (taskBatch ?? 1) === 0, {
    path: ['taskBatch'],
    error: 'expected a divisor of the tasks per step',
  })
  .refine(({ trainOn, validation }) => trainOn !== 'train+validation' || !validation.patience, {
    path: ['validation', 'patience'],
    error: 'expected none, because the validation classes are trained on',
  })
  .refine(({ rule, maskCost }) => !maskCost || rules.get(rule)?.mask, {
    path: ['maskCost'],
    error: 'expected a rule that learns masks',
  })
  .refine(({ stream, head }) => !stream || head !== 'fixed', {
    path: ['stream'],
    error: 'expected a head of any number of classes, got one that is fixed to its ways',
  })
  .refine(({ stream, stepLosses }) => !stream || !stepLosses, {
    path: ['stepLosses'],
    error: 'expected none with a stream, which asks after every stage',
  })
  .refine(({ stream, validation }) => stream || !validation.stages, {
    path: ['validation', 'stages'],
    error: 'expected none without a stream',
  })
  .refine((settings) => !settings.stream?.remember || mayRemember(settings), {
    path: ['stream', 'remember'],
    error:
      'expected 0, or features that a device has: below what moves (a rule with masks, or anil), of an image alone (normalization population or layer)',
  });

export type RunConfig = z.infer<typeof runConfigSchema>;

/** Whether accuracies on validation classes tell nothing about new ones, because a run trains on them. */
export const trainsOnValidation = ({ trainOn }: Pick<RunConfig, 'trainOn'>): boolean => trainOn === 'train+validation';

/** How settings write a network down. */
export const modelOf = ({ architecture, settings }: Backbone): object => ({ architecture, ...settings });

/**
 * The network of a run: as its settings describe it or, where it was read from a file, `given`. Throws where that is not
 * the one of the settings.
 */
export function backboneOf({ model }: Pick<RunConfig, 'model'>, given?: Backbone): Backbone {
  if (given) {
    if (isDeepStrictEqual(modelOf(given), model)) return given;
    const [expected, got] = [model, modelOf(given)].map((each) => JSON.stringify(each));
    throw new Error(`the network: expected ${expected}, got ${got}`);
  }
  if (model.architecture === 'onnx') {
    throw new Error(`the network was read from a file with features "${model.features}", and is needed here`);
  }
  if (model.architecture === 'resnet12') {
    const { architecture: _, ...settings } = model;
    return resnet12(settings);
  }
  const { architecture: _, ...settings } = model;
  return conv4(settings);
}

/** Settings of the task graph a run trains on, with `shots` examples per class; in `stages` groups of classes, of a stream. */
export function taskSettings(config: RunConfig, shots: number, backbone?: Backbone, stages = 1): TaskSettings {
  const rule = rules.get(config.rule);
  if (!rule) throw new Error(`no rule "${config.rule}"; expected one of ${[...rules.keys()].join(', ')}`);
  return {
    backbone: backboneOf(config, backbone),
    head: config.head,
    rule,
    order: config.order,
    normalization: normalizations[config.normalization],
    ways: stages * config.ways,
    shots,
    stages,
    remember: config.stream?.remember ?? 0,
    queries: config.queries,
    steps: config.innerSteps,
    innerRate: config.innerRate,
    stepLosses: config.stepLosses !== undefined,
    maskGranularity: config.maskGranularity,
  };
}
