/** Element types of the format, and what holds their values; halves as their bits. */
const arrays = {
  F64: Float64Array,
  F32: Float32Array,
  F16: Uint16Array,
  BF16: Uint16Array,
  I64: BigInt64Array,
  I32: Int32Array,
  I16: Int16Array,
  I8: Int8Array,
  U64: BigUint64Array,
  U32: Uint32Array,
  U16: Uint16Array,
  U8: Uint8Array,
  BOOL: Uint8Array,
} as const;

export type StoredDType = keyof typeof arrays;

/** A tensor of a safetensors file. */
export interface StoredTensor {
  readonly dtype: StoredDType;
  readonly shape: readonly number[];
  readonly data:
    | Float64Array
    | Float32Array
    | BigInt64Array
    | BigUint64Array
    | Int32Array
    | Int16Array
    | Int8Array
    | Uint32Array
    | Uint16Array
    | Uint8Array;
}

export interface SafetensorsFile {
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  readonly metadata: Readonly<Record<string, string>>;
}

/** Bytes that are not a well-formed safetensors file. */
export class SafetensorsError extends Error {
  override readonly name = 'SafetensorsError';
}

interface HeaderEntry {
  readonly dtype: StoredDType;
  readonly shape: number[];
  readonly data_offsets: [number, number];
}

export function float32(shape: readonly number[], data: Float32Array): StoredTensor {
  return { dtype: 'F32', shape, data };
}

/** Encodes tensors in the safetensors format: header length (u64), JSON header, data. */
export function writeSafetensors({ tensors, metadata }: SafetensorsFile): Uint8Array {
  const header: Record<string, unknown> = {};
  if (Object.keys(metadata).length > 0) header['__metadata__'] = metadata;
  let offset = 0;
  // Wide elements first, so that every tensor starts at a multiple of its element size.
  const sorted = [...tensors].sort(
    ([a, x], [b, y]) => y.data.BYTES_PER_ELEMENT - x.data.BYTES_PER_ELEMENT || (a < b ? -1 : 1),
  );
  for (const [name, { dtype, shape, data }] of sorted) {
    header[name] = { dtype, shape, data_offsets: [offset, offset + data.byteLength] };
    offset += data.byteLength;
  }
  const json = new TextEncoder().encode(JSON.stringify(header));
  const start = 8 + Math.ceil(json.length / 8) * 8;
  const bytes = new Uint8Array(start + offset).fill(0x20, 8, start);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(start - 8), true);
  bytes.set(json, 8);
  let at = start;
  for (const [, { data }] of sorted) {
    bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), at);
    at += data.byteLength;
  }
  return bytes;
}

/** A tensor as raw bytes, little endian, in an array of its type. They are copied. */
export function storedTensor(dtype: StoredDType, shape: readonly number[], bytes: Uint8Array): StoredTensor {
  return { dtype, shape, data: new arrays[dtype](Uint8Array.from(bytes).buffer) };
}

/** Where a tensor's bytes stand in its file. */
export interface TensorPlace {
  readonly dtype: StoredDType;
  readonly shape: readonly number[];
  readonly offset: number;
  readonly length: number;
}

/** Bytes of a header at most, by the format. */
const MAX_HEADER_BYTES = 100_000_000;
/** How deep a header nests: itself, a tensor, its shape. */
const MAX_DEPTH = 3;

/**
 * Where each tensor of a safetensors file stands. Throws {@link SafetensorsError} where the file is damaged or its header longer than
 * `maxHeaderBytes`.
 */
