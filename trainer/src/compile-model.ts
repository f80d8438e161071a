import { createHash } from 'node:crypto';
import { type ExternalReader, encodeOnnx, type Graph, type GraphCost, graphCost } from '@whet/compiler';
import { grownHead } from '@whet/models';
import {
  BUNDLE_SCHEMA,
  float32,
  type Manifest,
  manifestSchema,
  type Preprocessing,
  writeSafetensors,
} from '@whet/runtime';
import { CompileError } from './compile-error.js';
import { type CompiledPattern, compilePattern } from './compile-pattern.js';
import { findBundle, writeFolder } from './export.js';
import { exportedPrefix, tensorOf } from './exported-prefix.js';
import { checkLabels } from './labels.js';
import type { ModelParameter } from './model-parameters.js';
import type { SourceHead } from './read-head.js';
import { readModel, type SourceModel } from './read-model.js';
import { selectParameters } from './select-parameters.js';
import { spreadPrototypes } from './start-head.js';
import { momentsOfFile, takeSupportMoments } from './support-moments.js';

type Normalization = Manifest['normalization'];

export interface CompileOptions {
  /** The ONNX file. */
  readonly model: Uint8Array;
  /** What the file is called, for the manifest. */
  readonly fileName: string;
  /** Reads values that the model keeps in files beside it. */
  readonly external?: ExternalReader;
  /** The bundle's folder; written whole or not at all. */
  readonly directory: string;
  readonly name: string;
  readonly version?: string;
  readonly description?: string;
  /** What moves, by pattern: parameter names, globs, `last:N`, `bias`, `norm`, `all`, `none`. The first is the default. */
  readonly patterns: Readonly<Record<string, readonly string[]>>;
  /** `new`, the default: every class starts from its mean feature. `keep`: from the model's own last layer. */
  readonly head?: 'new' | 'keep';
  /** Names of a kept head's classes, in the order of its rows; "0", "1", ... when absent. */
  readonly labels?: readonly string[];
  readonly features?: string;
  /**
   * Whose moments BatchNormalization layers take: `population`, those of the file (the default), or `support`, those of
   * the examples, for images unlike those that the model was trained on.
   */
  readonly normalization?: Normalization;
  readonly imageSize?: readonly [height: number, width: number];
  /** Per channel, of pixels 0..1; one number stands for all channels. */
  readonly mean?: readonly number[];
  readonly std?: readonly number[];
  /** Colour around an image of another aspect ratio, 0..255. */
  readonly background?: number;
  readonly steps?: number;
  readonly rate?: number;
}

export interface PatternReport {
  readonly name: string;
  readonly moving: readonly ModelParameter[];
  /** Tensors of the model at which the frozen part ends; none where nothing is frozen. */
  readonly boundary: readonly string[];
  /** Whether the frozen part is the file's own, or was encoded anew; undefined where nothing is frozen. */
  readonly encoded: 'as exported' | 'anew' | undefined;
  /** Of an inner step with one example of 5 classes or those of a kept head; encoding, once per image, is not in it. */
  readonly stepCost: GraphCost;
  /** Of encoding one image; undefined where nothing is frozen. */
  readonly encodeCost: GraphCost | undefined;
}

export interface CompileReport {
  readonly manifest: Manifest;
  readonly model: SourceModel;
  /** The model's own last layer, where it is kept. */
  readonly head: SourceHead | undefined;
  readonly patterns: readonly PatternReport[];
  /** What an inner step would cost if every parameter moved. */
  readonly fullCost: GraphCost;
}

/** Examples and classes that a step's cost is told for. */
const sizesFor = (head: SourceHead | undefined) => ({ N: 1, W: head?.classes ?? 5 });

function compileMoving(
  model: SourceModel,
  head: SourceHead | undefined,
  moving: readonly ModelParameter[],
  pattern: string,
  normalization: Normalization,
): CompiledPattern {
  try {
    const features = model.featureGraph(moving);
    return compilePattern({
      ...(normalization === 'support' ? takeSupportMoments(features) : { features }),
      featureLength: model.featureLength,
      startHead: (g, features, labels, kept) =>
        kept ? grownHead(g, kept, features, labels) : spreadPrototypes(g, features, labels),
      ...(head ? { keptClasses: head.classes } : {}),
    });
  } catch (cause) {
    throw new CompileError(`pattern "${pattern}": ${(cause as Error).message}`, { cause });
  }
}

