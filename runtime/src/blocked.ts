import { ATTRIBUTE, FLOAT, GRAPH, int, ints, MODEL, NODE, node, opset, TENSOR, wholeNumbers } from './onnx-message.js';
import { bytesField, joinBytes, numberIn, numbersIn, readFields, textOf } from './protobuf.js';

// onnxruntime computes a convolution fastest with channels in blocks of as many as a register of the processor holds, and brings those to it
// whose kernels are constants. Kernels that move are none: what does the same for them is written here.

/** onnxruntime's own operators on channels in blocks: `[N, C / block, H, W, block]`, which it takes for `[N, C, H, W]`. */
export const BLOCKED = { domain: 'com.microsoft.nchwc', version: 1 } as const;

/** A node, as far as it tells whether channels in blocks are for it. */
interface Operator {
  readonly type: string;
  readonly domain: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  /** Attributes of whole numbers, and as they stand in the file. */
  readonly numbers: ReadonlyMap<string, readonly number[]>;
  readonly attributes: readonly Uint8Array[];
}

function readOperator(message: Uint8Array): Operator {
  const [inputs, outputs, attributes]: [string[], string[], Uint8Array[]] = [[], [], []];
  let [type, domain] = ['', ''];
  const numbers = new Map<string, readonly number[]>();
  readFields(message, (number, content) => {
    if (number === NODE.input) inputs.push(textOf(content));
    else if (number === NODE.output) outputs.push(textOf(content));
    else if (number === NODE.type) type = textOf(content);
    else if (number === NODE.domain) domain = textOf(content);
    if (number !== NODE.attribute) return;
    attributes.push(content);
    let name = '';
    const values: number[] = [];
    readFields(content, (part, inner, whole) => {
      if (part === ATTRIBUTE.name) name = textOf(inner);
      else if (part === ATTRIBUTE.ints || part === ATTRIBUTE.int) values.push(...numbersIn(inner, whole));
    });
    numbers.set(name, values);
  });
  return { type, domain, inputs, outputs, numbers, attributes };
}

/** Name and shape of a value that is declared as float32 of known size. */
function readShape(message: Uint8Array): [name: string, shape: number[]] | undefined {
  let [name, type] = ['', 0];
  const shape: number[] = [];
  readFields(message, (number, content) => {
    if (number === 1) name = textOf(content);
    // Of a TypeProto the tensor, of its shape the dimensions.
    else if (number === 2) {
      readFields(content, (kind, tensor) => {
        if (kind !== 1) return;
        readFields(tensor, (part, inner, whole) => {
          if (part === 1) type = numberIn(whole);
          else if (part === 2) {
            readFields(inner, (_, dim) => {
              let size = Number.NaN;
              readFields(dim, (which, __, field) => {
                if (which === 1) size = numberIn(field);
              });
              shape.push(size);
            });
          }
        });
      });
    }
  });
  return type === FLOAT ? [name, shape] : undefined;
}

/** Kernels `[O, I, height, width]` of a convolution, or of a transposed one that is a convolution with its kernels turned around. */
interface Kernels {
  readonly turned: boolean;
  readonly out: number;
  readonly channels: number;
  readonly size: readonly [height: number, width: number];
  /** Of the convolution. */
  readonly pads: readonly number[];
}

/**
 * Kernels of more values take longer to be copied than blocks save, where images are few or small; those of one entry, whose convolutions are products
 * of matrices, always do (docs/bench/blocked.md).
 */
const LARGEST = 2 ** 20;

/** The kernels of a node that channels in blocks are for. */
function kernelsOf({ type, domain, numbers }: Operator, shape: readonly number[], block: number): Kernels | undefined {
  const turned = type === 'ConvTranspose';
  if (domain !== '' || !(turned || type === 'Conv')) return undefined;
  const [first, second, height, width] = shape as [number, number, number, number];
  const [out, channels] = turned ? [second, first] : [first, second];
  const given = (name: string, otherwise: number) => numbers.get(name) ?? [otherwise];
  const own = numbers.get('pads') ?? [0, 0, 0, 0];
  const pads = turned ? own.map((pad, side) => (side % 2 === 0 ? height : width) - 1 - pad) : own;
  const known = ['kernel_shape', 'strides', 'pads', 'dilations', 'group', ...(turned ? ['output_padding'] : [])];
  const areUnit = turned ? ['strides', 'dilations', 'group'] : ['group'];
  const fits =
    shape.length === 4 &&
    height * width > 1 &&
    shape.reduce((product, dim) => product * dim, 1) <= LARGEST &&
    [out, channels].every((count) => count % block === 0) &&
    [...numbers.keys()].every((name) => known.includes(name)) &&
    areUnit.every((name) => given(name, 1).every((each) => each === 1)) &&
    given('output_padding', 0).every((each) => each === 0) &&
    pads.length === 4 &&
    pads.every((pad) => pad >= 0 && pad < 2 ** 31);
  return fits ? { turned, out, channels, size: [height, width], pads } : undefined;
}

