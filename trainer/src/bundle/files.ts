import { createHash } from 'node:crypto';
import {
  encodeOnnx,
  type Graph,
  graphCost,
  halvesOf,
  lowerForCpu,
  placesMask,
  type SplitModel,
  sizeOf,
  splitWeights,
} from '@whet/compiler';
import type { Manifest } from '@whet/runtime';
import { AUTO, BUNDLE_SCHEMA, float32, manifestSchema, mismatchOf } from '@whet/runtime/format';
import type { CompiledPattern } from '../pattern/compile-pattern.js';
import { SharedWeights, WEIGHTS_FILE } from './shared-weights.js';

type PatternManifest = Manifest['patterns'][string];
type GraphName = keyof PatternManifest['graphs'];

/** What a value starts from: all of a tensor, or those of its entries that a mask leaves open. */
export interface StartingValue {
  readonly shape: readonly number[];
  readonly data: Float32Array;
  readonly mask?: Uint8Array | undefined;
}

/** A pattern to be written: its graphs, where its values start, and what its manifest says besides. */
export interface BundlePattern
  extends Pick<
    PatternManifest,
    | 'description'
    | 'layers'
    | 'steps'
    | 'rate'
    | 'optimizer'
    | 'objective'
    | 'smoothing'
    | 'decay'
    | 'schedule'
    | 'views'
    | 'features'
    | 'normalizations'
  > {
  readonly name: string;
  /** As they stand in a file already, or to be encoded. */
  readonly graphs: Readonly<Partial<Record<GraphName, Graph | Uint8Array | undefined>>>;
  /** The start of what moves below the head. */
  readonly moving: ReadonlyMap<string, StartingValue>;
  /** Further starts: a kept head's rows, and the moments that a model had. */
  readonly kept?: ReadonlyMap<string, StartingValue>;
  /** Of a step on so many examples and classes; of {@link stepMemory} when a graph of the step is given. */
  readonly stepMemory?: PatternManifest['stepMemory'];
}

/** A bundle to be written: all that its manifest says but what follows from the files. */
export interface BundleDraft
  extends Omit<Manifest, 'schema' | 'patterns' | 'files' | 'weights' | 'measurements' | 'formerly'> {
  readonly patterns: readonly BundlePattern[];
  readonly measurements?: Manifest['measurements'];
  readonly formerly?: readonly string[];
}

/** Why a pattern cannot be called so: its name is part of those of the bundle's files. */
export function patternNameProblem(name: string): string | undefined {
  if (name === AUTO) return `pattern name "${name}": expected another, as this one asks for a pattern to be chosen`;
  if (name in Object.prototype) return `pattern name "${name}": expected none that every JavaScript object has`;
  if (/^[\w.-]+$/.test(name) && name !== '.' && name !== '..') return undefined;
  return `pattern name "${name}": expected letters, digits, dots, dashes`;
}

const EXAMPLES = 25;

/** What a manifest says of a step's memory, for 25 examples. */
export function stepMemory(step: Graph, classes = 5): NonNullable<PatternManifest['stepMemory']> {
  const { peakActivationBytes } = graphCost(step, { N: EXAMPLES, W: classes });
  return { examples: EXAMPLES, classes, peakActivationBytes };
}

/** Files of graphs are called by the pattern and these. */
const fileNames: Readonly<Record<GraphName, string>> = {
  encode: 'encode',
  encodeQuery: 'encode-query',
  start: 'start',
  step: 'step',
  moments: 'moments',
  predict: 'predict',
  leftOut: 'left-out',
  solve: 'solve',
};

/** Graphs that a single picture to predict runs through; the others run on all examples of a task. */
const ofOneImage: ReadonlySet<GraphName> = new Set(['encode', 'encodeQuery', 'predict']);

/** The graphs of a compiled pattern, by their names in a manifest. */
export const encodedGraphs = (compiled: CompiledPattern): BundlePattern['graphs'] => ({
  encode: compiled.encode,
  encodeQuery: compiled.encodeQuery,
  start: compiled.start,
  step: compiled.step,
  moments: compiled.moments,
  predict: compiled.predict,
  leftOut: compiled.leftOut,
  solve: compiled.solve,
});

const isOpen = ({ mask }: StartingValue): boolean => !mask?.includes(0);
const openPlaces = (mask: Uint8Array): number[] => Array.from(mask.keys()).filter((i) => mask[i]);

/** 1 for each row whose entries are open, 0 for those whose are closed; undefined where a row is open in part, or is one entry. */
function rowsOf({ shape, mask = new Uint8Array() }: StartingValue): Uint8Array | undefined {
  const [count = 0] = shape;
  const length = mask.length / count;
  if (shape.length < 2 || length < 2) return undefined;
  const rows = Uint8Array.from({ length: count }, (_, row) => Number(mask[row * length] !== 0));
  return mask.every((open, i) => (open !== 0) === (rows[Math.floor(i / length)] === 1)) ? rows : undefined;
}

/** How weights are stored. */
export interface StorageOptions {
  /** As float16 where that is fine enough, in half of the bytes; they are computed with as float32. */
  readonly half?: boolean | undefined;
}

