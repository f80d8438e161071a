import { CompileError } from './read/compile-error.js';

/** Bytes of UTF-8 that a class name may have; the HTTP service takes no more. */
const MAX_BYTES = 256;

/** `{"0": "cat", "1": "dog"}` as a list. */
function fromIndices(object: Readonly<Record<string, unknown>>, where: string): unknown[] {
  const entries = Object.entries(object);
  const list = new Array<unknown>(entries.length);
  for (const [key, name] of entries) {
    if (!/^(0|[1-9]\d*)$/.test(key) || Number(key) >= entries.length) {
      const last = entries.length - 1;
      throw new CompileError(`${where}: expected the indices 0 to ${last} as keys, got ${JSON.stringify(key)}`);
    }
    list[Number(key)] = name;
  }
  return list;
}

function fromJson(text: string, where: string): unknown[] {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new CompileError(`${where}: starts as JSON and is not: ${(cause as Error).message}`, { cause });
  }
  if (Array.isArray(json)) return json;
  const object = json as Readonly<Record<string, unknown>>;
  const nested = object['id2label'];
  const isObject = typeof nested === 'object' && nested !== null && !Array.isArray(nested);
  return fromIndices(isObject ? (nested as Readonly<Record<string, unknown>>) : object, where);
}

/**
 * Class names out of a text: one a line, or a JSON array, or a JSON object from index to name (Hugging Face's
 * `id2label`, or a `config.json` that has one). `where` stands in messages. Throws {@link CompileError}.
 */
export function parseLabels(text: string, where: string): string[] {
  const bare = text.replace(/^\ufeff/, '').trim();
  const items = /^[[{]/.test(bare)
    ? fromJson(bare, where)
    : bare === ''
      ? []
      : bare.split(/\r?\n/).map((l) => l.trim());
  const bad = items.findIndex((item) => typeof item !== 'string');
  if (bad >= 0) throw new CompileError(`${where}: label ${bad}: expected text, got ${JSON.stringify(items[bad])}`);
  return items as string[];
}

/** Throws {@link CompileError} where labels are not one different, printable name for each of `classes`. */
export function checkLabels(labels: readonly string[], classes: number): void {
  if (labels.length !== classes) {
    throw new CompileError(`labels: expected ${classes}, one for each class of the model, got ${labels.length}`);
  }
  const seen = new Map<string, number>();
  for (const [i, label] of labels.entries()) {
    const bytes = new TextEncoder().encode(label).byteLength;
    const known = seen.get(label);
    let got: string | undefined;
    if (label.trim() === '') got = 'an empty one';
    else if (bytes > MAX_BYTES) got = `${bytes} bytes`;
    else if (/[\p{Cc}\p{Surrogate}\ufffd]/u.test(label)) got = JSON.stringify(label);
    if (got) {
      throw new CompileError(
        `labels: label ${i}: expected 1 to ${MAX_BYTES} bytes of UTF-8 without control characters, got ${got}`,
      );
    }
    if (known !== undefined) {
      throw new CompileError(`labels: expected different names, got ${JSON.stringify(label)} for ${known} and ${i}`);
    }
    seen.set(label, i);
  }
}