function perChannel(what: string, given: readonly number[] | undefined, absent: number, channels: number): number[] {
  const values = given ?? [absent];
  if (values.length === channels) return [...values];
  if (values.length === 1) return Array.from({ length: channels }, () => values[0] as number);
  throw new CompileError(`${what}: expected 1 or ${channels} numbers, got ${values.length}`);
}

function preprocessingOf(options: CompileOptions, model: SourceModel): Preprocessing {
  const [channels, height, width] = model.imageShape;
  const std = perChannel('std', options.std, 1, channels);
  if (!std.every((value) => value > 0)) throw new CompileError(`std: expected positive numbers, got ${std.join(', ')}`);
  return {
    width,
    height,
    channels: channels as 1 | 3,
    fit: 'contain',
    background: options.background ?? 255,
    kernel: 'lanczos3',
    invert: false,
    mean: perChannel('mean', options.mean, 0, channels),
    std,
  };
}

/** Throws {@link CompileError} where `support` normalization would change nothing. */
function expectNormalizations(model: SourceModel): void {
  if (takeSupportMoments(model.featureGraph([])).normalizations.length > 0) return;
  throw new CompileError(
    `normalization "support": expected BatchNormalization layers below the features "${model.features}", got none ` +
      '(exporters may fold them into the layers before); take "population"',
  );
}

/** The kept head and the names of its classes; nothing of a new one. */
function headOf(options: CompileOptions, model: SourceModel): { head?: SourceHead; labels?: string[] } {
  if (options.head !== 'keep') {
    if (!options.labels) return {};
    throw new CompileError('labels name the classes of the model\'s own last layer: expected head "keep", got "new"');
  }
  const head = model.head();
  const labels = options.labels ?? Array.from({ length: head.classes }, (_, i) => String(i));
  checkLabels(labels, head.classes);
  return { head, labels: [...labels] };
}

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

/** The files of one pattern, and what the manifest says of them. */
async function patternFiles(
  options: CompileOptions,
  model: SourceModel,
  head: SourceHead | undefined,
  name: string,
  moving: readonly ModelParameter[],
) {
  const { normalization = 'population' } = options;
  const compiled = compileMoving(model, head, moving, name, normalization);
  const contents = new Map<string, Uint8Array>();
  const file = (graph: Graph, bytes: Uint8Array = encodeOnnx(graph)): string => {
    const path = `${name}/${graph.name}.onnx`;
    contents.set(path, bytes);
    return path;
  };
  const { encode, encodeQuery, boundary } = compiled;
  // As exported it would normalize with the file's own moments.
  const exported = encode && !encodeQuery && (await exportedPrefix(options.model, model, encode, boundary));
  const init = `${name}/init.safetensors`;
  const starts = moving.map(({ name: parameter, shape, value }) => {
    const start = Float32Array.from(value.constant?.data ?? []);
    return [parameter, float32([...shape], start)] as const;
  });
  const rows = head
    ? ([
        ['head.weight', float32([head.classes, model.featureLength], head.weight)],
        ['head.bias', float32([head.classes], head.bias)],
      ] as const)
    : [];
  // Without examples, a kept head predicts with the moments that the model had.
  const moments = head && normalization === 'support' ? [...momentsOfFile(model.featureGraph([]))] : [];
  const given = moments.map(([moment, data]) => [moment, float32([data.length], data)] as const);
  const tensors = new Map([...starts, ...rows, ...given]);
  contents.set(init, writeSafetensors({ tensors, metadata: { pattern: name } }));
  const layers = [...new Set(moving.map(({ layer }) => layer))];
  const manifest: Manifest['patterns'][string] = {
    description:
      moving.length > 0
        ? `Moves ${layers.join(', ')} and the head; what is below is cached.`
        : 'Only the head moves; the whole network is cached.',
    graphs: {
      encode: encode ? file(encode, exported || undefined) : null,
      start: file(compiled.start),
      step: file(compiled.step),
      predict: file(compiled.predict),
      ...(encodeQuery ? { encodeQuery: file(encodeQuery) } : {}),
      ...(compiled.moments ? { moments: file(compiled.moments) } : {}),
    },
    ...(normalization === 'support' ? { normalizations: [...compiled.normalizations] } : {}),
    init,
    moving: starts.map(([parameter, { shape, data }]) => ({
      name: parameter,
      shape: [...shape],
      moving: data.length,
      entries: data.length,
    })),
    layers: [...layers, 'head'],
    steps: options.steps ?? 5,
    rate: options.rate ?? 0.01,
    features: [...compiled.features],
  };
  const report: PatternReport = {
    name,
    moving,
    boundary: boundary.map((value) => tensorOf(model, value)),
    encoded: encode && (exported ? 'as exported' : 'anew'),
    stepCost: graphCost(compiled.step, sizesFor(head)),
    encodeCost: encode && graphCost(encode, sizesFor(head)),
  };
  return { contents, manifest, report };
}

