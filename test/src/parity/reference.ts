import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Tensor } from '@whet/compiler';

/** A tensor as the reference files hold it: base64, little endian. */
export interface EncodedTensor {
  readonly dtype: 'float64' | 'int64';
  readonly shape: readonly number[];
  readonly data: string;
}

/** Folders with reference cases: the repository's own and, if set, those of WHET_REFERENCE_DIR (separated as PATH is). */
export function referenceFiles(prefix: string): string[] {
  const own = fileURLToPath(new URL('../../reference', import.meta.url));
  const further = (process.env['WHET_REFERENCE_DIR'] ?? '').split(delimiter).filter(Boolean);
  const found: string[] = [];
  for (const folder of [own, ...further]) {
    if (!existsSync(folder)) throw new Error(`WHET_REFERENCE_DIR names the folder "${folder}", which does not exist`);
    for (const file of readdirSync(folder)) {
      if (file.startsWith(prefix) && file.endsWith('.json')) found.push(join(folder, file));
    }
  }
  return found;
}

export function readReference<T>(path: string): T {
  return JSON.parse(readFileSync(path, 'utf8')) as T;
}

export function decodeReference(encoded: EncodedTensor): Tensor & { data: Float64Array } {
  const bytes = Uint8Array.from(Buffer.from(encoded.data, 'base64'));
  const data =
    encoded.dtype === 'float64'
      ? new Float64Array(bytes.buffer)
      : Float64Array.from(new BigInt64Array(bytes.buffer), Number);
  return { dtype: encoded.dtype === 'float64' ? 'float32' : 'int64', shape: encoded.shape, data };
}

/** The largest difference, relative to the largest expected magnitude (at least `floor`). */
export function relativeError(actual: ArrayLike<number>, expected: ArrayLike<number>, floor = 1e-6): number {
  if (actual.length !== expected.length) return Number.POSITIVE_INFINITY;
  let scale = floor;
  let error = 0;
  for (let i = 0; i < expected.length; i++) {
    const difference = Math.abs((actual[i] as number) - (expected[i] as number));
    if (Number.isNaN(difference)) return Number.POSITIVE_INFINITY;
    scale = Math.max(scale, Math.abs(expected[i] as number));
    error = Math.max(error, difference);
  }
  return error / scale;
}
