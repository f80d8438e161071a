import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { generatorFor } from '@whet/trainer';
import { zipSync } from 'fflate';
import sharp from 'sharp';

const SIDE = 105;
const DRAWINGS = 20;

/** One drawing: strokes of a class, each end moved a little. */
async function draw(character: number, drawing: number): Promise<Uint8Array> {
  const strokes = generatorFor(1, 'character', character);
  const hand = generatorFor(2, `drawing ${character}`, drawing);
  const lines = Array.from({ length: 3 }, () => {
    const ends = Array.from({ length: 4 }, () => 15 + 75 * strokes.uniform() + 4 * hand.normal());
    return `<path d="M${ends[0]} ${ends[1]} L${ends[2]} ${ends[3]}" stroke="black" stroke-width="4"/>`;
  });
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="${SIDE}" height="${SIDE}">${lines.join('')}</svg>`;
  return sharp(Buffer.from(svg))
    .flatten({ background: 'white' })
    .threshold(128)
    .png({ palette: true, colours: 2 })
    .toBuffer();
}

/** Writes a folder of Omniglot's form, with made-up characters: the two zip files and the split. */
export async function writeSyntheticOmniglot(folder: string, counts = { train: 8, val: 6, test: 6 }): Promise<void> {
  await mkdir(folder, { recursive: true });
  const zips: Record<string, Record<string, Uint8Array>> = { images_background: {}, images_evaluation: {} };
  const split: Record<string, string[]> = {};
  let character = 0;
  for (const [part, count] of Object.entries(counts)) {
    split[part] = [];
    for (let i = 1; i <= count; i++, character++) {
      const zip = part === 'test' ? 'images_evaluation' : 'images_background';
      const path = `${zip}/Made_up_${part}/character${String(i).padStart(2, '0')}`;
      split[part].push(path);
      for (let drawing = 1; drawing <= DRAWINGS; drawing++) {
        const name = `${path}/${String(character).padStart(4, '0')}_${String(drawing).padStart(2, '0')}.png`;
        (zips[zip] as Record<string, Uint8Array>)[name] = await draw(character, drawing);
      }
    }
  }
  for (const [name, files] of Object.entries(zips)) await writeFile(join(folder, `${name}.zip`), zipSync(files));
  await writeFile(join(folder, 'vinyals-splits.json'), JSON.stringify(split));
}
