import { readFile } from 'node:fs/promises';
import { afterEach, expect, it, vi } from 'vitest';
import { decodeRgba } from './decode-image.js';

// What a browser decodes is tested in one, by test/src/browser. These are browsers that cannot.
afterEach(() => vi.unstubAllGlobals());

const file = async () =>
  new Blob([await readFile(new URL('../../../models/demo/characters/plus/caveat.png', import.meta.url))]);

it('an image that the browser does not decode is refused by name', async () => {
  vi.stubGlobal('createImageBitmap', () => Promise.reject(new Error('no')));
  await expect(decodeRgba(await file(), { field: 'plus.png' })).rejects.toThrow(
    'plus.png: expected a whole PNG image, got one that is damaged, cut short or too large for this browser',
  );
  const bmp = new Uint8Array(64);
  bmp.set(new TextEncoder().encode('BM'));
  await expect(decodeRgba(new Blob([bmp]))).rejects.toThrow(
    'image: this browser cannot read BMP images; save it as JPEG or PNG first',
  );
});

it('an image that is too large for a canvas of the browser is refused by name', async () => {
  vi.stubGlobal('createImageBitmap', async () => ({ width: 105, height: 105, close: () => undefined }));
  for (const canvas of [
    undefined,
    class {
      getContext = () => null;
    },
  ]) {
    vi.stubGlobal('OffscreenCanvas', canvas);
    await expect(decodeRgba(await file())).rejects.toThrow(/image: \d+ x \d+ pixels are too many for this browser/);
  }
});
