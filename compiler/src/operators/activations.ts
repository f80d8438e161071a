import type { GraphBuilder } from '../builder.js';
import type { Value } from '../graph.js';
import { formatShape } from '../tensor.js';
import { elementwise, elementwiseOf, expectOneDType, mapTensors, scaled } from './broadcasting.js';
import { erf } from './erf.js';
import { gate } from './gates.js';
import type { Operator } from './operator.js';
import { required } from './operator.js';

const positive = (g: GraphBuilder, a: Value) => g.apply('Greater', [a, g.scalar(0, a.dtype)], {});

/** A constant that Gelu's tanh form names: u = ROOT (a + CUBIC a^3). */
const ROOT = Math.sqrt(2 / Math.PI);
const CUBIC = 0.044715;

/** gelu'(a) = Phi(a) + a phi(a), the distribution and density of the normal law. */
function geluSlope(g: GraphBuilder, a: Value, k: (value: number) => Value): Value {
  const half = g.apply('Mul', [g.apply('Erf', [g.apply('Mul', [a, k(Math.SQRT1_2)], {})], {}), k(0.5)], {});
  const distribution = g.apply('Add', [half, k(0.5)], {});
  const bell = g.apply('Exp', [g.apply('Mul', [g.apply('Mul', [a, a], {}), k(-0.5)], {})], {});
  const density = g.apply('Mul', [bell, k(1 / Math.sqrt(2 * Math.PI))], {});
  return g.apply('Add', [distribution, g.apply('Mul', [a, density], {})], {});
}

/** With t = tanh(u): gelu'(a) = (1 + t) / 2 + a (1 - t^2) u' / 2, u' = ROOT (1 + 3 CUBIC a^2). */
function geluTanhSlope(g: GraphBuilder, a: Value, k: (value: number) => Value): Value {
  const mul = (left: Value, right: Value) => g.apply('Mul', [left, right], {});
  const add = (left: Value, right: Value) => g.apply('Add', [left, right], {});
  const square = mul(a, a);
  const u = mul(mul(a, add(mul(square, k(CUBIC)), k(1))), k(ROOT));
  const t = g.apply('Tanh', [u], {});
  const inner = mul(add(mul(square, k(3 * CUBIC)), k(1)), k(ROOT / 2));
  const flat = g.apply('Sub', [k(1), mul(t, t)], {});
  return add(mul(add(t, k(1)), k(0.5)), mul(mul(a, flat), inner));
}

/** `x` limited to `[min, max]`, both optional scalars; where min > max, max wins. */
const Clip: Operator<'Clip'> = {
  infer: (inputs) => {
    const { dtype, shape } = required(inputs, 0);
    expectOneDType(inputs);
    for (const limit of inputs.slice(1)) {
      if (limit && limit.shape.length > 0) {
        throw new Error(`expected limit "${limit.name}" to be a scalar, got ${formatShape(limit.shape)}`);
      }
    }
    return { dtype, shape };
  },
  // dx = c where min <= x <= max; dmin = c where x < min; dmax = c where x > max
  vjp: ({ g, inputs, cotangent }) => {
    const x = required(inputs, 0);
    const [, min, max] = inputs;
    return [
      () => {
        const within = [
          ...(min ? [g.apply('GreaterOrEqual', [x, min], {})] : []),
          ...(max ? [g.apply('LessOrEqual', [x, max], {})] : []),
        ];
        // What a comparison tells takes a quarter of the memory of a number, and joining two less time than choosing twice.
        const [first, second] = within;
        if (!first) return cotangent;
        return gate(g, second ? g.apply('And', [first, second], {}) : first, cotangent);
      },
      () => {
        const below = gate(g, g.apply('Less', [x, min], {}), cotangent);
        return max ? gate(g, g.apply('Less', [min, max], {}), below) : below;
      },
      () => {
        const above = g.apply('Greater', [min ? g.apply('Max', [x, min], {}) : x, max], {});
        return gate(g, above, cotangent);
      },
    ];
  },
  evaluate: (inputs) => {
    const x = required(inputs, 0);
    const min = (inputs[1]?.data[0] as number | undefined) ?? Number.NEGATIVE_INFINITY;
    const max = (inputs[2]?.data[0] as number | undefined) ?? Number.POSITIVE_INFINITY;
    return mapTensors([x], x.dtype, (a) => Math.min(Math.max(a, min), max));
  },
};

const softplus = (a: number) => Math.max(a, 0) + Math.log1p(Math.exp(-Math.abs(a)));
const sigmoid = (a: number) => Math.exp(-softplus(-a));

