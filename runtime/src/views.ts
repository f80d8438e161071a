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

/** Where each pixel of a view comes from: the four around a place in the image, and how far between them it is. */
interface Places {
  readonly topLeft: Int32Array;
  /** From the left one to the right one, and from the upper to the lower: 0 at an edge, whose pixels go on beyond it. */
  readonly right: Int32Array;
  readonly down: Int32Array;
  readonly partX: Float64Array;
  readonly partY: Float64Array;
}

const clamp = (value: number, most: number): number => Math.min(Math.max(value, 0), most);

/** Turned, moved and enlarged about the middle. */
function placesOf(height: number, width: number, { turn, move, scale }: Change): Places {
  const size = height * width;
  const [topLeft, right, down] = [new Int32Array(size), new Int32Array(size), new Int32Array(size)];
  const [partX, partY] = [new Float64Array(size), new Float64Array(size)];
  const [cos, sin] = [Math.cos(turn) / scale, Math.sin(turn) / scale];
  const [middleX, middleY] = [(width - 1) / 2, (height - 1) / 2];
  for (let at = 0; at < size; at++) {
    const dx = (at % width) - middleX - move[0] * width;
    const dy = Math.floor(at / width) - middleY - move[1] * height;
    const fromX = clamp(cos * dx + sin * dy + middleX, width - 1);
    const fromY = clamp(cos * dy - sin * dx + middleY, height - 1);
    const [left, top] = [Math.floor(fromX), Math.floor(fromY)];
    topLeft[at] = top * width + left;
    right[at] = left < width - 1 ? 1 : 0;
    down[at] = top < height - 1 ? width : 0;
    partX[at] = fromX - left;
    partY[at] = fromY - top;
  }
  return { topLeft, right, down, partX, partY };
}

/** Writes one channel of a view to `out`, with bilinear weights, and light as `factor * value + added`. */
function drawView(plane: Float32Array, places: Places, factor: number, added: number, out: Float32Array): void {
  const { topLeft, right, down, partX, partY } = places;
  for (let at = 0; at < out.length; at++) {
    const [corner, across, below] = [topLeft[at] as number, right[at] as number, down[at] as number];
    const [x, y] = [partX[at] as number, partY[at] as number];
    const upper = (plane[corner] as number) * (1 - x) + (plane[corner + across] as number) * x;
    const lower = (plane[corner + below] as number) * (1 - x) + (plane[corner + below + across] as number) * x;
    out[at] = factor * (upper * (1 - y) + lower * y) + added;
  }
}

/**
 * Makes views of preprocessed images `[C, H, W]`: turned by up to 27 degrees, moved by up to 15 %, enlarged or reduced by up to 25 %,
 * lighter or darker by up to 40 %. The same ones of each image.
 */
export function viewMaker(
  { channels, height, width, mean, std, invert }: Preprocessing,
  count: number,
): (image: Float32Array) => Float32Array[] {
  const size = height * width;
  const views = Array.from({ length: count }, (_, view) => {
    const change = changeOf(view);
    return { light: change.light, places: placesOf(height, width, change) };
  });
  const planes = Array.from({ length: channels }, (_, channel) => channel);
  return (image) =>
    views.map(({ light, places }) => {
      const result = new Float32Array(image.length);
      for (const channel of planes) {
        const [m, s] = [mean[channel] ?? 0, std[channel] ?? 1];
        // Light is of pixels `value * s + m`, where 0 is dark, or 1 in an inverted image.
        const added = ((light - 1) * (invert ? m - 1 : m)) / s;
        const part = [channel * size, (channel + 1) * size] as const;
        drawView(image.subarray(...part), places, light, added, result.subarray(...part));
      }
      return result;
    });
}
