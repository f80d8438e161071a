import type { Dim, Shape, Tensor } from '../tensor.js';
import { int64s, sizeOf, stridesOf } from '../tensor.js';
import { expectOneDType } from './broadcasting.js';
import type { Operator } from './operator.js';
import { required } from './operator.js';
import { shapeOf } from './shape-helpers.js';

interface Equation {
  /** A label per axis of each operand; axes under an ellipsis have the labels `0`, `1`, ... from the right. */
  readonly operands: readonly (readonly string[])[];
  readonly output: readonly string[];
}

function labelsOf(term: string, ellipsisRank: number): string[] {
  const [before = '', after] = term.split('...');
  const under = Array.from({ length: ellipsisRank }, (_, i) => String(ellipsisRank - 1 - i));
  return after === undefined ? [...term] : [...before, ...under, ...after];
}

/** Reads an equation for operands of given ranks; without `->` the output is every label that occurs once, sorted. */
function parse(equation: string, ranks: readonly number[]): Equation {
  const [left = '', right] = equation.replace(/\s/g, '').split('->');
  const terms = left.split(',');
  if (terms.length !== ranks.length) throw new Error(`"${equation}" has ${terms.length} operands, got ${ranks.length}`);
  const widths = terms.map((term, i) => (term.includes('...') ? (ranks[i] as number) - term.length + 3 : 0));
  const operands = terms.map((term, i) => labelsOf(term, widths[i] as number));
  operands.forEach((labels, i) => {
    if (labels.length !== ranks[i]) throw new Error(`"${terms[i]}" of "${equation}" does not label ${ranks[i]} axes`);
  });
  const widest = Math.max(...widths);
  if (terms.some((term, i) => term.includes('...') && widths[i] !== widest)) {
    throw new Error(`"${equation}": an ellipsis stands for different numbers of axes`);
  }
  if (right !== undefined) return { operands, output: labelsOf(right, widest) };
  const letters = [...left.replace(/[^A-Za-z]/g, '')];
  const once = letters.filter((letter) => letters.indexOf(letter) === letters.lastIndexOf(letter)).sort();
  return { operands, output: labelsOf(left.includes('...') ? `...${once.join('')}` : once.join(''), widest) };
}

/** The size of each label; an axis of 1 broadcasts. */
function labelSizes(operands: Equation['operands'], shapes: readonly Shape[]): Map<string, Dim> {
  const sizes = new Map<string, Dim>();
  operands.forEach((labels, i) => {
    labels.forEach((label, axis) => {
      const dim = shapes[i]?.[axis] as Dim;
      const known = sizes.get(label) ?? 1;
      if (known !== 1 && dim !== 1 && known !== dim) throw new Error(`label ${label} is both ${known} and ${dim}`);
      sizes.set(label, known === 1 ? dim : known);
    });
  });
  return sizes;
}

/** The sizes of all axes that an equation labels: their product is how many products of elements it adds up. */
export function einsumSizes(equation: string, shapes: readonly Shape[]): Dim[] {
  const { operands } = parse(
    equation,
    shapes.map(({ length }) => length),
  );
  return [...labelSizes(operands, shapes).values()];
}

/** Writes labels as an equation of letters, for operands whose ellipsis was spelled out. */
function format(operands: Equation['operands'], output: readonly string[]): string {
  const all = [...new Set([...operands.flat(), ...output])];
  const free = [...'ABCDEFGHIJKLMNOPQRSTUVWXYZ'].filter((letter) => !all.includes(letter));
  const letter = new Map(all.map((label) => [label, /\d/.test(label) ? (free.shift() as string) : label]));
  const term = (labels: readonly string[]) => labels.map((label) => letter.get(label)).join('');
  return `${operands.map(term).join(',')}->${term(output)}`;
}

function step(labels: readonly string[], operand: Tensor, over: readonly string[]): number[] {
  const strides = stridesOf(operand.shape);
  return over.map((label) =>
    labels.reduce(
      (sum, own, axis) => (own === label && operand.shape[axis] !== 1 ? sum + (strides[axis] as number) : sum),
      0,
    ),
  );
}

/** Sums of products over labelled axes, as in `bhid,bhjd->bhij`. */
export const Einsum: Operator<'Einsum'> = {
  infer: (inputs, { equation }) => {
    const values = inputs.map((_, position) => required(inputs, position));
    expectOneDType(values);
    const shapes = values.map((value) => value.shape);
    const parsed = parse(
      equation,
      shapes.map((shape) => shape.length),
    );
    const sizes = labelSizes(parsed.operands, shapes);
    const shape = parsed.output.map((label) => {
      const size = sizes.get(label);
      if (size === undefined) throw new Error(`"${equation}": no operand has the output label ${label}`);
      return size;
    });
    return { dtype: required(values, 0).dtype, shape };
  },
  // d operand = einsum of the cotangent with the other operands; a label that only this operand has is repeated
  vjp: ({ g, inputs, cotangent, attributes: { equation } }) => {
    const values = inputs.map((_, position) => required(inputs, position));
    const { operands, output } = parse(
      equation,
      values.map((value) => value.shape.length),
    );
    return operands.map((labels, position) => () => {
      if (new Set(labels).size !== labels.length) {
        throw new Error(`"${equation}" takes a diagonal of input ${position}, which has no gradient rule`);
      }
      const others = operands.filter((_, i) => i !== position);
      const kept = labels.filter((label) => output.includes(label) || others.flat().includes(label));
      const product = g.apply('Einsum', [cotangent, ...values.filter((_, i) => i !== position)], {
        equation: format([output, ...others], kept),
      });
      if (kept.length === labels.length) return product;
      const missing = labels.flatMap((label, axis) => (kept.includes(label) ? [] : [axis]));
      const lifted = g.apply('Unsqueeze', [product, g.constant(int64s(missing))], {});
      return g.apply('Expand', [lifted, shapeOf(g, values[position] as (typeof values)[number])], {});
    });
  },
  evaluate: (inputs, { equation }) => {
    const values = inputs.map((_, position) => required(inputs, position));
    const shapes = values.map((value) => value.shape);
    const { operands, output } = parse(
      equation,
      shapes.map((shape) => shape.length),
    );
    const sizes = labelSizes(operands, shapes) as Map<string, number>;
    const labels = [...output, ...[...sizes.keys()].filter((label) => !output.includes(label))];
    const extents = labels.map((label) => sizes.get(label) as number);
    const shape = extents.slice(0, output.length);
    const steps = values.map((value, i) => step(operands[i] as readonly string[], value, labels));
    const data = new Float64Array(sizeOf(shape));
    const inner = sizeOf(extents.slice(output.length));
    const at = new Array<number>(labels.length).fill(0);
    const offsets = values.map(() => 0);
    for (let i = 0; i < data.length * inner; i++) {
      let product = 1;
      for (let p = 0; p < values.length; p++) product *= values[p]?.data[offsets[p] as number] as number;
      const to = Math.floor(i / inner);
      data[to] = (data[to] as number) + product;
      for (let axis = labels.length - 1; axis >= 0; axis--) {
        const wraps = (at[axis] as number) + 1 === extents[axis];
        const moved = wraps ? -(at[axis] as number) : 1;
        at[axis] = (at[axis] as number) + moved;
        for (let p = 0; p < values.length; p++) {
          offsets[p] = (offsets[p] as number) + moved * (steps[p]?.[axis] as number);
        }
        if (!wraps) break;
      }
    }
    return { dtype: required(values, 0).dtype, shape, data };
  },
};
