import type { Graph, Value } from '../graph.js';
import { GraphError } from '../graph.js';
import { formatShape, sameShape } from '../tensor.js';
import { verifyGraph } from '../verify-graph.js';
import type { Pass } from './pass.js';

/** What every pass keeps: outputs by name with their types; of the inputs, at most some go. */
function compareInterfaces(before: Graph, after: Graph): void {
  const names = (graph: Graph) => [...graph.outputs.keys()].join(', ');
  if (names(before) !== names(after)) throw new GraphError(`outputs were ${names(before)}, are ${names(after)}`);
  const typed: [what: string, was: Value, is: Value][] = [];
  for (const [name, value] of before.outputs) typed.push([`output "${name}"`, value, after.outputs.get(name) as Value]);
  const inputs = new Map(before.inputs.map((input) => [input.name, input]));
  for (const input of after.inputs) {
    const own = inputs.get(input.name);
    if (!own) throw new GraphError(`input "${input.name}" was not there before`);
    typed.push([`input "${input.name}"`, own, input]);
  }
  for (const [what, was, is] of typed) {
    if (was.dtype === is.dtype && sameShape(was.shape, is.shape)) continue;
    const [before, now] = [was, is].map(({ dtype, shape }) => `${dtype}${formatShape(shape)}`);
    throw new GraphError(`${what} was ${before}, is ${now}`);
  }
}

/**
 * Runs passes one after the other, in the order of their names in `passes`, and checks the graph before the first and
 * after each. Throws {@link GraphError} naming the pass that broke it and those that ran before.
 */
export function runPasses(graph: Graph, passes: Readonly<Record<string, Pass>>): ReturnType<Pass> {
  verifyGraph(graph);
  let current = graph;
  let changed = false;
  const done: string[] = [];
  for (const [name, pass] of Object.entries(passes)) {
    try {
      const result = pass(current);
      verifyGraph(result.graph);
      compareInterfaces(current, result.graph);
      current = result.graph;
      changed ||= result.changed;
    } catch (cause) {
      const before = done.length > 0 ? `after ${done.join(', ')}` : 'the first to run';
      throw new GraphError(`pass ${name} (${before}) broke the graph: ${(cause as Error).message}`, { cause });
    }
    done.push(name);
  }
  return { graph: current, changed };
}
