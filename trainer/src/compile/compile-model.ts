import { createHash } from 'node:crypto';
import { graphCost } from '@whet/compiler';
import type { Preprocessing } from '@whet/runtime';
import type { Policy } from '@whet/runtime/format';
import {
  type BundleDraft,
  type BundlePattern,
  bundleFiles,
  encodedGraphs,
  patternNameProblem,
  type StartingValue,
  type StorageOptions,
  stepMemory,
} from '../bundle/files.js';
import { findBundle, writeBundle } from '../bundle/folder.js';
import { momentsOfFile } from '../pattern/support-moments.js';
import { QuantizeError, type QuantizeOptions, quantizeDraft } from '../quantize/quantize-draft.js';
import { bundledNormalizations } from '../task/normalizations.js';
import {
  checkMovable,
  expectNormalizations,
  fewerLevels,
  headOf,
  levelsFor,
  preprocessingOf,
} from './compile-checks.js';
import { compileMoving, featureLength, type LearnedMoving, prefixOf, startingEntries } from './compile-moving.js';
import type { CompileOptions, CompileReport, PatternReport, StepOptions } from './compile-options.js';
import { fileTensorsOf } from './exported-prefix.js';
import { CompileError } from './read/compile-error.js';
import { describeLayout } from './read/feature-layout.js';
import type { ModelParameter } from './read/model-parameters.js';
import type { SourceHead } from './read/read-head.js';
import { readModel, type SourceModel } from './read/read-model.js';
import { selectParameters } from './select-parameters.js';
import { stepOptions } from './step-defaults.js';

/** Examples and classes that a step's cost is told for. */
const sizesFor = (head: SourceHead | undefined) => ({ N: 1, W: head?.classes ?? 5 });

/** A pattern that is asked for. */
export interface PatternRequest {
  readonly name: string;
  readonly moving: readonly ModelParameter[];
  /** What meta-training learned, where the pattern is to have it. */
  readonly learned?: LearnedMoving;
  /** How its steps are made, where it is not as the options say. */
  readonly steps?: StepOptions;
  readonly description?: string;
}

/** One pattern of the bundle, and what is reported of it. */
async function compilePatternOf(
  given: CompileOptions,
  model: SourceModel,
  head: SourceHead | undefined,
  { name, moving, learned, steps, description }: PatternRequest,
): Promise<{ pattern: BundlePattern; report: PatternReport }> {
  const options = { ...given, ...steps };
  const { normalization = 'population' } = options;
  const compiled = compileMoving(model, head, moving, name, options, learned);
  const { boundary, encode } = compiled;
  // What becomes bytes is written anew; where it has to stay the file's own, it is refused.
  const isOwn = !options.quantize || compiled.exactly !== undefined;
  const prefix = isOwn ? await prefixOf(model, compiled, moving, options.external) : undefined;
  const rows: [string, StartingValue][] = head
    ? [
        ['head.weight', { shape: [head.classes, model.layout.length], data: head.weight }],
        ['head.bias', { shape: [head.classes], data: head.bias }],
      ]
    : [];
  // Without examples, a kept head predicts with the moments that the model had.
  const { storesMoments } = bundledNormalizations[normalization];
  const moments = head && storesMoments ? [...momentsOfFile(model.featureGraph([]))] : [];
  const layers = [...new Set(moving.map(({ layer }) => layer))];
  const pattern: BundlePattern = {
    name,
    description:
      description ??
      (moving.length > 0
        ? `Moves ${layers.join(', ')} and the head; what is below is cached.`
        : 'Only the head moves; the whole network is cached.'),
    graphs: { ...encodedGraphs(compiled), encode: prefix?.bytes ?? encode },
    ...(storesMoments ? { normalizations: [...compiled.normalizations] } : {}),
    moving: new Map(
      moving.map((parameter) => {
        const { name, shape } = parameter;
        return [name, { shape, data: startingEntries(parameter), mask: learned?.tensors?.get(name)?.open }];
      }),
    ),
    kept: new Map([
      ...rows,
      ...moments.map(([moment, data]): [string, StartingValue] => [moment, { shape: [data.length], data }]),
    ]),
    layers: [...layers, 'head'],
    ...stepOptions(options, moving),
    features: [...compiled.features],
    stepMemory: stepMemory(compiled.step, head?.classes),
  };
  const report: PatternReport = {
    name,
    moving,
    boundary: [...new Set(boundary.flatMap((value) => fileTensorsOf(model, value)))],
    encoded: prefix?.encoded ?? (encode && 'anew'),
    stepCost: graphCost(compiled.step, sizesFor(head)),
    encodeCost: encode && graphCost(encode, sizesFor(head)),
  };
  return { pattern, report };
}

/** What a step costs if everything moves. Nobody asked for such a pattern, so that it fails nothing. */
function fullCostOf(
  model: SourceModel,
  head: SourceHead | undefined,
  reports: readonly PatternReport[],
  options: CompileOptions,
) {
  const all = model.parameters.filter(({ moment, blocked }) => !moment && !blocked);
  const compiled = reports.find(({ moving }) => moving.length === all.length);
  if (compiled) return compiled.stepCost;
  try {
    return graphCost(compileMoving(model, head, all, 'all', options).step, sizesFor(head));
  } catch {
    return undefined;
  }
}

