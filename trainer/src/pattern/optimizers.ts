import { type GraphBuilder, int64s, type Value } from '@whet/compiler';
import { type OptimizerName, optimizerStates } from '@whet/runtime/format';

export type { OptimizerName };

/** How a gradient becomes the direction of a step, which the rate multiplies. States start at 0 with an adaptation. */
export interface Optimizer {
  /** What it keeps of each value from one step to the next, in the value's shape. */
  readonly states: readonly string[];
  /** Whether it reads the number of the step, counted from 1. */
  readonly counts: boolean;
  readonly direct: (
    g: GraphBuilder,
    gradient: Value,
    states: readonly Value[],
    count: Value | undefined,
  ) => { readonly direction: Value; readonly next: readonly Value[] };
}

const MOMENTUM = 0.9;
export const [BETA_1, BETA_2, EPSILON] = [0.9, 0.999, 1e-8];

const multiply = (g: GraphBuilder, a: Value, b: Value): Value => g.apply('Mul', [a, b], {});
const mix = (g: GraphBuilder, old: Value, fresh: Value, keep: number, take = 1 - keep): Value =>
  g.apply('Add', [multiply(g, old, g.scalar(keep)), take === 1 ? fresh : multiply(g, fresh, g.scalar(take))], {});

export const optimizers: Readonly<Record<OptimizerName, Optimizer>> = {
  /** `d = g`. */
  sgd: { states: optimizerStates.sgd, counts: false, direct: (_, gradient) => ({ direction: gradient, next: [] }) },
  /** `m <- 0.9 m + g`, `d = m` (Polyak 1964, as PyTorch writes it). */
  momentum: {
    states: optimizerStates.momentum,
    counts: false,
    direct: (g, gradient, [m]) => {
      const next = mix(g, m as Value, gradient, MOMENTUM, 1);
      return { direction: next, next: [next] };
    },
  },
  /** `m <- b1 m + (1 - b1) g`, `v <- b2 v + (1 - b2) g^2`, `d = m / (1 - b1^t) / (sqrt(v / (1 - b2^t)) + e)` (Kingma & Ba 2015, algorithm 1). */
  adam: {
    states: optimizerStates.adam,
    counts: true,
    direct: (g, gradient, [m, v], count) => {
      const first = mix(g, m as Value, gradient, BETA_1);
      const second = mix(g, v as Value, multiply(g, gradient, gradient), BETA_2);
      const unbiased = (value: Value, beta: number) => {
        const power = g.apply('Exp', [multiply(g, count as Value, g.scalar(Math.log(beta)))], {});
        return g.apply('Div', [value, g.apply('Sub', [g.scalar(1), power], {})], {});
      };
      const root = g.apply('Sqrt', [unbiased(second, BETA_2)], {});
      const direction = g.apply('Div', [unbiased(first, BETA_1), g.apply('Add', [root, g.scalar(EPSILON)], {})], {});
      return { direction, next: [first, second] };
    },
  },
  /** `d = g / sqrt(mean g^2)` over all entries of a value: as long a step in each, whatever the scale of its gradient. */
  rms: {
    states: optimizerStates.rms,
    counts: false,
    direct: (g, gradient) => {
      const axes = g.constant(int64s(gradient.shape.map((_, i) => i)));
      const square = g.apply('ReduceMean', [multiply(g, gradient, gradient), axes], { keepdims: 0 });
      const length = g.apply('Sqrt', [g.apply('Add', [square, g.scalar(EPSILON * EPSILON)], {})], {});
      return { direction: g.apply('Div', [gradient, length], {}), next: [] };
    },
  },
};
