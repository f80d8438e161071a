import type { Preprocessing } from './preprocessing.js';

/** How a view differs from its image. */
interface Change {
  /** Turned, in radians. */
  readonly turn: number;
  /** Moved, as shares of the width and the height. */
  readonly move: readonly [x: number, y: number];
  /** Enlarged by. */
  readonly scale: number;
  /** Light times this, of pixels 0..1. */
  readonly light: number;
}

/**
 * The largest changes: what a hand that holds a phone again, and another hour of the day, make of a picture. With smaller ones (15 degrees,
 * 8 %) a network tells all views already, and a step learns little from them.
 */
const [TURN, MOVE, SCALE, LIGHT] = [0.15 * Math.PI, 0.15, 0.25, 0.4];

/** Points of [-1, 1] that fill it evenly, dimension by dimension (Halton 1960, prime bases). */
function halton(index: number, base: number): number {
  let [value, part] = [0, 1];
  for (let rest = index; rest > 0; rest = Math.floor(rest / base)) {
    part /= base;
    value += part * (rest % base);
  }
  return 2 * value - 1;
}

function changeOf(view: number): Change {
  const at = (base: number): number => halton(view + 1, base);
  return {
    turn: TURN * at(2),
    move: [MOVE * at(3), MOVE * at(5)],
    scale: 1 + SCALE * at(7),
    light: 1 + LIGHT * at(11),
  };
}

/** One channel, turned, moved and enlarged about its middle, with bilinear weights; its edge pixels go on beyond it. */
function warp(plane: Float32Array, height: number, width: number, { turn, move, scale }: Change): Float32Array {
  const result = new Float32Array(plane.length);
  const [cos, sin] = [Math.cos(turn) / scale, Math.sin(turn) / scale];
  const [middleX, middleY] = [(width - 1) / 2, (height - 1) / 2];
  const clamp = (value: number, most: number): number => Math.min(Math.max(value, 0), most);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const [dx, dy] = [x - middleX - move[0] * width, y - middleY - move[1] * height];
      const fromX = clamp(cos * dx + sin * dy + middleX, width - 1);
      const fromY = clamp(cos * dy - sin * dx + middleY, height - 1);
      const [left, top] = [Math.floor(fromX), Math.floor(fromY)];
      const [right, bottom] = [Math.min(left + 1, width - 1), Math.min(top + 1, height - 1)];
      const [partX, partY] = [fromX - left, fromY - top];
      const pixel = (column: number, row: number): number => plane[row * width + column] as number;
      const above = pixel(left, top) * (1 - partX) + pixel(right, top) * partX;
      const below = pixel(left, bottom) * (1 - partX) + pixel(right, bottom) * partX;
      result[y * width + x] = above * (1 - partY) + below * partY;
    }
  }
  return result;
}

/**
 * Views of a preprocessed image `[C, H, W]`: turned by up to 27 degrees, moved by up to 15 %, enlarged or reduced by up to 25 %, lighter
 * or darker by up to 40 %. The same ones each time.
 */
export function viewsOf(
  image: Float32Array,
  { channels, height, width, mean, std, invert }: Preprocessing,
  count: number,
): Float32Array[] {
  return Array.from({ length: count }, (_, view) => {
    const change = changeOf(view);
    const result = new Float32Array(image.length);
    const size = height * width;
    for (let channel = 0; channel < channels; channel++) {
      const plane = warp(image.subarray(channel * size, (channel + 1) * size), height, width, change);
      const [m, s] = [mean[channel] ?? 0, std[channel] ?? 1];
      // Light is of pixels, 0 is dark; an inverted image is 1 where it is dark.
      for (const [i, value] of plane.entries()) {
        const pixel = value * s + m;
        const lit = invert ? 1 - change.light * (1 - pixel) : change.light * pixel;
        result[channel * size + i] = (lit - m) / s;
      }
    }
    return result;
  });
}