/**
 * The files of a bundle by their paths, and its manifest, which is one of them: graphs that stand beside one file of weights, each
 * of which is in it once. Throws an Error naming the pattern or field that cannot be written.
 */
export function bundleFiles(
  draft: BundleDraft,
  { half = false }: StorageOptions = {},
): { manifest: Manifest; contents: Map<string, Uint8Array> } {
  const shared = new SharedWeights();
  const values = new Map<string, PatternManifest['values']>();
  // Weights under their own names first: what a graph has of them is found again.
  for (const pattern of draft.patterns) values.set(pattern.name, putValues(shared, pattern, half));
  const models: { path: string; split: SplitModel; names: readonly string[] }[] = [];
  const graphs = new Map<string, PatternManifest['graphs']>();
  for (const { name, graphs: given } of draft.patterns) {
    const problem = patternNameProblem(name);
    if (problem) throw new Error(problem);
    const paths: Record<string, string | null> = { encode: null };
    for (const [key, graph] of Object.entries(given) as [GraphName, Graph | Uint8Array | undefined][]) {
      if (!graph) continue;
      const path = `${name}.${fileNames[key]}.onnx`;
      const runsOn = ofOneImage.has(key) ? 'one' : 'many';
      const bytes = graph instanceof Uint8Array ? graph : encodeOnnx(lowerForCpu(graph, runsOn));
      const split = splitWeights(bytes, { half });
      const names = split.weights.map((weight) => shared.putWeight(`${name}.${fileNames[key]}`, weight));
      models.push({ path, split, names });
      paths[key] = path;
    }
    graphs.set(name, paths as PatternManifest['graphs']);
  }
  const { bytes, offsetOf } = shared.write();
  const contents = new Map([[WEIGHTS_FILE, bytes]]);
  for (const { path, split, names } of models) {
    contents.set(path, split.encode(names.map((name) => ({ location: WEIGHTS_FILE, offset: offsetOf(name) }))));
  }
  const manifest = manifestOf(
    draft,
    (name) => ({
      graphs: graphs.get(name) as PatternManifest['graphs'],
      values: values.get(name) as PatternManifest['values'],
    }),
    contents,
  );
  contents.set('manifest.json', new TextEncoder().encode(`${JSON.stringify(manifest, null, 2)}\n`));
  return { manifest, contents };
}

/** Keeps the starts of a pattern's values, and tells where. */
function putValues(
  shared: SharedWeights,
  { moving, kept = new Map() }: BundlePattern,
  half: boolean,
): PatternManifest['values'] {
  return Object.fromEntries(
    [...moving, ...kept].map(([name, value]) => {
      const halves = half && value.shape.length > 1 ? halvesOf(value.data) : undefined;
      const { shape, data } = value;
      const tensor = shared.put(name, halves ? { dtype: 'F16', shape, data: halves } : float32(shape, data));
      if (isOpen(value)) return [name, { tensor }];
      const rows = rowsOf(value);
      if (rows)
        return [name, { tensor, rows: shared.put(`${name}.rows`, { dtype: 'U8', shape: [rows.length], data: rows }) }];
      const mask = placesMask(openPlaces(value.mask as Uint8Array));
      return [name, { tensor, mask: shared.put(`${name}.mask`, { dtype: 'U8', shape: [mask.length], data: mask }) }];
    }),
  );
}

function manifestOf(
  { patterns, measurements = [], formerly, ...rest }: BundleDraft,
  placesOf: (pattern: string) => Pick<PatternManifest, 'graphs' | 'values'>,
  contents: ReadonlyMap<string, Uint8Array>,
): Manifest {
  const described = patterns.map((pattern): [string, PatternManifest] => {
    const { name, graphs, moving, kept, normalizations, ...said } = pattern;
    return [
      name,
      {
        ...said,
        ...(normalizations ? { normalizations } : {}),
        ...placesOf(name),
        moving: Array.from(moving, ([value, { shape, mask }]) => ({
          name: value,
          shape: [...shape],
          moving: mask ? openPlaces(mask).length : sizeOf(shape),
          entries: sizeOf(shape),
        })),
        ...memoryOf(pattern),
      },
    ];
  });
  const files: Manifest['files'] = {};
  for (const [path, bytes] of contents) {
    files[path] = { sha256: createHash('sha256').update(bytes).digest('hex'), bytes: bytes.byteLength };
  }
  const manifest = {
    schema: BUNDLE_SCHEMA,
    ...rest,
    patterns: Object.fromEntries(described),
    measurements,
    weights: WEIGHTS_FILE,
    ...(formerly ? { formerly } : {}),
    files,
  };
  const problem = mismatchOf(manifestSchema, manifest);
  if (problem) throw new Error(problem);
  return manifest as Manifest;
}

function memoryOf({ stepMemory: told, graphs }: BundlePattern): Pick<PatternManifest, 'stepMemory'> {
  if (told) return { stepMemory: told };
  return graphs.step && !(graphs.step instanceof Uint8Array) ? { stepMemory: stepMemory(graphs.step) } : {};
}
