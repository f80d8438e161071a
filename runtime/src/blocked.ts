import {
  ELEMENT,
  FIELD,
  intAttribute,
  intsAttribute,
  nodeField,
  opsetField,
  wholeNumbersField,
} from './onnx-message.js';
import { bytesField, joinBytes, numberIn, numbersIn, readFields, textOf } from './protobuf.js';

// onnxruntime computes a convolution fastest with channels in blocks of as many as a register of the processor holds, and brings those to it
// whose kernels are constants. Kernels that move are none: what does the same for them is written here.

/** onnxruntime's own operators on channels in blocks: `[N, C / block, H, W, block]`, which it takes for `[N, C, H, W]`. */
export const BLOCKED = { domain: 'com.microsoft.nchwc', version: 1 } as const;

/** A node, as far as it tells whether channels in blocks are for it. */
interface Operator {
  readonly name: string;
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
  let [name, type, domain] = ['', '', ''];
  const numbers = new Map<string, readonly number[]>();
  readFields(message, (number, content) => {
    if (number === FIELD.node.input) inputs.push(textOf(content));
    else if (number === FIELD.node.output) outputs.push(textOf(content));
    else if (number === FIELD.node.name) name = textOf(content);
    else if (number === FIELD.node.type) type = textOf(content);
    else if (number === FIELD.node.domain) domain = textOf(content);
    if (number !== FIELD.node.attribute) return;
    attributes.push(content);
    let attribute = '';
    const values: number[] = [];
    readFields(content, (part, inner, whole) => {
      if (part === FIELD.attribute.name) attribute = textOf(inner);
      else if (part === FIELD.attribute.ints || part === FIELD.attribute.int) values.push(...numbersIn(inner, whole));
    });
    numbers.set(attribute, values);
  });
  return { name, type, domain, inputs, outputs, numbers, attributes };
}

/** Name of a value, and its shape where it is declared as float32; NaN where a size is not known. */
function readValue(message: Uint8Array): [name: string, shape: number[] | undefined] {
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
  return [name, type === ELEMENT.float ? shape : undefined];
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
    this.fields.push(nodeField(type, inputs, [name], attributes, { domain }));
    return name;
  }

  numbers(values: readonly number[]): string {
    const name = `whet.blocked/${this.#count++}`;
    this.fields.push(wholeNumbersField(name, values));
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
    const exchanged = add.node('Transpose', [split], [intsAttribute('perm', [2, 0, 3, 1, 4])]);
    const backward = add.numbers(Array.from({ length: entries }, (_, entry) => entries - 1 - entry));
    ordered = add.node('Gather', [exchanged, backward], [intAttribute('axis', 2)]);
  } else {
    const rows = reorder([1, out, channels, entries]);
    const split = add.reshape(rows, [out / block, channels / block, block, entries, block]);
    ordered = add.node('Transpose', [split], [intsAttribute('perm', [0, 1, 3, 2, 4])]);
  }
  return add.reshape(ordered, [out, channels, ...size]);
}

/** Whole numbers that a graph has of its own, where they are few: shapes and axes. */
function wholeNumbersIn(raw: Uint8Array): number[] {
  if (raw.length % 8 > 0 || raw.length > 32) return [];
  const view = new DataView(raw.buffer, raw.byteOffset, raw.length);
  return Array.from({ length: raw.length / 8 }, (_, i) => Number(view.getBigInt64(8 * i, true)));
}

/** Operators whose output is of the type of their first input. */
const FLOAT_OF_FIRST = new Set(['Mul', 'Reshape', 'Transpose', 'Slice', 'ScatterElements', 'ScatterND']);

/** What is known of a graph's values before a run. */
class KnownValues {
  /** Of float32. */
  readonly #shapes = new Map<string, readonly number[]>();
  /** Also those of unknown shape. */
  readonly #floats = new Set<string>();
  /** Numbers that a graph has of its own, where they are whole and few; those that it computes of such are empty. */
  readonly #constants = new Map<string, readonly number[]>();

  constructor(graph: Uint8Array) {
    const given = new Set<string>();
    readFields(graph, (number, content) => {
      if (number === FIELD.graph.initializer) this.#readConstant(content);
      const isDeclared = [FIELD.graph.input, FIELD.graph.output, FIELD.graph.valueInfo].some((each) => each === number);
      if (!isDeclared) return;
      const [name, shape] = readValue(content);
      if (number === FIELD.graph.input) given.add(name);
      if (!shape) return;
      this.#floats.add(name);
      this.#shapes.set(name, shape);
    });
    // Of an input it is what a run takes where it is given nothing.
    for (const name of given) this.#constants.delete(name);
  }

