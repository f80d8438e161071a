import type { Value } from '../../graph.js';
import type { NodeContext } from './node-context.js';

/** A window that slides over the two axes of an image, all that ONNX leaves to defaults filled in. */
export interface ImageWindow {
  readonly kernel_shape: readonly [number, number];
  readonly strides: readonly [number, number];
  readonly dilations: readonly [number, number];
  /** [top, left, bottom, right] */
  readonly pads: readonly [number, number, number, number];
}

const autoPads = ['NOTSET', 'SAME_UPPER', 'SAME_LOWER', 'VALID'] as const;

/** Splits what a whole axis is padded by into its begin and end. */
export function splitPadding(total: number, lower: boolean): [begin: number, end: number] {
  const [less, more] = [Math.floor(total / 2), Math.ceil(total / 2)];
  return lower ? [more, less] : [less, more];
}

export function expectImages(c: NodeContext, x: Value): void {
  const axes = x.shape.length - 2;
  if (axes !== 2) c.refuse(`expected images [N, C, H, W], got ${axes < 1 ? 'no' : axes} spatial axes`);
}

/** Reads `kernel_shape`, `strides`, `dilations`, `pads` and `auto_pad`; the last is resolved to pads. */
export function readWindow(c: NodeContext, x: Value, kernel?: readonly unknown[]): ImageWindow {
  const pair = (name: string, values: readonly unknown[] | undefined, least: number): [number, number] => {
    const [a, b] = values ?? [];
    if (values?.length !== 2 || !Number.isInteger(a) || !Number.isInteger(b)) {
      return c.refuse(`${name} [${values?.join(', ') ?? ''}] is not two numbers`);
    }
    const result: [number, number] = [a as number, b as number];
    return result.every((value) => value >= least) ? result : c.refuse(`${name} [${result}] is too small`);
  };
  const given = c.ints('kernel_shape');
  const kernel_shape = pair('kernel_shape', given?.length ? given : kernel, 1);
  const strides = pair('strides', c.ints('strides') ?? [1, 1], 1);
  const dilations = pair('dilations', c.ints('dilations') ?? [1, 1], 1);
  const pads = c.ints('pads') ?? [0, 0, 0, 0];
  const auto = c.word('auto_pad', autoPads);
  const window = { kernel_shape, strides, dilations };
  if (auto === 'NOTSET') {
    if (pads.length !== 4 || pads.some((count) => count < 0)) c.refuse(`pads [${pads.join(', ')}] are not four sizes`);
    return { ...window, pads: pads as unknown as ImageWindow['pads'] };
  }
  if (auto === 'VALID') return { ...window, pads: [0, 0, 0, 0] };
  const [[top, bottom], [left, right]] = ([0, 1] as const).map((axis) => {
    const [stride, size] = [strides[axis], x.shape[axis + 2]];
    const span = (kernel_shape[axis] - 1) * dilations[axis] + 1;
    // With a stride of 1 the padding does not depend on the image's size.
    if (stride !== 1 && typeof size !== 'number')
      return c.refuse(`auto_pad ${auto} on an image whose size is the symbol ${size}`);
    const need =
      stride === 1 ? span - 1 : (Math.ceil((size as number) / stride) - 1) * stride + span - (size as number);
    return splitPadding(Math.max(0, need), auto === 'SAME_LOWER');
  }) as [[number, number], [number, number]];
  return { ...window, pads: [top, left, bottom, right] };
}

/**
 * What `ceil_mode` adds at the far ends of an image, as [bottom, right]: as much as makes the last window whole that
 * begins inside the image or the padding before it.
 */
export function ceilPadding(c: NodeContext, x: Value, w: ImageWindow): readonly [number, number] {
  return [0, 1].map((axis) => {
    const size = x.shape[axis + 2];
    if (typeof size !== 'number') return c.refuse(`ceil_mode on an image whose size is the symbol ${size}`);
    const [stride, begin, end] = [w.strides[axis], w.pads[axis], w.pads[axis + 2]] as [number, number, number];
    const span = ((w.kernel_shape[axis] as number) - 1) * (w.dilations[axis] as number) + 1;
    const reach = size + begin + end - span;
    let windows = Math.ceil(reach / stride) + 1;
    if ((windows - 1) * stride >= size + begin) windows--;
    return Math.max(0, (windows - 1) * stride - reach);
  }) as unknown as [number, number];
}