export function readPlaces(
  bytes: Uint8Array,
  maxHeaderBytes = MAX_HEADER_BYTES,
): {
  readonly places: ReadonlyMap<string, TensorPlace>;
  readonly metadata: Readonly<Record<string, string>>;
} {
  if (bytes.length < 8) throw new SafetensorsError(`expected at least 8 bytes, got ${bytes.length}`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const length = Number(view.getBigUint64(0, true));
  if (length > bytes.length - 8) throw new SafetensorsError(`header of ${length} bytes in a file of ${bytes.length}`);
  if (length > maxHeaderBytes) {
    throw new SafetensorsError(`expected a header of at most ${maxHeaderBytes} bytes, got ${length}`);
  }
  const text = bytes.subarray(8, 8 + length);
  checkDepth(text);
  let header: Record<string, unknown>;
  try {
    const parsed: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(text));
    if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) throw new Error('not an object');
    header = parsed as Record<string, unknown>;
  } catch (cause) {
    throw new SafetensorsError(`header is not a JSON object: ${(cause as Error).message}`, { cause });
  }
  const metadata: Record<string, string> = {};
  const places = new Map<string, TensorPlace>();
  for (const [name, entry] of Object.entries(header)) {
    if (name === '__metadata__') {
      for (const [key, value] of Object.entries(entry as object)) {
        if (typeof value !== 'string')
          throw new SafetensorsError(`metadata "${key}": expected text, got ${typeof value}`);
        metadata[key] = value;
      }
    } else places.set(name, placeOf(name, entry, 8 + length, bytes.length));
  }
  // The format has them side by side, to the end of the file.
  let at = 8 + length;
  for (const [name, place] of [...places].sort(([, a], [, b]) => a.offset - b.offset || a.length - b.length)) {
    if (place.offset !== at) {
      throw new SafetensorsError(`"${name}": expected to begin at byte ${at}, got ${place.offset}`);
    }
    at += place.length;
  }
  if (at !== bytes.length) throw new SafetensorsError(`expected ${at} bytes, got ${bytes.length}`);
  return { places, metadata };
}

/** Decodes a safetensors file. Throws {@link SafetensorsError} where it is damaged. */
export function readSafetensors(bytes: Uint8Array, maxHeaderBytes?: number): SafetensorsFile {
  const { places, metadata } = readPlaces(bytes, maxHeaderBytes);
  return { tensors: new Map([...places].map(([name, place]) => [name, tensorAt(bytes, place)])), metadata };
}

/** The tensor at a place of a file: a copy, as the file's own bytes need not be aligned, and a view would keep all of them alive. */
export function tensorAt(bytes: Uint8Array, { dtype, shape, offset, length }: TensorPlace): StoredTensor {
  return storedTensor(dtype, shape, bytes.subarray(offset, offset + length));
}

// JSON.parse takes half a second for a megabyte of brackets.
function checkDepth(json: Uint8Array): void {
  let depth = 0;
  let quoted = false;
  for (let i = 0; i < json.length; i++) {
    const byte = json[i];
    if (quoted) {
      if (byte === 0x5c) i++;
      else if (byte === 0x22) quoted = false;
    } else if (byte === 0x22) quoted = true;
    else if (byte === 0x5d || byte === 0x7d) depth--;
    else if ((byte === 0x5b || byte === 0x7b) && ++depth > MAX_DEPTH) {
      throw new SafetensorsError(`expected a header nested ${MAX_DEPTH} deep, got more`);
    }
  }
}

function placeOf(name: string, entry: unknown, start: number, fileLength: number): TensorPlace {
  const { dtype, shape, data_offsets: offsets } = (entry ?? {}) as Partial<HeaderEntry>;
  const natural = (value: unknown) => Number.isSafeInteger(value) && (value as number) >= 0;
  if (!dtype || !Object.hasOwn(arrays, dtype)) throw new SafetensorsError(`"${name}": dtype ${dtype} is not supported`);
  if (
    !Array.isArray(shape) ||
    !shape.every(natural) ||
    !Array.isArray(offsets) ||
    !offsets.every(natural) ||
    offsets.length !== 2
  ) {
    throw new SafetensorsError(`"${name}": expected a shape and two offsets`);
  }
  const [from, to] = offsets;
  const expected = shape.reduce((product, dim) => product * dim, 1) * arrays[dtype].BYTES_PER_ELEMENT;
  if (to - from !== expected || start + to > fileLength) {
    throw new SafetensorsError(
      `"${name}": expected ${expected} bytes within ${fileLength - start}, got ${from} to ${to}`,
    );
  }
  return { dtype, shape, offset: start + from, length: expected };
}
