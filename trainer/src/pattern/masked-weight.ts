import { type GraphBuilder, makeTensor, reshape, type Value } from '@whet/compiler';

/** A weight of the network in a pattern: its trained start, and which of its entries move. */
export interface PatternWeight {
  readonly name: string;
  readonly shape: readonly number[];
  readonly start: Float32Array;
  /** 1 for each entry that moves; absent where none moves. A weight that moves whole is stored dense. */
  readonly mask?: Uint8Array;
  /** By what multiple of the common rate each entry moves; all by 1 when absent. */
  readonly rates?: Float32Array;
}

/** Whether any of its entries moves. */
export const isMoving = ({ mask }: PatternWeight): boolean => mask?.includes(1) ?? false;

function openEntries(mask: Uint8Array): number[] {
  return Array.from(mask.keys()).filter((i) => mask[i] === 1);
}

/** The dense weight a graph computes with, and the input that holds its moving entries, if any move. */
export function bindWeight(g: GraphBuilder, weight: PatternWeight): { dense: Value; input?: Value } {
  const { name, shape, start, mask } = weight;
  if (!mask || !isMoving(weight)) return { dense: g.constant(makeTensor(shape, start), name) };
  const open = openEntries(mask);
  if (open.length === start.length) {
    const input = g.input(name, shape);
    return { dense: input, input };
  }
  const input = g.input(name, [open.length]);
  const rows = openRows(open, shape);
  const [whole, part] = rows ? [shape, [rows.length, ...shape.slice(1)]] : [[start.length], [open.length]];
  const frozen = g.constant(makeTensor(whole, start), `${name}.start`);
  const places = Float64Array.from(open, (i, at) => rows?.[Math.floor((at * rows.length) / open.length)] ?? i);
  const indices = g.constant(makeTensor(part, places, 'int64'), `${name}.indices`);
  const operands = [frozen, indices, reshape(g, input, part)];
  const scattered = g.apply('ScatterElements', operands, { axis: 0, reduction: 'none' }, `${name}.dense`);
  return { dense: reshape(g, scattered, shape), input };
}

/** The rows, such as output channels, that the open entries fill; undefined where a row is open in part. */
function openRows(open: readonly number[], [rows = 1, ...rest]: readonly number[]): number[] | undefined {
  const length = rest.reduce((product, dim) => product * dim, 1);
  const found = [...new Set(open.map((i) => Math.floor(i / length)))];
  return rest.length > 0 && rows > 1 && open.length === found.length * length ? found : undefined;
}

/** Those of a weight's entries that move. */
export function compact(entries: Float32Array, mask: Uint8Array | undefined): Float32Array {
  return mask ? Float32Array.from(openEntries(mask), (i) => entries[i] as number) : entries;
}
