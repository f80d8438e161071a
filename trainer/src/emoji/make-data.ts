import { constants } from 'node:fs';
import { access, mkdir, readdir, rm, rmdir, writeFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { DataError, SPLITS } from '../data/dataset.js';
import { generatorFor } from '../data/random.js';
import { creditsOf } from './credits.js';
import { emojiStyles, type IconSet, permissiveLicences, readIconSets } from './icon-sets.js';
import { inTurns } from './in-turns.js';
import { drawPicture } from './picture.js';
import { EMOJI_FOLDERS, type EmojiFolder, type PlannedPicture, planPictures, type Undrawn } from './plan.js';
import { findThings } from './things.js';

export interface EmojiOptions {
  /** The sets are read from its `node_modules`, or from those of a folder above it; the folder of the process when absent. */
  readonly sets?: string;
  /** Names of sets; `emojiStyles` when absent. */
  readonly styles?: readonly string[];
  /** Sets that `train` and `validation` do not see. Their pictures of the things of `test` stand in `held-back`. None when absent. */
  readonly holdBack?: readonly string[];
  /** Folders to make; the three splits, and `held-back` where sets are held back, when absent. */
  readonly only?: readonly EmojiFolder[];
  /** Leaves out sets whose licence is none of `permissiveLicences`. */
  readonly permissive?: boolean;
  /** Sets that draw a thing, at least; three quarters of them, rounded up, when absent. */
  readonly least?: number;
  /** Width and height in pixels; 128 when absent. */
  readonly size?: number;
  /** Pictures of each drawing; 3 when absent. */
  readonly drawings?: number;
  /** 0 when absent. */
  readonly seed?: number;
  /** How many drawings were looked at, and then how many pictures were made, of how many. */
  readonly onProgress?: (what: 'drawings' | 'pictures', done: number, total: number) => void;
  /** Ends the work; nothing that was written stays. */
  readonly signal?: AbortSignal;
}

export interface EmojiData {
  /** Of each folder. */
  readonly classes: Readonly<Record<EmojiFolder, number>>;
  /** Classes of all folders; one that is held back stands in `test` too. */
  readonly things: number;
  readonly pictures: number;
  readonly sets: readonly IconSet[];
  /** Left out for their licence. */
  readonly leftOut: readonly IconSet[];
  readonly undrawn: readonly Undrawn[];
}

const MANIFEST = 'manifest.json';
const CREDITS = 'CREDITS.md';
const LARGEST = 2048;
const MOST = 1000;

/**
 * Makes a few-shot data set of drawings of things: a thing that several emoji sets draw is a class, with `drawings` pictures of every set's drawing, as
 * `<split>/<thing>/<set>-<n>.webp`; with `manifest.json`, which says of every picture its set, and `CREDITS.md`. The same options, sets and
 * version of sharp make the same files.
 *
 * @throws {DataError} where an option is out of range, a set is missing or damaged, one that is held back is left out, `out` is not empty or cannot be
 *   written, or a split has no thing. Where the work is ended or fails, what was written is taken away again, and `out` where it was not there before.
 */
export async function makeEmojiData(out: string, options: EmojiOptions = {}): Promise<EmojiData> {
  const { styles = emojiStyles, holdBack = [], size = 128, drawings = 3, seed = 0 } = options;
  checkCount('size', size, LARGEST);
  checkCount('drawings', drawings, MOST);
  if (!Number.isSafeInteger(seed)) throw new DataError(`emoji: expected a seed that is a whole number, got ${seed}`);
  const strange = holdBack.filter((style) => !styles.includes(style));
  if (strange.length > 0) {
    throw new DataError(`emoji: expected to hold back some of ${styles.join(', ')}, got ${strange.join(', ')}`);
  }
  const made = await claim(out);
  try {
    return await fill(out, { ...options, styles, holdBack, size, drawings, seed });
  } catch (cause) {
    await giveBack(out, made);
    throw cause;
  }
}

type Settled = EmojiOptions & Required<Pick<EmojiOptions, 'styles' | 'holdBack' | 'size' | 'drawings' | 'seed'>>;

/** Makes the data set in an empty folder. */
async function fill(out: string, options: Settled): Promise<EmojiData> {
  const { styles, holdBack, permissive = false, size, drawings, seed, onProgress, signal } = options;
  const { only = holdBack.length > 0 ? EMOJI_FOLDERS : SPLITS } = options;
  const read = await readIconSets(options.sets ?? '.', [...new Set(styles)]);
  const sets = permissive ? read.filter(({ licence }) => permissiveLicences.includes(licence.spdx ?? '')) : read;
  if (sets.length === 0) throw new DataError(`emoji: expected a set under ${permissiveLicences.join(', ')}, got none`);
  const leftOut = read.filter((set) => !sets.includes(set));
  const lost = leftOut.filter(({ style }) => holdBack.includes(style));
  if (lost.length > 0) {
    const got = lost.map(({ style, licence }) => `${style} (${licence.spdx ?? licence.title})`).join(', ');
    throw new DataError(`emoji: expected to hold back sets under ${permissiveLicences.join(', ')}, got ${got}`);
  }
  const least = options.least ?? Math.ceil(sets.length * 0.75);
  checkCount('least', least, sets.length);

  const onLook = onProgress && ((done: number, total: number) => onProgress('drawings', done, total));
  const asked = { drawings, least, holdBack, only, signal, ...(onLook && { onLook }) };
  const { pictures, undrawn } = await planPictures(findThings(sets, least), asked);
  const perSet = new Map<string, number>();
  const write = async ({ file, thing, drawing, look, number }: PlannedPicture) => {
    const { style } = drawing.set;
    const random = generatorFor(seed, `emoji/${thing}/${style}`, number);
    const bytes = await drawPicture(drawing.icon, look, size, random);
    await mkdir(join(out, dirname(file)), { recursive: true });
    await writeFile(join(out, file), bytes);
    perSet.set(style, (perSet.get(style) ?? 0) + 1);
  };
  try {
    let done = 0;
    await inTurns(pictures, signal, async (picture) => {
      await write(picture);
      onProgress?.('pictures', ++done, pictures.length);
    });
    await writeFile(join(out, CREDITS), creditsOf(sets, perSet, size));
    const settings = { size, drawings, seed, least, permissive, holdBack, only };
    await writeFile(join(out, MANIFEST), manifestOf(settings, sets, pictures, undrawn));
  } catch (cause) {
    throw (cause as NodeJS.ErrnoException).syscall === undefined ? cause : unwritable(out, cause);
  }
  const counts = { classes: classesOf(pictures), things: thingsOf(pictures), pictures: pictures.length };
  return { ...counts, sets, leftOut, undrawn };
}

function checkCount(what: string, value: number, most: number): void {
  if (Number.isSafeInteger(value) && value >= 1 && value <= most) return;
  throw new DataError(`emoji: ${what}: expected a whole number from 1 to ${most}, got ${value}`);
}

/** Makes sure of an empty folder. Returns the outermost folder that was made for it; undefined where it was there. */
async function claim(out: string): Promise<string | undefined> {
  let names: string[];
  let made: string | undefined;
  try {
    made = await mkdir(out, { recursive: true });
    await access(out, constants.W_OK);
    names = await readdir(out);
  } catch (cause) {
    throw unwritable(out, cause);
  }
  if (names.length > 0) throw new DataError(`${out}: expected an empty folder, got ${names.slice(0, 5).join(', ')}`);
  return made;
}

/** Takes away what was written to a folder, and the folders that were made for it unless something else stands there by now. */
async function giveBack(out: string, made: string | undefined): Promise<void> {
  for (const name of [...EMOJI_FOLDERS, CREDITS, MANIFEST]) {
    await rm(join(out, name), { recursive: true, force: true });
  }
  if (made === undefined) return;
  try {
    for (let folder = resolve(out); folder.startsWith(resolve(made)); folder = dirname(folder)) await rmdir(folder);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'ENOTEMPTY') throw cause;
  }
}

