import { type GraphBuilder, int64s, slice, type Value } from '@whet/compiler';

/** How far a view of an image is moved, in whole pixels; its border fills what it leaves free. */
export interface Shift {
  readonly right: number;
  readonly down: number;
}

/** An image's four neighbours by one pixel. */
export const neighbours: readonly Shift[] = [
  { right: 1, down: 0 },
  { right: -1, down: 0 },
  { right: 0, down: 1 },
  { right: 0, down: -1 },
];

/** `images [N, C, H, W]`, each moved by the shift. */
function shifted(g: GraphBuilder, images: Value, { right, down }: Shift): Value {
  const [height, width] = images.shape.slice(2) as [number, number];
  const before = [Math.max(down, 0), Math.max(right, 0)] as const;
  const after = [Math.max(-down, 0), Math.max(-right, 0)] as const;
  const pads = g.constant(int64s([0, 0, ...before, 0, 0, ...after]));
  const padded = g.apply('Pad', [images, pads], { mode: 'edge' });
  return slice(g, padded, [2, 3], after, [after[0] + height, after[1] + width]);
}

/**
 * The mean of what `features` gives for the images and for each of their shifts. For a head that is linear in the
 * features this averages its logits over the views, and class prototypes over the views of the examples.
 */
export function meanOverViews(
  g: GraphBuilder,
  images: Value,
  shifts: readonly Shift[],
  features: (images: Value) => Value,
): Value {
  if (shifts.length === 0) return features(images);
  const views = [features(images), ...shifts.map((shift) => features(shifted(g, images, shift)))];
  const sum = views.reduce((a, b) => g.apply('Add', [a, b], {}));
  return g.apply('Mul', [sum, g.scalar(1 / views.length)], {});
}
