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
