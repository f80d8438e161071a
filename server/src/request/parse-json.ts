import { isUtf8 } from 'node:buffer';
import { brotliDecompressSync, gunzipSync, inflateSync, type ZlibOptions } from 'node:zlib';
import { Problem, type ProblemKind } from '../problems.js';
import { type Payload, takePayloads } from './json-images.js';
import { JsonTexts, parse } from './json-texts.js';
import { malformed } from './malformed.js';
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
  /** Overwritten by the images that stand in it. */
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
  | { readonly kind: 'refused'; readonly problem: ProblemKind; readonly field: string; readonly detail: string }
);

/** A JSON body as a value and its images, or what is at fault with it. */
export function parseJson(source: JsonSource): ParsedJson {
  const { limits } = source;
  // Of what cannot be decompressed, as much may have been.
  let length = limits.bytes;
  try {
    const bytes = decompress(source);
    length = bytes.length;
    const texts = readStructure(bytes, limits);
    if (!isUtf8(bytes)) throw malformed('bytes that are not UTF-8');
    const value = parse(texts.rest());
    const payloads = takePayloads(value, texts, limits.tensorNumbers);
    return { kind: 'parsed', bytes: length, value: withTexts(value, texts), payloads };
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    return { kind: 'refused', bytes: length, problem: error.kind, field: error.field, detail: error.message };
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

// JSON.parse takes seconds over megabytes of brackets, names or numbers. A few kilobytes of gzip are enough to send them.
function readStructure(bytes: Uint8Array, limits: JsonLimits): JsonTexts {
  const long = new JsonTexts(bytes);
  let [depth, values, texts, numbers] = [0, 0, 0, 0];
  // Where the text that is read began, and whether the last one was taken, so that a colon makes a name of it.
  let [quoted, from, isTaken, inNumber] = [false, 0, false, false];
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i] as number;
    if (quoted) {
      if (byte < 0x20) throw malformed('a control character in a text');
      if (byte === 0x5c) i++;
      else if (byte === 0x22) {
        quoted = false;
        isTaken = long.add(from, i);
      }
      continue;
    }
    if (byte === 0x3a && isTaken) long.lastIsName();
    if (byte > 0x20) isTaken = false;
    const isOther = byte > 0x20 && byte !== 0x2c && byte !== 0x3a;
    if (!isOther) inNumber = false;
    else if (byte === 0x22) {
      [quoted, from, inNumber] = [true, i + 1, false];
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
  return long;
}

// What is left goes to the thread that answers requests value by value.
function withTexts(value: unknown, texts: JsonTexts): unknown {
  let others = 0;
  const visit = (each: unknown, field: string): unknown => {
    if (typeof each === 'string') return texts.text(each, field || 'body');
    if (Array.isArray(each)) {
      for (const [i, item] of each.entries()) each[i] = visit(item, `${field}[${i}]`);
    } else if (typeof each === 'object' && each !== null) {
      const members = each as Record<string, unknown>;
      for (const name of Object.keys(members)) {
        const old = members[name];
        const item = visit(old, field === '' ? name : `${field}.${name}`);
        if (item !== old) members[name] = item;
      }
    } else if (++others > MAX_OTHERS) throw tooMany(MAX_OTHERS, 'numbers that are none of a tensor');
    return each;
  };
  return visit(value, '');
}

const tooMany = (most: number, what: string) =>
  new Problem('too-large', 'body', `expected at most ${most} ${what}, got more`);
