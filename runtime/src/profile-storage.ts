import { ProfileError } from './errors.js';
import { FAMILIAR } from './familiar-names.js';
import { areFinite } from './finite.js';
import { MEMORY } from './memory.js';
import { type PackedValue, packValue, type StoredNumbers, unpackValue } from './packed.js';
import type { Pattern } from './pattern.js';
import type { Profile, ProfileStorage, ProfileValue } from './profile.js';

// What a profile's file leaves out, as its bundle has it: values that did not move, and all but a byte of those that are packed.

/** Values without a start that are packed too: the rows of a head, and the mean directions that tell its classes. */
const ROWS: readonly string[] = ['head.weight', FAMILIAR.means];

function isAtStart({ data }: ProfileValue, start: ProfileValue): boolean {
  if (data.length !== start.data.length) return false;
  for (let i = 0; i < data.length; i++) if (data[i] !== start.data[i]) return false;
  return true;
}

/** How adapted values are stored, and what they are then: a profile predicts before it is stored what it does after. */
export function storeValues(
  values: ReadonlyMap<string, ProfileValue>,
  { start }: Pick<Pattern, 'start'>,
  numbers: StoredNumbers = 'float32',
): { readonly values: ReadonlyMap<string, ProfileValue>; readonly storage: ProfileStorage } {
  const unmoved: string[] = [];
  const packed = new Map<string, PackedValue>();
  const kept = new Map(values);
  for (const [name, value] of values) {
    const from = start.get(name);
    if (from && isAtStart(value, from)) unmoved.push(name);
    else if (name === MEMORY.features || (numbers === 'int8' && (from || ROWS.includes(name)))) {
      const bytes = packValue(value, from?.data);
      packed.set(name, bytes);
      kept.set(name, unpackValue(bytes, from?.data));
    }
  }
  return { values: kept, storage: { packed, unmoved } };
}

/** All values of a profile that was read; throws {@link ProfileError} naming one that has no place in the pattern, or is no number. */
export function restoreValues(
  { values, storage: { packed = new Map<string, PackedValue>(), unmoved = [] } }: Profile,
  { start }: Pick<Pattern, 'start'>,
): ReadonlyMap<string, ProfileValue> {
  const restored = new Map(values);
  for (const name of unmoved) {
    const from = start.get(name);
    if (!from || restored.has(name) || packed.has(name)) {
      throw new ProfileError(`profile: "${name}": expected no values that did not move but the pattern's, each once`);
    }
    restored.set(name, from);
  }
  for (const [name, bytes] of packed) {
    const from = start.get(name);
    if (from && from.data.length !== bytes.bytes.length) {
      throw new ProfileError(`profile: "${name}": expected shape [${from.shape}], got [${bytes.shape}]`);
    }
    const value = unpackValue(bytes, from?.data);
    if (!areFinite(value.data)) throw new ProfileError(`profile: "${name}": expected finite values`);
    restored.set(name, value);
  }
  return restored;
}
