import type { Preprocessing } from './preprocessing.js';

/** Where the result stands in the image that was resized. */
export interface Place {
  /** Size of the whole image, resized. */
  readonly width: number;
  readonly height: number;
  /** Its pixel that becomes the result's first; below 0 where the result begins with background. */
  readonly left: number;
  readonly top: number;
}

/**
 * How an image of a size is resized, and what is cut out of it or added to it. Of `cover`, sizes and corner are those of
 * torchvision's `Resize` and `CenterCrop`.
 */
export function placeOf(width: number, height: number, p: Preprocessing): Place {
  if (p.fit === 'fill') return { width: p.width, height: p.height, left: 0, top: 0 };
  if (p.fit === 'contain') {
    const scale = Math.max(width / p.width, height / p.height);
    const [w, h] = [Math.max(1, Math.round(width / scale)), Math.max(1, Math.round(height / scale))];
    return { width: w, height: h, left: -Math.trunc((p.width - w) / 2), top: -Math.trunc((p.height - h) / 2) };
  }
  const isAcross = p.resize === undefined ? width / p.width <= height / p.height : width <= height;
  const [w, h] = isAcross
    ? [p.resize ?? p.width, Math.max(p.height, Math.trunc(((p.resize ?? p.width) * height) / width))]
    : [Math.max(p.width, Math.trunc(((p.resize ?? p.height) * width) / height)), p.resize ?? p.height];
  return { width: w, height: h, left: half(w - p.width), top: half(h - p.height) };
}

/** Half of a whole number, rounded to the even one as Python does. */
function half(n: number): number {
  return n % 4 === 3 ? (n + 1) / 2 : Math.floor(n / 2);
}
