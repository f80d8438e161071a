/** Markers before the pixels; a camera writes about twenty. */
const MAX_SEGMENTS = 1000;

/**
 * How many times the pixels of another image a JPEG file may have: it is decoded at a reduced scale, row by row, and so 50
 * million pixels take less memory than one million of a PNG file. Where the frame is sent in several scans (a progressive
 * file), all coefficients are held meanwhile, two bytes each.
 */
export function reducibleBy(bytes: Uint8Array): 1 | 2 | 4 {
  let frame: { readonly components: number; readonly held: number; readonly isProgressive: boolean } | undefined;
  for (let at = 2, segment = 0; segment < MAX_SEGMENTS && at + 4 <= bytes.length; segment++) {
    if (bytes[at] !== 0xff) return 1;
    const marker = bytes[at + 1] as number;
    if (marker === 0xff) {
      at++;
      continue;
    }
    if (marker >= 0xc0 && marker <= 0xc2) {
      const components = bytes[at + 9] ?? 0;
      frame = { components, held: heldPerPixel(bytes.subarray(at + 10), components), isProgressive: marker === 0xc2 };
    }
    if (marker === 0xda) {
      if (!frame) return 1;
      const isWhole = !frame.isProgressive && bytes[at + 4] === frame.components;
      return isWhole ? 4 : frame.held <= 1.5 ? 2 : 1;
    }
    at += 2 + (((bytes[at + 2] as number) << 8) | (bytes[at + 3] as number));
  }
  return 1;
}

/** Coefficients of all components for a pixel: 1.5 where colour has half the resolution, as in photographs, else up to 3. */
function heldPerPixel(fields: Uint8Array, components: number): number {
  const factors = Array.from({ length: components }, (_, i) => {
    const sampling = fields[i * 3 + 1] ?? 0;
    return [sampling >> 4, sampling & 15] as const;
  });
  const most = Math.max(...factors.map(([h]) => h)) * Math.max(...factors.map(([, v]) => v));
  return factors.reduce((sum, [h, v]) => sum + h * v, 0) / most;
}
