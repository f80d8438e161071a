import type { Manifest, Preprocessing } from '@whet/runtime';
import type { StoredNumbers } from '@whet/runtime/format';
import {
  type BundleDraft,
  type BundlePattern,
  bundleFiles,
  encodedGraphs,
  type StorageOptions,
} from '../bundle/files.js';
import { writeBundle } from '../bundle/folder.js';
import { type QuantizeOptions, quantizeDraft } from '../quantize/quantize-draft.js';
import { checkImages } from '../training/check-images.js';
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
  /** What an adaptation may have at most; 100 classes and 500 examples when absent. */
  readonly limits?: Partial<Manifest['limits']>;
  /** How profiles store what moved; `float32` when absent. */
  readonly profiles?: StoredNumbers;
  /** Added to the manifest's provenance. */
  readonly provenance?: Readonly<Record<string, unknown>>;
}

export interface ExportOptions extends BundleOptions, StorageOptions {
  /** The bundle's folder, or one file where it ends in `.whet`; written whole or not at all. */
  readonly directory: string;
  /** How the frozen part becomes bytes; it stays in float32 when absent. */
  readonly quantize?: QuantizeOptions;
}

/**
 * Writes what {@link buildBundle} compiles. Throws {@link ExportError} where the place holds something else, and as `quantizeDraft` does where
 * the frozen part is to be bytes, and {@link DataError} where images are prepared as the network does not take them.
 */
export async function exportBundle(options: ExportOptions): Promise<Manifest> {
  const draft = bundleDraft(options);
  const { quantize } = options;
  const { manifest, contents } = bundleFiles(quantize ? (await quantizeDraft(draft, quantize)).draft : draft, options);
  await writeBundle(options.directory, contents);
  return manifest;
}

/**
 * Compiles a checkpoint into the files of a bundle, by their paths. Throws {@link DataError} where images are prepared as its network does not
 * take them.
 */
export const buildBundle = (options: BundleOptions): { manifest: Manifest; contents: Map<string, Uint8Array> } =>
  bundleFiles(bundleDraft(options));

function bundleDraft(options: BundleOptions): BundleDraft {
  const { checkpoint } = options;
  const { config, state } = checkpoint;
  checkImages(config, { name: 'preprocessing', preprocessing: options.preprocessing });
  const { innerSteps, innerRate, head, normalization } = config;
  const { steps = innerSteps, rate = innerRate } = options;
  let featureLength = 0;
  const patterns = (options.patterns ?? patternsOf(checkpoint)).map((spec): BundlePattern => {
    const parts = patternParts(checkpoint, spec);
    featureLength = parts.backbone.features;
    const compiled = buildPatternGraphs(parts);
    return {
      name: spec.name,
      description: spec.description,
      graphs: encodedGraphs(compiled),
      moving: new Map(
        parts.weights
          .filter(({ name }) => compiled.values.has(name))
          .map(({ name, shape, start, mask }) => [name, { shape, data: start, mask }]),
      ),
      ...(parts.normalization.storesMoments ? { normalizations: [...compiled.normalizations] } : {}),
      layers: movingLayers(checkpoint, parts),
      steps: spec.steps ?? steps,
      rate: spec.rate ?? rate,
      features: [...compiled.features],
    };
  });
  const names = patterns.map(({ name }) => name);
  return {
    name: options.name,
    version: options.version,
    description: options.description,
    preprocessing: options.preprocessing,
    normalization: normalization as Manifest['normalization'],
    head: head as Manifest['head'],
    featureLength,
    ...(options.profiles ? { profiles: options.profiles } : {}),
    limits: { maxClasses: 100, maxExamples: 500, ...options.limits },
    defaultPattern:
      options.defaultPattern ?? (['sparse', 'head', ...names].find((name) => names.includes(name)) as string),
    patterns,
    provenance: {
      ...options.provenance,
      config,
      outerSteps: state.step,
      frozenShare: frozenShare(config, state, checkpoint.backbone),
    },
  };
}
