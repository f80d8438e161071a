import { elementwise } from './broadcasting.js';
import type { Operator } from './operator.js';
import { required } from './operator.js';

export const identityOperators = {
  Identity: elementwise<'Identity'>(
    1,
    (a) => a,
    ({ c }) => [() => c],
  ),
  /** Dropout as it runs in inference: the identity. A `ratio` has no effect then. */
  Dropout: {
    infer: (inputs) => {
      const training = inputs[2];
      if (training && training.constant?.data[0] !== 0)
        throw new Error(`expected training_mode to be the constant false, got "${training.name}"`);
      const { dtype, shape } = required(inputs, 0);
      return { dtype, shape };
    },
    vjp: ({ cotangent }) => [() => cotangent, null, null],
    evaluate: (inputs) => required(inputs, 0),
  } satisfies Operator<'Dropout'>,
  /** The identity, through which no gradient passes. */
  StopGradient: elementwise<'StopGradient'>(1, (a) => a, 'none'),
  // The value of the first input with the gradient of the second: a step function learned straight through.
  StraightThrough: {
    infer: (inputs) => {
      const { dtype, shape } = required(inputs, 0);
      return { dtype, shape };
    },
    vjp: ({ cotangent }) => [null, () => cotangent],
    evaluate: (inputs) => required(inputs, 0),
  } satisfies Operator<'StraightThrough'>,
};
