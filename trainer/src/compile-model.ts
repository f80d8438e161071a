import { createHash } from 'node:crypto';
import { type ExternalReader, encodeOnnx, type Graph, type GraphCost, graphCost, listProblems } from '@whet/compiler';
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
import { type CompiledPattern, compilePattern, type PatternSource } from './compile-pattern.js';
import { findBundle, writeFolder } from './export.js';
import { exportedPrefix, tensorOf } from './exported-prefix.js';
import { describeLayout } from './feature-layout.js';
import { checkMovingPart, frozenPart, isImage, type MovingPart, movingPart } from './frozen-part.js';
import { checkLabels } from './labels.js';
import type { ModelParameter } from './model-parameters.js';
import type { SourceHead } from './read-head.js';
import { readModel, type SourceModel } from './read-model.js';
import { selectParameters } from './select-parameters.js';
import { spreadPrototypes } from './start-head.js';

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
}

export interface CompileReport {
  readonly manifest: Manifest;
  readonly model: SourceModel;
  /** The model's own last layer, where it is kept. */
  readonly head: SourceHead | undefined;
  readonly patterns: readonly PatternReport[];
  /** What an inner step would cost if everything moved that can. */
  readonly fullCost: GraphCost;
}

/** Examples and classes that a step's cost is told for. */
const sizesFor = (head: SourceHead | undefined) => ({ N: 1, W: head?.classes ?? 5 });

interface Compiled extends CompiledPattern {
  /** What moves, where the frozen part has to be the file's own: there is no `encode` then, but perhaps a boundary. */
  readonly exactly: MovingPart | undefined;
}

