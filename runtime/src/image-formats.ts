/** What files begin with, of the formats that are decoded: those that everybody may send, and those of one's own files. */
export function formatOf(start: string): string | undefined {
  if (start.startsWith('\x89PNG\r\n\x1a\n')) return 'PNG';
  if (start.startsWith('\xff\xd8\xff')) return 'JPEG';
  if (start.startsWith('RIFF') && start.slice(8, 12) === 'WEBP') return 'WebP';
  if (start.startsWith('GIF8')) return 'GIF';
  if (/^(II[*+]\0|MM\0[*+])/.test(start)) return 'TIFF';
  if (start.startsWith('BM')) return 'BMP';
  if (start.startsWith('%PDF')) return 'PDF';
  if (start.startsWith('<svg') || start.startsWith('<?xml')) return 'SVG or XML';
  if (start.startsWith('8BPS')) return 'Photoshop';
  if (start.startsWith('\xff\x0a') || start.startsWith('\0\0\0\x0cJXL ')) return 'JPEG XL';
  if (start.startsWith('\0\0\0\x0cjP  ')) return 'JPEG 2000';
  if (start.slice(4, 8) === 'ftyp') return formatOfBox(start);
  return undefined;
}

/** HEIC and AVIF are one container: the brands tell, the first or one of those that follow. */
function formatOfBox(start: string): string {
  const length = start.charCodeAt(2) * 256 + start.charCodeAt(3);
  const brands = [start.slice(8, 12), ...(start.slice(16, length).match(/.{4}/gs) ?? [])];
  if (brands.some((brand) => brand === 'avif' || brand === 'avis')) return 'AVIF';
  if (brands.some((brand) => /^(hei|hev|mif1|msf1)/.test(brand))) return 'HEIC';
  return 'a film';
}

/** Names of files that hold images, whether or not they are of a format that can be decoded. */
const IMAGE =
  /\.(png|apng|jpe?g|jpe|jfif|pjpe?g|pjp|webp|gif|tiff?|avif|hei[cf]s?|hif|bmp|dib|ico|svg|jxl|jp2|psd|dng|cr[23]|nef|arw|raf|orf|rw2|p[bgnp]m|tga|exr|hdr)$/i;

export const isImageName = (name: string): boolean => !name.startsWith('.') && IMAGE.test(name);
