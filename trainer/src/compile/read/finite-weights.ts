import { CompileError } from './compile-error.js';
import type { ModelParameter } from './model-parameters.js';

/** Where in a tensor an entry stands, e.g. ` at [0, 3]`; nothing of a scalar. */
export function entryPlace(index: number, shape: readonly number[]): string {
  let rest = index;
  const place = shape.toReversed().map((size) => {
    const at = rest % size;
    rest = Math.floor(rest / size);
    return at;
  });
  return place.length === 0 ? '' : ` at [${place.toReversed().join(', ')}]`;
}

/** Throws {@link CompileError} where a weight is not a finite number; `masks` hold -Infinity on purpose. */
export function expectFinite(name: string, data: ArrayLike<number>, shape: readonly number[], mask = false): void {
  for (let i = 0; i < data.length; i++) {
    const value = data[i] as number;
    if (Number.isFinite(value) || (mask && !Number.isNaN(value))) continue;
    throw new CompileError(`weight "${name}": expected finite numbers, got ${value}${entryPlace(i, shape)}`);
  }
}

/** {@link expectFinite} of the parameters that can move; returns what the file calls these. */
export function expectFiniteParameters(parameters: readonly ModelParameter[]): Set<string> {
  const movable = parameters.filter(({ value }) => value.constant);
  for (const { tensor, value, shape, op, bias } of movable) {
    // What is added to more than one axis may be the mask of an attention.
    expectFinite(tensor, value.constant?.data ?? [], shape, op === 'Add' && !bias);
  }
  return new Set(movable.map(({ tensor }) => tensor));
}
