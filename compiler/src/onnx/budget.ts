import protobuf from 'protobufjs';
import { OnnxError } from './errors.js';

/** What a file may hold. The largest classifiers have a fifth of it; more is refused before it is decoded. */
const MOST = {
  nodes: 50_000,
  initializers: 100_000,
  'described values': 200_000,
  'inputs and outputs of nodes': 500_000,
  attributes: 500_000,
  'integers in lists': 2 ** 22,
  'entries about the model': 100_000,
} as const;

type Counted = keyof typeof MOST;

interface Field {
  /** What one of it counts as; of packed integers, each of them. */
  readonly counts?: Counted;
  readonly within?: keyof typeof messages;
  readonly packed?: true;
}

/** Fields of the format that a few bytes can make many of, by message and number. */
const messages = {
  ModelProto: {
    7: { within: 'GraphProto' },
    8: { counts: 'entries about the model' },
    14: { counts: 'entries about the model' },
    25: { counts: 'entries about the model', within: 'FunctionProto' },
  },
  FunctionProto: {
    4: { counts: 'inputs and outputs of nodes' },
    5: { counts: 'inputs and outputs of nodes' },
    6: { counts: 'attributes' },
    7: { counts: 'nodes', within: 'NodeProto' },
    11: { counts: 'attributes', within: 'AttributeProto' },
    12: { counts: 'described values' },
  },
  GraphProto: {
    1: { counts: 'nodes', within: 'NodeProto' },
    5: { counts: 'initializers', within: 'TensorProto' },
    11: { counts: 'described values' },
    12: { counts: 'described values' },
    13: { counts: 'described values' },
    14: { counts: 'described values' },
    15: { counts: 'initializers' },
  },
  NodeProto: {
    1: { counts: 'inputs and outputs of nodes' },
    2: { counts: 'inputs and outputs of nodes' },
    5: { counts: 'attributes', within: 'AttributeProto' },
  },
  AttributeProto: {
    5: { within: 'TensorProto' },
    6: { within: 'GraphProto' },
    8: { counts: 'integers in lists', packed: true },
    9: { counts: 'attributes' },
    10: { counts: 'initializers', within: 'TensorProto' },
    11: { within: 'GraphProto' },
  },
  TensorProto: {
    1: { counts: 'integers in lists', packed: true },
    5: { counts: 'integers in lists', packed: true },
    6: { counts: 'attributes' },
    7: { counts: 'integers in lists', packed: true },
    11: { counts: 'integers in lists', packed: true },
    13: { counts: 'entries about the model' },
  },
} as const satisfies Readonly<
  Record<string, Readonly<Record<number, { counts?: Counted; within?: string; packed?: true }>>>
>;

const LENGTH_DELIMITED = 2;

/** Messages deeper than this are left to those who decode them, who take no graphs so deep. */
const DEEPEST = 64;

/** Integers end with the one byte that has no continuation bit. */
function packedIntegers(bytes: Uint8Array, from: number, to: number): number {
  let count = 0;
  for (let i = from; i < to; i++) if ((bytes[i] as number) < 0x80) count++;
  return count;
}

/**
 * The nodes of a model, those inside others among them, counted without decoding it. Throws {@link OnnxError} where that is more than a classifier has: a
 * node takes a few bytes of a file and a thousand times that once it is read. Says nothing of bytes that are no model.
 */
export function countNodes(file: Uint8Array): number {
  const counts = new Map<Counted, number>();
  const count = (what: Counted, more: number) => {
    const total = (counts.get(what) ?? 0) + more;
    if (total > MOST[what]) throw new OnnxError(`the model has more than ${MOST[what]} ${what}: expected fewer`);
    counts.set(what, total);
  };
  const walk = (bytes: Uint8Array, message: keyof typeof messages, depth: number) => {
    const reader = protobuf.Reader.create(bytes);
    const fields: Readonly<Record<number, Field>> = messages[message];
    while (reader.pos < reader.len) {
      const tag = reader.uint32();
      const field = fields[tag >>> 3];
      if (!field) {
        reader.skipType(tag & 7);
        continue;
      }
      if ((tag & 7) !== LENGTH_DELIMITED) {
        reader.skipType(tag & 7);
        if (field.counts) count(field.counts, 1);
        continue;
      }
      const length = reader.uint32();
      const from = reader.pos;
      reader.skip(length);
      if (field.counts) count(field.counts, field.packed ? packedIntegers(bytes, from, from + length) : 1);
      if (field.within && depth < DEEPEST) walk(bytes.subarray(from, from + length), field.within, depth + 1);
    }
  };
  try {
    walk(file, 'ModelProto', 0);
  } catch (error) {
    // Who decodes the bytes says what is wrong with them.
    if (error instanceof OnnxError) throw error;
  }
  return counts.get('nodes') ?? 0;
}
