import type { RgbaImage } from '@whet/runtime/web';

/** Side of the blocks in which the paper's brightness is looked for, as a share of the image. */
const BLOCKS = 8;
/** Share of the range between ink and paper that is taken for paper, as grain and shadow stay below it. */
const GRAIN = 0.35;

/**
 * A photographed drawing as dark ink on white: brightness is divided by that of the paper around it, found in coarse
 * blocks, and what is left is stretched to the full range.
 */
export function flattenLight({ width, height, data }: RgbaImage): RgbaImage {
  const grey = new Float32Array(width * height);
  for (let i = 0; i < grey.length; i++) {
    grey[i] = 0.2126 * (data[i * 4] ?? 0) + 0.7152 * (data[i * 4 + 1] ?? 0) + 0.0722 * (data[i * 4 + 2] ?? 0);
  }
  const paper = paperBrightness(grey, width, height);
  const ratio = grey.map((value, i) => Math.min(1, value / Math.max(1, paper(i % width, Math.floor(i / width)))));
  const sorted = Float32Array.from(ratio).sort();
  const ink = sorted[Math.floor(sorted.length * 0.005)] ?? 0;
  const range = Math.max(0.15, 1 - ink);
  const out = new Uint8ClampedArray(width * height * 4);
  for (const [i, value] of ratio.entries()) {
    const darkness = Math.min(1, Math.max(0, ((1 - value) / range - GRAIN) / (1 - GRAIN) / 0.6));
    out.fill(255 * (1 - darkness), i * 4, i * 4 + 3);
    out[i * 4 + 3] = 255;
  }
  return { width, height, data: out };
}

/** The bright end of each block, and between blocks' middles a blend of the four around. */
function paperBrightness(grey: Float32Array, width: number, height: number) {
  const blocks = new Float32Array(BLOCKS * BLOCKS);
  for (let by = 0; by < BLOCKS; by++) {
    for (let bx = 0; bx < BLOCKS; bx++) {
      const values: number[] = [];
      const [x0, x1] = [Math.floor((bx * width) / BLOCKS), Math.floor(((bx + 1) * width) / BLOCKS)];
      const [y0, y1] = [Math.floor((by * height) / BLOCKS), Math.floor(((by + 1) * height) / BLOCKS)];
      const stride = Math.max(1, Math.floor((x1 - x0) / 32));
      for (let y = y0; y < y1; y += stride) for (let x = x0; x < x1; x += stride) values.push(grey[y * width + x] ?? 0);
      values.sort((a, b) => a - b);
      blocks[by * BLOCKS + bx] = values[Math.floor(values.length * 0.8)] ?? 255;
    }
  }
  const at = (x: number, y: number) =>
    blocks[Math.min(BLOCKS - 1, Math.max(0, y)) * BLOCKS + Math.min(BLOCKS - 1, Math.max(0, x))] as number;
  return (x: number, y: number): number => {
    const [fx, fy] = [((x + 0.5) / width) * BLOCKS - 0.5, ((y + 0.5) / height) * BLOCKS - 0.5];
    const [ix, iy] = [Math.floor(fx), Math.floor(fy)];
    const [tx, ty] = [fx - ix, fy - iy];
    const upper = at(ix, iy) * (1 - tx) + at(ix + 1, iy) * tx;
    const lower = at(ix, iy + 1) * (1 - tx) + at(ix + 1, iy + 1) * tx;
    return upper * (1 - ty) + lower * ty;
  };
}
