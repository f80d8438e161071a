import protobuf from 'protobufjs';
import { firstOf, OnnxError } from './errors.js';
import { decodeInner } from './inner-graphs.js';
import type { GraphMessage, ModelMessage } from './messages.js';
import { differenceOf, KNOWN_OPSETS } from './operator-versions.js';
import { opsetOf } from './rewriting.js';
import { onnxMessage } from './schema.js';

/** Fields of the message of a model. */
const IR_VERSION = 1;
const OPSET_IMPORT = 8;

/** The first operator set of each IR version from 7 on, by onnx's table of versions. */
const FIRST_OPSETS = [13, 15, 19, 21, 23, 24, 26, 28];
const leastIrOf = (opset: number): number => 6 + FIRST_OPSETS.filter((first) => first <= opset).length;

/** Operators of ONNX's own that a graph and those inside it apply. */
function operatorsOf(graph: GraphMessage, depth = 1): string[] {
  return graph.node.flatMap((node) => [
    ...(node.domain ? [] : [node.opType ?? '']),
    ...(node.attribute ?? []).flatMap(({ g, graphs }) =>
      [...(g?.length ? [g] : []), ...(graphs ?? [])].flatMap((bytes) =>
        operatorsOf(decodeInner(node, bytes, depth), depth + 1),
      ),
    ),
  ]);
}

/** What an opset and an IR version may be asked to be. */
export interface OnnxVersions {
  /** Of ONNX's own operators; the model's when absent. */
  readonly opset?: number;
  /** Of the file format; what goes with the operator set when absent. */
  readonly ir?: number;
}

/**
 * A model that declares another operator set or IR version. Every operator must be the same in both sets, as the schemas of onnx have
 * them, but for what a later one adds: nothing is rewritten. Throws {@link OnnxError} naming those that are not.
 */
export function withVersions(model: Uint8Array, { opset, ir }: OnnxVersions): Uint8Array {
  const message = onnxMessage('ModelProto').decode(model) as unknown as ModelMessage;
  const from = opsetOf(message);
  const to = opset ?? from;
  const { from: least, to: most } = KNOWN_OPSETS;
  if (to < least || to > most) throw new OnnxError(`opset: expected ${least} to ${most}, got ${to}`);
  if (to !== from && message.functions.length > 0) {
    throw new OnnxError(`opset: expected ${from}, as the model has functions of its own, got ${to}`);
  }
  const operators = to === from ? [] : [...new Set(operatorsOf(message.graph as GraphMessage))].sort();
  const other = operators.flatMap((op) => {
    const difference = differenceOf(op, from, to);
    return difference === undefined ? [] : [`${op}, ${difference}`];
  });
  if (other.length > 0) {
    throw new OnnxError(`opset ${to}: expected operators that are as in ${from}, got ${firstOf(other).join('; ')}`);
  }
  const leastIr = leastIrOf(to);
  const version = ir ?? (opset === undefined ? Number(message.irVersion) : leastIr);
  if (version < leastIr) throw new OnnxError(`ir: expected ${leastIr} or more for opset ${to}, got ${version}`);
  return rewritten(model, to, version);
}

/** The bytes of a model with other numbers; all else is copied. */
function rewritten(model: Uint8Array, opset: number, ir: number): Uint8Array {
  const type = onnxMessage('ModelProto');
  const isOwn = (field: Uint8Array): boolean => {
    const { opsetImport } = type.decode(field) as unknown as ModelMessage;
    return ['', 'ai.onnx'].includes(opsetImport[0]?.domain ?? '');
  };
  const parts = [type.encode(type.create({ irVersion: ir, opsetImport: [{ domain: '', version: opset }] })).finish()];
  const reader = protobuf.Reader.create(model);
  while (reader.pos < reader.len) {
    const start = reader.pos;
    const tag = reader.uint32();
    reader.skipType(tag & 7);
    const field = model.subarray(start, reader.pos);
    const number = tag >>> 3;
    if (number !== IR_VERSION && !(number === OPSET_IMPORT && isOwn(field))) parts.push(field);
  }
  const bytes = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}
