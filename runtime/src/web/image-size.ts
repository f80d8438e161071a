/** What the first bytes of an image file say. */
export interface ImageHeader {
  readonly format: 'PNG' | 'JPEG' | 'WebP' | 'GIF' | 'AVIF' | 'HEIC' | 'BMP' | 'SVG';
  /** Pixels, where the header has them at a known place: of PNG, JPEG, WebP and GIF. */
  readonly width?: number;
  readonly height?: number;
  /** Whether a WebP file has EXIF, which may say that it is to be turned. */
  readonly hasExif?: boolean;
}

const text = (bytes: Uint8Array, from: number, to: number) => String.fromCharCode(...bytes.subarray(from, to));

/** Reads an image's format and size without decoding it; undefined where the bytes are no image of these formats. */
export function readImageHeader(bytes: Uint8Array): ImageHeader | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const start = text(bytes, 0, 16);
  if (start.startsWith('\x89PNG\r\n\x1a\n') && bytes.length >= 24) {
    return { format: 'PNG', width: view.getUint32(16), height: view.getUint32(20) };
  }
  if (start.startsWith('\xff\xd8\xff')) return { format: 'JPEG', ...jpegSize(view) };
  if (start.startsWith('RIFF') && start.slice(8, 12) === 'WEBP') return { format: 'WebP', ...webpSize(bytes, view) };
  if (start.startsWith('GIF8') && bytes.length >= 10) {
    return { format: 'GIF', width: view.getUint16(6, true), height: view.getUint16(8, true) };
  }
  if (start.startsWith('BM')) return { format: 'BMP' };
  if (start.slice(4, 8) === 'ftyp') {
    if (/avi[fs]/.test(start.slice(8, 12))) return { format: 'AVIF' };
    if (/hei[cxms]|hev[cx]|mif1|msf1/.test(start.slice(8, 12))) return { format: 'HEIC' };
  }
  if (/^\s*<(svg|\?xml)/.test(start)) return { format: 'SVG' };
  return undefined;
}

/** The size in a JPEG's frame header, which stands behind the metadata. */
function jpegSize(view: DataView) {
  for (let at = 2; at + 9 < view.byteLength && view.getUint8(at) === 0xff; ) {
    const marker = view.getUint8(at + 1);
    const isFrame = marker >= 0xc0 && marker <= 0xcf && marker !== 0xc4 && marker !== 0xc8 && marker !== 0xcc;
    if (isFrame) return { width: view.getUint16(at + 7), height: view.getUint16(at + 5) };
    at += 2 + view.getUint16(at + 2);
  }
  return {};
}

function webpSize(bytes: Uint8Array, view: DataView) {
  if (bytes.length < 30) return {};
  const chunk = text(bytes, 12, 16);
  const uint24 = (at: number) => view.getUint16(at, true) + (view.getUint8(at + 2) << 16);
  if (chunk === 'VP8X') return { width: 1 + uint24(24), height: 1 + uint24(27), hasExif: (view.getUint8(20) & 8) > 0 };
  if (chunk === 'VP8L') {
    const bits = view.getUint32(21, true);
    return { width: 1 + (bits & 0x3fff), height: 1 + ((bits >> 14) & 0x3fff) };
  }
  return { width: view.getUint16(26, true) & 0x3fff, height: view.getUint16(28, true) & 0x3fff };
}
