import { BundleError } from './errors.js';
import { GraphSession, type TensorNames } from './graph-session.js';
import type { PatternManifest } from './manifest.js';
import { countsSteps, nextName, optimizerStates, stateName } from './optimizer.js';
import type { ProfileValue } from './profile.js';
import type { Runnable } from './run-session.js';
import type { BundleSource } from './source.js';
import { StepGraph } from './step-graph.js';
import type { Weights } from './weights.js';

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
  /** Under `support` normalization, the moments a profile stores, with their shapes `[C]`. */
  readonly moments: {
    /** Those of the frozen part: outputs of `encode`, inputs of `encodeQuery`. */
    readonly frozen: ReadonlyMap<string, readonly number[]>;
    /** The others: outputs of `observe`, inputs of `predict`. */
    readonly moving: ReadonlyMap<string, readonly number[]>;
  };
  /** The compiled model's own moments, for predicting without examples; empty where the bundle has no classes of its own. */
  readonly initialMoments: ReadonlyMap<string, ProfileValue>;
  /** `images` to `features`, and frozen moments of these images; undefined where nothing is frozen. */
  readonly encode: Runnable | undefined;
  /** `images` and frozen moments to `features`; `encode` where no moments are frozen. */
  readonly encodeQuery: Runnable | undefined;
  /** The compiled model's own last layer, where the head starts from that. */
  readonly keptHead: KeptHead | undefined;
  /** `features`, `labels`, moving values (and `kept.weight`, `kept.bias`) to `head.weight`, `head.bias`. */
  readonly startHead: Runnable;
  /** `features`, `labels`, `rate`, values and the optimizer's states (and `count`) to `<name>@next` of them, and `loss`. */
  readonly step: StepGraph;
  /** The optimizer's states, by the value that each is of. */
  readonly states: ReadonlyMap<string, readonly string[]>;
  /** `features` of the examples, moved values to moving moments; undefined where there are none. */
  readonly observe: Runnable | undefined;
  /** `features`, values, moving moments to `probabilities` (and `logits`). */
  readonly predict: Runnable;
  /** `features`, `labels`, `support` and the values below the head to `logits`; undefined where the bundle has none. */
  readonly leftOut: Runnable | undefined;
  /**
   * `features`, `labels`, `support [K, N, 1]` and the values below the head to `head.weight [K, W, F]`, `head.bias [K, 1, W]` and `logits
   * [K, N, W]`; undefined where the bundle has none.
   */
  readonly solve: Runnable | undefined;
}

/** The names of a normalization's moments `[C]` in graphs and profiles: mean, and biased variance. */
export const momentNames = (normalization: string): { readonly mean: string; readonly variance: string } => ({
  mean: `${normalization}.mean`,
  variance: `${normalization}.variance`,
});

/** Moments and their shapes: those that encoding the support set yields, and those that depend on what moved. */
function momentShapes({ normalizations = [] }: PatternManifest) {
  const shapes = { frozen: new Map<string, readonly number[]>(), moving: new Map<string, readonly number[]>() };
  for (const { name, channels, frozen } of normalizations) {
    for (const moment of Object.values(momentNames(name))) shapes[frozen ? 'frozen' : 'moving'].set(moment, [channels]);
  }
  return shapes;
}

/**
 * Bytes that a step on 25 examples keeps, at most, where one thread takes it in less time than several, which have to be woken for every graph that
 * runs: of Conv4's last block 1.3 to 2.2 MB, of its last two, which several take in less time, 6.5.
 */
const SMALL_STEP = 4_000_000;

/** Whether the graphs of a pattern behind what encodes are of so little work that one thread is best. */
export const isSmall = ({ stepMemory }: PatternManifest): boolean =>
  stepMemory !== undefined && stepMemory.peakActivationBytes <= SMALL_STEP;

