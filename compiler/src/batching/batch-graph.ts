import { GraphBuilder } from '../builder.js';
import type { Graph, Value } from '../graph.js';
import { GraphError, nodesOf } from '../graph.js';
import type { OperatorName } from '../operators/attributes.js';
import { type Shape, sameShape } from '../tensor.js';
import { alignTo, type Batched, moveTaskAxis, repeated, taskShape } from './batched.js';
import type { BatchContext, BatchRule } from './rule.js';
import { batchRules } from './rules.js';

function ruleOf<K extends OperatorName>(op: K): BatchRule<K> | 'elementwise' | 'none' {
  return batchRules[op] as BatchRule<K> | 'elementwise' | 'none';
}

/** Aligns the operands so that the task axis is at one place in all, and broadcasting does the rest. */
function elementwise<K extends OperatorName>({ g, inputs, node }: BatchContext<K>): Batched {
  const rank = node.output.shape.length;
  const own = inputs.filter((input) => input?.axis !== undefined) as Batched[];
  const leading = own.find((input) => taskShape(input).length === rank) ?? (own[0] as Batched);
  const axis = (leading.axis as number) + rank - taskShape(leading).length;
  const operands = inputs.map((input) => input && alignTo(g, input, rank, axis));
  return { value: g.apply(node.op, operands, node.attributes, node.name), axis };
}

/** Each task has to see the shape that the node has in one task's graph. */
function check(copy: Batched, tasks: number, shape: Shape): void {
  const { value, axis } = copy;
  if (axis !== undefined && value.shape[axis] === tasks && sameShape(taskShape(copy), shape)) return;
  const got = `[${value.shape.join(', ')}] with the tasks at axis ${axis}`;
  throw new Error(`expected [${shape.join(', ')}] for each task, got ${got}`);
}

/**
 * One graph for `tasks` tasks at once, out of one task's graph: the inputs named in `own` have a leading task axis, the
 * others are shared; every output has a leading task axis. Weights that a task has made its own become groups of one
 * convolution, or a batch of matrix products, so that a device is filled by many small tasks. Shapes have to be static.
 * Throws {@link GraphError} naming a node that has no rule here.
 */
export function batchGraph(graph: Graph, tasks: number, own: ReadonlySet<string>): Graph {
  const g = new GraphBuilder();
  const copies = new Map<Value, Batched>();
  const inputs = graph.inputs.map((input) => {
    const isOwn = own.has(input.name);
    const value = g.input(input.name, isOwn ? [tasks, ...input.shape] : input.shape, input.dtype);
    copies.set(input, { value, axis: isOwn ? 0 : undefined });
    return value;
  });
  const copyOf = (value: Value): Batched => {
    const known = copies.get(value);
    if (known) return known;
    if (!value.constant) throw new GraphError(`"${graph.name}": "${value.name}" is no input of it`);
    const copy = { value: g.constant(value.constant, value.name), axis: undefined };
    copies.set(value, copy);
    return copy;
  };
  for (const node of nodesOf(graph.outputs.values())) {
    const operands = node.inputs.map((input) => input && copyOf(input));
    const context = { g, tasks, inputs: operands, node };
    if (operands.every((operand) => operand?.axis === undefined)) {
      const shared = g.apply(
        node.op,
        operands.map((operand) => operand?.value),
        node.attributes,
        node.name,
      );
      copies.set(node.output, { value: shared, axis: undefined });
      continue;
    }
    const rule = ruleOf(node.op);
    if (rule === 'none') throw new GraphError(`${node.op} "${node.name}" cannot run for many tasks at once`);
    try {
      const copy = rule === 'elementwise' ? elementwise(context) : rule(context);
      check(copy, tasks, node.output.shape);
      copies.set(node.output, copy);
    } catch (cause) {
      throw new GraphError(`${node.op} "${node.name}" for ${tasks} tasks: ${(cause as Error).message}`, { cause });
    }
  }
  const outputs = [...graph.outputs].map(([name, value]) => {
    const copy = copyOf(value);
    const value_ = copy.axis === undefined ? repeated(g, copy, tasks, 0) : moveTaskAxis(g, copy, 0);
    return [name, value_] as const;
  });
  return { name: graph.name, inputs, outputs: new Map(outputs) };
}
