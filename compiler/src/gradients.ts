import type { GraphBuilder } from './builder.js';
import type { Value } from './graph.js';
import { GraphError, nodesOf } from './graph.js';
import type { OperatorAttributes, OperatorName } from './operators/attributes.js';
import type { Operator } from './operators/operator.js';
import { reshape } from './operators/shape-helpers.js';
import { operators } from './operators/table.js';
import { formatShape, int64s, isFloat, sameShape } from './tensor.js';

/** Undoes broadcasting: sums `cotangent` over the axes along which `value` was repeated. */
function unbroadcast(g: GraphBuilder, cotangent: Value, value: Value): Value {
  if (sameShape(cotangent.shape, value.shape)) return cotangent;
  const extra = cotangent.shape.length - value.shape.length;
  const axes = cotangent.shape
    .map((_, axis) => axis)
    .filter((axis) => axis < extra || (value.shape[axis - extra] === 1 && cotangent.shape[axis] !== 1));
  if (extra < 0 || axes.length === 0) return cotangent;
  const sum = g.apply('ReduceSum', [cotangent, g.constant(int64s(axes))], { keepdims: 1 });
  return reshape(g, sum, value.shape);
}

/** `vjp` and `attributes` belong to one operator, which the compiler cannot see through a union of operators. */
function rule<K extends OperatorName>(op: K): Operator<K>['vjp'] {
  return (operators[op] as Operator<K>).vjp;
}

/**
 * Gradients of `sum(output * cotangent)` (the cotangent is 1 when absent, for a scalar output) with respect to `wrt`:
 * reverse-mode differentiation by graph construction. Visits only nodes on a path to a value of `wrt`, sums fan-in,
 * undoes broadcasting and checks every shape. A value the output does not depend on has the gradient `undefined`.
 */
export function gradients(
  g: GraphBuilder,
  output: Value,
  wrt: readonly Value[],
  cotangent?: Value,
): (Value | undefined)[] {
  if (!cotangent && output.shape.length > 0) {
    throw new GraphError(`gradient of "${output.name}": expected a scalar, got ${formatShape(output.shape)}`);
  }
  const nodes = nodesOf(
    [output],
    wrt.filter((value) => value !== output),
  );
  const onPath = new Set<Value>(wrt);
  for (const node of nodes) {
    if (rule(node.op) === 'none' || !isFloat(node.output.dtype)) continue;
    if (node.inputs.some((input) => input && onPath.has(input))) onPath.add(node.output);
  }
  const collected = new Map<Value, Value[]>();
  if (onPath.has(output)) collected.set(output, [cotangent ?? g.scalar(1, output.dtype)]);
  const total = (value: Value): Value | undefined => {
    const parts = collected.get(value);
    if (!parts) return undefined;
    const sum = parts.reduce((a, b) => g.apply('Add', [a, b], {}));
    collected.set(value, [sum]);
    return sum;
  };
  for (const node of nodes.reverse()) {
    if (!onPath.has(node.output)) continue;
    const arrived = total(node.output);
    const vjp = rule(node.op);
    if (!arrived || vjp === 'none') continue;
    const within = <T>(build: () => T): T => {
      try {
        return g.scope(`grad/${node.name}`, build);
      } catch (cause) {
        if (cause instanceof GraphError) throw cause;
        throw new GraphError(`gradient of ${node.op} "${node.name}": ${(cause as Error).message}`, { cause });
      }
    };
    const thunks = within(() =>
      vjp({
        g,
        inputs: node.inputs,
        output: node.output,
        cotangent: arrived,
        attributes: node.attributes as OperatorAttributes[OperatorName] as never,
      }),
    );
    node.inputs.forEach((input, position) => {
      const thunk = thunks[position];
      if (!input || !thunk || !onPath.has(input)) return;
      const part = within(() => unbroadcast(g, thunk(), input));
      if (!sameShape(part.shape, input.shape)) {
        throw new GraphError(
          `gradient of ${node.op} "${node.name}" for input ${position} "${input.name}": ` +
            `expected ${formatShape(input.shape)}, got ${formatShape(part.shape)}`,
        );
      }
      const parts = collected.get(input);
      if (parts) parts.push(part);
      else collected.set(input, [part]);
    });
  }
  return wrt.map(total);
}