const unwritable = (out: string, cause: unknown): DataError =>
  new DataError(`${out}: expected a folder that can be written, got ${String(cause)}`, { cause });

const thingsOf = (pictures: readonly PlannedPicture[]): number => new Set(pictures.map(({ thing }) => thing)).size;

function classesOf(pictures: readonly PlannedPicture[]): Record<EmojiFolder, number> {
  const count = (folder: EmojiFolder) => thingsOf(pictures.filter(({ file }) => file.startsWith(`${folder}/`)));
  return Object.fromEntries(EMOJI_FOLDERS.map((folder) => [folder, count(folder)])) as Record<EmojiFolder, number>;
}

/** JSON, a picture in a line. */
function manifestOf(
  settings: object,
  sets: readonly IconSet[],
  pictures: readonly PlannedPicture[],
  undrawn: readonly Undrawn[],
): string {
  const about = sets.map(({ icons: _, ...set }) => set);
  const head = JSON.stringify({ settings, sets: about, undrawn }, undefined, 2).slice(0, -2);
  const lines = pictures.map(({ file, thing, split, drawing: { set, id } }) =>
    JSON.stringify({ file, thing, split, set: set.style, icon: id }),
  );
  return `${head},\n  "pictures": [\n    ${lines.join(',\n    ')}\n  ]\n}\n`;
}
