import { createHash } from 'node:crypto';
import { loadDemoImages } from '@whet/tools/demo/demo-images';
import sharp from 'sharp';
import { describe, expect, it } from 'vitest';

describe('the demo images', () => {
  it('are 20 characters or more from 22 fonts or more each, all different, 28 x 28 and grey', async () => {
    const images = await loadDemoImages();
    expect(images.size).toBeGreaterThanOrEqual(20);
    const seen = new Set<string>();
    const fonts = new Set<string>();
    for (const [label, drawings] of images) {
      expect(drawings.length, label).toBeGreaterThanOrEqual(22);
      for (const { bytes, font } of drawings) {
        const { width, height, channels } = await sharp(bytes).metadata();
        expect([width, height, channels], `${label}/${font}`).toEqual([28, 28, 1]);
        seen.add(
          createHash('sha256')
            .update(await sharp(bytes).raw().toBuffer())
            .digest('hex'),
        );
        fonts.add(font);
      }
    }
    const count = [...images.values()].reduce((sum, drawings) => sum + drawings.length, 0);
    expect(seen.size).toBe(count);
    expect(fonts.size).toBeGreaterThanOrEqual(20);
  });

  it('say what is missing when their folder is', async () => {
    await expect(loadDemoImages('nowhere')).rejects.toThrow(/expected a folder of labels; "npm run demo:images"/);
  });
});
