import type { Value } from '../graph.js';
import { isFloat } from '../tensor.js';
import {
  type ElementwiseContext,
  elementwise,
  inferBroadcast,
  mapTensors,
  scaled,
  storedAs,
  variadic,
} from './broadcasting.js';
import { erf } from './erf.js';
import { gate } from './gates.js';
import type { Operator } from './operator.js';
import { required } from './operator.js';

/** The operand that is the extremum takes the cotangent; a tie goes to the first, so that the parts sum to the whole. */
function extremum<K extends 'Max' | 'Min'>(join: (a: number, b: number) => number): Operator<K> {
  return variadic<K>(join, ({ g, c, x, y, k }: ElementwiseContext<K>) => {
    const comparison = join(0, 1) === 1 ? 'GreaterOrEqual' : 'LessOrEqual';
    const reaches = (operand: Value) => g.apply(comparison, [operand, y], {});
    return x.map((operand, position) => () => {
      let part = gate(g, reaches(operand), c);
      for (const earlier of x.slice(0, position)) part = g.apply('Where', [reaches(earlier), k(0), part], {});
      return part;
    });
  });
}

/**
 * da = c b a^(b-1), 0 where b = 0; db = c y log a, 0 where a = 0 (a power of a negative number has no slope in b).
 * The exponent may have a dtype of its own.
 */
const Pow: Operator<'Pow'> = {
  infer: (inputs) => ({ dtype: required(inputs, 0).dtype, shape: inferBroadcast(inputs, 2) }),
  vjp: ({ g, inputs, output, cotangent }) => {
    const a = required(inputs, 0);
    const b = required(inputs, 1);
    const k = (value: number) => g.scalar(value, a.dtype);
    const known = b.constant?.data.length === 1 ? (b.constant.data[0] as number) : undefined;
    return [
      () => {
        if (known !== undefined) {
          const power = known === 2 ? a : g.apply('Pow', [a, k(known - 1)], {});
          return g.apply('Mul', [cotangent, known === 0 ? k(0) : g.apply('Mul', [power, k(known)], {})], {});
        }
        const exponent = b.dtype === a.dtype ? b : g.apply('Cast', [b], { to: a.dtype });
        const power = g.apply('Pow', [a, g.apply('Sub', [exponent, k(1)], {})], {});
        const slope = g.apply('Mul', [exponent, power], {});
        const safe = g.apply('Where', [g.apply('Equal', [exponent, k(0)], {}), k(0), slope], {});
        return g.apply('Mul', [cotangent, safe], {});
      },
      isFloat(b.dtype)
        ? () => {
            const nonzero = g.apply('Where', [g.apply('Equal', [a, k(0)], {}), k(1), a], {});
            const product = g.apply(
              'Mul',
              [cotangent, g.apply('Mul', [output, g.apply('Log', [nonzero], {})], {})],
              {},
            );
            return b.dtype === a.dtype ? product : g.apply('Cast', [product], { to: b.dtype });
          }
        : null,
    ];
  },
  evaluate: (inputs) => mapTensors([required(inputs, 0), required(inputs, 1)], required(inputs, 0).dtype, Math.pow),
};