/** A pattern of checked files. Throws {@link BundleError} naming the graph or value that does not fit. */
export function loadPattern(
  source: BundleSource,
  files: ReadonlyMap<string, Uint8Array>,
  weights: Weights,
  name: string,
  manifest: PatternManifest,
  keptShape: readonly [classes: number, features: number] | undefined,
): Pattern {
  const opener =
    (small: boolean, many: boolean) =>
    (path: string, ...names: TensorNames) =>
      new GraphSession(source, path, files.get(path) as Uint8Array, weights.external, { names, small, many });
  const small = isSmall(manifest);
  const open = opener(small, false);
  // What takes all examples at once.
  const openMany = opener(small, true);
  // What takes images, and what grows with the square of the examples.
  const openWide = opener(false, true);

  const start = new Map(Object.entries(manifest.values).map(([key, place]) => [key, weights.value(place)]));
  const head = ['head.weight', 'head.bias'];
  const keptHead = keptShape && takeHead(start, keptShape, weights.location);
  for (const { name: value, moving } of manifest.moving) {
    const stored = start.get(value)?.shape.reduce((product, size) => product * size, 1);
    if (!head.includes(value) && stored !== moving) {
      throw new BundleError(
        `${weights.location}: pattern "${name}": "${value}": expected ${moving} values, got ${stored ?? 'none'}`,
      );
    }
  }
  const moments = momentShapes(manifest);
  const [frozen, moving] = [[...moments.frozen.keys()], [...moments.moving.keys()]];
  const initialMoments = new Map<string, ProfileValue>();
  for (const moment of [...frozen, ...moving]) {
    const value = start.get(moment);
    if (value && start.delete(moment)) initialMoments.set(moment, value);
  }
  const below = [...start.keys()];
  const values = [...below, ...head];
  const { graphs } = manifest;
  const images = ['images'];
  for (const [graph, needed] of [
    ['encodeQuery', frozen],
    ['moments', moving],
  ] as const) {
    if (needed.length > 0 === (graphs[graph] !== undefined)) continue;
    const what = needed.length > 0 ? `one, for "${needed[0]}"` : 'none, as no normalization needs it';
    throw new BundleError(`${source.location}/manifest.json: pattern "${name}": graphs.${graph}: expected ${what}`);
  }
  if (frozen.length > 0 && graphs.encode === null) {
    throw new BundleError(
      `${source.location}/manifest.json: pattern "${name}": graphs.encode: expected one, for "${frozen[0]}"`,
    );
  }
  const encode = graphs.encode === null ? undefined : openWide(graphs.encode, images, images, ['features', ...frozen]);
  const queryInputs = [...images, ...frozen];
  const encodeQuery = graphs.encodeQuery
    ? openWide(graphs.encodeQuery, queryInputs, queryInputs, ['features'])
    : encode;
  // A head that starts every class alike reads the labels only; what a step or a prediction leaves out would be an error.
  const kept = keptHead ? ['kept.weight', 'kept.bias'] : [];
  const startInputs = ['features', 'labels', ...kept, ...below];
  const startHead = openMany(graphs.start, startInputs, ['labels', ...kept], head);
  const { optimizer = 'sgd', objective = 'head' } = manifest;
  const stepped = objective === 'head' ? values : below;
  const asked = objective === 'head' ? [] : ['support', 'queries'];
  const states = new Map(
    stepped.map((value) => [value, optimizerStates[optimizer].map((state) => stateName(value, state))]),
  );
  const carried = [...stepped, ...[...states.values()].flat()];
  const counted = countsSteps(optimizer) ? ['count'] : [];
  const stepInputs = ['features', 'labels', 'rate', ...asked, ...counted, ...carried];
  const step = new StepGraph(source, graphs.step, files.get(graphs.step) as Uint8Array, weights.external, {
    names: [stepInputs, stepInputs, [...carried.map(nextName), 'loss']],
    small,
    values: stepped,
    states: carried.slice(stepped.length),
  });
  const observe = graphs.moments ? openMany(graphs.moments, ['features', ...below], ['features'], moving) : undefined;
  const predictInputs = ['features', ...values, ...moving];
  const told = ['probabilities', ...(graphs.leftOut ? ['logits'] : [])];
  const predict = open(graphs.predict, predictInputs, predictInputs, told);
  if (objective === 'prototypes' && !graphs.leftOut) {
    throw new BundleError(
      `${source.location}/manifest.json: pattern "${name}": graphs.leftOut: expected one, for the objective "prototypes"`,
    );
  }
  const leftOutInputs = ['features', 'labels', 'support', ...below];
  const leftOut = graphs.leftOut ? openMany(graphs.leftOut, leftOutInputs, leftOutInputs, ['logits']) : undefined;
  const solve = graphs.solve
    ? openWide(graphs.solve, leftOutInputs, leftOutInputs, ['head.weight', 'head.bias', 'logits'])
    : undefined;
  return {
    name,
    manifest,
    start,
    keptHead,
    moments,
    initialMoments,
    encode,
    encodeQuery,
    startHead,
    step,
    states,
    observe,
    predict,
    leftOut,
    solve,
  };
}

const movingEntries = ({ manifest }: Pattern): number => manifest.moving.reduce((sum, { moving }) => sum + moving, 0);

/** From the pattern that moves least to the one that moves most. */
export const nested = (patterns: readonly Pattern[]): Pattern[] =>
  [...patterns].sort((a, b) => movingEntries(a) - movingEntries(b));

/** Every graph of a pattern, once. */
export function graphsIn(pattern: Pattern): GraphSession[] {
  return [...new Set(Object.values(pattern).filter((value) => value instanceof GraphSession))];
}

/** Makes the sessions of a pattern, or none where one cannot be made. */
export async function openGraphs(pattern: Pattern): Promise<void> {
  const graphs = graphsIn(pattern);
  try {
    for (const graph of graphs) await graph.open();
  } catch (cause) {
    for (const graph of graphs) await graph.release();
    throw cause;
  }
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