export const activationOperators = {
  // d relu(a) = [a > 0] da
  Relu: elementwise<'Relu'>(
    1,
    (a) => Math.max(a, 0),
    ({ g, c, y }) => [() => gate(g, positive(g, y), c)],
  ),
  // da = c where a > 0, alpha c elsewhere
  LeakyRelu: elementwiseOf<'LeakyRelu'>(
    1,
    ({ alpha = 0.01 }) =>
      (a) =>
        a > 0 ? a : alpha * a,
    ({ g, c, x: [a], k, attributes: { alpha = 0.01 } }) => [
      () => g.apply('Where', [positive(g, a as Value), c, g.apply('Mul', [c, k(alpha)], {})], {}),
    ],
  ),
  // da = c where a > 0, slope c elsewhere; dslope = 0 where a > 0, a c elsewhere
  PRelu: elementwise<'PRelu'>(
    2,
    (a, slope) => (a > 0 ? a : slope * a),
    ({ g, c, x: [a, slope], k }) => [
      () => g.apply('Where', [positive(g, a as Value), c, g.apply('Mul', [c, slope], {})], {}),
      () => g.apply('Where', [positive(g, a as Value), k(0), g.apply('Mul', [c, a], {})], {}),
    ],
  ),
  // da = c where a > 0, (y + alpha) c elsewhere
  Elu: elementwiseOf<'Elu'>(
    1,
    ({ alpha = 1 }) =>
      (a) =>
        a > 0 ? a : alpha * Math.expm1(a),
    ({ g, c, x: [a], y, k, attributes: { alpha = 1 } }) => [
      () => {
        const slope = g.apply('Add', [y, k(alpha)], {});
        return g.apply('Where', [positive(g, a as Value), c, g.apply('Mul', [c, slope], {})], {});
      },
    ],
  ),
  // d sigmoid(a) = y (1 - y) da
  Sigmoid: scaled<'Sigmoid'>(sigmoid, ({ g, y, k }) => g.apply('Mul', [y, g.apply('Sub', [k(1), y], {})], {})),
  // d hardSigmoid(a) = alpha da where 0 < y < 1
  HardSigmoid: elementwiseOf<'HardSigmoid'>(
    1,
    ({ alpha = 0.2, beta = 0.5 }) =>
      (a) =>
        Math.min(Math.max(alpha * a + beta, 0), 1),
    ({ g, c, y, k, attributes: { alpha = 0.2 } }) => [
      () => {
        const inside = g.apply('And', [positive(g, y), g.apply('Less', [y, k(1)], {})], {});
        return gate(g, inside, g.apply('Mul', [c, k(alpha)], {}));
      },
    ],
  ),
  // d hardSwish(a) = 0 where a <= -3, da where a >= 3, (a / 3 + 1 / 2) da between
  HardSwish: elementwise<'HardSwish'>(
    1,
    (a) => a * Math.min(Math.max(a / 6 + 0.5, 0), 1),
    ({ g, c, x: [a], k }) => [
      () => {
        const slope = g.apply('Add', [g.apply('Mul', [a, k(1 / 3)], {}), k(0.5)], {});
        const upper = g.apply('Where', [g.apply('Less', [a, k(3)], {}), g.apply('Mul', [c, slope], {}), c], {});
        return gate(g, g.apply('Greater', [a, k(-3)], {}), upper);
      },
    ],
  ),
  Gelu: elementwiseOf<'Gelu'>(
    1,
    ({ approximate = 'none' }) =>
      approximate === 'tanh'
        ? (a) => 0.5 * a * (1 + Math.tanh(ROOT * (a + CUBIC * a ** 3)))
        : (a) => 0.5 * a * (1 + erf(a * Math.SQRT1_2)),
    ({ g, c, x: [a], k, attributes: { approximate = 'none' } }) => [
      () => {
        const slope = approximate === 'tanh' ? geluTanhSlope : geluSlope;
        return g.apply('Mul', [c, slope(g, a as Value, k)], {});
      },
    ],
  ),
  // d softplus(a) = sigmoid(a) da
  Softplus: scaled<'Softplus'>(softplus, ({ g, x }) => g.apply('Sigmoid', x, {})),
  // d tanh(a) = (1 - y^2) da
  Tanh: scaled<'Tanh'>(Math.tanh, ({ g, y, k }) => g.apply('Sub', [k(1), g.apply('Mul', [y, y], {})], {})),
  Clip,
};
