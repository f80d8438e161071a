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
import type { ImageFiles } from '../data/image-files.js';
import { type CalibrationImages, drawCalibration, fewOf, type Images, namesOf } from './calibration.js';
import { type AccuracyLoss, type Loss, openLoss } from './measure-loss.js';
import { type RangeMethod, seenActivations } from './seen-activations.js';

/** How the frozen part of a bundle becomes bytes. */
export interface QuantizeOptions {
  /** Data sets, of which images are encoded to find ranges, and where there are classes, to measure what is lost. */
  readonly images: readonly ImageFiles[];
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

/** The frozen part of one pattern as bytes, and what that took. */
async function quantizePattern(
  pattern: BundlePattern,
  { ranges, measured }: CalibrationImages,
  { ranges: method = 'percentile', budget = BUDGET }: Omit<QuantizeOptions, 'images'>,
): Promise<{ readonly encode: Uint8Array; readonly report: QuantizedPattern }> {
  const { name, graphs } = pattern;
  if (graphs.encodeQuery) {
    throw new QuantizeError(`pattern "${name}": expected normalization of fixed moments, got those of the examples`);
  }
  const float = floatBytes(name, graphs.encode as Graph | Uint8Array);
  const { layers, left, activations } = planQuantization(float);
  const names = layers.map((layer) => layer.name);
  if (names.length === 0) {
    const why = left.map((layer) => `${layer.op} "${layer.name}": ${layer.reason}`).join('; ') || 'it has no products';
    throw new QuantizeError(
      `pattern "${name}": expected layers that can be bytes in the frozen part, got none: ${why}`,
    );
  }
  const seen = await seenActivations(float, activations, ranges, method);
  const quantized = (keep: ReadonlySet<string>) => quantizeOnnx(float, seen, keep);
  const loss = await openLoss(pattern, float, measured ?? ranges, measured !== undefined);
  try {
    let keep = new Set<string>();
    let encode = quantized(keep);
    let lost = await loss.of(encode);
    const order = isOver(lost, budget) ? await byDistance(float, names, quantized, pattern, ranges) : [];
    for (let count = 1; isOver(lost, budget); count *= 2) {
      if (count >= names.length) {
        throw new QuantizeError(
          `pattern "${name}": expected to lose at most ${budget} points, lost ${lost.accuracy && pointsText(lost.accuracy)} with ` +
            `${names.length - keep.size} of ${names.length} layers as bytes`,
        );
      }
      keep = new Set(order.slice(0, count));
      encode = quantized(keep);
      lost = await loss.of(encode);
    }
    return { encode, report: reportOf(names.length - keep.size, [...keep], left, lost) };
  } finally {
    await loss.release();
  }
}

/** Whether surely more is lost than may be: a few images more or less are chance. */
const isOver = ({ accuracy }: Loss, budget: number): boolean =>
  accuracy !== undefined && accuracy.points - accuracy.halfWidth > budget;

const pointsText = ({ points, halfWidth }: AccuracyLoss): string => `${points.toFixed(1)} ± ${halfWidth.toFixed(1)}`;

function reportOf(
  layers: number,
  kept: readonly string[],
  left: readonly { readonly name: string; readonly op: string; readonly reason: string }[],
  { distance, accuracy }: Loss,
): QuantizedPattern {
  return {
    layers,
    float: [
      ...left.map(({ name, reason }) => ({ name, reason })),
      ...kept.map((name) => ({ name, reason: 'it costs most accuracy' })),
    ],
    distance,
    ...(accuracy ? { lost: accuracy } : {}),
  };
}

/**
 * The same bundle whose frozen parts compute with bytes: weights of 8 bits, a quarter of their size, and products that most processors have
 * instructions for. What moves, and all above it, stays in float32.
 *
 * @throws {QuantizeError} naming the pattern whose frozen part cannot be bytes, or loses more than it may; {@link DataError} naming an image.
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
    patterns.push({ ...pattern, graphs: { ...pattern.graphs, encode } });
    report[pattern.name] = quantized;
  }
  if (Object.keys(report).length === 0) {
    throw new QuantizeError('expected a pattern of which something is frozen: all of them move the first layer');
  }
  const images = calibration.ranges.labels.length;
  const quantization = { numbers: 'int8', images, ranges: options.ranges ?? 'percentile', patterns: report };
  return { draft: { ...draft, patterns, provenance: { ...draft.provenance, quantization } }, report };
}
