import { BundleError } from './errors.js';

/** Where a graph says that values of its stand. */
export interface ExternalData {
  readonly location: string;
  readonly offset: number;
  /** To the end of the file where absent. */
  readonly length: number | undefined;
}

/** How deep messages may stand in each other; graphs stand in attributes of nodes of graphs. */
const DEEPEST = 100;

/** Kinds of messages of onnx.proto on the way to a tensor's external data, and the fields that lead on. */
const paths = {
  model: { 7: 'graph', 25: 'function' },
  function: { 7: 'node', 11: 'attribute' },
  graph: { 1: 'node', 5: 'tensor', 15: 'sparse' },
  node: { 5: 'attribute' },
  attribute: { 5: 'tensor', 6: 'graph', 10: 'tensor', 11: 'graph', 22: 'sparse', 23: 'sparse' },
  sparse: { 1: 'tensor', 2: 'tensor' },
  tensor: { 13: 'entry' },
} as const satisfies Readonly<Record<string, Readonly<Record<number, string>>>>;
type Kind = keyof typeof paths;

interface Field {
  readonly number: number;
  readonly varint: number;
  /** Of a field with a length; otherwise empty. */
  readonly bytes: Uint8Array;
}

/** The fields of a protobuf message, in their order. Throws a RangeError where it is damaged. */
function* fieldsOf(message: Uint8Array): Generator<Field> {
  let at = 0;
  const varint = (): number => {
    let value = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      const byte = message[at++];
      if (byte === undefined) throw new RangeError('it ends within a number');
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
    throw new RangeError('a number of more than 10 bytes');
  };
  while (at < message.length) {
    const tag = varint();
    const wire = tag & 7;
    const [number, none] = [Math.floor(tag / 8), message.subarray(0, 0)];
    if (wire === 0) yield { number, varint: varint(), bytes: none };
    else {
      const length = wire === 2 ? varint() : wire === 1 ? 8 : wire === 5 ? 4 : -1;
      if (length < 0) throw new RangeError(`fields of wire type ${wire}`);
      if (at + length > message.length) throw new RangeError('a field that is longer than its message');
      yield { number, varint: 0, bytes: message.subarray(at, at + length) };
      at += length;
    }
  }
}

/** What a `StringStringEntryProto` says. */
function entryOf(message: Uint8Array): [key: string, value: string] {
  const entry: [string, string] = ['', ''];
  for (const { number, bytes } of fieldsOf(message)) {
    if (number === 1 || number === 2) entry[number - 1] = new TextDecoder().decode(bytes);
  }
  return entry;
}

function visit(kind: Kind, message: Uint8Array, found: ExternalData[], depth: number): void {
  if (depth > DEEPEST) throw new RangeError(`messages stand in each other more than ${DEEPEST} deep`);
  const next: Readonly<Record<number, Kind | 'entry'>> = paths[kind];
  const entries = new Map<string, string>();
  for (const { number, bytes } of fieldsOf(message)) {
    const inner = next[number];
    if (inner === 'entry') {
      const [key, value] = entryOf(bytes);
      entries.set(key, value);
    } else if (inner) visit(inner, bytes, found, depth + 1);
  }
  if (entries.size === 0) return;
  const length = entries.get('length');
  found.push({
    location: entries.get('location') ?? '',
    offset: Number(entries.get('offset') ?? 0),
    length: length === undefined ? undefined : Number(length),
  });
}

/**
 * Every value that an ONNX model keeps in other files, wherever in it: read from the file's own bytes, without a
 * decoder. Throws a RangeError where they are no protobuf message.
 */
export function externalDataOf(model: Uint8Array): ExternalData[] {
  const found: ExternalData[] = [];
  visit('model', model, found, 0);
  return found;
}

/**
 * Throws {@link BundleError} where a graph keeps values elsewhere than within the bundle's weights: onnxruntime would look for
 * a file of that name on the machine.
 */
export function checkExternalData(path: string, model: Uint8Array, weights: ReadonlyMap<string, Uint8Array>): void {
  let found: ExternalData[];
  try {
    found = externalDataOf(model);
  } catch (cause) {
    throw new BundleError(`${path}: not an ONNX model: ${(cause as Error).message}`, { cause });
  }
  for (const { location, offset, length } of found) {
    const file = weights.get(location);
    if (!file) {
      const known = [...weights.keys()].map((name) => `"${name}"`).join(', ') || 'none';
      throw new BundleError(
        `${path}: external data: expected in weights of the manifest (${known}), got "${location}"`,
      );
    }
    const end = offset + (length ?? 0);
    const inside = Number.isSafeInteger(offset) && Number.isSafeInteger(end) && offset >= 0 && end >= offset;
    if (!inside || end > file.length) {
      throw new BundleError(
        `${path}: external data: expected within the ${file.length} bytes of "${location}", got ${offset} to ${end}`,
      );
    }
  }
}
