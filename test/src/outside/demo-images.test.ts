import { createHash } from 'node:crypto';
import { basename } from 'node:path';
import { charactersDirectory, loadDemoImages, thingsDirectory } from '@whet/tools/demo/demo-images';
import sharp from 'sharp';
import { describe, expect, it } from 'vitest';

describe('the demo images', () => {
  it('are 20 characters or more from 22 fonts or more each, all different, 28 x 28 and grey', async () => {
    const images = await loadDemoImages(charactersDirectory);
    expect(images.size).toBeGreaterThanOrEqual(20);
    const seen = new Set<string>();
    const fonts = new Set<string>();
    for (const [label, drawings] of images) {
      expect(drawings.length, label).toBeGreaterThanOrEqual(22);
      for (const { bytes, file } of drawings) {
        const { width, height, channels } = await sharp(bytes).metadata();
        expect([width, height, channels], file).toEqual([28, 28, 1]);
        seen.add(
          createHash('sha256')
            .update(await sharp(bytes).raw().toBuffer())
            .digest('hex'),
        );
        fonts.add(basename(file));
      }
    }
    const count = [...images.values()].reduce((sum, drawings) => sum + drawings.length, 0);
    expect(seen.size).toBe(count);
    expect(fonts.size).toBeGreaterThanOrEqual(20);
  });

  it('are 24 things in 3 styles, all different, 128 x 128 and in colour', async () => {
    const images = await loadDemoImages(thingsDirectory);
    expect(images.size).toBe(24);
    const pictures = [...images.values()].flat();
    expect(pictures).toHaveLength(24 * 21);
    for (const { bytes, file } of pictures) {
      const { width, height, channels } = await sharp(bytes).metadata();
      expect([width, height, channels], file).toEqual([128, 128, 3]);
    }
    expect(new Set(pictures.map(({ bytes }) => createHash('sha256').update(bytes).digest('hex'))).size).toBe(24 * 21);
    const styles = pictures.map(({ file }) => basename(file).replace(/-\d+\.webp$/, ''));
    expect([...new Set(styles)].sort()).toEqual(['fluent-emoji', 'fluent-emoji-flat', 'noto-v1']);
  });

  it('say what is missing when their folder is', async () => {
    await expect(loadDemoImages('nowhere')).rejects.toThrow(
      'Demo images "nowhere": expected a folder of labels, as models/demo has',
    );
  });
});
