import type { GraphBuilder } from '../builder.js';
import type { Node } from '../graph.js';
import type { OperatorName } from '../operators/attributes.js';
import type { Batched } from './batched.js';

export interface BatchContext<K extends OperatorName> {
  readonly g: GraphBuilder;
  readonly tasks: number;
  /** At least one has a task axis. */
  readonly inputs: readonly (Batched | undefined)[];
  /** The node of one task's graph. */
  readonly node: Node<K>;
}

/** Builds what a node does in one task for all tasks at once. */
export type BatchRule<K extends OperatorName> = (context: BatchContext<K>) => Batched;

export function present(inputs: readonly (Batched | undefined)[], position: number): Batched {
  const input = inputs[position];
  if (!input) throw new Error(`input ${position} is missing`);
  return input;
}
