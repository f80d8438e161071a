import { createHash } from 'node:crypto';
import { encodeOnnx, type Graph, graphCost } from '@whet/compiler';
import type { Manifest } from '@whet/runtime';
import { BUNDLE_SCHEMA, float32, manifestSchema, writeSafetensors } from '@whet/runtime/format';
import { findBundle, writeFolder } from '../export/export.js';
import { patternNameProblem } from '../export/patterns.js';
import { momentsOfFile } from '../pattern/support-moments.js';
import { stepMemory } from '../step-memory.js';
import { checkMovable, expectNormalizations, headOf, preprocessingOf } from './compile-checks.js';
import { compileMoving, prefixOf } from './compile-moving.js';
import type { CompileOptions, CompileReport, PatternReport } from './compile-options.js';
import { fileTensorOf } from './exported-prefix.js';
import { CompileError } from './read/compile-error.js';
import { describeLayout } from './read/feature-layout.js';
import type { ModelParameter } from './read/model-parameters.js';
import type { SourceHead } from './read/read-head.js';
import { readModel, type SourceModel } from './read/read-model.js';
import { selectParameters } from './select-parameters.js';

/** Examples and classes that a step's cost is told for. */
const sizesFor = (head: SourceHead | undefined) => ({ N: 1, W: head?.classes ?? 5 });

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
  const put = (graph: string, bytes: Uint8Array): string => {
    const path = `${name}/${graph}.onnx`;
    contents.set(path, bytes);
    return path;
  };
  const file = (graph: Graph): string => put(graph.name, encodeOnnx(graph));
  const { boundary, encode, encodeQuery } = compiled;
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
      encode: prefix ? put('encode', prefix.bytes) : null,
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
    stepMemory: stepMemory(compiled.step, head?.classes),
  };
  const report: PatternReport = {
    name,
    moving,
    boundary: boundary.map((value) => fileTensorOf(model, value)),
    encoded: prefix?.encoded,
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
  const model = await readModel(options.model, options);
  const { head, labels } = headOf(options, model);
  const chosen = named.map(([name, selections]) => {
    const problem = patternNameProblem(name);
    if (problem) throw new CompileError(problem);
    const moving = selectParameters(selections, model.parameters);
    checkMovable(model, name, moving);
    return [name, moving] as const;
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
  const pooling = describeLayout(model.layout);
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
  const full = compileMoving(model, head, all, 'all', normalization);
  await writeFolder(options.directory, contents);
  return { manifest, model, head, patterns: reports, fullCost: graphCost(full.step, sizesFor(head)) };
}
