import {
  encodeOnnx,
  foldConstants,
  foldScales,
  type Graph,
  lowerForCpu,
  planQuantization,
  quantizeOnnx,
  runPasses,
} from '@whet/compiler';
import type { BundleDraft, BundlePattern } from '../bundle/files.js';
import {
  type CalibrationImages,
  type CalibrationSource,
  drawCalibration,
  fewOf,
  type Images,
  namesOf,
} from './calibration.js';
import { type AccuracyLoss, type Loss, openLoss } from './measure-loss.js';
import { type RangeMethod, seenActivations } from './seen-activations.js';

/** How the frozen part of a bundle becomes bytes. */
export interface QuantizeOptions {
  /** Data sets, of which images are encoded to find ranges, and where there are classes, to measure what is lost. */
  readonly images: readonly CalibrationSource[];
  /** `percentile` when absent. */
  readonly ranges?: RangeMethod;
  /** Points of accuracy that may surely be lost, without any step; layers that cost most stay in float32. 1 when absent; needs classes where it is given. */
  readonly budget?: number;
}

/** What became of the frozen part of a pattern. */
export interface QuantizedPattern {
  /** Layers whose products are of bytes. */
  readonly layers: number;
  /** Layers in float32, and why. */
  readonly float: readonly { readonly name: string; readonly reason: string }[];
  /** How far features moved, as a part of their length. */
  readonly distance: number;
  /** Absent where the images are of one class. */
  readonly lost?: AccuracyLoss;
}

/** A bundle whose frozen part cannot become bytes, or loses more than it may. */
export class QuantizeError extends Error {
  override readonly name = 'QuantizeError';
}

const BUDGET = 1;
/** Images of which each layer's own share in what is lost is found. */
const FEW = 32;

/** The frozen part of a pattern in float32, as it is calibrated: what scales and shifts is folded into the weights. */
function floatBytes(pattern: string, graph: Graph | Uint8Array): Uint8Array {
  if (graph instanceof Uint8Array) {
    const why = 'which this compiler cannot write anew';
    throw new QuantizeError(`pattern "${pattern}": expected a frozen part of its own, got the file’s, ${why}`);
  }
  const folded = runPasses(graph, { 'fold scales': foldScales(new Set()), 'fold constants': foldConstants });
  return encodeOnnx(lowerForCpu(folded.graph));
}

/** Names of layers, those first that alone as bytes move the features farthest. */
async function byDistance(
  float: Uint8Array,
  names: readonly string[],
  quantized: (keep: ReadonlySet<string>) => Uint8Array,
  pattern: BundlePattern,
  images: Images,
): Promise<string[]> {
  const few = fewOf(images, FEW);
  const loss = await openLoss(pattern, float, few, false);
  const moved = new Map<string, number>();
  for (const name of names) {
    const others = new Set(names.filter((other) => other !== name));
    moved.set(name, (await loss.of(quantized(others))).distance);
  }
  return [...names].sort((a, b) => (moved.get(b) as number) - (moved.get(a) as number));
}

/** What came of a frozen part with so many layers in float32. */
interface Attempt {
  readonly kept: readonly string[];
  readonly encode: Uint8Array;
  readonly loss: Loss;
}

/**
 * The attempt with the fewest layers in float32, of those that move the features most, that loses no more than it may; undefined where even
 * one layer as bytes loses more.
 */
async function fewestKept(
  attempt: (count: number) => Promise<Attempt>,
  most: number,
  budget: number,
): Promise<Attempt | undefined> {
  let over = -1;
  let within: Attempt | undefined;
  for (let count = 0; !within; count = Math.min(most, Math.max(1, 2 * over))) {
    const tried = await attempt(count);
    if (!isOver(tried.loss, budget)) within = tried;
    else if (count === most) return undefined;
    else over = count;
  }
  while (within.kept.length - over > 1) {
    const middle = Math.floor((over + within.kept.length) / 2);
    const tried = await attempt(middle);
    if (isOver(tried.loss, budget)) over = middle;
    else within = tried;
  }
  return within;
}

