import { AUTO } from './auto-name.js';
import { BundleError } from './errors.js';
import { isFileName, splitPath } from './file-name.js';
import { labelProblem, sameLabels } from './label.js';
import { objectiveNames } from './objective.js';
import { optimizerNames } from './optimizer.js';
import { storedNumbers } from './packed.js';
import { policySchema } from './policy.js';
import { preprocessingSchema } from './preprocessing.js';
import { scheduleNames } from './schedule.js';
import {
  anything,
  byName,
  checked,
  fields,
  flag,
  list,
  mismatchOf,
  number,
  oneOf,
  optional,
  orNull,
  positive,
  type TypeOf,
  text,
  whole,
} from './schema.js';

/** The bundle format this code reads and writes. */
export const BUNDLE_SCHEMA = 'whet-bundle/2';

const digest = text(/^[0-9a-f]{64}$/);
const fileName = checked(text(), (name) =>
  isFileName(name) ? undefined : 'expected the name of a file inside the bundle',
);
const steps = whole({ minimum: 0 });

const movingSchema = fields({
  /** Name of the value in the graphs, e.g. `conv4.weight`. */
  name: text(),
  /** Shape of the dense weight in the network. */
  shape: list(positive),
  /** Entries that move, of all entries; a masked weight is stored as the list of its moving entries. */
  moving: positive,
  entries: positive,
});

const patternSchema = fields({
  description: text(),
  /** `encode` is null where nothing is frozen: features are the images then. */
  graphs: fields({
    encode: orNull(fileName),
    start: fileName,
    step: fileName,
    predict: fileName,
    /** Encodes a query by the stored moments of `encode`; absent where no normalization is in the frozen part. */
    encodeQuery: optional(fileName),
    /** The moments of the other normalizations at the moved values; absent where there are none. */
    moments: optional(fileName),
    /** Logits of examples by prototypes that each is no part of; absent where a head is not made of the examples alone. */
    leftOut: optional(fileName),
    /** Heads in closed form, each of some of the examples, and the logits of all by each; absent where a head does not end there. */
    solve: optional(fileName),
  }),
  /**
   * Where values start, by their names in the graphs, as tensors of `weights`: those of `moving`, a kept head's rows, and the model's
   * own moments. Of a tensor with a `mask` they are the entries where that is not 0, in their order; of one with `rows`
   * those of the rows where that is not 0.
   */
  values: byName(text(), fields({ tensor: text(), mask: optional(text()), rows: optional(text()) })),
  moving: list(movingSchema),
  /** Under `support` normalization, the layers whose moments a profile stores; `frozen` where `encode` yields them. */
  normalizations: optional(list(fields({ name: text(), channels: positive, frozen: flag }))),
  /** Layers whose weights move, from the image upward. */
  layers: list(text()),
  /** Inner steps and inner learning rate to use where the caller gives none. */
  steps,
  rate: number({ exclusiveMinimum: 0 }),
  /** What makes a step of a gradient; `sgd` when absent. */
  optimizer: optional(oneOf(optimizerNames)),
  /** What the loss of a step is of; `head` when absent. */
  objective: optional(oneOf(objectiveNames)),
  /** The share of each label that all classes have, in that loss. */
  smoothing: optional(number({ minimum: 0, exclusiveMaximum: 1 })),
  /** How much of the distance to where values started a step takes off, times the rate. */
  decay: optional(number({ minimum: 0 })),
  /** Views of an example that is alone in its class, that a step asks about; none when absent. */
  views: optional(whole({ minimum: 0, maximum: 100 })),
  /** What becomes of the rate from step to step; `constant` when absent. */
  schedule: optional(oneOf(scheduleNames)),
  /** Shape of the cached features of one image. */
  features: list(positive),
  /**
   * The most bytes of activations that a step on so many examples of so many classes holds at once, counted from its
   * graph; it grows with the examples.
   */
  stepMemory: optional(fields({ examples: positive, classes: positive, peakActivationBytes: positive })),
});

const measurementSchema = fields({
  pattern: text(),
  dataset: text(),
  split: text(),
  ways: positive,
  shots: positive,
  queries: positive,
  tasks: positive,
  steps,
  /** Always `one-image`: every query image by itself, never normalized with other query images. */
  protocol: oneOf(['one-image']),
  /** Share of right answers, and half of its 95 % interval over tasks; `start` before any inner step. */
  accuracy: number(),
  halfWidth: number(),
  startAccuracy: number(),
  /** Medians in milliseconds on the machine that measured: adapting (encoding included), predicting one image. */
  milliseconds: fields({ adapt: number(), encode: number(), steps: number(), predict: number() }),
  storedBytes: positive,
  command: text(),
});

