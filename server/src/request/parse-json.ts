import { isUtf8 } from 'node:buffer';
import { brotliDecompressSync, gunzipSync, inflateSync, type ZlibOptions } from 'node:zlib';
import { Problem, type ProblemKind } from '../problems.js';
import { type Payload, takePayloads } from './json-images.js';
import { tooLarge } from './too-large.js';

/** How deep arrays and objects may stand in each other; a request needs 4. */
const MAX_DEPTH = 16;
/** Numbers, `true`, `false` and `null` that are none of a tensor; a request needs 4. */
const MAX_OTHERS = 100_000;

const decoders: Readonly<Record<Encoding, (bytes: Uint8Array, options: ZlibOptions) => Uint8Array>> = {
  identity: (bytes) => bytes,
  gzip: gunzipSync,
  deflate: inflateSync,
  br: brotliDecompressSync,
};

export type Encoding = 'identity' | 'gzip' | 'deflate' | 'br';
export const encodings = Object.keys(decoders).filter((name) => name !== 'identity');
export const isEncoding = (name: string): name is Encoding => Object.hasOwn(decoders, name);

export interface JsonSource {
  readonly bytes: Uint8Array;
  readonly encoding: Encoding;
  readonly limits: JsonLimits;
}

/** What a body may hold. */
export interface JsonLimits {
  /** Bytes, decompressed. */
  readonly bytes: number;
  /** Arrays and objects. */
  readonly values: number;
  /** Texts and names. */
  readonly texts: number;
  /** Numbers, `true`, `false` and `null`. */
  readonly numbers: number;
  /** Numbers of a tensor. */
  readonly tensorNumbers: number;
}

/** The limits for so many images of so many numbers: per image, or the least that any request may have. */
export function jsonLimits(images: number, imageLength: number, bodyBytes: number): JsonLimits {
  return {
    bytes: bodyBytes,
    values: Math.max(20_000, 4 * images),
    texts: Math.max(60_000, 10 * images),
    // A number that is worth sending takes four bytes.
    numbers: Math.max(100_000, Math.min(images * imageLength + images, bodyBytes / 4)),
    tensorNumbers: 2 * imageLength,
  };
}

/** `bytes` is the length of the body, decompressed. */
export type ParsedJson = { readonly bytes: number } & (
  | { readonly kind: 'parsed'; readonly value: unknown; readonly payloads: ReadonlyMap<string, Payload> }
  | { readonly kind: 'refused'; readonly problem: ProblemKind; readonly detail: string }
);

/** A JSON body as a value and its images, or what is at fault with it. */
export function parseJson(source: JsonSource): ParsedJson {
  const { limits } = source;
  // Of what cannot be decompressed, as much may have been.
  let length = limits.bytes;
  try {
    const bytes = decompress(source);
    length = bytes.length;
    checkStructure(bytes, limits);
    if (!isUtf8(bytes)) throw malformed('bytes that are not UTF-8');
    const value = parse(new TextDecoder().decode(bytes));
    const payloads = takePayloads(value, limits.tensorNumbers);
    checkOthers(value);
    return { kind: 'parsed', bytes: length, value, payloads };
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    return { kind: 'refused', bytes: length, problem: error.kind, detail: error.message };
  }
}

function decompress({ bytes, encoding, limits }: JsonSource): Uint8Array {
  try {
    // In one piece: pages that nothing is written to cost nothing, and pieces would be copied.
    return decoders[encoding](bytes, { maxOutputLength: limits.bytes, chunkSize: limits.bytes + 1 });
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    throw code === 'ERR_BUFFER_TOO_LARGE' ? tooLarge(limits.bytes, 'more') : malformed(message);
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw malformed((error as Error).message);
  }
}

// JSON.parse takes seconds over megabytes of brackets, names or numbers. A few kilobytes of gzip are enough to send them.
function checkStructure(bytes: Uint8Array, limits: JsonLimits): void {
  let [depth, values, texts, numbers] = [0, 0, 0, 0];
  let [quoted, inNumber] = [false, false];
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i] as number;
    if (quoted) {
      if (byte === 0x5c) i++;
      else if (byte === 0x22) quoted = false;
      continue;
    }
    const isOther = byte > 0x20 && byte !== 0x2c && byte !== 0x3a;
    if (!isOther) inNumber = false;
    else if (byte === 0x22) {
      [quoted, inNumber] = [true, false];
      if (++texts > limits.texts) throw tooMany(limits.texts, 'texts and names');
    } else if (byte === 0x5b || byte === 0x7b) {
      inNumber = false;
      if (++depth > MAX_DEPTH) throw malformed(`arrays or objects more than ${MAX_DEPTH} deep`);
      if (++values > limits.values) throw tooMany(limits.values, 'arrays and objects');
    } else if (byte === 0x5d || byte === 0x7d) {
      inNumber = false;
      depth--;
    } else if (!inNumber) {
      inNumber = true;
      if (++numbers > limits.numbers) throw tooMany(limits.numbers, 'numbers');
    }
  }
}

// What is left goes to the thread that answers requests value by value.
function checkOthers(value: unknown): void {
  let others = 0;
  const count = (each: unknown) => {
    if (typeof each === 'string') return;
    if (typeof each === 'object' && each !== null) {
      for (const inner of Object.values(each)) count(inner);
    } else if (++others > MAX_OTHERS) throw tooMany(MAX_OTHERS, 'numbers that are none of a tensor');
  };
  count(value);
}

/** The refusal of a body that is no JSON. */
export function malformed(got: string): Problem {
  return new Problem('malformed-request', 'body', `expected JSON in UTF-8, got ${got}`);
}

const tooMany = (most: number, what: string) =>
  new Problem('too-large', 'body', `expected at most ${most} ${what}, got more`);
