import { divideShapes, formatProduct, productOf } from '../../operators/dims.js';
import type { Dim } from '../../tensor.js';

/** `a b`, or undefined where it is not a whole multiple of symbols. */
export function multiplyExactly(a: Dim, b: Dim): Dim | undefined {
  const product = productOf([a, b]);
  if (product.symbols.length > 0 && (!Number.isInteger(product.factor) || product.factor < 0)) return undefined;
  return formatProduct(product);
}

/** `a / b` where it divides exactly, else undefined. */
export const divideDims = (a: Dim, b: Dim): Dim | undefined => divideShapes([a], [b]);

/** A symbol that a dimension may hold, from whatever an exporter wrote: letters, digits, `_` and `.`, no digit first. */
export function cleanSymbol(name: string): string {
  const cleaned = name.replace(/[^\w.]/g, '_');
  return /^[A-Za-z_]/.test(cleaned) ? cleaned : `_${cleaned}`;
}
