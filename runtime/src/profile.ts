import { ProfileError } from './errors.js';
import { float32, readSafetensors, type StoredTensor, writeSafetensors } from './safetensors.js';

const FORMAT = 'whet-profile-1';

export interface ProfileValue {
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

/** The result of adapting a bundle to someone: moved values, moments where it is normalized by them, class names. */
export class Profile {
  #bytes: Uint8Array | undefined;

  constructor(
    /** Digest of the bundle it was made with. */
    readonly bundle: string,
    readonly pattern: string,
    /** Class names, in the order of the head's rows. */
    readonly classes: readonly string[],
    /** Examples of each class it was adapted to; 0 of a kept head's class that had none. */
    readonly examples: readonly number[],
    /** Inner steps taken, with those of the profiles it went on from. */
    readonly steps: number,
    /** Moved values by name; under `support` normalization also `<normalization>.mean` and `.variance`, `[C]` each. */
    readonly values: ReadonlyMap<string, ProfileValue>,
  ) {}

  /** Size of `toBytes()`, in bytes. */
  get byteLength(): number {
    return this.toBytes().byteLength;
  }

  /** The profile as a safetensors file. */
  toBytes(): Uint8Array {
    this.#bytes ??= writeSafetensors({
      tensors: new Map([...this.values].map(([name, { shape, data }]) => [name, float32(shape, data)])),
      metadata: {
        format: FORMAT,
        bundle: this.bundle,
        pattern: this.pattern,
        classes: JSON.stringify(this.classes),
        examples: JSON.stringify(this.examples),
        steps: String(this.steps),
      },
    });
    return this.#bytes;
  }
}

function strings(text: string | undefined): string[] {
  const list: unknown = JSON.parse(text ?? 'null');
  if (!Array.isArray(list) || !list.every((item) => typeof item === 'string'))
    throw new Error(`classes: expected a list of names, got ${text?.slice(0, 100)}`);
  if (list.length < 2 || new Set(list).size < list.length || list.includes('')) {
    throw new Error(`classes: expected two or more different names, got ${text?.slice(0, 100)}`);
  }
  return list;
}

function counts(text: string | undefined, length: number): number[] {
  const list: unknown = JSON.parse(text ?? 'null');
  if (
    !Array.isArray(list) ||
    list.length !== length ||
    !list.every((item) => Number.isSafeInteger(item) && item >= 0)
  ) {
    throw new Error(`examples: expected ${length} counts, one for each class, got ${text?.slice(0, 100)}`);
  }
  return list;
}

function values(tensors: ReadonlyMap<string, StoredTensor>): Map<string, ProfileValue> {
  const result = new Map<string, ProfileValue>();
  for (const [name, { shape, data }] of tensors) {
    if (!(data instanceof Float32Array)) throw new Error(`"${name}": expected float32 values`);
    if (!data.every(Number.isFinite)) throw new Error(`"${name}": expected finite values`);
    result.set(name, { shape, data });
  }
  return result;
}

function count(text: string | undefined): number {
  const value = Number(text);
  if (!/^(0|[1-9]\d*)$/.test(text ?? '') || !Number.isSafeInteger(value)) {
    throw new Error(`steps: expected a whole number of 0 or more, got ${JSON.stringify(text)?.slice(0, 40)}`);
  }
  return value;
}

/** Bytes of a header, where no bundle says how many it may have: those of 20,000 classes with long names. */
const MAX_HEADER_BYTES = 20_000_000;

/**
 * Reads a profile; throws {@link ProfileError} where the bytes are damaged, or the header longer than `maxHeaderBytes`. Whether it
 * fits a bundle is the bundle's to say.
 */
export function readProfile(bytes: Uint8Array, maxHeaderBytes = MAX_HEADER_BYTES): Profile {
  try {
    const { tensors, metadata } = readSafetensors(bytes, maxHeaderBytes);
    const { format, bundle = '', pattern = '' } = metadata;
    if (format !== FORMAT) throw new Error(`expected format "${FORMAT}", got ${JSON.stringify(format)}`);
    const classes = strings(metadata['classes']);
    const steps = count(metadata['steps']);
    return new Profile(bundle, pattern, classes, counts(metadata['examples'], classes.length), steps, values(tensors));
  } catch (cause) {
    throw new ProfileError(`profile: ${(cause as Error).message}`, { cause });
  }
}
