import {
  decodeTensor,
  type ExternalReader,
  type OnnxAttribute,
  type OnnxNode,
  type OnnxTensor,
  readInnerGraph,
} from '@whet/compiler';
import { CompileError } from './compile-error.js';
import { entryPlace, expectFinite } from './finite-weights.js';
import type { NodeGraph } from './node-graph.js';

/** Element types of floating point: float, float16, double, bfloat16. */
const floats = new Set([1, 10, 11, 16]);
/** What multiplies by its constants, so that an infinite one leaves no number. */
const layers = /Conv|Gemm|MatMul|Normalization|Quantize|QLinear|Integer|^PRelu$/;
/** Moves and keeps values, so that what it makes of a tensor is that tensor. */
const keeping = new Set(['Identity', 'Cast']);

type Tensors = ReadonlyMap<string, OnnxTensor>;

const scalars = (name: string, dims: readonly number[], floatData: readonly number[]): OnnxTensor => ({
  name,
  dims,
  dataType: 1,
  floatData,
  int32Data: [],
  int64Data: [],
  doubleData: [],
  uint64Data: [],
});

/** The tensor that a Constant makes; undefined for text and whole numbers. */
function constantOf({ op, outputs: [name = ''], attributes }: OnnxNode): OnnxTensor | undefined {
  if (op !== 'Constant') return undefined;
  const [value] = [...attributes.values()];
  if (value?.kind === 'tensor') return { ...value.value, name };
  if (value?.kind === 'float') return scalars(name, [], [value.value]);
  return value?.kind === 'floats' ? scalars(name, [value.value.length], value.value) : undefined;
}

/** Known tensors of a graph: its own, what its Constants make, and what hands these on. */
function tensorsAround(nodes: readonly OnnxNode[], initializers: Iterable<OnnxTensor>, outer?: Tensors): Tensors {
  const found = new Map(outer);
  for (const tensor of initializers) found.set(tensor.name, tensor);
  for (const node of nodes) {
    const tensor = keeping.has(node.op) ? found.get(node.inputs[0] ?? '') : constantOf(node);
    if (tensor && node.outputs[0]) found.set(node.outputs[0], tensor);
  }
  return found;
}

function expectAttributes({ op, name, attributes }: OnnxNode): void {
  const numbersOf = ({ kind, value }: OnnxAttribute) =>
    kind === 'float' ? [value] : kind === 'floats' ? [...value] : [];
  for (const [key, attribute] of attributes) {
    if (!numbersOf(attribute).some(Number.isNaN)) continue;
    throw new CompileError(`${op} "${name}": expected numbers in "${key}", got NaN`);
  }
}

/** Throws where a BatchNormalization takes the root of less than zero. */
function expectVariance({ op, outputs, attributes }: OnnxNode, name: string, values: ArrayLike<number>): void {
  const [epsilon, training] = [attributes.get('epsilon'), attributes.get('training_mode')];
  const own = training?.value === 1 || outputs.filter((output) => output !== '').length > 1;
  if (op !== 'BatchNormalization' || own) return;
  const added = epsilon?.kind === 'float' ? epsilon.value : 1e-5;
  const at = Array.from(values).findIndex((value) => value + added <= 0);
  if (at < 0) return;
  throw new CompileError(
    `variance "${name}": expected numbers of at least 0, got ${values[at]}${entryPlace(at, [values.length])}`,
  );
}

/**
 * Throws {@link CompileError} naming a tensor that some of the nodes read, or a graph inside them, and that leaves no
 * number of any image: one that holds NaN, an infinite weight, a variance below zero. An infinity may stand where it is
 * added to more than one axis, or chosen, as in the mask of an attention. `checked` is known to be finite.
 */
export function expectFiniteTensors(
  graph: NodeGraph,
  nodes: ReadonlySet<OnnxNode>,
  image: string,
  checked: ReadonlySet<string>,
  external: ExternalReader | undefined,
): void {
  const ofImages = graph.above([image]);
  const seen = new Set(checked);

  const expectTensor = (node: OnnxNode, place: number, tensor: OnnxTensor, varies: boolean): void => {
    if (!floats.has(tensor.dataType)) return;
    const { op } = node;
    const isVariance = op === 'BatchNormalization' && place === 4;
    const isAdded = (op === 'Add' || op === 'Sub') && tensor.dims.filter((dim) => dim > 1).length <= 1;
    const mask = !layers.test(op) && !(varies && (op === 'Mul' || isAdded));
    const key = `${mask ? 'mask' : 'weight'} ${tensor.name}`;
    const isKnown = seen.has(tensor.name) || seen.has(key);
    if (isKnown && !isVariance) return;
    const { data } = decodeTensor(tensor, external);
    if (!isKnown) expectFinite(tensor.name, data, tensor.dims, mask);
    if (isVariance) expectVariance(node, tensor.name, data);
    seen.add(key);
  };

  const visit = (each: Iterable<OnnxNode>, tensors: Tensors, varies: (node: OnnxNode) => boolean): void => {
    for (const node of each) {
      expectAttributes(node);
      for (const [place, name] of node.inputs.entries()) {
        const tensor = tensors.get(name);
        if (tensor) expectTensor(node, place, tensor, varies(node));
      }
      for (const attribute of node.attributes.values()) {
        if (attribute.kind !== 'graph') continue;
        const inner = readInnerGraph(attribute.value);
        visit(inner.nodes, tensorsAround(inner.nodes, inner.initializers, tensors), () => true);
      }
    }
  };
  visit(nodes, tensorsAround(graph.nodes, graph.model.initializers), (node) => ofImages.has(node));
}