/** What is added to a graph, under names that are its own. */
class Additions {
  readonly fields: Uint8Array[] = [];
  #count = 0;

  node(type: string, inputs: readonly string[], attributes: readonly Uint8Array[] = [], domain = ''): string {
    const name = `whet.blocked/${this.#count++}`;
    this.fields.push(node(type, inputs, [name], attributes, domain));
    return name;
  }

  numbers(values: readonly number[]): string {
    const name = `whet.blocked/${this.#count++}`;
    this.fields.push(wholeNumbers(name, values));
    return name;
  }

  reshape(from: string, shape: readonly number[]): string {
    return this.node('Reshape', [from, this.numbers(shape)]);
  }
}

/**
 * Kernels in the order that convolutions in blocks take them in: `[O / block, I / block, height, width, block, block]`, outputs innermost. Each
 * copy is of rows of a block.
 */
function blockKernels(add: Additions, kernels: string, block: number, of: Kernels): string {
  const { turned, out, channels, size } = of;
  const entries = size[0] * size[1];
  const reorder = (shape: readonly number[]) =>
    add.node('ReorderInput', [add.reshape(kernels, shape)], [], BLOCKED.domain);
  let ordered: string;
  if (turned) {
    const rows = reorder([channels, out, 1, entries]);
    const split = add.reshape(rows, [channels / block, block, out / block, entries, block]);
    const exchanged = add.node('Transpose', [split], [ints('perm', [2, 0, 3, 1, 4])]);
    const backward = add.numbers(Array.from({ length: entries }, (_, entry) => entries - 1 - entry));
    ordered = add.node('Gather', [exchanged, backward], [int('axis', 2)]);
  } else {
    const rows = reorder([1, out, channels, entries]);
    const split = add.reshape(rows, [out / block, channels / block, block, entries, block]);
    ordered = add.node('Transpose', [split], [ints('perm', [0, 1, 3, 2, 4])]);
  }
  return add.reshape(ordered, [out, channels, ...size]);
}

/**
 * A model whose convolutions, of kernels that a run computes or is given, are onnxruntime's of channels in blocks of `block`; the model itself
 * where there are none: kernels have to be declared with their shape, as an input or a value within, and to have whole blocks of channels on both
 * sides. Costs a copy of the kernels in each run: for graphs that run on many images at once (docs/bench/blocked.md).
 */
export function blockConvolutions(model: Uint8Array, block: number): Uint8Array {
  const beside: Uint8Array[] = [];
  let graph = new Uint8Array();
  readFields(model, (number, content, whole) => {
    if (number === MODEL.graph) graph = content as Uint8Array<ArrayBuffer>;
    else beside.push(whole);
  });
  const shapes = new Map<string, readonly number[]>();
  const constants = new Set<string>();
  readFields(graph, (number, content) => {
    if (number === GRAPH.initializer) {
      readFields(content, (part, name) => {
        if (part === TENSOR.name) constants.add(textOf(name));
      });
    } else if (number === GRAPH.input || number === GRAPH.valueInfo) {
      const declared = readShape(content);
      if (declared) shapes.set(...declared);
    }
  });
  // Most graphs have none: nothing else of them is read.
  if (![...shapes.values()].some(({ length }) => length === 4)) return model;
  const fields: Uint8Array[] = [];
  const ordered = new Map<string, string>();
  const add = new Additions();
  readFields(graph, (number, content, whole) => {
    const operator = number === GRAPH.node ? readOperator(content) : undefined;
    const [images = '', weight = '', ...bias] = operator?.inputs ?? [];
    const shape = constants.has(weight) ? undefined : shapes.get(weight);
    const kernels = operator && shape && kernelsOf(operator, shape, block);
    if (!kernels) {
      fields.push(whole);
      return;
    }
    const { turned, out, size, pads } = kernels;
    const key = `${turned} ${weight}`;
    const filter = ordered.get(key) ?? blockKernels(add, weight, block, kernels);
    ordered.set(key, filter);
    const blocks = add.node('ReorderInput', [images], [], BLOCKED.domain);
    const attributes = turned ? [ints('kernel_shape', size), ints('pads', pads)] : operator.attributes;
    const given = bias.filter((name) => name !== '');
    const convolved = add.node('Conv', [blocks, filter, ...given], attributes, BLOCKED.domain);
    fields.push(...add.fields.splice(0));
    const back = [int('channels', out)];
    fields.push(node('ReorderOutput', [convolved], operator.outputs, back, BLOCKED.domain));
  });
  if (ordered.size === 0) return model;
  return joinBytes([...beside, opset(BLOCKED.domain, BLOCKED.version), bytesField(MODEL.graph, fields)]);
}
