import type { ParameterSpec } from '@whet/models';

/** What one mask logit stands for: a weight, an output channel of a layer, or a whole layer. */
export const maskGranularities = ['weight', 'channel', 'layer'] as const;
export type MaskGranularity = (typeof maskGranularities)[number];

/** The mask that covers a parameter; at coarser granularities parameters of one layer share it. */
export interface ParameterMask {
  /** Of the learned tensor: the parameter's, or that of the layer that shares it. */
  readonly name: string;
  /** Of the learned tensor. */
  readonly shape: readonly number[];
  /** As what the learned tensor broadcasts to the parameter: each entry covers equally many of its entries. */
  readonly broadcast: readonly number[];
  readonly granularity: MaskGranularity;
}

/** A parameter the inner loop sees: its `learned` shape broadcasts to its shape in a task. */
export interface InnerParameter {
  readonly name: string;
  readonly layer: string;
  /** Shape of what the outer loop may learn about each of its weights, e.g. `[1, F]` for a head shared by all classes. */
  readonly learnedShape: readonly number[];
  readonly mask: ParameterMask;
}

const HEAD = 'head';

/**
 * The mask of a parameter. `channel`: the parameters of a layer share one logit per output channel, one of their axes, so
 * that a closed channel needs no gradient at all. A head's output channels are the classes of a task, which come in any
 * order and number, so its logits are shared by the classes: one per feature that it reads, and one for the biases.
 * `layer`: all parameters of a layer share one logit.
 */
function maskOf({ name, layer, shape, channelAxis = 0 }: ParameterSpec, granularity: MaskGranularity): ParameterMask {
  const one = shape.map(() => 1);
  if (granularity === 'layer') return { name: layer, shape: [1], broadcast: one, granularity };
  if (granularity === 'weight') return { name, shape, broadcast: shape, granularity };
  if (layer === HEAD) {
    const perFeature = shape.map((size, axis) => (axis === 0 ? 1 : size));
    return { name, shape: perFeature, broadcast: perFeature, granularity };
  }
  const channels = shape[channelAxis] ?? 1;
  return { name: layer, shape: [channels], broadcast: one.with(channelAxis, channels), granularity };
}

/**
 * What inner steps may move, from the image upward. Throws a RangeError where the parameters of a layer have different
 * numbers of output channels and masks are per channel.
 */
export function innerParametersOf(specs: readonly ParameterSpec[], granularity: MaskGranularity): InnerParameter[] {
  const sizes = new Map<string, string>();
  return specs.map((spec) => {
    const mask = maskOf(spec, granularity);
    const size = `[${mask.shape.join(', ')}]`;
    const known = sizes.get(mask.name) ?? size;
    if (known !== size) {
      throw new RangeError(`"${spec.name}": expected the mask ${known} that layer "${spec.layer}" shares, got ${size}`);
    }
    sizes.set(mask.name, size);
    return { name: spec.name, layer: spec.layer, learnedShape: spec.shape, mask };
  });
}

/** A learned tensor broadcast to the shape of its parameter: each entry as often as it covers entries of that. */
export function expandLearned<T extends Uint8Array | Float32Array>(learned: T, parameter: InnerParameter): T {
  const { learnedShape: shape, mask } = parameter;
  const size = shape.reduce((a, b) => a * b, 1);
  // What is learned of each entry by itself, as a rate, is no mask that several share.
  const broadcast = learned.length === size ? shape : mask.broadcast;
  const expanded = new (learned.constructor as new (length: number) => T)(size);
  return expanded.map((_, i) => {
    let [rest, at, stride] = [i, 0, 1];
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      const [dim, covering] = [shape[axis] as number, broadcast[axis] as number];
      if (covering > 1) at += stride * (rest % dim);
      stride *= covering;
      rest = Math.floor(rest / dim);
    }
    return learned[at] as number;
  }) as T;
}
