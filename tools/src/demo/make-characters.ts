import { createHash } from 'node:crypto';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import sharp from 'sharp';
import { DEMO_CHARACTERS, type DemoCharacter } from './characters.js';
import { describeCharacters } from './describe-characters.js';
import { drawGlyph, IMAGE_SIZE, type Placement } from './draw-glyph.js';
import { type DemoFont, loadDemoFonts } from './fonts.js';

const WORKSPACE_FILE = fileURLToPath(new URL('../../package.json', import.meta.url));
const DEMO_FOLDER = fileURLToPath(new URL('../../../models/demo/', import.meta.url));
const FEWEST_IMAGES = 22;

/** Glyphs by font, left out by eye: at 28 x 28 they are a blot or read as another sign. */
const UNREADABLE: Readonly<Record<string, readonly string[]>> = {
  'annie-use-your-telescope': ['%'],
  'bad-script': ['{'],
  'gochi-hand': ['1'],
  'homemade-apple': ['$'],
  'marck-script': ['{'],
  'reenie-beanie': ['&'],
  'sue-ellen-francisco': ['7'],
};

interface DrawnImage {
  readonly label: string;
  readonly font: string;
  readonly png: Buffer;
}

async function drawImage({ label, character }: DemoCharacter, font: DemoFont): Promise<Buffer | undefined> {
  if (UNREADABLE[font.name]?.includes(character)) return undefined;
  // Index 0 is the font's sign for "missing": drawing it would put the same box into every label.
  if (font.font.charToGlyphIndex(character) === 0) return undefined;
  const outline = font.font.charToGlyph(character).getPath(0, 0, font.font.unitsPerEm);
  const pixels = await drawGlyph(outline, choosePlacement(font.name, label));
  if (pixels === undefined) return undefined;
  return await sharp(pixels, { raw: { width: IMAGE_SIZE, height: IMAGE_SIZE, channels: 1 } })
    .toColourspace('b-w')
    .png({ compressionLevel: 9, adaptiveFiltering: false })
    .toBuffer();
}

/** Returns a placement that depends on the names alone: a font is a writer, with a pen and a usual size. */
function choosePlacement(font: string, label: string): Placement {
  const [size = 0, stroke = 0] = drawFractions(font);
  const [change = 0, right = 0, down = 0] = drawFractions(`${font}/${label}`);
  return {
    size: 0.6 + 0.14 * size + 0.06 * (change - 0.5),
    right: 0.1 * (right - 0.5),
    down: 0.1 * (down - 0.5),
    stroke: (4.3 + 0.9 * stroke) / 105,
  };
}

/** Returns 8 numbers in [0, 1) that look random and follow from `seed`. */
function drawFractions(seed: string): readonly number[] {
  const digest = createHash('sha256').update(seed).digest();
  return Array.from({ length: 8 }, (_, index) => digest.readUInt32LE(4 * index) / 2 ** 32);
}

async function drawLabel(character: DemoCharacter, fonts: readonly DemoFont[]): Promise<readonly DrawnImage[]> {
  const images: DrawnImage[] = [];
  for (const font of fonts) {
    const png = await drawImage(character, font);
    if (png === undefined || images.some((image) => image.png.equals(png))) continue;
    images.push({ label: character.label, font: font.name, png });
  }
  if (images.length < FEWEST_IMAGES) {
    throw new Error(
      `Label "${character.label}": expected at least ${FEWEST_IMAGES} images, got ${images.length} of ${fonts.length} fonts`,
    );
  }
  return images;
}

async function makeCharacters(): Promise<void> {
  const fonts = await loadDemoFonts(WORKSPACE_FILE);
  const images: DrawnImage[] = [];
  for (const character of DEMO_CHARACTERS) images.push(...(await drawLabel(character, fonts)));

  // Nothing is removed before everything is drawn: a failure leaves the images as they were.
  await rm(join(DEMO_FOLDER, 'characters'), { recursive: true, force: true });
  for (const { label, font, png } of images) {
    await mkdir(join(DEMO_FOLDER, 'characters', label), { recursive: true });
    await writeFile(join(DEMO_FOLDER, 'characters', label, `${font}.png`), png);
  }
  await writeFile(join(DEMO_FOLDER, 'characters.md'), describeCharacters(fonts, DEMO_CHARACTERS, images));
  const bytes = images.reduce((sum, image) => sum + image.png.length, 0);
  console.log(`${images.length} images, ${DEMO_CHARACTERS.length} labels, ${fonts.length} fonts, ${bytes} bytes`);
}

await makeCharacters();
