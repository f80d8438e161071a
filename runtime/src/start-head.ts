import { Tensor } from 'onnxruntime-common';
import { oneHot } from './one-hot.js';
import type { KeptHead, Pattern } from './pattern.js';
import type { ProfileValue } from './profile.js';
import { runSession } from './run-session.js';
import { stackRows, type TensorFeeds } from './tensors.js';

const tensorOf = ({ shape, data }: ProfileValue): Tensor => new Tensor('float32', data, shape);

/**
 * The head a task starts from, `head.weight [ways, F]` and `head.bias [ways]`: from the examples; or `known`, a kept head
 * or that of a profile to go on from, with a row more for each class that it does not have.
 */
export async function startHead(
  pattern: Pattern,
  features: Tensor,
  rows: Int32Array,
  ways: number,
  values: TensorFeeds,
  known: KeptHead | undefined = pattern.keptHead,
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
  return {
    'head.weight': stackRows(weight, grown['head.weight'] as Tensor),
    'head.bias': stackRows(bias, grown['head.bias'] as Tensor),
  };
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