export const manifestSchema = fields({
  schema: oneOf([BUNDLE_SCHEMA]),
  name: text(/^[\w.-]+$/),
  version: text(),
  description: text(),
  preprocessing: preprocessingSchema,
  /** Whose moments normalize: fixed ones, inside the graphs, or the examples', stored in the profile. */
  normalization: oneOf(['population', 'support', 'layer']),
  /** `kept`: the compiled model's own last layer, whose classes are `labels`. */
  head: oneOf(['prototype', 'cosine', 'shared', 'kept']),
  /** Names of a kept head's classes, in the order of its rows; absent with another head. */
  labels: optional(
    checked(list(checked(text(), labelProblem), { minItems: 2, maxItems: 100_000 }), (names) =>
      sameLabels(names) === undefined ? undefined : 'expected different names',
    ),
  ),
  /** Length of a feature vector before the head. */
  featureLength: positive,
  limits: fields({ maxClasses: positive, maxExamples: positive }),
  /** The pattern of those who name none, or where one is needed before there are examples. */
  defaultPattern: text(),
  /** Whether for those who name none the examples choose, as for `auto`. */
  auto: optional(flag),
  patterns: byName(
    checked(text(/^[\w.-]+$/), (name) => (name === AUTO ? `expected another name than "${AUTO}"` : undefined)),
    patternSchema,
  ),
  measurements: list(measurementSchema),
  /** How the bundle was made: commands, seeds, training settings. */
  provenance: byName(text(), anything),
  /** What `auto` does by how much views of the examples say is to be learned; by trials alone when absent. */
  policy: optional(policySchema),
  /** How profiles store what moved; `float32` when absent. */
  profiles: optional(oneOf(storedNumbers)),
  /** The safetensors file that holds every weight once: the graphs' external data, and what `values` names. */
  weights: fileName,
  /** Digests of bundles that predict exactly as this one does, such as it was in an earlier format: their profiles are its own. */
  formerly: optional(list(digest)),
  files: byName(fileName, fields({ sha256: digest, bytes: positive })),
});

export type Manifest = TypeOf<typeof manifestSchema>;
export type PatternManifest = TypeOf<typeof patternSchema>;
export type Measurement = TypeOf<typeof measurementSchema>;

/** The graphs of a pattern, by their paths in the bundle. */
export function graphsOf({ graphs }: PatternManifest): string[] {
  return [...new Set(Object.values(graphs))].filter((file) => typeof file === 'string');
}

/** The files that a pattern needs, by their paths in the bundle. */
export const filesOf = ({ weights }: Pick<Manifest, 'weights'>, pattern: PatternManifest): string[] => [
  ...graphsOf(pattern),
  weights,
];

/** Parses `manifest.json`; throws {@link BundleError} naming the first field that does not fit. */
export function parseManifest(text: string, location = '.'): Manifest {
  const where = `${location}/manifest.json`;
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new BundleError(`${where}: not JSON: ${(cause as Error).message}`, { cause });
  }
  const schema = (json as { schema?: unknown } | null)?.schema;
  if (schema !== BUNDLE_SCHEMA) {
    const advice = schema === 'whet-bundle/1' ? '; run `whet migrate` to convert it' : '';
    throw new BundleError(
      `${where}: schema version: expected "${BUNDLE_SCHEMA}", got ${JSON.stringify(schema)}${advice}`,
    );
  }
  const problem = mismatchOf(manifestSchema, json);
  if (problem) throw new BundleError(`${where}: ${problem}`);
  const manifest = json as Manifest;
  const { channels, mean, std } = manifest.preprocessing;
  if (mean.length !== channels || std.length !== channels) {
    throw new BundleError(
      `${where}: preprocessing: expected ${channels} means and deviations, got ${mean.length} and ${std.length}`,
    );
  }
  const { head, labels, limits } = manifest;
  if ((head === 'kept') !== (labels !== undefined)) {
    throw new BundleError(`${where}: labels: expected ${head === 'kept' ? 'names' : 'none'} with head "${head}"`);
  }
  if (labels && labels.length > limits.maxClasses) {
    throw new BundleError(`${where}: labels: expected at most ${limits.maxClasses}, got ${labels.length}`);
  }
  if (!Object.hasOwn(manifest.patterns, manifest.defaultPattern)) {
    throw new BundleError(`${where}: defaultPattern "${manifest.defaultPattern}" is not one of its patterns`);
  }
  for (const rule of Object.values(manifest.policy ?? {}).flat()) {
    if ('steps' in rule && !Object.hasOwn(manifest.patterns, rule.steps)) {
      throw new BundleError(`${where}: policy: "${rule.steps}" is not one of its patterns`);
    }
  }
  for (const [name, pattern] of Object.entries(manifest.patterns)) {
    const { normalizations } = pattern;
    if ((manifest.normalization === 'support') !== (normalizations !== undefined)) {
      const expected = normalizations ? 'none' : 'a list';
      throw new BundleError(
        `${where}: pattern "${name}": normalizations: expected ${expected} under normalization "${manifest.normalization}"`,
      );
    }
    for (const file of filesOf(manifest, pattern)) {
      if (!Object.hasOwn(manifest.files, file)) {
        throw new BundleError(`${where}: pattern "${name}" names "${file}", which is not among its files`);
      }
      if (splitPath(file)[0] !== splitPath(manifest.weights)[0]) {
        throw new BundleError(
          `${where}: pattern "${name}": "${file}": expected it in the folder of its weights, "${manifest.weights}"`,
        );
      }
    }
  }
  return manifest;
}
