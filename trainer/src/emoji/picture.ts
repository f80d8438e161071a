import sharp from 'sharp';
import type { Random } from '../data/random.js';
import type { Icon } from './icon-sets.js';

/** What a drawing looks like, in units of its viewBox, the middle of which is 0, 0. */
export interface Look {
  /** Where it draws something. */
  readonly box: { readonly x: number; readonly y: number; readonly width: number; readonly height: number };
  /** Mean luma of what it draws, 0 (black) to 1. */
  readonly luma: number;
}

type Colour = readonly [red: number, green: number, blue: number];

/** Pixels by which a drawing is measured. */
const MEASURED = 64;
/** Alpha from which on a pixel is drawn. */
const DRAWN = 24;
/** Edges of masks and filters are not smooth: pictures are drawn larger. */
const FINER = 2;
/** Of WebP; an eighth of the bytes of PNG, as noise does not compress. */
const QUALITY = 90;
/** Lumas of a drawing and of what is behind it differ by at least so much. */
const CONTRAST = 0.25;

const lumaOf = ([r, g, b]: Colour): number => 0.299 * r + 0.587 * g + 0.114 * b;

/** The drawing around 0, 0. */
function fragment({ body, left, top, width, height, hFlip, vFlip, rotate }: Icon): string {
  const turned = `rotate(${rotate * 90}) scale(${hFlip ? -1 : 1} ${vFlip ? -1 : 1})`;
  const box = `x="${-width / 2}" y="${-height / 2}" width="${width}" height="${height}" viewBox="${left} ${top} ${width} ${height}"`;
  return `<g transform="${turned}"><svg ${box}>${body}</svg></g>`;
}

const HEAD = '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"';

/** Draws it once, small. Throws where it cannot be drawn, or draws nothing. */
export async function lookAt(icon: Icon): Promise<Look> {
  const scale = MEASURED / Math.max(icon.width, icon.height);
  const half = MEASURED / 2;
  const svg =
    `${HEAD} width="${MEASURED}" height="${MEASURED}">` +
    `<g transform="translate(${half} ${half}) scale(${scale})">${fragment(icon)}</g></svg>`;
  const { data, info } = await sharp(Buffer.from(svg))
    .ensureAlpha()
    .toColourspace('srgb')
    .raw()
    .toBuffer({ resolveWithObject: true });
  let [x0, y0, x1, y1] = [info.width, info.height, -1, -1];
  let luma = 0;
  let weight = 0;
  for (let y = 0; y < info.height; y++) {
    for (let x = 0; x < info.width; x++) {
      const [r = 0, g = 0, b = 0, alpha = 0] = data.subarray((y * info.width + x) * 4, (y * info.width + x) * 4 + 4);
      if (alpha < DRAWN) continue;
      [x0, y0, x1, y1] = [Math.min(x0, x), Math.min(y0, y), Math.max(x1, x), Math.max(y1, y)];
      luma += alpha * lumaOf([r / 255, g / 255, b / 255]);
      weight += alpha;
    }
  }
  if (weight === 0) throw new Error('nothing is drawn');
  const box = {
    x: (x0 - half) / scale,
    y: (y0 - half) / scale,
    width: (x1 + 1 - x0) / scale,
    height: (y1 + 1 - y0) / scale,
  };
  return { box, luma: luma / weight };
}

/**
 * A picture of `size` x `size` pixels, WebP, with the whole drawing on it: turned by up to 20 degrees, 55 to 95 % of the side long, anywhere, lit
 * from somewhere, on a plain colour, a gradient or soft noise that is lighter or darker than it.
 */
export async function drawPicture(icon: Icon, look: Look, size: number, random: Random): Promise<Buffer> {
  const drawn = await sharp(Buffer.from(pictureSvg(icon, look, size * FINER, random)))
    .raw()
    .toBuffer({ resolveWithObject: true });
  const { width, height, channels } = drawn.info;
  const raw = { width, height, channels };
  return sharp(drawn.data, { raw })
    .removeAlpha()
    .resize(size, size)
    .webp({ quality: QUALITY, smartSubsample: true })
    .toBuffer();
}

