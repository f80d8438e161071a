import type { Place } from './place.js';
import type { Preprocessing } from './preprocessing.js';

/** Which pixel of `from` each of `to` is, by the arithmetic of Pillow's `resize`: where two are as near, its sum decides. */
export function nearestPlaces(from: number, to: number): Int32Array {
  const scale = from / to;
  let centre = scale * 0.5;
  return Int32Array.from({ length: to }, () => {
    const place = Math.min(from - 1, Math.floor(centre));
    centre += scale;
    return place;
  });
}

interface Interleaved {
  readonly data: Uint8Array;
  readonly width: number;
  readonly height: number;
  readonly channels: number;
}

/** The pixels `[H, W, C]` that stand nearest, with background beside them. */
export function sampleNearest(image: Interleaved, place: Place, p: Preprocessing): Uint8Array {
  const { data, channels } = image;
  const columns = nearestPlaces(image.width, place.width);
  const rows = nearestPlaces(image.height, place.height);
  const out = new Uint8Array(p.width * p.height * channels).fill(p.background);
  for (let y = 0; y < p.height; y++) {
    const row = rows[y + place.top];
    if (row === undefined) continue;
    for (let x = 0; x < p.width; x++) {
      const column = columns[x + place.left];
      if (column === undefined) continue;
      const from = (row * image.width + column) * channels;
      const at = (y * p.width + x) * channels;
      for (let c = 0; c < channels; c++) out[at + c] = data[from + c] as number;
    }
  }
  return out;
}
