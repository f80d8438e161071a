import type { Preprocessing } from './preprocessing.js';

/** Coloured images of so many pixels, whatever they were before, as values from 0 to 1. */
export const coloured = (width: number, height: number, changes: Partial<Preprocessing> = {}): Preprocessing => ({
  width,
  height,
  channels: 3,
  fit: 'contain',
  background: 255,
  kernel: 'lanczos3',
  invert: false,
  mean: [0, 0, 0],
  std: [1, 1, 1],
  ...changes,
});
