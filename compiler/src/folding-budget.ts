import { multiplyAddsOf } from './cost.js';
import type { Node, Value } from './graph.js';
import { isStatic, sizeOf } from './tensor.js';

const numbersOf = ({ shape }: Value): number => (isStatic(shape) ? sizeOf(shape) : Number.POSITIVE_INFINITY);

/** What is looked at for each number that a node makes: the window of a pooling, the lists of neighbours of a Resize. */
function workPerNumber({ op, attributes }: Node): number {
  const { kernel_shape: window = [] } = attributes as { kernel_shape?: readonly number[] };
  return op === 'Resize' ? 50 : sizeOf(window);
}

/** How much may be computed of constants before a graph runs: a few bytes of a file can ask for any amount. */
export class FoldingBudget {
  #numbers: number;
  #operations: number;

  /** `held`: the numbers of the graph's own constants, of which as many again may be made several times. */
  constructor(held = 0) {
    this.#numbers = 2e7 + 4 * held;
    this.#operations = 5e7 + 10 * held;
  }

  /** Takes what evaluating a node costs out of the budget; `false`, and nothing taken, where that is more than is left. */
  affords(node: Node): boolean {
    const made = numbersOf(node.output);
    const read = node.inputs.reduce((sum, input) => sum + (input ? numbersOf(input) : 0), 0);
    const operations =
      read + made * workPerNumber(node) + multiplyAddsOf(node, (shape) => (isStatic(shape) ? sizeOf(shape) : Infinity));
    if (!(made <= this.#numbers && operations <= this.#operations)) return false;
    this.#numbers -= made;
    this.#operations -= operations;
    return true;
  }
}
