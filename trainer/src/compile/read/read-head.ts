import { evaluate, type Graph, GraphBuilder, inline, makeTensor, type Node, nodesOf, type Value } from '@whet/compiler';
import { CompileError } from './compile-error.js';

/** A classifier's own last layer: `logits = weight f + bias` of features `f [F]`. */
export interface SourceHead {
  /** Name of the layer's node. */
  readonly name: string;
  /** Two, no and yes, of a layer that makes one number for a sigmoid. */
  readonly classes: number;
  /** `[C, F]`, row by row. */
  readonly weight: Float32Array;
  /** `[C]`; zeros where the model has none. */
  readonly bias: Float32Array;
}

const shapeOnly = new Set(['Reshape', 'Flatten', 'Squeeze', 'Unsqueeze', 'Identity', 'Dropout']);
const elementwise = new Set(['Add', 'Sub', 'Mul', 'Div']);
const softmaxes = new Set(['Softmax', 'LogSoftmax']);

const nameOf = ({ op, name }: Node): string => `${op} "${name}"`;

function refuse(got: string): never {
  throw new CompileError(
    `head "keep": expected the features to go through one Gemm, MatMul or 1x1 Conv with constant weights to a softmax ` +
      `or straight to the output; got ${got}; take head "cosine"`,
  );
}

/** Entries of one image, where a value has one row for each. */
function rowLength({ shape }: Value): number | undefined {
  const [batch, ...rest] = shape;
  if (batch !== 'N' || !rest.every((dim) => typeof dim === 'number')) return undefined;
  return (rest as number[]).reduce((product, dim) => product * dim, 1);
}

/** `to` for rows of `from` that hold one number everywhere, `[rows, ...]`. */
function evaluateRows(from: Value, to: Value, rows: readonly number[]): Float64Array {
  const g = new GraphBuilder();
  const input = g.input('from', from.shape);
  const outputs = inline(g, { name: 'head', inputs: [from], outputs: new Map([['to', to]]) }, new Map([[from, input]]));
  const shape = [rows.length, ...(from.shape.slice(1) as number[])];
  const length = rowLength(from) as number;
  const data = Float64Array.from({ length: rows.length * length }, (_, i) => rows[Math.floor(i / length)] as number);
  const found = evaluate({ name: 'head', inputs: [input], outputs }, new Map([['from', makeTensor(shape, data)]]));
  return Float64Array.from(found.get('to')?.data ?? [], Number);
}

/** The layer's weight as rows `[C, F]`, without Gemm's alpha; undefined where the node is no such layer. */
function layerWeight({ op, inputs, attributes, output }: Node, features: Value): Float64Array | undefined {
  const constant = inputs[1]?.constant;
  if (inputs[0] !== features || constant?.dtype !== 'float32') return undefined;
  const { shape, data } = constant;
  const { transA, transB } = attributes as { transA?: 0 | 1; transB?: 0 | 1 };
  const length = rowLength(features);
  if (op === 'Conv') {
    const [classes, channels, ...kernel] = shape;
    const oneByOne = kernel.every((side) => side === 1) && channels === length && rowLength(output) === classes;
    return oneByOne ? Float64Array.from(data, Number) : undefined;
  }
  if ((op !== 'Gemm' && op !== 'MatMul') || transA || shape.length !== 2 || features.shape.length !== 2)
    return undefined;
  if (transB) return Float64Array.from(data, Number);
  const [rows, classes] = shape as [number, number];
  return Float64Array.from({ length: rows * classes }, (_, i) => {
    return Number(data[(i % rows) * classes + Math.floor(i / rows)]);
  });
}

/** Whether a Conv makes each place of its result of the same place of what it reads. */
function isPointwise({ op, inputs: [, weight], attributes }: Node): boolean {
  const { strides = [], pads = [], group = 1 } = attributes as { strides?: number[]; pads?: number[]; group?: number };
  const kernel = weight?.constant?.shape.slice(2) ?? [0];
  return op === 'Conv' && group === 1 && [...kernel, ...strides].every((n) => n === 1) && pads.every((n) => n === 0);
}

/** Whether a node makes one number of each channel of a map `[N, C, H, W]`: its mean. */
function isMeanOfMap({ op, inputs: [map, axes], attributes, output }: Node): boolean {
  const [, channels, ...sides] = map?.shape ?? [];
  if (sides.length !== 2 || rowLength(output) !== channels) return false;
  const { kernel_shape = [], pads = [] } = attributes as { kernel_shape?: number[]; pads?: number[] };
  if (op === 'AveragePool') return kernel_shape.join() === sides.join() && pads.every((n) => n === 0);
  const along = Array.from(axes?.constant?.data ?? [], (axis) => (Number(axis) + 4) % 4).sort();
  return op === 'GlobalAveragePool' || (op === 'ReduceMean' && along.join() === '2,3');
}

/**
 * The mean of what a convolution of 1x1 makes of a map, and its weight `[C, F]`; undefined where it is something else. Bundles take the mean
 * of the features before it: that makes the same.
 */
