import assert from 'node:assert/strict';
import { setImmediate } from 'node:timers/promises';
import type { Preprocessing } from '@whet/runtime';
import { Problem, show } from '../problems.js';
import { check, tensorDataSchema } from '../routes/schemas.js';
import type { Decoding, ImageFile } from './decoding.js';
import { type Payloads, payloadAt } from './json-images.js';

/** One image of a request, not decoded yet: a file's bytes, or what JSON has in its place. */
export type ImageSource = { readonly field: string } & (
  | { readonly kind: 'file'; readonly bytes: Uint8Array }
  | { readonly kind: 'json'; readonly payloads: Payloads }
  | { readonly kind: 'tensor'; readonly tensor: unknown; readonly payloads: Payloads }
);

/**
 * The image that an object's `image` or `tensor` holds.
 *
 * @throws {Problem} where it is not exactly one of the two.
 */
export function imageSource(
  value: { readonly image?: string | undefined; readonly tensor?: unknown },
  field: string,
  payloads: Payloads,
): ImageSource {
  const prefix = field === '' ? '' : `${field}.`;
  const { image, tensor } = value;
  if (image !== undefined && tensor === undefined) return { kind: 'json', field: `${prefix}image`, payloads };
  if (image === undefined && tensor !== undefined)
    return { kind: 'tensor', field: `${prefix}tensor`, tensor, payloads };
  const got = image === undefined ? 'neither' : 'both';
  throw new Problem(
    image === undefined ? 'missing-input' : 'invalid-input',
    `${prefix}image`,
    `expected "image" or "tensor", got ${got}`,
  );
}

/** Values of tensors that are made of files at once, for any number of images. */
const PART_VALUES = 4 * 2 ** 20;
/** Images that are worth being predicted together, however large. */
const PART_IMAGES = 32;

/**
 * The tensors `[C, H, W]` of a request's images, in their order, a part after another: a kilobyte of files may be a gigabyte of tensors.
 *
 * @throws {Problem} of the first image that cannot be used.
 */
export async function* decodeInParts(
  decoding: Decoding,
  owner: string,
  sources: readonly ImageSource[],
  preprocessing: Preprocessing,
  signal: AbortSignal,
): AsyncGenerator<Float32Array[], void> {
  const files: ImageFile[] = [];
  for (const source of sources) {
    const { kind, field } = source;
    if (kind === 'file') files.push({ field, bytes: source.bytes });
    else if (kind === 'json') files.push({ field, bytes: bytesAt(source.payloads, field) });
  }
  const images = await decoding.open(owner, files, preprocessing, signal);
  try {
    const { channels, height, width } = preprocessing;
    const count = Math.max(PART_IMAGES, Math.floor(PART_VALUES / (channels * height * width)));
    const turn = turns();
    for (let [from, file] = [0, 0]; from < sources.length; from += count) {
      const part = sources.slice(from, from + count);
      const tensors = new Map<ImageSource, Float32Array>();
      for (const source of part) {
        if (source.kind !== 'tensor') continue;
        const tensor = readTensor(source.tensor, source.field, source.payloads, preprocessing);
        tensors.set(source, tensor);
        await turn(tensor.byteLength);
      }
      const decoded = await images.decode(file, file + part.length - tensors.size);
      file += decoded.length;
      let next = 0;
      yield part.map((source) => tensors.get(source) ?? (decoded[next++] as Float32Array));
    }
  } finally {
    images.close();
  }
}

/** The same, all at once. */
export async function decodeSources(...from: Parameters<typeof decodeInParts>): Promise<Float32Array[]> {
  const tensors: Float32Array[] = [];
  for await (const part of decodeInParts(...from)) tensors.push(...part);
  return tensors;
}

/** Bytes of tensors that are looked at before others have their turn. */
const TURN_BYTES = 256 * 1024;