function pictureSvg(icon: Icon, { box, luma }: Look, size: number, random: Random): string {
  const between = (least: number, most: number) => least + (most - least) * random.uniform();
  const degrees = between(-20, 20);
  const [cos, sin] = [Math.cos((degrees * Math.PI) / 180), Math.abs(Math.sin((degrees * Math.PI) / 180))];
  const [width, height] = [box.width * cos + box.height * sin, box.width * sin + box.height * cos];
  const scale = (size * between(0.55, 0.95)) / Math.max(width, height);
  const at = (length: number) => size / 2 + between(-0.5, 0.5) * (size - length * scale);
  const place =
    `translate(${at(width)} ${at(height)}) rotate(${degrees}) scale(${scale}) ` +
    `translate(${-(box.x + box.width / 2)} ${-(box.y + box.height / 2)})`;
  return (
    `${HEAD} width="${size}" height="${size}">${background(luma, size, random)}` +
    `<g transform="${place}">${fragment(icon)}</g>${light(size, random)}</svg>`
  );
}

const rgb = (colour: Colour): string => `rgb(${colour.map((value) => Math.round(value * 255)).join(' ')})`;

/** A colour of any hue, pale to full, darker or lighter than the drawing, as often where there is room for both. */
function colourBeside(luma: number, random: Random): Colour {
  const room = { darker: luma - CONTRAST, lighter: 1 - luma - CONTRAST };
  const isDarker = random.uniform() < 0.5 ? room.darker > 0 : room.lighter <= 0;
  const wanted = isDarker ? room.darker * random.uniform() : 1 - room.lighter * random.uniform();
  const [red = 0, green = 0, blue = 0] = random.shuffle([0, 1, random.uniform()]);
  const hue: Colour = [red, green, blue];
  const own = lumaOf(hue);
  const full =
    wanted < own ? mixed(hue, [0, 0, 0], 1 - wanted / own) : mixed(hue, [1, 1, 1], (wanted - own) / (1 - own));
  return mixed([wanted, wanted, wanted], full, 0.2 + 0.8 * random.uniform());
}

const mixed = (a: Colour, b: Colour, share: number): Colour => [
  a[0] + share * (b[0] - a[0]),
  a[1] + share * (b[1] - a[1]),
  a[2] + share * (b[2] - a[2]),
];

/** A line across the picture, in any direction, as attributes of a gradient. */
function line(random: Random): string {
  const angle = 2 * Math.PI * random.uniform();
  const [x, y] = [Math.cos(angle) / 2, Math.sin(angle) / 2];
  return `x1="${0.5 - x}" y1="${0.5 - y}" x2="${0.5 + x}" y2="${0.5 + y}"`;
}

function background(luma: number, size: number, random: Random): string {
  const whole = `width="${size}" height="${size}"`;
  const first = colourBeside(luma, random);
  const second = colourBeside(luma, random);
  const plain = `<rect ${whole} fill="${rgb(first)}"/>`;
  const stops = `<stop stop-color="${rgb(first)}"/><stop offset="1" stop-color="${rgb(second)}"/>`;
  const filled = `<rect ${whole} fill="url(#whet-back)"/>`;
  switch (random.integer(4)) {
    case 0:
      return plain;
    case 1:
      return `<linearGradient id="whet-back" ${line(random)}>${stops}</linearGradient>${filled}`;
    case 2: {
      const [x, y] = [random.uniform(), random.uniform()];
      return `<radialGradient id="whet-back" cx="${x}" cy="${y}" r="1">${stops}</radialGradient>${filled}`;
    }
    default: {
      const [r, g, b] = mixed(first, second, 0.2 + 0.5 * random.uniform());
      // The other colour, the more the higher the noise; waves of a third to a twelfth of the side.
      const alpha = `0 0 0 0 ${r} 0 0 0 0 ${g} 0 0 0 0 ${b} 2 0 0 0 -0.5`;
      const frequency = (3 + 9 * random.uniform()) / size;
      return (
        `${plain}<filter id="whet-back" x="0" y="0" width="1" height="1" color-interpolation-filters="sRGB">` +
        `<feTurbulence type="fractalNoise" baseFrequency="${frequency}" numOctaves="2" seed="${random.integer(10_000)}"/>` +
        `<feColorMatrix values="${alpha}"/></filter><rect ${whole} filter="url(#whet-back)"/>`
      );
    }
  }
}

/** Lighter on one side, darker on the other. */
function light(size: number, random: Random): string {
  const strength = 0.3 * random.uniform();
  return (
    `<linearGradient id="whet-light" ${line(random)}><stop stop-color="white" stop-opacity="${strength}"/>` +
    '<stop offset="0.5" stop-color="white" stop-opacity="0"/><stop offset="0.5" stop-color="black" stop-opacity="0"/>' +
    `<stop offset="1" stop-color="black" stop-opacity="${strength}"/></linearGradient>` +
    `<rect width="${size}" height="${size}" fill="url(#whet-light)"/>`
  );
}