function layerOfMap(nodes: readonly Node[], layer: Node, features: Value) {
  const weight = layer.inputs[1]?.constant;
  const isMap = features.shape.slice(1).filter((dim) => dim !== 1).length > 1;
  if (layer.inputs[0] !== features || !isMap || !isPointwise(layer) || weight?.dtype !== 'float32') return undefined;
  const mean = readerOf(nodes, layer.output);
  return mean && isMeanOfMap(mean)
    ? { output: mean.output, weight: Float64Array.from(weight.data, Number) }
    : undefined;
}

/** The node that reads a value; undefined for an output. */
function readerOf(nodes: readonly Node[], value: Value): Node | undefined {
  const readers = nodes.filter(({ inputs }) => inputs.includes(value));
  if (readers.length > 1) refuse(`"${value.name}", which ${readers.map(nameOf).join(' and ')} read`);
  return readers[0];
}

/** Whether a Transpose leaves every row as it is: one axis beside the batch, at most, is longer than 1. */
const isUnmoved = ({ op, inputs: [from] }: Node): boolean =>
  op === 'Transpose' && (from?.shape.slice(1) ?? []).filter((dim) => dim !== 1).length <= 1;

const keepsRows = (node: Node): boolean => {
  const length = rowLength(node.output);
  const keeps = shapeOnly.has(node.op) || isUnmoved(node);
  return keeps && length !== undefined && length === rowLength(node.inputs[0] as Value);
};

/** A constant added to the logits, or multiplied, class by class. */
const isAffine = ({ op, inputs, output }: Node, value: Value): boolean =>
  elementwise.has(op) &&
  inputs.some((input) => input !== value && input?.constant) &&
  !(op === 'Div' && inputs[0] !== value) &&
  rowLength(output) === rowLength(value);

/** What stands between a convolution of a map and its mean, which makes it no layer of mean features. */
function insteadOfMean(nodes: readonly Node[], layer: Node): string {
  const next = isPointwise(layer) ? readerOf(nodes, layer.output) : undefined;
  return next ? ` of a map with ${nameOf(next)} behind it` : '';
}

/** Throws where what follows the logits is no softmax over the classes. */
function expectSoftmax(node: Node, layer: Node, logits: Value, classes: number): void {
  const { axis } = node.attributes as { axis?: number };
  if (node.op === 'Sigmoid') {
    refuse(
      `${nameOf(node)} after ${nameOf(layer)}: ${classes} classes that do not exclude each other, which a bundle has not`,
    );
  }
  const joined = node.inputs.filter((input) => input !== logits && input && !input.constant);
  if (joined.length > 0) {
    refuse(`${nameOf(node)}, which joins ${nameOf(layer)} and "${joined[0]?.name}": two heads`);
  }
  if (!softmaxes.has(node.op)) refuse(`${nameOf(node)} after ${nameOf(layer)}`);
  if (logits.shape.at(axis ?? 0) !== classes) {
    refuse(`${nameOf(node)} along axis ${axis} of ${JSON.stringify(logits.shape)}`);
  }
}

/**
 * Reads the layer that makes logits of `features`, with what is added and multiplied behind it, up to the model's
 * softmax, sigmoid of one number, or output. Throws {@link CompileError} naming the node that is something else.
 */
export function readHead(graph: Graph, features: Value): SourceHead {
  const nodes = nodesOf(graph.outputs.values());
  let at = features;
  let node = readerOf(nodes, at);
  while (node && keepsRows(node)) {
    at = node.output;
    node = readerOf(nodes, at);
  }
  const layer = node ?? refuse(`"${features.name}" as the model's output`);
  const own = layerWeight(layer, at);
  const averaged = own || at !== features ? undefined : layerOfMap(nodes, layer, at);
  const weight = own ?? averaged?.weight ?? refuse(`${nameOf(layer)}${insteadOfMean(nodes, layer)}`);
  const input = at;
  at = averaged?.output ?? layer.output;
  node = readerOf(nodes, at);
  while (node && (keepsRows(node) || isAffine(node, at))) {
    at = node.output;
    node = readerOf(nodes, at);
  }
  const rows = rowLength(at) as number;
  const logits = at;
  const binary = node?.op === 'Sigmoid' && rows === 1;
  if (node && !binary) expectSoftmax(node, layer, logits, rows);
  for (let after = node && readerOf(nodes, node.output); after; after = readerOf(nodes, after.output)) {
    if (!keepsRows(after)) refuse(`${nameOf(after)} after ${nameOf(node as Node)}`);
  }
  if (rows < 2 && !binary) refuse(`${nameOf(layer)} with ${rows} class`);
  const bias = evaluateRows(input, logits, [0]);
  // Both are affine for each class by itself: what stands at 1 less what stands at 0 is the factor.
  const behind = evaluateRows(layer.output, logits, [0, 1]);
  const { alpha = 1 } = layer.attributes as { alpha?: number };
  const length = weight.length / rows;
  const scaled = weight.map((value, i) => {
    const row = Math.floor(i / length);
    return value * alpha * ((behind[rows + row] as number) - (behind[row] as number));
  });
  // sigmoid(z) is the second of softmax(0, z).
  const before = (values: Float64Array, zeros: number) =>
    Float32Array.from([...new Array<number>(binary ? zeros : 0).fill(0), ...values]);
  return {
    name: layer.name,
    classes: binary ? 2 : rows,
    weight: before(scaled, length),
    bias: before(bias, 1),
  };
}
