import type { OperatorName } from '../operators/attributes.js';
import { required } from '../operators/operator.js';
import type { Pass } from '../passes/pass.js';
import { rewriteNodes } from './rewrite-nodes.js';

const steering: ReadonlySet<OperatorName> = new Set(['StopGradient', 'StraightThrough']);

/** Leaves out the operators that only steer differentiation, and what nothing but the gradient of one of them reads. */
export const eraseSteering: Pass = rewriteNodes(
  ({ op }) => steering.has(op),
  (_, inputs) => required(inputs, 0),
);