function compileMoving(
  model: SourceModel,
  head: SourceHead | undefined,
  moving: readonly ModelParameter[],
  pattern: string,
): Compiled {
  const features = model.featureGraph(moving);
  const rest: Omit<PatternSource, 'features'> = {
    featureLength: model.layout.length,
    startHead: (g, values, labels, kept) =>
      kept ? grownHead(g, kept, values, labels) : spreadPrototypes(g, values, labels),
    ...(head ? { keptClasses: head.classes } : {}),
  };
  try {
    if (!model.opaque) return { ...compilePattern({ features, ...rest }), exactly: undefined };
    const exactly = movingPart(model, features, new Set(moving.map(({ name }) => name)));
    const compiled = compilePattern({ features: exactly.graph, cached: true, ...rest });
    return { ...compiled, boundary: isImage(exactly.frozen) ? [] : exactly.frozen, exactly };
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
  const [channels, height, width] = model.input.shape;
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

/** The graph of the frozen part, if anything is frozen: the file's own where it can be. */
async function prefixOf(
  model: SourceModel,
  { exactly, encode, boundary, features }: Compiled,
  moving: readonly ModelParameter[],
  external: ExternalReader | undefined,
): Promise<{ bytes: Uint8Array; encoded: 'as exported' | 'anew' } | undefined> {
  if (exactly) {
    const bytes = isImage(exactly.frozen) ? undefined : await frozenPart(model, boundary, features, external);
    await checkMovingPart(model, exactly, bytes, moving, external);
    return bytes && { bytes, encoded: 'as exported' };
  }
  if (!encode) return undefined;
  const exported = await exportedPrefix(model, encode, boundary, external);
  return exported ? { bytes: exported, encoded: 'as exported' } : { bytes: encodeOnnx(encode), encoded: 'anew' };
}

/** Throws where a pattern moves what stands below nodes that cannot be differentiated, naming all of these. */
function checkMovable(model: SourceModel, pattern: string, moving: readonly ModelParameter[]): void {
  const blocked = moving.filter((parameter) => parameter.blocked);
  if (blocked.length === 0) return;
  const names = blocked.slice(0, 3).map(({ name }) => `"${name}"`);
  const more = blocked.length > names.length ? ` and ${blocked.length - names.length} more` : '';
  const layers = new Set(model.parameters.filter((parameter) => !parameter.blocked).map(({ layer }) => layer)).size;
  const instead = layers > 0 ? `last:${layers} at most` : 'nothing but the head (none)';
  throw new CompileError(
    [
      `pattern "${pattern}" moves ${names.join(', ')}${more}, but these nodes above cannot be differentiated:`,
      ...listProblems(model.blockersOf(blocked)),
      `choose later layers: ${instead}`,
    ].join('\n  '),
  );
}

/** The files of one pattern, and what the manifest says of them. */
async function patternFiles(
  options: CompileOptions,
  model: SourceModel,
  head: SourceHead | undefined,
  name: string,
  moving: readonly ModelParameter[],
) {
  const compiled = compileMoving(model, head, moving, name);
  const contents = new Map<string, Uint8Array>();
  const put = (graph: string, bytes: Uint8Array): string => {
    const path = `${name}/${graph}.onnx`;
    contents.set(path, bytes);
    return path;
  };
  const file = (graph: Graph): string => put(graph.name, encodeOnnx(graph));
  const { boundary } = compiled;
  const prefix = await prefixOf(model, compiled, moving, options.external);
  const init = `${name}/init.safetensors`;
  const starts = moving.map(({ name: parameter, shape, value }) => {
    const start = Float32Array.from(value.constant?.data ?? []);
    return [parameter, float32([...shape], start)] as const;
  });
  const rows = head
    ? ([
        ['head.weight', float32([head.classes, model.layout.length], head.weight)],
        ['head.bias', float32([head.classes], head.bias)],
      ] as const)
    : [];
  contents.set(init, writeSafetensors({ tensors: new Map([...starts, ...rows]), metadata: { pattern: name } }));
  const layers = [...new Set(moving.map(({ layer }) => layer))];
  const manifest: Manifest['patterns'][string] = {
    description:
      moving.length > 0
        ? `Moves ${layers.join(', ')} and the head; what is below is cached.`
        : 'Only the head moves; the whole network is cached.',
    graphs: {
      encode: prefix ? put('encode', prefix.bytes) : null,
      start: file(compiled.start),
      step: file(compiled.step),
      predict: file(compiled.predict),
    },
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
    encoded: prefix?.encoded,
    stepCost: graphCost(compiled.step, sizesFor(head)),
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
  const model = await readModel(options.model, options);
  const { head, labels } = headOf(options, model);
  const chosen = named.map(([name, selections]) => {
    if (!/^[\w.+-]+$/.test(name) || name === '.' || name === '..') {
      throw new CompileError(`pattern name "${name}": expected letters, digits, dots, dashes`);
    }
    const moving = selectParameters(selections, model.parameters);
    checkMovable(model, name, moving);
    return [name, moving] as const;
  });
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
  const pooling = describeLayout(model.layout);
  const files: Manifest['files'] = {};
  for (const [path, bytes] of contents) files[path] = { sha256: sha256(bytes), bytes: bytes.byteLength };
  const parsed = manifestSchema.safeParse({
    schema: BUNDLE_SCHEMA,
    name: options.name,
    version: options.version ?? '0.1.0',
    description: options.description ?? `${options.fileName}, made adaptable`,
    preprocessing,
    normalization: 'population',
    head: head ? 'kept' : 'prototype',
    ...(labels ? { labels } : {}),
    featureLength: model.layout.length,
    limits: { maxClasses: (head?.classes ?? 0) + 100, maxExamples: 500 },
    defaultPattern: first[0],
    patterns,
    measurements: [],
    provenance: {
      source: options.fileName,
      sha256: sha256(options.model),
      opset: model.opset,
      features: model.features,
      ...(pooling ? { pooling } : {}),
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
  const all = model.parameters.filter(({ moment, blocked }) => !moment && !blocked);
  const full = compileMoving(model, head, all, 'all');
  await writeFolder(options.directory, contents);
  return { manifest, model, head, patterns: reports, fullCost: graphCost(full.step, sizesFor(head)) };
}