  #readConstant(tensor: Uint8Array): void {
    let [name, type] = ['', 0];
    let values: readonly number[] = [];
    readFields(tensor, (part, content, whole) => {
      if (part === FIELD.tensor.name) name = textOf(content);
      else if (part === FIELD.tensor.dataType) type = numberIn(whole);
      else if (part === FIELD.tensor.raw) values = wholeNumbersIn(content);
    });
    this.#constants.set(name, type === ELEMENT.int64 ? values : []);
    if (type === ELEMENT.float) this.#floats.add(name);
  }

  /** The shape of a value that is no constant; undefined where no one knows it. */
  shapeOf(name: string): readonly number[] | undefined {
    return this.#constants.has(name) ? undefined : this.#shapes.get(name);
  }

  /** Learns what is computed of constants alone, and the shapes of kernels on their way to a convolution, which files of earlier versions do not declare. */
  infer(operator: Operator): void {
    const { inputs, outputs } = operator;
    const [output = ''] = outputs;
    const [of = ''] = inputs;
    const given = inputs.filter((input) => input !== '');
    const isConstant =
      given.length > 0 ? given.every((input) => this.#constants.has(input)) : operator.type === 'Constant';
    if (isConstant) {
      for (const each of outputs) this.#constants.set(each, []);
    }
    if (!FLOAT_OF_FIRST.has(operator.type) || !this.#floats.has(of)) return;
    this.#floats.add(output);
    const shape = this.#shapeAfter(operator);
    if (shape?.length === 4 && shape.every((dim) => dim > 1) && !this.#shapes.has(output)) {
      this.#shapes.set(output, shape);
    }
  }

  #shapeAfter({ type, inputs, numbers }: Operator): readonly number[] | undefined {
    const [shape, second] = inputs.map((name) => this.#shapes.get(name));
    const [, target = [], ends = [], axes = [], steps = []] = inputs.map((name) => this.#constants.get(name) ?? []);
    // By their scale, which adds no dimension that is not 1.
    if (type === 'Mul') return shape?.length === 4 ? shape : second;
    if (type === 'Reshape') return target;
    if (type === 'Transpose') return shape && numbers.get('perm')?.map((axis) => shape[axis] as number);
    // From the last entry to the first, and all of them.
    const isBackward =
      type === 'Slice' &&
      axes.length > 0 &&
      axes.every((axis, i) => {
        const last = (shape?.[axis] ?? Number.NaN) - 1;
        return steps[i] === -1 && (target[i] ?? 0) >= last && (ends[i] ?? 0) < -last - 1;
      });
    return isBackward ? shape : undefined;
  }
}

/**
 * A model whose convolutions, of kernels that a run computes or is given, are onnxruntime's of channels in blocks of `block`; the model itself
 * where there are none: the kernels' shape has to be known, and to have whole blocks of channels on both sides. Costs a copy of the kernels in
 * each run: for graphs that run on many images at once (docs/bench/blocked.md).
 */
export function blockConvolutions(model: Uint8Array, block: number): Uint8Array {
  const beside: Uint8Array[] = [];
  let graph = new Uint8Array();
  readFields(model, (number, content, whole) => {
    if (number === FIELD.model.graph) graph = content as Uint8Array<ArrayBuffer>;
    else beside.push(whole);
  });
  const known = new KnownValues(graph);
  const fields: Uint8Array[] = [];
  const ordered = new Map<string, string>();
  const reordered = new Map<string, string>();
  const add = new Additions();
  readFields(graph, (number, content, whole) => {
    const operator = number === FIELD.graph.node ? readOperator(content) : undefined;
    if (operator) known.infer(operator);
    const [images = '', weight = '', ...bias] = operator?.inputs ?? [];
    const shape = known.shapeOf(weight);
    const kernels = operator && shape && kernelsOf(operator, shape, block);
    if (!kernels) {
      fields.push(whole);
      return;
    }
    const { turned, out, size, pads } = kernels;
    const key = `${turned} ${weight}`;
    const filter = ordered.get(key) ?? blockKernels(add, weight, block, kernels);
    ordered.set(key, filter);
    const blocks = reordered.get(images) ?? add.node('ReorderInput', [images], [], BLOCKED.domain);
    reordered.set(images, blocks);
    const attributes = turned
      ? [intsAttribute('kernel_shape', size), intsAttribute('pads', pads)]
      : operator.attributes;
    const given = bias.filter((name) => name !== '');
    const convolved = add.node('Conv', [blocks, filter, ...given], attributes, BLOCKED.domain);
    fields.push(...add.fields.splice(0));
    const back = [intAttribute('channels', out)];
    const { domain } = BLOCKED;
    fields.push(nodeField('ReorderOutput', [convolved], operator.outputs, back, { domain, name: operator.name }));
  });
  if (ordered.size === 0) return model;
  return joinBytes([...beside, opsetField(BLOCKED.domain, BLOCKED.version), bytesField(FIELD.model.graph, fields)]);
}
