import type { Value } from '../../graph.js';
import type { Shape } from '../../tensor.js';
import { formatShape, isStatic, makeTensor, sizeOf, stridesOf } from '../../tensor.js';
import type { NodeContext, Reading } from './node-context.js';

interface Places {
  /** How many elements the axes have together that the places name. */
  readonly size: number;
  /** Numbers of the places among them. */
  readonly flat: readonly number[];
  /** Shape of the list of places. */
  readonly shape: readonly number[];
  /** Axes that the places do not name. */
  readonly rest: Shape;
}

/** Places that are written as rows of coordinates, as numbers in what the named axes make together. */
function readPlaces(c: NodeContext, x: Value): Places {
  const places = c.input(1);
  const count = places.shape.at(-1);
  const named: Shape = typeof count === 'number' ? x.shape.slice(0, count) : [];
  if (named.length === 0 || named.length !== count || !isStatic(named)) {
    return c.refuse(`has places ${formatShape(places.shape)} in ${formatShape(x.shape)}`);
  }
  if (!places.constant) return c.refuse(`expected places to be known when the model is read, got "${places.name}"`);
  const strides = stridesOf(named);
  const { data } = places.constant;
  const flat = Array.from({ length: data.length / count }, (_, row) =>
    named.reduce<number>((sum, size, axis) => {
      const at = Number(data[row * count + axis]);
      if (at < -size || at >= size) return c.refuse(`place ${at} lies outside axis ${axis}, which has size ${size}`);
      return sum + (at < 0 ? at + size : at) * (strides[axis] as number);
    }, 0),
  );
  const shape = places.shape.slice(0, -1) as number[];
  return { size: sizeOf(named), flat, shape, rest: x.shape.slice(count) };
}

const constant = (c: NodeContext, shape: readonly number[], values: readonly number[]): Value =>
  c.g.constant(makeTensor(shape, values, 'int64'), `${c.node.outputs[0]}/places`);

function gather(c: NodeContext): Value {
  const x = c.input(0);
  const batched = c.int('batch_dims', 0);
  if (batched !== 0) c.refuse(`batch_dims ${batched} is not supported`);
  const { size, flat, shape, rest } = readPlaces(c, x);
  const together = c.reshape(x, [size, ...rest], 'together');
  return c.emit('Gather', [together, constant(c, shape, flat)], { axis: 0 });
}

/** Rows of what is written to, as ScatterElements takes them: the number of the row for each of its elements. */
function scatter(c: NodeContext): Value {
  const [x, updates] = [c.input(0), c.input(2)];
  const reduction = c.word('reduction', ['none', 'add']);
  const { size, flat, rest } = readPlaces(c, x);
  if (!isStatic(rest)) return c.refuse(`expected rows of a known size, got ${formatShape(rest)}`);
  const length = sizeOf(rest);
  const rows = flat.flatMap((row) => new Array<number>(length).fill(row));
  const inputs = [
    c.reshape(x, [size, length], 'together'),
    constant(c, [flat.length, length], rows),
    c.reshape(updates, [flat.length, length], 'updates'),
  ];
  return c.reshape(c.emit('ScatterElements', inputs, { axis: 0, reduction }, 'written'), x.shape);
}

/** Places that are written as coordinates. */
export const placeReadings = {
  GatherND: { needs: ['Gather'], read: gather },
  ScatterND: { needs: ['ScatterElements'], read: scatter },
} satisfies Record<string, Reading>;
