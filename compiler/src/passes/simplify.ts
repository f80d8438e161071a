import { copyInputs, GraphBuilder, inline } from '../builder.js';
import type { Graph, Node, Value } from '../graph.js';
import type { OperatorAttributes, OperatorName } from '../operators/attributes.js';
import { broadcastShapes, isFloat, type Shape, sameShape } from '../tensor.js';
import type { Pass } from './pass.js';

type Operands = readonly (Value | undefined)[];

/** Operators that broadcast their operands against each other and compute element by element. */
const broadcasting: ReadonlySet<OperatorName> = new Set([
  'Add',
  'Sub',
  'Mul',
  'Div',
  'Neg',
  'Greater',
  'GreaterOrEqual',
  'Less',
  'LessOrEqual',
  'Where',
]);

/** An operand before it was expanded. */
const unexpanded = (operand: Value | undefined): Value | undefined =>
  operand?.producer?.op === 'Expand' ? operand.producer.inputs[0] : operand;

/** Leaves an expansion to the broadcasting of what reads it, or moves it behind where nothing else has its size. */
function withoutExpansion(g: GraphBuilder, node: Node, operands: Operands): Value | undefined {
  const expanded = operands.find((operand) => operand?.producer?.op === 'Expand');
  if (!expanded || !broadcasting.has(node.op)) return undefined;
  const bare = operands.map(unexpanded);
  const shape = bare.reduce<Shape | undefined>((all, each) => all && each && broadcastShapes(all, each.shape), []);
  if (!shape) return undefined;
  const result = g.apply(node.op, bare, node.attributes, node.name);
  if (sameShape(shape, node.output.shape)) return result;
  if (!sameShape(expanded.shape, node.output.shape)) return undefined;
  return g.apply('Expand', [result, expanded.producer?.inputs[1]], {});
}

/** -sum(x) for sum(-x): the sign of less. */
function signAfterSum(g: GraphBuilder, node: Node, [x, axes]: Operands): Value | undefined {
  if ((node.op !== 'ReduceSum' && node.op !== 'ReduceMean') || x?.producer?.op !== 'Neg' || !isFloat(x.dtype)) {
    return undefined;
  }
  const attributes = node.attributes as OperatorAttributes['ReduceSum'];
  return g.apply('Neg', [g.apply(node.op, [x.producer.inputs[0], axes], attributes, node.name)], {});
}

/**
 * Takes out work on large values that differentiation leaves behind: values that are expanded and then broadcast anyway,
 * and signs that are changed before a sum. The same values up to the rounding of sums.
 */
export const simplify: Pass = (graph: Graph) => {
  const g = new GraphBuilder();
  const bindings = copyInputs(g, graph);
  let changed = false;
  const outputs = inline(g, graph, bindings, (node, operands) => {
    const simpler = withoutExpansion(g, node, operands) ?? signAfterSum(g, node, operands);
    changed ||= simpler !== undefined;
    return simpler;
  });
  return changed
    ? { graph: { name: graph.name, inputs: [...bindings.values()], outputs }, changed }
    : { graph, changed };
};
