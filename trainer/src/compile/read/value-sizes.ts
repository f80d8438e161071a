import { type Graph, nodesOf, type Shape } from '@whet/compiler';
import { CompileError } from './compile-error.js';

/** Numbers that a value may have for one image: 4 GB of float32. */
const LARGEST = 2 ** 30;

/** Entries of a shape for one image: symbols count as 1. */
const entriesOf = (shape: Shape): number =>
  shape.reduce<number>((product, dim) => product * (typeof dim === 'number' ? dim : 1), 1);

/** Throws {@link CompileError} where a value is too large to be made: a few bytes of a file may ask for any size. */
export function expectHoldable(what: string, shape: Shape): void {
  const entries = entriesOf(shape);
  if (entries <= LARGEST) return;
  throw new CompileError(`${what}: expected at most ${LARGEST} numbers an image, got [${shape.join(', ')}]`);
}

/** Throws {@link CompileError} naming the node of a graph that makes more than can be held. */
export function expectHoldableValues(graph: Graph): void {
  for (const { op, output } of nodesOf(graph.outputs.values())) expectHoldable(`${op} "${output.name}"`, output.shape);
}
