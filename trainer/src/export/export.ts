import { createHash } from 'node:crypto';
import { chmod, copyFile, mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { encodeOnnx, type Graph } from '@whet/compiler';
import type { Manifest, Preprocessing } from '@whet/runtime';
import { BUNDLE_SCHEMA, float32, manifestSchema, type StoredTensor, writeSafetensors } from '@whet/runtime/format';
import { stepMemory } from '../step-memory.js';
import type { Checkpoint } from '../training/checkpoint.js';
import { frozenShare } from '../training/masks.js';
import { buildPatternGraphs } from './pattern-graphs.js';
import { movingLayers, type PatternSpec, patternParts, patternsOf } from './patterns.js';

export interface BundleOptions {
  readonly checkpoint: Checkpoint;
  readonly name: string;
  readonly version: string;
  readonly description: string;
  readonly preprocessing: Preprocessing;
  /** All of {@link patternsOf} when absent. */
  readonly patterns?: readonly PatternSpec[];
  /** The trained masks, or else the head, or else the first pattern, when absent. */
  readonly defaultPattern?: string;
  /** Inner steps and rate; those of training when absent. */
  readonly steps?: number;
  readonly rate?: number;
  readonly limits?: { readonly maxClasses: number; readonly maxExamples: number };
  /** Added to the manifest's provenance. */
  readonly provenance?: Readonly<Record<string, unknown>>;
}

export interface ExportOptions extends BundleOptions {
  /** The bundle's folder; written whole or not at all. */
  readonly directory: string;
}

/** Writes what {@link buildBundle} compiles. Throws {@link ExportError} where the folder holds something else. */
export async function exportBundle(options: ExportOptions): Promise<Manifest> {
  const { manifest, contents } = buildBundle(options);
  await writeFolder(options.directory, contents);
  return manifest;
}

/**
 * Compiles a checkpoint into the files of a bundle, by their paths: per pattern the frozen prefix, the step with its
 * gradients, and the rest.
 */
export function buildBundle(options: BundleOptions): { manifest: Manifest; contents: Map<string, Uint8Array> } {
  const { checkpoint } = options;
  const { config, state } = checkpoint;
  const specs = options.patterns ?? patternsOf(checkpoint);
  const steps = options.steps ?? config.innerSteps;
  const rate = options.rate ?? config.innerRate;
  const contents = new Map<string, Uint8Array>();
  const patterns: Manifest['patterns'] = {};
  let featureLength = 0;
  for (const spec of specs) {
    const parts = patternParts(checkpoint, spec);
    featureLength = parts.backbone.features;
    const graphs = buildPatternGraphs(parts);
    const file = (graph: Graph): string => {
      const path = `${spec.name}/${graph.name}.onnx`;
      contents.set(path, encodeOnnx(graph));
      return path;
    };
    const init = new Map<string, StoredTensor>();
    for (const [name, data] of graphs.values) {
      const weight = parts.weights.find((candidate) => candidate.name === name);
      const whole = weight?.start.length === data.length;
      init.set(name, float32(whole ? weight.shape : [data.length], data));
    }
    contents.set(
      `${spec.name}/init.safetensors`,
      writeSafetensors({ tensors: init, metadata: { pattern: spec.name } }),
    );
    patterns[spec.name] = {
      description: spec.description,
      graphs: {
        encode: graphs.encode ? file(graphs.encode) : null,
        start: file(graphs.start),
        step: file(graphs.step),
        predict: file(graphs.predict),
        ...(graphs.encodeQuery ? { encodeQuery: file(graphs.encodeQuery) } : {}),
        ...(graphs.moments ? { moments: file(graphs.moments) } : {}),
      },
      ...(parts.normalization === 'support' ? { normalizations: [...graphs.normalizations] } : {}),
      init: `${spec.name}/init.safetensors`,
      moving: parts.weights
        .filter(({ name }) => graphs.values.has(name))
        .map(({ name, shape, start }) => ({
          name,
          shape: [...shape],
          moving: graphs.values.get(name)?.length ?? 0,
          entries: start.length,
        })),
      layers: movingLayers(checkpoint, parts),
      steps: spec.steps ?? steps,
      rate: spec.rate ?? rate,
      features: [...graphs.features],
      stepMemory: stepMemory(graphs.step),
    };
  }
  const files: Manifest['files'] = {};
  for (const [path, bytes] of contents) {
    files[path] = { sha256: createHash('sha256').update(bytes).digest('hex'), bytes: bytes.byteLength };
  }
  const manifest: Manifest = manifestSchema.parse({
    schema: BUNDLE_SCHEMA,
    name: options.name,
    version: options.version,
    description: options.description,
    preprocessing: options.preprocessing,
    normalization: config.normalization,
    head: config.head,
    featureLength,
    limits: options.limits ?? { maxClasses: 100, maxExamples: 500 },
    defaultPattern:
      options.defaultPattern ?? ['sparse', 'head', ...Object.keys(patterns)].find((name) => name in patterns),
    patterns,
    measurements: [],
    provenance: { ...options.provenance, config, outerSteps: state.step, frozenShare: frozenShare(config, state) },
    files,
  });
  contents.set('manifest.json', new TextEncoder().encode(`${JSON.stringify(manifest, null, 2)}\n`));
  return { manifest, contents };
}

/** A folder that an export would overwrite and that is not a bundle. */
export class ExportError extends Error {
  override readonly name = 'ExportError';
}

const missing = (error: unknown): boolean => (error as NodeJS.ErrnoException).code === 'ENOENT';

/** True where the folder is there; throws {@link ExportError} where it holds something else than a bundle. */
export async function findBundle(directory: string): Promise<boolean> {
  const entries = await readdir(directory).catch((error: unknown) => {
    if (missing(error)) return undefined;
    throw new ExportError(`${directory}: cannot be replaced: ${(error as Error).message}`, { cause: error });
  });
  if (!entries || entries.length === 0) return entries !== undefined;
  const manifest = await readFile(join(directory, 'manifest.json'), 'utf8').catch(() => '');
  if (!manifest.includes('"whet-bundle/')) {
    throw new ExportError(
      `${directory}: expected a new or empty folder, or a bundle to replace, got ${entries[0]}, ...`,
    );
  }
  return true;
}

/** Writes a folder beside its place and moves it there, so that no half-written bundle is ever found. */
export async function writeFolder(directory: string, contents: ReadonlyMap<string, Uint8Array>): Promise<void> {
  const replaces = await findBundle(directory);
  await mkdir(dirname(resolve(directory)), { recursive: true });
  const staging = await mkdtemp(join(dirname(resolve(directory)), '.bundle-'));
  const old = `${staging}-old`;
  try {
    for (const [path, bytes] of contents) {
      await mkdir(dirname(join(staging, path)), { recursive: true });
      await writeFile(join(staging, path), bytes);
    }
    // A README beside the files belongs to people and stays.
    await copyFile(join(directory, 'README.md'), join(staging, 'README.md')).catch((error: unknown) => {
      if (!missing(error)) throw error;
    });
    // A temporary folder is its owner's alone; a bundle is for everyone who may read its parent.
    await chmod(staging, 0o755);
    if (replaces) await rename(directory, old);
    await rename(staging, directory);
    await rm(old, { recursive: true, force: true });
  } catch (cause) {
    await rm(staging, { recursive: true, force: true });
    throw cause;
  }
}
