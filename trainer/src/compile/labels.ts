import { labelKey, labelProblem, sameLabels } from '@whet/runtime/format';
import { CompileError } from './read/compile-error.js';

type Json = Readonly<Record<string, unknown>>;

const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Members of a larger file (Hugging Face's `config.json`, for one) that hold the names. */
const MEMBERS = ['id2label', 'label2id', 'class_indices', 'labels', 'names', 'classes'];
const BY_NAME = new Set(['label2id', 'class_indices']);

/** Of a class as Keras lists it, `["n02121808", "cat"]`, the name. */
const nameOf = (item: unknown): unknown => (Array.isArray(item) && item.length === 2 ? item[1] : item);

/** Places names by their indices; throws where these are not 0, 1, 2, ... each once. */
function placed(entries: readonly (readonly [key: string, index: string, name: unknown])[], where: string): unknown[] {
  const list = new Map<number, unknown>();
  const last = entries.length - 1;
  for (const [key, index, name] of entries) {
    const at = /^(0|[1-9]\d*)$/.test(index) ? Number(index) : Number.NaN;
    if (!(at <= last)) {
      const got = key === index ? JSON.stringify(key) : `${index} for ${JSON.stringify(key)}`;
      throw new CompileError(`${where}: expected the indices 0 to ${last}, each once, got ${got}`);
    }
    if (list.has(at)) {
      const names = [list.get(at), name].map((one) => JSON.stringify(one)).join(' and ');
      throw new CompileError(`${where}: expected the indices 0 to ${last}, each once, got ${at} for ${names}`);
    }
    list.set(at, name);
  }
  return entries.map((_, at) => list.get(at));
}

const isIndex = (value: unknown): boolean =>
  Number.isInteger(value) || (typeof value === 'string' && /^\d+$/.test(value));

/**
 * From index to name, as `{"0": "cat"}` or Keras's `{"0": ["n02121808", "cat"]}`, or from name to index, as `{"cat": 0}`
 * or `{"cat": "0"}`. Names may be digits: `isByName` tells where the keys are as well.
 */
function fromObject(object: Json, where: string, isByName: boolean): unknown[] {
  const entries = Object.entries(object);
  const areNames = isByName || entries.some(([key, value]) => !isIndex(key) || Number.isInteger(value));
  if (entries.length > 0 && areNames && entries.every(([, value]) => isIndex(value))) {
    return placed(
      entries.map(([name, index]) => [name, String(index), name]),
      where,
    );
  }
  return placed(
    entries.map(([index, name]) => [index, index, name]),
    where,
  );
}

function fromJson(text: string, where: string): unknown[] {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new CompileError(`${where}: starts as JSON and is not: ${(cause as Error).message}`, { cause });
  }
  if (isObject(json)) {
    const object = json;
    const member = MEMBERS.find((name) => typeof object[name] === 'object' && object[name] !== null);
    if (member !== undefined) return fromParsed(object[member], `${where}: ${member}`, BY_NAME.has(member));
  }
  return fromParsed(json, where);
}

const fromParsed = (json: unknown, where: string, isByName = false): unknown[] =>
  Array.isArray(json) ? json : fromObject(json as Json, where, isByName);

/** A first line of several that JSON may have. */
const STARTS = /^(\[\s*($|["[{\]\d-]|(true|false|null)\b)|\{\s*($|["}]))/;

/** UTF-8, or UTF-16 by its byte order mark or, where it has none, by its zeros. */
function decode(bytes: Uint8Array, where: string): string {
  const [first, second] = bytes;
  const isBig = (first === 0xfe && second === 0xff) || (first === 0 && second !== 0);
  const isLittle = (first === 0xff && second === 0xfe) || (first !== 0 && second === 0);
  const encoding = isBig ? 'utf-16be' : isLittle ? 'utf-16le' : 'utf-8';
  try {
    return new TextDecoder(encoding, { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new CompileError(`${where}: expected text in UTF-8 or UTF-16, got bytes that are not ${encoding}`, { cause });
  }
}

/**
 * Class names out of a file: one a line, or a JSON array, or a JSON object from index to name (`id2label`, Keras's
 * class index) or from name to index (`label2id`, `class_indices`), or an object that has one of these.
 * `where` stands in messages. Throws {@link CompileError}.
 */
export function parseLabels(bytes: Uint8Array, where: string): string[] {
  const bare = decode(bytes, where).trim();
  const lines = bare === '' ? [] : bare.split(/\r\n|\n|\r/).map((line) => line.trim());
  const [first = ''] = lines;
  // A name may stand in brackets, as the [PAD] of a vocabulary.
  const isJson = /^[[{]/.test(first) && (lines.length === 1 || STARTS.test(first));
  const items = isJson ? fromJson(bare, where).map(nameOf) : lines;
  const bad = items.findIndex((item) => typeof item !== 'string');
  if (bad >= 0) throw new CompileError(`${where}: label ${bad}: expected text, got ${JSON.stringify(items[bad])}`);
  return items as string[];
}

/** The same labels, where those that another has been before them end in a number: `crane`, `crane (2)`. */
export function numberDuplicates(labels: readonly string[]): string[] {
  const taken = new Set(labels.map(labelKey));
  const seen = new Set<string>();
  return labels.map((label) => {
    let name = label;
    for (let n = 2; seen.has(labelKey(name)) || (name !== label && taken.has(labelKey(name))); n++) {
      name = `${label} (${n})`;
    }
    seen.add(labelKey(name));
    return name;
  });
}

/** Throws {@link CompileError} where labels are not one different, printable name for each of `classes`. */
export function checkLabels(labels: readonly string[], classes: number): void {
  if (labels.length !== classes) {
    throw new CompileError(`labels: expected ${classes}, one for each class of the model, got ${labels.length}`);
  }
  for (const [i, label] of labels.entries()) {
    const problem = labelProblem(label);
    if (problem) throw new CompileError(`labels: label ${i}: ${problem}`);
  }
  const same = sameLabels(labels);
  if (!same) return;
  const names = [...new Set(same.map((i) => JSON.stringify(labels[i])))].join(' and ');
  throw new CompileError(
    `labels: expected different names, got ${names} for ${same.join(' and ')}; --number-duplicates tells them apart`,
  );
}
