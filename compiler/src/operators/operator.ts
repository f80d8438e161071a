import type { GraphBuilder } from '../builder.js';
import type { Value } from '../graph.js';
import type { DType, Shape, Tensor } from '../tensor.js';
import type { OperatorAttributes, OperatorName } from './attributes.js';

export interface ValueType {
  readonly dtype: DType;
  readonly shape: Shape;
}

export type Inputs = readonly (Value | undefined)[];

/**
 * The vector-Jacobian product: given the cotangent of the output, a thunk per input that builds the cotangent of that
 * input, or `null` for an input that has none. A rule need not undo broadcasting; the reverse walk does. A rule is
 * built from the same table, so gradients of gradients need no further code.
 */
export type Vjp<K extends OperatorName> = (context: {
  readonly g: GraphBuilder;
  readonly inputs: Inputs;
  readonly output: Value;
  readonly cotangent: Value;
  readonly attributes: OperatorAttributes[K];
}) => readonly ((() => Value) | null)[];

export interface Operator<K extends OperatorName> {
  /** Type of the output; throws an Error with the reason where the inputs do not fit. */
  readonly infer: (inputs: Inputs, attributes: OperatorAttributes[K]) => ValueType;
  /** The gradient rule, or the word that says that there is none. */
  readonly vjp: Vjp<K> | 'none';
  /** The value, in float64. */
  readonly evaluate: (inputs: readonly (Tensor | undefined)[], attributes: OperatorAttributes[K]) => Tensor;
}

/** The input at `position`; throws where it is absent. */
export function required<T>(inputs: readonly (T | undefined)[], position: number): T {
  const input = inputs[position];
  if (input === undefined) throw new Error(`input ${position} is missing`);
  return input;
}

export function expectRank(value: Value, rank: number, what: string): void {
  if (value.shape.length !== rank) {
    throw new Error(`expected ${what} of rank ${rank}, got rank ${value.shape.length}`);
  }
}

/** Throws for an attribute value that the type does not allow: graphs that are read from files may hold any. */
export function expectOneOf(value: string | undefined, allowed: readonly string[], attribute: string): void {
  if (value !== undefined && !allowed.includes(value)) {
    throw new Error(`${attribute} "${value}" is not supported (supported: ${allowed.join(', ')})`);
  }
}
