import { type Graph, type Node, nodesOf, sizeOf, type Value } from '@whet/compiler';

/** A weight of a network that was read from a file. */
export interface ModelParameter {
  /** What graphs call it: as the file does, where they have no other use for that name. */
  readonly name: string;
  /** What the file calls it. */
  readonly tensor: string;
  readonly value: Value;
  readonly shape: readonly number[];
  /** The operator that reads it first. */
  readonly op: string;
  /** The layer it belongs to: a convolution or matrix product, with what normalizes, scales and shifts its result. */
  readonly layer: string;
  /** Added to channels: what BitFit (Ben Zaken et al. 2022) trains. */
  readonly bias: boolean;
  /** A normalization's scale or shift. */
  readonly norm: boolean;
  /** A running mean or variance: statistics, which no gradient step may move. */
  readonly moment: boolean;
  /** Below a node that cannot be differentiated, so that it cannot move; its value is then without entries. */
  readonly blocked: boolean;
}

export type Role = 'weight' | 'bias' | 'scale' | 'shift' | 'moment';
export const productOperators = new Set(['Conv', 'ConvTranspose', 'Gemm', 'MatMul']);
const normalization: Readonly<Record<number, Role>> = { 1: 'scale', 2: 'shift' };
export const roles: Readonly<Record<string, Readonly<Record<number, Role>>>> = {
  Conv: { 1: 'weight', 2: 'bias' },
  ConvTranspose: { 1: 'weight', 2: 'bias' },
  Gemm: { 0: 'weight', 1: 'weight', 2: 'bias' },
  MatMul: { 0: 'weight', 1: 'weight' },
  BatchNormalization: { ...normalization, 3: 'moment', 4: 'moment' },
  InstanceNormalization: normalization,
  LayerNormalization: normalization,
  GroupNormalization: normalization,
  Add: { 0: 'bias', 1: 'bias' },
  Mul: { 0: 'weight', 1: 'weight' },
  PRelu: { 1: 'weight' },
};
/** A constant of these may be part of a formula, as the 3 of a hard swish, unless it has several entries. */
export const oftenFormulas = new Set(['Add', 'Mul']);

/** `(x - mean) / sqrt(variance + epsilon)`, as exporters write LayerNormalization before operator set 17. */
function isStandardized(value: Value | undefined): boolean {
  const divisor = value?.producer?.op === 'Div' ? value.producer.inputs[1] : undefined;
  const variance = divisor?.producer?.op === 'Sqrt' ? divisor.producer.inputs[0] : undefined;
  const sum = variance?.producer?.op === 'Add' ? variance.producer.inputs : [];
  return sum.some((term) => term?.producer?.op === 'ReduceMean') && sum.some((term) => term?.constant);
}

/** The scale or shift of a normalization that is written out. */
const isScale = (node: Node | undefined): boolean => node?.op === 'Mul' && node.inputs.some(isStandardized);

function affineRole(node: Node): Role | undefined {
  if (isScale(node)) return 'scale';
  return node.op === 'Add' && node.inputs.some((input) => isScale(input?.producer)) ? 'shift' : undefined;
}

/** Of what `prepares` images, mean and deviation are no weights. */
function readBy(node: Node, prepares: boolean): { value: Value; role: Role }[] {
  const own = roles[node.op] ?? {};
  const affine = affineRole(node);
  return node.inputs.flatMap((value, i) => {
    const role = own[i] && (affine ?? own[i]);
    if (!role || value?.constant?.dtype !== 'float32') return [];
    if (oftenFormulas.has(node.op) && (prepares || sizeOf(value.constant.shape) < 2)) return [];
    return [{ value, role }];
  });
}

/** The parameters of a network of the input `images`, from the image upward, each once. */
export function parametersOf(graph: Graph, images: string): ModelParameter[] {
  const found = new Map<Value, ModelParameter>();
  let layer: string | undefined;
  /** The images, and what is made of nothing else below the first layer. */
  const prepared = new Set(graph.inputs.filter(({ name }) => name === images));
  for (const node of nodesOf(graph.outputs.values())) {
    const prepares =
      layer === undefined && node.inputs.every((input) => !input || input.constant || prepared.has(input));
    if (prepares) prepared.add(node.output);
    const read = readBy(node, prepares).filter(({ value }) => !found.has(value));
    if (read.length === 0) continue;
    if (productOperators.has(node.op) || layer === undefined) layer = node.name;
    for (const { value, role } of read) {
      const shape = value.constant?.shape ?? [];
      const { name } = value;
      found.set(value, {
        name,
        tensor: name,
        value,
        shape,
        op: node.op,
        layer,
        // What is added to more than one axis, as a position embedding, is a weight.
        bias: role === 'shift' || (role === 'bias' && shape.filter((dim) => dim > 1).length <= 1),
        norm: role === 'shift' || role === 'scale',
        moment: role === 'moment',
        blocked: false,
      });
    }
  }
  return [...found.values()];
}
