import type { Value } from '../../graph.js';
import type { Dim } from '../../tensor.js';
import { formatShape, makeTensor } from '../../tensor.js';
import type { NodeContext, Reading } from './node-context.js';

const transformations = ['half_pixel', 'asymmetric', 'align_corners', 'pytorch_half_pixel'] as const;
const roundings = ['round_prefer_floor', 'round_prefer_ceil', 'floor', 'ceil'] as const;

/** All axes from those that `axes` names (operator set 18); the others keep what they are. */
function everyAxis<T extends Dim | undefined>(
  c: NodeContext,
  x: Value,
  list: T[],
  otherwise: (axis: number) => T,
): T[] {
  const axes = c.ints('axes');
  if (!axes)
    return list.length === x.shape.length
      ? list
      : c.refuse(`expected ${x.shape.length} sizes or scales, one an axis, got ${list.length}`);
  const named = c.axes(axes, x.shape.length);
  return x.shape.map((_, axis) => (named.includes(axis) ? (list[named.indexOf(axis)] as T) : otherwise(axis)));
}

function expectFloats(c: NodeContext, { dtype }: Value): void {
  if (dtype !== 'float32') c.refuse(`expected images of dtype float32, got ${dtype}`);
}

function scaled(c: NodeContext, x: Value, scales: readonly number[], attributes: object): Value {
  if (scales.every((scale) => scale === 1)) return x;
  expectFloats(c, x);
  const constant = c.g.constant(makeTensor([scales.length], scales), `${c.node.outputs[0]}/scales`);
  return c.emit('Resize', [x, undefined, constant], attributes);
}

/** Operator sets 11 and on: x, roi, scales, sizes. Sizes are kept where all are numbers, else they become scales. */
function resize(c: NodeContext): Value {
  if (c.opset < 11) return upsample(c, c.numbers(1, 'scales'));
  const x = c.input(0);
  const mode = c.word('mode', ['nearest', 'linear']);
  const attributes = {
    mode,
    coordinate_transformation_mode: c.word('coordinate_transformation_mode', transformations),
    nearest_mode: c.word('nearest_mode', roundings),
  };
  c.ignore('cubic_coeff_a', 'exclude_outside', 'extrapolation_value');
  c.word('keep_aspect_ratio_policy', ['stretch']);
  if (c.flag('antialias', 0)) c.refuse('antialias is not supported');
  const scales = c.numbers(2, 'scales');
  if (scales?.length) {
    return scaled(
      c,
      x,
      everyAxis(c, x, scales, () => 1),
      attributes,
    );
  }
  const given = c.dims(3, 'sizes') ?? c.refuse('has neither scales nor sizes');
  const sizes = everyAxis<Dim | undefined>(c, x, given, (axis) => x.shape[axis]);
  if (sizes.every((size) => typeof size === 'number')) {
    if (sizes.every((size, axis) => size === x.shape[axis])) return x;
    expectFloats(c, x);
    return c.emit('Resize', [x, undefined, undefined, c.integers(sizes, 'sizes')], attributes);
  }
  const ratios = sizes.map((size, axis) => {
    const from = x.shape[axis];
    if (size === from) return 1;
    if (typeof size !== 'number' || typeof from !== 'number')
      return c.refuse(
        `expected sizes that are known, got [${sizes.map((each) => each ?? '?').join(', ')}] for ${formatShape(x.shape)}`,
      );
    return size / from;
  });
  return scaled(c, x, ratios, attributes);
}

/** Before operator set 11: the position of an output in the input is its own divided by the scale, rounded down. */
function upsample(c: NodeContext, scales: readonly number[] | undefined): Value {
  const attributes = {
    mode: c.word('mode', ['nearest', 'linear']),
    coordinate_transformation_mode: 'asymmetric',
    nearest_mode: 'floor',
  };
  return scaled(c, c.input(0), scales ?? c.refuse('has no scales'), attributes);
}

export const resizing = {
  Resize: { read: resize },
  Upsample: { needs: ['Resize'], read: (c) => upsample(c, c.floats('scales') ?? c.numbers(1, 'scales')) },
} satisfies Record<string, Reading>;
