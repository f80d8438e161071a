import { GraphBuilder, type OnnxNode, type OnnxTensor, sizeOf } from '@whet/compiler';
import { type ModelParameter, oftenFormulas, productOperators, type Role, roles } from './model-parameters.js';
import type { NodeGraph } from './node-graph.js';

/** Weights of operators that the graph has not got. */
const foreign: Readonly<Record<string, Readonly<Record<number, Role>>>> = {
  ConvInteger: { 1: 'weight' },
  FusedConv: { 1: 'weight', 2: 'bias' },
  GRU: { 1: 'weight', 2: 'weight', 3: 'bias' },
  LSTM: { 1: 'weight', 2: 'weight', 3: 'bias' },
  MatMulInteger: { 1: 'weight' },
  QGemm: { 3: 'weight', 6: 'bias' },
  QLinearConv: { 3: 'weight', 8: 'bias' },
  QLinearMatMul: { 3: 'weight' },
  RNN: { 1: 'weight', 2: 'weight', 3: 'bias' },
};

/** The tensor that holds a value of the file: an initializer, a Constant, or either behind a DequantizeLinear. */
function storedTensor(nodes: NodeGraph, name: string): OnnxTensor | undefined {
  const direct = nodes.maker(name);
  const source = direct?.op === 'DequantizeLinear' ? (direct.inputs[0] ?? '') : name;
  const initializer = nodes.initializer(source);
  if (initializer) return initializer;
  const maker = nodes.maker(source);
  const value = maker?.op === 'Constant' ? maker.attributes.get('value') : undefined;
  return value?.kind === 'tensor' ? value.value : undefined;
}

/** Domains whose operators are known by name; of any other, as of a graph inside a node, each tensor may be a weight. */
const known = new Set(['ai.onnx', 'com.microsoft']);
const FLOAT = 1;

/** What a node reads as parameters, with their roles. */
function rolesOf(node: OnnxNode): [name: string, role: Role][] {
  const own = Object.entries(roles[node.op] ?? foreign[node.op] ?? {});
  const named = own.map(([position, role]): [string, Role] => [node.inputs[Number(position)] ?? '', role]);
  const others = known.has(node.domain) ? node.captured : [...node.inputs, ...node.captured];
  return [...(known.has(node.domain) ? named : []), ...Array.from(others, (name): [string, Role] => [name, 'weight'])];
}

/** Parameters that only nodes read which stay as they are, with the names they would have. */
export function blockedParameters(nodes: NodeGraph, opaque: ReadonlySet<OnnxNode>): ModelParameter[] {
  const found = new Map<string, ModelParameter>();
  const g = new GraphBuilder();
  let layer: string | undefined;
  for (const node of nodes.nodes) {
    if (!opaque.has(node)) continue;
    for (const [name, role] of rolesOf(node)) {
      const tensor = name === '' || found.has(name) ? undefined : storedTensor(nodes, name);
      const unsure = oftenFormulas.has(node.op) || !known.has(node.domain) || node.captured.has(name);
      if (!tensor || (unsure && (sizeOf(tensor.dims) < 2 || tensor.dataType !== FLOAT))) continue;
      if (oftenFormulas.has(node.op) && layer === undefined) continue;
      if (productOperators.has(node.op) || foreign[node.op] || layer === undefined)
        layer = node.outputs[0] ?? node.name;
      found.set(name, {
        name,
        tensor: name,
        value: g.input(name, tensor.dims),
        shape: tensor.dims,
        op: node.op,
        layer,
        bias: role === 'shift' || (role === 'bias' && tensor.dims.filter((dim) => dim > 1).length <= 1),
        norm: role === 'shift' || role === 'scale',
        moment: role === 'moment',
        blocked: true,
      });
    }
  }
  return [...found.values()];
}
