import { BundleError } from './errors.js';
import { readFields, textOf } from './protobuf.js';

/** Where a graph says that values of its stand: bytes of a file beside it, to its end where `length` is NaN. */
export interface ExternalData {
  readonly location: string;
  readonly offset: number;
  readonly length: number;
}

/** How deep messages may stand in each other; graphs stand in attributes of nodes of graphs. */
const DEEPEST = 100;

/** Messages of onnx.proto on the way to a tensor's external data, and by which fields they lead on. */
const paths: Readonly<Record<string, Readonly<Record<number, string>>>> = {
  model: { 7: 'graph', 25: 'function' },
  function: { 7: 'node', 11: 'attribute' },
  graph: { 1: 'node', 5: 'tensor', 15: 'sparse' },
  node: { 5: 'attribute' },
  attribute: { 5: 'tensor', 6: 'graph', 10: 'tensor', 11: 'graph', 22: 'sparse', 23: 'sparse' },
  sparse: { 1: 'tensor', 2: 'tensor' },
  tensor: { 13: 'entry' },
};

/** What a graph is known by without a session of it. */
export interface GraphOutline {
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  /** Every value that it keeps in other files, wherever in it. */
  readonly external: readonly ExternalData[];
}

/** Reads an ONNX model's own bytes, without a decoder. Throws a RangeError where they are no protobuf message. */
function outlineOf(model: Uint8Array): GraphOutline {
  const external: ExternalData[] = [];
  /** Names in the outermost graph: of values that it has itself (5), of inputs (11), of outputs (12). */
  const names: Record<number, string[]> = { 5: [], 11: [], 12: [] };
  const visit = (kind: string, message: Uint8Array, depth: number): void => {
    if (depth > DEEPEST) throw new RangeError(`messages stand in each other more than ${DEEPEST} deep`);
    const entries: Record<string, string> = {};
    readFields(message, (number, bytes) => {
      if (kind === 'graph' && depth === 1 && names[number]) {
        readFields(bytes, (part, name) => part === (number === 5 ? 8 : 1) && names[number]?.push(textOf(name)));
      }
      const inner = paths[kind]?.[number];
      if (inner !== 'entry') {
        if (inner) visit(inner, bytes, depth + 1);
        return;
      }
      const texts = ['', '', ''];
      readFields(bytes, (part, value) => {
        texts[part] = textOf(value);
      });
      entries[texts[1] as string] = texts[2] as string;
    });
    const { location = '', offset = '0', length = 'NaN' } = entries;
    if (Object.keys(entries).length > 0) external.push({ location, offset: Number(offset), length: Number(length) });
  };
  visit('model', model, 0);
  const [own, inputs, outputs] = [names[5], names[11], names[12]] as [string[], string[], string[]];
  return { inputs: inputs.filter((name) => !own.includes(name)), outputs, external };
}

/**
 * A graph's tensors. Throws {@link BundleError} where it keeps values elsewhere than within the weights it is given: onnxruntime-node
 * would look for a file of that name on the machine. In a browser it has none to look for.
 */
export function checkOutline(model: Uint8Array, weights: ReadonlyMap<string, Uint8Array>): GraphOutline {
  const refuse = (reason: string, cause?: unknown): never => {
    throw new BundleError(reason, { cause });
  };
  let outline: GraphOutline;
  try {
    outline = outlineOf(model);
  } catch (cause) {
    return refuse(`not an ONNX model: ${(cause as Error).message}`, cause);
  }
  for (const { location, offset, length } of outline.external) {
    const size = weights.get(location)?.length;
    if (size === undefined) {
      const known = [...weights.keys()].map((name) => `"${name}"`).join(', ') || 'none';
      refuse(`external data: expected in weights of the manifest (${known}), got "${location}"`);
    } else if (!(offset >= 0 && offset <= size && !(offset + length > size) && !(length < 0))) {
      refuse(`external data: expected within the ${size} bytes of "${location}", got ${offset}, ${length} long`);
    }
  }
  return outline;
}
