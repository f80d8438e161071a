import type { Dim, Shape } from '../tensor.js';

/** A product of a number and symbols, as dimensions write it: `6N` is 6 times N, `M*N` is M times N; what is in parentheses is one. */
interface Product {
  readonly factor: number;
  readonly symbols: readonly string[];
}

function parse(dim: Dim): Product {
  if (typeof dim === 'number') return { factor: dim, symbols: [] };
  const [, count = '', rest = dim] = /^(\d*)(.+)$/.exec(dim) ?? [];
  const symbols = [''];
  let depth = 0;
  for (const character of rest) {
    if (character === '(') depth++;
    if (character === ')') depth--;
    if (character === '*' && depth === 0) symbols.push('');
    else symbols[symbols.length - 1] += character;
  }
  return { factor: count === '' ? 1 : Number(count), symbols };
}

function format({ factor, symbols }: Product): Dim {
  if (symbols.length === 0 || factor === 0) return factor;
  return `${factor === 1 ? '' : factor}${[...symbols].sort().join('*')}`;
}

/** `a b`, or undefined where it is not a whole multiple of symbols. */
export function multiplyDims(a: Dim, b: Dim): Dim | undefined {
  const [left, right] = [parse(a), parse(b)];
  const factor = left.factor * right.factor;
  const symbols = [...left.symbols, ...right.symbols];
  if (symbols.length > 0 && (!Number.isInteger(factor) || factor < 0)) return undefined;
  return format({ factor, symbols });
}

/** `a / b` where it divides exactly, else undefined. */
export function divideDims(a: Dim, b: Dim): Dim | undefined {
  const [whole, part] = [parse(a), parse(b)];
  const symbols = [...whole.symbols];
  for (const symbol of part.symbols) {
    const at = symbols.indexOf(symbol);
    if (at < 0) return undefined;
    symbols.splice(at, 1);
  }
  const factor = whole.factor / part.factor;
  return Number.isInteger(factor) ? format({ factor, symbols }) : undefined;
}

/** The product of all dimensions. */
export function productOf(shape: Shape): Dim {
  return shape.reduce<Dim>((product, dim) => multiplyDims(product, dim) ?? product, 1);
}

/** A symbol that a dimension may hold, from whatever an exporter wrote: letters, digits, `_` and `.`, no digit first. */
export function cleanSymbol(name: string): string {
  const cleaned = name.replace(/[^\w.]/g, '_');
  return /^[A-Za-z_]/.test(cleaned) ? cleaned : `_${cleaned}`;
}
