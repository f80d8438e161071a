import type { Value } from '../graph.js';
import type { Dim } from '../tensor.js';
import { isFloat, normalizeAxis } from '../tensor.js';
import { addDims, multiplyDims } from './dims.js';
import type { Inputs } from './operator.js';
import { required } from './operator.js';

/** Joins two lists of dimensions, of which one may be a scalar. */
function zip(inputs: readonly (readonly Dim[] | undefined)[], join: (a: Dim, b: Dim) => Dim | undefined) {
  const [a, b] = inputs;
  if (!a || !b) return undefined;
  const length = Math.max(a.length, b.length);
  const joined = Array.from({ length }, (_, i) =>
    join(a[a.length === 1 ? 0 : i] as Dim, b[b.length === 1 ? 0 : i] as Dim),
  );
  return joined.every((dim) => dim !== undefined) ? joined : undefined;
}

const isWhole = (dim: Dim) => typeof dim === 'string' || (Number.isInteger(dim) && dim >= 0);

const quotient = (a: Dim, b: Dim) => (typeof a === 'number' && typeof b === 'number' ? Math.trunc(a / b) : undefined);

/**
 * The elements of an integer scalar or vector that exported graphs compute from shapes, as dimensions: numbers where
 * they are known, symbols elsewhere. `undefined` where they depend on more than shapes.
 */
function symbolicIntegers(value: Value): readonly Dim[] | undefined {
  if (isFloat(value.dtype)) return undefined;
  if (value.constant) return value.shape.length <= 1 ? Array.from(value.constant.data) : undefined;
  const node = value.producer;
  if (!node || value.shape.length > 1) return undefined;
  const input = (position: number): readonly Dim[] | undefined => {
    const operand = node.inputs[position];
    return operand && symbolicIntegers(operand);
  };
  switch (node.op) {
    case 'Shape': {
      const { start, end } = node.attributes as { start?: number; end?: number };
      return required(node.inputs, 0).shape.slice(start, end);
    }
    case 'Size':
      return [multiplyDims(required(node.inputs, 0).shape)];
    case 'Identity':
    case 'Cast':
    case 'Squeeze':
    case 'Unsqueeze':
    case 'Reshape':
      return input(0);
    case 'Concat': {
      const parts = node.inputs.map((_, position) => input(position));
      return parts.every((part) => part !== undefined) ? parts.flat() : undefined;
    }
    case 'Gather': {
      const [list, indices] = [input(0), input(1)];
      return indices?.every((index) => typeof index === 'number')
        ? list && indices.map((index) => list[normalizeAxis(index, list.length)] as Dim)
        : undefined;
    }
    case 'Slice': {
      const [list, starts, ends, , steps] = [0, 1, 2, 3, 4].map(input);
      const [start, end] = [starts?.[0], ends?.[0]];
      if (!list || typeof start !== 'number' || typeof end !== 'number' || (node.inputs[4] && steps?.[0] !== 1)) {
        return undefined;
      }
      return list.slice(start, end);
    }
    case 'Add':
      return zip([input(0), input(1)], (a, b) => addDims([a, b]));
    case 'Sub':
      return zip([input(0), input(1)], (a, b) => (a === b ? 0 : typeof b === 'number' ? addDims([a, -b]) : undefined));
    case 'Mul':
      return zip([input(0), input(1)], (a, b) => (isWhole(a) && isWhole(b) ? multiplyDims([a, b]) : undefined));
    case 'Div':
      return zip([input(0), input(1)], (a, b) => (b === 1 ? a : b === 0 ? undefined : quotient(a, b)));
    default:
      return undefined;
  }
}

/** The elements of an input that names dimensions: a constant, or computed from shapes. */
export function dimsInput(inputs: Inputs, position: number, what: string): readonly Dim[] {
  const value = required(inputs, position);
  const found = symbolicIntegers(value);
  if (!found) throw new Error(`expected ${what} to be a constant, got the computed value "${value.name}"`);
  return found;
}

/** The integers of an input that is a constant, or computed from known dimensions. */
export function constantIntegers(inputs: Inputs, position: number, what: string): number[] {
  return dimsInput(inputs, position, what).map((dim) => {
    if (typeof dim !== 'number') throw new Error(`expected ${what} to be known, got the symbol ${dim}`);
    return dim;
  });
}

/** The numbers of a constant input of any dtype; throws where the input is not a constant. */
export function constantNumbers(inputs: Inputs, position: number, what: string): number[] {
  const { constant, name } = required(inputs, position);
  if (!constant) throw new Error(`expected ${what} to be a constant, got the computed value "${name}"`);
  return Array.from(constant.data);
}
