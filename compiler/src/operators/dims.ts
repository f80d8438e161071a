import type { Dim, Shape } from '../tensor.js';
import { formatShape } from '../tensor.js';

/**
 * Arithmetic of dimensions. What is computed from a symbol is a symbol whose name is the expression, so that equal
 * expressions are equal dimensions: `6N`, `2N*M`, `(H-2)`, `((H-1)//2+1)`.
 */
export interface Product {
  readonly factor: number;
  readonly symbols: readonly string[];
}

/** Splits at `*` outside parentheses. A name that holds other operators outside parentheses is one symbol. */
function factorsOf(symbol: string): Product {
  const tokens = [''];
  let depth = 0;
  for (const character of symbol) {
    if (character === '(') depth++;
    if (character === ')') depth--;
    if (depth === 0 && /[\s+\-/]/.test(character)) return { factor: 1, symbols: [symbol] };
    if (depth === 0 && character === '*') tokens.push('');
    else tokens[tokens.length - 1] += character;
  }
  let factor = 1;
  const symbols: string[] = [];
  for (const token of tokens) {
    const [, count = '', rest = ''] = /^(\d*)(.*)$/s.exec(token) ?? [];
    if (count !== '') factor *= Number(count);
    if (rest !== '') symbols.push(rest);
  }
  return { factor, symbols };
}

/** The product of dimensions, taken apart. */
export function productOf(dims: Shape): Product {
  let factor = 1;
  const symbols: string[] = [];
  for (const dim of dims) {
    if (typeof dim === 'number') factor *= dim;
    else {
      const part = factorsOf(dim);
      factor *= part.factor;
      symbols.push(...part.symbols);
    }
  }
  return { factor, symbols: symbols.sort() };
}

export function formatProduct({ factor, symbols }: Product): Dim {
  if (symbols.length === 0 || factor === 0) return factor;
  return `${factor === 1 ? '' : factor}${symbols.join('*')}`;
}

export function multiplyDims(dims: Shape): Dim {
  return formatProduct(productOf(dims));
}

/** `whole / part` where it divides exactly, else undefined. */
export function divideShapes(whole: Shape, part: Shape): Dim | undefined {
  const [from, by] = [productOf(whole), productOf(part)];
  const symbols = [...from.symbols];
  for (const symbol of by.symbols) {
    const at = symbols.indexOf(symbol);
    if (at < 0) return undefined;
    symbols.splice(at, 1);
  }
  const factor = from.factor === by.factor ? 1 : from.factor / by.factor;
  return Number.isInteger(factor) ? formatProduct({ factor, symbols }) : undefined;
}

/** The dimension that makes `shape` hold as many elements as `from`. */
export function missingDim(from: Shape, shape: Shape): Dim {
  const missing = divideShapes(from, shape);
  if (missing !== undefined) return missing;
  throw new Error(`${formatShape(from)} does not divide into ${formatShape(shape)}`);
}

/** `dim + count` */
export function offsetDim(dim: Dim, count: number): Dim {
  if (typeof dim === 'number') return dim + count;
  if (count === 0) return dim;
  const [, inner, before] = /^\(([A-Za-z_][\w.]*|\(.*\))([+-]\d+)\)$/s.exec(dim) ?? [];
  const sum = count + Number(before ?? 0);
  if (sum === 0) return inner as string;
  return `(${inner ?? dim}${sum < 0 ? '' : '+'}${sum})`;
}

/** Sum of dimensions: numbers first, then symbols in order. */
export function addDims(dims: Shape): Dim {
  const symbols = dims.filter((dim) => typeof dim === 'string');
  const known = dims.reduce<number>((sum, dim) => sum + (typeof dim === 'number' ? dim : 0), 0);
  if (symbols.length === 0) return known;
  return offsetDim(symbols.length === 1 ? (symbols[0] as string) : `(${symbols.join('+')})`, known);
}

/** How many windows of `span` fit `dim` (already padded) at a stride. */
export function windowCount(dim: Dim, span: number, stride: number): Dim {
  if (typeof dim === 'number') return Math.floor((dim - span) / stride) + 1;
  if (stride === 1) return offsetDim(dim, 1 - span);
  return `(${offsetDim(dim, -span)}//${stride}+1)`;
}

/** `dim * factor + count` */
export function scaleDim(dim: Dim, factor: number, count = 0): Dim {
  return offsetDim(multiplyDims([factor, dim]), count);
}

/** The number a gradient rule needs; throws for a symbol. */
export function knownDim(dim: Dim | undefined, what: string): number {
  if (typeof dim !== 'number') throw new Error(`expected ${what} to be known, got the symbol ${dim}`);
  return dim;
}
