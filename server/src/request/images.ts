import { InputError, type Preprocessing } from '@whet/runtime';
import { decodeImage } from '@whet/runtime/images';
import type { Limits } from '../limits.js';
import { Problem, show, truncate } from '../problems.js';
import { check, tensorDataSchema } from '../routes/schemas.js';
import { mapLimited } from './concurrency.js';

/** One image of a request, not decoded yet: a file's bytes, base64 or a data URL of one, or a tensor as JSON has it. */
export type ImageSource = { readonly field: string } & (
  | { readonly kind: 'file'; readonly bytes: Uint8Array }
  | { readonly kind: 'base64'; readonly text: string }
  | { readonly kind: 'tensor'; readonly tensor: unknown }
);

/** What the bytes are is told by themselves: browsers and tools have other names for JPEG and PNG, or none. */
const MEDIA_TYPE = /^(image\/[\w.+-]+|application\/octet-stream)$/;

/**
 * The image that an object's `image` or `tensor` holds.
 *
 * @throws {Problem} where it is not exactly one of the two.
 */
export function imageSource(
  value: { readonly image?: string | undefined; readonly tensor?: unknown },
  field: string,
): ImageSource {
  const prefix = field === '' ? '' : `${field}.`;
  const { image, tensor } = value;
  if (image !== undefined && tensor === undefined) return { kind: 'base64', field: `${prefix}image`, text: image };
  if (image === undefined && tensor !== undefined) return { kind: 'tensor', field: `${prefix}tensor`, tensor };
  const got = image === undefined ? 'neither' : 'both';
  throw new Problem(
    image === undefined ? 'missing-input' : 'invalid-input',
    `${prefix}image`,
    `expected "image" or "tensor", got ${got}`,
  );
}

/**
 * The tensors `[C, H, W]` of a request's images, in their order, decoded a few at a time.
 *
 * @throws {Problem} of the first image that cannot be used.
 */
export function decodeSources(
  sources: readonly ImageSource[],
  preprocessing: Preprocessing,
  limits: Limits,
  signal: AbortSignal,
): Promise<Float32Array[]> {
  return mapLimited(sources, limits.decodeConcurrency, async (source) => {
    signal.throwIfAborted();
    if (source.kind === 'tensor') return readTensor(source.tensor, source.field, preprocessing);
    const bytes = source.kind === 'file' ? source.bytes : readBase64Image(source.text, source.field);
    try {
      return await decodeImage(bytes, preprocessing, { field: source.field, maxPixels: limits.imagePixels });
    } catch (error) {
      if (error instanceof InputError && bytes.length > 0 && !isSupportedFormat(bytes)) {
        throw new Problem('unsupported-media', error.field, error.message);
      }
      throw error;
    }
  });
}

/**
 * The tensors of a body that is nothing but their little-endian float32 values, `[N, C, H, W]`.
 *
 * @throws {Problem} where its length does not fit, there are too many, or a value is not finite.
 */
export function tensorsOfBytes(bytes: Uint8Array, p: Preprocessing, maxImages: number): Float32Array[] {
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
  return Array.from({ length: count }, (_, at) => {
    return checkFinite(float32(bytes.subarray(at * length * 4, (at + 1) * length * 4)), `body[${at}]`);
  });
}

const littleEndian = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;

/** Little-endian float32 values. */
function float32(bytes: Uint8Array): Float32Array {
  const copy = new Uint8Array(bytes);
  if (littleEndian) return new Float32Array(copy.buffer);
  const view = new DataView(copy.buffer);
  return Float32Array.from({ length: copy.length / 4 }, (_, i) => view.getFloat32(i * 4, true));
}

function readBase64Image(text: string, field: string): Uint8Array {
  if (!/^data:/i.test(text)) return readBase64(text, field);
  // A media type is short; where no comma follows soon, there is none.
  const comma = text.slice(0, 256).indexOf(',');
  const parts = text.slice(5, Math.max(comma, 5)).toLowerCase().split(';');
  const type = parts[0] ?? '';
  if (comma < 0 || parts.length < 2 || parts.at(-1)?.trim() !== 'base64') {
    throw new Problem(
      'invalid-input',
      field,
      `expected a data URL as data:image/png;base64,..., got ${show(truncate(text, 40))}`,
    );
  }
  if (!MEDIA_TYPE.test(type.trim())) {
    throw new Problem('unsupported-media', field, `expected the media type of an image, got ${show(type)}`);
  }
  return readBase64(text.slice(comma + 1), field);
}

/** Node's decoder skips what is not base64, so a length that falls short is how it tells. */
function readBase64(text: string, field: string): Uint8Array {
  const padding = text.endsWith('==') ? 2 : text.endsWith('=') ? 1 : 0;
  const bytes = Buffer.from(text, 'base64');
  if (text.length % 4 !== 0 || bytes.length !== (text.length / 4) * 3 - padding) {
    throw new Problem('invalid-input', field, `expected padded base64 without line breaks, got ${show(text)}`);
  }
  return bytes;
}

function readTensor(tensor: unknown, field: string, p: Preprocessing): Float32Array {
  const length = p.channels * p.height * p.width;
  const shape = `[${p.channels}, ${p.height}, ${p.width}]`;
  if (Array.isArray(tensor)) return readNumbers(tensor, field, length, shape);
  if (typeof tensor !== 'object' || tensor === null) {
    throw new Problem(
      'invalid-input',
      field,
      `expected ${length} numbers ${shape}, or their float32 bytes as { "data": base64 }, got ${show(tensor)}`,
    );
  }
  const bytes = readBase64(check(tensorDataSchema, tensor, field).data, `${field}.data`);
  if (bytes.length !== length * 4) {
    throw new Problem(
      'invalid-input',
      `${field}.data`,
      `expected ${length * 4} bytes, little-endian float32 ${shape}, got ${bytes.length}`,
    );
  }
  return checkFinite(float32(bytes), `${field}.data`);
}

function readNumbers(values: readonly unknown[], field: string, length: number, shape: string): Float32Array {
  if (values.length !== length) {
    throw new Problem(
      'invalid-input',
      field,
      `expected ${length} numbers, ${shape} row by row, got ${show(values)} values`,
    );
  }
  const at = values.findIndex((value) => typeof value !== 'number');
  if (at >= 0) {
    throw new Problem('invalid-input', `${field}[${at}]`, `expected a number, got ${show(values[at])}`);
  }
  return checkFinite(Float32Array.from(values as readonly number[]), field);
}

function checkFinite(values: Float32Array, field: string): Float32Array {
  const at = values.findIndex((value) => !Number.isFinite(value));
  if (at < 0) return values;
  throw new Problem('invalid-input', `${field}[${at}]`, `expected a finite float32 number, got ${values[at]}`);
}

/** By its first bytes, as the runtime tells; so that the status says whether the format or the file is at fault. */
function isSupportedFormat(bytes: Uint8Array): boolean {
  const start = Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(bytes.byteLength, 12)).toString('latin1');
  return (
    start.startsWith('\x89PNG\r\n\x1a\n') ||
    start.startsWith('\xff\xd8\xff') ||
    (start.startsWith('RIFF') && start.slice(8) === 'WEBP')
  );
}
