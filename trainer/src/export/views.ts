import { type GraphBuilder, int64s, makeTensor, slice, type Value } from '@whet/compiler';

/** How far a view of an image is moved, in whole pixels; its border fills what it leaves free. */
export interface Shift {
  readonly right: number;
  readonly down: number;
}

/** How much larger a view shows the image, about its centre: bilinear between pixels; its border fills what is left free. */
export interface Zoom {
  readonly zoom: number;
}

export type View = Shift | Zoom;

/** An image a tenth smaller and larger, and its four diagonal neighbours by one pixel. */
export const nearbyViews: readonly View[] = [
  { zoom: 0.9 },
  { zoom: 1.1 },
  { right: 1, down: 1 },
  { right: 1, down: -1 },
  { right: -1, down: 1 },
  { right: -1, down: -1 },
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

/** `[size, size]`: row i has the shares that place i of a zoomed line takes of the places of the line. */
function zoomShares(size: number, zoom: number): number[] {
  const shares = new Array<number>(size * size).fill(0);
  const centre = (size - 1) / 2;
  for (let i = 0; i < size; i++) {
    const at = Math.min(Math.max((i - centre) / zoom + centre, 0), size - 1);
    const below = Math.min(Math.floor(at), size - 2);
    shares[i * size + below] = 1 - (at - below);
    shares[i * size + below + 1] = at - below;
  }
  return shares;
}

/**
 * `images [N, C, H, W]`, each zoomed: rows and columns by themselves, as products with small constant matrices, which every
 * runtime has.
 */
function zoomed(g: GraphBuilder, images: Value, { zoom }: Zoom): Value {
  const [height, width] = images.shape.slice(2) as [number, number];
  const rows = g.constant(makeTensor([height, height], zoomShares(height, zoom)));
  const across = zoomShares(width, zoom);
  const transposed = across.map((_, i) => across[(i % width) * width + Math.floor(i / width)] as number);
  const columns = g.constant(makeTensor([width, width], transposed));
  return g.apply('MatMul', [rows, g.apply('MatMul', [images, columns], {})], {});
}

const viewOf = (g: GraphBuilder, images: Value, view: View): Value =>
  'zoom' in view ? zoomed(g, images, view) : shifted(g, images, view);

/**
 * The mean of what `features` gives for the images and for each of their views. For a head that is linear in the
 * features this averages its logits over the views, and class prototypes over the views of the examples.
 */
export function meanOverViews(
  g: GraphBuilder,
  images: Value,
  views: readonly View[],
  features: (images: Value) => Value,
): Value {
  if (views.length === 0) return features(images);
  const found = [features(images), ...views.map((view) => features(viewOf(g, images, view)))];
  const sum = found.reduce((a, b) => g.apply('Add', [a, b], {}));
  return g.apply('Mul', [sum, g.scalar(1 / found.length)], {});
}
