import type { OnnxTensor } from '@whet/compiler';
import { CompileError } from './compile-error.js';
import type { ModelParameter } from './model-parameters.js';

const FLOAT = 1;

/** Where in a tensor an entry stands, e.g. `[0, 3]`. */
function placeOf(index: number, shape: readonly number[]): string {
  let rest = index;
  const place = shape.toReversed().map((size) => {
    const at = rest % size;
    rest = Math.floor(rest / size);
    return at;
  });
  return `[${place.toReversed().join(', ')}]`;
}

/** Throws {@link CompileError} where a weight is not a finite number; `masks` hold -Infinity on purpose. */
export function expectFinite(name: string, data: ArrayLike<number>, shape: readonly number[], mask = false): void {
  for (let i = 0; i < data.length; i++) {
    const value = data[i] as number;
    if (Number.isFinite(value) || (mask && !Number.isNaN(value))) continue;
    throw new CompileError(`weight "${name}": expected finite numbers, got ${value} at ${placeOf(i, shape)}`);
  }
}

/** {@link expectFinite} of all parameters; of those that stay as they are, what the file itself holds as float32. */
export function expectFiniteParameters(
  parameters: readonly ModelParameter[],
  initializers: readonly OnnxTensor[],
): void {
  const stored = new Map(initializers.map((tensor) => [tensor.name, tensor]));
  for (const { tensor, value, shape, op, bias } of parameters) {
    // What is added to more than one axis may be the mask of an attention.
    const mask = op === 'Add' && !bias;
    const held = stored.get(tensor);
    if (value.constant) expectFinite(tensor, value.constant.data, shape, mask);
    else if (held?.dataType === FLOAT && held.rawData) {
      expectFinite(tensor, new Float32Array(Uint8Array.from(held.rawData).buffer), shape, mask);
    }
  }
}
