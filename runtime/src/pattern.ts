import type { InferenceSession } from 'onnxruntime-common';
import { BundleError } from './errors.js';
import type { PatternManifest } from './manifest.js';
import type { ProfileValue } from './profile.js';
import { readSafetensors } from './safetensors.js';
import type { BundleSource } from './source.js';

/** `weight [C, F]` and `bias [C]` of C classes. */
export interface KeptHead {
  readonly weight: ProfileValue;
  readonly bias: ProfileValue;
}

/** A pattern ready to run. */
export interface Pattern {
  readonly name: string;
  readonly manifest: PatternManifest;
  /** Start of the moving values below the head. */
  readonly start: ReadonlyMap<string, ProfileValue>;
  /** The compiled model's own last layer, where the head starts from that. */
  readonly keptHead: KeptHead | undefined;
  /** `images` to `features`; undefined where nothing is frozen. */
  readonly encode: InferenceSession | undefined;
  /** `features`, `labels`, moving values (and `kept.weight`, `kept.bias`) to `head.weight`, `head.bias`. */
  readonly startHead: InferenceSession;
  /** `features`, `labels`, `rate`, values to `<name>@next` and `loss`. */
  readonly step: InferenceSession;
  /** `features`, values to `probabilities`. */
  readonly predict: InferenceSession;
}

/** The name a step graph gives a value after the step. */
export const nextName = (name: string): string => `${name}@next`;

/** Loads a pattern's graphs; every session it creates is added to `opened`, for the caller to release. */
export async function loadPattern(
  source: BundleSource,
  files: ReadonlyMap<string, Uint8Array>,
  name: string,
  manifest: PatternManifest,
  keptShape: readonly [classes: number, features: number] | undefined,
  opened: InferenceSession[],
): Promise<Pattern> {
  const fileOf = (path: string): Uint8Array => files.get(path) as Uint8Array;
  const open = async (
    path: string,
    allowed: readonly string[],
    needed: readonly string[],
    outputs: readonly string[],
  ) => {
    let session: InferenceSession;
    try {
      session = await source.createSession(fileOf(path));
    } catch (cause) {
      const message = `${source.location}/${path}: onnxruntime does not load it: ${(cause as Error).message}`;
      throw new BundleError(message, { cause });
    }
    opened.push(session);
    const unknown = session.inputNames.filter((input) => !allowed.includes(input));
    const absent = needed.filter((input) => !session.inputNames.includes(input));
    const missing = outputs.filter((output) => !session.outputNames.includes(output));
    if (unknown.length > 0 || absent.length > 0 || missing.length > 0) {
      const problems = [
        ...unknown.map((input) => `unexpected input "${input}" (expected of ${allowed.join(', ')})`),
        ...absent.map((input) => `missing input "${input}" (got ${session.inputNames.join(', ')})`),
        ...missing.map((output) => `missing output "${output}" (got ${session.outputNames.join(', ')})`),
      ];
      throw new BundleError(`${source.location}/${path}: tensor names: ${problems.join('; ')}`);
    }
    return session;
  };

  const start = new Map<string, ProfileValue>();
  try {
    for (const [key, { shape, data }] of readSafetensors(fileOf(manifest.init)).tensors) {
      if (data instanceof Float32Array) start.set(key, { shape, data });
    }
  } catch (cause) {
    throw new BundleError(`${source.location}/${manifest.init}: ${(cause as Error).message}`, { cause });
  }
  const head = ['head.weight', 'head.bias'];
  const keptHead = keptShape && takeHead(start, keptShape, `${source.location}/${manifest.init}`);
  for (const { name: value, moving } of manifest.moving) {
    const stored = start.get(value)?.data.length;
    if (!head.includes(value) && stored !== moving) {
      throw new BundleError(
        `${source.location}/${manifest.init}: "${value}": expected ${moving} values, got ${stored}`,
      );
    }
  }
  const below = [...start.keys()];
  const values = [...below, ...head];
  const { graphs } = manifest;
  const images = ['images'];
  const encode = graphs.encode === null ? undefined : await open(graphs.encode, images, images, ['features']);
  // A head that starts every class alike reads the labels only; what a step or a prediction leaves out would be an error.
  const kept = keptHead ? ['kept.weight', 'kept.bias'] : [];
  const startInputs = ['features', 'labels', ...kept, ...below];
  const startHead = await open(graphs.start, startInputs, ['labels', ...kept], head);
  const stepInputs = ['features', 'labels', 'rate', ...values];
  const step = await open(graphs.step, stepInputs, stepInputs, [...values.map(nextName), 'loss']);
  const predictInputs = ['features', ...values];
  const predict = await open(graphs.predict, predictInputs, predictInputs, ['probabilities']);
  return { name, manifest, start, keptHead, encode, startHead, step, predict };
}

/** Takes a kept head out of the values a pattern starts from. */
function takeHead(
  start: Map<string, ProfileValue>,
  [classes, features]: readonly [classes: number, features: number],
  where: string,
): KeptHead {
  const take = (name: string, shape: readonly number[]): ProfileValue => {
    const value = start.get(name);
    if (value?.shape.join() !== shape.join()) {
      const got = value ? `[${value.shape.join(', ')}]` : 'nothing';
      throw new BundleError(`${where}: "${name}": expected shape [${shape.join(', ')}], got ${got}`);
    }
    start.delete(name);
    return value;
  };
  return { weight: take('head.weight', [classes, features]), bias: take('head.bias', [classes]) };
}