/** The frozen part of one pattern as bytes, undefined where none of it can be, and what that took. */
async function quantizePattern(
  pattern: BundlePattern,
  { ranges, measured }: CalibrationImages,
  { ranges: method = 'percentile', budget = BUDGET }: Omit<QuantizeOptions, 'images'>,
): Promise<{ readonly encode: Uint8Array | undefined; readonly report: QuantizedPattern }> {
  const { name, graphs } = pattern;
  if (graphs.encodeQuery) {
    throw new QuantizeError(`pattern "${name}": expected normalization of fixed moments, got those of the examples`);
  }
  const float = floatBytes(name, graphs.encode as Graph | Uint8Array);
  const { layers, left, activations } = planQuantization(float);
  const names = layers.map((layer) => layer.name);
  const others = left.map(({ op, name: layer, reason }) => ({ name: layer, reason: `${op}: ${reason}` }));
  if (names.length === 0) return { encode: undefined, report: { layers: 0, float: others, distance: 0 } };
  const seen = await seenActivations(float, activations, ranges, method);
  const quantized = (keep: ReadonlySet<string>) => quantizeOnnx(float, seen, keep);
  const measure = await openLoss(pattern, float, measured ?? ranges, measured !== undefined);
  try {
    let order: Promise<string[]> | undefined;
    const attempt = async (count: number): Promise<Attempt> => {
      if (count > 0) order ??= byDistance(float, names, quantized, pattern, ranges);
      const kept = ((await order) ?? []).slice(0, count);
      const encode = quantized(new Set(kept));
      return { kept, encode, loss: await measure.of(encode) };
    };
    const found = await fewestKept(attempt, names.length - 1, budget);
    const { kept, encode, loss } = found ?? (await attempt(names.length - 1));
    const reason = found
      ? 'its bytes move the features most'
      : `even one layer as bytes loses ${loss.accuracy && pointsText(loss.accuracy)} points`;
    const float32 = found ? kept : names;
    return {
      encode: found && encode,
      report: {
        layers: names.length - float32.length,
        float: [...others, ...float32.map((layer) => ({ name: layer, reason }))],
        distance: found ? loss.distance : 0,
        ...(found && loss.accuracy ? { lost: loss.accuracy } : {}),
      },
    };
  } finally {
    await measure.release();
  }
}

/** Whether surely more is lost than may be: a few images more or less are chance. */
const isOver = ({ accuracy }: Loss, budget: number): boolean =>
  accuracy !== undefined && accuracy.points - accuracy.halfWidth > budget;

const pointsText = ({ points, halfWidth }: AccuracyLoss): string => `${points.toFixed(1)} ± ${halfWidth.toFixed(1)}`;

/** Why nothing of a bundle can be bytes, by a few layers of each pattern. */
function noBytes(report: Readonly<Record<string, QuantizedPattern>>): string {
  const entries = Object.entries(report);
  if (entries.length === 0) return 'expected a pattern of which something is frozen: all of them move the first layer';
  const why = entries.map(([name, { float }]) => {
    const layers = float.slice(0, 3).map((layer) => `"${layer.name}": ${layer.reason}`);
    return `pattern "${name}": ${layers.join(', ') || 'it has no products'}`;
  });
  return `expected layers that can be bytes in the frozen part, got none: ${why.join('; ')}`;
}

/**
 * The same bundle whose frozen parts compute with bytes: weights of 8 bits, a quarter of their size, and products that most processors have
 * instructions for. What moves, and all above it, stays in float32.
 *
 * A frozen part of which nothing can be bytes, or that loses more than it may, stays in float32 too, and the report says why.
 *
 * @throws {QuantizeError} where that is so of all patterns, or a pattern's frozen part is not this compiler's; {@link DataError} naming an image.
 */
export async function quantizeDraft(
  draft: BundleDraft,
  options: QuantizeOptions,
): Promise<{ readonly draft: BundleDraft; readonly report: Readonly<Record<string, QuantizedPattern>> }> {
  const calibration = await drawCalibration(options.images, draft.preprocessing);
  if (options.budget !== undefined && !calibration.measured) {
    throw new QuantizeError(
      `budget: expected images of two classes or more by which to tell what is lost, three or more of each, got ${namesOf(options.images)}`,
    );
  }
  const report: Record<string, QuantizedPattern> = {};
  const patterns: BundlePattern[] = [];
  for (const pattern of draft.patterns) {
    if (!pattern.graphs.encode) {
      patterns.push(pattern);
      continue;
    }
    const { encode, report: quantized } = await quantizePattern(pattern, calibration, options);
    patterns.push(encode ? { ...pattern, graphs: { ...pattern.graphs, encode } } : pattern);
    report[pattern.name] = quantized;
  }
  if (!Object.values(report).some(({ layers }) => layers > 0)) throw new QuantizeError(noBytes(report));
  const images = calibration.ranges.labels.length;
  const quantization = { numbers: 'int8', images, ranges: options.ranges ?? 'percentile', patterns: report };
  return { draft: { ...draft, patterns, provenance: { ...draft.provenance, quantization } }, report };
}
