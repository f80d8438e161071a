/**
 * Where the first value stands that is no number, or infinite; -1 where all are finite. A loop, as a call for each of some 100,000 values
 * takes milliseconds.
 */
export function findNotFinite(values: Float32Array): number {
  for (let i = 0; i < values.length; i++) if (!Number.isFinite(values[i])) return i;
  return -1;
}

export const areFinite = (values: Float32Array): boolean => findNotFinite(values) < 0;