/** Lets others have their turn, once so many bytes were looked at. */
function turns(): (bytes: number) => Promise<void> | undefined {
  let looked = 0;
  return (bytes) => {
    looked += bytes;
    if (looked < TURN_BYTES) return undefined;
    looked = 0;
    return setImmediate();
  };
}

/**
 * The tensors of a body that is nothing but their little-endian float32 values, `[N, C, H, W]`.
 *
 * @throws {Problem} where its length does not fit, there are too many, or a value is not finite.
 */
export async function tensorsOfBytes(bytes: Uint8Array, p: Preprocessing, maxImages: number): Promise<Float32Array[]> {
  const length = p.channels * p.height * p.width;
  const count = bytes.length / (length * 4);
  if (count === 0 || !Number.isInteger(count)) {
    const shape = `[${p.channels}, ${p.height}, ${p.width}]`;
    const expected = `expected images of ${length * 4} bytes, little-endian float32 ${shape}`;
    throw new Problem('invalid-input', 'body', `${expected}, got ${bytes.length} bytes`);
  }
  if (count > maxImages) {
    throw new Problem('too-large', 'body', `expected at most ${maxImages} images, got ${count}`);
  }
  const tensors: Float32Array[] = [];
  const turn = turns();
  for (let at = 0; at < count; at++) {
    tensors.push(checkFinite(float32(bytes.subarray(at * length * 4, (at + 1) * length * 4)), `body[${at}]`));
    await turn(length * 4);
  }
  return tensors;
}

const littleEndian = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;

/** Little-endian float32 values. */
function float32(bytes: Uint8Array): Float32Array {
  const copy = new Uint8Array(bytes);
  if (littleEndian) return new Float32Array(copy.buffer);
  const view = new DataView(copy.buffer);
  return Float32Array.from({ length: copy.length / 4 }, (_, i) => view.getFloat32(i * 4, true));
}

function bytesAt(payloads: Payloads, field: string): Uint8Array {
  const payload = payloadAt(payloads, field);
  assert(payload.kind === 'bytes');
  return payload.bytes;
}

function readTensor(tensor: unknown, field: string, payloads: Payloads, p: Preprocessing): Float32Array {
  const length = p.channels * p.height * p.width;
  const shape = `[${p.channels}, ${p.height}, ${p.width}]`;
  if (Array.isArray(tensor)) return readNumbers(payloads, field, length, shape);
  if (typeof tensor !== 'object' || tensor === null) {
    throw new Problem(
      'invalid-input',
      field,
      `expected ${length} numbers ${shape}, or their float32 bytes as { "data": base64 }, got ${show(tensor)}`,
    );
  }
  check(tensorDataSchema, tensor, field);
  const bytes = bytesAt(payloads, `${field}.data`);
  if (bytes.length !== length * 4) {
    throw new Problem(
      'invalid-input',
      `${field}.data`,
      `expected ${length * 4} bytes, little-endian float32 ${shape}, got ${bytes.length}`,
    );
  }
  return checkFinite(float32(bytes), `${field}.data`);
}

function readNumbers(payloads: Payloads, field: string, length: number, shape: string): Float32Array {
  const payload = payloadAt(payloads, field);
  assert(payload.kind === 'numbers');
  const { count, values, bad } = payload;
  if (count !== length || !values) {
    const got = `an array of ${count} values`;
    throw new Problem('invalid-input', field, `expected ${length} numbers, ${shape} row by row, got ${got}`);
  }
  if (bad) throw new Problem('invalid-input', `${field}[${bad.at}]`, `expected a number, got ${bad.got}`);
  return checkFinite(values, field);
}

function checkFinite(values: Float32Array, field: string): Float32Array {
  for (let at = 0; at < values.length; at++) {
    if (Number.isFinite(values[at])) continue;
    throw new Problem('invalid-input', `${field}[${at}]`, `expected a finite float32 number, got ${values[at]}`);
  }
  return values;
}
