import type * as tfjs from '@tensorflow/tfjs-core';
import type { OperatorAttributes, OperatorName } from '@whet/compiler';

/** The module, handed in: TensorFlow.js is an optional peer and there may be more than one way to load it. */
export type Tf = typeof tfjs;
export type TfTensor = tfjs.Tensor;

/** One application of an operator. */
export interface Call {
  readonly tf: Tf;
  /** Operands on the device, by position; absent where an input is absent or read on the host. */
  readonly inputs: readonly (TfTensor | undefined)[];
  /** The numbers of an input that is read on the host, such as axes; undefined where it is absent. */
  readonly numbers: (position: number) => readonly number[] | undefined;
}

/** How TensorFlow.js computes an operator. */
export interface TfRule<Attributes> {
  /** Positions of the inputs that are read on the host: axes, shapes, pads. */
  readonly host?: readonly number[];
  /** A new tensor, also where it holds the same values as an input. */
  readonly run: (call: Call, attributes: Attributes) => TfTensor;
}

export type RuleOf<K extends OperatorName> = TfRule<OperatorAttributes[K]>;

export function operand({ inputs }: Call, position: number): TfTensor {
  const tensor = inputs[position];
  if (!tensor) throw new Error(`input ${position} is absent`);
  return tensor;
}

/** `shape` as TensorFlow.js types it: by its length, which is known only when the graph runs. */
export const reshapeTo = (tf: Tf, x: TfTensor, shape: readonly number[]): TfTensor => tf.reshape(x, shape as number[]);

export const sliceOf = (tf: Tf, x: TfTensor, begin: readonly number[], size: readonly number[]): TfTensor =>
  tf.slice(x, begin as number[], size as number[]);

/**
 * As float32. Multiplied by one: a cast alone leaves the WebGPU backend's buffer as whole numbers under another name,
 * which not all of its shaders expect.
 */
export const toFloat = (tf: Tf, x: TfTensor): TfTensor =>
  x.dtype === 'float32' ? x : tf.mul(tf.cast(x, 'float32'), 1);

/** By way of numbers for bool, whose axes the WebGPU backend cannot move. */
export function transpose(tf: Tf, x: TfTensor, perm: readonly number[]): TfTensor {
  if (x.dtype !== 'bool') return tf.transpose(x, perm as number[]);
  return tf.cast(tf.transpose(toFloat(tf, x), perm as number[]), 'bool');
}

/** Pads every axis by `[begin, end]`. */
export function padAxes(tf: Tf, x: TfTensor, pads: readonly (readonly [number, number])[], value = 0): TfTensor {
  return tf.pad(x, pads as [number, number][], value);
}

/**
 * Broadcasts to `shape`. By adding zeros: TensorFlow.js broadcasts by tiling, which the WebGPU backend does not do
 * from rank 5 on.
 */
export function expand(tf: Tf, x: TfTensor, shape: readonly number[]): TfTensor {
  if (x.shape.join() === shape.join()) return x;
  const zeros = tf.zeros(shape as number[], x.dtype === 'int32' ? 'int32' : 'float32');
  if (x.dtype !== 'bool') return tf.add(x, zeros);
  return tf.cast(tf.add(tf.cast(x, 'float32'), zeros), 'bool');
}

/** Every `steps`-th element from `begin`, `size` of them along each axis; steps are 1 or more. */
export function stridedSlice(
  tf: Tf,
  x: TfTensor,
  begin: readonly number[],
  size: readonly number[],
  steps: readonly number[],
): TfTensor {
  if (steps.every((step) => step === 1)) return sliceOf(tf, x, begin, size);
  const end = begin.map((from, axis) => from + ((size[axis] as number) - 1) * (steps[axis] as number) + 1);
  return tf.stridedSlice(x, begin as number[], end, steps as number[]);
}
