import type { RgbaImage } from '../pixels.js';

// Fetched where a WebP file comes that has EXIF.

/** Turns what a browser made of a WebP file upright, where it leaves that to others, as Chromium does. */
export async function uprightWebp(image: RgbaImage, file: Blob): Promise<RgbaImage> {
  const orientation = webpOrientation(new Uint8Array(await file.arrayBuffer()));
  return orientation === 1 || (await turnsWebp()) ? image : upright(image, orientation);
}

/** A WebP file of 2 x 1 pixels that EXIF says to turn by a quarter. */
const TURNED =
  'UklGRk4AAABXRUJQVlA4WAoAAAAIAAAAAQAAAAAAVlA4TA4AAAAvAQAAAAcQEf0PRET/A0VYSUYaAAAASUkqAAgAAAABABIBAwABAAAABgAAAAAAAAA=';
let turns: Promise<boolean> | undefined;

function turnsWebp(): Promise<boolean> {
  const bytes = Uint8Array.from(atob(TURNED), (character) => character.charCodeAt(0));
  turns ??= createImageBitmap(new Blob([bytes]), { imageOrientation: 'from-image' }).then(
    ({ width, height }) => height > width,
    () => false,
  );
  return turns;
}

/** An image as its EXIF orientation says to show it: mirrored by 2, 4, 5 and 7, on its side by 5 to 8. */
function upright({ width: w, height: h, data }: RgbaImage, orientation: number): RgbaImage {
  const [width, height] = orientation > 4 ? [h, w] : [w, h];
  const pixels = new Uint32Array(data.buffer, data.byteOffset, w * h);
  const out = new Uint32Array(w * h);
  const isRight = [2, 3, 7, 8].includes(orientation);
  const isBottom = [3, 4, 6, 7].includes(orientation);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const [sx, sy] = orientation > 4 ? [y, x] : [x, y];
      out[y * width + x] = pixels[(isBottom ? h - 1 - sy : sy) * w + (isRight ? w - 1 - sx : sx)] as number;
    }
  }
  return { width, height, data: new Uint8ClampedArray(out.buffer) };
}

const text = (bytes: Uint8Array, from: number, to: number) => String.fromCharCode(...bytes.subarray(from, to));

/** The EXIF orientation of a whole WebP file, 1 to 8; 1 where it states none. */
export function webpOrientation(bytes: Uint8Array): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = 12; at + 8 <= bytes.length; ) {
    const length = view.getUint32(at + 4, true);
    if (text(bytes, at, at + 4) === 'EXIF') return exifOrientation(bytes.subarray(at + 8, at + 8 + length));
    // Chunks are of an even length.
    at += 8 + length + (length % 2);
  }
  return 1;
}

/** The orientation in EXIF's first directory, which is that of a TIFF file. */
function exifOrientation(exif: Uint8Array): number {
  const start = text(exif, 0, 4) === 'Exif' ? 6 : 0;
  const view = new DataView(exif.buffer, exif.byteOffset + start, Math.max(0, exif.length - start));
  if (view.byteLength < 8) return 1;
  const little = view.getUint16(0) === 0x4949;
  const at = view.getUint32(4, little);
  if (at + 2 > view.byteLength) return 1;
  const count = view.getUint16(at, little);
  for (let entry = at + 2; entry + 12 <= view.byteLength && entry < at + 2 + 12 * count; entry += 12) {
    if (view.getUint16(entry, little) !== 0x0112) continue;
    const value = view.getUint16(entry + 8, little);
    return value >= 1 && value <= 8 ? value : 1;
  }
  return 1;
}
