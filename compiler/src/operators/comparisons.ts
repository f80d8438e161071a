import { elementwise } from './broadcasting.js';

/** Half to even, as IEEE 754 and ONNX round. */
function roundHalfToEven(a: number): number {
  const rounded = Math.round(a);
  return Math.abs(a - Math.trunc(a)) === 0.5 && rounded % 2 !== 0 ? rounded - 1 : rounded;
}

/** Operators whose slope is zero wherever they have one. */
export const comparisonOperators = {
  Greater: elementwise<'Greater'>(2, (a, b) => Number(a > b), 'none', 'bool'),
  GreaterOrEqual: elementwise<'GreaterOrEqual'>(2, (a, b) => Number(a >= b), 'none', 'bool'),
  Less: elementwise<'Less'>(2, (a, b) => Number(a < b), 'none', 'bool'),
  LessOrEqual: elementwise<'LessOrEqual'>(2, (a, b) => Number(a <= b), 'none', 'bool'),
  Equal: elementwise<'Equal'>(2, (a, b) => Number(a === b), 'none', 'bool'),
  And: elementwise<'And'>(2, (a, b) => Number(a !== 0 && b !== 0), 'none', 'bool'),
  Or: elementwise<'Or'>(2, (a, b) => Number(a !== 0 || b !== 0), 'none', 'bool'),
  Xor: elementwise<'Xor'>(2, (a, b) => Number((a !== 0) !== (b !== 0)), 'none', 'bool'),
  Not: elementwise<'Not'>(1, (a) => Number(a === 0), 'none', 'bool'),
  Sign: elementwise<'Sign'>(1, Math.sign, 'none'),
  Floor: elementwise<'Floor'>(1, Math.floor, 'none'),
  Ceil: elementwise<'Ceil'>(1, Math.ceil, 'none'),
  Round: elementwise<'Round'>(1, roundHalfToEven, 'none'),
};
