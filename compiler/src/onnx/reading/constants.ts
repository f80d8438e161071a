import type { Value } from '../../graph.js';
import type { Dim, Tensor } from '../../tensor.js';
import { isStatic, makeTensor, sizeOf, stridesOf } from '../../tensor.js';
import { decodeTensor, type ExternalReader } from '../tensors.js';
import type { NodeContext, Reading } from './node-context.js';

/** Up to here a ConstantOfShape is written out; above, it is expanded when the graph runs. */
const WRITTEN_LIMIT = 1024;

function constantTensor(c: NodeContext, external: ExternalReader | undefined): Tensor {
  const tensor = c.tensor('value');
  if (tensor) return decodeTensor(tensor, external);
  const [float, int] = [c.float('value_float', Number.NaN), c.int('value_int')];
  if (c.node.attributes.has('value_float')) return makeTensor([], [float]);
  if (int !== undefined) return makeTensor([], [int], 'int64');
  const [floats, ints] = [c.floats('value_floats'), c.ints('value_ints')];
  if (floats) return makeTensor([floats.length], floats);
  if (ints) return makeTensor([ints.length], ints, 'int64');
  return c.refuse('holds no value, or a text, or a sparse tensor');
}

function constantOfShape(c: NodeContext, external: ExternalReader | undefined): Value {
  const given = c.dims(0, 'the shape') ?? c.refuse('has no shape');
  if (given.includes(undefined)) c.refuse('makes a shape that is not known when the model is read');
  const shape = given as Dim[];
  if (shape.some((dim) => typeof dim === 'number' && dim < 0)) c.refuse(`[${shape.join(', ')}] is not a shape`);
  const tensor = c.tensor('value');
  const value = tensor ? decodeTensor(tensor, external) : makeTensor([], [0]);
  if (value.data.length !== 1) c.refuse(`takes one value, got ${value.data.length}`);
  const [number] = value.data;
  if (isStatic(shape) && sizeOf(shape) <= WRITTEN_LIMIT) {
    const data = new Float64Array(sizeOf(shape)).fill(number as number);
    return c.g.constant({ dtype: value.dtype, shape, data }, c.node.outputs[0]);
  }
  return c.expand(c.g.constant({ ...value, shape: [] }, `${c.node.outputs[0]}/value`), shape);
}

/** Where a constant is not 0: `[rank, count]`, a row for each axis. Of what depends on the image, their number is not known. */
function placesOf(c: NodeContext): Tensor {
  const { constant: x } = c.input(0);
  if (!x) return c.refuse('is of a value that is not known when the model is read');
  const strides = stridesOf(x.shape);
  const open = Array.from(x.data.keys()).filter((i) => x.data[i] !== 0);
  const rows = strides.map((stride, axis) => open.map((i) => Math.floor(i / stride) % (x.shape[axis] as number)));
  return makeTensor([strides.length, open.length], rows.flat(), 'int64');
}

export const constants = (external: ExternalReader | undefined) =>
  ({
    Constant: { needs: [], read: (c) => c.g.constant(constantTensor(c, external), c.node.outputs[0]) },
    ConstantOfShape: { needs: ['Expand'], read: (c) => constantOfShape(c, external) },
    NonZero: { needs: [], read: (c) => c.g.constant(placesOf(c), c.node.outputs[0]) },
    Range: { read: (c) => c.emit('Range', [c.input(0), c.input(1), c.input(2)], {}) },
  }) satisfies Record<string, Reading>;
