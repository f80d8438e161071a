import type { Path } from 'opentype.js';
import sharp from 'sharp';
import { type Mask, thin } from './thin.js';

/** Width and height of a demo image in pixels: what Omniglot's 105 are resized to. */
export const IMAGE_SIZE = 28;

/** How a drawing sits in its frame. Lengths are fractions of the frame's side. */
export interface Placement {
  /** Larger side of the ink's bounding box. */
  readonly size: number;
  /** Offset of the box's centre from the frame's, to the right and down. */
  readonly right: number;
  readonly down: number;
  /** Thickness of every stroke. */
  readonly stroke: number;
}

const OUTLINE_SIZE = 200;
const OUTLINE_MARGIN = 10;
const SMOOTHING_RADIUS = 2;
const SAMPLES_PER_PIXEL = 15;

/**
 * Returns `[28 * 28]` grey values, 0 for ink and 255 for paper, or undefined where the outline has no ink.
 *
 * Omniglot was drawn with a pen of one width. A font's strokes have any, so only their centre lines are kept and drawn
 * again with a round pen.
 */
export async function drawGlyph(outline: Path, placement: Placement): Promise<Uint8Array | undefined> {
  const filled = await fillOutline(outline);
  if (filled === undefined) return undefined;
  const strokes = smooth(filled);
  if (!strokes.ink.includes(1)) return undefined;
  return shrink(drawLines(thin(strokes, measureThickness(strokes)), placement));
}

async function fillOutline(outline: Path): Promise<Mask | undefined> {
  const { x1, y1, x2, y2 } = outline.getBoundingBox();
  const larger = Math.max(x2 - x1, y2 - y1);
  if (!(larger > 0)) return undefined;
  const scale = OUTLINE_SIZE / larger;
  const width = Math.ceil((x2 - x1) * scale) + 2 * OUTLINE_MARGIN;
  const height = Math.ceil((y2 - y1) * scale) + 2 * OUTLINE_MARGIN;
  const place = `translate(${OUTLINE_MARGIN} ${OUTLINE_MARGIN}) scale(${scale}) translate(${-x1} ${-y1})`;
  const svg =
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}">` +
    `<rect width="100%" height="100%" fill="#fff"/><path transform="${place}" d="${outline.toPathData(3)}"/></svg>`;
  const grey = await sharp(Buffer.from(svg)).toColourspace('b-w').extractChannel(0).raw().toBuffer();
  if (grey.length !== width * height) {
    throw new Error(`Outline: expected ${width} x ${height} grey values, got ${grey.length}`);
  }
  return { width, height, ink: Uint8Array.from(grey, (value) => (value < 128 ? 1 : 0)) };
}

// A brush's rough edge grows side branches when it is thinned: each pixel takes the majority of its neighbourhood.
function smooth({ width, height, ink }: Mask): Mask {
  const smoothed = new Uint8Array(ink.length);
  const reach = SMOOTHING_RADIUS;
  for (let y = reach; y < height - reach; y++) {
    for (let x = reach; x < width - reach; x++) {
      let balance = 0;
      for (let dy = -reach; dy <= reach; dy++) {
        for (let dx = -reach; dx <= reach; dx++) balance += ink[(y + dy) * width + x + dx] === 1 ? 1 : -1;
      }
      if (balance > 0) smoothed[y * width + x] = 1;
    }
  }
  return { width, height, ink: smoothed };
}

// A stroke of length l and thickness t has an area of l t and, but for its ends, an edge of 2 l.
function measureThickness({ width, ink }: Mask): number {
  let area = 0;
  let edge = 0;
  for (let at = 0; at < ink.length; at++) {
    if (ink[at] === 0) continue;
    area++;
    for (const step of [-width, 1, width, -1]) if (ink[at + step] === 0) edge++;
  }
  return (2 * area) / Math.max(edge, 1);
}

function drawLines(lines: Mask, placement: Placement): Mask {
  const side = IMAGE_SIZE * SAMPLES_PER_PIXEL;
  const points = [...lines.ink.keys()]
    .filter((at) => lines.ink[at] === 1)
    .map((at) => ({ x: at % lines.width, y: Math.floor(at / lines.width) }));
  const left = Math.min(...points.map((point) => point.x));
  const right = Math.max(...points.map((point) => point.x));
  const top = Math.min(...points.map((point) => point.y));
  const bottom = Math.max(...points.map((point) => point.y));
  const pen = placement.stroke * side;
  const scale = (placement.size * side - pen) / Math.max(right - left, bottom - top, 1);
  const radius = pen / 2;

  const frame: Mask = { width: side, height: side, ink: new Uint8Array(side * side) };
  for (const point of points) {
    const x = side * (0.5 + placement.right) + (point.x - (left + right) / 2) * scale;
    const y = side * (0.5 + placement.down) + (point.y - (top + bottom) / 2) * scale;
    stamp(frame, x, y, radius);
  }
  return frame;
}

function stamp({ width, height, ink }: Mask, x: number, y: number, radius: number): void {
  const [left, right, top, bottom] = [x - radius, x + radius, y - radius, y + radius];
  if (left < 0 || top < 0 || right > width || bottom > height) {
    throw new RangeError(`Pen at (${x}, ${y}) with radius ${radius}: expected it inside ${width} x ${height}`);
  }
  for (let row = Math.floor(top); row <= Math.min(bottom, height - 1); row++) {
    for (let column = Math.floor(left); column <= Math.min(right, width - 1); column++) {
      const squared = (column + 0.5 - x) ** 2 + (row + 0.5 - y) ** 2;
      if (squared <= radius ** 2) ink[row * width + column] = 1;
    }
  }
}

function shrink({ width, ink }: Mask): Uint8Array {
  const samples = SAMPLES_PER_PIXEL ** 2;
  return Uint8Array.from({ length: IMAGE_SIZE * IMAGE_SIZE }, (_, pixel) => {
    const x = (pixel % IMAGE_SIZE) * SAMPLES_PER_PIXEL;
    const y = Math.floor(pixel / IMAGE_SIZE) * SAMPLES_PER_PIXEL;
    let covered = 0;
    for (let dy = 0; dy < SAMPLES_PER_PIXEL; dy++) {
      for (let dx = 0; dx < SAMPLES_PER_PIXEL; dx++) covered += ink[(y + dy) * width + x + dx] ?? 0;
    }
    return Math.round(255 * (1 - covered / samples));
  });
}
