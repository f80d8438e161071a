import type { Value } from '../../graph.js';
import type { Tensor } from '../../tensor.js';
import { makeTensor, normalizeAxis, stridesOf } from '../../tensor.js';
import type { NodeContext, Reading } from './node-context.js';
import { QUANTIZED } from './node-context.js';

/** What a quantized type can hold, by TensorProto.DataType. */
const ranges: { readonly [dataType: number]: readonly [min: number, max: number] } = {
  2: [0, 255],
  3: [-128, 127],
  4: [0, 65535],
  5: [-32768, 32767],
  6: [-2147483648, 2147483647],
};
const UINT8 = 2;

/** An activation between its QuantizeLinear and its DequantizeLinear. */
interface Quantized {
  readonly x: Value;
  readonly scale: number;
  readonly zeroPoint: number;
  readonly range: readonly [min: number, max: number];
  /** What the first DequantizeLinear made of it: others make the same. */
  dequantized?: Value;
}

function constantInput(c: NodeContext, position: number, what: string): Tensor | undefined {
  const value = c.optional(position);
  if (!value) return undefined;
  return value.constant ?? c.refuse(`expected ${what} to be constant, got "${value.name}"`);
}

/** Scale and zero point of each entry of a tensor: one of all, or one for each place on an axis. */
function parametersOf(c: NodeContext, shape: readonly number[]) {
  const scale = constantInput(c, 1, 'the scale') ?? c.refuse('has no scale');
  const zeroPoint = constantInput(c, 2, 'the zero point');
  if (c.int('block_size', 0) !== 0) c.refuse('quantizes by blocks, which is not supported');
  const given = c.int('axis', 1);
  const count = scale.data.length;
  if (zeroPoint && zeroPoint.data.length !== count) {
    c.refuse(`expected as many zero points as scales, ${count}, got ${zeroPoint.data.length}`);
  }
  const one = count === 1;
  const axis = one ? 0 : normalizeAxis(given, shape.length);
  if (!one && (scale.shape.length !== 1 || count !== shape[axis])) {
    c.refuse(`has ${count} scales for axis ${axis} of [${shape.join(', ')}]`);
  }
  const stride = stridesOf(shape)[axis] ?? 1;
  const place = (entry: number) => (one ? 0 : Math.floor(entry / stride) % count);
  return {
    scaleAt: (entry: number) => Math.fround(scale.data[place(entry)] as number),
    zeroAt: (entry: number) => zeroPoint?.data[place(entry)] ?? 0,
  };
}

/** The single scale and zero point of an activation. */
function activationParameters(c: NodeContext): { scale: number; zeroPoint: number } {
  const scale = constantInput(c, 1, 'the scale') ?? c.refuse('has no scale');
  const zeroPoint = constantInput(c, 2, 'the zero point');
  c.ignore('axis', 'block_size', 'saturate');
  if (scale.data.length !== 1) c.refuse('quantizes an activation with one scale a channel, which is not supported');
  return { scale: Math.fround(scale.data[0] as number), zeroPoint: zeroPoint?.data[0] ?? 0 };
}

function roundHalfToEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  if (rest !== 0.5) return rest < 0.5 ? floor : floor + 1;
  return floor % 2 === 0 ? floor : floor + 1;
}

/** The quantized type: the zero point's, what `output_dtype` says, or unsigned bytes. */
function rangeOf(c: NodeContext): readonly [number, number] {
  const slot = c.slots[2];
  const said = c.int('output_dtype', 0) || UINT8;
  const dataType = slot ? slot.dataType : said;
  const range = dataType === undefined ? undefined : ranges[dataType];
  return range ?? c.refuse('quantizes to a type that is not known to be an integer of 8 or 16 bits');
}

/**
 * Constants are quantized and dequantized as a runtime does it, in single precision. Activations are, if they may pass
 * straight through: `DequantizeLinear(QuantizeLinear(x))` becomes the clipping it does, without the rounding, because
 * quantizers drop a Relu where the range says the same.
 */
export function quantization(straightThrough: boolean) {
  const between = new WeakMap<Value, Quantized>();
  /** Constants by what they are made of, so that a weight that several nodes read stays one. */
  const constants = new Map<string, Value>();

  function quantize(c: NodeContext): Value {
    const x = c.input(0);
    const { constant } = x;
    if (!constant && !straightThrough) c.refuse('quantizes an activation, which is not read for its value');
    const range = rangeOf(c);
    const [min, max] = range;
    c.ignore('saturate', 'precision');
    if (constant) {
      const { scaleAt, zeroAt } = parametersOf(c, constant.shape);
      const data = Float64Array.from(constant.data, (value, entry) => {
        const steps = roundHalfToEven(Math.fround(Math.fround(value) / scaleAt(entry)));
        return Math.min(max, Math.max(min, steps + zeroAt(entry)));
      });
      return c.g.constant(makeTensor(constant.shape, data, 'int64'), c.node.outputs[0]);
    }
    const placeholder = c.g.input(c.node.outputs[0] ?? c.node.name, x.shape, QUANTIZED);
    between.set(placeholder, { x, range, ...activationParameters(c) });
    return placeholder;
  }

  function dequantize(c: NodeContext): Value {
    const quantized = c.input(0);
    const { constant } = quantized;
    if (constant) {
      const { scaleAt, zeroAt } = parametersOf(c, constant.shape);
      c.ignore('output_dtype');
      const key = JSON.stringify([...c.slots.map((slot) => slot?.name), c.int('axis', 1)]);
      const known = constants.get(key);
      if (known) return known;
      const data = Float32Array.from(constant.data, (value, entry) => (value - zeroAt(entry)) * scaleAt(entry));
      const value = c.g.constant(makeTensor(constant.shape, data), c.node.outputs[0]);
      constants.set(key, value);
      return value;
    }
    const source = between.get(quantized) ?? c.refuse(`"${quantized.name}" is not made by QuantizeLinear`);
    const { scale, zeroPoint } = activationParameters(c);
    c.ignore('output_dtype');
    if (scale !== source.scale || zeroPoint !== source.zeroPoint) {
      c.refuse('dequantizes with another scale or zero point than its input was quantized with');
    }
    const [low, high] = source.range.map((end) => c.scalar(Math.fround((end - zeroPoint) * scale), `${end}`));
    source.dequantized ??= c.emit('Clip', [source.x, low, high], {});
    return source.dequantized;
  }

  return {
    QuantizeLinear: { needs: ['Clip'], read: quantize },
    DequantizeLinear: { needs: ['Clip'], read: dequantize },
  } satisfies Record<string, Reading>;
}