/**
 * Compiles an ONNX classifier into a bundle that adapts on stock ONNX Runtime: its last layer is replaced by a head for
 * any number of classes or is where the head starts, the parameters of each pattern become inputs, and the rest is frozen as exported where that is
 * possible. Throws {@link CompileError}, `OnnxError` or `ExportError`, and then leaves nothing behind.
 */
export async function compileModel(options: CompileOptions): Promise<CompileReport> {
  const named = Object.entries(options.patterns);
  const [first] = named;
  if (!first) throw new CompileError('expected at least one pattern, got none');
  await findBundle(options.directory);
  const model = readModel(options.model, options);
  const { head, labels } = headOf(options, model);
  const chosen = named.map(([name, selections]) => {
    if (!/^[\w.+-]+$/.test(name) || name === '.' || name === '..') {
      throw new CompileError(`pattern name "${name}": expected letters, digits, dots, dashes`);
    }
    return [name, selectParameters(selections, model.parameters)] as const;
  });
  const { normalization = 'population' } = options;
  if (normalization === 'support') expectNormalizations(model);
  const preprocessing = preprocessingOf(options, model);
  const contents = new Map<string, Uint8Array>();
  const patterns: Manifest['patterns'] = {};
  const reports: PatternReport[] = [];
  for (const [name, moving] of chosen) {
    const pattern = await patternFiles(options, model, head, name, moving);
    for (const [path, bytes] of pattern.contents) contents.set(path, bytes);
    patterns[name] = pattern.manifest;
    reports.push(pattern.report);
  }
  const files: Manifest['files'] = {};
  for (const [path, bytes] of contents) files[path] = { sha256: sha256(bytes), bytes: bytes.byteLength };
  const parsed = manifestSchema.safeParse({
    schema: BUNDLE_SCHEMA,
    name: options.name,
    version: options.version ?? '0.1.0',
    description: options.description ?? `${options.fileName}, made adaptable`,
    preprocessing,
    normalization,
    head: head ? 'kept' : 'prototype',
    ...(labels ? { labels } : {}),
    featureLength: model.featureLength,
    limits: { maxClasses: (head?.classes ?? 0) + 100, maxExamples: 500 },
    defaultPattern: first[0],
    patterns,
    measurements: [],
    provenance: {
      source: options.fileName,
      sha256: sha256(options.model),
      opset: model.opset,
      features: model.features,
      frozen: Object.fromEntries(reports.map(({ name, boundary, encoded }) => [name, { boundary, encoded }])),
    },
    files,
  } satisfies Manifest);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    throw new CompileError(`${issue?.path.join('.')}: ${issue?.message}`, { cause: parsed.error });
  }
  const manifest = parsed.data;
  contents.set('manifest.json', new TextEncoder().encode(`${JSON.stringify(manifest, null, 2)}\n`));
  const full = compileMoving(model, head, selectParameters(['all'], model.parameters), 'all', normalization);
  await writeFolder(options.directory, contents);
  return { manifest, model, head, patterns: reports, fullCost: graphCost(full.step, sizesFor(head)) };
}
