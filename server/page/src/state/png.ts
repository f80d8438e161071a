import type { Preprocessing } from '@whet/runtime/web';
import { t } from '../messages/index.js';
import { unseenCanvas } from '../shared/canvas.js';
import { PlainError } from './signals.js';

// Pixels as the model sees them, as files and back: the same, to the last bit.

export async function toPng(pixels: Uint8Array, { width, height, channels }: Preprocessing): Promise<Uint8Array> {
  const context = unseenCanvas(width, height);
  const image = context.createImageData(width, height);
  for (let i = 0; i < width * height; i++) {
    for (let c = 0; c < 3; c++) image.data[i * 4 + c] = pixels[i * channels + (channels === 3 ? c : 0)] ?? 0;
    image.data[i * 4 + 3] = 255;
  }
  context.putImageData(image, 0, 0);
  return new Uint8Array(await (await context.canvas.convertToBlob({ type: 'image/png' })).arrayBuffer());
}

export async function fromPng(bytes: Uint8Array, { width, height, channels }: Preprocessing): Promise<Uint8Array> {
  const options = { colorSpaceConversion: 'none', premultiplyAlpha: 'none' } as const;
  const bitmap = await createImageBitmap(new Blob([bytes as Uint8Array<ArrayBuffer>]), options);
  if (bitmap.width !== width || bitmap.height !== height) {
    const cause = `expected pictures of ${width} x ${height} pixels, got ${bitmap.width} x ${bitmap.height}`;
    throw new PlainError(t().projectDamaged, { cause });
  }
  const context = unseenCanvas(width, height);
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  const { data } = context.getImageData(0, 0, width, height);
  return Uint8Array.from({ length: width * height * channels }, (_, i) =>
    channels === 3 ? (data[Math.floor(i / 3) * 4 + (i % 3)] ?? 0) : (data[i * 4] ?? 0),
  );
}
