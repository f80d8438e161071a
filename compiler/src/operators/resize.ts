import type { Dim, Shape } from '../tensor.js';
import type { AxisMap } from './along-axis.js';
import { evaluateMaps, transposeMaps } from './along-axis.js';
import type { ResizeAttributes } from './attributes.js';
import { knownDim, multiplyDims } from './dims.js';
import { constantNumbers, dimsInput } from './integers.js';
import type { Operator } from './operator.js';
import { expectOneOf, required } from './operator.js';

/** The input coordinate of an output coordinate, by ONNX's names of the ways to place pixels. */
function sourceCoordinate(at: number, scale: number, inputs: number, outputs: number, a: ResizeAttributes): number {
  switch (a.coordinate_transformation_mode ?? 'half_pixel') {
    case 'asymmetric':
      return at / scale;
    case 'align_corners':
      return outputs === 1 ? 0 : (at * (inputs - 1)) / (outputs - 1);
    case 'pytorch_half_pixel':
      return outputs === 1 ? 0 : (at + 0.5) / scale - 0.5;
    case 'half_pixel':
      return (at + 0.5) / scale - 0.5;
  }
}

const placements = ['half_pixel', 'asymmetric', 'align_corners', 'pytorch_half_pixel'];

const nearest = {
  round_prefer_floor: (x: number) => Math.ceil(x - 0.5),
  round_prefer_ceil: (x: number) => Math.floor(x + 0.5),
  floor: Math.floor,
  ceil: Math.ceil,
};

function axisMap(axis: number, inputs: number, outputs: number, scale: number, a: ResizeAttributes): AxisMap {
  const inside = (at: number) => Math.min(Math.max(at, 0), inputs - 1);
  return {
    axis,
    inputs,
    outputs: Array.from({ length: outputs }, (_, at) => {
      const x = sourceCoordinate(at, scale, inputs, outputs, a);
      if ((a.mode ?? 'nearest') === 'nearest') {
        return [[inside(nearest[a.nearest_mode ?? 'round_prefer_floor'](x)), 1] as const];
      }
      const low = Math.floor(inside(x));
      const part = inside(x) - low;
      return part === 0 ? [[low, 1] as const] : ([[low, 1 - part] as const, [low + 1, part] as const] as const);
    }),
  };
}

/** The output shape, and a map along each axis that changes. */
function resized(
  shape: Shape,
  scales: readonly number[] | undefined,
  sizes: readonly Dim[] | undefined,
  a: ResizeAttributes,
): { shape: Dim[]; maps: () => AxisMap[] } {
  const given = scales ?? sizes;
  if (!given) throw new Error('expected scales or sizes, got neither');
  if (given.length !== shape.length)
    throw new Error(`expected ${shape.length} scales or sizes, one an axis, got ${given.length}`);
  const out = shape.map((dim, axis): Dim => {
    if (sizes) return sizes[axis] as Dim;
    const scale = scales?.[axis] as number;
    if (typeof dim === 'number') {
      if (a.coordinate_transformation_mode === 'align_corners' && !Number.isInteger(dim * scale)) {
        // ONNX's reference aligns corners of the broken size, its runtimes those of the whole one.
        throw new Error(`align_corners with a scale of ${scale}, which makes ${dim} a size that is not whole`);
      }
      return Math.floor(dim * scale);
    }
    if (!Number.isInteger(scale)) throw new Error(`cannot scale the symbol ${dim} by ${scale}`);
    return multiplyDims([scale, dim]);
  });
  const maps = () =>
    shape.flatMap((dim, axis) => {
      const scale = scales?.[axis];
      if (dim === out[axis] && (scale === undefined || scale === 1)) return [];
      const inputs = knownDim(dim, 'the size of an axis that is resized');
      const outputs = knownDim(out[axis], 'the size of an axis that is resized');
      return [axisMap(axis, inputs, outputs, scale ?? outputs / inputs, a)];
    });
  return { shape: out, maps };
}

/** An empty tensor stands for an input that is absent. */
const present = <T extends { shape: Shape }>(input: T | undefined) => (input?.shape[0] === 0 ? undefined : input);

function resizeOf(inputs: Parameters<Operator<'Resize'>['infer']>[0], a: ResizeAttributes) {
  const scales = present(inputs[2]) && constantNumbers(inputs, 2, 'scales');
  const sizes = present(inputs[3]) && dimsInput(inputs, 3, 'sizes');
  return resized(required(inputs, 0).shape, scales, sizes, a);
}

/** How often each pixel of an image batch is repeated downward and across, where that is all that is done. */
function repeatsOf(inputs: Parameters<Operator<'Resize'>['infer']>[0], a: ResizeAttributes) {
  const scales = present(inputs[2]) && constantNumbers(inputs, 2, 'scales');
  const [n, c, down, across] = scales ?? [];
  if (scales?.length !== 4 || n !== 1 || c !== 1 || !scales.every(Number.isInteger)) return undefined;
  const floors = a.coordinate_transformation_mode === 'asymmetric' && a.nearest_mode === 'floor';
  return floors && (a.mode ?? 'nearest') === 'nearest' ? ([down as number, across as number] as const) : undefined;
}

/**
 * Nearest or linear interpolation along each axis: inputs x, a region (not used), scales or sizes. Linear in x, so the
 * gradient is the transposed interpolation.
 */
export const Resize: Operator<'Resize'> = {
  infer: (inputs, a) => {
    expectOneOf(a.mode, ['nearest', 'linear'], 'mode');
    expectOneOf(a.coordinate_transformation_mode, placements, 'coordinate_transformation_mode');
    expectOneOf(a.nearest_mode, Object.keys(nearest), 'nearest_mode');
    return { dtype: required(inputs, 0).dtype, shape: resizeOf(inputs, a).shape };
  },
  // dx = M^T c along each resized axis, M the matrix of weights
  vjp: ({ g, inputs, cotangent, attributes }) => [
    () => {
      const repeats = repeatsOf(inputs, attributes);
      if (!repeats) return transposeMaps(g, cotangent, resizeOf(inputs, attributes).maps());
      // Every value was repeated over a block: the sum of the block, which is its mean times its size.
      const window = { kernel_shape: repeats, strides: repeats, pads: [0, 0, 0, 0] as const };
      const mean = g.apply('AveragePool', [cotangent], window);
      return g.apply('Mul', [mean, g.scalar(repeats[0] * repeats[1], cotangent.dtype)], {});
    },
    null,
    null,
    null,
  ],
  evaluate: (inputs, a) => {
    const x = required(inputs, 0);
    const [scales, sizes] = [inputs[2], inputs[3]].map((list) => {
      const given = present(list);
      return given && Array.from(given.data);
    });
    return evaluateMaps(x, resized(x.shape, scales, sizes, a).maps());
  },
};
