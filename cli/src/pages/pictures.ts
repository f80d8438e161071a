import { type Preprocessing, pictureChannels } from '@whet/runtime/images';
import type { WeightMask } from '@whet/trainer';
import { type Html, html } from './html.js';

/** Of entries that move; readable on both grounds of a page. Those that stay are see-through. */
const MOVES = [0x3b, 0x82, 0xd6, 0xff] as const;

async function pngUri(pixels: Uint8Array, width: number, height: number, channels: 1 | 3 | 4): Promise<string> {
  const { default: sharp } = await import('sharp');
  const png = await sharp(pixels, { raw: { width, height, channels } }).png({ compressionLevel: 9 }).toBuffer();
  return `data:image/png;base64,${png.toString('base64')}`;
}

/** The picture that a preprocessed tensor `[C, H, W]` was made of; `alt` says what is on it. */
export async function tensorPicture(tensor: Float32Array, p: Preprocessing, alt: string): Promise<Html> {
  const { width, height, mean, std, invert } = p;
  const channels = pictureChannels(p, 'example');
  const plane = width * height;
  const pixels = Uint8Array.from({ length: plane * channels }, (_, i) => {
    const c = i % channels;
    const value = (tensor[c * plane + Math.floor(i / channels)] as number) * (std[c] ?? 1) + (mean[c] ?? 0);
    return Math.min(255, Math.max(0, Math.round(255 * (invert ? 1 - value : value))));
  });
  const uri = await pngUri(pixels, width, height, channels);
  return html`<img class="example" src="${uri}" width="${width}" height="${height}" alt="${alt}">`;
}

/** Pixels of a page that a mask may take. */
const WIDTH = 900;
const LARGEST = 6;

/** A mask as a grid: a row per output channel, a column per input channel and kernel position; of one axis a row. `what` its entries are. */
export async function maskPicture(
  { name, shape, open }: Pick<WeightMask, 'name' | 'shape' | 'open'>,
  what = 'weights',
): Promise<Html> {
  const rows = shape.length > 1 ? (shape[0] as number) : 1;
  const columns = open.length / rows;
  const pixels = new Uint8Array(4 * open.length);
  for (const [i, moves] of open.entries()) if (moves) pixels.set(MOVES, 4 * i);
  const uri = await pngUri(pixels, columns, rows, 4);
  const scale = Math.min(LARGEST, Math.max(1, Math.floor(WIDTH / columns)));
  const share = open.reduce((sum, each) => sum + each, 0) / open.length;
  const words = `${name} [${shape.join(', ')}]: ${(100 * share).toFixed(1)} % of ${open.length} ${what} move`;
  return html`<figure><figcaption>${words}</figcaption>
<div class="scroll" tabindex="0" role="region" aria-label="${name}"><img class="mask" src="${uri}" width="${
    columns * scale
  }" height="${rows * scale}" alt="${words}"></div></figure>`;
}
