import { describe, expect, it } from 'vitest';
import { batches } from './encode.js';

const sizesOf = (count: number) => batches(Array.from({ length: count }, (_, i) => i)).map(({ length }) => length);

describe('batches of images', () => {
  it.each([
    [0, []],
    [1, [1]],
    [16, [16]],
    [17, [8, 9]],
    [25, [12, 13]],
    [33, [11, 11, 11]],
  ])('%d are as few as that takes, of one size but for one', (count, sizes) => {
    expect(sizesOf(count)).toEqual(sizes);
  });

  it('hold every item once, in order, and none is alone beside large ones', () => {
    const items = Array.from({ length: 257 }, (_, i) => i);
    expect(batches(items).flat()).toEqual(items);
    expect(new Set(sizesOf(257))).toEqual(new Set([15, 16]));
  });
});
