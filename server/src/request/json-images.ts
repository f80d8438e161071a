import assert from 'node:assert/strict';
import { Problem, type ProblemKind, show } from '../problems.js';
import type { EncodedText, JsonTexts } from './json-texts.js';

/** What an image or a tensor of a JSON body holds, out of its text. */
export type Payload =
  /** An image file, or a tensor's float32 values. */
  | { readonly kind: 'bytes'; readonly bytes: Uint8Array<ArrayBuffer> }
  /** A tensor's numbers; `values` is absent where there are more than any image has. */
  | {
      readonly kind: 'numbers';
      readonly count: number;
      readonly values?: Float32Array<ArrayBuffer>;
      /** The first that is no number. */
      readonly bad?: { readonly at: number; readonly got: string };
    }
  | { readonly kind: 'refused'; readonly problem: ProblemKind; readonly detail: string };

/** By their fields, as in `examples[3].image` and `images[0].tensor.data`. */
export type Payloads = ReadonlyMap<string, Payload>;

/** What the bytes are is told by themselves: browsers and tools have other names for JPEG and PNG, or none. */
const MEDIA_TYPE = /^(image\/[\w.+-]+|application\/octet-stream)$/;

/**
 * Takes images and tensors out of a body's value: in their places empty texts and lists remain. What is at fault with one is told
 * when it is asked for.
 */
export function takePayloads(value: unknown, texts: JsonTexts, maxNumbers: number): Map<string, Payload> {
  const payloads = new Map<string, Payload>();
  const body = membersOf(value);
  if (!body) return payloads;
  const take = (holder: Record<string, unknown>, prefix: string) => {
    const { image, tensor } = holder;
    if (typeof image === 'string') {
      payloads.set(`${prefix}image`, readImage(texts.encoded(image)));
      holder['image'] = '';
    }
    if (Array.isArray(tensor)) {
      payloads.set(`${prefix}tensor`, readNumbers(tensor, maxNumbers));
      holder['tensor'] = [];
    }
    const data = membersOf(tensor)?.['data'];
    if (typeof data !== 'string') return;
    payloads.set(`${prefix}tensor.data`, readBase64(texts.encoded(data)));
    (tensor as Record<string, unknown>)['data'] = '';
  };
  take(body, '');
  for (const name of ['images', 'examples']) {
    const list = body[name];
    if (!Array.isArray(list)) continue;
    for (const [i, item] of list.entries()) {
      const holder = membersOf(item);
      if (holder) take(holder, `${name}[${i}].`);
      else if (typeof item === 'string' && name === 'images') {
        payloads.set(`images[${i}]`, readImage(texts.encoded(item)));
        list[i] = '';
      }
    }
  }
  return payloads;
}

function membersOf(value: unknown): Record<string, unknown> | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : undefined;
}

/** The payload at a field. Throws {@link Problem} where it is at fault. */
export function payloadAt(payloads: Payloads, field: string): Exclude<Payload, { kind: 'refused' }> {
  const payload = payloads.get(field);
  assert(payload);
  if (payload.kind === 'refused') throw new Problem(payload.problem, field, payload.detail);
  return payload;
}

function readNumbers(list: readonly unknown[], maxNumbers: number): Payload {
  const count = list.length;
  if (count > maxNumbers) return { kind: 'numbers', count };
  const values = new Float32Array(count);
  for (let at = 0; at < count; at++) {
    const value = list[at];
    if (typeof value !== 'number') return { kind: 'numbers', count, values, bad: { at, got: show(value) } };
    values[at] = value;
  }
  return { kind: 'numbers', count, values };
}

function readImage(text: EncodedText): Payload {
  // A media type is short; where no comma follows soon, there is none.
  const head = text.head(256);
  if (!/^data:/i.test(head)) return readBase64(text);
  const comma = head.indexOf(',');
  const parts = head.slice(5, Math.max(comma, 5)).toLowerCase().split(';');
  const type = parts[0] ?? '';
  if (comma < 0 || parts.length < 2 || parts.at(-1)?.trim() !== 'base64') {
    return refused('invalid-input', `expected a data URL as data:image/png;base64,..., got ${text.show(40)}`);
  }
  if (!MEDIA_TYPE.test(type.trim())) {
    return refused('unsupported-media', `expected the media type of an image, got ${show(type)}`);
  }
  return readBase64(text, comma + 1);
}

function readBase64(text: EncodedText, begin = 0): Payload {
  // Before it is overwritten.
  const shown = text.show(60);
  const bytes = text.decode(begin);
  if (!bytes) return refused('invalid-input', `expected padded base64 without line breaks, got ${shown}`);
  return { kind: 'bytes', bytes };
}

const refused = (problem: ProblemKind, detail: string): Payload => ({ kind: 'refused', problem, detail });
