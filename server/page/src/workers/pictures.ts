import {
  decodeRgba,
  type ImageProblem,
  InputError,
  type Preprocessing,
  type RgbaImage,
  resizePixels,
} from '@whet/runtime/web';
import { unseenCanvas } from '../shared/canvas.js';
import { flattenLight } from './flatten-light.js';

export interface PictureOptions {
  /** Takes the square in the middle, as a camera's frame shows it. */
  readonly square?: boolean;
  /** Evens out the light of a photographed drawing. */
  readonly flatten?: boolean;
}

export interface SeenPicture {
  /** As the bundle sees it: `[H, W, C]`, 0..255. */
  readonly pixels: Uint8Array;
  /** Whether it has the colours of a photograph, which a model of drawings does not see. */
  readonly isColourful: boolean;
}

/** Why a picture cannot be seen: errors lose that on their way out of a worker. */
export interface RefusedPicture {
  readonly problem: ImageProblem;
  readonly detail: string;
}

/** What a bundle sees of a picture, or why it sees nothing. */
export async function seePicture(
  picture: Blob | ImageBitmap,
  preprocessing: Preprocessing,
  { square = false, flatten = false }: PictureOptions,
): Promise<SeenPicture | RefusedPicture> {
  let image: RgbaImage;
  try {
    image = picture instanceof Blob ? await decodeRgba(picture, { field: 'picture' }) : readBitmap(picture);
  } catch (cause) {
    if (cause instanceof InputError && cause.problem) return { problem: cause.problem, detail: cause.message };
    throw cause;
  }
  if (square) image = middle(image);
  const isColourful = hasColours(image);
  if (flatten && preprocessing.channels === 1) image = flattenLight(image);
  return { pixels: resizePixels(image, preprocessing), isColourful };
}

/** How far apart the channels of a pixel are that has a colour, and the share of such pixels in a colourful picture. */
const [COLOUR, SHARE] = [40, 0.15];

function hasColours({ width, height, data }: RgbaImage): boolean {
  const stride = Math.max(1, Math.floor((width * height) / 4096));
  let [coloured, count] = [0, 0];
  for (let i = 0; i < width * height; i += stride) {
    const [red = 0, green = 0, blue = 0, alpha = 255] = data.subarray(i * 4, i * 4 + 4);
    count++;
    if (alpha > 128 && Math.max(red, green, blue) - Math.min(red, green, blue) > COLOUR) coloured++;
  }
  return coloured > SHARE * count;
}

function readBitmap(bitmap: ImageBitmap) {
  const { width, height } = bitmap;
  const context = unseenCanvas(width, height);
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  return { width, height, data: context.getImageData(0, 0, width, height).data };
}

function middle(image: { width: number; height: number; data: Uint8ClampedArray | Uint8Array }) {
  const { width, height, data } = image;
  const side = Math.min(width, height);
  const [left, top] = [Math.floor((width - side) / 2), Math.floor((height - side) / 2)];
  const out = new Uint8ClampedArray(side * side * 4);
  for (let y = 0; y < side; y++) {
    const from = ((y + top) * width + left) * 4;
    out.set(data.subarray(from, from + side * 4), y * side * 4);
  }
  return { width: side, height: side, data: out };
}
