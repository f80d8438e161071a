import { BundleError } from './errors.js';
import { splitPath } from './file-name.js';
import type { PatternManifest } from './manifest.js';
import type { ProfileValue } from './profile.js';
import { readPlaces, type StoredDType, type TensorPlace, tensorAt } from './safetensors.js';

type ValuePlace = PatternManifest['values'][string];

const NUMBERS: readonly StoredDType[] = ['F32', 'F16'];

/** The file that holds every weight of a bundle once. */
export class Weights {
  readonly #places: ReadonlyMap<string, TensorPlace>;
  /** Whole tensors that values start at: several patterns start at the same. */
  readonly #whole = new Map<string, ProfileValue>();

  /** Throws {@link BundleError} where `bytes` are no safetensors file. */
  constructor(
    /** Of the file, for messages. */
    readonly location: string,
    /** Path in the bundle. */
    private readonly path: string,
    private readonly bytes: Uint8Array,
    /** Whether a whole tensor's numbers are made when they are first asked for; `bytes` are held until then. */
    private readonly isLazy = false,
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
    if (rows !== undefined) return this.#rows(rows, this.#numbers(tensor));
    if (mask === undefined) return this.#wholeOf(tensor);
    const { data } = this.#numbers(tensor);
    const open = this.#bytes(mask);
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
    const open = this.#bytes(name);
    if (open.length !== shape[0]) {
      throw new BundleError(`${this.location}: "${name}": expected ${shape[0] ?? 0} rows, got ${open.length}`);
    }
    const length = data.length / open.length;
    const numbers = Array.from(open.keys()).filter((row) => open[row]);
    const kept = new Float32Array(numbers.length * length);
    for (const [at, row] of numbers.entries()) kept.set(data.subarray(row * length, (row + 1) * length), at * length);
    return { shape: [kept.length], data: kept };
  }

  #wholeOf(name: string): ProfileValue {
    const known = this.#whole.get(name);
    if (known) return known;
    const value = this.isLazy ? this.#later(name) : this.#numbers(name);
    this.#whole.set(name, value);
    return value;
  }

  #later(name: string): ProfileValue {
    const { shape } = this.#place(name, NUMBERS);
    let make: (() => Float32Array) | undefined = () => this.#numbers(name).data;
    let data: Float32Array | undefined;
    return {
      shape,
      get data() {
        data ??= make?.() as Float32Array;
        // With the file's bytes.
        make = undefined;
        return data;
      },
    };
  }

  #numbers(name: string): ProfileValue {
    const { dtype, shape, data } = this.#read(name, NUMBERS);
    return { shape, data: dtype === 'F16' ? fromHalves(data as Uint16Array) : (data as Float32Array) };
  }

  #bytes(name: string): Uint8Array {
    return this.#read(name, ['U8']).data as Uint8Array;
  }

  #read(name: string, dtypes: readonly StoredDType[]) {
    return tensorAt(this.bytes, this.#place(name, dtypes));
  }

  #place(name: string, dtypes: readonly StoredDType[]): TensorPlace {
    const place = this.#places.get(name);
    if (place && dtypes.includes(place.dtype)) return place;
    const expected = dtypes.join(' or ');
    throw new BundleError(
      `${this.location}: "${name}": expected a tensor of ${expected}, got ${place?.dtype ?? 'none'}`,
    );
  }
}

/** Numbers of half precision, which are given as their bits. */
function fromHalves(halves: Uint16Array): Float32Array {
  // By exponent and sign: the step between neighbours, and whether the leading 1 is not written.
  const step = (exponent: number) => (exponent === 31 ? Number.POSITIVE_INFINITY : 2 ** (Math.max(1, exponent) - 25));
  const steps = Float32Array.from({ length: 64 }, (_, i) => (i & 32 ? -step(i & 31) : step(i)));
  const numbers = new Float32Array(halves.length);
  for (let i = 0; i < halves.length; i++) {
    const half = halves[i] as number;
    const fraction = half & 1023;
    numbers[i] = (steps[half >> 10] as number) * (half & 0x7c00 ? fraction + 1024 : fraction);
  }
  return numbers;
}