/** The draft with frozen parts as bytes, where that is asked for. Throws {@link CompileError} where they cannot be, or lose too much. */
async function quantizedDraft(draft: BundleDraft, options: QuantizeOptions | undefined) {
  if (!options) return { draft, report: undefined };
  try {
    return await quantizeDraft(draft, options);
  } catch (cause) {
    throw cause instanceof QuantizeError ? new CompileError(cause.message, { cause }) : cause;
  }
}

/** {@link bundleFiles}, whose complaints are those of compiling. */
function filesOf(draft: BundleDraft, options: StorageOptions) {
  try {
    return bundleFiles(draft, options);
  } catch (cause) {
    throw new CompileError((cause as Error).message, { cause });
  }
}

/**
 * Compiles an ONNX classifier into a bundle that adapts on stock ONNX Runtime: its last layer is replaced by a head for
 * any number of classes or is where the head starts, the parameters of each pattern become inputs, and the rest is frozen as exported where that is
 * possible. Throws {@link CompileError}, `OnnxError` or `ExportError`, and then leaves nothing behind.
 */
export async function compileModel(options: CompileOptions): Promise<CompileReport> {
  const named = Object.entries(options.patterns);
  if (named.length === 0) throw new CompileError('expected at least one pattern, got none');
  await findBundle(options.directory);
  const levels = levelsFor(options);
  const model = await readModel(options.model, { ...options, levels });
  if (levels > 0 && options.levels !== undefined && model.levels.length < levels) throw fewerLevels(model, levels);
  const { head, labels } = headOf(options, model);
  const requests = named.map(([name, selections]): PatternRequest => {
    const problem = patternNameProblem(name);
    if (problem) throw new CompileError(problem);
    const moving = selectParameters(selections, model);
    checkMovable(model, `pattern "${name}"`, moving);
    return { name, moving };
  });
  return writeCompiled(options, model, requests, { ...(head ? { head } : {}), ...(labels ? { labels } : {}) });
}

export interface WriteOptions {
  /** The model's own last layer, where it is kept, and the names of its classes. */
  readonly head?: SourceHead;
  readonly labels?: readonly string[];
  /** The first pattern when absent. */
  readonly defaultPattern?: string;
  /** Whether the examples of who names no pattern choose one. */
  readonly auto?: boolean;
  /** What `auto` does by the loss of views of the examples. */
  readonly policy?: Policy;
  /** As a bundle has it already; of the options when absent. */
  readonly preprocessing?: Preprocessing;
  /** Added to the manifest's provenance. */
  readonly provenance?: Readonly<Record<string, unknown>>;
}

/** Compiles patterns of a model that was read, and writes the bundle. Throws as {@link compileModel}. */
export async function writeCompiled(
  options: CompileOptions,
  model: SourceModel,
  requests: readonly PatternRequest[],
  { head, labels, ...written }: WriteOptions,
): Promise<CompileReport> {
  const { normalization = 'population' } = options;
  const most = options.limits?.maxClasses ?? Number.POSITIVE_INFINITY;
  if (head && most < head.classes) {
    throw new CompileError(`limits: expected at least the ${head.classes} classes of the kept head, got ${most}`);
  }
  if (bundledNormalizations[normalization].storesMoments) expectNormalizations(model);
  const preprocessing = written.preprocessing ?? preprocessingOf(options, model);
  const compiled: Awaited<ReturnType<typeof compilePatternOf>>[] = [];
  for (const request of requests) compiled.push(await compilePatternOf(options, model, head, request));
  const reports = compiled.map(({ report }) => report);
  const pooling = describeLayout(model.layout);
  const { draft, report: quantized } = await quantizedDraft(
    {
      name: options.name,
      version: options.version ?? '0.1.0',
      description: options.description ?? `${options.fileName}, made adaptable`,
      preprocessing,
      normalization,
      head: head ? 'kept' : options.head === 'prototype' ? 'prototype' : 'cosine',
      ...(labels ? { labels: [...labels] } : {}),
      featureLength: featureLength(model),
      limits: { maxClasses: (head?.classes ?? 0) + 100, maxExamples: 500, ...options.limits },
      defaultPattern: written.defaultPattern ?? (requests[0] as PatternRequest).name,
      ...(written.auto ? { auto: true } : {}),
      ...(written.policy ? { policy: written.policy } : {}),
      patterns: compiled.map(({ pattern }) => pattern),
      ...(options.profiles ? { profiles: options.profiles } : {}),
      provenance: {
        ...written.provenance,
        source: options.fileName,
        sha256: createHash('sha256').update(options.model).digest('hex'),
        opset: model.opset,
        features: model.features,
        ...(pooling ? { pooling } : {}),
        ...(model.levels.length > 0 ? { levels: model.levels.map(({ value }) => value.name) } : {}),
        frozen: Object.fromEntries(reports.map(({ name, boundary, encoded }) => [name, { boundary, encoded }])),
      },
    },
    options.quantize,
  );
  const { manifest, contents } = filesOf(draft, options);
  await writeBundle(options.directory, contents);
  const fullCost = fullCostOf(model, head, reports, options);
  return { manifest, model, head, patterns: reports, fullCost, ...(quantized ? { quantized } : {}) };
}
