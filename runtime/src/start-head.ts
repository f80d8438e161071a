import { Tensor } from 'onnxruntime-common';
import { oneHot } from './one-hot.js';
import type { KeptHead, Pattern } from './pattern.js';
import type { ProfileValue } from './profile.js';
import { runSession } from './run-session.js';
import { dataOf, stackRows, type TensorFeeds } from './tensors.js';

const tensorOf = ({ shape, data }: ProfileValue): Tensor => new Tensor('float32', data, shape);

/** A kept head, or that of a profile to go on from, with its classes' mean directions where it was solved for or has them. */
export interface KnownHead extends KeptHead {
  readonly means?: ProfileValue | undefined;
}

/**
 * The head a task starts from, `head.weight [ways, F]` and `head.bias [ways]`: from the examples; or `known`, a kept head
 * or that of a profile to go on from, with a row more for each class that it does not have. Where classes are added to a profile that has
 * the mean directions of its own, all start from these: rows that were solved for are of another length.
 */
export async function startHead(
  pattern: Pattern,
  features: Tensor,
  rows: Int32Array,
  ways: number,
  values: TensorFeeds,
  known: KnownHead | undefined = pattern.keptHead,
) {
  const own = known ? known.bias.data.length : 0;
  const added = ways - own;
  const labels = new Tensor(
    'float32',
    oneHot(
      rows.map((row) => row - own),
      added,
    ),
    [rows.length, added],
  );
  if (!known) return runSession(pattern.startHead, { features, labels, ...values });
  const [weight, bias] = [tensorOf(known.weight), tensorOf(known.bias)];
  if (added === 0) return { 'head.weight': weight, 'head.bias': bias };
  const kept = keptRows(pattern, known);
  const grown = await runSession(pattern.startHead, { features, labels, ...kept, ...values });
  const made = grown['head.weight'] as Tensor;
  const old = known.means ? ofLength(known.means, made) : weight;
  const none = new Tensor('float32', new Float32Array(own), [own]);
  return {
    'head.weight': stackRows(old, made),
    'head.bias': stackRows(known.means ? none : bias, grown['head.bias'] as Tensor),
  };
}

/** A row of length 1. */
function unit(rows: Float32Array, row: number, length: number): Float32Array {
  const own = rows.subarray(row * length, (row + 1) * length);
  const size = Math.sqrt(own.reduce((sum, value) => sum + value * value, 0)) || 1;
  return own.map((value) => value / size);
}

/**
 * A head of mean directions of classes that are known, by the means that a profile has of them or else the rows of its head, and of further
 * examples: each counts as much as an example of `counts`. As long as rows of examples alone, without a bias.
 */
export async function meanHead(
  pattern: Pattern,
  features: Tensor,
  { rows, ways }: { readonly rows: Int32Array; readonly ways: number },
  values: TensorFeeds,
  { known, counts }: { readonly known: KnownHead; readonly counts: readonly number[] },
): Promise<TensorFeeds> {
  const present = [...new Set(rows)].sort((a, b) => a - b);
  const places = rows.map((row) => present.indexOf(row));
  const labels = new Tensor('float32', oneHot(places, present.length), [rows.length, present.length]);
  const made = (await runSession(pattern.startHead, { features, labels, ...values }))['head.weight'] as Tensor;
  const [count = 1, length = 1] = made.dims;
  const size = Math.sqrt(dataOf(made).reduce((sum, value) => sum + value * value, 0) / count);
  const weight = new Float32Array(ways * length);
  for (let way = 0; way < ways; way++) {
    const direction = weight.subarray(way * length, (way + 1) * length);
    const add = (of: Float32Array, share: number) => {
      for (let i = 0; i < length; i++) direction[i] = (direction[i] as number) + share * (of[i] as number);
    };
    if (way < known.bias.data.length) add(unit((known.means ?? known.weight).data, way, length), counts[way] || 1);
    const at = present.indexOf(way);
    if (at >= 0) add(unit(dataOf(made), at, length), rows.filter((row) => row === way).length);
    direction.set(unit(direction, 0, length).map((value) => value * size));
  }
  return {
    'head.weight': new Tensor('float32', weight, [ways, length]),
    'head.bias': new Tensor('float32', new Float32Array(ways), [ways]),
  };
}

/** Directions `[W, F]` as long as the first row of others. */
function ofLength({ shape, data }: ProfileValue, rows: Tensor): Tensor {
  const first = dataOf(rows).subarray(0, shape[1]);
  const length = Math.sqrt(first.reduce((sum, value) => sum + value * value, 0));
  return new Tensor(
    'float32',
    data.map((value) => value * length),
    shape,
  );
}

/** Rows of the classes that the compiled model has itself, which other classes' rows are made beside. */
function keptRows({ keptHead }: Pattern, { weight, bias }: KeptHead): TensorFeeds {
  if (!keptHead) return {};
  const [classes, features] = keptHead.weight.shape as [number, number];
  return {
    'kept.weight': new Tensor('float32', weight.data.subarray(0, classes * features), [classes, features]),
    'kept.bias': new Tensor('float32', bias.data.subarray(0, classes), [classes]),
  };
}
