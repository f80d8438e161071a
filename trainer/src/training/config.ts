import { isDeepStrictEqual } from 'node:util';
import { type Backbone, conv4, resnet12, resnet12Defaults } from '@whet/models';
import * as z from 'zod';
import { preprocessingSetting } from '../preprocessing.js';
import { maskGranularities } from '../task/inner-parameters.js';
import { normalizationNames, normalizations } from '../task/normalizations.js';
import { rules } from '../task/rules.js';
import type { TaskSettings } from '../task/task-graph.js';

const positive = z.number().int().positive();

const imageChannels = z.union([z.literal(1), z.literal(3)]);

const conv4Schema = z.strictObject({
  architecture: z.literal('conv4'),
  /** Of every block, or of each. */
  channels: z.union([positive, z.array(positive).nonempty()]).default(64),
  blocks: positive.default(4),
  imageChannels: imageChannels.default(1),
  imageSize: positive.default(28),
  downsample: z.enum(['pool', 'stride']).default('pool'),
  convolutionBias: z.boolean().default(false),
});

const resnet12Schema = z.strictObject({
  architecture: z.literal('resnet12'),
  /** Of each block. */
  channels: z.tuple([positive, positive, positive, positive]).default([...resnet12Defaults.channels]),
  imageChannels: imageChannels.default(3),
  imageSize: positive.default(resnet12Defaults.imageSize),
});

/** A network that was read from an ONNX file: what of it, so that another is not taken for it. */
const onnxSchema = z.strictObject({
  architecture: z.literal('onnx'),
  sha256: z.string(),
  /** The tensor that is the features. */
  features: z.string(),
  imageChannels,
  imageSize: positive,
});

/** Everything that decides a training run; stored in its checkpoints and in the bundles made from it. */
const settingsSchema = z.strictObject({
  model: z.discriminatedUnion('architecture', [conv4Schema, resnet12Schema, onnxSchema], {
    error: 'expected architecture conv4, resnet12 or onnx',
  }),
  /** How image files become tensors, taken over from the dataset; a bundle made from the run does the same. */
  preprocessing: z.optional(preprocessingSetting),
  head: z.enum(['fixed', 'shared', 'prototype', 'cosine']).default('prototype'),
  rule: z.string().refine((name) => rules.has(name), { error: `expected one of ${[...rules.keys()].join(', ')}` }),
  /** 1 treats inner gradients as constants, 2 differentiates through them. */
  order: z.union([z.literal(1), z.literal(2)]).default(1),
  normalization: z.enum(normalizationNames).default('population'),
  ways: z.number().int().min(2).default(5),
  /** Outer steps go round the numbers of shots. */
  shots: z.array(positive).nonempty().default([1]),
  queries: positive.default(5),
  innerSteps: z.number().int().min(0).default(5),
  innerRate: z.number().positive().default(0.1),
  /** The query loss after every inner step counts at first, all alike; from outer step `until` on only the last. */
  stepLosses: z.strictObject({ until: positive }).optional(),
  tasksPerStep: positive.default(4),
  /** Tasks in one run of the graph; has to divide `tasksPerStep`, whose gradients are then accumulated. 1 when absent. */
  taskBatch: positive.optional(),
  outerSteps: positive.default(10_000),
  outerRate: z.number().positive().default(1e-3),
  maskRate: z.number().positive().default(5e-3),
  /** What one logit of a learned mask opens or closes. */
  maskGranularity: z.enum(maskGranularities).default('weight'),
  /** Adds to the outer loss `weight` times the cost of an inner step, as a share of that in which all weights move. */
  maskCost: z.strictObject({ weight: z.number().positive() }).optional(),
  schedule: z.enum(['constant', 'cosine']).default('cosine'),
  /** Share of a task's support moments that goes into the population moments at each outer step. */
  momentRate: z.number().min(0).max(1).default(0.01),
  seed: z.number().int().min(0).default(0),
  /** By which classes that come without splits are split by class; a run keeps it with what it was trained on. */
  splitSeed: z.number().int().min(0).optional(),
  rotations: z.boolean().default(true),
  augment: z
    .strictObject({
      shift: z.number().default(0),
      degrees: z.number().default(0),
      scale: z.number().default(0),
      shear: z.number().default(0),
      elastic: z.number().default(0),
      mirror: z.boolean().default(false),
    })
    .optional(),
  /**
   * Whose classes are trained on; test classes never. Where the validation classes are, for a last run whose settings were
   * chosen without them, their accuracy tells nothing about new classes, and no checkpoint is kept as the best by it.
   */
  trainOn: z.enum(['train', 'train+validation']).optional(),
  /** Makes other classes of those trained on by distorting all images of one alike. */
  classAugment: z
    .strictObject({
      mirror: z.boolean().default(false),
      degrees: z.number().default(0),
      scale: z.number().default(0),
      shear: z.number().default(0),
      stretch: z.number().default(0),
      elastic: z.number().default(0),
    })
    .optional(),
  validation: z
    .strictObject({
      every: positive,
      tasks: positive,
      ways: positive,
      shots: positive,
      queries: positive,
      /** Inner steps, where they are others than in training. */
      innerSteps: z.number().int().min(0).optional(),
      /** Ends the run after so many validations in a row without a better one. */
      patience: positive.optional(),
    })
    .default({ every: 500, tasks: 100, ways: 5, shots: 1, queries: 5 }),
});

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

/** Settings of the task graph a run trains on, with `shots` examples per class. */
export function taskSettings(config: RunConfig, shots: number, backbone?: Backbone): TaskSettings {
  const rule = rules.get(config.rule);
  if (!rule) throw new Error(`no rule "${config.rule}"; expected one of ${[...rules.keys()].join(', ')}`);
  return {
    backbone: backboneOf(config, backbone),
    head: config.head,
    rule,
    order: config.order,
    normalization: normalizations[config.normalization],
    ways: config.ways,
    shots,
    queries: config.queries,
    steps: config.innerSteps,
    innerRate: config.innerRate,
    stepLosses: config.stepLosses !== undefined,
    maskGranularity: config.maskGranularity,
  };
}
