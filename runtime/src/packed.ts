import type { ProfileValue } from './profile.js';

// A profile's values as signed bytes, a quarter of float32. Entries are rounded in groups, each with a scale of its own, so that one large
// entry costs only its neighbours precision.

/** What profiles store: numbers as they are, or signed bytes of what was added to where they start. */
export const storedNumbers = ['float32', 'int8'] as const;
export type StoredNumbers = (typeof storedNumbers)[number];

/** Entries that share a scale. */
const GROUP = 64;
/** The largest byte. */
const MOST = 127;

/** A value, or what is to be added to its start: entry i is `scales[i / 64 | 0] * bytes[i]`. */
export interface PackedValue {
  readonly shape: readonly number[];
  readonly bytes: Int8Array;
  /** One for every 64 entries in order, and one for those that are left. */
  readonly scales: Float32Array;
}

/** What a profile's file calls the scales of a packed value. */
export const scalesName = (name: string): string => `${name}@scale`;

/** How many scales a value of so many entries has. */
export const scaleCount = (entries: number): number => Math.ceil(entries / GROUP);

/** Rounds a value, or its difference from where it starts. */
export function packValue({ shape, data }: ProfileValue, start?: Float32Array): PackedValue {
  const bytes = new Int8Array(data.length);
  const scales = new Float32Array(scaleCount(data.length));
  const away = new Float64Array(GROUP);
  for (let from = 0; from < data.length; from += GROUP) {
    const count = Math.min(GROUP, data.length - from);
    let most = 0;
    for (let i = 0; i < count; i++) {
      const difference = (data[from + i] as number) - (start ? (start[from + i] as number) : 0);
      away[i] = difference;
      const size = Math.abs(difference);
      if (size > most) most = size;
    }
    // As it is stored; of numbers that are too small for a scale of float32 nothing is left.
    const scale = Math.fround(most / MOST);
    scales[from / GROUP] = scale;
    if (scale === 0) continue;
    for (let i = 0; i < count; i++) {
      // Half-way between two, the one above, as Math.round has it.
      const rounded = Math.floor((away[i] as number) / scale + 0.5);
      bytes[from + i] = rounded > MOST ? MOST : rounded < -MOST ? -MOST : rounded;
    }
  }
  return { shape, bytes, scales };
}

/** What a packed value stands for. */
export function unpackValue({ shape, bytes, scales }: PackedValue, start?: Float32Array): ProfileValue {
  const data = new Float32Array(bytes.length);
  for (let from = 0; from < data.length; from += GROUP) {
    const scale = scales[from / GROUP] as number;
    const to = Math.min(from + GROUP, data.length);
    for (let i = from; i < to; i++) data[i] = (start ? (start[i] as number) : 0) + scale * (bytes[i] as number);
  }
  return { shape, data };
}
