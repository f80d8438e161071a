import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { generatorFor } from '@whet/trainer';
import sharp from 'sharp';

/**
 * Writes image folders `<split>/<class>/<n>.png`: each class is a grating of its own direction and width, with noise. `first` is the number of
 * the first class, so that folders have others.
 */
export async function writeGratings(
  folder: string,
  splits: Readonly<Record<string, number>>,
  { images, side = 8, first = 0 }: { readonly images: number; readonly side?: number; readonly first?: number },
): Promise<void> {
  let number = first;
  for (const [split, classes] of Object.entries(splits)) {
    for (let i = 0; i < classes; i++, number++) {
      const random = generatorFor(number, 'gratings', 0);
      const [angle, wave] = [0.7 * number, 0.8 + 0.35 * (number % 5)];
      const directory = join(folder, split, `class-${number}`);
      await mkdir(directory, { recursive: true });
      for (let image = 0; image < images; image++) {
        const phase = random.uniform();
        const pixels = Uint8Array.from({ length: side * side * 3 }, (_, at) => {
          const [x, y, channel] = [Math.floor(at / 3) % side, Math.floor(at / 3 / side), at % 3];
          const along = Math.cos(angle) * x + Math.sin(angle) * y;
          const value = 128 + 80 * Math.sin(wave * along + phase + channel) + 40 * random.normal();
          return Math.min(255, Math.max(0, value));
        });
        await sharp(pixels, { raw: { width: side, height: side, channels: 3 } }).toFile(
          join(directory, `${image}.png`),
        );
      }
    }
  }
}