export const arithmeticOperators = {
  // d(a + b) = da + db
  Add: elementwise<'Add'>(
    2,
    (a, b) => a + b,
    ({ c }) => [() => c, () => c],
  ),
  // d(a - b) = da - db
  Sub: elementwise<'Sub'>(
    2,
    (a, b) => a - b,
    ({ g, c }) => [() => c, () => g.apply('Neg', [c], {})],
  ),
  // d(a b) = b da + a db, d(a a) = 2 a da
  Mul: elementwise<'Mul'>(
    2,
    (a, b) => a * b,
    ({ g, c, x: [a, b], k }) =>
      a === b
        ? [() => g.apply('Mul', [g.apply('Mul', [c, k(2)], {}), a], {}), null]
        : [() => g.apply('Mul', [c, b], {}), () => g.apply('Mul', [c, a], {})],
  ),
  // d(a / b) = da / b - (a / b) db / b
  Div: elementwise<'Div'>(
    2,
    (a, b) => a / b,
    ({ g, c, x: [, b], y }) => [
      () => g.apply('Div', [c, b], {}),
      () => g.apply('Neg', [g.apply('Div', [g.apply('Mul', [c, y], {}), b], {})], {}),
    ],
  ),
  Pow,
  Max: extremum<'Max'>(Math.max),
  Min: extremum<'Min'>(Math.min),
  // d sum(x_i) = sum(dx_i)
  Sum: variadic<'Sum'>(
    (a, b) => a + b,
    ({ c, x }) => x.map(() => () => c),
  ),
  // d mean(x_i) = sum(dx_i) / count
  Mean: variadic<'Mean'>(
    (a, b) => a + b,
    ({ g, c, x, k }) => x.map(() => () => g.apply('Div', [c, k(x.length)], {})),
    (sum, count) => sum / count,
  ),
  Neg: elementwise<'Neg'>(
    1,
    (a) => -a,
    ({ g, c }) => [() => g.apply('Neg', [c], {})],
  ),
  // d|a| = sign(a) da, 0 at 0; without Sign, which WebGPU has not
  Abs: elementwise<'Abs'>(1, Math.abs, ({ g, c, x: [a], k }) => [
    () => {
      const negative = g.apply('Where', [g.apply('Less', [a, k(0)], {}), g.apply('Neg', [c], {}), k(0)], {});
      return g.apply('Where', [g.apply('Greater', [a, k(0)], {}), c, negative], {});
    },
  ]),
  // d(1 / a) = -da / a^2
  Reciprocal: scaled<'Reciprocal'>(
    (a) => 1 / a,
    ({ g, y }) => g.apply('Neg', [g.apply('Mul', [y, y], {})], {}),
  ),
  // d sqrt(a) = da / (2 sqrt(a))
  Sqrt: elementwise<'Sqrt'>(1, Math.sqrt, ({ g, c, y, k }) => [
    () => g.apply('Div', [c, g.apply('Mul', [y, k(2)], {})], {}),
  ]),
  // d exp(a) = exp(a) da
  Exp: scaled<'Exp'>(Math.exp, ({ y }) => y),
  // d log(a) = da / a
  Log: elementwise<'Log'>(1, Math.log, ({ g, c, x: [a] }) => [() => g.apply('Div', [c, a], {})]),
  // d sin(a) = cos(a) da
  Sin: scaled<'Sin'>(Math.sin, ({ g, x }) => g.apply('Cos', x, {})),
  // d cos(a) = -sin(a) da
  Cos: scaled<'Cos'>(Math.cos, ({ g, x }) => g.apply('Neg', [g.apply('Sin', x, {})], {})),
  // d erf(a) = 2 / sqrt(pi) exp(-a^2) da
  Erf: scaled<'Erf'>(erf, ({ g, x: [a], k }) => {
    const bell = g.apply('Exp', [g.apply('Neg', [g.apply('Mul', [a, a], {})], {})], {});
    return g.apply('Mul', [bell, k(2 / Math.sqrt(Math.PI))], {});
  }),
  // d where(m, a, b) = where(m, da, db)
  Where: {
    infer: (inputs) => {
      const [m, a, b] = [0, 1, 2].map((position) => required(inputs, position));
      if (m?.dtype !== 'bool') throw new Error(`expected a condition of dtype bool, got ${m?.dtype}`);
      if (a?.dtype !== b?.dtype) throw new Error(`expected branches of one dtype, got ${a?.dtype} and ${b?.dtype}`);
      return { dtype: required(inputs, 1).dtype, shape: inferBroadcast(inputs, 3) };
    },
    vjp: ({ g, inputs, cotangent }) => {
      const m = required(inputs, 0);
      return [
        null,
        () => gate(g, m, cotangent),
        () => g.apply('Where', [m, g.scalar(0, cotangent.dtype), cotangent], {}),
      ];
    },
    evaluate: (inputs) => {
      const operands = [0, 1, 2].map((position) => required(inputs, position));
      return mapTensors(operands, required(inputs, 1).dtype, (m, a, b) => (m !== 0 ? a : b) ?? 0);
    },
  } satisfies Operator<'Where'>,
  // A cast between floats passes the gradient, cast back; others have none.
  Cast: {
    infer: (inputs, { to }) => ({ dtype: to, shape: required(inputs, 0).shape }),
    vjp: ({ g, inputs, cotangent }) => {
      const { dtype } = required(inputs, 0);
      return [isFloat(dtype) ? () => g.apply('Cast', [cotangent], { to: dtype }) : null];
    },
    evaluate: (inputs, { to }) => mapTensors([required(inputs, 0)], to, storedAs(to)),
  } satisfies Operator<'Cast'>,
};
