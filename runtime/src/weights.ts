import { BundleError } from './errors.js';
import { splitPath } from './file-name.js';
import type { PatternManifest } from './manifest.js';
import type { ProfileValue } from './profile.js';
import { readPlaces, type TensorPlace, tensorAt } from './safetensors.js';

type ValuePlace = PatternManifest['values'][string];

/** The file that holds every weight of a bundle once. */
export class Weights {
  readonly #places: ReadonlyMap<string, TensorPlace>;

  /** Throws {@link BundleError} where `bytes` are no safetensors file. */
  constructor(
    /** Of the file, for messages. */
    readonly location: string,
    /** Path in the bundle. */
    private readonly path: string,
    private readonly bytes: Uint8Array,
  ) {
    try {
      this.#places = readPlaces(bytes).places;
    } catch (cause) {
      throw new BundleError(`${location}: ${(cause as Error).message}`, { cause });
    }
  }

  /** The file, by the name that graphs give it: it stands beside them, in their folder. */
  get external(): ReadonlyMap<string, Uint8Array> {
    return new Map([[splitPath(this.path)[1], this.bytes]]);
  }

  /** A value where it starts. Throws {@link BundleError} where the file has no such tensor, or the mask does not fit it. */
  value({ tensor, mask, rows }: ValuePlace): ProfileValue {
    const { shape, data } = this.#read(tensor, 'F32');
    if (rows !== undefined) return this.#rows(rows, { shape, data: data as Float32Array });
    if (mask === undefined) return { shape, data: data as Float32Array };
    const open = this.#read(mask, 'U8').data;
    if (open.length > data.length) {
      throw new BundleError(`${this.location}: "${mask}": expected at most ${data.length} entries, got ${open.length}`);
    }
    const kept = new Float32Array(open.length);
    let count = 0;
    for (let i = 0; i < open.length; i++) if (open[i]) kept[count++] = data[i] as number;
    return { shape: [count], data: kept.slice(0, count) };
  }

  /** The entries of some rows of a tensor. */
  #rows(name: string, { shape, data }: ProfileValue): ProfileValue {
    const open = this.#read(name, 'U8').data;
    if (open.length !== shape[0]) {
      throw new BundleError(`${this.location}: "${name}": expected ${shape[0] ?? 0} rows, got ${open.length}`);
    }
    const length = data.length / open.length;
    const numbers = Array.from(open.keys()).filter((row) => open[row]);
    const kept = new Float32Array(numbers.length * length);
    for (const [at, row] of numbers.entries()) kept.set(data.subarray(row * length, (row + 1) * length), at * length);
    return { shape: [kept.length], data: kept };
  }

  #read(name: string, dtype: 'F32' | 'U8') {
    const place = this.#places.get(name);
    if (place?.dtype !== dtype) {
      throw new BundleError(
        `${this.location}: "${name}": expected a tensor of ${dtype}, got ${place?.dtype ?? 'none'}`,
      );
    }
    return tensorAt(this.bytes, place);
  }
}
