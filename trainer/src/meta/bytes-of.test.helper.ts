import type { Preprocessing } from '@whet/runtime/images';

/** Grey images of so many pixels, as their bytes: 0 to 255. */
export const bytesOf = (width: number, height: number): Preprocessing => ({
  width,
  height,
  channels: 1,
  fit: 'contain',
  background: 255,
  kernel: 'lanczos3',
  invert: false,
  mean: [0],
  std: [1 / 255],
});
