import { type GraphBuilder, int64s, type Node, type OperatorAttributes, type Value } from '@whet/compiler';
import { CompileError } from './compile-error.js';
import type { Section } from './network-sections.js';

/** What a block makes `[N, C, H, W]`, the mean of which over the image stands beside the features. */
export interface FeatureLevel {
  readonly value: Value;
  /** `C` */
  readonly length: number;
}

/** Axes that the mean of a level is taken over. */
export const LEVEL_AXES: readonly number[] = [2, 3];

/** How values are named that stand in this project's graph only. */
const NAME = 'features/levels';
export const isLevels = (name: string): boolean => name.startsWith(NAME);

/** They make images `[N, C, H, W]`, or take a scale of each channel of such. */
const ofImages = new Set([
  'Conv',
  'ConvTranspose',
  'MaxPool',
  'AveragePool',
  'BatchNormalization',
  'InstanceNormalization',
]);
/** Of them and of what has no places, entry by entry. */
const byEntry = new Set([
  'Add',
  'Sub',
  'Mul',
  'Div',
  'Sum',
  'Relu',
  'Clip',
  'Sigmoid',
  'Tanh',
  'Erf',
  'Max',
  'Min',
  'Pow',
]);

/** Whether the second axis is the channels, as far as what made a value tells: in the graph there are no names of axes. */
function hasChannelsFirst(value: Value, known = new Map<Value, boolean>()): boolean {
  const before = known.get(value);
  if (before !== undefined) return before;
  const { producer, shape } = value;
  const told = (input: Value | undefined) => input?.shape.length === shape.length && hasChannelsFirst(input, known);
  const isFirst =
    producer !== undefined &&
    (ofImages.has(producer.op) ||
      (producer.op === 'Concat' && axisOf(producer) === 1 && producer.inputs.every(told)) ||
      (byEntry.has(producer.op) && producer.inputs.some(told)));
  known.set(value, isFirst);
  return isFirst;
}

const axisOf = ({ attributes }: Node): number => (attributes as OperatorAttributes['Concat']).axis;

/** Images of many channels, of more than one pixel. */
const isImages = (value: Value): boolean => {
  const { dtype, shape } = value;
  const [batch, ...image] = shape;
  return (
    dtype === 'float32' &&
    batch === 'N' &&
    image.length === 3 &&
    image.every((dim) => typeof dim === 'number') &&
    image.slice(1).some((dim) => Number(dim) > 1) &&
    hasChannelsFirst(value)
  );
};

/** Throws {@link CompileError} for what is no number of levels. */
export function checkLevels(count: number): void {
  if (Number.isSafeInteger(count) && count >= 0) return;
  throw new CompileError(`levels: expected a whole number of 0 or more, got ${count}`);
}

/**
 * What the last `count` blocks make that have layers above them, the last first: where nothing with weights stands above a block, features
 * are made of it alone. Blocks that make no images with their channels first are left out.
 */
export function levelsOf(sections: readonly Section[], count: number): FeatureLevel[] {
  const last = sections.findLastIndex(({ parameters }) => parameters.length > 0);
  return sections
    .slice(0, Math.max(last, 0))
    .filter(({ block, output }) => block !== undefined && isImages(output))
    .reverse()
    .slice(0, count)
    .map(({ output }) => ({ value: output, length: output.shape[1] as number }));
}

/** Features `[N, F]` and the means of levels `[N, C, H, W]` side by side. */
export function besideLevels(g: GraphBuilder, features: Value, levels: readonly Value[]): Value {
  if (levels.length === 0) return features;
  const axes = g.constant(int64s(LEVEL_AXES));
  const means = levels.map((level) => g.apply('ReduceMean', [level, axes], { keepdims: 0 }, `${NAME}/mean`));
  return g.apply('Concat', [features, ...means], { axis: 1 }, NAME);
}
