import { ProfileError } from './errors.js';
import { areFinite } from './finite.js';
import { type PackedValue, scaleCount, scalesName } from './packed.js';
import { float32, readSafetensors, type StoredTensor, writeSafetensors } from './safetensors.js';

const VERSION = 1;
const FORMAT = `whet-profile-${VERSION}`;

export interface ProfileValue {
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

/** How a profile's file has what it need not have as float32. */
export interface ProfileStorage {
  /** Values as bytes, by name. */
  readonly packed?: ReadonlyMap<string, PackedValue>;
  /** Names of values that are where the bundle starts them: the file has none of them. */
  readonly unmoved?: readonly string[];
  /** Examples of each class that it is to remember; 0 when absent. */
  readonly remember?: number;
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
    readonly storage: ProfileStorage = {},
  ) {}

  /** Size of `toBytes()`, in bytes. */
  get byteLength(): number {
    return this.toBytes().byteLength;
  }

  /** The profile as a safetensors file. */
  toBytes(): Uint8Array {
    const { packed = new Map<string, PackedValue>(), unmoved = [], remember = 0 } = this.storage;
    const left = [...this.values].filter(([name]) => !packed.has(name) && !unmoved.includes(name));
    const asBytes = [...packed].flatMap(([name, { shape, bytes, scales }]): [string, StoredTensor][] => [
      [name, { dtype: 'I8', shape, data: bytes }],
      [scalesName(name), float32([scales.length], scales)],
    ]);
    this.#bytes ??= writeSafetensors({
      tensors: new Map([...left.map(([name, { shape, data }]) => [name, float32(shape, data)] as const), ...asBytes]),
      metadata: {
        ...(unmoved.length > 0 ? { unmoved: JSON.stringify(unmoved) } : {}),
        ...(remember > 0 ? { remember: String(remember) } : {}),
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

function numbers(name: string, { shape, data }: StoredTensor): ProfileValue {
  if (!(data instanceof Float32Array)) throw new Error(`"${name}": expected float32 values`);
  if (!areFinite(data)) throw new Error(`"${name}": expected finite values`);
  return { shape, data };
}

/** Bytes and their scales, and the other values. */
function stored(tensors: ReadonlyMap<string, StoredTensor>) {
  const packed = new Map<string, PackedValue>();
  const values = new Map<string, ProfileValue>();
  const scales = new Set<string>();
  for (const [name, { shape, data }] of tensors) {
    if (!(data instanceof Int8Array)) continue;
    const own = tensors.get(scalesName(name));
    if (!own) throw new Error(`"${name}": expected "${scalesName(name)}" beside it`);
    scales.add(scalesName(name));
    const found = numbers(scalesName(name), own);
    if (found.data.length !== scaleCount(data.length)) {
      throw new Error(`"${scalesName(name)}": expected ${scaleCount(data.length)} numbers, got ${found.data.length}`);
    }
    packed.set(name, { shape, bytes: data, scales: found.data });
  }
  for (const [name, tensor] of tensors) {
    if (!packed.has(name) && !scales.has(name)) values.set(name, numbers(name, tensor));
  }
  return { values, packed };
}

function namesOf(text: string | undefined): string[] {
  if (text === undefined) return [];
  const list: unknown = JSON.parse(text);
  if (!Array.isArray(list) || !list.every((item) => typeof item === 'string')) {
    throw new Error(`unmoved: expected a list of names, got ${text.slice(0, 100)}`);
  }
  return list;
}

function count(text: string | undefined, name: string): number {
  const value = Number(text);
  if (!/^(0|[1-9]\d*)$/.test(text ?? '') || !Number.isSafeInteger(value)) {
    throw new Error(`${name}: expected a whole number of 0 or more, got ${JSON.stringify(text)?.slice(0, 40)}`);
  }
  return value;
}

/** Bytes of a header, where no bundle says how many it may have: those of 20,000 classes with long names. */
const MAX_HEADER_BYTES = 20_000_000;

/**
 * Reads a profile; throws {@link ProfileError} where the bytes are damaged, or the header longer than `maxHeaderBytes`. Whether it
 * fits a bundle is the bundle's to say, which also knows where values start: `values` has none that are stored as bytes or did not move.
 */
export function readProfile(bytes: Uint8Array, maxHeaderBytes = MAX_HEADER_BYTES): Profile {
  try {
    const { tensors, metadata } = readSafetensors(bytes, maxHeaderBytes);
    const { format, bundle = '', pattern = '' } = metadata;
    if (format !== FORMAT) {
      const isNewer = Number(/^whet-profile-(\d{1,4})$/.exec(format ?? '')?.[1]) > VERSION;
      const message = `expected format "${FORMAT}", got ${JSON.stringify(format)}`;
      throw isNewer ? new ProfileError(`profile: ${message}`, { problem: 'newer' }) : new Error(message);
    }
    const classes = strings(metadata['classes']);
    const steps = count(metadata['steps'], 'steps');
    const examples = counts(metadata['examples'], classes.length);
    const { values, packed } = stored(tensors);
    const remember = count(metadata['remember'] ?? '0', 'remember');
    const storage = { packed, unmoved: namesOf(metadata['unmoved']), ...(remember > 0 ? { remember } : {}) };
    return new Profile(bundle, pattern, classes, examples, steps, values, storage);
  } catch (cause) {
    if (cause instanceof ProfileError) throw cause;
    throw new ProfileError(`profile: ${(cause as Error).message}`, { cause });
  }
}
