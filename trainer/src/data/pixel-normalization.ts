import { DataError } from './dataset.js';

/** What is taken from pixels 0..1, and what the rest is divided by; one number per channel. */
export interface PixelNormalization {
  /** 0 when absent. */
  readonly mean?: readonly number[];
  /** 1 when absent. */
  readonly std?: readonly number[];
}

/** Both, for so many channels. Throws {@link DataError}, its message led by `where`, where their numbers do not fit. */
export function pixelNormalization(
  where: string,
  channels: number,
  given: PixelNormalization,
): { readonly mean: number[]; readonly std: number[] } {
  const perChannel = (name: 'mean' | 'std', fallback: number): number[] => {
    const values = given[name] ?? Array.from({ length: channels }, () => fallback);
    const fits = values.every((value) => Number.isFinite(value) && (name === 'mean' || value > 0));
    if (values.length === channels && fits) return [...values];
    const kind = name === 'mean' ? 'numbers' : 'numbers above 0';
    throw new DataError(`${where}: ${name}: expected ${channels} ${kind}, one per channel, got ${values}`);
  };
  return { mean: perChannel('mean', 0), std: perChannel('std', 1) };
}
