/**
 * Where the first value stands that is no number, or infinite; -1 where all are finite. All are looked at by a product with 0, which is no
 * number for those alone: a question for each of a million takes three times as long.
 */
export function findNotFinite(values: Float32Array): number {
  let none = 0;
  for (let i = 0; i < values.length; i++) none += 0 * (values[i] as number);
  return none === 0 ? -1 : values.findIndex((value) => !Number.isFinite(value));
}

export const areFinite = (values: Float32Array): boolean => findNotFinite(values) < 0;
